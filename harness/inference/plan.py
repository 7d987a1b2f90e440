"""`Plan`: what of a study decides how its claims are judged."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from harness.inference.range_ends import why_no_wider
from harness.settings import Sweep
from harness.settings.show import counted
from harness.study import Study
from harness.study.widening import End

RATE = ("optimizer", "lr")
"""Beginning of the paths of learning rates."""


@dataclass(frozen=True)
class Plan:
    """How a study's claims are judged.

    Attributes:
        sweeps: the swept factors.
        seeds: of the confirm phase, in order.
        looks: numbers of these after which claims are judged, rising.
        rates: paths of learning rates that are tuned.
        no_wider: why nothing beyond an end of the values tried of a rate was, or what does so, see `range_ends.why_no_wider`.
    """

    sweeps: Mapping[str, Sweep]
    seeds: Sequence[int]
    looks: Sequence[int]
    rates: Sequence[str] = ()
    no_wider: Callable[[End, Collection[float]], str] = lambda end, values: ""

    @classmethod
    def of(cls, study: Study) -> "Plan":
        """That of a study."""
        rates = [path for path in study.tunes() if tuple(path.split(".")[:2]) == RATE]
        return cls(study.sweeps(), study.planned_seeds(), study.planned_looks(), rates, partial(why_no_wider, study))

    def reached(self, runs: pd.DataFrame) -> int:
        """How many looks can be taken: those all of whose seeds have run, and one at the least."""
        whole = sum(not self.lacking(runs, n) for n in self.looks)
        return max(whole, 1)

    def lacking(self, runs: pd.DataFrame, n: int) -> int:
        """How many of the first n seeds have not run in every cell."""
        confirm = (runs["phase"] == "confirm").to_numpy()
        seeds, counts = np.unique(runs["seed"].to_numpy()[confirm], return_counts=True)
        cells = math.prod(len(sweep.levels) for sweep in self.sweeps.values())
        return len(set(self.seeds[:n]) - set(seeds[counts >= cells].tolist()))

    def too_early(self, runs: pd.DataFrame) -> str:
        """That the first planned look is not reached, a sentence, or ""."""
        first = self.looks[0]
        lacking = self.lacking(runs, first)
        return (
            f"Too early for a verdict: {first - lacking} of {counted(first, 'planned seed')} have run."
            if lacking
            else ""
        )

    def until(self, runs: pd.DataFrame, look: int) -> pd.DataFrame:
        """The runs of the seeds up to a look."""
        if look == len(self.looks) - 1:
            return runs
        return runs[runs["seed"].isin(self.seeds[: self.looks[look]]) | (runs["phase"] != "confirm")]
