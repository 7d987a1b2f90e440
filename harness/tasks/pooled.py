"""`Pooled`: base of the tasks whose seeds share one pool of examples and differ in how they split it."""

import hashlib
import os
import stat
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from harness.settings import Count, InvalidStudy, Note, Problem
from harness.settings.modules import class_with, owner_of
from harness.settings.randomness import ALL_SEEDS, stream
from harness.settings.show import counted
from harness.tasks.groups import numbered
from harness.tasks.splits import split
from harness.tasks.task import Data, Task


@dataclass(frozen=True)
class Sizes:
    """Numbers of examples in the three splits."""

    train: int
    validation: int
    test: int


class Pooled(Task):
    """A task with a `pool` of examples shared by all seeds.

    Test examples are fixed first, before any seed is looked at: the test set that the data come with, if they do, else
    some drawn from the pool (stream "test" of `ALL_SEEDS`). So all seeds, those that tune included, are tested on the same
    examples, and none trains or validates on one of them. A seed puts all the others in a random order (stream "split")
    and takes from it the validation, then the training examples. A smaller test set is part of a larger one, and so is
    a smaller training set of the same test set.

    Args:
        train_size: examples; None is all that are neither tested nor validated on.
        validation_size: examples; None is a fifth of all but a test set that the data come with, at most `most_held_out`.
        test_size: likewise; None is all of a test set that the data come with. A smaller one is drawn from it.
    """

    _: KW_ONLY
    train_size: Count | None = None
    validation_size: Count | None = None
    test_size: Count | None = None

    choice_of_examples: ClassVar[frozenset[str]] = Task.choice_of_examples | {"train_size"}
    most_held_out: ClassVar[int] = 10_000
    """Upper limit of the default validation and test sizes."""
    word_for_group: ClassVar[str] = "group"
    """What one of `groups` is called."""

    def pool(self) -> tuple[Tensor, Tensor]:
        """All examples, x (n, …) and y (n, …), the same tensor objects at every call.

        Raises:
            InvalidStudy: they cannot be had.
        """
        raise self._lacks("pool")

    def official_test(self) -> int:
        """How many of the pool's last examples are the test set that the data come with; 0: they come with none."""
        return 0

    def groups(self) -> Any:
        """The group of each example of the pool, (n,), of which all stay in one split: numbers or texts; None: there are none.

        Of a group in a test set that the data come with, nothing is trained or validated on.
        """
        return None

    def identity(self) -> str:
        """The class, and that its test examples are fixed: studies of before, which split all anew, are others."""
        return f"{super().identity()}, tested on fixed examples"

    def check(self) -> list[Problem]:
        """The pool can be had and is large enough, and has classes for label noise to replace."""
        if self.values().get("group") is not None and owner_of(class_with("groups", type(self))) == "user":
            return [Problem("group", "the class says groups of its own; leave one of them out")]
        try:
            x, y = self.pool()
            return self._size_problems(len(x)) + self.label_noise_problems(y)
        except InvalidStudy as error:
            return error.problems

    def prepared(self, x: Tensor, y: Tensor, train: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
        """The pool's x and y as networks see them.

        Args:
            x: of the pool.
            y: of the pool.
            train: indices of the seed's training examples: what is learned of inputs is learned from these alone.
            rest: of all that are not tested on, the same for all seeds: what is learned of targets is learned from these.
        """
        return x, y

    def draw(self, seed: int) -> Data:
        """The pool and the seed's split of it; see `Task.draw`."""
        x, y = self.pool()
        sizes = self._sizes(len(x))
        test, rest = self._held_out(len(x), sizes.test)
        parts = (sizes.validation, sizes.train)
        places = split(len(rest), parts, stream(seed, "split"), groups=self._groups_of(rest, len(x)))
        validation, train = (rest[at] for at in places)
        return Data(*self.prepared(x, y, train, rest), train, validation, test)

    def between_seeds(self, data: Data) -> str:
        """How the examples that are not tested on are split; see `Task.between_seeds`."""
        if type(self).draw is not Pooled.draw:
            return super().between_seeds(data)
        _, rest = self._held_out(len(data.x), len(data.test))
        used = len(data.train) + len(data.validation)
        some = f"{used:,} " if self.train_size is None and used < len(rest) else ""  # a size asked for is known
        return f"which {some}of the other {len(rest):,} they train and validate on"

    def together(self, examples: Tensor) -> str:
        """See `Task.together`."""
        groups = self._numbered(len(self.pool()[0])) if type(self).draw is Pooled.draw else None
        return "" if groups is None else counted(len(torch.unique(groups[examples])), self.word_for_group)

    def data_notes(self) -> list[Note]:
        """How many examples are left out since the test set has others of their groups, or since groups stay whole."""
        if self.groups() is None or type(self).draw is not Pooled.draw:
            return []
        n = len(self.pool()[0])
        test = self._sizes(n).test
        _, rest = self._held_out(n, test)
        return self._tested_notes(n - (self.official_test() or test) - len(rest)) + self._whole_notes(rest, n)

    def _tested_notes(self, out: int) -> list[Note]:
        """That so many examples are left out since the test set has others of their groups."""
        said = f"left out: the test set has {'others' if out > 1 else 'another'} of {'their groups' if out > 1 else 'its group'}"
        return [Note("groups", f"{counted(out, 'example is', 'examples are')} {said}")] if out else []

    def _whole_notes(self, rest: Tensor, n: int) -> list[Note]:
        """How many of the examples `rest`, of `n` those not tested on, are in no split of a seed, if no `train_size` is asked for."""
        sizes, groups = self._sizes(n), self._groups_of(rest, n)
        out = len(rest) - sizes.validation - sizes.train
        if groups is None or self.train_size is not None or not out:
            return []
        largest = int(groups.bincount().max())
        why = f"groups stay whole, the largest has {largest:,} examples, and all seeds train on as many"
        way_out = "fewer are with smaller groups, or with the largest as the test set"
        return [Note("groups", f"{counted(out, 'example is', 'examples are')} in no split of a seed: {why}; {way_out}")]

    def fixes_test(self) -> bool:
        """Whether all seeds are tested on the same examples: as they are drawn here, they are."""
        return type(self).draw is Pooled.draw or super().fixes_test()

    def _held_out(self, n: int, size: int) -> tuple[Tensor, Tensor]:
        """The test examples, so many, and all that may be trained and validated on, in order: int64 indices of `n`."""
        official = self.official_test()
        first = n - official if official else 0
        own = self._groups_of(torch.arange(first, n), n)
        (places,) = split(n - first, (size,), stream(ALL_SEEDS, "test"), groups=own)
        test = first + places
        free = torch.ones(n, dtype=torch.bool).index_fill_(0, test, False)
        free[n - official :] = False
        if (groups := self._numbered(n)) is not None:
            free &= ~torch.isin(groups, groups[first:] if official else groups[test])
        return test, free.nonzero()[:, 0]

    def _numbered(self, n: int) -> Tensor | None:
        """The groups of all `n` examples as numbers from 0, int64 (n,), if there are any; see `numbered`."""
        groups = self.groups()
        path = "groups" if self.values().get("group") is None else "group"
        return None if groups is None else numbered(groups, n, path)

    def _groups_of(self, examples: Tensor, n: int) -> Tensor | None:
        """The groups of some of all `n` examples as numbers from 0, int64 (examples,), if there are any."""
        groups = self._numbered(n)
        return None if groups is None else torch.unique(groups[examples], return_inverse=True)[1]

    def _sizes(self, n: int) -> Sizes:
        """The sizes asked for or taken by default; too small where `n` examples are not enough."""
        official = self.official_test()
        fifth = min(max((n - official) // 5, 1), self.most_held_out)
        validation = fifth if self.validation_size is None else self.validation_size
        test = (official or fifth) if self.test_size is None else self.test_size
        if self.train_size is not None:
            return Sizes(self.train_size, validation, test)
        return Sizes(self._most_trained(n, validation, test), validation, test)

    def _most_trained(self, n: int, validation: int, test: int) -> int:
        """Training examples that every seed has at least, whatever is left over of groups; below 1 if there are none."""
        official, groups = self.official_test(), self._numbered(n)
        if groups is None or test > (official or n):
            return n - (official or test) - validation
        _, rest = self._held_out(n, test)
        if not len(rest):
            return 0
        return len(rest) - validation - (int(groups[rest].bincount().max()) - 1)

    def _size_problems(self, n: int) -> list[Problem]:
        """Why `n` examples are too few for these sizes, if they are."""
        sizes, official = self._sizes(n), self.official_test()
        if official and sizes.test > official:
            return [Problem("test_size", f"at most {official}, which the data come with", str(sizes.test))]
        most, held = self._most_trained(n, sizes.validation, sizes.test), f"{sizes.validation} + {sizes.test}"
        if most < 1:
            besides = "" if self.groups() is None else ", besides those of groups that are tested on"
            message = f"validation_size + test_size must leave at least one of the {n} examples to train on{besides}"
            return [Problem("validation_size", message, held)]
        if sizes.train > most:
            whole = "" if self.groups() is None else ", and of those that stay together what is left over or tested on"
            message = (
                f"at most {most}: {n} examples less {sizes.validation} for validation and {sizes.test} for the test"
            )
            return [Problem("train_size", message + whole, str(sizes.train))]
        return []


class File(NamedTuple):
    """One version of a file: a cache keyed by it notices when the file changes."""

    path: str
    size_bytes: int
    changed_ns: int


def unusable(field: str, message: str, got: str = "") -> InvalidStudy:
    """The exception that a pool raises when what the setting `field` names cannot be used."""
    return InvalidStudy([Problem(field, message, got)])


def looked_in(path: str) -> str:
    """Where something was looked for that is not there: of a relative path the folder from which it was followed.

    >>> looked_in("/data/names.csv")
    ''
    """
    return "" if os.path.isabs(path) else f" in the working directory {os.getcwd()}"


def find(path: str, field: str) -> File:
    """The file at `path` ("~" is understood) as it is now.

    Raises:
        InvalidStudy: there is none, or it is a folder, empty or out of reach; the problem's path is `field`.
    """
    path = os.path.expanduser(path)
    try:
        found = os.stat(path)
    except FileNotFoundError:
        raise unusable(field, f"no such file{looked_in(path)}", path) from None
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
        sha.update(tensor.detach().cpu().contiguous().reshape(-1).numpy().data)
    return sha.hexdigest()
