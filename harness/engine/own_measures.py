"""A user's own metrics, see `settings.measures`: measured once, when training is over, each member's by itself."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from harness.engine.diagnostics import Diagnostics
from harness.engine.evaluation import in_batches, total
from harness.engine.feed import Feed
from harness.engine.final_metrics import TRAIN_SAMPLE
from harness.engine.members import Members
from harness.engine.runs import Run
from harness.engine.stability import Array
from harness.settings.measures import Measure
from harness.settings.randomness import global_generators, stream_seed

RUN = ["trial", "seed"]
IN_PLACE = 1e-9, 1e9
"""Numbers in place of those that are not finite: smaller and larger than any that a run trains with."""


@torch.no_grad()
def output_measures(population: Members, feed: Feed) -> dict[str, Array]:
    """`train_NAME`, `validation_NAME` and, of runs of the confirm phase, `test_NAME`, (member,) each, NaN where missing."""
    run = population.runs[0]
    measures = [measure for measure in run.setup.metrics.measures if not measure.of_curves]
    if not measures:
        return {}
    as_many = feed.split("test")[1].tolist() if run.confirm else TRAIN_SAMPLE
    splits = {"train": as_many, "validation": None} | ({"test": None} if run.confirm else {})
    found: dict[str, Array] = {}
    for split, at_most in splits.items():
        indices, counts = feed.split(split, at_most)
        parts = in_batches(population, indices)
        values = [_of_batch(population, *feed.gather(part), measures, f"{split} {i}") for i, part in enumerate(parts)]
        numbers, answered = np.concatenate(values, 3)
        means = mean_of_present(numbers, answered, counts.cpu().numpy())
        found |= {f"{split}_{measure.name}": own for measure, own in zip(measures, means, strict=True)}
    return found


def mean_of_present(values: Array, answered: Array, counts: Array) -> Array:
    """Mean over those of the first `counts` examples that have a value, (…, member) from (…, member, example); NaN where none has.

    Where all have one, to the bit `mean`.

    Args:
        values: NaN where there is none.
        answered: whether the net gave finite outputs, the same shape; where it did not, NaN is not a missing value.
        counts: (member,).
    """
    there = ~(np.isnan(values) & (answered == 1))
    number = total(there, counts)
    return total(np.where(there, values, 0.0), counts) / np.where(number == 0, np.nan, number)


def _of_batch(population: Members, x: Tensor, y: Tensor, measures: list[Measure], place: str) -> Array:
    """The numbers of the examples of a batch, and whether they were answered by finite outputs, (2, measure, member, batch).

    Args:
        population: the members.
        x: (member, batch, …).
        y: (member, batch, …).
        measures: of outputs.
        place: names the batch; what a function draws at random depends on it, on the function and on the seed alone.
    """
    outputs = population.outputs(x, train=False)
    rows = []
    for measure in measures:
        members = []
        for i, run in enumerate(population.runs):
            with global_generators(stream_seed(run.noise_seed, f"{measure.name} {place}"), population.device):
                members.append(measure.of_examples(_of_member(outputs, i), y[i].clone()).cpu().numpy())
        rows.append(members)
    values = np.array(rows)
    return np.stack([values, np.broadcast_to(_answered(outputs, x).cpu().numpy(), values.shape)])


def _answered(outputs: Any, x: Tensor) -> Tensor:
    """Of which examples all outputs are finite, (member, batch)."""
    found = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
    for each in tree_leaves(outputs):
        if isinstance(each, Tensor) and each.shape[:2] == x.shape[:2]:
            found &= each.isfinite().flatten(2).all(2) if each.dim() > 2 else each.isfinite()
    return found


def _of_member(outputs: Any, i: int) -> Any:
    """One member's outputs, as its module alone returns them; the user may change them."""
    return tree_map(lambda each: each[i].clone() if isinstance(each, Tensor) else each, outputs)


def with_curve_measures(
    runs: pd.DataFrame, curves: pd.DataFrame, metrics: Diagnostics, members: Iterable[Run]
) -> pd.DataFrame:
    """The table of runs with the user's metrics of curves; see `run_tables`.

    Each function is given the logged steps that a run has trained. A run that became non-finite keeps the value that it has, the
    worst, unless the function asks for nothing but what was finite.

    Args:
        runs: their table.
        curves: of them.
        metrics: the user's among them are measured.
        members: the runs, whose seeds of the noise what a function draws depends on.
    """
    measures = [measure for measure in metrics.measures if measure.of_curves]
    if not measures:
        return runs
    values = {measure.name: runs[measure.name].to_numpy(dtype=float, copy=True) for measure in measures}
    noise_seeds = {(run.trial, run.seed): run.noise_seed for run in members}
    of_run = dict(list(curves.drop(columns=RUN).groupby([curves[name] for name in RUN])))
    trained = runs[[*RUN, "steps_done", "nonfinite"]].itertuples(index=False)
    for place, (trial, seed, done, nonfinite) in enumerate(trained):
        if np.isnan(nonfinite):
            continue
        curve = of_run[trial, seed].reset_index(drop=True)
        for measure in measures:
            drawn = stream_seed(noise_seeds[trial, seed], measure.name)
            if nonfinite == 0:
                values[measure.name][place] = _of_curve(measure, curve[curve["step"] <= done], drawn)
            elif (value := _of_finite_part(measure, curve, int(done), drawn)) is not None:
                values[measure.name][place] = value
    return runs.assign(**values)


def _of_curve(measure: Measure, curve: pd.DataFrame, drawn: int) -> float:
    with global_generators(drawn):
        return measure.of_curve(curve.copy())


def _of_finite_part(measure: Measure, curve: pd.DataFrame, end: int, drawn: int) -> float | None:
    """What a function says of a run that became non-finite at step `end`; None where that depends on what was not finite.

    It is asked with small and with large numbers in place of these: an answer that does not change is of the others alone.
    """
    gone = (curve["step"] >= end).to_numpy()[:, None] & ~np.isfinite(curve.to_numpy(dtype=float))
    try:
        small, large = (_of_curve(measure, curve.mask(gone, number), drawn) for number in IN_PLACE)
    except Exception:  # such a curve is none that the function was written for
        return None
    return small if small == large else None
