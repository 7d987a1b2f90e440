"""What to use: the combination of levels that validation prefers, those that cannot be told from it, or why there is no advice.

No test data decide: a combination is chosen by the least median over seeds of the study's validation objective, a run that diverged
counting as the worst, and its test metrics are those of a choice that they had no part in. *Within noise of it* are the others that it
does not beat in significantly many seeds: one-sided sign tests at 5 % over their number (Bonferroni). A combination that is truly best
in the median is so left out with a probability of at most 5 %, whichever was chosen (Hsu 1984, Ann. Stat. 12:1136–1144, there by ranks).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import pandas as pd
import scipy  # type: ignore[import-untyped]

from harness.inference.description import described
from harness.inference.intervals.median import median_bounds
from harness.inference.intervals.rates import clopper_pearson_bounds
from harness.inference.intervals.robust import median
from harness.inference.range_ends import best_values, end_reached, ends_of
from harness.inference.samples import BAD
from harness.inference.selection import cells, rivals
from harness.inference.verdict import Verdict
from harness.reporting.page.words import bracketed, levels_in_words, number
from harness.settings import Sweep
from harness.settings.levels import in_words, is_number, label, stored
from harness.settings.metrics import not_comparable
from harness.settings.show import counted, given
from harness.study import Study

ALPHA = 0.05
CONDITIONS = ("task", "steps", "epochs", "differ")
"""Settings that are given rather than chosen: another task, more data, longer training or what seeds differ in is no advice."""

MOST_PLACES = 4
MOST_NAMED = 3
NEAR_GUESSING = 0.98
"""Share of the loss of guessing from which on a validation loss is said to be hardly better."""


@dataclass(frozen=True)
class Choice:
    """What validation prefers at one set of conditions.

    Attributes:
        where: the conditions, "" where there are none.
        levels: the swept factors that are chosen, and what was tuned, in words.
        reached: its numbers, by no data that it was chosen by.
        within_noise: the combinations that cannot be told from it.
        caveats: what a reader must know of it, a sentence each.
        none: why nothing is advised at these conditions, a sentence; "" where something is.
    """

    where: str
    levels: str = ""
    reached: str = ""
    within_noise: str = ""
    caveats: Sequence[str] = ()
    none: str = ""


@dataclass(frozen=True)
class Advice:
    """What to use, or why the result carries no advice.

    Attributes:
        none: why there is none, a sentence; "" where there is.
        choices: what validation prefers, of each set of conditions; named also where there is no advice but runs to name.
        more: how many further ones there are.
        before: what stands before the choices where there is no advice.
        of: what further ones are, in words.
    """

    none: str
    choices: Sequence[Choice] = field(default_factory=list)
    more: int = 0
    before: str = "Validation prefers:"
    of: str = "conditions"


@dataclass(frozen=True)
class _Cell:
    levels: Mapping[str, Any]
    runs: pd.DataFrame
    values: "pd.Series[float]"

    @property
    def median(self) -> float:
        """Of the objective, over seeds, infinite where half of the runs or more diverged."""
        return median(self.values)


def advice(study: Study, runs: pd.DataFrame, verdicts: Sequence[Verdict], *, incomplete: bool) -> Advice:
    """What a study's runs advise.

    Args:
        study: of the runs.
        runs: one row per run, phases set by `selection.selected`.
        verdicts: on its claims.
        incomplete: whether runs are missing.
    """
    objectives, factors = study.objectives(), [*study.sweeps(), *study.tunes()]
    if all(map(_is_given, factors)):
        return Advice("nothing was varied that one could choose.")
    if len(objectives) > 1:
        return _front(study, runs, objectives)
    (objective,) = objectives
    if said := not_comparable(objective, study.sweeps()):
        return Advice(f"{objective}, by which combinations are chosen, is {said}.")
    found = _by_condition(study, runs, objective)
    if not found:
        return Advice("no run of the confirm phase has ended.")
    reasons = [_reason(objective, of_one) for of_one in found.values()]
    if incomplete:
        return Advice("runs of the study are missing.")
    if all(reasons):
        return Advice(reasons[0])
    choices = [
        Choice(where, none=why) if why else _choice(study, runs, objective, where, of_one)
        for (where, of_one), why in list(zip(found.items(), reasons, strict=True))[:MOST_PLACES]
    ]
    return Advice(_exploratory(verdicts), choices, len(found) - len(choices))


def _front(study: Study, runs: pd.DataFrame, objectives: Sequence[str]) -> Advice:
    """The combinations that no other beats in all objectives, by the first of these; which to take nobody can say here."""
    why = f"{' and '.join(objectives)} were minimised together, and nothing says what one is worth in the other"
    confirm = runs[(runs["phase"] == "confirm") & (runs["status"] != "failed")]
    found: dict[str, list[tuple[list[float], Choice]]] = {}
    for _, of_trial in confirm.groupby("trial"):
        levels = {path: of_trial[path].iloc[0] for path in [*study.sweeps(), *study.tunes()]}
        where, chosen = _parted(levels, study.sweeps())
        numbers = [described(name, rivals(of_trial, name)) for name in objectives]
        shown = "; ".join(f"{name} {bracketed(*each)}" for name, each in zip(objectives, numbers, strict=True))
        reached = f"{shown} {_of_seeds(len(of_trial), shown)}"
        found.setdefault(where, []).append(
            ([each.estimate for each in numbers], Choice(where, in_words(chosen), reached))
        )
    fronts = [_unbeaten(sorted(of_one, key=itemgetter(0))) for of_one in found.values()]
    choices = [choice for front in fronts for _, choice in front]
    all_of_them = counted(sum(map(len, found.values())), "combination")
    before = f"Of {all_of_them} no other beats these in all{' under the same conditions' if len(found) > 1 else ''}:"
    return Advice(f"{why}.", choices[:MOST_PLACES], max(0, len(choices) - MOST_PLACES), before, "combinations")


def _unbeaten(found: Sequence[tuple[list[float], Choice]]) -> list[tuple[list[float], Choice]]:
    """Those than which no other is at most as large in all numbers and less in one."""
    return [one for one in found if not any(_beats(other, one[0]) for other, _ in found)]


def _beats(one: Sequence[float], other: Sequence[float]) -> bool:
    return list(one) != list(other) and all(a <= b for a, b in zip(one, other, strict=True))


def _exploratory(verdicts: Sequence[Verdict]) -> str:
    """That no claim stood before its data came, or ""."""
    if not verdicts:
        return "nothing was claimed beforehand, so this is exploration."
    if all(verdict.registered is False or verdict.withdrawn for verdict in verdicts):
        return "no claim was registered before its data, so this is exploration."
    return ""


def _by_condition(study: Study, runs: pd.DataFrame, objective: str) -> dict[str, list[_Cell]]:
    """The cells of each set of conditions, the preferred one first."""
    found: dict[str, list[_Cell]] = {}
    for levels, inside in cells(study, runs):
        there = inside[inside["status"] != "failed"]
        if len(there):
            where, chosen = _parted(levels, study.sweeps())
            values = rivals(there, objective).groupby(there["seed"]).mean()
            found.setdefault(where, []).append(_Cell(chosen, there, values))
    return {where: sorted(of_one, key=lambda cell: cell.median) for where, of_one in found.items()}


def _parted(levels: Mapping[str, Any], sweeps: Mapping[str, Sweep]) -> tuple[str, dict[str, Any]]:
    """The conditions among some levels, in words, and the other levels."""
    given = {path: level for path, level in levels.items() if _is_given(path)}
    chosen = {path: level for path, level in levels.items() if path not in given}
    return levels_in_words(given, sweeps) if given else "", chosen


def _is_given(path: str) -> bool:
    """Whether a factor is a condition of the experiment, and no choice."""
    return path.partition(".")[0] in CONDITIONS


def _reason(objective: str, found: Sequence[_Cell]) -> str:
    """Why nothing can be advised at one set of conditions, or ""."""
    best = found[0].runs
    bad = int(best["status"].isin(BAD).sum())
    if 2 * bad >= len(best):
        return f"even at its best, {bad} of {counted(len(best), 'run')} diverged or ended no better than guessing."
    guessing = float(best["guess_loss"].median()) if "guess_loss" in best else math.nan
    if objective == "validation_loss" and found[0].median > NEAR_GUESSING * guessing:
        how = "hardly below" if found[0].median < guessing else "no better than"
        return f"even the best {objective}, {number(found[0].median)}, is {how} that of guessing, {number(guessing)}."
    if len(found[0].values) == 1:
        return "one seed says nothing of how seeds differ."
    if len(found) > 1 and not any(_is_beaten(found[0], other, len(found) - 1) for other in found[1:]):
        alike = sum(cell.median == found[0].median for cell in found)
        where = levels_in_words(found[0].levels) if alike == 1 else f"{alike} of them alike"
        return (
            f"{counted(len(found[0].values), 'seed')} cannot tell the best of {len(found)} combinations from any other; "
            f"{objective} is least at {where}."
        )
    return ""


def _is_beaten(best: _Cell, other: _Cell, others: int) -> bool:
    """Whether `best` has less of the objective than another in so many seeds that it is no chance."""
    both = best.values.index.intersection(other.values.index)
    wins = int((best.values[both] < other.values[both]).sum())
    return bool(scipy.stats.binom.sf(wins - 1, len(both), 0.5) <= ALPHA / others)


def _choice(study: Study, runs: pd.DataFrame, objective: str, where: str, found: Sequence[_Cell]) -> Choice:
    best, others = found[0], found[1:]
    tuned = [_tuned_in_words(path, best.runs[path]) for path in study.tunes()]
    named = [*([in_words(best.levels)] if best.levels else []), *tuned]
    near = [cell for cell in others if cell.median == best.median or not _is_beaten(best, cell, len(others))]
    said = [
        _in_short(best.levels, cell.levels, study.sweeps()) + " with the same median" * (cell.median == best.median)
        for cell in near[:MOST_NAMED]
    ]
    more = f" and {len(near) - MOST_NAMED} more" if len(near) > MOST_NAMED else ""
    within = f"{'; '.join(said)}{more}" if said else ("no other combination" if others else "")
    caveats = [*_without_result(study, runs, where), *_caveats(study, runs, best)]
    return Choice(where, ", ".join(named), _reached(objective, best), within, caveats)


def _without_result(study: Study, runs: pd.DataFrame, where: str) -> Iterator[str]:
    """Which combinations at some conditions were no rivals, since all of their runs failed."""
    failed = (levels for levels, inside in cells(study, runs) if (inside["status"] == "failed").all())
    named = [in_words(chosen) for at, chosen in (_parted(levels, study.sweeps()) for levels in failed) if at == where]
    if named:
        more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
        who = "; ".join(named[:MOST_NAMED]) + more
        yield f"{counted(len(named), 'combination has', 'combinations have')} no result, since all runs failed: {who}."


def _in_short(best: Mapping[str, Any], other: Mapping[str, Any], sweeps: Mapping[str, Sweep]) -> str:
    """What another combination has otherwise than the best."""
    return levels_in_words(
        {path: level for path, level in other.items() if stored(best[path]) != stored(level)}, sweeps
    )


def _tuned_in_words(path: str, values: "pd.Series[float]") -> str:
    """A tuned value, or the median and range of those of all seeds."""
    middle, least, most = (
        given(float(value), 2) for value in (values.quantile(0.5, "lower"), values.min(), values.max())
    )
    return f"{path} ≈ {middle}" + (f" ({least} to {most})" if least != most else "")


def _reached(objective: str, best: _Cell) -> str:
    """What the chosen combination reached on test data, else by its objective, and how many of its runs were catastrophes."""
    runs = best.runs
    shown = [name for name in ("test_loss", "test_error") if name in runs and runs[name].notna().any()]
    names = shown or [objective]
    parts = [f"{name} {_median(rivals(runs, name))}" for name in names]
    bad, n = int(runs["status"].isin(BAD).sum()), len(runs)
    low, high = clopper_pearson_bounds(bad, n)(ALPHA)
    ends = f"{100 * high:.0f} % not excluded" if not bad else f"{100 * low:.0f} to {100 * high:.0f} %"
    catastrophes = f"{bad or 'none'} of {counted(n, 'run')} diverged or collapsed ({ends})"
    numbers = ", ".join(parts)
    return f"{numbers} {_of_seeds(len(best.values), numbers)}; {catastrophes}"


def _of_seeds(n: int, numbers: str) -> str:
    """What numbers are, and why they have no intervals where they have none."""
    intervals = "95 % intervals" if "[" in numbers else "too few for 95 % intervals"
    return f"(medians of {counted(n, 'seed')}, {intervals})"


def _median(values: "pd.Series[float]") -> str:
    """The median, with its interval where there are seeds enough for one."""
    numbers = values.to_numpy(float)
    return bracketed(median(numbers), *median_bounds(numbers, numbers)(ALPHA))


def _caveats(study: Study, runs: pd.DataFrame, best: _Cell) -> Iterator[str]:
    """What may lie beyond what was tried."""
    for path in study.tunes():
        if end := end_reached(best_values(best.runs, path), runs.loc[runs["status"] != "failed", path].tolist()):
            yield f"{path} lies at the {end} end of what was tried: beyond it may be better."
    for path, level in best.levels.items():
        numbers = [float(stored(other)) for other in study.sweeps()[path].levels if is_number(other)]
        for end, value in ends_of([each for each in numbers if math.isfinite(each)]).items():
            if stored(level) == value != 0:  # nothing lies beyond a dropout or a decay of 0
                yield f"{path} = {label(path, level)} is the {'lowest' if end == 'lower' else 'highest'} level tried."
