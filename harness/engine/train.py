"""The training loop: one population from its initialisation to a table of runs and a table of curves.

A pure function of its arguments: no storage, no tracking, so that any process can call it and any other can repeat it.
"""

import time
from collections.abc import Callable
from functools import partial

import pandas as pd
import torch

from harness.engine.devices import tf32
from harness.engine.history import LoggingSteps
from harness.engine.keeping import Keeper
from harness.engine.obstacles import measured_costs
from harness.engine.own_measures import with_curve_measures
from harness.engine.plain_member import Unfrozen
from harness.engine.run_tables import curve_table, run_table
from harness.engine.runs import Run
from harness.engine.training import Training
from harness.settings.machine import one_thread
from harness.settings.randomness import global_generators, stream_seed

TELL_EVERY_S = 1.0


class Telling:
    """Tells of steps between two evaluations, which may be minutes apart.

    Args:
        progress: is told, see `train`.
        told: the step up to which it knows.
    """

    def __init__(self, progress: Callable[[int, int], None], told: int) -> None:
        self._progress = progress
        self.at(told)

    def at(self, step: int) -> None:
        """All is told up to a step."""
        self.told, self._due_s = step, time.monotonic() + TELL_EVERY_S

    def after(self, step: int, members: int) -> None:
        """A step of so many members is done: told if it is time."""
        if time.monotonic() >= self._due_s:
            self._progress(members * (step - self.told), 0)
            self.at(step)


def train(
    runs: list[Run],
    *,
    evaluations: int,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    capture: bool = True,
    progress: Callable[[int, int], None] = lambda steps, nonfinite: None,
    keeper: Keeper | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train a population and measure it; one run alone is trained by the plain loop.

    On one thread of the CPU: by which of several a sum is taken would decide its last bit.

    Args:
        runs: the members; all with the same `planning.population_key` key.
        evaluations: how often the validation loss is measured.
        device: where to train.
        dtype: of parameters and activations.
        capture: let a CUDA device repeat the step as a graph; changes no number.
        progress: called after each evaluation, and once a second in between, with the steps done since the last call, summed over members, and
            the number of members whose loss or weights became non-finite since.
        keeper: writes checkpoints, goes on from one, and keeps weights; None for none of it. Changes no number.

    Returns:
        The runs (trial, seed, status, steps_done and every metric; one row per run) and their curves (trial,
        seed, step, loss, grad_norm, clipped, update_ratio, validation_loss; one row per run and logged step), ordered by trial and seed.
    """
    told = 0

    def counted(steps: int, nonfinite: int) -> None:
        nonlocal told
        told += steps
        progress(steps, nonfinite)

    keeper = Keeper() if keeper is None else keeper
    begin = partial(Training, device=device, dtype=dtype, capture=capture, weights=keeper.keeping.weights)
    try:
        return _train(runs, evaluations, device, begin, counted, keeper)
    except Unfrozen:  # few modules do that: others need no memory for what does not train
        progress(-told, 0)
        return _train(runs, evaluations, device, partial(begin, frozen=True), progress, keeper)


def _train(
    runs: list[Run], evaluations: int, device: torch.device, begin: Callable[..., Training],
    progress: Callable[[int, int], None], keeper: Keeper,
) -> tuple[pd.DataFrame, pd.DataFrame]:  # fmt: skip
    """See `train`; `begin` makes the training of runs, given these and which of their steps are logged."""
    runs = sorted(runs, key=lambda run: run.seed)
    when = LoggingSteps(runs[0].setup.steps, evaluations)
    own = global_generators(stream_seed(runs[0].noise_seed, "module"), device)  # for what a module draws itself
    with one_thread(), tf32(runs[0].setup.tf32), own, measured_costs():
        training, done = keeper.resumed(runs, evaluations, partial(begin, runs, when))
        population = training.population
        if done:
            progress(training.history.trained(done), len(runs) - len(training.history.finite()))
        tell = Telling(progress, done)
        for stop in when.evaluated():
            if stop <= done or not len(population):
                continue
            for step, batch in enumerate(training.draw_batches(stop - done), start=done + 1):
                if step == stop:
                    training.look(stop, batch, done=step - 1)
                before = training.parameters_before(step)
                record = training.step(batch)  # forward, backward, clip, update: `Stepper.step`
                training.log(step, record, before)
                tell.after(step, len(population))
            survivors, go_on = training.evaluate(stop)
            progress(len(population) * (stop - tell.told), len(population) - len(survivors))
            tell.at(stop)
            training.compact(stop, go_on)
            done = stop
            keeper.evaluated(training, stop)
        final = training.final_metrics()
        keeper.notes += training.notes()
        keeper.finished(training)
    curves = curve_table(runs, training.history)
    table = run_table(runs, training, final)
    return with_curve_measures(table, curves, runs[0].setup.metrics, runs), curves
