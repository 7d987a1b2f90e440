"""The training loop: one population from its initialisation to a table of runs and a table of curves.

A pure function of its arguments: no storage, no tracking, so that any process can call it and any other can repeat it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from harness.engine.capture import Captured
from harness.engine.devices import tf32
from harness.engine.diagnostics.churn import PREDICTIONS
from harness.engine.diagnostics.diagnosis import Diagnosis
from harness.engine.evaluation import mean, scores
from harness.engine.feed import Feed
from harness.engine.history import History, LoggingSteps
from harness.engine.population import Population
from harness.engine.runs import Run, examples
from harness.engine.stability import Array, solving, stability
from harness.engine.step import Stepper
from harness.settings.machine import threads_restored

CURVE_VALUES = ("loss", "grad_norm", "clipped", "update_ratio", "validation_loss")
"""Values of a curve."""

CURVE_COLUMNS = ("trial", "seed", "step", *CURVE_VALUES)
"""Columns of the table of curves: three whole numbers, then the values."""

TRAIN_SAMPLE = 256
"""Training examples on which the training loss of a tune run is measured."""


def train(
    runs: list[Run],
    *,
    evaluations: int,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    capture: bool = True,
    progress: Callable[[int, int], None] = lambda steps, diverged: None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train a population and measure it.

    On a CPU there are never more threads than members: which thread sums what would then decide the last bit.

    Args:
        runs: the members; all with the same `planning.population_key` key.
        evaluations: how often the validation loss is measured.
        device: where to train.
        dtype: of parameters and activations.
        capture: let a CUDA device repeat the step as a graph; changes no number.
        progress: called after each evaluation with the steps done since the last call, summed over members, and
            the number of members that diverged since.

    Returns:
        The runs (trial, seed, status, steps_done and every metric; one row per run) and their curves (trial,
        seed, step, loss, grad_norm, clipped, update_ratio, validation_loss; one row per run and logged step), ordered by trial and seed.
    """
    with threads_restored(), tf32(runs[0].setup.tf32):
        tables = _train(runs, evaluations, device, dtype, capture, progress)
    return tuple(table.sort_values(["trial", "seed"], kind="stable", ignore_index=True) for table in tables)  # type: ignore


def _train(
    runs: list[Run],
    evaluations: int,
    device: torch.device,
    dtype: torch.dtype,
    capture: bool,
    progress: Callable[[int, int], None],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    runs = sorted(runs, key=lambda run: run.seed)
    setup = runs[0].setup
    when = LoggingSteps(setup.steps, evaluations)
    data = examples(runs)
    population = Population(runs, data, device=device, dtype=dtype)
    feed = Feed(runs, data, device=device, dtype=dtype)
    stepper = Stepper(runs, population)
    history = History(setup.steps, len(runs), device, dtype)
    diagnosis = Diagnosis(population, feed)

    def one_step(batch: Tensor) -> tuple[Tensor, ...]:
        return stepper.step(*feed.gather(batch))

    take_step = Captured(one_step, population) if capture and device.type == "cuda" else one_step
    logged, done = set(when.logged()), 0
    torch.set_num_threads(min(torch.get_num_threads(), len(population)))
    for stop in when.evaluated():
        batches = feed.indices(stop - done)
        if done == 0:
            population.prepare(feed.gather(batches[0])[0][0])
        for step, batch in enumerate(batches, start=done + 1):
            before = population.parameters.clone() if step in logged else None
            history.write(step, *take_step(batch))
            if before is not None:
                history.write_update(step, before, population.parameters)
        validation = mean(*scores(population, feed, "validation"))
        history.evaluate(stop, validation)
        diagnosis.evaluate(stop, validation[0])
        kept = history.surviving(stop, population.parameters)
        progress(len(population) * (stop - done), len(population) - len(kept))
        done = stop
        if len(kept) < len(population):
            for part in (population, feed, stepper, history, diagnosis):
                part.keep(kept)
            if isinstance(take_step, Captured):
                take_step.begin_anew()
        if not len(kept):
            break
        torch.set_num_threads(min(torch.get_num_threads(), len(population)))
    final = measure(population, feed) | diagnosis.final() if len(population) else {}
    return run_table(runs, history, final), curve_table(runs, history, when.logged())


def measure(population: Population, feed: Feed) -> dict[str, Array]:
    """Metrics of the trained weights, (member,) each. Test data is touched here, once, for runs of the confirm phase."""
    if not population.runs[0].confirm:
        train_loss, train_error = mean(*scores(population, feed, "train", TRAIN_SAMPLE))
        return {"train_loss": train_loss, "train_error": train_error}
    test, test_counts = scores(population, feed, "test")
    train, train_counts = scores(population, feed, "train", int(test_counts.max()))
    same = np.minimum(test_counts, train_counts)
    (train_loss, train_error), (test_loss, test_error) = mean(train, train_counts), mean(test, test_counts)
    gap = mean(test, same)[0] - mean(train, same)[0]
    found = {
        "train_loss": train_loss,
        "train_error": train_error,
        "test_loss": test_loss,
        "test_error": test_error,
        "gap": gap,
    }
    x, _ = feed.gather(feed.indices(1)[0])
    return found | {f"{mode}_noise": _dropout_noise(population, x, train=mode == "train") for mode in ("train", "eval")}


@torch.no_grad()
def _dropout_noise(population: Population, x: Tensor, *, train: bool) -> Array:
    """Largest change of an output between two draws of dropout, (member,)."""
    outputs = []
    for _ in range(2):
        population.draw_dropout()
        outputs.append(population.outputs(x, train=train))
    return (outputs[0] - outputs[1]).abs().flatten(1).amax(1).double().cpu().numpy()


def run_table(runs: list[Run], history: History, final: dict[str, Any]) -> pd.DataFrame:
    """One row per run: trial, seed, status, steps_done and every metric of the study's level, in the order of `metrics.METRICS`.

    Where runs are compared across seeds, also their `PREDICTIONS`, which the leader takes out.
    """
    diverged = history.diverged_at > 0
    steps, measured = len(history.validation), runs[0].setup.metrics.metrics()
    columns = stability(history.arrays()) | {"diverged": diverged.astype(float)}
    target = np.array([run.setup.task.target_error for run in runs])
    columns |= solving(history.validation[:, 1], target, diverged)
    final = final | dict(
        zip(
            ("validation_loss", "validation_error"), history.validation[-1][:, history.alive.cpu().numpy()], strict=True
        )
    )
    for name, metric in measured.items():
        if name not in columns:
            columns[name] = np.full(len(runs), np.nan)
            if name in final:
                columns[name][history.alive.cpu().numpy()] = final[name]
            if metric.group == "generalization" and (metric.tunable or runs[0].confirm):
                columns[name][diverged] = np.inf
    identity = {
        "trial": [run.trial for run in runs],
        "seed": [run.seed for run in runs],
        "status": np.where(diverged, "diverged", "finished"),
        "steps_done": np.where(diverged, history.diverged_at, steps),
    }
    table = pd.DataFrame(identity | {name: columns[name] for name in measured})
    if PREDICTIONS in final:
        table.loc[history.alive.tolist(), PREDICTIONS] = pd.Series(
            final[PREDICTIONS], history.alive.tolist(), dtype=object
        )
    return table


def curve_table(runs: list[Run], history: History, logged: list[int]) -> pd.DataFrame:
    """One row per run and logged step."""
    rows = np.array(logged) - 1
    arrays = history.arrays()
    columns = {name: arrays[name][rows].T.ravel() for name in CURVE_VALUES}
    identity = {
        "trial": np.repeat([run.trial for run in runs], len(rows)),
        "seed": np.repeat([run.seed for run in runs], len(rows)),
        "step": np.tile(logged, len(runs)),
    }
    return pd.DataFrame(identity | columns)
