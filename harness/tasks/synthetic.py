"""Examples made to order: the test examples once, all others anew for every seed.

Long memory: `AddingProblem`, `TemporalOrder`, `CopyMemory`. Regression: `Friedman`.
"""

import math
from dataclasses import KW_ONLY
from typing import Annotated, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from harness.settings import Count, NonNegative, Problem
from harness.settings.machine import free_memory
from harness.settings.randomness import ALL_SEEDS, stream
from harness.tasks.task import Data, Task

BYTES = 100
"""Of memory for every uniform number, at most: itself, and the symbols and one-hot vectors made from it."""


class _Drawn(Task):
    """A task whose examples are made from uniform numbers, a row for each.

    Those of the test set come from the stream "test" of `ALL_SEEDS`, so that all seeds, those that tune included, are tested
    on the same examples; the others from the seed's stream "data", those of the validation set first. So a smaller test or
    training set is part of a larger one, and no size changes what another set holds.

    Args:
        train_size, validation_size, test_size: examples.
    """

    _: KW_ONLY
    train_size: Count = 5000
    validation_size: Count = 1000
    test_size: Count = 2000

    choice_of_examples: ClassVar[frozenset[str]] = Task.choice_of_examples | {"train_size"}

    def draw(self, seed: int) -> Data:
        """A fixed finite set of examples; see `Task.draw`."""
        parts = [self.test_size, self.validation_size, self.train_size]
        tested, others = stream(ALL_SEEDS, "test"), stream(seed, "data")
        uniform = [
            torch.rand(n, self._draws(), generator=own) for n, own in zip(parts, (tested, others, others), strict=True)
        ]
        x, y = self._examples(torch.cat(uniform))
        test, validation, train = torch.split(torch.arange(len(x)), parts)
        return Data(x, y, train, validation, test)

    def identity(self) -> str:
        """The class, and that its test examples are fixed: studies of before, which drew all anew, are others."""
        return f"{super().identity()}, tested on fixed examples"

    def between_seeds(self, data: Data) -> str:
        """That they are drawn; see `Task.between_seeds`."""
        return "the examples that they train and validate on, which are drawn anew"

    def check(self) -> list[Problem]:
        """The examples of a seed fit in memory, and there are classes for label noise to replace."""
        examples = self.test_size + self.validation_size + self.train_size
        needed, free = examples * self._draws() * BYTES, free_memory(torch.device("cpu"))
        if needed > free:
            path = "length" if "length" in self.values() else "train_size"
            message = (
                f"so large, {examples:,} examples need {needed / 2**30:,.0f} GiB of memory; {free / 2**30:.0f} are free"
            )
            return [Problem(path, message, str(self.values()[path]))]
        return self.label_noise_problems(self.draw(0).y) if self.label_noise else []

    def _draws(self) -> int:
        """Uniform numbers that make one example."""
        raise self._lacks("_draws")

    def _examples(self, uniform: Tensor) -> tuple[Tensor, Tensor]:
        """The examples, x and y, made from `uniform` (n, draws), values in [0, 1)."""
        raise self._lacks("_examples")


def _whole(uniform: Tensor, low: int, high: int) -> Tensor:
    """Whole numbers from `low` to `high`, both included, one for each uniform number."""
    return low + (uniform * (high - low + 1)).long()


RECALLED = 10
"""Symbols to be recalled in `CopyMemory`, as published."""


class AddingProblem(_Drawn):
    """Add the two marked numbers of a sequence (Hochreiter and Schmidhuber 1997, experiment 4).

    The variant of Arjovsky et al. 2016 (arXiv:1511.06464): x (n, length, 2) holds numbers from U(0, 1) and
    markers, 1 at one step of the first half and at one of the second, 0 elsewhere; the target y (n,) is the sum of
    the two marked numbers. Always answering 1 gives a mean squared error of 1/6, the variance of the target.

    Args:
        length: time steps; of an odd number the second half has one more.
        train_size, validation_size, test_size: sequences.
    """

    length: Annotated[int, Field(ge=2)] = 50

    _: KW_ONLY
    target_error: NonNegative = 0.01

    def errors(self, output: Tensor, y: Tensor) -> Tensor:
        """1 where the answer is off by more than 0.04, else 0, (batch,).

        The bound is Hochreiter and Schmidhuber's, who applied it to half the sum: here it is twice as strict.
        """
        return (super().errors(output, y) > 0.04).to(output.dtype)

    def _draws(self) -> int:
        return self.length + 2

    def _examples(self, uniform: Tensor) -> tuple[Tensor, Tensor]:
        numbers, places, half = uniform[:, : self.length], uniform[:, self.length :], self.length // 2
        marked = torch.stack([_whole(places[:, 0], 0, half - 1), _whole(places[:, 1], half, self.length - 1)], 1)
        markers = torch.zeros_like(numbers).scatter_(1, marked, 1.0)
        return torch.stack([numbers, markers], 2), numbers.gather(1, marked).sum(1)


class TemporalOrder(_Drawn):
    """Tell in which order two relevant symbols came (Hochreiter and Schmidhuber 1997, experiment 6a).

    As in Pascanu et al. 2013 (arXiv:1211.5063): x (n, length, 6) is a sequence of symbols a … f, one-hot.
    Two of them are a or b: one at a step, counted from 0, within [T/10, 2T/10] and one within [4T/10, 5T/10], bounds
    rounded down and included. All others are distractors c … f. The classes y (n,) are 0 for aa, 1 for ab, 2 for ba,
    3 for bb. As there, the task is solved by fewer than 1 % of errors.

    Args:
        length: time steps T, at least 10.
        train_size, validation_size, test_size: sequences.
    """

    length: Annotated[int, Field(ge=10)] = 50

    _: KW_ONLY
    target_error: NonNegative = 0.01

    def _draws(self) -> int:
        return self.length + 4

    def _examples(self, uniform: Tensor) -> tuple[Tensor, Tensor]:
        length, choices = self.length, uniform[:, self.length :]
        places = [
            _whole(choices[:, i], start * length // 10, (start + 1) * length // 10) for i, start in ((0, 1), (1, 4))
        ]
        relevant = _whole(choices[:, 2:], 0, 1)  # 0: a, 1: b
        symbols = _whole(uniform[:, :length], 2, 5).scatter_(1, torch.stack(places, 1), relevant)
        return F.one_hot(symbols, 6).float(), 2 * relevant[:, 0] + relevant[:, 1]


class CopyMemory(_Drawn):
    """Recall ten symbols after a delay (Arjovsky et al. 2016, arXiv:1511.06464, after Hochreiter and Schmidhuber 1997).

    x (n, delay + 20) holds int64 tokens: ten symbols 0 … 7, then `delay` − 1 blanks (8), the signal to recall (9) and ten
    blanks. The classes y (n, delay + 20) are blanks but for the last ten, the symbols. Without memory the best loss is
    that of blanks and then guesses, 10 ln 8 / (delay + 20) nats a step.

    Args:
        delay: T, time steps from the last symbol to the signal.
    """

    delay: Count = 50

    _: KW_ONLY
    target_error: NonNegative = 0.01

    def errors(self, output: Tensor, y: Tensor) -> Tensor:
        """Share of the ten symbols that are not recalled, (batch,); 7/8 when guessed."""
        return super().errors(output[:, -RECALLED:], y[:, -RECALLED:])

    def _draws(self) -> int:
        return RECALLED

    def _examples(self, uniform: Tensor) -> tuple[Tensor, Tensor]:
        symbols, waiting = _whole(uniform, 0, 7), torch.full((len(uniform), self.delay + RECALLED), 8)
        x, y = torch.cat([symbols, waiting], 1), torch.cat([waiting, symbols], 1)
        x[:, -RECALLED - 1] = 9
        return x, y


class Friedman(_Drawn):
    """Regress a smooth function of five features among others that do not matter (Friedman 1991, problem 1).

    x (n, features) from U(0, 1); the target y (n,) is 10 sin(π x₁ x₂) + 20 (x₃ − 1/2)² + 10 x₄ + 5 x₅ + ε with normal ε.

    Args:
        features: at least 5; the first five matter.
        noise: standard deviation of ε; its square is the least mean squared error there can be.
    """

    features: Annotated[int, Field(ge=5)] = 10
    noise: NonNegative = 1.0

    choice_of_examples: ClassVar[frozenset[str]] = _Drawn.choice_of_examples | {"noise"}

    def _draws(self) -> int:
        return self.features + 2

    def _examples(self, uniform: Tensor) -> tuple[Tensor, Tensor]:
        x, (one, other) = uniform[:, : self.features].contiguous(), uniform[:, self.features :].unbind(1)
        normal = (-2 * torch.log1p(-one)).sqrt() * torch.cos(2 * math.pi * other)  # Box and Muller 1958
        smooth = 10 * torch.sin(math.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5).square()
        return x, smooth + 10 * x[:, 3] + 5 * x[:, 4] + self.noise * normal
