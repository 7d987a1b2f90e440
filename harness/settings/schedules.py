"""Schedules: a dropout probability that changes during training.

A schedule stands where a probability would, `dropout=Early(0.5, until=200)`, and its numbers are factors
(`model.dropout.p`, `model.dropout.until`). In front of a training step all members' probabilities are found at once.
"""

from typing import NamedTuple

from harness.settings import Component, Count, Probability


class Ramp(NamedTuple):
    """p at step t = 1, 2, …: `start` up to step `first`, `end` from step `last` > `first` on, linear in between."""

    start: float
    end: float
    first: float
    last: float


class Schedule(Component):
    """Base of all schedules. Layers such as `nn.Dropout` take one for p, since it compares as its probabilities do."""

    def ramp(self, steps: int) -> Ramp:
        """Where p begins, where it ends, and when.

        Args:
            steps: of the whole training.
        """
        raise NotImplementedError

    def __lt__(self, bound: float) -> bool:
        return min(self.ramp(1)[:2]) < bound

    def __gt__(self, bound: float) -> bool:
        return max(self.ramp(1)[:2]) > bound


class Early(Schedule):
    """Dropout in the first steps only, against underfitting (Liu et al. 2023, arXiv:2303.01500, early dropout).

    Args:
        p: probability of dropping in steps 1 to `until`.
        until: the last step with dropout.
    """

    p: Probability
    until: Count

    def ramp(self, steps: int) -> Ramp:
        """See `Schedule.ramp`.

        >>> Early(0.5, until=200).ramp(1000)
        Ramp(start=0.5, end=0.0, first=200, last=201)
        """
        return Ramp(self.p, 0.0, self.until, self.until + 1)


class Late(Schedule):
    """Dropout after the first steps only, against overfitting (Liu et al. 2023, arXiv:2303.01500, late dropout).

    Args:
        p: probability of dropping from step `after` + 1 on.
        after: the last step without dropout.
    """

    p: Probability
    after: Count

    def ramp(self, steps: int) -> Ramp:
        """See `Schedule.ramp`.

        >>> Late(0.5, after=200).ramp(1000)
        Ramp(start=0.0, end=0.5, first=200, last=201)
        """
        return Ramp(0.0, self.p, self.after, self.after + 1)


class Linear(Schedule):
    """A probability that moves in a straight line (Liu et al. 2023, arXiv:2303.01500, linear early dropout, for end = 0).

    Args:
        start: p at step 1.
        end: p at step `until` and after it.
        until: None for the last step of training.
    """

    start: Probability
    end: Probability
    until: Count | None = None

    def ramp(self, steps: int) -> Ramp:
        """See `Schedule.ramp`.

        >>> Linear(0.5, 0.0).ramp(1000), Linear(0.0, 0.5, until=1).ramp(1000)
        (Ramp(start=0.5, end=0.0, first=1, last=1000), Ramp(start=0.0, end=0.5, first=0, last=1))
        """
        last = self.until or steps
        return Ramp(self.start, self.end, min(1, last - 1), last)
