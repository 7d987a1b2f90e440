"""How a study's populations lie on a device: how many members each has, and how many processes train them.

Wider populations share the cost of launching operations; too wide ones fall out of the caches. A few steps at doubling
widths find the turn. On a CPU a process with one thread for each core wastes nothing on threads that wait for one
another, but takes seconds to start. What was measured is cached for the device and shape; the study keeps the width with
its plan, so that a continued study trains the same populations again.
"""

import hashlib
import json
import os
import re
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from harness.engine.allocator import prepare_process
from harness.engine.capture import WARM_UP, Captured
from harness.engine.devices import device_name
from harness.engine.feed import Feed
from harness.engine.planning import NARROWEST, population_key
from harness.engine.population import Population
from harness.engine.runs import Run, build, examples
from harness.engine.step import Stepper
from harness.settings import InvalidStudy, Problem
from harness.settings.machine import free_memory, threads_restored

WIDEST = 1024
WORTHWHILE = 0.95
"""A wider population must cost less than this share of the time per member; otherwise the narrower one is kept."""

PATIENCE = 2
"""Widths in a row that may bring nothing before the search ends."""

LONG_STEP_S = 0.1
"""A step that takes this long is all arithmetic: launching its operations costs next to nothing, at any width."""

SHARE_OF_FREE_MEMORY = 0.5

HISTORY_BYTES = 64
"""What is kept of a step of one member, until its tables are made."""

START_S = 6.0
"""Until worker processes have imported what they need."""

SHARING = 1.25
"""How much longer a step takes on threads that wait for one another than on as many processes (1.1 to 1.5 by the bench)."""


@dataclass(frozen=True)
class Cost:
    """What was measured of populations like a study's.

    Attributes:
        width: the best number of members.
        step_s: seconds per step and member, on a CPU with one thread.
    """

    width: int
    step_s: float

    def training_s(self, steps: int, cores: int, workers: int) -> float:
        """Seconds that `steps` training steps, summed over members, take with so many processes on all cores."""
        return self.step_s * steps / cores * (SHARING if workers < cores else 1) + START_S * (workers > 1)

    def workers(self, steps: int, cores: int, populations: int) -> int:
        """The number of processes on so many cores that takes the least time."""
        return min((1, min(cores, populations)), key=lambda workers: self.training_s(steps, cores, workers))


def measure_cost(runs: list[Run], device: torch.device, *, memory_bytes: int, cache: Path) -> Cost:
    """The best width of populations of runs like these, and what a step of it cost.

    Args:
        runs: members of one population, as many as there may be.
        device: where they train.
        memory_bytes: bound on what a population takes.
        cache: JSON file of earlier results; unreadable or unwritable, it is done without.
    """
    most = min(WIDEST, max(2, memory_bytes // bytes_per_member(runs[0], device)))
    text = f"{device_name(device)} {population_key(runs[0])} {min(len(runs), WIDEST).bit_length()} {most.bit_length()}"
    text = re.sub(r" at 0x[0-9a-f]+", "", text)  # addresses differ from process to process
    key = hashlib.sha256(text.encode()).hexdigest()[:32]
    known = _read(cache)
    if key not in known:
        known[key] = _measured(runs, device, most)
        _write(cache, known)
    return replace(known[key], width=min(known[key].width, most))  # the bound may be tighter than when it was measured


def _measured(runs: list[Run], device: torch.device, most: int) -> Cost:
    prepare_process()
    with threads_restored():
        torch.set_num_threads(1)
        best = width = min(NARROWEST, most)
        step, tries = steps_of(runs[:width], device), PATIENCE
        (taken_s,) = in_turns([step], device)
        while tries and taken_s < LONG_STEP_S and width < len(runs) and 2 * width <= most:
            width *= 2
            wider = steps_of(runs[:width], device)
            taken_s, wider_s = in_turns([partial(_repeat, step, width // best), wider], device)
            tries -= 1
            if wider_s < WORTHWHILE * taken_s:
                best, step, taken_s, tries = width, wider, wider_s, PATIENCE
    return Cost(best, taken_s / width)


def in_turns(contenders: list[Callable[[], object]], device: torch.device, budget_s: float = 0.3) -> list[float]:
    """Median seconds of each contender, called one after another in turns, so that a slow moment meets all alike."""
    for work in contenders:
        work()
    times: list[list[float]] = []
    while len(times) < 3 or sum(map(sum, times)) < budget_s:
        times.append([seconds(work, device) for work in contenders])
    return [statistics.median(own) for own in zip(*times, strict=True)]


def _repeat(work: Callable[[], object], times: int) -> None:
    for _ in range(times):
        work()


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """How long one call takes, the device's queue included."""
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def bytes_per_member(run: Run, device: torch.device) -> int:
    """Memory of one member: parameters with gradient, copies and state, histories, and what the forward pass keeps, twice."""
    kept: dict[int, int] = {}

    def record(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    step = steps_of([run, run], device, capture=False)
    with torch.autograd.graph.saved_tensors_hooks(record, lambda tensor: tensor):
        step()
    module = build(run.setup, examples([run])[0], run.seed)
    parameters = sum(p.numel() * p.element_size() for p in module.parameters())
    remembered = run.setup.clipping.initial_state(torch.zeros(1, 1), run.setup.steps)
    history = run.setup.steps * HISTORY_BYTES + sum(tensor.numel() * tensor.element_size() for tensor in remembered)
    return sum(kept.values()) + parameters * (4 + len(run.setup.optimizer.state_names)) + history


def steps_of(runs: list[Run], device: torch.device, *, capture: bool = True) -> Callable[[], object]:
    """A population of these runs, ready to train; each call takes one step, always with the same batch.

    Args:
        runs: the members.
        device: where they train.
        capture: as for `train`; the graph of a CUDA device is made before the first call.
    """
    runs = sorted(runs, key=lambda run: run.seed)
    data = examples(runs)
    population = Population(runs, data, device=device, dtype=torch.float32)
    feed = Feed(runs, data, device=device, dtype=torch.float32)
    stepper, batch = Stepper(runs, population), feed.indices(1)[0]
    population.prepare(feed.gather(batch)[0][0])

    def step(batch: Tensor) -> tuple[Tensor, ...]:
        return stepper.step(*feed.gather(batch))

    if capture and device.type == "cuda":
        step = Captured(step, population)
        for _ in range(WARM_UP + 1):
            step(batch)
    return partial(step, batch)


def parse_memory(text: str | None, device: torch.device) -> int:
    """Bytes of `--memory`, such as 4G or 500M; without it a share of what is free.

    Raises:
        InvalidStudy: it is no size.
    """
    if text is None:
        return int(SHARE_OF_FREE_MEMORY * free_memory(device))
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,9})?)\s*([KMGT]?)i?B?", text.strip(), re.IGNORECASE)
    if not found or float(found.group(1)) == 0:
        raise InvalidStudy([Problem("--memory", "needs a size such as 4G or 500M", text)])
    return int(float(found.group(1)) * 1024 ** " KMGT".index(found.group(2).upper() or " "))


def cache_file() -> Path:
    """Where widths are kept for this user."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ablation-harness" / "widths.json"


def _read(cache: Path) -> dict[str, Cost]:
    try:
        known = {key: Cost(**cost) for key, cost in json.loads(cache.read_text()).items()}
        return {key: cost for key, cost in known.items() if 1 < cost.width <= WIDEST and cost.step_s > 0}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _write(cache: Path, known: dict[str, Cost]) -> None:
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        part = cache.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps({key: asdict(cost) for key, cost in known.items()}, indent=1))
        part.replace(cache)
    except OSError:
        pass  # measured again next time
