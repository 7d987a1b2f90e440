"""`Pooled`: base of the tasks whose seeds share one pool of examples and differ in how they split it."""

import hashlib
import os
import stat
from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, NamedTuple

from torch import Tensor

from harness.settings import Count, InvalidStudy, Problem
from harness.settings.randomness import stream
from harness.tasks.task import Data, Task, split


@dataclass(frozen=True)
class Sizes:
    """Numbers of examples in the three splits."""

    train: int
    validation: int
    test: int

    @classmethod
    def out_of(cls, n: int, *, train: int | None, validation: int | None, test: int | None, most: int) -> "Sizes":
        """The sizes asked for; where None, a fifth of `n` but at most `most` is held out and the rest trained on.

        >>> Sizes.out_of(100, train=None, validation=None, test=30, most=10_000)
        Sizes(train=50, validation=20, test=30)
        """
        fifth = min(max(n // 5, 1), most)
        validation = fifth if validation is None else validation
        test = fifth if test is None else test
        return cls(n - validation - test if train is None else train, validation, test)

    def problems(self, n: int) -> list[Problem]:
        """Why `n` examples are too few for these sizes, if they are."""
        left = n - self.validation - self.test
        if left < 1:
            message = f"validation_size + test_size must leave at least one of the {n} examples to train on"
            return [Problem("validation_size", message, f"{self.validation} + {self.test}")]
        if self.train > left:
            message = f"at most {left}: {n} examples less {self.validation} for validation and {self.test} for the test"
            return [Problem("train_size", message, str(self.train))]
        return []


class Pooled(Task):
    """A task with a `pool` of examples shared by all seeds.

    A seed puts the pool in a random order (stream "split") and takes from it the test, the validation, then the
    training examples. So runs of one seed share what they are tested on, and a smaller training set is part of a
    larger one.

    Args:
        train_size: examples; None is all that are not held out.
        validation_size: examples; None is a fifth of all, at most `most_held_out`.
        test_size: likewise.
    """

    _: KW_ONLY
    train_size: Count | None = None
    validation_size: Count | None = None
    test_size: Count | None = None

    choice_of_examples: ClassVar[frozenset[str]] = Task.choice_of_examples | {"train_size"}
    most_held_out: ClassVar[int] = 10_000
    """Upper limit of the default validation and test sizes."""

    def pool(self) -> tuple[Tensor, Tensor]:
        """All examples, x (n, …) and y (n, …), the same tensor objects at every call.

        Raises:
            InvalidStudy: they cannot be had.
        """
        raise NotImplementedError

    def block(self) -> int:
        """Consecutive examples that stay in one split."""
        return 1

    def check(self) -> list[Problem]:
        """The pool can be had and is large enough, and has classes for label noise to replace."""
        try:
            x, y = self.pool()
        except InvalidStudy as error:
            return error.problems
        return self._sizes(len(x)).problems(len(x)) + self.label_noise_problems(y)

    def scaled(self, x: Tensor, train: Tensor) -> Tensor:
        """The pool's x as networks see it; what is learned for that is learned from the examples `train` alone."""
        return x

    def draw(self, seed: int) -> Data:
        """The pool and the seed's split of it; see `Task.draw`."""
        x, y = self.pool()
        sizes = self._sizes(len(x))
        parts = (sizes.test, sizes.validation, sizes.train)
        test, validation, train = split(len(x), parts, stream(seed, "split"), block=self.block())
        return Data(self.scaled(x, train), y, train, validation, test)

    def _sizes(self, n: int) -> Sizes:
        asked = {part: self.values()[f"{part}_size"] for part in ("train", "validation", "test")}
        return Sizes.out_of(n, **asked, most=self.most_held_out)


class File(NamedTuple):
    """One version of a file: a cache keyed by it notices when the file changes."""

    path: str
    size_bytes: int
    changed_ns: int


def unusable(field: str, message: str, got: str = "") -> InvalidStudy:
    """The exception that a pool raises when what the setting `field` names cannot be used."""
    return InvalidStudy([Problem(field, message, got)])


def find(path: str, field: str) -> File:
    """The file at `path` ("~" is understood) as it is now.

    Raises:
        InvalidStudy: there is none, or it is a folder, empty or out of reach; the problem's path is `field`.
    """
    path = os.path.expanduser(path)
    try:
        found = os.stat(path)
    except FileNotFoundError:
        raise unusable(field, "no such file", path) from None
    except (OSError, ValueError) as error:  # ValueError: a path that no file can have, e.g. with a null byte
        raise unusable(field, f"cannot be read: {error}") from None
    if not stat.S_ISREG(found.st_mode):
        raise unusable(field, "must be a file" + (", not a folder" if stat.S_ISDIR(found.st_mode) else ""), path)
    if not found.st_size:
        raise unusable(field, "the file is empty", path)
    return File(path, found.st_size, found.st_mtime_ns)


def read(file: File, field: str) -> bytes:
    """The content of a file.

    Raises:
        InvalidStudy: it cannot be read.
    """
    try:
        with open(file.path, "rb") as opened:
            return opened.read()
    except OSError as error:
        raise unusable(field, f"cannot be read: {error.strerror}", file.path) from None


def digest(*tensors: Tensor) -> str:
    """SHA-256 of the bytes of tensors, one after another, as hexadecimal digits."""
    sha = hashlib.sha256()
    for tensor in tensors:
        sha.update(tensor.detach().cpu().reshape(-1).numpy().data)
    return sha.hexdigest()
