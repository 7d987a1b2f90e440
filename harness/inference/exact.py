"""Claims of exact equality, which need no statistics: every run counts, also one that diverged or collapsed."""

import numpy as np
import pandas as pd

from harness.inference.evidence import MOST_MISSING, none_measured
from harness.inference.plan import Plan
from harness.inference.reading import Word
from harness.inference.verdict import Verdict
from harness.settings.show import capital, counted, given
from harness.study import Exact


def judge_exact(claim: Exact, runs: pd.DataFrame, plan: Plan) -> Verdict:
    """The verdict on a claim of exact equality; runs without a value are exclusions, which are listed.

    One run that says otherwise refutes it, whatever is still to come.

    Args:
        claim: metric and value.
        runs: of the study.
        plan: of the study.
    """
    confirm = runs[runs["phase"] == "confirm"]
    there = confirm[confirm["status"] != "failed"]
    values = there[claim.metric].dropna().to_numpy(float)
    failed, without = len(confirm) - len(there), len(there) - len(values)
    excluded = f" Excluded: {failed} failed, {without} without a value." if failed or without else ""

    def verdict(word: Word, sentence: str) -> Verdict:
        deviation = float(np.abs(values - claim.equals).max()) if len(values) else None
        return Verdict(
            claim.title, claim.metric, word, "exact", sentence + excluded, kind="Exact", n=len(values), estimate=deviation,
            n_missing=failed + without,
        )  # fmt: skip

    if not len(values):
        return verdict("inconclusive", f"{capital(none_measured(claim.metric, there))}.")
    wrong = int((values != claim.equals).sum())
    if wrong:
        deviation = np.abs(values - claim.equals).max()
        return verdict("refuted", f"{claim.metric} is not {given(claim.equals)} in {wrong} of {counted(len(values), 'run')}; "
                                  f"largest deviation {deviation:.3g}.")  # fmt: skip
    if early := plan.too_early(runs):
        return verdict("inconclusive", early)
    if claim.unless is not None and not (there[claim.unless].fillna(0) != 0).any():
        return verdict("inconclusive", f"Not tested: {claim.unless} is 0 in every run.")
    if failed + without > MOST_MISSING * len(confirm):
        return verdict(
            "inconclusive",
            f"No verdict: {failed + without} of {counted(len(confirm), 'run')} have no value, more than one in ten.",
        )
    return verdict("supported", f"{claim.metric} is {given(claim.equals)} in all {len(values)} runs.")
