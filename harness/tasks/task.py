"""`Task`: what a network is asked to learn, and from which examples."""

import functools
import inspect
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.settings import Component, Fraction, InvalidStudy, NonNegative, Note, Problem
from harness.settings.arrays import array_text
from harness.settings.machine import one_thread
from harness.settings.modules import class_with, owner_of
from harness.settings.randomness import stream
from harness.settings.reach import digest
from harness.tasks.altered import bootstrap, with_label_noise
from harness.tasks.sameness import Examples, same_examples, same_test

Differ = Literal["all", "data", "noise"]
"""What differs between seeds: all that is drawn, only the examples, or only the noise of training."""


@dataclass(frozen=True)
class Data:
    """The examples one seed sees.

    Attributes:
        x: (examples, …) float32 inputs, or int64 tokens. Seeds may share one tensor.
        y: (examples, …) int64 classes or floating-point targets, as the network is given them. Negative classes and NaN
            are for tasks with `losses` and `errors` of their own.
        train, validation, test: int64 indices of examples, none in two of them; a bootstrap repeats some in `train`.
        clean: y without label noise; None where there is none.
    """

    x: Tensor
    y: Tensor
    train: Tensor
    validation: Tensor
    test: Tensor
    clean: Tensor | None = None

    @property
    def flipped(self) -> Tensor:
        """The training examples whose classes label noise has replaced: int64 indices, in the order of `train`."""
        if self.clean is None:
            return self.train[:0]
        changed = self.y[self.train] != self.clean[self.train]
        return self.train[changed.reshape(len(changed), -1).any(1)]

    def tested(self) -> Examples:
        """The test examples, x and y without label noise."""
        return self.examples(self.test)

    def examples(self, split: Tensor) -> Examples:
        """The examples at these indices, x and y without label noise."""
        return self.x[split], (self.y if self.clean is None else self.clean)[split]


class Task(Component):
    """Base of all tasks: examples, split by seed, and how an output is scored.

    Test examples are fixed first: the shipped tasks test all seeds, those that tune included, on the same ones, and train
    and validate on none of them. A task of a user's own overrides `draw` and, where the defaults do not fit, `sizes`,
    `losses`, `guess_losses` and `errors`; where its test examples differ between seeds, that is said before anything trains. Its own
    `losses` and `errors` give a finite number for each example and leave what they are given as it is; errors may be any such numbers.

    Args:
        label_noise: probability with which the class of a training example is replaced by another one, drawn uniformly
            (symmetric label noise; van Rooyen et al. 2015, arXiv:1505.07634). Where every step of a sequence has a class,
            all of an example are replaced or none. Examples replaced at one level are at every higher one. Validation
            and test keep their classes.
        resample: what differs between the data of two seeds, beside the test examples, which are the same. `split`: which
            of the other examples are trained and which validated on, split or drawn anew. `bootstrap`: all share the
            splits of seed 0, and each trains on a bootstrap sample of the training set, as large as it (Efron 1979).
            `none`: nothing, so that the spread over seeds is that of training alone (Bouthillier et al. 2021,
            arXiv:2103.03098). A verdict is conditional on what does not differ: see `harness.tasks.scope`.
        target_error: the task counts as solved once the error on validation examples is below this; 0: never asked.
    """

    _: KW_ONLY
    label_noise: Fraction = 0.0
    resample: Literal["split", "bootstrap", "none"] = "split"
    target_error: NonNegative = 0.0

    choice_of_examples: ClassVar[frozenset[str]] = frozenset({"label_noise", "resample", "target_error"})
    """Fields that change which examples are drawn, or nothing of training: runs that differ in them train together."""

    def kinds(self) -> dict[str, Any]:
        """Field names and their annotated types, a task's own before those that it shares with others."""
        kinds = super().kinds()
        return {name: kinds[name] for name in _own_first(type(self)) if name in kinds}  # type: ignore[arg-type]

    @one_thread()
    def data(self, seed: int) -> Data:
        """The examples of one seed, with label noise and resampled; the same seed gives the same ones, always, by one thread.

        Args:
            seed: index of the replicate.

        Raises:
            InvalidStudy: the task has problems.
        """
        if found := self.problems():
            raise InvalidStudy(found)
        origin = seed if self.resample == "split" else 0
        data = self.draw(origin)
        if not isinstance(data, Data):
            raise InvalidStudy([Problem("draw", "must return `harness.tasks.Data`", type(data).__name__)])
        if found := self.label_noise_problems(data.y):
            raise InvalidStudy(found)
        if self.label_noise:
            classes = self.sizes(data)["outputs"]
            data = with_label_noise(data, self.label_noise, classes, stream(origin, "label noise"))
        return bootstrap(data, stream(seed, "bootstrap")) if self.resample == "bootstrap" else data

    def draw(self, seed: int) -> Data:
        """The examples of one seed before `label_noise` and `resample` act; the same seed gives the same ones, always.

        Args:
            seed: index of the replicate.
        """
        raise self._lacks("draw")

    def between_seeds(self, data: Data) -> str:
        """What differs between the examples of two seeds where they are not resampled, in words; "" for nothing.

        As far as seeds 0 and 1 tell; their order counts for nothing.

        Args:
            data: of seed 0.
        """
        other = self.data(1)
        pairs = {"train": (data.train, other.train), "validate": (data.validation, other.validation)}
        differing = [to for to, (a, b) in pairs.items() if not same_examples(data.examples(a), other.examples(b))]
        return f"the examples that they {' and '.join(differing)} on" if differing else ""

    def together(self, examples: Tensor) -> str:
        """Of how many groups that stay in one split some examples are, int64 indices of the data, in words; "" where each is its own."""
        return ""

    def fixes_test(self) -> bool:
        """Whether all seeds are tested on the same examples, as far as seeds 0 and 1 tell.

        They may come in another order, and each input may have another scale: that of the seed's training examples.
        """
        return same_test(self.data(0).tested(), self.data(1).tested())

    def label_noise_problems(self, y: Tensor) -> list[Problem]:
        """Why the targets y cannot have the label noise asked for, if they cannot."""
        if not self.label_noise or (not y.is_floating_point() and y.max() > 0):
            return []
        there = "are numbers" if y.is_floating_point() else "hold one class only"
        message = f"needs two classes or more, and the targets of this task {there}; leave it at 0"
        return [Problem("label_noise", message, str(self.label_noise))]

    def fingerprint(self) -> str:
        """SHA-256 of the data where a file or an installed version decides it; "" where settings and seed do."""
        return ""

    def data_digest(self) -> str:
        """What its data are known by: `fingerprint`; for a task of a user's own without one, a digest of the examples of seed 0.

        Raises:
            Exception: the data cannot be had.
        """
        whose = class_with("fingerprint", type(self))
        if owner_of(type(self)) != "user" or owner_of(whose) == "user":
            return self.fingerprint()
        if "_data_digest" not in self.__dict__:
            data = vars(self.data(0)).values()
            self.__dict__["_data_digest"] = digest([None if part is None else array_text(part) for part in data])
        return str(self.__dict__["_data_digest"])

    def data_notes(self) -> list[Note]:
        """What a user should know about the data before anything trains, such as how a file was understood."""
        return []

    def unit(self) -> str:
        """In what unit losses and errors are, a clause for a user; "" where it is that of the targets as they were given."""
        return ""

    def named_target(self, target: int) -> str:
        """A class or token, counted from 0, as a user knows it."""
        return str(target)

    def named_inputs(self, data: Data) -> Iterator[tuple[str, Tensor]]:
        """Every input alone with its name: (examples,) each, floating-point numbers, NaN where missing, or int64 tokens or categories."""
        places = np.ndindex(tuple(data.x.shape[1:]))
        return ((f"input {', '.join(map(str, place))}", data.x[(..., *place)]) for place in places)

    def unscaled(self, data: Data) -> Tensor:
        """The inputs (examples, …) before each was scaled by itself, in which the same number is the same in all of them."""
        return data.x

    def sizes(self, data: Data) -> dict[str, int]:
        """`inputs` and `outputs` of a model for this task."""
        y = data.y if data.clean is None else data.clean
        return {
            "inputs": data.x.shape[-1] if data.x.is_floating_point() else int(data.x.max()) + 1,
            "outputs": y[0].numel() if y.is_floating_point() else int(y.max()) + 1,
        }

    def losses(self, output: Tensor, y: Tensor) -> Tensor:
        """Loss of each example, (batch,): cross-entropy in nats for classes, mean squared error for real targets."""
        if y.is_floating_point():
            return (_like(output, y) - y).square().reshape(len(y), -1).mean(1)
        return F.cross_entropy(output.flatten(0, -2), y.flatten(), reduction="none").reshape(len(y), -1).mean(1)

    def guess_losses(self, y: Tensor) -> Tensor:
        """Loss of each example, (examples,), of the best constant answer to all of them: who ends no better has not learned.

        The cross-entropy of the classes' frequencies in nats, over all positions that have a class; for real targets the squared
        deviation from each target's mean. NaN where all targets are the same. A task with `losses` of its own is not asked unless it
        has a `guess_losses` of its own as well.

        Args:
            y: (examples, …) all training targets.
        """
        if y.is_floating_point():
            losses = (y - y.mean(0)).square().reshape(len(y), -1).mean(1)
            return torch.full_like(losses, torch.nan) if (y == y[:1]).all() else losses
        frequencies = torch.bincount(y.flatten()).double() / y.numel()
        losses = -frequencies.log()[y].reshape(len(y), -1).mean(1)
        return torch.full_like(losses, torch.nan) if (frequencies == 1).any() else losses

    @classmethod
    def can_guess(cls) -> bool:
        """Whether `guess_losses` is of these `losses`: not where a class has losses of its own and leaves the guess as it was."""
        return _goes_with_losses("guess_losses", cls)

    @classmethod
    def knows_errors(cls, y: Tensor) -> bool:
        """Whether `errors` is of these `losses`: not where a class has losses of its own of numbers and leaves the error as it was.

        The outputs may then be anything, such as logits, whose distance from a number is no error.

        Args:
            y: (examples, …) targets.
        """
        return not y.is_floating_point() or _goes_with_losses("errors", cls)

    def errors(self, output: Tensor, y: Tensor) -> Tensor:
        """Error of each example, (batch,): share of wrong classes, or absolute error for real targets."""
        if y.is_floating_point():
            return (_like(output, y) - y).abs().reshape(len(y), -1).mean(1)
        return (output.argmax(-1) != y).to(output.dtype).reshape(len(y), -1).mean(1)


def _goes_with_losses(name: str, task: type[Task]) -> bool:
    """Whether a method was written for a task's `losses`: in the class that has these, or in one derived from it."""
    return issubclass(class_with(name, task), class_with("losses", task))


def _like(output: Tensor, y: Tensor) -> Tensor:
    """An output in the shape of its targets, (batch, …).

    Raises:
        ValueError: it does not fit, see `fits`.
    """
    if not fits(output, y):
        raise ValueError(f"outputs {tuple(output.shape)} do not fit the targets {tuple(y.shape)}")
    return output.reshape(y.shape)


def fits(output: Tensor, y: Tensor) -> bool:
    """Whether each number of an output is for one of the targets, (batch, …), in their order.

    Axes of one place may be more or fewer, and those of an example may be one row. Other axes mean other numbers: an output
    (time, batch) is not of targets (batch, time).
    """
    rows = output.shape == (len(y), y[:1].numel())
    return rows or [n for n in output.shape if n > 1] == [n for n in y.shape if n > 1]


@functools.cache
def _own_first(task: type) -> tuple[str, ...]:
    """Everything annotated in a class and then in its bases."""
    return tuple(dict.fromkeys(name for cls in task.__mro__ for name in inspect.get_annotations(cls)))
