"""Where a study's populations train, how wide they are, and how long it takes; on this host by a short measurement."""

from dataclasses import dataclass

import torch

from harness.engine.devices import cores_of, device_name
from harness.engine.memory_budget import parse_memory
from harness.engine.planning import NARROWEST
from harness.engine.population_width import measure_cost
from harness.engine.width_cache import cache_file
from harness.ledger.trial_runs import n_steps, sample_runs
from harness.settings import InvalidStudy, Problem, first_line, show
from harness.study import Study


@dataclass(frozen=True)
class Placement:
    """Where and how the populations of a study train.

    Attributes:
        places: devices, one named twice trains two populations at once.
        threads: of each process on a CPU.
        width: members of a population.
        training_s: about how long training takes; evaluations add to it.
        devices: what the places are, in words.
    """

    places: list[torch.device]
    threads: int
    width: int
    training_s: float
    devices: str

    @property
    def kind(self) -> str:
        """Of all places, `cpu` or `cuda`: the noise of dropout under a seed is that of a kind of device."""
        return self.places[0].type

    @property
    def words(self) -> str:
        """How many processes there are, where it is not one."""
        return f", {len(self.places)} populations at once" if len(self.places) > 1 else ""


def place_on_host(
    study: Study, devices: list[torch.device], *, workers: int | None, memory: str | None, remember: bool
) -> Placement:
    """Choose width and number of processes, by a short measurement where there is none of this shape yet.

    Args:
        study: whose populations they are.
        devices: all alike; the first is measured.
        workers: processes on each device; None for as many as take the least time.
        memory: bound on what all populations take at a time, such as 4G; None for a share of what is free.
        remember: whether what is measured is kept for later studies, and what was measured for earlier ones used.

    Raises:
        InvalidStudy: `memory` is no size, or a population cannot take the steps that are measured.
    """
    cores = cores_of(devices[0])
    memory_bytes = parse_memory(memory, devices[0]) // (workers or cores)
    runs, steps = sample_runs(study), n_steps(study) // len(devices)
    try:
        cost = measure_cost(runs, devices[0], memory_bytes=memory_bytes, cache=cache_file() if remember else None)
    except Exception as error:
        message = f"cannot take a few steps on {devices[0]}: {first_line(error)}"
        raise InvalidStudy([Problem("model", message, show(runs[0].setup.model))]) from error
    if devices[0].type == "cuda":
        torch.cuda.empty_cache()  # from here on it is the workers'
    workers = workers or cost.workers(steps, cores, populations=max(1, len(runs) // NARROWEST))
    seconds = cost.training_s(steps, cores, workers)
    words = ", ".join(map(device_name, devices))
    return Placement(devices * workers, max(1, cores // workers), cost.width, seconds, words)
