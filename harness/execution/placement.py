"""Where a study's runs train, how wide their populations are, and how long it takes; on this host by a short measurement."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch

from harness.engine.devices import cores_of, device_name
from harness.engine.memory_budget import check_bound, parse_memory
from harness.engine.planning import groups, parts, places_of
from harness.engine.runs import Run
from harness.engine.way import Way
from harness.execution.costs import Costs
from harness.execution.examination import examined
from harness.ledger.trial_runs import sample_runs
from harness.study import Study
from harness.study.scope import setups


@dataclass(frozen=True)
class Placement:
    """Where and how the runs of a study train.

    Attributes:
        places: devices, one named twice trains two populations at once.
        ways: how groups of runs train, by their names, see `planning.groups`.
        examine: finds the ways of other groups of runs of the study.
        costs: of runs.
        devices: what the places are, in words.
    """

    places: list[torch.device]
    ways: Mapping[str, Way]
    examine: Callable[[Mapping[str, list[Run]]], Mapping[str, Way]]
    costs: Costs
    devices: str

    @property
    def kind(self) -> str:
        """Of all places, `cpu` or `cuda`: the noise of dropout under a seed is that of a kind of device."""
        return self.places[0].type

    def without_effect(self, study: Study) -> list[str]:
        """Which settings change nothing on this kind of device, a sentence each."""
        if self.kind == "cuda" or not any(setup.tf32 for setup in setups(study)):
            return []
        return ["tf32: True has no effect on a CPU: it is how CUDA devices multiply."]

    def seconds(self, study: Study) -> float:
        """About how long all of a study takes."""
        return self.costs.seconds(study, len(self.places))

    @property
    def words(self) -> str:
        """How many processes there are, where it is not one."""
        return f", {len(self.places)} processes" if len(self.places) > 1 else ""


def place_on_host(
    study: Study, devices: list[torch.device], *, workers: int | None, memory: str | None, remember: bool
) -> Placement:
    """Choose how runs train and the number of processes, by proof and measurement where there are none of this shape yet.

    A process for each core, with one thread: threads of one process wait for one another at every operation, and all of them for the one
    whose core is busy with something else; and how many there are would decide last bits.

    Args:
        study: whose runs they are.
        devices: all alike; the first is measured.
        workers: processes on each device; None for one on each core, as far as there are populations.
        memory: bound on what all populations take at a time, such as 4G; None for a share of what is free.
        remember: whether what is found is kept for later studies, and what was found for earlier ones used.

    Raises:
        InvalidStudy: `memory` is no size or too little, or the first steps cannot be taken.
    """
    cores, found = cores_of(devices[0]), groups(sample_runs(study))
    abreast = workers or cores
    memory_bytes = parse_memory(memory, devices[0]) // abreast
    examine = partial(examined, study, device=devices[0], memory_bytes=memory_bytes, remember=remember)
    ways = examine(found)
    check_bound(memory, ways.values(), memory_bytes, abreast)
    places = places_of(found, ways, cores)
    populations = sum(parts(len(group), ways[name].width, places[name], cores) for name, group in found.items())
    chosen = workers or min(cores, populations)
    words = ", ".join(map(device_name, devices))
    return Placement(devices * chosen, ways, examine, Costs(ways, study.evaluations), words)
