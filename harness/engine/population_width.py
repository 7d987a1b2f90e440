"""How many members a study's populations have, or whether its runs rather train one by one.

Wider populations share the cost of launching operations; too wide ones fall out of the caches. A few steps at doubling
widths find the turn, and show whether it is worth more than as many plain loops, one on each core.
"""

import torch
from torch import Tensor

from harness.engine.allocator import prepare_process
from harness.engine.clip import initial_state
from harness.engine.obstacles import measured_costs
from harness.engine.planning import NARROWEST
from harness.engine.runs import Run, build
from harness.engine.timing import in_turns, steps_of
from harness.engine.way import WIDEST
from harness.settings.machine import one_thread

WORTHWHILE = 0.95
"""A wider population must cost less than this share of the time per member; otherwise the narrower one is chosen."""

PATIENCE = 2
"""Widths in a row that may bring nothing before the search ends."""

LONG_STEP_S = 0.1
"""A step that takes this long is all arithmetic: launching its operations costs next to nothing, at any width."""

HISTORY_BYTES = 24
"""What is recorded of a step of one member, until its tables are made."""


@measured_costs()
def best_width(runs: list[Run], device: torch.device, most: int) -> tuple[int, float]:
    """Members of a population, 1 for the plain loop, and what a step of it takes, in seconds per member on one thread.

    Args:
        runs: that could share a population, as many as there may be.
        device: where they train.
        most: members that memory bears.
    """
    prepare_process()
    with one_thread():
        plain = steps_of(runs[:1], device)
        best = width = min(NARROWEST, most, len(runs))
        step, tries = steps_of(runs[:width], device), PATIENCE
        plain_s, taken_s = in_turns([plain, step], device)
        while tries and taken_s < LONG_STEP_S and width < min(len(runs), most):
            width = min(2 * width, len(runs), most)
            wider = steps_of(runs[:width], device)
            taken_s, wider_s = in_turns([step, wider], device)
            tries -= 1
            if wider_s / width < WORTHWHILE * taken_s / best:
                best, step, taken_s, tries = width, wider, wider_s, PATIENCE
    return (1, plain_s) if plain_s <= taken_s / best else (best, taken_s / best)


@measured_costs()
def plain_step_s(run: Run, device: torch.device) -> float:
    """What a step of the plain loop takes, in seconds on one thread."""
    prepare_process()
    with one_thread():
        return in_turns([steps_of([run], device)], device)[0]


def most_members(member_bytes: int, memory_bytes: int) -> int:
    """How many members of a population memory bears; two at least."""
    return min(WIDEST, max(2, memory_bytes // member_bytes))


@measured_costs()
def bytes_per_member(run: Run, device: torch.device, *, alone: bool = False) -> int:
    """Memory of one member: parameters with gradient, copies and state, histories, and what the forward pass saves, twice.

    Of the copies one is of the best weights, and one is kept while the present ones are measured.

    Args:
        run: that is one of them.
        device: where it trains.
        alone: whether it trains by the plain loop.
    """
    saved: dict[int, int] = {}

    def record(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    step = steps_of([run] if alone else [run, run], device, capture=False)
    with torch.autograd.graph.saved_tensors_hooks(record, lambda tensor: tensor):
        step()
    module = build(run.setup, run.data(), run.init_seed)
    parameters = sum(p.numel() * p.element_size() for p in module.parameters())
    remembered = initial_state(run.setup.clipping, torch.zeros(1, 1), run.setup.steps)
    history = run.setup.steps * HISTORY_BYTES + sum(tensor.numel() * tensor.element_size() for tensor in remembered)
    copies = 6 + len(run.setup.optimizer.state_names) + (run.setup.accumulate > 1)
    return sum(saved.values()) * (1 + alone) + parameters * copies + history
