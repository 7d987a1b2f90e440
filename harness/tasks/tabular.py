"""Tables: `Tabular`, classes or numbers to be predicted from the columns of a table."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from harness.settings import InvalidStudy, Note, Problem, nearest
from harness.settings.quantities import Hint
from harness.settings.show import counted, digits
from harness.tasks.columns import MISSING, Given, decimals
from harness.tasks.features import Column, Reader, group_places, same
from harness.tasks.loaded import loader
from harness.tasks.openml import download
from harness.tasks.pooled import File, Pooled, digest, find, unusable
from harness.tasks.remarks import Remarks
from harness.tasks.table_files import ENDINGS, appended, named, read_table
from harness.tasks.targets import target
from harness.tasks.task import Data

Place = Annotated[str | Path, Hint("a DataFrame is written to a file by frame.to_parquet(path)")]


class Tabular(Pooled):
    """Predict one column of a table from all others.

    What a column holds is found from its values, whatever type the file gives it, and what was not sure is said before
    anything trains:

    - Numbers, if at least nine of ten texts of each file are numbers, words for missing ones (`missing`) aside. They may be
      written with a decimal comma or with groups of thousands, by each file in its own way. Other texts among them are
      missing numbers. Given in standard deviations from their mean, both of the training examples alone; a column that is
      constant there is 0. A missing number is replaced by the training mean, and one more column says so with a 1 if any of
      the training examples lacks one.
    - Categories: all other texts, words such as "NA" among them, booleans, and the columns named in `categories`. They become
      one-hot, with a place for each value that the whole table has, and one for empty cells if there are any. A value that
      no training example has is 0 everywhere, as a number that is constant there.
    - Dates and times are refused, unless they are written as numbers, which is said, as are columns of which between half and nine tenths are numbers.

    A target without a value is refused; a text such as "None" is a class like any other, and so is a code such as "01" beside
    "1". A target of numbers is given in standard deviations from its mean, both of all rows that are not tested on: one unit
    of losses and errors for all seeds and training sizes.

    Sources:
        `breast_cancer`: 569 examples, 30 features, 2 classes (UCI, Wolberg et al. 1995), with scikit-learn.
        `wine`: 178 examples, 13 features, 3 classes (UCI, Aeberhard and Forina 1991), with scikit-learn.
        `diabetes`: 442 examples, 10 features, a number (Efron et al. 2004), with scikit-learn.
        `openml:ID`, `openml:NAME`: a table of openml.org; downloaded once, then kept and checked. Which rows its tasks test
            on scikit-learn does not read.
        a path that ends in `.csv` (with a header; UTF-8; parted by commas, semicolons, tabs or |) or `.parquet`.

    Args:
        source: where the table comes from.
        target: the column to predict; None is the one that the source names, if it does.
        without: columns to leave out, such as names, numbers that only identify, or what is known after the target.
        regression: whether the target is a number rather than a class; None: it is if its column holds numbers that are
            stored or written with decimals.
        missing: words, or numbers such as "-999", that stand for a missing number, in small or capital letters and in all
            columns; None: `harness.tasks.columns.MISSING`, which are "?", "-", "NA", "nan", "null", "None", "missing", "unknown" and such.
        categories: columns of numbers, dates or codes that are to be taken as categories; 1 and 1.0 are the same one.
        test: a file of rows to be tested on, with the same columns; None: some of the source's are kept for that.
        group: a column whose rows stay in one split where its values are the same, such as the name of a patient; it is no input.
            Of groups in `test` nothing is trained on. None: each row is its own.
        train_size, validation_size, test_size: examples; see `Pooled`.
    """

    source: Place = "breast_cancer"
    target: str | None = None
    without: tuple[str, ...] = ()
    regression: bool | None = None
    missing: tuple[str, ...] | None = None
    categories: tuple[str, ...] = ()
    test: Place | None = None
    group: str | None = None

    later: ClassVar[frozenset[str]] = Pooled.later | {"group"}

    def pool(self) -> tuple[Tensor, Tensor]:
        """Columns x (n, features), float64, numeric ones first, NaN where missing; y (n,), int64 classes or float64 numbers.

        The rows of a test file are the last ones.
        """
        table = self._table()
        return table.x, table.y

    def official_test(self) -> int:
        """Rows of the test file."""
        return self._table().official_test

    def groups(self) -> Any:
        """See `group`."""
        return self._table().groups

    def prepared(self, x: Tensor, y: Tensor, train: Tensor, rest: Tensor) -> tuple[Tensor, Tensor]:
        """Columns in float32, numbers standardised by the examples `train`, missing ones 0; numbers to predict by `rest`.

        Raises:
            InvalidStudy: a number is too far from those of `train` to be one of float32, or all to predict are the same.
        """
        table = self._table()
        numbers, others = x.tensor_split([table.numeric], 1)
        scaled = torch.cat([_standardised(numbers, train), others * others[train].any(0)], 1).float()
        names = [column.name for column in table.columns if column.levels is None]
        for name, finite in zip(names, scaled.isfinite().all(0).tolist(), strict=False):
            if not finite:
                raise unusable(
                    "source", f"the numbers of column {name!r} are too far apart to be standardised; is one an error?"
                )
        if not y.is_floating_point():
            return scaled, y
        targets = _standardised(y, rest).float()
        if not targets[rest].any():
            raise unusable(
                "target",
                "has one value only, but for rounding, in the rows that are not tested on: there is nothing to learn",
            )
        return scaled, targets

    def fingerprint(self) -> str:
        """SHA-256 of the columns, the target, and how many rows are those of the test file."""
        return digest(*self.pool(), torch.tensor([self.official_test()]))

    def data_notes(self) -> list[Note]:
        """How the table was understood where it was not sure."""
        return [*self._table().notes, *super().data_notes()]

    def unit(self) -> str:
        """The standard deviation in which numbers are predicted, in the unit of the table; see `Task.unit`."""
        x, y = self.pool()
        if not y.is_floating_point():
            return ""
        _, rest = self._held_out(len(x), self._sizes(len(x)).test)
        magnitude, _, deviation = _spread(y[rest])
        name = self._table().target.name
        return f"losses and errors of {name!r} are in its standard deviations, {digits(float(magnitude * deviation))} (squared for the loss)"

    def named_target(self, target: int) -> str:
        """A class as the table has it; see `Task.named_target`."""
        levels = self._table().target.levels
        return super().named_target(target) if levels is None else repr(levels[target])

    def named_inputs(self, data: Data) -> Iterator[tuple[str, Tensor]]:
        """The table's columns: numbers, NaN where missing, or the places of categories among all, int64, −1 where missing."""
        return ((f"column {column.name!r}", column.tensor()) for column in self._table().columns)

    def unscaled(self, data: Data) -> Tensor:
        """The columns of numbers as the table has them, (rows, columns)."""
        table = self._table()
        return table.x[:, : table.numeric]

    def _table(self) -> "_Table":
        source = str(self.source)
        file = find(source, "source") if _is_file(source) else None
        asked = _Asked(self.target, self.without, self.regression, self.missing, self.categories, self.group)
        if self.test is not None and not _is_file(str(self.test)):
            raise unusable("test", f"must be a file that ends in {' or '.join(ENDINGS)}", str(self.test))
        return _load(source, file, None if self.test is None else find(str(self.test), "test"), asked)


ROUNDING = 8 * float(np.finfo(np.float64).eps)
"""By which numbers that should be the same may differ, relative to the largest."""


def _is_file(source: str) -> bool:
    return os.path.splitext(source)[1].lower() in ENDINGS


def _standardised(values: Tensor, train: Tensor) -> Tensor:
    """Columns in standard deviations from the mean of the rows `train`; 0 if missing, or constant there but for rounding."""
    magnitude, mean, deviation = _spread(values[train])
    values = values / magnitude
    low, high = values[train].nan_to_num(nan=torch.inf).amin(0), values[train].nan_to_num(nan=-torch.inf).amax(0)
    varies = high - low > ROUNDING
    return torch.where(varies & ~values.isnan(), (values - mean) / deviation, 0.0)


def _spread(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of each column a magnitude, and in units of it the mean and the standard deviation."""
    magnitude = _magnitude(values)
    values = values / magnitude  # of about 1, so that no square is too large or too small for a number
    mean = values.nanmean(0)
    return magnitude, mean, (values - mean).square().nanmean(0).sqrt()


def _magnitude(values: Tensor) -> Tensor:
    """The power of two next to the largest number of each column: to divide by it rounds nothing."""
    exponent = torch.frexp(values.nan_to_num(nan=0.0).abs().amax(0)).exponent
    return torch.from_numpy(np.asarray(np.ldexp(1.0, exponent.numpy().clip(-1000, 1000))))


class _Asked(NamedTuple):
    """The settings that say what is made of a table."""

    target: str | None
    without: tuple[str, ...]
    regression: bool | None
    missing: tuple[str, ...] | None
    categories: tuple[str, ...]
    group: str | None

    def columns(self) -> dict[str, tuple[str, ...]]:
        """The columns besides the target that each setting names."""
        group = () if self.group is None else (self.group,)
        return {"without": self.without, "categories": self.categories, "group": group}


@dataclass(frozen=True)
class _Table:
    """Features x (n, features), the first `numeric` of them numbers, targets y (n,) of the column `target`, and the columns x was made of.

    The last `official_test` rows are those of the test file. Groups are int64 (n,), None where there are none.
    """

    x: Tensor
    y: Tensor
    target: Column
    numeric: int
    official_test: int
    columns: tuple[Column, ...]
    groups: Tensor | None
    notes: tuple[Note, ...]


_SHIPPED = ("breast_cancer", "wine", "diabetes")


@loader(most=4)
def _load(source: str, file: File | None, test: File | None, asked: _Asked) -> _Table:
    """The table of a source; `file` is the one it names, as it is now, and `test` that of the rows to be tested on."""
    frame, own, notes = _frame(source, file)
    tested = 0
    if test is not None:
        rows, said = read_table(test, "test")
        frame, tested, notes = appended(frame, rows), len(rows), notes + said
    name = own if asked.target is None else asked.target
    label = Given(str(name), _taken(frame, name, asked), tested=tested)
    missing = MISSING if asked.missing is None else asked.missing
    groups, of_groups = None, Remarks("group")
    if asked.group is not None:
        column = Given(asked.group, frame.pop(asked.group), tested=tested)
        groups = torch.from_numpy(group_places(column, missing, of_groups))
    if frame.empty:
        raise unusable(
            "source", "the table needs rows, and columns besides the target", counted(len(label.values), "row")
        )
    given = [Given(str(column), values, tested=tested) for column, values in frame.items()]
    of_texts = [g for g in (*given, label) if not (g.numeric or g.declared or g.name in asked.categories)]
    tables = [decimals(parts) for parts in zip(*(g.files for g in of_texts), strict=True)]
    reader = Reader(missing, asked.categories, tables, Remarks("source"))
    columns = tuple(reader.column(g) for g in given)
    remarks = Remarks("target")
    predicted = target(label, asked.regression, missing, tables, remarks)
    x = torch.from_numpy(np.concatenate(_features(columns), axis=1))
    notes += reader.remarks.notes() + remarks.notes() + of_groups.notes() + _unmet(asked.missing or (), reader.met)
    numeric = sum(column.levels is None for column in columns)
    return _Table(x, predicted.tensor(), predicted, numeric, tested, columns, groups, tuple(notes))


def _frame(source: str, file: File | None) -> tuple[pd.DataFrame, str | None, list[Note]]:
    """The frame of a source, the target that it names, and what is worth knowing of how it was read."""
    kind, _, name = source.partition(":")
    if file:
        frame, notes = read_table(file, "source")
        return frame, None, notes
    if source in _SHIPPED:
        return _shipped(source), "target", []
    if kind == "openml" and name:
        found = download(name, instead="a file, FILE.csv", as_frame=True, parser="liac-arff")
        return named(found.frame), found.target_names[0] if len(found.target_names) == 1 else None, []
    if os.path.isfile(os.path.expanduser(source)):
        raise unusable("source", f"must be a file that ends in {' or '.join(ENDINGS)}; save the table as one", source)
    valid = [*_SHIPPED, "openml:ID", "FILE.csv", "FILE.parquet"]
    raise unusable("source", f"unknown{nearest(source, valid)}", repr(source))


def _shipped(name: str) -> pd.DataFrame:
    from sklearn import datasets  # type: ignore[import-untyped,unused-ignore]  # here: it takes a second

    settings = {"scaled": False} if name == "diabetes" else {}  # the scaled ones know the mean of the test set
    frame: pd.DataFrame = getattr(datasets, f"load_{name}")(as_frame=True, **settings).frame
    return frame


def _taken(frame: pd.DataFrame, target: str | None, asked: _Asked) -> "pd.Series[Any]":
    """The target, taken out of the frame, as are the columns to be left out."""
    if target is None or target not in frame:
        message = "must name the column to predict" if target is None else "no such column"
        got = "" if target is None else target
        raise unusable("target", f"{message}{nearest(target or '', list(frame.columns))}", got)
    if target == asked.group:
        raise unusable("group", "cannot be the column to predict", target)
    if target in asked.categories:
        raise unusable("categories", "cannot name the target; use regression=False", target)
    if target in asked.without:
        raise unusable("without", "cannot name the column to predict, which is no input", target)
    y = frame.pop(target)
    lacking = [(field, name) for field, names in asked.columns().items() for name in names if name not in frame]
    if lacking:
        raise InvalidStudy([Problem(f, f"no such column{nearest(n, list(frame.columns))}", n) for f, n in lacking])
    for name in set(asked.without) - {asked.group}:
        del frame[name]
    if both := sorted(set(asked.without) & set(asked.categories)):
        raise unusable("categories", "is left out by `without`", both[0])
    if asked.group in asked.categories:
        raise unusable("categories", "cannot name the column of groups, which is no input", asked.group)
    return y


def _features(columns: tuple[Column, ...]) -> list[Any]:
    """Arrays (n, 1) of the numeric columns, then (n, levels) of the others and of what is missing."""
    numbers = [column.values[:, None] for column in columns if column.levels is None]
    others = [
        column.missing[:, None].astype(np.float64) if column.levels is None else column.one_hot()
        for column in columns
        if column.levels is not None or column.missing.any()
    ]
    return numbers + others


def _unmet(missing: tuple[str, ...], met: set[str]) -> list[Note]:
    """That words for missing numbers, which the user gave, occur nowhere."""
    unmet = [word for word in missing if same(word) not in met]
    return [Note("missing", f"{', '.join(map(repr, unmet))} is in no column of numbers")] if unmet else []
