"""Claims of exact equality, which need no statistics: every finished run counts, also one that collapsed."""

import numpy as np
import pandas as pd

from harness.inference.verdict import Verdict, Word
from harness.settings.show import counted
from harness.study import Exact


def judge_exact(claim: Exact, confirm: pd.DataFrame) -> Verdict:
    """The verdict on a claim of exact equality: every finished run counts.

    Args:
        claim: metric and value.
        confirm: runs of the confirm phase.
    """
    finished = confirm[confirm["status"].isin(("finished", "collapsed"))]
    values = finished[claim.metric].dropna().to_numpy(float)

    def verdict(word: Word, sentence: str) -> Verdict:
        deviation = float(np.abs(values - claim.equals).max()) if len(values) else None
        return Verdict(claim.title, claim.metric, word, "exact", sentence, n=len(values), estimate=deviation)

    if not len(values):
        return verdict("inconclusive", f"No finished run has measured {claim.metric}.")
    if claim.unless is not None and not (finished[claim.unless].fillna(0) != 0).any():
        return verdict("inconclusive", f"Manipulation check failed: {claim.unless} is 0 in every run.")
    wrong = int((values != claim.equals).sum())
    if wrong:
        deviation = np.abs(values - claim.equals).max()
        return verdict("refuted", f"{claim.metric} is not {claim.equals:g} in {wrong} of {counted(len(values), 'run')}; "
                                  f"largest deviation {deviation:.3g}.")  # fmt: skip
    return verdict("supported", f"{claim.metric} is {claim.equals:g} in all {len(values)} finished runs.")
