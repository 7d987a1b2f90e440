"""`Best`: which configuration came off best so far, and how well."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.ledger.records.finished import FinishedTrial
from harness.settings.levels import stored
from harness.study import Study
from harness.study.claim_forms import plain


@dataclass(frozen=True)
class Best:
    """The best of what this launch has recorded.

    Attributes:
        metric: the (first) objective of tuning, which is minimised.
        value: its mean over the seeds of one configuration.
        seeds: how many these are.
        levels: the configuration: swept levels and tuned values by factor path.
    """

    metric: str
    value: float
    seeds: int
    levels: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        levels = {path: plain(level) for path, level in self.levels.items()}
        return {"metric": self.metric, "value": self.value, "seeds": self.seeds, "levels": levels}


def best_of(study: Study, finished: FinishedTrial) -> Best | None:
    """What a configuration came to, as a mean over its seeds; None where one of these has no finite value."""
    metric = study.objectives()[0]
    values = finished.runs[metric].astype(float)
    if not np.isfinite(values).all() or (finished.runs["status"] == "diverged").any():
        return None
    levels = {path: stored(finished.params[path]) for path in (*study.sweeps(), *study.tunes())}
    return Best(metric, float(values.mean()), len(values), levels)


def better(one: Best | None, other: Best | None) -> Best | None:
    """The one with the smaller value."""
    known = [best for best in (one, other) if best is not None]
    return min(known, key=lambda best: best.value, default=None)
