"""A verdict as the first screen has it: one plain sentence, how many seeds agree, and what each arm reached."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from harness.inference.intervals.interval import EVERYTHING
from harness.inference.intervals.robust import median
from harness.inference.ranks import ranked
from harness.inference.samples import BAD
from harness.inference.verdict import Verdict
from harness.reporting.page.words import (
    NO_SWEEPS,
    at_worst,
    ends,
    interval,
    level_in_words,
    levels_in_words,
    metric_of,
    number,
    told,
)
from harness.settings import Sweep
from harness.settings.levels import at, places, stored
from harness.settings.metrics import METRICS
from harness.settings.show import counted, level_text

OPPOSITE = {"lower": "higher", "higher": "lower"}

MOST_LEVELS = 5
"""Cells of which the arms' middles stand one by one."""


@dataclass(frozen=True)
class Answer:
    """What the first screen says of a claim.

    Attributes:
        verdict: on it.
        said: why it is so, the effect with its interval, and in how many seeds it is as claimed.
        rests_on: what each arm reached, the estimand, seeds, level and δ; "" where there is no estimate.
    """

    verdict: Verdict
    said: str
    rests_on: str


def answer(verdict: Verdict, runs: pd.DataFrame, sweeps: Mapping[str, Sweep]) -> Answer:
    """What the first screen says of a claim.

    Args:
        verdict: on it.
        runs: the study's.
        sweeps: its swept factors.
    """
    reason = first_sentence(verdict.sentence)
    if verdict.estimate is None or verdict.label == "exact":
        return Answer(verdict, reason, "")
    if verdict.kind != "Claim":
        return Answer(
            verdict,
            f"{reason} Δ = {interval(verdict)}{at_worst(verdict)}.",
            _rests_on(verdict),
        )
    parts = {
        "supported": [_effect(verdict, sweeps), _wins(verdict)],
        "refuted": [_effect(verdict, sweeps), REFUTED.get(verdict.label, f"Not {verdict.better} by more than δ."), _wins(verdict)],
        "inconclusive": [reason, _effect(verdict, sweeps), _wins(verdict)],
    }  # fmt: skip
    said = parts[verdict.verdict] if not reason.startswith(UNTESTED) else [reason]
    arms = _arms(verdict, runs, sweeps)
    rests_on = arms, _with_collapsed(verdict), _rests_on(verdict)
    return Answer(verdict, " ".join(filter(None, said)), " ".join(filter(None, rests_on)))


REFUTED = {"reversed": "The opposite of the claim.", "no relevant effect": "Less than δ either way."}
"""What the label of a refuted claim says."""

UNTESTED = "Not tested"
"""How the reason begins where the arms' runs cannot speak to a claim, so that their difference says nothing."""


def first_sentence(text: str) -> str:
    """The first sentence of a text.

    >>> first_sentence("The interval holds δ = 0.1. No further look is planned.")
    'The interval holds δ = 0.1.'
    """
    return re.split(r"(?<=[.?!])\s+(?=[A-ZΔ“])", " ".join(text.split()), maxsplit=1)[0]


def _effect(verdict: Verdict, sweeps: Mapping[str, Sweep]) -> str:
    """In which direction and by how much; a claim whose estimate is negative is told the other way round."""
    low, high = ends(verdict)
    estimate = verdict.estimate or 0.0
    word = verdict.better
    if estimate < 0:
        estimate, low, high, word = -estimate, -high, -low, OPPOSITE[verdict.better]
    what = metric_of(verdict)
    if verdict.estimand == "rate":
        what = f"The rate of {what} runs" if verdict.above is None else f"The rate of runs with {what}"
    how, than = (f"{word} by", "than") if estimate else ("the same:", "as")
    by = told(verdict, estimate, low, high)
    return f"{what} is {how} {by} with {against(verdict.treatment, verdict.baseline, than, sweeps)}{at_worst(verdict)}."


def _rests_on(verdict: Verdict) -> str:
    """By what estimate, over how many seeds, at which level, and δ."""
    estimand = "–".join(part.capitalize() for part in verdict.estimand.split("_"))
    delta = "" if verdict.smallest_effect is None else f", δ = {verdict.smallest_effect:g}"
    no = "no " * (ends(verdict) == EVERYTHING)
    level = "" if verdict.level is None else f", {no}{level_text(verdict.level).removesuffix('.0')} % interval"
    return f"{estimand} over {counted(verdict.n, 'seed')}{level}{delta}."


def against(
    treatment: Mapping[str, Any],
    baseline: Mapping[str, Any],
    than: str = "than",
    sweeps: Mapping[str, Sweep] = NO_SWEEPS,
) -> str:
    """Two arms, what they share said once.

    >>> against({"model.dropout": 0.5, "steps": 10}, {"model.dropout": 0.0, "steps": 10})
    'model.dropout = 0.5 than with 0, at steps = 10'
    """
    shared = {p: level for p, level in treatment.items() if p in baseline and stored(baseline[p]) == stored(level)}
    first, second = ({p: level for p, level in arm.items() if p not in shared} for arm in (treatment, baseline))
    one = len(first) == 1 and list(first) == list(second)
    other = level_in_words(*next(iter(second.items())), sweeps) if one else levels_in_words(second, sweeps)
    return f"{levels_in_words(first, sweeps)} {than} with {other}" + (
        f", at {levels_in_words(shared, sweeps)}" if shared else ""
    )


def _wins(verdict: Verdict) -> str:
    """In how many seeds the arms differ as claimed, of those that the estimate is of."""
    if verdict.estimand == "rate" or not verdict.per_seed:
        return ""
    differences = np.array([value for seed, value in verdict.per_seed.items() if seed not in verdict.left_out])
    unlike, lost = len(set(verdict.incomparable) - set(verdict.left_out)), len(verdict.left_out)
    ties = int((differences == 0).sum()) - unlike
    tied = (f", {ties} tied" if ties else "") + (f", {unlike} incomparable" if unlike else "")
    without = f", {lost} left out in which a run diverged or collapsed" if lost else ""
    return f"{verdict.better.capitalize()} in {int((differences > 0).sum())} of {counted(len(differences), 'seed')}{tied}{without}."


def _arms(verdict: Verdict, runs: pd.DataFrame, sweeps: Mapping[str, Sweep]) -> str:
    """What the runs of each arm reached, in each cell of what is averaged over, or in all where these are many."""
    others = {path: sweep for path, sweep in sweeps.items() if path not in {*verdict.treatment, *verdict.baseline}}
    arms = _compared(verdict, runs, others)
    if any(arm.empty for arm in arms):
        return ""
    where: list[Mapping[str, Any]] = [{}]
    if len(others) == 1 and len(next(iter(others.values())).levels) <= MOST_LEVELS:
        ((path, sweep),) = others.items()
        where = [{path: level} for level in sweep.levels]
    inside = [[arm[at(arm, levels)] for levels in where] for arm in arms]
    first, second = ("/".join(_middle(verdict, cell) for cell in cells) for cells in inside)
    said = {"rate": "Runs: ", "mean": "Means of runs that trained: "}.get(verdict.estimand, "Medians: ")
    of = [f" of {_sizes(cells)}" if verdict.estimand == "rate" else "" for cells in inside]
    return f"{said}{first}{of[0]} against {second}{of[1]}{_at(where, others)}."


def _compared(verdict: Verdict, runs: pd.DataFrame, others: Mapping[str, Sweep]) -> list[pd.DataFrame]:
    """The runs of each arm that the estimate is of: of its seeds, in the cells that both arms have run in."""
    confirm = runs[(runs["phase"] == "confirm") & (runs["status"] != "failed")]
    seeds = verdict.per_seed or {seed for cell in verdict.cells for seed in cell.per_seed}
    confirm = confirm[confirm["seed"].isin(seeds)]
    cells = pd.Series(places(confirm, {path: sweep.levels for path, sweep in others.items()}), index=confirm.index)
    inside = [at(confirm, levels) for levels in (verdict.treatment, verdict.baseline)]
    both = cells.isin(cells[inside[0]]) & cells.isin(cells[inside[1]])
    return [confirm[own & both] for own in inside]


def _sizes(cells: Sequence[pd.DataFrame]) -> str:
    """How many runs each cell has, said once where all have as many."""
    sizes = [str(len(cell)) for cell in cells]
    return sizes[0] if len(set(sizes)) == 1 else "/".join(sizes)


def _with_collapsed(verdict: Verdict) -> str:
    """What a rate of runs that diverged leaves out: fewer diverge, too, where more stay finite and learn nothing."""
    if verdict.metric not in ("diverged", "nonfinite") or verdict.above is not None or verdict.catastrophes is None:
        return ""
    counts = (f"{count} of {n}" for count, n in verdict.catastrophes.arms.values())
    return f"Diverged or no better than guessing: {' against '.join(counts)}."


def _at(where: Sequence[Mapping[str, Any]], sweeps: Mapping[str, Sweep]) -> str:
    if len(where) == 1:
        return f" at {levels_in_words(where[0], sweeps)}" if where[0] else ""
    (path,) = where[0]
    return f" at {path} = {'/'.join(level_in_words(path, levels[path], sweeps) for levels in where)}"


def _middle(verdict: Verdict, arm: pd.DataFrame) -> str:
    """Of the runs of an arm: what its estimand takes of each, or how many are counted."""
    better = METRICS[verdict.metric].better or verdict.better
    values = ranked(verdict.metric, better, arm, above=verdict.above).dropna()  # type: ignore[arg-type]  # a direction
    if verdict.estimand == "rate":
        return str(int(values.sum()))
    if verdict.estimand == "mean":
        values = values[~arm.loc[values.index, "status"].isin(BAD)]
        return number(float(values.mean()) if len(values) else math.nan)
    return number(median(values))
