"""Whether torch gives the Hessian of a loss, as its sharpness needs."""

import torch

from harness.engine.diagnostics.sharpness import NoHessian, largest_eigenvalue
from harness.engine.plain_member import PlainMember
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.settings.machine import one_thread
from harness.settings.randomness import global_generators, stream_seed
from harness.tasks.task import Data


def no_hessian(setup: Setup, data: Data) -> str:
    """Why torch gives no Hessian of the loss of a setup on a training batch; "" where it does."""
    run, batch = Run(0, 0, setup), data.train[: setup.batch_size]
    with one_thread(), global_generators(stream_seed(run.noise_seed, "module")):
        member = PlainMember(run, data, device=torch.device("cpu"), dtype=torch.float32)
        try:
            largest_eigenvalue(member, data.x[batch], data.y[batch])
        except NoHessian as error:
            return str(error)
    return ""
