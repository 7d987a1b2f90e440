"""Gradients of large weights, postponed until clipping and the update want them, of a few members at a time.

The gradients of all members at once would go to main memory and come back. As factors they are small.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

LARGE = 2**16
"""Values of a member's weights from which on their gradient is postponed; what is smaller the caches keep anyway."""


class Postponed:
    """Gradients that a backward pass has left as factors."""

    def __init__(self) -> None:
        self._factors: dict[Tensor, list[tuple[Tensor, Tensor]]] = {}

    def __contains__(self, weight: Tensor) -> bool:
        return weight in self._factors

    def add(self, weight: Tensor, gradient: Tensor, x: Tensor) -> None:
        """Leave the gradient gradientᵀ·x of `weight` (M, O, I) from gradient (M, R, O) and x (M, R, I)."""
        self._factors.setdefault(weight, []).append((gradient.detach(), x.detach()))

    def write(self, weight: Tensor, rows: slice, out: Tensor) -> None:
        """Multiply: the gradient of some members' `weight` to `out`, (member, O, I)."""
        for i, (gradient, x) in enumerate(self._factors[weight]):
            out.baddbmm_(gradient[rows].transpose(1, 2), x[rows], beta=min(i, 1))


_open: Postponed | None = None


@contextmanager
def postponed(to: Postponed) -> Iterator[None]:
    """Within the block a backward pass may leave gradients of large leaves to `to`; None takes their place."""
    global _open
    _open = to
    try:
        yield
    finally:
        _open = None


def later(weight: Tensor) -> Postponed | None:
    """Where the gradient of this weight (M, O, I) is to be left, if anywhere."""
    return _open if weight.is_leaf and weight[0].numel() >= LARGE else None
