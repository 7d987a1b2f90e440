"""Where a study's runs train, how wide their populations are, and how long it takes; on this host by a short measurement."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch

from harness.engine.devices import cores_of, device_name
from harness.engine.memory_budget import parse_memory
from harness.engine.planning import NARROWEST, groups
from harness.engine.runs import Run
from harness.engine.way import Way
from harness.execution.examination import examined
from harness.ledger.trial_runs import n_steps, sample_runs
from harness.study import Study

START_S = 6.0
"""Until worker processes have imported what they need."""


@dataclass(frozen=True)
class Placement:
    """Where and how the runs of a study train.

    Attributes:
        places: devices, one named twice trains two populations at once.
        threads: of each process on a CPU.
        ways: how groups of runs train, by their names, see `planning.groups`.
        examine: finds the ways of other runs of the study.
        training_s: about how long training takes; evaluations add to it.
        devices: what the places are, in words.
    """

    places: list[torch.device]
    threads: int
    ways: Mapping[str, Way]
    examine: Callable[[list[Run]], Mapping[str, Way]]
    training_s: float
    devices: str

    @property
    def kind(self) -> str:
        """Of all places, `cpu` or `cuda`: the noise of dropout under a seed is that of a kind of device."""
        return self.places[0].type

    @property
    def words(self) -> str:
        """How many processes there are, where it is not one."""
        return f", {len(self.places)} processes" if len(self.places) > 1 else ""


def place_on_host(
    study: Study, devices: list[torch.device], *, workers: int | None, memory: str | None, remember: bool
) -> Placement:
    """Choose how runs train and the number of processes, by proof and measurement where there are none of this shape yet.

    Args:
        study: whose runs they are.
        devices: all alike; the first is measured.
        workers: processes on each device; None for as many as take the least time.
        memory: bound on what all populations take at a time, such as 4G; None for a share of what is free.
        remember: whether what is found is kept for later studies, and what was found for earlier ones used.

    Raises:
        InvalidStudy: `memory` is no size, or the first steps cannot be taken.
    """
    cores, runs = cores_of(devices[0]), sample_runs(study)
    memory_bytes = parse_memory(memory, devices[0]) // (workers or cores)
    examine = partial(examined, study, device=devices[0], memory_bytes=memory_bytes, remember=remember)
    ways, found = examine(runs), groups(runs)
    parts = max(1, sum(len(of_one) // (NARROWEST if ways[name].width > 1 else 1) for name, of_one in found.items()))
    choices = (workers,) if workers else (1, min(cores, parts))
    steps = n_steps(study) // len(devices)
    seconds, chosen = min((training_s(found, ways, steps, cores, count), count) for count in choices)
    words = ", ".join(map(device_name, devices))
    return Placement(devices * chosen, max(1, cores // chosen), ways, examine, seconds, words)


def training_s(
    found: Mapping[str, list[Run]], ways: Mapping[str, Way], steps: int, cores: int, workers: int
) -> float:  # fmt: skip
    """About how many seconds training takes with so many processes on the cores of a device.

    Args:
        found: groups of runs by name.
        ways: of them.
        steps: of the whole study on this device; the groups share them as they do those of `found`.
        cores: of the device.
        workers: processes.
    """
    weights = {name: sum(run.setup.steps for run in runs) for name, runs in found.items()}
    shares = {name: weight / sum(weights.values()) for name, weight in weights.items()}
    taken = (ways[name].seconds(round(steps * share), cores, workers) for name, share in shares.items())
    return sum(taken) + START_S * (workers > 1)
