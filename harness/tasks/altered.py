"""What a task alters of the examples that it has drawn: classes of some, and which are trained on."""

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from harness.tasks.task import Data


def with_label_noise(data: "Data", probability: float, classes: int, generator: torch.Generator) -> "Data":
    """The same examples, some of those to be trained on with other classes; see `Task`.

    Every example of the pool has uniform numbers of its own: one that decides whether it is replaced, and one for each
    of its classes that decides by which. So what is replaced is nested in `probability` and in the training set.

    Args:
        data: with int64 classes y, (examples,) or (examples, steps).
        probability: of an example to be replaced.
        classes: there are, at least 2.
        generator: at the start of a stream.
    """
    y = data.y.reshape(len(data.y), -1)
    uniform = torch.rand(len(y), 1 + y.shape[1], generator=generator)
    trained = torch.zeros(len(y), dtype=torch.bool).index_fill_(0, data.train, True)
    replaced = trained & (uniform[:, 0] < probability)
    other = (y + 1 + (uniform[:, 1:] * (classes - 1)).long()) % classes
    replaced = replaced[:, None] & (y >= 0)  # what is marked as not counting stays so
    return replace(data, y=torch.where(replaced, other, y).view_as(data.y), clean=data.y)


def bootstrap(data: "Data", generator: torch.Generator) -> "Data":
    """The same examples, trained on a sample of `train` with replacement, as large as it."""
    n = len(data.train)
    return replace(data, train=data.train[torch.randint(n, (n,), generator=generator)])
