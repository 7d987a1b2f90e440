"""`Contrast`: what a claim compares, as one number per seed: a weighted sum of differences between arms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

Levels = dict[str, Any]
"""Factor path → one level of its sweep."""


@dataclass(frozen=True)
class Difference:
    """Arm − other arm, times a weight.

    Attributes:
        weight: positive where a larger difference of the metric favours the claim.
        arm: levels of the first arm.
        other: those of the second, or a number that the first is compared with.
    """

    weight: float
    arm: Mapping[str, Any]
    other: Mapping[str, Any] | float


@dataclass(frozen=True)
class Contrast:
    """A sum of differences; a claim holds of it if it is large.

    Attributes:
        name: what tells it from others of its claim, "" where there is one alone.
        parts: its terms.
    """

    name: str
    parts: Sequence[Difference]

    def arms(self) -> list[Mapping[str, Any]]:
        """See `arms_of`."""
        return arms_of(self.parts)


def arms_of(parts: Sequence[Difference]) -> list[Mapping[str, Any]]:
    """Every arm of some differences once, in order: of steps, each from where the last one led to, from their beginning on."""
    steps = len(parts) > 1 and all(after.other == before.arm for before, after in pairwise(parts))
    found: list[Mapping[str, Any]] = []
    for part in parts:
        for arm in (part.other, part.arm) if steps else (part.arm, part.other):
            if isinstance(arm, Mapping) and arm not in found:
                found.append(arm)
    return found


def centred(n: int) -> list[float]:
    """Scores of n ordered levels, equally spaced around 0.

    The sum of score times value is the change from the first level to the last one of the line that fits best.

    >>> centred(2), centred(3)
    ([-1.0, 1.0], [-1.0, 0.0, 1.0])
    """
    scores = [i - (n - 1) / 2 for i in range(n)]
    scale = (n - 1) / sum(score * score for score in scores)
    return [scale * score for score in scores]


def trend(levels: Sequence[Mapping[str, Any]], sign: float) -> Contrast:
    """The linear trend over arms in order, as a sum of the differences of neighbours.

    Σ s_k y_k = Σ_j (Σ_{k>j} s_k) (y_{j+1} − y_j), since scores sum to 0.
    """
    scores = centred(len(levels))
    parts = [
        Difference(sign * sum(scores[j + 1 :]), levels[j + 1], levels[j]) for j in range(len(levels) - 1)
    ]  # fmt: skip
    return Contrast("", parts)
