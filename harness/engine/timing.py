"""How long training steps take: populations that repeat one step, and a fair clock for several of them."""

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from harness.engine.capture import WARM_UP, Captured
from harness.engine.feed import Feed
from harness.engine.runs import Run, examples
from harness.engine.step import Stepper
from harness.engine.training import members

PRECISE = sys.platform != "win32"
"""Whether the time that a thread computes is counted finer than a step takes."""


def steps_of(runs: list[Run], device: torch.device, *, capture: bool = True) -> Callable[[], object]:
    """A population of these runs, ready to train; each call takes one step, always with the same batch.

    Args:
        runs: the members.
        device: where they train.
        capture: as for `train`; the graph of a CUDA device is made before the first call.
    """
    runs = sorted(runs, key=lambda run: run.seed)
    data = examples(runs)
    population = members(runs, data, device=device, dtype=torch.float32)
    feed = Feed(runs, data, device=device, dtype=torch.float32)
    stepper, batch = Stepper(runs, population), feed.indices(1)[0]
    population.learn(feed.gather(batch[:, : runs[0].setup.batch_size])[0][0])

    def step(batch: Tensor) -> tuple[Tensor, ...]:
        return stepper.step(*feed.gather(batch))

    if capture and device.type == "cuda" and population.repeats:
        step = Captured(step, population)
        for _ in range(WARM_UP + 1):
            step(batch)
    return partial(step, batch)


def in_turns(contenders: list[Callable[[], object]], device: torch.device, budget_s: float = 0.3) -> list[float]:
    """Median seconds of each contender, called one after another in turns, so that a slow moment meets all alike.

    On a CPU they are those that this thread computes, whatever other programs leave of the core: what is wider on an idle
    machine is chosen on a busy one, too.
    """
    clock = time.thread_time if device.type == "cpu" and PRECISE else time.perf_counter
    for work in contenders:
        work()
    times: list[list[float]] = []
    end = time.perf_counter() + 3 * budget_s
    while len(times) < 3 or (sum(map(sum, times)) < budget_s and time.perf_counter() < end):
        times.append([seconds(work, device, clock) for work in contenders])
    return [statistics.median(taken) for taken in zip(*times, strict=True)]


def seconds(work: Callable[[], object], device: torch.device, clock: Callable[[], float] = time.perf_counter) -> float:
    """How long one call takes by a clock, the device's queue included."""
    start = clock()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - start
