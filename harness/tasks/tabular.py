"""Tables: `Tabular`, classes or numbers to be predicted from the columns of a table."""

import os
from dataclasses import dataclass
from functools import lru_cache, partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from pandas.api import types
from torch import Tensor

from harness.settings import nearest
from harness.tasks.openml import download
from harness.tasks.pooled import File, Pooled, digest, find, read, unusable

MOST_LEVELS = 256
"""Different values of a column of categories, at most: with more it is a name or a text."""


class Tabular(Pooled):
    """Predict one column of a table from all others.

    Numeric columns are given in standard deviations from their mean, both of the training examples alone; a column that is
    constant there is 0. A column of texts, booleans or categories becomes one-hot, with a place for each value that the
    whole table has. Where a number is missing it is replaced by the training mean, and one more column says so with a 1; a
    missing category is a category of its own. A missing target is refused. A target of numbers is given in standard
    deviations from its mean, both of the whole table: one unit of losses and errors for all seeds and training sizes.

    Sources:
        `breast_cancer`: 569 examples, 30 features, 2 classes (UCI, Wolberg et al. 1995), with scikit-learn.
        `wine`: 178 examples, 13 features, 3 classes (UCI, Aeberhard and Forina 1991), with scikit-learn.
        `diabetes`: 442 examples, 10 features, a number (Efron et al. 2004), with scikit-learn.
        `openml:ID`, `openml:NAME`: a table of openml.org; downloaded once, then kept and checked.
        a path that ends in `.csv` (UTF-8, with commas and a header) or `.parquet`.

    Args:
        source: where the table comes from.
        target: the column to predict; None is the one that the source names, if it does.
        without: columns to leave out, such as names, numbers that only identify, or what is known after the target.
        regression: whether the target is a number rather than a class; None: it is if its column holds floating-point
            numbers.
        train_size, validation_size, test_size: examples; see `Pooled`.
    """

    source: str | Path = "breast_cancer"
    target: str | None = None
    without: tuple[str, ...] = ()
    regression: bool | None = None

    def pool(self) -> tuple[Tensor, Tensor]:
        """Columns x (n, features), float64, numeric ones first, NaN where missing; y (n,), int64 or float32."""
        table = self._table()
        return table.x, table.y

    def scaled(self, x: Tensor, train: Tensor) -> Tensor:
        """Columns in float32, numbers standardised by the examples `train`, missing ones 0."""
        numbers, others = x.tensor_split([self._table().numeric], 1)
        return torch.cat([_standardised(numbers, train), others], 1).float()

    def fingerprint(self) -> str:
        """SHA-256 of the columns and the target."""
        return digest(*self.pool())

    def _table(self) -> "_Table":
        source = str(self.source)
        file = find(source, "source") if os.path.splitext(source)[1].lower() in _READERS else None
        return _load(source, file, self.target, self.without, self.regression)


def _standardised(values: Tensor, train: Tensor) -> Tensor:
    """Columns in standard deviations from the mean of the rows `train`; 0 if missing, or constant there but for rounding."""
    mean = values[train].nanmean(0)
    deviation = (values[train] - mean).square().nanmean(0).sqrt()
    varies = deviation > 1e-12 * mean.abs()
    return torch.where(varies & ~values.isnan(), (values - mean) / deviation, 0.0)


@dataclass(frozen=True)
class _Table:
    """Columns x (n, features), the first `numeric` of them numbers, and targets y (n,)."""

    x: Tensor
    y: Tensor
    numeric: int


_READERS = {".csv": partial(pd.read_csv, low_memory=False), ".parquet": pd.read_parquet}
_SHIPPED = ("breast_cancer", "wine", "diabetes")


@lru_cache(maxsize=4)
def _load(
    source: str, file: File | None, target: str | None, without: tuple[str, ...], regression: bool | None
) -> _Table:
    """The table of a source; `file` is the one it names, as it is now."""
    kind, _, name = source.partition(":")
    if file:
        frame, own = _read(file), None
    elif source in _SHIPPED:
        frame, own = _shipped(source), "target"
    elif kind == "openml" and name:
        found = download(name, instead="a file, FILE.csv", as_frame=True, parser="liac-arff")
        frame, own = found.frame, found.target_names[0] if len(found.target_names) == 1 else None
    else:
        valid = [*_SHIPPED, "openml:ID", "FILE.csv", "FILE.parquet"]
        raise unusable("source", f"unknown{nearest(source, valid)}", repr(source))
    frame.columns = [str(column) for column in frame.columns]
    target = own if target is None else target
    if target is None or target not in frame:
        message = "must name the column to predict" if target is None else "no such column"
        raise unusable(
            "target",
            f"{message}{nearest(target or '', list(map(str, frame.columns)))}",
            "" if target is None else target,
        )
    y = frame.pop(target)
    for name in without:
        if name not in frame:
            raise unusable("without", f"no such column{nearest(name, list(map(str, frame.columns)))}", name)
        del frame[name]
    if frame.empty:
        raise unusable("source", "the table needs rows, and columns besides the target", f"{len(y)} rows")
    numbers, others = _columns(frame)
    x = torch.from_numpy(np.concatenate([*numbers, *others], axis=1))
    return _Table(x, _targets(y, regression), sum(column.shape[1] for column in numbers))


def _shipped(name: str) -> pd.DataFrame:
    from sklearn import datasets  # type: ignore[import-untyped,unused-ignore]  # here: it takes a second

    settings = {"scaled": False} if name == "diabetes" else {}  # the scaled ones know the mean of the test set
    frame: pd.DataFrame = getattr(datasets, f"load_{name}")(as_frame=True, **settings).frame
    return frame


def _read(file: File) -> pd.DataFrame:
    ending = os.path.splitext(file.path)[1].lower()
    try:
        frame: pd.DataFrame = _READERS[ending](BytesIO(read(file, "source")))  # type: ignore[operator]
    except (ValueError, OSError, ArithmeticError) as error:  # of pandas and of Arrow
        reason = str(error).strip().splitlines()[0]
        raise unusable("source", f"cannot be read as {ending}: {reason}", file.path) from None
    if ending == ".csv" and not frame.index.equals(pd.RangeIndex(len(frame))):
        raise unusable("source", "the rows have more values than the header has names", file.path)
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise unusable("source", "the columns must have different names", f"two are called {twice!r}")
    return frame


def _columns(frame: pd.DataFrame) -> tuple[list[Any], list[Any]]:
    """Arrays (n, 1) of the numeric columns, and (n, levels) of the others and of what is missing."""
    numbers, others = [], []
    for name, column in frame.items():
        missing = column.isna().to_numpy()
        if missing.all():
            raise unusable("source", f"column {name!r} has no values; leave it out, without=({name!r},)")
        if _numeric(column):
            numbers.append(_floats(column, "source")[:, None])
            if missing.any():
                others.append(missing[:, None].astype(np.float64))
        else:
            others.append(_one_hot(column, missing))
    return numbers, others


def _numeric(column: "pd.Series[Any]") -> bool:
    return types.is_numeric_dtype(column) and not types.is_bool_dtype(column)


def _floats(column: "pd.Series[Any]", field: str) -> Any:
    """The numbers of a column (n,), float64, NaN where missing."""
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    if (endless := np.isinf(values)).any():
        raise unusable(field, f"all numbers of column {column.name!r} must be finite", f"{endless.sum()} are not")
    return values


def _one_hot(column: "pd.Series[Any]", missing: Any) -> Any:
    """A column of ones and zeros for each text of a column, in their order, and one for what is missing, if any is."""
    if types.is_datetime64_any_dtype(column) or types.is_timedelta64_dtype(column):
        raise unusable("source", f"column {column.name!r} holds dates; turn them into numbers or leave it out")
    codes, levels = _coded(column, "source", f"is it a name? Leave it out, without=({column.name!r},)")
    vectors = np.eye(len(levels) + 1)[np.where(missing, len(levels), codes)]
    return vectors if missing.any() else vectors[:, :-1]


def _coded(column: "pd.Series[Any]", field: str, way_out: str) -> tuple[Any, Any]:
    """Each value as the place of its kind among all, in order (−1 where missing), and the kinds."""
    values = column if _numeric(column) else column.astype("str")
    codes, levels = pd.factorize(values.where(column.notna()), sort=True)
    if len(levels) > MOST_LEVELS:
        message = f"column {column.name!r} has {len(levels):,} different values, at most {MOST_LEVELS} are categories"
        raise unusable(field, f"{message}; {way_out}")
    return codes, levels


def _targets(y: "pd.Series[Any]", regression: bool | None) -> Tensor:
    """The target column as classes (n,), int64, or as standardised numbers (n,), float32."""
    if missing := int(y.isna().sum()):
        raise unusable(
            "target", f"column {y.name!r} must have a value in every row; remove the others", f"{missing} lack it"
        )
    y = y if _numeric(y) else y.astype("str")
    if y.nunique() < 2:
        raise unusable("target", f"column {y.name!r} has one value only: there is nothing to learn", str(y.iloc[0]))
    if types.is_float_dtype(y) if regression is None else regression:
        if not _numeric(y):
            message = f"needs a column of numbers, and {y.name!r} holds texts; use regression=False"
            raise unusable("regression", message, repr(y.iloc[0]))
        numbers = torch.tensor(_floats(y, "target"))
        return _standardised(numbers, torch.arange(len(numbers))).float()
    if types.is_float_dtype(y) and (_floats(y, "target") % 1 != 0).any():
        raise unusable(
            "regression", f"column {y.name!r} holds fractions, which are no classes; use regression=True", "False"
        )
    way_out = "use regression=True" if _numeric(y) else "merge some"
    return torch.tensor(_coded(y, "target", way_out)[0], dtype=torch.int64)
