"""`Run`: one member to be, its module and its examples."""

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn as nn
from torch.nn.parameter import is_lazy

from harness.engine.layers import swap
from harness.engine.setup import Setup
from harness.settings.randomness import stream_seed
from harness.tasks.task import Data, Task


@dataclass(frozen=True)
class Run:
    """One member to be: a trial's settings and a seed; `values` are those of its swept and tuned factors."""

    trial: int
    seed: int
    setup: Setup
    values: dict[str, Any] = field(default_factory=dict, hash=False)
    confirm: bool = True


def examples(runs: list[Run]) -> list[Data]:
    """Each member's data; members with equal task and seed get the same object."""
    found: dict[tuple[Task, int], Data] = {}
    for run in runs:
        key = (run.setup.task, run.seed)
        if key not in found:
            found[key] = run.setup.task.data(run.seed)
    return [found[run.setup.task, run.seed] for run in runs]


def build(setup: Setup, data: Data, seed: int) -> nn.Module:
    """The run's own module, swapped, initialised from the seed's `init` stream (on the CPU, whatever the device)."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(
            stream_seed(seed, "init")
        )  # `torch.manual_seed` would format the whole stack
        module = setup.model.build(setup.task.sizes(data))
        if any(map(is_lazy, module.parameters())):
            module.eval()(data.x[data.train[:1]])
        return swap(module)
