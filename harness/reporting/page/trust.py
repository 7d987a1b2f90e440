"""How far to trust a result: its seeds, looks, claims, examples and runs, a short sentence each."""

from collections.abc import Iterator, Sequence

import pandas as pd

from harness.inference.verdict import Verdict
from harness.reporting.page.calibration import how_often_false
from harness.reporting.page.words import mark
from harness.settings.levels import label
from harness.settings.show import capital, counted
from harness.study import Study
from harness.study.scope import budget, scope, setups

MORE_OFTEN = {"mean": "a mean", "hodges_lehmann": "a Hodges–Lehmann estimate"}
"""Estimands that hold 5 % only where runs are as they assume, in words."""

MOST_LEVELS = 8
PHASES = {"confirm": ("result", "results"), "tune": ("tuning run", "tuning runs")}
ENDS = ("diverged", "collapsed", "failed")


def trust(study: Study, runs: pd.DataFrame, verdicts: Sequence[Verdict]) -> list[str]:
    """What a reader should know before believing any number.

    Args:
        study: of the runs.
        runs: one row per run, phases set by `selection.selected`.
        verdicts: on its claims.
    """
    return [
        *_seeds(study),
        *_claims(verdicts),
        *how_often_false(verdicts),
        *conditions(study),
        *_unfinished(study, runs),
    ]


def conditions(study: Study) -> list[str]:
    """What numbers are conditional on: the examples, how long runs train, and what was noted of the task before they did."""
    noted = [f"Noted before it ran: {note}." for note in study.notes if note.startswith(("task:", "task."))]
    return [*scope(study), f"Runs train for {budget(study, setups(study))}.", *noted]


def _seeds(study: Study) -> Iterator[str]:
    n, planned = len(study.confirm_seeds()), study.planned_looks()
    looks = f", planned looks at {', '.join(map(str, planned))}" if len(planned) > 1 else ""
    if n == 1:
        yield f"One seed{looks}: nothing says how seeds differ."
    else:
        yield f"{n} seeds{looks}, paired: those of one number share their random numbers."


def _claims(verdicts: Sequence[Verdict]) -> Iterator[str]:
    if not verdicts:
        yield "No claim was made: all of this is exploration."
        return
    late = [verdict for verdict in verdicts if verdict.registered is False]
    unknown = [verdict for verdict in verdicts if verdict.registered is None]
    first = len(verdicts) - len(late) - len(unknown)
    said = [f"{first} of {counted(len(verdicts), 'claim')} registered before the data"] if first else []
    said += [f"{len(late)} exploratory"] if late else []
    said += [f"{len(unknown)} not known to be older than the data"] if unknown else []
    said += [f"{gone} withdrawn"] if (gone := sum("withdrawn" in mark(verdict) for verdict in verdicts)) else []
    text = ", ".join(said)
    families = {one.registered for verdict in verdicts for one in (verdict, verdict.was) if one is not None}
    among = "all of them" if len(families) == 1 else "those of each kind by themselves"
    found = {one.estimand for verdict in verdicts for one in (verdict, verdict.was) if one is not None}
    more = " or ".join(words for estimand, words in MORE_OFTEN.items() if estimand in found)
    but = f"; those on {more} may err more often, see below" if more else ""
    yield f"{capital(text)}; 5 % for a false verdict among {among}{but}."


def still_improving(study: Study, runs: pd.DataFrame) -> tuple[int, int]:
    """In how many runs the last validation loss was the least, and of how many that finished; none where it was measured just once."""
    confirm = runs[(runs["phase"] == "confirm") & (runs["status"] == "finished")]
    if study.evaluations == 1 or "best_step" not in confirm:
        return 0, len(confirm)
    return int((confirm["best_step"] == confirm["steps_done"]).sum()), len(confirm)


def _unfinished(study: Study, runs: pd.DataFrame) -> Iterator[str]:
    last, n = still_improving(study, runs)
    if 2 * last > n:
        yield f"{last:,} of {counted(n, 'finished run')} still improved at the end: longer training may change what is said."


def run_counts(runs: pd.DataFrame) -> list[str]:
    """How many runs there are of each phase, and how they ended.

    >>> run_counts(pd.DataFrame({"phase": ["confirm"] * 3 + ["tune"], "status": ["finished"] * 3 + ["diverged"]}))
    ['3 results, none diverged', '1 tuning run: 1 diverged']
    """
    found = []
    for phase, words in PHASES.items():
        status = runs.loc[runs["phase"] == phase, "status"]
        if len(status):
            ended = [f"{n} {end}" for end in ENDS if (n := int((status == end).sum()))]
            found.append(
                f"{counted(len(status), *words)}{': ' if ended else ', '}{', '.join(ended) or 'none diverged'}"
            )
    return found


def explored_factors(study: Study) -> list[str]:
    """What is swept and what is tuned, a phrase each; of many levels the first and the last."""
    found = []
    for path, sweep in study.sweeps().items():
        levels = [label(path, level) for level in sweep.levels]
        shown = levels if len(levels) <= MOST_LEVELS else [*levels[: MOST_LEVELS // 2], "…", levels[-1]]
        n = f"{len(levels)} levels: " if len(levels) > MOST_LEVELS else ""
        found.append(f"{path}: {n}{', '.join(shown)}")
    return found + [
        f"{path}: tuned from {label(path, tune.low)} to {label(path, tune.high)}"
        for path, tune in study.tunes().items()
    ]
