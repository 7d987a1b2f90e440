"""How many members a study's populations have.

Wider populations share the cost of launching operations; too wide ones fall out of the caches. A few steps at doubling
widths find the turn. On a CPU a process with one thread for each core wastes nothing on threads that wait for one
another, but takes seconds to start. What was measured is cached for the device and shape; the study keeps the width with
its plan, so that a continued study trains the same populations again.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from harness.engine import width_cache
from harness.engine.allocator import prepare_process
from harness.engine.cost import WIDEST, Cost
from harness.engine.devices import device_name
from harness.engine.planning import NARROWEST, population_key
from harness.engine.runs import Run, build, examples
from harness.engine.timing import in_turns, steps_of
from harness.settings.machine import threads_restored

WORTHWHILE = 0.95
"""A wider population must cost less than this share of the time per member; otherwise the narrower one is chosen."""

PATIENCE = 2
"""Widths in a row that may bring nothing before the search ends."""

LONG_STEP_S = 0.1
"""A step that takes this long is all arithmetic: launching its operations costs next to nothing, at any width."""

HISTORY_BYTES = 64
"""What is recorded of a step of one member, until its tables are made."""


def measure_cost(runs: list[Run], device: torch.device, *, memory_bytes: int, cache: Path | None) -> Cost:
    """The best width of populations of runs like these, and what a step of it cost.

    Args:
        runs: members of one population, as many as there may be.
        device: where they train.
        memory_bytes: bound on what a population takes.
        cache: JSON file of earlier results, see `width_cache`; unreadable or unwritable, it is done without. With None nothing
            is read or written.
    """
    most = min(WIDEST, max(2, memory_bytes // bytes_per_member(runs[0], device)))
    key = _key(runs, device, most)
    known = {} if cache is None else width_cache.read(cache)
    if key not in known:
        known[key] = _measured(runs, device, most)
        if cache is not None:
            width_cache.write(cache, known)
    return replace(known[key], width=min(known[key].width, most))  # the bound may be tighter than when it was measured


def _key(runs: list[Run], device: torch.device, most: int) -> str:
    """What the best width depends on, as a digest."""
    text = f"{device_name(device)} {population_key(runs[0])} {min(len(runs), WIDEST).bit_length()} {most.bit_length()}"
    text = re.sub(r" at 0x[0-9a-f]+", "", text)  # addresses differ from process to process
    return hashlib.sha256(text.encode()).hexdigest()[:32]


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


def _repeat(work: Callable[[], object], times: int) -> None:
    for _ in range(times):
        work()


def bytes_per_member(run: Run, device: torch.device) -> int:
    """Memory of one member: parameters with gradient, copies and state, histories, and what the forward pass saves, twice."""
    saved: dict[int, int] = {}

    def record(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    step = steps_of([run, run], device, capture=False)
    with torch.autograd.graph.saved_tensors_hooks(record, lambda tensor: tensor):
        step()
    module = build(run.setup, examples([run])[0], run.seed)
    parameters = sum(p.numel() * p.element_size() for p in module.parameters())
    remembered = run.setup.clipping.initial_state(torch.zeros(1, 1), run.setup.steps)
    history = run.setup.steps * HISTORY_BYTES + sum(tensor.numel() * tensor.element_size() for tensor in remembered)
    return sum(saved.values()) + parameters * (4 + len(run.setup.optimizer.state_names)) + history
