"""What of a model does not go into the task's loss as its user may believe: what it keeps, a trainer's methods, probabilities."""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn as nn
from torch import Tensor
from torch.utils._pytree import tree_leaves

from harness.engine.plain_member import PlainMember
from harness.engine.reached import reached
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.settings.machine import one_thread
from harness.settings.randomness import global_generators, stream_seed
from harness.settings.show import the_first
from harness.tasks.task import Data, Task

TRAINERS = "training_step", "configure_optimizers"
"""Methods that PyTorch Lightning calls."""

ROUNDING = 1e-4
"""Of a sum of probabilities."""

PROBABILITIES = (
    "its outputs look like probabilities, none below 0 and with the sum 1, and the loss takes the softmax of what it is given: return "
    "the scores before the softmax, or its logarithm"
)


def loss_notes(setup: Setup, data: Data) -> list[str]:
    """What is said of the setup's model once it was passed forward in training, without the subject of the sentences.

    Args:
        setup: that can train.
        data: of its task.
    """
    index, run = data.train[: setup.batch_size], Run(0, 0, setup)
    with one_thread(), global_generators(stream_seed(run.noise_seed, "module")):
        member = PlainMember(run, data, device=torch.device("cpu"), dtype=torch.float32, frozen=True)
        before = reached(member.template)
        output = member.output(data.x[index], train=True)
    return [
        *_uncalled(member.template),
        *_kept_apart(member.template, before, output),
        *_probabilities(setup.task, output, data.y),
    ]


def _uncalled(module: nn.Module) -> Iterator[str]:
    """That nobody calls what a trainer would."""
    if names := [f"`{name}`" for name in TRAINERS if callable(getattr(module, name, None))]:
        is_not = "is not called" if len(names) == 1 else "are not called"
        yield f"its {' and '.join(names)} {is_not}: the loss is the task's, and the optimizer the study's"


def _kept_apart(module: nn.Module, before: dict[str, Any], output: Any) -> Iterator[str]:
    """That no loss has a number that a forward pass has kept in a layer and not made its output of, such as a penalty.

    What it keeps of each example is no loss. Of a module that goes backward itself this cannot be known.
    """
    if any(parameter.grad is not None for parameter in module.parameters()):
        return
    old, known = set(map(id, before.values())), _nodes(output)
    numbers = {name: t for name, t in reached(module).items() if isinstance(t, Tensor) and t.numel() == 1}
    kept = {name: value for name, value in numbers.items() if id(value) not in old}
    names = [f"`{name}`" for name, value in kept.items() if value.grad_fn is not None and value.grad_fn not in known]
    if names:
        reaches = (
            "is kept by its forward pass and reaches" if len(names) == 1 else "are kept by its forward pass and reach"
        )
        yield f"{the_first(names)} {reaches} no loss: if that is to train, return it and add it by `losses` of a task of your own; if not, `.detach()` says so"


def _nodes(output: Any) -> set[Any]:
    """All that autograd would come by from an output."""
    ahead: list[Any] = [leaf.grad_fn for leaf in tree_leaves(output) if isinstance(leaf, Tensor)]
    found: set[Any] = {None}
    while ahead:
        node = ahead.pop()
        if node not in found:
            found.add(node)
            ahead += [before for before, _ in node.next_functions]
    return found


def _probabilities(task: Task, output: Any, y: Tensor) -> Iterator[str]:
    """That a loss of scores is given probabilities."""
    if type(task).losses is not Task.losses or y.is_floating_point() or output.shape[-1] < 2:
        return
    if bool((output >= 0).all()) and torch.allclose(output.sum(-1), output.new_ones(()), atol=ROUNDING):
        yield PROBABILITIES
