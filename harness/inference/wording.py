"""The sentence of a verdict: its reason in plain English, and what a reader must know of the runs."""

import math

from harness.inference.pairing import Pairs
from harness.inference.verdict import Verdict, Word
from harness.settings.levels import in_words
from harness.settings.show import counted


def reason(verdict: Verdict) -> str:
    """The sentence of a verdict that was read from an interval."""
    delta, metric = verdict.smallest_effect, verdict.metric
    arms = f"with {in_words(verdict.treatment)} than with {in_words(verdict.baseline)}"
    if verdict.verdict == "supported":
        return f"{metric} is {verdict.better} {arms}, by more than δ = {delta:g}."
    if verdict.label == "reversed":
        opposite = "higher" if verdict.better == "lower" else "lower"
        return f"The opposite holds: {metric} is {opposite} {arms}."
    if verdict.label:
        return f"{metric} differs by less than δ = {delta:g} either way."
    if verdict.verdict == "refuted":
        return f"{metric} is not {verdict.better} {arms} by as much as δ = {delta:g}."
    if verdict.low is None:
        return (
            "One seed has no interval."
            if verdict.n < 2
            else "All seeds gave the same difference, which has no interval."
        )
    more = verdict.further_seeds
    return f"The interval holds δ = {delta:g}; " + (
        f"about {counted(more, 'further seed')} would decide."
        if more
        else "no affordable number of seeds would decide."
    )


def withheld(word: Word, pairs: Pairs) -> str:
    """Why a verdict that an interval gives is not given, or "": it would rest on values imputed for diverged runs."""
    treated, control = pairs.n_imputed
    if word == "supported" and treated > control:
        return (f"The interval lies above δ, but {counted(treated, 'run of the treatment has', 'runs of the treatment have')} the worst value for want of a better, against {control} "
                "of the baseline; an average cannot make up for that.")  # fmt: skip
    if word == "refuted" and control > treated:
        return (f"The interval lies below δ, but {counted(control, 'run of the baseline has', 'runs of the baseline have')} the worst value for want of a better, against {treated} "
                "of the treatment; the average understates that.")  # fmt: skip
    return ""


def remarks(pairs: Pairs) -> str:
    """What a reader must know of the runs: those that diverged, were imputed or are missing."""
    found = ""
    treated, control = pairs.n_diverged
    if treated or control:
        found += f" Diverged: {treated} treatment and {counted(control, 'baseline run')}."
    if sum(pairs.n_imputed) and math.isfinite(pairs.worst):
        found += f" {counted(sum(pairs.n_imputed), 'run that diverged or is infinite counts', 'runs that diverged or are infinite count')} as the worst of the others, {pairs.worst:.4g}."
    if pairs.n_dropped:
        found += f" {counted(pairs.n_dropped, 'seed')} left out because a run of theirs is missing or has no value."
    if pairs.n_copies:
        found += (
            f" {counted(pairs.n_copies, 'seed')} left out as copies: nothing in their runs differs from another seed's."
        )
    if pairs.n_cells_left_out and pairs.seeds:
        found += f" {counted(pairs.n_cells_left_out, 'cell')} left out for lack of a partner."
    return found
