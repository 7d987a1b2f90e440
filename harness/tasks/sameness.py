"""Whether two sets of examples are the same ones: each a pair of inputs x (n, …) and targets y (n, …)."""

import torch
from torch import Tensor

Examples = tuple[Tensor, Tensor]

ROUNDING = 1e-3
"""In standard deviations."""


def same_test(one: Examples, other: Examples) -> bool:
    """Whether they are the same examples to be tested on: in whatever order, or with inputs of another scale, that of a training set."""
    return same_examples(one, other) or same_but_for_scale(one, other)


def same_examples(one: Examples, other: Examples) -> bool:
    """Whether they hold the same inputs with the same targets, to the bit, in whatever order."""
    if one[0].shape != other[0].shape:
        return False
    if all(torch.equal(*each) for each in zip(one, other, strict=True)):
        return True
    return not _sums_differ(one[0], other[0]) and sorted(_contents(one)) == sorted(_contents(other))


def _sums_differ(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors surely do not hold the same numbers in another order, by their sums; soon seen, where there are many."""
    a, b = a.double(), b.double()
    return bool((a.nansum() - b.nansum()).abs() > 1e-9 * a.abs().nansum())


def _contents(examples: Examples) -> list[tuple[bytes, bytes]]:
    return [(x.numpy().tobytes(), y.numpy().tobytes()) for x, y in zip(*examples, strict=True)]


def same_but_for_scale(one: Examples, other: Examples) -> bool:
    """Whether inputs agree in standard deviations from the mean of each, and targets do, example by example."""
    (x, y), (other_x, other_y) = one, other
    if not x.is_floating_point() or x.shape != other_x.shape or not torch.equal(y.nan_to_num(), other_y.nan_to_num()):
        return False
    return torch.allclose(_standardised(x), _standardised(other_x), atol=ROUNDING, equal_nan=True)


def _standardised(x: Tensor) -> Tensor:
    x = x.double()
    return (x - x.mean(0)) / x.std(0, correction=0).clamp(min=1e-12)
