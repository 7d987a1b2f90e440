"""`Run`: one member to be, its module and its examples."""

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn as nn
from torch.nn.parameter import is_lazy

from harness.engine.setup import Setup
from harness.engine.untrained_pass import untrained_pass
from harness.settings.machine import one_thread
from harness.settings.randomness import global_generators, stream_seed
from harness.tasks.task import Data, Task

HELD_SEED = 0
"""Whose streams all seeds have in what does not differ between them."""


@dataclass(frozen=True)
class Run:
    """One member to be: a trial's settings and a seed; `values` are those of its swept and tuned factors.

    The seed is that of all its streams, or of those that `Setup.differ` names; the others are those of `HELD_SEED`.
    """

    trial: int
    seed: int
    setup: Setup
    values: dict[str, Any] = field(default_factory=dict, hash=False)
    confirm: bool = True

    @property
    def data_seed(self) -> int:
        """Of its examples."""
        return self._seed_of("data")

    @property
    def init_seed(self) -> int:
        """Of its module's initial weights."""
        return self._seed_of("init")

    @property
    def order_seed(self) -> int:
        """Of the order of its batches."""
        return self._seed_of("order")

    @property
    def noise_seed(self) -> int:
        """Of all else that is drawn when it trains and is measured: masks of dropout, what its module draws, probes."""
        return self._seed_of("noise")

    def _seed_of(self, purpose: str) -> int:
        return self.seed if self.setup.differ in ("all", purpose) else HELD_SEED

    def data(self) -> Data:
        """Its examples."""
        return self.setup.task.data(self.data_seed)


def examples(runs: list[Run]) -> list[Data]:
    """Each member's data; members with equal task and seed of the data get the same object."""
    found: dict[tuple[Task, int], Data] = {}
    for run in runs:
        key = (run.setup.task, run.data_seed)
        if key not in found:
            found[key] = run.data()
    return [found[run.setup.task, run.data_seed] for run in runs]


class Untrainable(ValueError):
    """A module was built that cannot train as it is; the text says why and what to do."""


def build(setup: Setup, data: Data, seed: int) -> nn.Module:
    """The run's own module as its class makes it, on one thread of the CPU, whatever the device and the threads of its training.

    An orthogonal matrix has other last bits by each number of threads. Torch's, NumPy's and Python's global generators are at the
    start of the seed's `init` stream.

    Raises:
        Untrainable: nothing in it trains, a lazy layer finds no size, or its parameters are no single-precision numbers: training
            would change them silently.
    """
    with one_thread(), global_generators(stream_seed(seed, "init")):
        module = setup.model.build(setup.task.sizes(data), setup.steps)
        _find_sizes(module, setup, data)
    for name, parameter in module.named_parameters():
        if parameter.dtype != torch.float32:
            kind = str(parameter.dtype).removeprefix("torch.")
            raise Untrainable(
                f"its parameters must be float32, but `{name}` is {kind}: call `.float()` in the constructor"
            )
    if not any(parameter.requires_grad for parameter in module.parameters()):
        if any(True for _ in module.parameters()):
            raise Untrainable("does not train: all its parameters are frozen when it is built; leave some as they are")
        raise Untrainable("does not train: it has no parameters when it is built; make them in the constructor")
    return module


def _find_sizes(module: nn.Module, setup: Setup, data: Data) -> None:
    """Let lazy layers find their sizes: by a forward pass in evaluation, which leaves the least behind, else by one in training.

    Raises:
        Untrainable: neither uses some of them.
    """
    for train in (False, True):
        if _unsized(module):
            batch = data.train[: setup.batch_size if train else 1]
            untrained_pass(module, data.x[batch], steps=setup.steps, train=train)
            module.train()
    if name := _unsized(module):
        raise Untrainable(
            f"no forward pass uses its lazy `{name}`, whose size is so not known: use it, or leave it out"
        )


def _unsized(module: nn.Module) -> str:
    """The name of a parameter or buffer of a lazy layer that has no size yet; "" for none."""
    tensors = [*module.named_parameters(), *module.named_buffers()]
    return next((name for name, tensor in tensors if is_lazy(tensor)), "")
