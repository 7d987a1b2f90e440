"""`Task`: what a network is asked to learn, and from which examples."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from harness.layers.cross_entropy import cross_entropy
from harness.settings import Component


@dataclass(frozen=True)
class Data:
    """The examples one seed sees.

    Attributes:
        x: (examples, …) floating-point inputs, or int64 tokens. Seeds may share one tensor.
        y: (examples, …) int64 classes or floating-point targets.
        train, validation, test: int64 indices of examples, disjoint.
    """

    x: Tensor
    y: Tensor
    train: Tensor
    validation: Tensor
    test: Tensor


class Task(Component):
    """Base of all tasks: examples, split by seed, and how an output is scored.

    A task of a user's own overrides `data` and, where the defaults do not fit, `sizes`, `losses` and `errors`.
    """

    choice_of_examples: ClassVar[frozenset[str]] = frozenset()
    """Fields that change which examples are drawn and nothing else: runs that differ in them train together."""

    def data(self, seed: int) -> Data:
        """The examples of one seed; the same seed gives the same ones, always.

        Args:
            seed: index of the replicate.
        """
        raise NotImplementedError

    def fingerprint(self) -> str:
        """SHA-256 of the data where a file or an installed version decides it; "" where settings and seed do."""
        return ""

    def sizes(self, data: Data) -> dict[str, int]:
        """`inputs` and `outputs` of a model for this task."""
        classes = not data.y.is_floating_point()
        return {
            "inputs": data.x.shape[-1] if data.x.is_floating_point() else int(data.x.max()) + 1,
            "outputs": int(data.y.max()) + 1 if classes else data.y[0].numel(),
        }

    def losses(self, output: Tensor, y: Tensor) -> Tensor:
        """Loss of each example, (batch,): cross-entropy in nats for classes, mean squared error for real targets."""
        if y.is_floating_point():
            return (output.reshape(y.shape) - y).square().reshape(len(y), -1).mean(1)
        return cross_entropy(output.flatten(0, -2), y.flatten()).reshape(len(y), -1).mean(1)

    def errors(self, output: Tensor, y: Tensor) -> Tensor:
        """Error of each example, (batch,): share of wrong classes, or absolute error for real targets."""
        if y.is_floating_point():
            return (output.reshape(y.shape) - y).abs().reshape(len(y), -1).mean(1)
        return (output.argmax(-1) != y).to(output.dtype).reshape(len(y), -1).mean(1)


def split(n: int, parts: tuple[int, ...], generator: torch.Generator, *, block: int = 1) -> list[Tensor]:
    """Disjoint random index sets of the given sizes out of `range(n)`.

    The sizes are cut one after another from one random order, so the last set of a smaller call is a prefix of the last
    set of a larger one.

    Args:
        n: number of examples.
        parts: sizes of the sets, at most `n` together.
        generator: at the start of a stream.
        block: consecutive examples that stay together, as far as the sizes allow.
    """
    starts = torch.randperm(-(-n // block), generator=generator) * block
    order = (starts[:, None] + torch.arange(block)).flatten()
    return list(torch.split(order[order < n][: sum(parts)], list(parts)))
