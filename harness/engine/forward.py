"""The forward pass of all members as one program: `vmap` of the module that stands for them all."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import torch.nn as nn
from torch import Tensor
from torch.func import functional_call, vmap

from harness.engine.layers.dropout import dropouts

Score = Callable[[Tensor, Tensor], Tensor]
"""What is wanted of a member's output and its share of the targets."""


class Forward(Protocol):
    """A way to run the forward pass of all members."""

    def __call__(self, score: Score, tensors: dict[str, Tensor], x: Tensor, y: Tensor, *, train: bool) -> Tensor:
        """`score` of every member's output, (member, …).

        Args:
            score: see `Score`.
            tensors: what differs between members, by name, (member, …) each.
            x: (member, batch, …).
            y: (member, batch, …).
            train: the mode of the modules.
        """

    def draw(self) -> None:
        """New random numbers for modules that draw some themselves."""

    def threads(self) -> AbstractContextManager[None]:
        """The block's forward and backward passes run on as many threads as keep a member's numbers the same."""

    def compact(self, survivors: Tensor) -> None:
        """Go on with the members at these indices only."""


class Batched:
    """All members at once.

    Args:
        template: the module that stands for all members.
        shared: tensors by name that are the same for all members, without a member axis.
        aliases: further names of tensors, each with the first, see `stacking.aliases`.
    """

    def __init__(self, template: nn.Module, shared: dict[str, Tensor], aliases: dict[str, str]) -> None:
        self._template, self._shared, self._aliases = template, shared, aliases

    def __call__(self, score: Score, tensors: dict[str, Tensor], x: Tensor, y: Tensor, *, train: bool) -> Tensor:
        """See `Forward`."""
        self._template.train(train)

        def member(tensors: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
            return score(call(self._template, tensors | self._shared, self._aliases, x), y)

        return vmap(member)(tensors, x, y)

    def draw(self) -> None:
        """See `Forward`: batched modules draw none."""

    def threads(self) -> AbstractContextManager[None]:
        """See `Forward`: all there are; batched, a member's numbers do not depend on them."""
        return nullcontext()

    def compact(self, survivors: Tensor) -> None:
        """See `Forward`: nothing here belongs to a member."""


def call(module: nn.Module, tensors: dict[str, Tensor], aliases: dict[str, str], x: Tensor) -> Tensor:
    """One member's output from its parameters, buffers and masks by name, and its `x` (batch, …)."""
    for layer in dropouts(module).values():
        layer.rewind()
    tied = {alias: tensors[name] for alias, name in aliases.items()}
    output: Tensor = functional_call(module, tensors | tied, (x,), tie_weights=False)
    return output
