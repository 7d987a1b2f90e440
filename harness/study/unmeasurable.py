"""Which of the full diagnostics a model does not let be measured."""

from collections.abc import Iterator

import torch

from harness.engine.diagnostics.sharpness import NoHessian, largest_eigenvalue
from harness.engine.obstacles import NoKernel
from harness.engine.plain_member import PlainMember
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.settings.machine import one_thread
from harness.settings.randomness import global_generators, stream_seed
from harness.tasks.task import Data


def unmeasurable(setup: Setup, data: Data) -> Iterator[str]:
    """What will be missing of a setup's diagnostics and why, as tried on a training batch."""
    run, batch = Run(0, 0, setup), data.train[: setup.batch_size]
    x, y = data.x[batch], data.y[batch]
    with one_thread(), global_generators(stream_seed(run.noise_seed, "module")):
        member = PlainMember(run, data, device=torch.device("cpu"), dtype=torch.float32)
        try:
            largest_eigenvalue(member, x, y)
        except NoHessian as error:
            yield f"sharpness will be missing: torch gives no Hessian of its loss ({error})"
        try:
            member.state_gradients(x.clone().unsqueeze(0), y.unsqueeze(0))
        except NoKernel as error:
            yield f"gradient_flow will be missing: {error}"
