"""A verdict and its numbers as a reader sees them."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from harness.inference.intervals.resampling import Estimated
from harness.inference.reading import READ_AS, standing
from harness.inference.verdict import Verdict
from harness.reporting.page.level_names import LONGEST, brief, told_apart
from harness.settings import Sweep
from harness.settings.levels import in_words, label
from harness.settings.show import capital, counted, digits, given

NO_SWEEPS: Mapping[str, Sweep] = MappingProxyType({})


def word(verdict: Verdict) -> str:
    """The verdict and its label.

    >>> word(Verdict("t", "gap", "refuted", "reversed", "")), word(Verdict("t", "gap", "inconclusive", "", ""))
    ('Refuted: reversed', 'Undecided')
    """
    label = "" if verdict.label == "exact" else verdict.label
    return READ_AS[verdict.verdict].capitalize() + (f": {label}" if label else "")


def details(verdict: Verdict) -> list[str]:
    """What stands below a verdict: its cells, and all that `described` has, a line each."""
    each = [f"{cell.name}: {bracketed(cell.estimate, cell.low, cell.high)}" for cell in verdict.cells]
    return [*([f"Each by itself: {'; '.join(each)}."] if each else []), *described(verdict)]


def described(verdict: Verdict) -> list[str]:
    """The runs that diverged or collapsed, what else describes a verdict, and what it could have found, a line each."""
    lines: list[str] = []
    if verdict.catastrophes is not None and verdict.catastrophes.any:
        lines.append(_catastrophes(verdict))
    if others := _other_estimates(verdict):
        lines.append(f"Description at 95 %: {', '.join(others)}.")
    if verdict.power and not verdict.withdrawn:
        lines.append(f"Power of the planned seeds: {verdict.power}.")
    return lines


def _other_estimates(verdict: Verdict) -> list[str]:
    named = {
        "mean (t)": verdict.mean if verdict.estimand != "mean" else None,
        "interquartile mean (bootstrap)": verdict.interquartile_mean,
    }
    found = [f"{name} {_estimated(value)}" for name, value in named.items() if value is not None]
    if (better := verdict.probability_of_improvement) is not None and verdict.kind == "Claim":
        share, low, high = (f"{100 * value:.0f}" for value in (better.value, better.low, better.high))
        found.append(f"better in {share} % of seeds [{low}, {high}] (exact, ties half)")
    return found


def _catastrophes(verdict: Verdict) -> str:
    found = verdict.catastrophes
    assert found is not None
    arms = "; ".join(f"{count} of {n} with {arm}" for arm, (count, n) in found.arms.items())
    difference = ""
    if found.difference is not None and found.low is not None and found.high is not None:
        over = "" if found.pairs is None else f" over the {counted(found.pairs, 'seed')} of which no run failed"
        ends = f"[{number(found.low)}, {number(found.high)}] (95 %, exact)"
        difference = f"; rates differ by {number(found.difference)} {ends}{over}"
    return f"Diverged or no better than guessing: {arms}{difference}."


def _estimated(found: Estimated) -> str:
    return bracketed(found.value, found.low, found.high)


def merged(combinations: int, how: str) -> str:
    """What a caption says where a cell has several combinations of tuned values, a sentence or "".

    >>> merged(2, "a line has the runs of all"), merged(1, "a line has the runs of all")
    (' Cells confirm up to 2 combinations, which summary.csv has apart: a line has the runs of all.', '')
    """
    return (
        f" Cells confirm up to {combinations} combinations, which summary.csv has apart: {how}."
        if combinations > 1
        else ""
    )


def mark(verdict: Verdict) -> str:
    """See `standing`."""
    return standing(verdict.registered, verdict.registration, verdict.withdrawn)


def on_record(verdict: Verdict) -> str:
    """How a claim stands to the record of claims, with the time at which it was registered.

    >>> on_record(Verdict("t", "gap", "refuted", "", "", registration="registered", registered_at="2026-01-31T07:05:09Z"))
    'Registered on 2026-01-31 at 07:05 UTC.'
    """
    said = verdict.registration
    if verdict.registered_at is not None:
        day, _, time = verdict.registered_at.partition("T")
        said = said.replace("registered", f"registered on {day} at {time[:5]} UTC", 1)
    return f"{capital(said)}." if said else ""


def incompleteness(n_runs: int, expected_runs: int) -> str:
    """What a reader of a result must know first where runs of the study are missing, else nothing.

    >>> incompleteness(96, 216)
    'Incomplete: 96 of 216 runs. A claim has no verdict before its planned seeds have run.'
    >>> incompleteness(216, 216)
    ''
    """
    if n_runs >= expected_runs:
        return ""
    return f"Incomplete: {n_runs:,} of {counted(expected_runs, 'run')}. A claim has no verdict before its planned seeds have run."


def number(value: float | None) -> str:
    """A number in three digits.

    >>> number(0.12345), number(None), number(-math.inf), number(-1e-5)
    ('0.123', '–', '−∞', '−1e-05')
    """
    return "–" if value is None else digits(value)


def metric_of(verdict: Verdict) -> str:
    """The metric, with what makes a rate of it."""
    return verdict.metric if verdict.above is None else f"{verdict.metric} > {given(verdict.above)}"


def interval(verdict: Verdict) -> str:
    """Estimate and interval, a side without bound as ∞; that of one of several by itself where all have none together."""
    if verdict.estimate is None:
        return "–"
    if verdict.label == "exact":
        return f"largest deviation {number(verdict.estimate)}"
    return told(verdict, verdict.estimate, *ends(verdict))


def told(verdict: Verdict, value: float, low: float, high: float) -> str:
    """An estimate of a verdict and its interval where it has one, with what must be known of that; the other way round, too."""
    shown = bracketed(value, low, high)
    return shown + alone(verdict) * shown.endswith("]")


def effect(verdict: Verdict) -> str:
    """Which number of which metric was estimated: a difference, also where an arm is held against a number.

    >>> effect(Verdict("t", "gap", "supported", "", "", estimate=0.2, low=0.1, high=0.3))
    'Δ of gap 0.2 [0.1, 0.3]'
    >>> effect(Verdict("t", "eval_noise", "supported", "exact", "", estimate=0.0))
    'eval_noise: largest deviation 0'
    """
    what = interval(verdict)
    return (
        f"{metric_of(verdict)}: {what}"
        if verdict.label == "exact"
        else f"Δ of {metric_of(verdict)}{':' if verdict.above is not None else ''} {what}{at_worst(verdict)}"
    )


def at_worst(verdict: Verdict) -> str:
    """Of which of several cells or steps, all of which must bear the claim out, the estimate is; "" where it is of all together.

    >>> from harness.inference.verdict import CellEstimate
    >>> cells = [CellEstimate("steps = 10", 0.2, 0.1, 0.3), CellEstimate("steps = 20", -0.1, -0.2, 0.3)]
    >>> at_worst(Verdict("t", "gap", "inconclusive", "", "", kind="Claim", estimate=-0.1, cells=cells))
    ' at steps = 20, the least favourable of 2 that must all bear the claim out'
    """
    if verdict.at_worst is None:
        return ""
    which = "the farthest from 0" if verdict.kind == "Equivalence" else "the least favourable"
    return f" at {brief(verdict.at_worst.name)}, {which} of {len(verdict.cells)} that must all bear the claim out"


def alone(verdict: Verdict) -> str:
    """What stands behind an interval that is not of all cells or steps together, but of one of them."""
    return " by itself" * verdict.stands_alone


def ends(verdict: Verdict) -> tuple[float, float]:
    """Of its interval, infinite where it has none; of that of the one at worst where several have none together."""
    if verdict.stands_alone and verdict.at_worst is not None:
        return verdict.at_worst.low, verdict.at_worst.high
    return (-math.inf if verdict.low is None else verdict.low), (math.inf if verdict.high is None else verdict.high)


def bracketed(value: float, low: float, high: float) -> str:
    """An estimate and its interval; without it where there is none: its ends are no numbers, or it holds them all.

    >>> bracketed(0.5, -0.25, math.inf), bracketed(0.5, math.nan, math.nan), bracketed(0.5, -math.inf, math.inf)
    ('0.5 [−0.25, ∞]', '0.5', '0.5')
    """
    if math.isnan(low) or math.isnan(high) or (math.isinf(low) and math.isinf(high) and low < high):
        return number(value)
    return f"{number(value)} [{number(low)}, {number(high)}]"


def levels_in_words(levels: Mapping[str, Any], sweeps: Mapping[str, Sweep] = NO_SWEEPS) -> str:
    """Several levels as one phrase; very long ones are told from the other levels of their factor, or come in brief.

    >>> levels_in_words({"model.dropout": 0.5}), levels_in_words({})
    ('model.dropout = 0.5', 'all runs')
    """
    return in_words({path: level_in_words(path, level, sweeps) for path, level in levels.items()})


def level_in_words(path: str, level: Any, sweeps: Mapping[str, Sweep] = NO_SWEEPS) -> str:
    """One level, likewise."""
    text = label(path, level)
    if len(text) <= LONGEST or path not in sweeps:
        return brief(text)
    there = [label(path, each) for each in sweeps[path].levels]
    return dict(zip(there, told_apart(there), strict=True)).get(text, brief(text))
