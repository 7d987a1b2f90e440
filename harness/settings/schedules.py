"""Schedules: numbers that change during training, such as p of a dropout layer, a learning rate or a clipping bound.

A schedule stands where a number would, `lr=Cosine(0.1, warmup=50)`, and its own numbers are factors
(`optimizer.lr.peak`, `optimizer.lr.warmup`). All its values are computed before training begins; in front of a step the
members' values of that step are read from a table.
"""

from collections.abc import Callable
from functools import lru_cache
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.settings import Component, Count, Problem, show
from harness.settings.like_a_float import LikeAFloat

Sequence = NDArray[np.float64]
"""The values of a number over training, (steps,)."""

USUAL = 1000
"""Steps of a training that nothing is known of: as many as a study has by default."""


class Schedule(Component):
    """Base of all schedules. One of a user's own has its numbers as fields, annotated `float`, and a `sequence`.

    Layers such as `nn.Dropout` take one for p, since it compares as its values do: below a bound if one of them is. That which
    a module is given also passes for a float, see `LikeAFloat`.
    """

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return LikeAFloat if "_steps" in self.__dict__ else type(self)

    def __reduce__(self) -> tuple[Any, ...]:
        """As of any object, but by its own class: pickle would ask for `__class__`."""
        return object.__new__, (type(self),), self.__getstate__()

    def sequence(self, steps: int) -> Sequence:
        """Its value at the steps t = 1, 2, … of training: (steps,).

        Args:
            steps: of the whole training.
        """
        raise self._lacks("sequence")

    def unreached(self, steps: int) -> str:
        """What of it a training of so many steps ends before, and how far it gets, in words; "" for nothing, or if it does not tell."""
        return ""

    def over(self, steps: int) -> "Schedule":
        """The same schedule, which compares by its values in a training of so many steps."""
        schedule = self.replace()
        schedule.__dict__["_steps"] = steps
        return schedule

    def __lt__(self, bound: float) -> bool:
        return extremes(self, self.__dict__.get("_steps", USUAL))[0][0] < bound

    def __gt__(self, bound: float) -> bool:
        return extremes(self, self.__dict__.get("_steps", USUAL))[1][0] > bound

    def __le__(self, bound: float) -> bool:
        return not self > bound

    def __ge__(self, bound: float) -> bool:
        return not self < bound


@lru_cache(maxsize=1024)
def extremes(schedule: Schedule, steps: int) -> tuple[tuple[float, int], tuple[float, int]]:
    """The least and the largest value over training, and their steps; NaN is either where there is one.

    Raises:
        ValueError: its sequence is not one number for each step, or another one whenever it is asked for, as it is by each run and each
            start.
        Exception: what a user's function raises.
    """
    values = np.asarray(schedule.sequence(steps), dtype=np.float64)
    if values.shape != (steps,):
        raise ValueError(f"must give one value for each of the {steps} steps, but has shape {values.shape}")
    if not np.array_equal(values, schedule.sequence(steps), equal_nan=True):
        raise ValueError("must give the same values whenever it is asked: draw from a generator that it seeds itself")
    ends = int(values.argmin()), int(values.argmax())
    return (float(values[ends[0]]), ends[0] + 1), (float(values[ends[1]]), ends[1] + 1)


def _unchanged(last: int, steps: int) -> str:
    """Of a schedule that changes first after step `last`."""
    return f"and it would change after step {last:,}: it keeps its first value" if last >= steps else ""


def _percent(part: int, whole: int) -> str:
    """A share that is not all, in whole percent, rounded down."""
    return f"{100 * part // whole} %"


def numbered(steps: int) -> Sequence:
    """The steps t = 1, 2, … of training, (steps,).

    >>> numbered(3)
    array([1., 2., 3.])
    """
    return np.arange(1.0, steps + 1)


class Early(Schedule):
    """A value in the first steps, another one after them; dropout so is early dropout (Liu et al. 2023, arXiv:2303.01500).

    Args:
        value: at steps 1 to `until`.
        until: the last step with it.
        then: the value after that: 0, no dropout; of a clipping bound, `inf` means none.
    """

    value: float
    until: Count
    then: float = 0.0

    def sequence(self, steps: int) -> Sequence:
        """See `Schedule.sequence`.

        >>> Early(0.5, until=2).sequence(4)
        array([0.5, 0.5, 0. , 0. ])
        """
        return np.where(numbered(steps) <= self.until, self.value, self.then)

    def unreached(self, steps: int) -> str:
        """See `Schedule.unreached`: that the first value is the only one."""
        return "" if self.value == self.then else _unchanged(self.until, steps)


class Late(Schedule):
    """A value after the first steps, another one in them; dropout so is late dropout (Liu et al. 2023, arXiv:2303.01500).

    Args:
        value: from step `after` + 1 on.
        after: the last step without it.
        before: the value until then: 0, no dropout; of a clipping bound, `inf` means none.
    """

    value: float
    after: Count
    before: float = 0.0

    def sequence(self, steps: int) -> Sequence:
        """See `Schedule.sequence`.

        >>> Late(0.5, after=2).sequence(4)
        array([0. , 0. , 0.5, 0.5])
        """
        return np.where(numbered(steps) > self.after, self.value, self.before)

    def unreached(self, steps: int) -> str:
        """See `Schedule.unreached`: that the first value is the only one."""
        return "" if self.value == self.before else _unchanged(self.after, steps)


class Linear(Schedule):
    """A value that moves in a straight line; as `torch.optim.lr_scheduler.LinearLR` with `total_iters = until − 1`.

    Dropout so, with end = 0, is linear early dropout (Liu et al. 2023, arXiv:2303.01500).

    Args:
        start: the value at step 1.
        end: the value at step `until` and after it.
        until: None for the last step of training.
    """

    start: float
    end: float
    until: Count | None = None

    def sequence(self, steps: int) -> Sequence:
        """See `Schedule.sequence`.

        >>> Linear(0.5, 0.0).sequence(5), Linear(0.0, 0.5, until=1).sequence(2)
        (array([0.5  , 0.375, 0.25 , 0.125, 0.   ]), array([0.5, 0.5]))
        """
        last = self.until or steps
        first = min(1, last - 1)
        share, way = np.clip((numbered(steps) - first) / (last - first), 0, 1), self.end - self.start
        return np.where(share < 0.5, self.start + share * way, self.end - (1 - share) * way)

    def unreached(self, steps: int) -> str:
        """See `Schedule.unreached`: how much of the line there is.

        >>> Linear(5.0, 0.5, until=100).unreached(20), Linear(5.0, 0.5, until=20).unreached(20)
        ('before its end at step 100: it goes 19 % of the way', '')
        """
        if self.until is None or self.until <= steps or self.start == self.end:
            return ""
        return f"before its end at step {self.until:,}: it goes {_percent(steps - 1, self.until - 1)} of the way"


class Cosine(Schedule):
    """A linear warm-up, then half a cosine from `peak` to `end` (Loshchilov & Hutter 2017, arXiv:1608.03983, Eq. 5).

    As torch's `SequentialLR` of `LinearLR(1 / (warmup + 1), total_iters=warmup)` and `CosineAnnealingLR(steps − warmup,
    eta_min=end)`: step t of the warm-up has t / (warmup + 1) of the peak, step `warmup` + 1 all of it, and `end` would
    be reached one step after the last.

    Args:
        peak: the largest value, at step `warmup` + 1.
        end: what it falls to.
        warmup: steps before the peak.
    """

    peak: float
    end: float = 0.0
    warmup: int = 0

    def sequence(self, steps: int) -> Sequence:
        """See `Schedule.sequence`.

        >>> Cosine(1.0).sequence(4).round(3), Cosine(1.0, warmup=1).sequence(3)
        (array([1.   , 0.854, 0.5  , 0.146]), array([0.5, 1. , 0.5]))
        """
        done = numbered(steps) - 1 - self.warmup
        rising = self.peak * (1 + done / (self.warmup + 1))
        share = np.clip(done / max(steps - self.warmup, 1), 0, 1)
        falling = self.end + (self.peak - self.end) * (1 + np.cos(np.pi * share)) / 2
        return np.where(done < 0, rising, falling)

    def check(self) -> list[Problem]:
        """See `Component.check`."""
        return [Problem("warmup", "must be 0 or more steps", str(self.warmup))] if self.warmup < 0 else []

    def unreached(self, steps: int) -> str:
        """See `Schedule.unreached`: how much of the warm-up there is.

        >>> Cosine(1.0, warmup=500).unreached(20), Cosine(1.0, warmup=19).unreached(20)
        ('in its warm-up of 500 steps: it gets to 3 % of its peak', '')
        """
        if self.warmup < steps:
            return ""
        return f"in its warm-up of {self.warmup:,} steps: it gets to {_percent(steps, self.warmup + 1)} of its peak"


class Step(Schedule):
    """A value that is multiplied by a factor every so many steps, as `torch.optim.lr_scheduler.StepLR`.

    Args:
        start: the value at the first steps.
        factor: of each change.
        every: steps between two changes.
    """

    start: float
    factor: float
    every: Count

    def sequence(self, steps: int) -> Sequence:
        """See `Schedule.sequence`.

        >>> Step(1.0, 0.5, every=2).sequence(5)
        array([1.  , 1.  , 0.5 , 0.5 , 0.25])
        """
        return self.start * self.factor ** ((numbered(steps) - 1) // self.every)

    def unreached(self, steps: int) -> str:
        """See `Schedule.unreached`: that the first value is the only one."""
        return "" if self.factor == 1 else _unchanged(self.every, steps)


class Function(Schedule):
    """A user's own function of the step; what tells it from another one is its source, and what it closes over.

    Args:
        function: given the step t, from 1, and the number of all steps, returns the value at step t.
    """

    function: Callable[..., Any]

    def code(self) -> list[Any]:
        """See `Component.code`: with the function."""
        return [*super().code(), self.function]

    def check(self) -> list[Problem]:
        """See `Component.check`: an object that is called may have a state that nothing tells."""
        if isinstance(self.function, FunctionType):
            return []
        return [
            Problem(
                "function",
                "must be a function, def or lambda, of the step and the number of steps",
                show(self.function),
            )
        ]

    def sequence(self, steps: int) -> Sequence:
        """See `Schedule.sequence`.

        >>> Function(lambda t, steps: 1 / t).sequence(3).round(2)
        array([1.  , 0.5 , 0.33])
        """
        return np.array([float(self.function(t, steps)) for t in range(1, steps + 1)])
