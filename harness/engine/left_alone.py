"""Tensors that a module's first calls left alone, so that one stands for all members, and that later calls must leave alone too."""

from collections.abc import Iterable

import torch
from torch import Tensor

from harness.engine.obstacles import Unbatchable

CHANGES_LATE = "its forward pass changes `{}` after its first calls left it alone"


class LeftAlone:
    """Knows what they held.

    Args:
        tensors: name and tensor; a name may come twice.
    """

    def __init__(self, tensors: Iterable[tuple[str, Tensor]] = ()) -> None:
        self._first = [(name, tensor, tensor.detach().clone()) for name, tensor in tensors]

    def check(self) -> None:
        """Look at all of them.

        Raises:
            Unbatchable: one holds something else now, by whatever way that came there.
        """
        for name, tensor, first in self._first:
            if not same_numbers(tensor, first):
                raise Unbatchable(CHANGES_LATE.format(name))


def same_numbers(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors hold the same, NaN the same as NaN."""
    return torch.equal(a, b) or bool(((a == b) | (a != a) & (b != b)).all())
