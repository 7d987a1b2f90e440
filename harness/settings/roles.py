"""The two roles that a setting may have beside a fixed value: `Sweep` (scientific) and `Tune` (nuisance)."""

from typing import Any

from harness.settings.problems import Problem
from harness.settings.show import show


class Sweep:
    """A scientific factor: every level is trained, and levels of several sweeps multiply into cells.

    Args:
        *levels: at least one number, string, boolean, None or component; all different.
    """

    def __init__(self, *levels: Any) -> None:
        self.levels = levels

    def __repr__(self) -> str:
        return f"Sweep({', '.join(map(show, self.levels))})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sweep) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def problems(self) -> list[Problem]:
        """What is wrong with the levels as such; each level's own value is checked by the component."""
        if not self.levels:
            return [Problem("", "Sweep needs at least one level", show(self))]
        # As tables hold them: there 1, 1.0 and True are one number, None and "None" one text.
        told_apart = {level if isinstance(level, int | float | str) else show(level) for level in self.levels}
        same = len(told_apart) < len(self.levels)
        return [Problem("", "the levels of a Sweep must differ", show(self))] if same else []


class Tune:
    """A nuisance factor: Optuna searches `[low, high]` with the same budget in every cell.

    Args:
        low: smallest value; an `int` makes the factor an integer when `high` is one too.
        high: largest value, included.
        log: search the logarithm; needs `low > 0`.
    """

    def __init__(self, low: float, high: float, *, log: bool = False) -> None:
        self.low, self.high, self.log = low, high, log

    def __repr__(self) -> str:
        return f"Tune({show(self.low)}, {show(self.high)}{f', log={show(self.log)}' if self.log is not False else ''})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tune) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def problems(self) -> list[Problem]:
        """What is wrong with the range as such; both ends are checked by the component too."""
        ends = (self.low, self.high)
        if not all(isinstance(end, int | float) and not isinstance(end, bool) and abs(end) <= LARGEST for end in ends):
            return [Problem("", f"Tune needs two finite numbers, at most {LARGEST:g}", show(self))]
        if not isinstance(self.log, bool):
            return [Problem("", "log must be True or False", show(self))]
        if not self.low < self.high:
            return [Problem("", "low < high must hold", show(self))]
        if self.log and self.low <= 0:
            return [Problem("", "log=True needs low > 0", show(self))]
        return []


LARGEST = 1e15
"""Largest number of a `Tune`: between whole numbers as large as this there is still room in a float."""
