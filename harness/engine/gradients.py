"""The gradient of every member: from the backward pass to flat rows, for as many members at a time as are wanted."""

import torch
from torch import Tensor

from harness.engine.functions.postponed import Postponed, postponed
from harness.engine.parameter_layout import ParameterLayout


class Gradients:
    """Takes gradients of the members' losses with respect to their parameters.

    Args:
        parameters: (member, parameters), changed in place only.
        layout: of a row of them.

    Attributes:
        leaves: by name the views of `parameters` that a forward pass is to use, (member, …) each.
        unused: names of those that had no part in the last one.
    """

    def __init__(self, parameters: Tensor, layout: ParameterLayout) -> None:
        self._parameters, self._layout = parameters, layout
        # With versions of their own, so that a forward pass may write into one and the backward pass uses another.
        self.leaves = {name: view.data.requires_grad_() for name, view in layout.views(parameters).items()}
        self.unused: tuple[str, ...] = ()
        self._by_leaf: list[Tensor | None] = []
        self._postponed = Postponed()
        self._buffer, self._slots, self._padding = parameters[:0], list[Tensor](), list[Tensor]()

    def begin(self) -> Postponed:
        """Begin a forward pass; returns where it leaves the factors of gradients that are multiplied out by `rows`."""
        self._postponed = Postponed()
        return self._postponed

    def backward(self, losses: Tensor) -> None:
        """Backward pass of all members from their losses, (member,), of a forward pass after `begin`."""
        with postponed(self._postponed):
            self._by_leaf = list(torch.autograd.grad(losses.sum(), list(self.leaves.values()), allow_unused=True))
        by_name = zip(self.leaves.items(), self._by_leaf, strict=True)
        self.unused = tuple(
            name for (name, leaf), gradient in by_name if gradient is None and leaf not in self._postponed
        )

    def rows(self, rows: slice) -> Tensor:
        """The last gradient of some members, (member, parameters); overwritten by the next call."""
        count = len(self._parameters[rows])
        if len(self._buffer) < count:
            self._buffer = torch.zeros_like(self._parameters[rows])
            self._slots = list(self._layout.views(self._buffer).values())
            self._padding = self._layout.padding(self._buffer)
        written, taken, empty = [], [], [*self._padding]  # an optimizer may have left something in the padding
        for slot, gradient, leaf in zip(self._slots, self._by_leaf, self.leaves.values(), strict=True):
            if leaf in self._postponed:
                self._postponed.write(leaf, rows, slot[:count])
                if gradient is not None:
                    slot[:count].add_(gradient[rows])
            elif gradient is None:
                empty.append(slot)
            else:
                written.append(slot[:count])
                taken.append(gradient[rows])
        if empty:
            torch._foreach_zero_(empty)
        if written:  # else all gradients were postponed, or none took part
            torch._foreach_copy_(written, taken)
        return self._buffer[:count]
