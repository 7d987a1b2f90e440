"""The sentence of a verdict: its reason in plain English, and what a reader must know of the runs."""

import math
import re
from collections.abc import Sequence

from harness.inference.evidence import Evidence
from harness.inference.looks import Decision
from harness.inference.manipulation import unlike
from harness.inference.reading import read
from harness.inference.verdict import CellEstimate, Verdict
from harness.settings.show import counted, digits, given, level_text
from harness.study import Equivalence, Estimated, Trend

NEAR = 0.1
"""Of the width of an interval, and twice this of δ: an estimate that lies nearer to δ is said to be about δ."""


def sentence(verdict: Verdict, evidence: Evidence, decision: Decision | None) -> str:
    """Why a verdict is what it is, and what must be known of its runs."""
    why = (decision is None and evidence.failure) or _reason(verdict, evidence)
    why = re.sub(r"^the\b", "The", why)  # a metric keeps its small letter
    later = f" Of all seeds it would now be said: “{evidence.failure}”" if decision and evidence.failure else ""
    return (
        why
        + _by_holm(verdict, evidence, decision)
        + _by_each(verdict, evidence, decision)
        + _at_look(verdict, evidence, decision)
        + later
        + remarks(verdict, evidence)
    )


def _by_holm(verdict: Verdict, evidence: Evidence, decision: Decision | None) -> str:
    """That a verdict is one at the level that Holm's procedure allows, where the interval that is shown gives none."""
    if decision is None or verdict.level is None or evidence.word(1 - verdict.level) == verdict.verdict:
        return ""
    return f" So Holm's procedure decides, at level {level_text(1 - decision.alpha)}%; the interval shown, at that of all claims together, does not."


def _by_each(verdict: Verdict, evidence: Evidence, decision: Decision | None) -> str:
    """That each of several bears a claim out by itself, where the interval that covers them all together does not show it."""
    if (
        decision is None
        or verdict.at_worst is None
        or verdict.verdict != "supported"
        or verdict.smallest_effect is None
    ):
        return ""
    if read(*_ends(verdict), verdict.smallest_effect, evidence.claim.decides_by) == "supported":
        return ""
    together = "the interval shown covers all of them together"
    if verdict.stands_alone:
        together = f"{_no_interval(verdict)} at which all would cover together"
    return f" Each bears it out by itself, at level {level_text(1 - decision.alpha)}%; {together}."


def _reason(verdict: Verdict, evidence: Evidence) -> str:
    claim, what = evidence.claim, evidence.claim.subject(_what(evidence.claim))
    if verdict.verdict == "supported":
        return f"{what} is {claim.in_words()}{_by(claim)}{_in_each(evidence)}."
    if verdict.label == "reversed":
        return f"The opposite holds: {what} is {claim.opposite().in_words()}."
    if verdict.label:
        seed = " in the median seed" if claim.estimated() == "median" else ""
        return f"{what} differs{claim.between()}{seed} by less than δ = {claim.smallest_effect:g} either way."
    if verdict.verdict == "refuted":
        return f"{what} is not {claim.in_words()}{_by(claim)}{_in_each(evidence)}{_where_not(verdict)}."
    if barred := list(evidence.barred.values()):
        return f"No verdict: {barred[0]}."
    if verdict.level is not None and evidence.rests_on_what_is_hidden(1 - verdict.level):
        return f"{_hidden(evidence)}: a difference of δ = {claim.smallest_effect:g} could not be seen."
    if verdict.low is None and verdict.high is None:
        return f"{_of_the_worst(verdict, claim) if verdict.stands_alone else f'{_no_interval(verdict)} at this level'}."
    if claim.smallest_effect and _is_near(verdict):
        return f"Undecided: estimate ≈ {_delta(claim, *_side(verdict.estimate or 0.0))}."
    return f"The interval holds {_delta(claim, *_ends(verdict))}."


def _of_the_worst(verdict: Verdict, claim: Estimated) -> str:
    """What stands in the way of a claim on several, which have no interval together: the one whose own bears it out least."""
    assert verdict.smallest_effect is not None
    inside = claim.decides_by == "inside"
    worst = max(verdict.cells, key=lambda cell: max(abs(cell.low), abs(cell.high)) if inside else -cell.low)
    if read(worst.low, worst.high, verdict.smallest_effect, claim.decides_by) == "inconclusive":
        return f"The interval at {worst.name} holds {_delta(claim, worst.low, worst.high)}"
    where = f"{'beyond' if inside else 'below'} {_delta(claim, *_side(worst.low))}"
    return f"The interval at {worst.name} lies {where}, but {_no_interval(verdict)} at which all would cover together"


def _no_interval(verdict: Verdict) -> str:
    return f"{counted(verdict.n, 'seed has', 'seeds have')} no interval"


def _delta(claim: Estimated, low: float, high: float) -> str:
    """What an interval from `low` to `high` lies beside or holds: δ; of an equivalence −δ, δ or both."""
    delta = claim.smallest_effect
    if not delta or claim.decides_by == "side":
        return f"δ = {delta:g}" if delta else "0"
    if low <= -delta and delta <= high:
        return f"±δ = {delta:g}"
    return f"−δ = −{delta:g}" if low <= -delta <= high else f"δ = {delta:g}"


def _ends(verdict: Verdict) -> tuple[float, float]:
    """Of the interval that is shown; without bound where it has none."""
    return -math.inf if verdict.low is None else verdict.low, math.inf if verdict.high is None else verdict.high


def _side(value: float) -> tuple[float, float]:
    """All that lies on the side of 0 of a number."""
    return (-math.inf, 0.0) if value < 0 else (0.0, math.inf)


def _hidden(evidence: Evidence) -> str:
    """What of the rates tried hides a difference."""
    if math.isinf(evidence.hidden):
        return "Most runs train at the largest rate tried"
    hidden, unit = (math.exp(evidence.hidden), " times") if evidence.claim.takes_logarithms() else (evidence.hidden, "")
    return f"Between the rates tried differences up to {digits(hidden)}{unit} are hidden"


def _is_near(verdict: Verdict) -> bool:
    """Whether an estimate is so near to δ, in widths of its interval, that not even many more seeds would tell them apart."""
    estimate, low, high, delta = verdict.estimate, verdict.low, verdict.high, verdict.smallest_effect
    if estimate is None or low is None or high is None or delta is None:
        return False
    distance = abs(estimate - delta) if verdict.kind != "Equivalence" else abs(abs(estimate) - delta)
    return distance <= min(NEAR * (high - low), 2 * NEAR * delta)


def _in_each(evidence: Evidence) -> str:
    """That a claim is on each of several cells, not on their average."""
    n = len(evidence.samples[0].cells)
    return f", in each of {n} cells" if evidence.claim.across == "each" and n > 1 else ""


def _where_not(verdict: Verdict) -> str:
    """In which cell or step, where all must bear it out."""
    least = verdict.at_worst
    return f", least so at {least.name} ({_signed(least.estimate)})" if least else ""


def _what(claim: Estimated) -> str:
    return claim.metric if claim.above is None else f"the rate of {claim.metric} above {given(claim.above)}"


def _by(claim: Estimated) -> str:
    if claim.smallest_effect == 0:
        return ""
    return (
        f", within δ = {claim.smallest_effect:g}"
        if isinstance(claim, Equivalence)
        else f", by more than δ = {claim.smallest_effect:g}"
    )


def _at_look(verdict: Verdict, evidence: Evidence, decision: Decision | None) -> str:
    """What the planned looks say: when it was decided, or what comes next."""
    there = max(each.n_all for each in evidence.samples)
    if decision is not None:
        return f" Decided at the look at {verdict.look} seeds." if len(verdict.looks) > 1 else ""
    if ahead := [look for look in verdict.looks if look > there]:
        return f" The next planned look is at {counted(ahead[0], 'seed')}."
    return "" if evidence.failure else " No further look is planned: this study cannot decide it."


def remarks(verdict: Verdict, evidence: Evidence) -> str:
    """What a reader must know of the runs."""
    found = (
        _signs(verdict.cells, "steps" if len(evidence.samples) > 1 else "cells")
        if evidence.claim.across == "average"
        else ""
    )
    if verdict.n_diverged_treatment or verdict.n_diverged_baseline:
        found += f" Diverged: {_diverged(evidence)}."
    if verdict.n_missing:
        found += f" {counted(verdict.n_missing, 'seed')} left out for a run that failed or has no value."
    if verdict.n_copies:
        found += f" {counted(verdict.n_copies, 'seed')} left out as copies: nothing in their runs differs from another seed's."
    left_out = max((each.n_cells_left_out for each in evidence.samples), default=0)
    if left_out and verdict.n:
        found += f" {counted(left_out, 'cell')} left out for lack of a partner."
    combinations = max((each.n_combinations for each in evidence.samples), default=1)
    if combinations > 1:
        found += (
            f" Cells confirm up to {combinations} combinations of tuned values: a seed counts once, with their mean."
        )
    return found + unlike(evidence.claim)


def _diverged(evidence: Evidence) -> str:
    arms = evidence.arms
    if len(arms) == 2 and not isinstance(evidence.claim, Trend):
        return f"{arms[0].n_diverged} treatment and {counted(arms[1].n_diverged, 'baseline run')}"
    return f"{sum(arm.n_diverged for arm in arms)} of {counted(sum(arm.n for arm in arms), 'run')}"


def _signs(cells: Sequence[CellEstimate], what: str) -> str:
    """That cells which are averaged over, or steps, disagree."""
    for_it = [cell for cell in cells if cell.estimate > 0]
    against = [cell for cell in cells if cell.estimate < 0]
    if not for_it or not against:
        return ""
    best, worst = max(for_it, key=lambda cell: cell.estimate), min(against, key=lambda cell: cell.estimate)
    return f" Its sign differs between {what}: {_signed(best.estimate)} at {best.name}, {_signed(worst.estimate)} at {worst.name}."


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else ''}{digits(value)}"
