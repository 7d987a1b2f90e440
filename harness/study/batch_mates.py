"""Whether a model mixes the examples of a batch: what it says of one must not depend on which others there are."""

from functools import partial

import torch
from torch import Tensor

from harness.engine.setup import Setup
from harness.engine.untrained_pass import untrained_pass
from harness.settings.randomness import global_generators
from harness.tasks.task import Data

EXAMPLES = 4
"""In the batch that is looked at."""

ROUNDING = 1e-4
"""Relative difference that rounding explains."""

MIXES = "in eval mode an example's output depends on the others in its batch"
WAY_OUT = "set batch_first=True in recurrent and attention layers where time is the second axis, and keep the first axis apart"


@torch.no_grad()
def mixes_examples(setup: Setup, data: Data) -> bool:
    """Whether the output of an example changes, in eval mode, when all others are replaced by copies of one of them.

    A model of which this cannot be known, since it is random in eval mode or takes no such batch, is not said to mix.

    Args:
        setup: whose model is built; its weights are drawn anew around those that it starts with, which may be zero.
        data: of its task.
    """
    x = data.x[data.train[:EXAMPLES]]
    with global_generators(0):
        module = setup.model.build(setup.task.sizes(data), setup.steps)
        output = partial(untrained_pass, module, steps=setup.steps)
        try:
            output(x.clone())  # which it may change; lazy layers find their sizes
            for parameter in module.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
            plain = output(x.clone())
            if len(x) < 2 or plain.shape[:1] != x.shape[:1] or not torch.equal(plain, output(x.clone())):
                return False
            changed = torch.stack([output(_others_replaced(x, i))[i] for i in range(len(x))])
        except Exception:  # of a user's module that wants another batch
            return False
    off, size = (torch.linalg.vector_norm(t.double().reshape(len(t), -1), dim=1) for t in (changed - plain, plain))
    return bool((off > ROUNDING * size).any())


def _others_replaced(x: Tensor, i: int) -> Tensor:
    """The batch with example `i` where it was, and copies of another one everywhere else."""
    others = x[i - 1].expand_as(x).clone()
    others[i] = x[i]
    return others
