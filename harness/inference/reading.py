"""How a verdict is read from intervals: one, or several all of which must bear a claim out."""

from collections.abc import Sequence
from typing import Literal

from harness.inference.intervals.interval import Bounds

Word = Literal["supported", "refuted", "inconclusive"]
DecidesBy = Literal["side", "inside"]

READ_AS: dict[Word, str] = {"supported": "supported", "refuted": "refuted", "inconclusive": "undecided"}
"""A verdict as people read it."""


def standing(registered: bool | None, registration: str, withdrawn: bool) -> str:
    """What a reader must know of a claim with its verdict: that it is withdrawn, and not, or not known to be, older than its data.

    Args:
        registered: see `Verdict`.
        registration: likewise.
        withdrawn: likewise.

    >>> standing(True, "registered", False), standing(True, "registered; withdrawn", True), standing(None, "not known", False)
    ('', 'withdrawn', 'registration not known')
    """
    marks = ["withdrawn"] if withdrawn else []
    if registration and not registered:
        marks.append("registration not known" if registered is None else "exploratory")
    return ", ".join(marks)


def as_read(verdict: Word, registered: bool | None, registration: str, withdrawn: bool) -> str:
    """A verdict as people read it, with how its claim stands.

    >>> as_read("inconclusive", False, "exploratory: added later", False), as_read("supported", True, "registered", False)
    ('undecided (exploratory)', 'supported')
    """
    said, mark = READ_AS.get(verdict, verdict), standing(registered, registration, withdrawn)
    return f"{said} ({mark})" if mark else said


def read(low: float, high: float, smallest_effect: float, by: DecidesBy = "side") -> Word:
    """The verdict that one interval gives.

    >>> read(0.2, 0.4, 0.1), read(-0.4, 0.05, 0.1), read(0.0, 0.2, 0.1)
    ('supported', 'refuted', 'inconclusive')
    >>> read(-0.05, 0.05, 0.1, "inside"), read(0.2, 0.4, 0.1, "inside"), read(0.0, 0.2, 0.1, "inside")
    ('supported', 'refuted', 'inconclusive')
    """
    if by == "inside":
        if -smallest_effect < low and high < smallest_effect:
            return "supported"
        return "refuted" if low > smallest_effect or high < -smallest_effect else "inconclusive"
    if low > smallest_effect:
        return "supported"
    return "refuted" if high < smallest_effect else "inconclusive"


def read_all(each: Sequence[Bounds], smallest_effect: float, by: DecidesBy, alpha: float) -> Word:
    """The verdict on a claim that is one of every interval: intersection–union (Berger 1982, Technometrics 24:295–300).

    It is supported if each is at level 1 − α; refuted if one is, which may be any: at 1 − α / number of them.
    """
    words = [read(*bounds(alpha), smallest_effect, by) for bounds in each]
    if all(word == "supported" for word in words):
        return "supported"
    if len(each) == 1:
        return words[0]
    narrow = [read(*bounds(alpha / len(each)), smallest_effect, by) for bounds in each]
    return "refuted" if "refuted" in narrow else "inconclusive"


def label_of(low: float, high: float, smallest_effect: float) -> str:
    """What more an interval says of a claim that is refuted.

    >>> label_of(-0.4, -0.2, 0.1), label_of(-0.05, 0.05, 0.1), label_of(-0.4, 0.05, 0.1)
    ('reversed', 'no relevant effect', '')
    """
    if high < 0:
        return "reversed"
    return "no relevant effect" if low > -smallest_effect and high < smallest_effect else ""
