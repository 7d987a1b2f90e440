"""How many members a population has: as many as make a step cheap, within what memory bears.

Wider populations share the cost of launching operations; too wide ones fall out of the caches. A few steps at doubling
widths find the turn. The result is cached for the device and shape, and the study keeps it with its plan, so that a
continued study trains the same populations again.
"""

import hashlib
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from harness.devices import describe, keep_memory
from harness.feed import Feed
from harness.population import Population, Run, companions, examples
from harness.settings import InvalidStudy, Problem
from harness.step import Stepper

NARROWEST, WIDEST = 16, 1024
WORTHWHILE = 0.95
"""A wider population must cost less than this share of the time per member; otherwise the narrower one is kept."""

PATIENCE = 2
"""Widths in a row that may bring nothing before the search ends."""

SHARE_OF_FREE_MEMORY = 0.5


def choose_width(runs: list[Run], device: torch.device, *, memory_bytes: int, cache: Path) -> int:
    """The width of populations of runs like these.

    Args:
        runs: members of one population, as many as there may be.
        device: where they train.
        memory_bytes: bound on what a population takes.
        cache: JSON file of earlier results; unreadable or unwritable, it is done without.
    """
    most = min(WIDEST, max(2, memory_bytes // bytes_per_member(runs[0], device)))
    text = f"{describe(device)} {companions(runs[0])} {min(len(runs), WIDEST).bit_length()}"
    key = hashlib.sha256(text.encode()).hexdigest()[:32]
    known = _read(cache)
    if key not in known:
        keep_memory()
        known[key] = _measured(runs, device, most)
        _write(cache, known)
    return min(known[key], most)


def _measured(runs: list[Run], device: torch.device, most: int) -> int:
    best = width = min(NARROWEST, most)
    least, tries = step_s(runs[:width], device) / min(width, len(runs)), PATIENCE
    while tries and width < len(runs) and 2 * width <= most:
        width *= 2
        cost = step_s(runs[:width], device) / min(width, len(runs))
        tries -= 1
        if cost < WORTHWHILE * least:
            best, least, tries = width, cost, PATIENCE
    return best


def step_s(runs: list[Run], device: torch.device, budget_s: float = 0.3) -> float:
    """Seconds of a training step of these runs: the least of several, since whatever disturbs a step makes it longer."""
    step = _steps(runs, device)
    step()
    times: list[float] = []
    while len(times) < 3 or sum(times) < budget_s:
        start = time.perf_counter()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times)


def bytes_per_member(run: Run, device: torch.device) -> int:
    """Memory of one member: parameters, their gradient, copies and state, and what the forward pass keeps, twice."""
    kept: dict[int, int] = {}

    def record(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    step = _steps([run, run], device)
    with torch.autograd.graph.saved_tensors_hooks(record, lambda tensor: tensor):
        step()
    parameters = sum(
        p.numel() * p.element_size()
        for p in run.setup.model.build(run.setup.task.sizes(examples([run])[0])).parameters()
    )
    return sum(kept.values()) + parameters * (4 + len(run.setup.optimizer.state_names))


def _steps(runs: list[Run], device: torch.device) -> Callable[[], None]:
    runs = sorted(runs, key=lambda run: run.seed)
    data = examples(runs)
    population = Population(runs, data, device=device, dtype=torch.float32)
    feed = Feed(runs, data, device=device, dtype=torch.float32)
    stepper, batch = Stepper(runs, population), feed.indices(1)[0]
    population.prepare(feed.gather(batch)[0][0])

    def step() -> None:
        stepper.step(*feed.gather(batch))

    return step


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    except OSError:
        found = None
    return int(found.group(1)) * 1024 if found else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def parse_memory(text: str | None, device: torch.device) -> int:
    """Bytes of `--memory`, such as 4G or 500M; without it a share of what is free.

    Raises:
        InvalidStudy: it is no size.
    """
    if text is None:
        return int(SHARE_OF_FREE_MEMORY * free_memory(device))
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?", text.strip(), re.IGNORECASE)
    if not found or float(found.group(1)) == 0:
        raise InvalidStudy([Problem("--memory", "needs a size such as 4G or 500M", text)])
    return int(float(found.group(1)) * 1024 ** " KMGT".index(found.group(2).upper() or " "))


def cache_file() -> Path:
    """Where widths are kept for this user."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ablation-harness" / "widths.json"


def _read(cache: Path) -> dict[str, int]:
    try:
        known = json.loads(cache.read_text())
        return {key: width for key, width in known.items() if isinstance(width, int) and 1 < width <= WIDEST}
    except (OSError, ValueError, AttributeError):
        return {}


def _write(cache: Path, known: dict[str, int]) -> None:
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        part = cache.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(known, indent=1))
        part.replace(cache)
    except OSError:
        pass  # measured again next time
