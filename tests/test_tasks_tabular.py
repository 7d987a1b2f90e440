"""Tables and data sets of a user's own: columns, training statistics, downloads, and what is said about bad input."""

import gzip
import hashlib
import html
import io
import re
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pytest
import sklearn.datasets
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from sklearn.compose import make_column_transformer
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from test_tasks import only_problem
from torch.utils.data import ConcatDataset, Dataset, IterableDataset, TensorDataset

from harness import Study, run
from harness.models import DropoutNet
from harness.settings import InvalidStudy
from harness.study.scope import scope
from harness.tasks import Images, Tabular, Tensors, from_dataset
from harness.tasks.doubts import lacking_classes
from harness.tasks.numerals import Numerals

BUNDLED = Path(sklearn.datasets.__file__).parent / "tests/data/openml"


def table(path, **columns):
    """A file with 20 rows of a number, a category and a class, some columns changed."""
    n = 20
    frame = {"size": np.arange(n) * 1.5, "kind": ["a", "b"] * 10, "y": ["yes", "no", "no", "yes"] * 5} | columns
    frame = pd.DataFrame({name: column for name, column in frame.items() if column is not None})
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, index=False)
    return Tabular(path, target="y")


def test_a_class_is_called_what_the_table_calls_it(tmp_path):
    """Of the rows that are tested on one alone is 'yes', the second of the classes in order."""
    task = table(tmp_path / "t.csv", y=["no", "yes"] * 10)
    tested = table(tmp_path / "tested.csv", y=["no"] * 19 + ["yes"])
    task = task.replace(test=tested.source)
    doubt = lacking_classes(task, task.data(0))
    assert doubt is not None and doubt.sentence == "class 'yes' is tested on a single example"


# ---------------------------------------------------------------- columns


@pytest.mark.parametrize("name", ["breast_cancer", "wine", "diabetes"])
def test_shipped_tables_are_those_of_scikit_learn_standardised_by_the_training_split(name):
    raw = {"scaled": False} if name == "diabetes" else {}
    expected = getattr(sklearn.datasets, f"load_{name}")(**raw)
    data = Tabular(name, train_size=70).data(3)
    scaler = StandardScaler().fit(expected.data[data.train])
    np.testing.assert_allclose(data.x.numpy(), scaler.transform(expected.data), rtol=1e-4, atol=1e-5)
    if name == "diabetes":
        known = np.delete(np.arange(len(data.y)), data.test)
        y = StandardScaler().fit(expected.target[known, None]).transform(expected.target[:, None])[:, 0]
        assert torch.equal(data.y, Tabular(name).data(1).y)  # one unit for all seeds and sizes
        np.testing.assert_allclose(data.y.numpy(), y, rtol=1e-5, atol=1e-6)
    else:
        assert np.array_equal(data.y.numpy(), expected.target)


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_columns_become_what_scikit_learn_makes_of_them(tmp_path, ending):
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "kind": random.choice(["x", "é", "b c"], 90),
            "size": random.normal(5, 3, 90),
            "flag": random.random(90) < 0.5,
            "count": random.integers(0, 9, 90),
            "y": random.choice(["no", "yes"], 90),
        }
    )
    path = tmp_path / f"mine{ending}"
    frame.to_csv(path, index=False) if ending == ".csv" else frame.to_parquet(path)
    data = Tabular(path, target="y").data(1)
    oracle = make_column_transformer(
        (StandardScaler(), ["size", "count"]), (OneHotEncoder(sparse_output=False), ["kind", "flag"])
    )
    oracle.fit(frame)
    oracle.named_transformers_["standardscaler"].fit(frame.iloc[data.train][["size", "count"]])
    np.testing.assert_allclose(data.x.numpy(), oracle.transform(frame), atol=1e-5)
    assert data.x.dtype == torch.float32
    assert np.array_equal(data.y.numpy(), (frame.y == "yes").to_numpy().astype(int))


def test_held_out_values_do_not_reach_the_training_examples(tmp_path):
    before = table(tmp_path / "t.csv").data(0)
    size = np.arange(20) * 1.5
    size[torch.cat([before.validation, before.test])] = 1e6
    after = table(tmp_path / "t.csv", size=size).data(0)
    assert torch.equal(before.x[before.train], after.x[after.train])
    assert after.x[after.test, 0].min() > 1e4


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_missing_values_by_hand(tmp_path, ending):
    size, kind = [1.0, None, 3.0, 5.0] * 5, ["a", "b", None, "a"] * 5
    data = table(tmp_path / f"t{ending}", size=size, kind=kind).data(0)
    numbers = pd.Series(size, dtype=float)
    seen = numbers.iloc[data.train]
    scaled = ((numbers - seen.mean()) / seen.std(ddof=0)).fillna(0)
    columns = [scaled, numbers.isna(), *([k == level for k in kind] for level in ("a", "b", None))]
    np.testing.assert_allclose(data.x.numpy(), np.array([*map(np.asarray, columns)], dtype=float).T, atol=1e-6)


def test_a_column_that_is_constant_in_training_is_zero_everywhere(tmp_path):
    base = table(tmp_path / "t.csv").data(0)
    size = np.full(20, 0.1)
    size[base.test] = 7.0
    data = table(tmp_path / "t.csv", size=size).data(0)
    assert (data.x[:, 0] == 0).all()


@pytest.mark.parametrize(("factor", "offset"), [(1e200, 0.0), (1e-200, 0.0), (1e-170, 0.0), (1.0, 1e12), (1e-5, 1e9)])
def test_numbers_of_any_size_are_standardised(tmp_path, factor, offset):
    """Also those whose square is no number, and those that differ little for their size."""
    plain = np.random.default_rng(0).normal(size=20)
    numbers = offset + factor * plain
    expected = table(tmp_path / "plain.csv", size=plain, y=plain[::-1]).data(0)
    data = table(tmp_path / "t.csv", size=numbers, y=numbers[::-1]).data(0)
    precision = 1e-5 if offset == 0 else 0.05  # the numbers themselves are rounded to 1e-4, and 1e-7 for 1e-5
    np.testing.assert_allclose(data.x, expected.x, atol=precision)
    np.testing.assert_allclose(data.y, expected.y, atol=precision)


def test_a_target_that_varies_only_where_it_is_tested_is_refused(tmp_path):
    base = table(tmp_path / "t.csv").data(0)
    y = np.full(20, 0.1)
    y[base.test] = 7.0
    with pytest.raises(InvalidStudy, match="there is nothing to learn"):
        table(tmp_path / "t.csv", y=y).data(0)


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_whole_numbers_beyond_those_of_floating_point_stay_different(tmp_path, ending):
    ids = 2**53 + np.array([0, 1, 3, 4] * 5)
    task = table(tmp_path / f"t{ending}", y=ids)
    assert task.data(0).y.tolist() == [0, 1, 2, 3] * 5 and task.sizes(task.data(0))["outputs"] == 4
    assert "take a constant off" in only_problem(task.replace(regression=True)).message
    named = only_problem(table(tmp_path / f"named{ending}", id=ids))
    assert named.path == "source" and "too large to be told apart" in named.message
    assert table(tmp_path / f"named{ending}", id=ids).replace(categories=("id",)).problems() == []
    even = table(tmp_path / f"even{ending}", id=2**53 + 2 * np.arange(20))
    assert even.data(0).x[:, 0].unique().numel() == 20


@pytest.mark.parametrize("kind", ["int64", "uint64"])
def test_whole_numbers_of_parquet_stay_exact_where_some_are_missing(tmp_path, kind):
    ids = pd.Series(2**53 + np.array([0, 1, 3, 4] * 5), dtype=kind.replace("i", "I").replace("u", "U"))
    ids[7] = pd.NA
    columns = {"id": pyarrow.array(ids, type=kind), "y": ["a", "b"] * 10, "z": range(20)}
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    task = Tabular(tmp_path / "t.parquet", target="y", without=("z",))
    assert "too large to be told apart" in only_problem(task).message
    x = task.replace(categories=("id",)).pool()[0].numpy()
    np.testing.assert_array_equal(x, pd.get_dummies(ids, dummy_na=True, dtype=float))
    small = ids - 2**53
    parquet.write_table(pyarrow.table(columns | {"id": pyarrow.array(small, type=kind)}), tmp_path / "t.parquet")
    x = Tabular(tmp_path / "t.parquet", target="y", without=("z",)).pool()[0].numpy()
    np.testing.assert_array_equal(x, np.stack([small.to_numpy(float, na_value=np.nan), small.isna()], 1))


@pytest.mark.parametrize("kind", ["int64", "Int64"])
def test_classes_too_large_for_floating_point_are_named_as_plain_numbers(tmp_path, kind):
    names = [2**53, 2**53 + 1]
    table(tmp_path / "t.parquet", y=pd.Series(names * 10, dtype=kind))
    task = Tabular(tmp_path / "t.parquet", target="y")
    assert [task.named_target(i) for i in range(2)] == list(map(str, names))


@pytest.mark.parametrize("kinds", [("int64", "float64"), ("float64", "int64"), ("int64", "uint64")])
@pytest.mark.parametrize("settings", [{}, {"group": "name"}, {"categories": ("name",)}, {"target": "name"}], ids=str)
def test_whole_numbers_of_two_files_that_only_floating_point_has_in_common_stay_different_or_are_refused(
    tmp_path, kinds, settings
):
    names = np.arange(20) + 2**53
    for kind, file in zip(kinds, ("t.parquet", "test.parquet"), strict=True):
        table(tmp_path / file, name=names.astype(kind))
    task = Tabular(tmp_path / "t.parquet", test=tmp_path / "test.parquet", **{"target": "y"} | settings)
    assert "floating point cannot tell apart" in only_problem(task).message
    for kind, file in zip(kinds, ("t.parquet", "test.parquet"), strict=True):
        table(tmp_path / file, name=np.arange(20).astype(kind))
    assert Tabular(tmp_path / "t.parquet", test=tmp_path / "test.parquet", target="y").problems() == []


def test_classes_and_numbers_follow_from_the_target_column(tmp_path):
    def y(column, **settings):
        return table(tmp_path / "t.csv", y=column).replace(**settings).data(0).y

    assert y([10, 9, 2, 9] * 5).tolist() == [2, 1, 0, 1] * 5  # in the order of numbers, not of texts
    assert y([True, False] * 10).tolist() == [1, 0] * 10
    assert y([1.0, 2.0] * 10).dtype == torch.float32
    assert y([1.0, 2.0] * 10, regression=False).tolist() == [0, 1] * 10
    assert y([10, 20] * 10, regression=True).dtype == torch.float32


def test_in_what_unit_a_number_is_predicted_is_said_before_a_study_trains_and_with_its_verdicts(tmp_path):
    prices = np.random.default_rng(0).normal(8000, 1500, 60).round(2)
    (tmp_path / "t.csv").write_text("size,price\n" + "".join(f"{i},{price}\n" for i, price in enumerate(prices)))
    task = Tabular(tmp_path / "t.csv", target="price", target_error=20.0)
    known = np.delete(prices, task.data(0).test.numpy())
    unit = f"losses and errors of 'price' are in its standard deviations, {known.std():,.0f} (squared for the loss)"
    study = Study(name="unit", task=task, model=DropoutNet(hidden=(4,)), batch_size=5, steps=3)
    (sentence,) = scope(study)
    note = study.notes[-1]
    assert (
        sentence.endswith(f"; {unit}.") and note.startswith("task.target_error: 20 is no less") and note.endswith(unit)
    )
    assert table(tmp_path / "u.csv").unit() == ""


def test_fingerprints_tell_contents_apart(tmp_path):
    one = table(tmp_path / "t.csv").fingerprint()
    assert table(tmp_path / "u.csv").fingerprint() == one
    assert table(tmp_path / "u.csv", size=np.ones(20)).fingerprint() != one


def test_a_changed_table_is_read_again(tmp_path):
    task = table(tmp_path / "t.csv")
    table(tmp_path / "t.csv", extra=np.arange(20))
    assert task.data(0).x.shape == (20, 4)


# ---------------------------------------------------------------- what columns hold

NUMBERS = np.random.default_rng(1).normal(50, 900, 120).round(2)
CLASSES = ["no", "yes", "yes"] * 40


def written(path, texts, y=CLASSES, header="size", **others):
    """A task of a file whose column `size` holds these texts."""
    frame = pd.DataFrame({header: pd.Series(texts, dtype="str"), **others, "y": y})
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, index=False)
    return Tabular(path, target="y")


def noted(task):
    assert task.problems() == []
    return [str(note) for note in task.data_notes()]


def expected_numbers(numbers, train):
    """What scikit-learn and pandas make of a column of numbers, NaN where missing."""
    numbers = pd.Series(numbers, dtype=float)
    scaled = StandardScaler().fit(numbers.iloc[train].to_frame()).transform(numbers.to_frame())[:, 0]
    columns = [np.nan_to_num(scaled), *([numbers.isna()] if numbers.isna().any() else [])]
    return np.array([*map(np.asarray, columns)], dtype=float).T


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@pytest.mark.parametrize("word", ["?", " ? ", "NA", "n/a", "None", "-", ".", "Unknown", "#N/A", "nan", "odd one"])
def test_numbers_with_words_among_them_are_numbers_and_that_is_said(tmp_path, ending, word):
    texts = NUMBERS.astype(str)
    texts[::30] = word
    task = written(tmp_path / f"t{ending}", texts)
    (note,) = noted(task)
    assert note == f"source: column 'size': 4 of 120 values are {word.strip()!r}: read as missing"
    data = task.data(0)
    numbers = pd.to_numeric(pd.Series(texts), errors="coerce")
    np.testing.assert_allclose(data.x.numpy(), expected_numbers(numbers, data.train), rtol=1e-4, atol=1e-6)


def test_several_columns_are_said_in_one_line(tmp_path):
    texts = ["?", "NA", *map(str, range(118))]
    others = {f"c{i}": texts for i in range(6)}
    (note,) = noted(written(tmp_path / "t.csv", texts, **others))
    assert note.startswith("source: columns 'size': 2 of 120 values are '?', 'NA', 'c0': 2 of 120")
    assert note.endswith(" and 2 more: read as missing")


def test_known_words_may_be_most_of_a_column_of_numbers(tmp_path):
    task = written(tmp_path / "t.csv", ["NA"] * 100 + [f"{i}.5" for i in range(20)])
    assert task.sizes(task.data(0))["inputs"] == 2 and "100 of 120 values are 'NA'" in noted(task)[0]


def test_words_among_texts_are_categories_of_their_own(tmp_path):
    task = written(tmp_path / "t.csv", ["None", "NA", "brick", ""] * 30)
    data = task.data(0)
    assert noted(task) == [] and task.sizes(data)["inputs"] == 4 and (data.x.sum(1) == 1).all()


@pytest.mark.parametrize(
    ("texts", "pandas"),
    [
        ([f"{v:.2f}".replace(".", ",") for v in NUMBERS], {"decimal": ","}),
        ([f"{v:_.2f}".replace(".", ",").replace("_", ".") for v in NUMBERS * 99], {"decimal": ",", "thousands": "."}),
        ([f"{v:,.1f}" for v in NUMBERS * 99], {"thousands": ","}),
        ([f"{v:_.1f}".replace("_", " ") for v in NUMBERS * 99], {"thousands": " "}),
        ([f"{v:.3e}" for v in NUMBERS], {}),
        ([f"{v:.2f}".replace("-", "\u2212") for v in NUMBERS], {}),
    ],
    ids=["decimal comma", "points between thousands", "commas between thousands", "spaces", "exponents", "minus signs"],
)
def test_numbers_are_read_as_pandas_reads_them_when_told_how(tmp_path, texts, pandas):
    task = written(tmp_path / "t.csv", texts)
    quoted = io.StringIO("\n".join(["size", *(f'"{text}"' for text in texts)]).replace("\u2212", "-"))
    numbers = pd.read_csv(quoted, **pandas)["size"]
    assert numbers.dtype == float
    assert [note.endswith((": read with a decimal comma", ": read with a decimal point")) for note in noted(task)] == (
        [True] if pandas else []
    )
    data = task.data(0)
    np.testing.assert_allclose(data.x.numpy(), expected_numbers(numbers, data.train), rtol=1e-4, atol=1e-6)


def test_a_file_with_semicolons_and_decimal_commas_is_what_pandas_reads_when_told_so(tmp_path):
    frame = pd.DataFrame({"größe": NUMBERS, "n": [1000 * i for i in range(120)], "y": CLASSES})
    text = frame.to_csv(index=False, sep=";", decimal=",").replace("000;", ".000;")
    (tmp_path / "t.csv").write_text("\ufeff" + text, encoding="utf-8")
    task = Tabular(tmp_path / "t.csv", target="y")
    assert "source: read as values that are parted by ';'" in noted(task)
    data = task.data(0)
    expected = [expected_numbers(frame[name], data.train) for name in ("größe", "n")]
    np.testing.assert_allclose(data.x.numpy(), np.concatenate(expected, 1), rtol=1e-4, atol=1e-6)
    (tmp_path / "t.csv").write_text(frame.to_csv(index=False, sep="\t"), encoding="utf-16")
    assert torch.equal(Tabular(tmp_path / "t.csv", target="y").data(0).x, data.x)


def test_a_number_that_may_be_two_numbers_is_refused_unless_its_table_tells(tmp_path):
    texts = [f"1,{i:03d}" for i in range(120)]
    problem = only_problem(written(tmp_path / "t.csv", texts))
    assert str(problem) == (
        "source: column 'size' can be understood in two ways; write its numbers plainly (got '1,000', which may be 1000 or 1)"
    )
    point = written(tmp_path / "t.csv", texts, other=NUMBERS).data(0)
    comma = written(tmp_path / "t.csv", texts, other=[f"{v:.2f}".replace(".", ",") for v in NUMBERS]).data(0)
    assert torch.equal(point.x[:, 1], comma.x[:, 1])
    for data, numbers in ((point, range(1000, 1120)), (comma, [1 + i / 1000 for i in range(120)])):
        np.testing.assert_allclose(data.x[:, :1], expected_numbers(numbers, data.train), rtol=1e-4)


def test_points_that_may_part_thousands_are_refused_unless_the_table_or_other_numbers_tell(tmp_path):
    whole = np.random.default_rng(3).integers(200, 20_000, 120)
    texts = [f"{v:_}".replace("_", ".") for v in whole]
    problem = only_problem(written(tmp_path / "t.csv", texts))
    first = next(v for v in whole if v > 999)
    assert problem.got == f"'{first / 1000:.3f}', which may be {first / 1000:.10g} or {first}"
    assert "without points between thousands, or whole ones with decimals too" in problem.message
    told = written(tmp_path / "t.csv", texts, other=[f"{v:.2f}".replace(".", ",") for v in NUMBERS]).data(0)
    np.testing.assert_allclose(told.x[:, :1], expected_numbers(whole, told.train), rtol=1e-4)
    millions = written(tmp_path / "t.csv", [*texts[:-1], "1.234.567"]).data(0)
    expected = expected_numbers([*whole[:-1], 1_234_567], millions.train)
    np.testing.assert_allclose(millions.x, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "texts",
    [
        [f"{v:.3f}" for v in NUMBERS],
        [f"{abs(v) / 1000:.3f}" for v in NUMBERS],
        [f"{v:g}" for v in NUMBERS.round(1) / 8],
        ["992.0", "2.246", "17.125"] * 40,
        ["0", "0.125", "2.250"] * 40,
    ],
    ids=["three decimals in all", "fractions", "eighths", "whole ones with decimals", "below one"],
)
def test_ordinary_decimals_are_read_as_python_reads_them(tmp_path, texts):
    task = written(tmp_path / "t.csv", texts)
    assert noted(task) == []
    np.testing.assert_array_equal(task.pool()[0][:, 0], [float(text) for text in texts])


def two_files(path, texts, tested):
    """A task of a file with these texts, and of a test file with others."""
    written(path / "test.csv", tested, y=CLASSES[: len(tested)])
    return written(path / "t.csv", texts).replace(test=path / "test.csv")


def test_each_file_writes_decimals_in_its_own_way(tmp_path):
    points, commas = ([f"{v:.2f}".replace(".", mark) for v in NUMBERS] for mark in ".,")
    task = two_files(tmp_path, points, commas[:20])
    first = next(v for v in NUMBERS if v % 1)
    assert noted(task) == [
        f"source: column 'size': '{commas[0]}' of the test file is {first:.10g}: read with a decimal comma"
    ]
    np.testing.assert_array_equal(task.pool()[0][:, 0], [*NUMBERS, *NUMBERS[:20]])
    target = task.replace(target="size", without=("y",))
    (
        written(tmp_path / "t.csv", points, z=NUMBERS),
        written(tmp_path / "test.csv", commas[:20], CLASSES[:20], z=NUMBERS[:20]),
    )
    np.testing.assert_array_equal(target.pool()[1], [*NUMBERS, *NUMBERS[:20]])
    thousandths = [f"{v:.3f}" for v in NUMBERS % 9 + 1]
    problem = only_problem(two_files(tmp_path, thousandths, [text.replace(".", ",") for text in thousandths[:20]]))
    assert "write its numbers in both files alike" in problem.message and "of the source" in problem.got


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_test_file_without_rows_is_a_problem(tmp_path, ending):
    table(tmp_path / f"test{ending}", size=[], kind=[], y=[])
    task = table(tmp_path / f"t{ending}").replace(test=tmp_path / f"test{ending}")
    assert str(only_problem(task)) == "test: must hold at least one row"


WHOLE = [950, 1200, 8415, 20, 7310, 5, 3999, 1001, 640, 2300] * 12


@pytest.mark.parametrize("marks", [("", "."), (".", ""), ("", ","), (",", ""), (",", ".")], ids=repr)
def test_whole_numbers_that_two_files_write_differently_are_refused_unless_each_file_tells(tmp_path, marks):
    whole = [[f"{v:,}".replace(",", mark) for v in WHOLE] for mark in marks]
    problem = only_problem(two_files(tmp_path, *whole))
    assert problem.path == "source" and "write its numbers in both files alike" in problem.message
    prices = [[f"{i}.5".replace(".", "," if mark == "." else ".") for i in range(120)] for mark in marks]
    for name, texts, own in zip(("t.csv", "test.csv"), whole, prices, strict=True):
        written(tmp_path / name, texts, price=own)
    task = Tabular(tmp_path / "t.csv", target="y", test=tmp_path / "test.csv")
    np.testing.assert_array_equal(task.pool()[0][:, 0], WHOLE * 2)
    np.testing.assert_array_equal(task.pool()[0][:, 1], [i + 0.5 for i in range(120)] * 2)
    target = task.replace(target="size", without=("y",), regression=True)
    np.testing.assert_array_equal(target.pool()[1], WHOLE * 2)


def test_thousandths_of_one_file_are_read_as_in_the_other_that_has_shorter_ones(tmp_path):
    task = two_files(tmp_path, NUMBERS.astype(str), ["1.250", "2", "17.125"])
    assert task.pool()[0][-3:, 0].tolist() == [1.25, 2, 17.125] and noted(task) == []


@pytest.mark.parametrize("mark", [" ", "'", "\u00a0", "\u202f"])
def test_groups_of_one_number_are_parted_by_one_mark(tmp_path, mark):
    numbers = NUMBERS * 99
    texts = [f"{v:_.3f}".replace(".", ",").replace("_", mark) for v in numbers]
    alone = written(tmp_path / "alone.csv", texts)
    np.testing.assert_allclose(alone.pool()[0][:, 0], numbers, atol=1e-3)
    both = two_files(tmp_path, [f"{v:,.3f}" for v in numbers], texts[:20])
    np.testing.assert_allclose(both.pool()[0][:, 0], [*numbers, *numbers[:20]], atol=1e-3)
    assert np.isnan(Numerals(pd.Series(["1,234 567", "1 234,567,890", "1.234 567,5"])).point).all()
    assert np.isnan(Numerals(pd.Series(["1.234 567", "1 234.567", "1,234 567"])).comma).all()


def test_in_each_file_nine_of_ten_are_numbers_and_counts_are_of_it(tmp_path):
    texts = NUMBERS.astype(str)
    problem = only_problem(two_files(tmp_path, texts, [*texts[:5], *["five"] * 5]))
    assert problem.got == "50% numbers of the test file, the others such as 'five'"
    assert noted(two_files(tmp_path, ["?", "NA", *texts[2:]], [*texts[:9], "?"])) == [
        "source: column 'size': 2 of 120 values of the source are '?', 'NA', 'size': 1 of 10 values of the test file are '?': read as missing"
    ]


def test_categories_that_are_the_same_number_are_one_category(tmp_path):
    grades = np.array([1, 2, 3] * 40)
    written(tmp_path / "t.csv", NUMBERS.astype(str), grade=grades)
    holed = pd.Series(grades, dtype=float).mask(np.arange(120) == 7)
    written(tmp_path / "test.csv", NUMBERS.astype(str), grade=holed)
    task = Tabular(tmp_path / "t.csv", target="y", categories=("grade",), test=tmp_path / "test.csv")
    assert noted(task)[0] == (
        "source: column 'grade': '1.0' and '1', '2.0' and '2', '3.0' and '3': taken as the same category, being the same number"
    )
    data = task.data(0)
    expected = pd.get_dummies(holed.astype("Int64"), dtype=float)
    np.testing.assert_array_equal(data.x[120:, 1:4].numpy(), expected)


@pytest.mark.parametrize(
    ("texts", "inputs"),
    [
        (["1", "1.0", "?"] * 40, 2),
        (["01", "1", "1.0"] * 40, 2),
        (["1", "1.0", "one"] * 40, 3),
        ([f"{2**53}", f"{2**53 + 1}", f"{2**53 + 1}.0"] * 40, 2),
    ],
    ids=["beside a word for none", "codes with a 0 before", "beside a text", "beyond floating point"],
)
def test_only_the_same_number_is_the_same_category(tmp_path, texts, inputs):
    task = written(tmp_path / "t.csv", texts).replace(categories=("size",))
    assert task.sizes(task.data(0))["inputs"] == inputs


def test_half_numbers_half_texts_are_refused_with_both_ways_out(tmp_path):
    task = written(tmp_path / "t.csv", ["0", "1", "2", "3+"] * 30)
    assert "75% numbers, the others such as '3+'" in only_problem(task).got
    as_categories = task.replace(categories=("size",)).data(0).x
    assert torch.equal(as_categories, torch.eye(4).repeat(30, 1))
    as_numbers = task.replace(missing=("3+",)).data(0)
    expected = expected_numbers([0, 1, 2, np.nan] * 30, as_numbers.train)
    np.testing.assert_allclose(as_numbers.x.numpy(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_the_words_for_missing_numbers_are_a_setting(tmp_path, ending):
    numbers = np.arange(120.0) % 50
    numbers[::10] = -999
    path = tmp_path / f"t{ending}"
    frame = pd.DataFrame({"size": numbers, "y": CLASSES})
    frame.to_parquet(path) if ending == ".parquet" else frame.to_csv(path, index=False)
    task = Tabular(path, target="y", missing=("-999", "absent"))
    assert noted(task) == [
        "source: column 'size': 12 of 120 values are '-999.0': read as missing", "missing: 'absent' is in no column of numbers",
    ]  # fmt: skip
    data = task.data(0)
    expected = expected_numbers(np.where(numbers == -999, np.nan, numbers), data.train)
    np.testing.assert_allclose(data.x.numpy(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_only_the_same_number_is_the_same_class(tmp_path, ending):
    def y(classes, said, regression):
        task = written(tmp_path / f"t{ending}", NUMBERS.astype(str), y=classes * 30).replace(regression=regression)
        assert noted(task) == said
        return task.data(0).y.tolist()

    for regression in (None, False):
        assert y(["11", "0110", "011", "110"], [], regression) == [0, 3, 1, 2] * 30
        assert y(["9", "12", "007", "9"], [], regression) == [1, 2, 0, 1] * 30
    merged = "target: column 'y': '1.0' and '1': taken as the same class, being the same number"
    assert y(["10", "1.0", "1", "02"], [merged], False) == [2, 0, 0, 1] * 30


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@pytest.mark.parametrize("name", ["None", "NA", "nan", "null", "?", "N/A"])
def test_a_class_may_be_called_like_a_missing_value(tmp_path, ending, name):
    task = written(tmp_path / f"t{ending}", NUMBERS.astype(str), y=[name, "Mild", "Severe"] * 40)
    assert noted(task) == [
        f"target: column 'y': {name!r} in 40 of 120 rows: among the 3 classes, not missing values"
    ]  # fmt: skip
    order = sorted([name, "Mild", "Severe"])
    assert task.data(0).y.tolist() == [order.index(c) for c in [name, "Mild", "Severe"] * 40]


def test_a_target_of_numbers_and_words_is_refused_until_it_is_clear(tmp_path):
    task = written(tmp_path / "t.csv", NUMBERS.astype(str), y=["0", "1", "1", "NA"] * 30)
    problem = only_problem(task)
    assert problem.path == "target" and "use regression=False; if texts mean that there is no value" in problem.message
    assert task.replace(regression=False).data(0).y.tolist() == [0, 1, 1, 2] * 30
    problem = only_problem(task.replace(regression=True))
    assert "must have a value in every row" in problem.message and problem.got == "30 are 'NA'"
    assert written(tmp_path / "t.csv", NUMBERS.astype(str), y=["0", "1", "2", "3+"] * 30).data(0).y.max() == 3


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_number_that_is_to_be_missing_and_a_class_is_a_problem_of_the_setting(tmp_path, ending):
    path = tmp_path / f"t{ending}"
    frame = pd.DataFrame({"size": NUMBERS, "y": [0, 1, 1] * 40})
    frame.to_parquet(path) if ending == ".parquet" else frame.to_csv(path, index=False)
    problem = only_problem(Tabular(path, target="y", missing=("0",)))
    assert problem.path == "missing" and "holds for the target 'y' too" in problem.message
    assert problem.got == "40 are '0'"


def test_a_target_with_a_decimal_comma_is_a_number(tmp_path):
    task = written(tmp_path / "t.csv", NUMBERS.astype(str), y=[f"{v:.2f}".replace(".", ",") for v in NUMBERS])
    assert "target: column 'y'" in noted(task)[0]
    data = task.data(0)
    known = np.delete(NUMBERS, data.test)
    np.testing.assert_allclose(data.y, (NUMBERS - known.mean()) / known.std(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ({"size": range(120)}, "another whole number in every row: taken as a number"),
        ({"size": [f"n{i}" for i in range(120)]}, "120 different values in 120 rows: taken as categories"),
        ({"size": ["00123", "00456"] * 60}, "whole numbers that begin with 0: taken as numbers; `categories`"),
        ({"size": [7] * 120}, "one value only: tells nothing"),
        ({"size": ["Yes", "yes", "No"] * 40}, "'Yes', 'yes': taken as different"),
        ({"size": ["5%", "10%", "7%"] * 40}, "taken as categories; they are numbers only without '%' in the file"),
        ({"size": ["5 kg", "700 g", "7 kg"] * 40}, "taken as categories; they are numbers only without 'kg' or 'g' in the file"),
        ({"kind": ["a"] * 119 + ["Total:"]}, "the last row holds 'Total:', and is taken as an example like the others"),
        ({"": range(120)}, "a column without a name is an input; row numbers that pandas wrote"),
        ({"size": NUMBERS, "y": [i % 30 for i in range(120)]}, "30 different whole numbers: taken as classes"),
        ({"size": NUMBERS, "y": [1.0, 2.0] * 60}, "2 different numbers, all whole: taken as numbers to predict"),
        ({"size": NUMBERS, "y": ["a"] * 117 + ["b"] * 3}, "'b' in 3 of 120 rows: classes so rare that some seeds"),
    ],
)  # fmt: skip
def test_what_is_not_sure_is_said(tmp_path, column, said):
    pd.DataFrame({"y": CLASSES, **column}).to_csv(tmp_path / "t.csv", index=False)
    assert any(said in note for note in noted(Tabular(tmp_path / "t.csv", target="y")))


spelled_differently = pytest.mark.parametrize(
    "texts",
    [["Yes", "yes", "no"], ["New York", "New\u00a0York", "Rome"], ["New York", "New  York", "Rome"], ["caf\u00e9", "cafe\u0301", "bar"]],
    ids=["case", "no-break space", "two spaces", "accent"],
)  # fmt: skip


@spelled_differently
def test_texts_that_are_spelled_differently_only_are_said_of_inputs_and_of_classes(tmp_path, texts):
    seen = re.sub(" +", " ", ", ".join(map(repr, sorted(texts[:2]))))  # a note is one line, without gaps
    said = f"{seen}: taken as different, though they are the same number, or differ in case, spaces or the encoding of letters only"
    alike, clear = texts * 40, ["a", "b", "c"] * 40
    assert noted(written(tmp_path / "t.csv", NUMBERS.astype(str), kind=alike)) == [f"source: column 'kind': {said}"]
    task = written(tmp_path / "t.csv", NUMBERS.astype(str), y=alike, kind=clear)
    assert noted(task) == [f"target: column 'y': {said}"]


@spelled_differently
def test_groups_that_are_spelled_differently_only_are_said(tmp_path, texts):
    names = [*texts[:2], *map(str, range(58))]
    said = (
        "taken as different, though they are the same number, or differ in case, spaces or the encoding of letters only"
    )
    table = written(tmp_path / "t.csv", NUMBERS.astype(str), who=[f"Anna {name}" for name in names] * 2).replace(
        group="who", train_size=40
    )
    seen = re.sub(" +", " ", ", ".join(repr(f"Anna {name}") for name in sorted(texts[:2])))
    assert noted(table) == [f"group: column 'who': {seen}: {said}"]
    tensors = Tensors(torch.randn(60, 2), torch.arange(60) % 2, group=names, validation_size=10, test_size=10)
    for group in (names, np.array(names), pd.Series(names)):
        (note,) = noted(tensors.replace(group=group))
        assert note == f"group: {re.sub(' +', ' ', ', '.join(map(repr, sorted(texts[:2]))))}: {said}"
    assert noted(tensors.replace(group=list(range(60)))) == noted(tensors.replace(group=torch.arange(60))) == []


@pytest.mark.parametrize("lost", ["{}", "{}.0"])
def test_groups_that_lost_their_leading_zeros_in_one_file_are_said_to_be_others(tmp_path, lost):
    """A spreadsheet makes numbers of codes: patient 003 of the source is patient 3, or 3.0, of the test file."""
    said = (
        "taken as different, though they are the same number, or differ in case, spaces or the encoding of letters only"
    )
    codes = [f"{i:03}" for i in range(40)] * 2
    task = written(tmp_path / "t.csv", NUMBERS[:80].astype(str), y=CLASSES[:80], who=codes).replace(group="who")
    assert noted(task.replace(train_size=10)) == []
    numbers = [lost.format(i) for i in range(38, 44)]
    written(tmp_path / "test.csv", NUMBERS[:6].astype(str), y=CLASSES[:6], who=numbers)
    seen = f"'038', '039', '{numbers[0]}' and 1 more"
    assert noted(task.replace(test=tmp_path / "test.csv", train_size=10)) == [f"group: column 'who': {seen}: {said}"]
    x, y = torch.arange(172.0).view(86, 2), torch.arange(86) % 2
    assert f"group: {seen}: {said}" in noted(Tensors(x, y, group=[*codes, *numbers]))


def test_groups_that_are_spelled_as_one_number_are_said_to_be_one(tmp_path):
    names = [str(i) for i in range(60)]
    task = written(tmp_path / "t.csv", NUMBERS.astype(str), who=[*names, "0.0", "1E1", "1e1", *names[3:]])
    assert [note for note in noted(task.replace(group="who")) if note.startswith("group: ")] == [
        "group: column 'who': '0.0' and '0', '1E1' and '10', '1e1' and '10': taken as the same group, being the same number"
    ]


def test_what_the_type_of_a_column_says_is_not_overruled_in_silence(tmp_path):
    frame = pd.DataFrame(
        {"kind": pd.Categorical(["1", "2", "3"] * 40), "age": range(120), "size": NUMBERS, "y": CLASSES}
    )
    frame.set_index("age").to_parquet(tmp_path / "t.parquet")
    task = Tabular(tmp_path / "t.parquet", target="y")
    assert noted(task) == [
        "source: the index 'age' is no input; reset_index() before to_parquet makes it a column",
        "source: column 'kind': numbers such as '1', '2', '3': taken as categories, as its type says",
    ]
    assert task.sizes(task.data(0))["inputs"] == 4


def test_what_pandas_knew_of_a_parquet_file_and_is_not_read_is_said(tmp_path):
    frame = pd.DataFrame({"grade": pd.Categorical([10, 9, 100] * 40), "size": NUMBERS, "y": CLASSES})

    def said(index):
        frame.set_index(index).to_parquet(tmp_path / "t.parquet")
        return noted(Tabular(tmp_path / "t.parquet", target="y"))

    way_out = "`categories` takes columns as such, regression=False the target"
    of_type = f"source: of categories in pandas, but numbers in the file: 'grade'; {way_out}"
    assert said(pd.RangeIndex(120)) == said(pd.Index(np.arange(120)[::-1])) == [of_type]
    for index, first in (
        (pd.date_range("2020-01-01", periods=120), "2020-01-01 00:00:00"),
        (pd.Index([f"p{i}" for i in range(120)]), "p0"),
    ):
        assert said(index) == [
            f"source: the index without a name, {first!r} in the first row, is no input; reset_index() before to_parquet makes it a column",
            of_type,
        ]


def test_nothing_is_said_of_a_table_that_is_clear(tmp_path):
    for ending in (".csv", ".parquet"):
        task = written(tmp_path / f"t{ending}", NUMBERS.astype(str), flag=[True, False, True] * 40, yes=["y", "n"] * 60)
        assert noted(task) == []
    assert all(noted(Tabular(name)) == [] for name in ("breast_cancer", "wine", "diabetes"))


@settings(deadline=None, max_examples=80)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False).map(repr) | st.integers().map(str), min_size=6))
def test_whatever_python_writes_as_a_number_is_read_to_the_bit(texts):
    assert Numerals(pd.Series(texts, dtype="str")).point.tolist() == [float(text) for text in texts]


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("columns", "settings", "path", "said"),
    [
        ({}, {"target": None}, "target", "must name the column to predict; valid names: size, kind, y"),
        ({}, {"target": "Y"}, "target", "no such column"),
        ({}, {"target": "siz"}, "target", "did you mean size?"),
        ({"y": ["yes"] * 19 + [None]}, {}, "target", "must have a value in every row; remove the others (got 1 row lacks it)"),
        ({"y": ["yes"] * 20}, {}, "target", "one value only"),
        ({"y": [1.5] * 20}, {}, "target", "one value only"),
        ({}, {"regression": True}, "regression", "needs a column of numbers, and 'y' holds texts; use regression=False"),
        ({"y": [1.5, 2] * 10}, {"regression": False}, "regression", "use regression=True"),
        ({"y": [np.inf, 2] * 10}, {}, "target", "must be finite (got 10 are not)"),
        ({"y": [*range(20)] * 15, "size": None, "kind": ["a", "b"] * 150}, {}, None, None),
        ({"y": [*range(300)], "size": None, "kind": ["a", "b"] * 150}, {}, "target", "300 different values"),
        ({"y": ["a", "b"] * 150, "size": None, "kind": [f"n{i}" for i in range(300)]}, {}, "source", "is it a name?"),
        ({"size": [np.nan] * 20}, {}, "source", "column 'size' has no values; leave it out, without=('size',)"),
        ({"size": [np.inf] + [1.0] * 19}, {}, "source", "numbers of column 'size' must be finite (got 1 is not)"),
        ({"size": None, "kind": None}, {}, "source", "columns besides the target"),
        ({}, {"without": ("kinds",)}, "without", "no such column; did you mean kind?"),
        ({}, {"without": ("size", "kind")}, "source", "columns besides the target"),
        ({}, {"categories": ("siz",)}, "categories", "no such column; did you mean size?"),
        ({}, {"categories": ("y",)}, "categories", "cannot name the target; use regression=False"),
        ({}, {"categories": ("kind",), "without": ("kind",)}, "categories", "is left out by `without`"),
        ({}, {"train_size": 13}, "train_size", "at most 12"),
        ({"y": [1.5, 2] * 10}, {"label_noise": 0.1}, "label_noise", "leave it at 0"),
    ],
)  # fmt: skip
def test_unusable_tables_are_one_problem_with_the_way_out(tmp_path, columns, settings, path, said):
    task = table(tmp_path / "t.csv", **columns).replace(**settings)
    if path is None:
        assert task.problems() == []
    else:
        problem = only_problem(task)
        assert problem.path == path and said in str(problem)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "cannot be read as .csv"),
        (b"a,y\n", "needs rows"),
        (b"a,y\n\xff\xfe,1\n", "cannot be read as .csv"),
        (b"a,y\n1,2\n3,4,5,6\n", "cannot be read as .csv"),
        (b"a,y\n1,2,3\n4,5,6\n2,2,2\n", "line 2 has more values than the header has names, 3 for 2"),
        (b"y,a\nu,2\nv\nu,1\n", "line 3 has fewer values than the header has names, 1 for 2"),
        ("größe,y\n1,2\n".encode("latin-1"), "must be UTF-8, and is not at byte 2"),
        (b"a,b,y,y\n1,2,3,3\n", "the columns must have different names (got two are called 'y')"),
        (b"a, y,y\n1,3,3\n", "the columns must have different names (got two are called 'y')"),
        (b'a,y\n"1,2\n', "cannot be read as .csv"),
    ],
)
def test_damaged_csv_files_are_one_clear_problem(tmp_path, content, said):
    (tmp_path / "t.csv").write_bytes(content)
    problem = only_problem(Tabular(tmp_path / "t.csv", target="y"))
    assert problem.path == "source" and said in str(problem)


def test_a_file_of_another_kind_and_a_header_that_is_there_again_are_refused(tmp_path):
    (tmp_path / "t.xlsx").write_bytes(b"PK")
    problem = only_problem(Tabular(tmp_path / "t.xlsx", target="y"))
    assert problem.message == "must be a file that ends in .csv or .parquet; save the table as one"
    (tmp_path / "t.csv").write_text("a,y\n" + "1,b\n2,c\n" * 9 + "a,y\n" + "1,b\n" * 9)
    assert "line 20 is the header again" in only_problem(Tabular(tmp_path / "t.csv", target="y")).message


def test_rows_that_span_lines_are_counted_and_placed(tmp_path):
    cells = {10: '"open', 40: 'shut"', 60: '"two\nlines"'}
    rows = [f"{i},{'uv'[i % 2]},{cells.get(i, 'xyz'[i % 3])}" for i in range(100)]
    (tmp_path / "t.csv").write_text("\n".join(["a,y,note", *rows]))
    task = Tabular(tmp_path / "t.csv", target="y", without=("a",))
    assert noted(task) == [
        "source: 2 of 70 rows are longer than a line, the first from line 12 to 42; a quote that is opened and not closed takes in what follows it"
    ]
    assert len(task.data(0).x) == 70


def test_dates_are_a_problem(tmp_path):
    dates = pd.date_range("2020-01-01", periods=20)
    assert "column 'size' holds dates" in only_problem(table(tmp_path / "t.parquet", size=dates)).message
    formats = (
        "%Y-%m-%d", "%d.%m.%Y", "%m/%d/%y %H:%M", "%d %b %Y", "%d-%b-%y", "%d %B %Y %H:%M", "%B %d, %Y", "%d%b%Y", "%m/%Y", "%Y-%m",
        "%Y-W%W", "%d %B", "%B %Y", "%b-%y", "%a, %d %b %Y %H:%M:%S +0000", "%a %b %d %H:%M:%S %Y", "%I:%M %p", "%Y-%m-%dT%H:%M:%S+02:00",
        "%Y-%m-%dZ", "%m/%d/%Y, %I:%M:%S %p", "%Y%m%dT%H%M%S", "%d. %m. %Y", "%Y Q1", "Q2/%Y", "%Y-%b-%d", "%H:%M:%S+01:00",
    )  # fmt: skip
    for written in (
        *map(dates.strftime, formats),
        ["12:30"] * 20,
        ["21. März 2021"] * 20,
        ["Okt 2021", "Dez 2021"] * 10,
    ):
        task = table(tmp_path / "t.csv", size=written)
        assert "column 'size' holds dates" in only_problem(task).message
        assert task.replace(categories=("size",)).problems() == []


@pytest.mark.parametrize(
    "text",
    [
        "25/Jan/2021:00:00:00 +0000", "25JAN2021:00:00:00", "25 de enero de 2021", "25 de enero", "enero de 2021", "25th of January 2021",
        "2021 01 25", "25 01 2021", "2021M07", "1h30", "10h30", "1h 30min", "1er janvier 2021", "le 3 mars 2021", "le lundi 3 mars 2021",
        "am 3. März 2021", "lunes, 25 de enero de 2021", "Sat 23 Jul", "Sat Jul 23", "Sept 9th", "12 mar", "3 luglio 2021", "1º maggio 2021",
    ],
)  # fmt: skip
def test_dates_of_other_lands_and_programs_are_a_problem(tmp_path, text):
    assert "column 'size' holds dates" in only_problem(table(tmp_path / "t.csv", size=[text] * 20)).message


@pytest.mark.parametrize("word", ["NA", "NaT", "0000-00-00", "later"])
def test_dates_with_other_words_among_them_are_a_problem(tmp_path, word):
    task = table(tmp_path / "t.csv", size=(["2021-03-04"] * 7 + [word] * 3) * 2)
    assert "column 'size' holds dates" in only_problem(task).message


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["20210723", "20211231"], "'20210723' and the others may be dates written in 8 digits"),
        (["202107", "202112"], "may be dates written in 6 digits"),
        (["1626998400", "1627084800"], "may be times in seconds since 1970"),
        (["1626998400000", "1627084800000"], "may be times in milliseconds since 1970"),
        (["2021.03", "2021.12"], "may be months of a year"),
        (["03.2021", "12.2020"], "may be months of a year"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_numbers_that_may_be_dates_are_said_of_inputs_and_targets(tmp_path, texts, said, ending):
    values = texts if ending == ".csv" else [float(text) if "." in text else int(text) for text in texts]
    if ending == ".parquet" and "." in texts[0]:
        return  # numbers by type, whose writing nobody knows
    size = table(tmp_path / f"t{ending}", size=values * 10)
    assert any(said in note and "not as dates" in note for note in noted(size))
    assert any(said in note for note in noted(table(tmp_path / f"t{ending}", y=values * 10)))


def test_dates_as_classes_are_said(tmp_path):
    for dates in (["03/2021", "04/2021"] * 10, pd.to_datetime(["2021-03-01", "2021-04-01"] * 10)):
        task = table(tmp_path / "t.parquet", y=dates)
        assert any("dates or times such as" in note and "class of its own" in note for note in noted(task))


@pytest.mark.parametrize(
    "texts",
    [["v1.2", "v3.11"], ["1234-05x", "9876-11"], ["12 marks", "3 decks"], ["Marvel 2021", "Maxima 2010"], ["201999", "200015"], ["2019", "2020"],
     ["120/80", "135/90"], ["3/4", "1/2"], ["10-20", "20-30"], ["1 2 3", "4 5 6"], ["may", "Mar"], ["A12", "B13"], ["12-34-567", "98-76-543"],
     ["M07", "M08"], ["set 3", "gen 2"], ["1H30", "2H45"], ["12h", "24h"], ["Sat", "Sun"], ["10.0.10.1:80", "10.0.10.2:80"]],
)  # fmt: skip
def test_versions_codes_names_and_years_are_no_dates(tmp_path, texts):
    assert not any("date" in note for note in noted(table(tmp_path / "t.csv", size=texts * 10)))


@pytest.mark.parametrize("texts", [["120/80", "135/90"], ["10-20", "20-30"], ["3/4", "1/2"], ["4 x 6", "5 x 7"]])
def test_two_numbers_in_a_text_are_categories_and_that_is_said(tmp_path, texts):
    said = f"{texts[0]!r}: taken as categories; to use its numbers give each a column"
    assert any(said in note for note in noted(table(tmp_path / "t.csv", size=texts * 10)))


def test_a_frame_in_place_of_a_file_and_a_target_that_is_left_out_are_one_clear_problem(tmp_path):
    frame = pd.DataFrame({"a": range(9), "y": range(9)})
    for task in (Tabular(frame, target="y"), Tabular(test=frame)):
        assert "a DataFrame is written to a file by frame.to_parquet(path)" in only_problem(task).message
    problem = only_problem(table(tmp_path / "t.csv").replace(without=("y",)))
    assert (problem.path, problem.message) == ("without", "cannot name the column to predict, which is no input")


@pytest.mark.parametrize("settings", [{}, {"target": "v"}, {"group": "v"}, {"categories": ("v",)}], ids=str)
@pytest.mark.parametrize("values", [[[1.0, 2.0], [3.0]], [{"a": 1}, {"a": 2}]], ids=["lists", "structs"])
def test_lists_and_structs_are_refused_wherever_they_are_used(tmp_path, values, settings):
    table(tmp_path / "t.parquet", v=values * 10)
    task = Tabular(tmp_path / "t.parquet", **{"target": "y"} | settings)
    assert "column 'v' must hold numbers or texts" in only_problem(task).message


@pytest.mark.parametrize("settings", [{}, {"target": "v"}, {"group": "v"}, {"categories": ("v",)}], ids=str)
def test_bytes_that_are_no_text_are_refused_wherever_they_are_used(tmp_path, settings):
    table(tmp_path / "t.parquet", v=[b"a", b"\xff"] * 10)
    task = Tabular(tmp_path / "t.parquet", **{"target": "y"} | settings)
    assert str(only_problem(task)) == (
        "source: column 'v' must hold numbers or texts; turn it into columns of them or leave it out, without=('v',) (got a bytes)"
    )
    if not settings:
        assert task.replace(without=("v",)).problems() == []


def test_what_is_no_table_is_one_clear_problem(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    assert "not a folder" in only_problem(Tabular(tmp_path / "folder.csv")).message
    assert only_problem(Tabular(tmp_path / "none.csv")).message == "no such file"
    for source in ("", "win", "openml:", "data.xlsx", str(tmp_path)):
        assert only_problem(Tabular(source)).message.startswith("unknown; ")
    assert "did you mean wine?" in only_problem(Tabular("win")).message
    assert [p.path for p in Tabular(3).problems()] == ["source"]


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_damaged_parquet_file_is_a_problem_or_a_table(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "t.parquet"
    table(path)
    raw = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        del raw[data.draw(st.integers(1, len(raw) - 1)) :]
    for at in data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=5)):
        raw[at] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    task = Tabular(path, target="y")
    assert all(problem.path in ("source", "target", "validation_size") for problem in task.problems())
    if not task.problems():
        with suppress(InvalidStudy):  # of a number that is another one now, too far from the rest
            assert task.data(0).x.isfinite().all()


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(
        st.tuples(st.none() | st.floats(width=32), st.none() | st.text(max_size=3), st.sampled_from("uvw")),
        min_size=1,
        max_size=12,
    )
)
def test_any_table_gives_finite_examples_or_problems(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("any") / "t.parquet"
    number, text, y = zip(*rows, strict=True)
    pd.DataFrame({"number": pd.Series(number, dtype=float), "text": pd.Series(text, dtype=object), "y": y}).to_parquet(
        path
    )
    task = Tabular(path, target="y")
    if not task.problems():
        try:
            data = task.data(0)
        except InvalidStudy:  # numbers too far apart
            return
        assert data.x.isfinite().all() and data.x.shape[1] == task.sizes(data)["inputs"]


def test_numbers_too_far_apart_for_float32_are_refused_by_their_column(tmp_path):
    frame = pd.DataFrame({"far": [1e-24 * k for k in range(9)] + [1e16], "y": list("uv") * 5})
    frame.to_parquet(tmp_path / "t.parquet")
    data = Tabular(tmp_path / "t.parquet", target="y").data
    with pytest.raises(InvalidStudy, match="column 'far' are too far apart"):
        list(map(data, range(20)))  # some split has the far one outside of its training examples


# ---------------------------------------------------------------- openml.org


@pytest.fixture
def no_network(offline, monkeypatch):
    """`offline`, and nothing kept in memory from before."""
    monkeypatch.setattr("harness.tasks.tabular._load", Tabular._table.__globals__["_load"].__wrapped__)
    return offline


def kept(folder, number, data, change=lambda text: text):
    """A data set of openml.org that scikit-learn ships for its tests, as if it had been downloaded; returns its data file."""
    base = folder / "openml/openml.org"
    (raw,) = (gzip.decompress(path.read_bytes()) for path in (BUNDLED / f"id_{number}").glob("data-*.arff.gz"))
    raw = change(raw.decode()).encode()
    for short, long in (("jd", ""), ("jdf", "features/"), ("jdq", "qualities/")):
        described = gzip.decompress((BUNDLED / f"id_{number}/api-v1-{short}-{number}.json.gz").read_bytes()).decode()
        described = re.sub(r'(?<="md5_checksum":")[^"]*', hashlib.md5(raw).hexdigest(), change(described))
        put(base / f"api/v1/json/data/{long}{number}.gz", described.encode())
    put(base / f"{data}.gz", raw)
    return base / f"{data}.gz"


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content))


IRIS, TITANIC = (61, "data/v1/download/61/iris.arff"), (40945, "data/v1/download/16826755/Titanic.arff")
bundled = pytest.mark.skipif(not BUNDLED.is_dir(), reason="this scikit-learn was installed without its tests")


@bundled
def test_a_kept_download_needs_no_network(no_network):
    kept(no_network, *TITANIC)
    assert "is it a name? Leave it out, without=('name',)" in only_problem(Tabular("openml:40945")).message
    task = Tabular("openml:40945", without=("name", "ticket", "cabin", "home.dest", "boat", "body"))
    data = task.data(0)
    assert data.y.bincount().tolist() == [809, 500]  # as on the ship
    # class, age, siblings, parents, fare; whether age and fare are missing; sex; one of three ports or none
    assert task.problems() == [] and task.sizes(data) == {"inputs": 5 + 2 + 2 + 4, "outputs": 2}


@bundled
def test_a_damaged_download_is_noticed(no_network):
    path = kept(no_network, *IRIS)
    assert Tabular("openml:61").data(0).y.bincount().tolist() == [50, 50, 50]
    put(path, gzip.decompress(path.read_bytes()).replace(b"5.1", b"5.2"))
    problem = only_problem(Tabular("openml:61"))
    assert "the copy that was kept is damaged and has been removed" in problem.message and not path.exists()
    assert "without a network use a file, FILE.csv" in problem.message


@bundled
@pytest.mark.parametrize("names", [("Iris-setosa", "Iris-versicolor", "Iris-virginica"), ("0", "1", "2")])
def test_images_of_openml_may_have_numbers_as_classes(no_network, monkeypatch, names):
    def renamed(text):
        for old, new in zip(("Iris-setosa", "Iris-versicolor", "Iris-virginica"), names, strict=True):
            text = text.replace(old, new)
        return text

    kept(no_network, *IRIS, renamed)
    monkeypatch.setattr("harness.tasks.images._load", Images._pictures.__globals__["_load"].__wrapped__)
    data = Images("openml:61", layout="rows").data(0)
    expected = sklearn.datasets.load_iris()
    assert data.x.shape == (150, 2, 2) and np.array_equal(data.y.numpy(), expected.target)
    differs = np.abs(data.x.flatten(1).numpy() * 255 - expected.data).max(1) > 1e-5
    assert differs.sum() <= 2  # Fisher's table and openml.org's are known to differ in two flowers


@pytest.mark.slow
@pytest.mark.parametrize("name", ["61", "iris"])
def test_unreachable_openml_is_one_problem_that_says_what_to_do(no_network, name):
    problem = only_problem(Tabular(f"openml:{name}"))
    assert problem.path == "source" and f"openml.org did not give '{name}'; without a network use" in problem.message
    assert "'digits' or 'idx:FOLDER'" in only_problem(Images(f"openml:{name}")).message


# ---------------------------------------------------------------- a Dataset of a user's own


class Squares(Dataset):
    def __init__(self, n, shape=lambda i: 3, target=lambda i: i % 2):
        self.n, self.shape, self.target = n, shape, target

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        if i >= self.n:
            raise IndexError
        return np.full(self.shape(i), i, dtype=np.float64), self.target(i)


def test_a_dataset_gives_its_items_in_order():
    task = from_dataset(ConcatDataset([Squares(15), Squares(5)]), train_size=4, label_noise=0.1)
    assert task.problems() == [] and task.train_size == 4 and task.label_noise == 0.1
    assert torch.equal(task.x, torch.tensor([*range(15), *range(5)]).float()[:, None].expand(20, 3))
    assert task.y.tolist() == [i % 2 for i in [*range(15), *range(5)]]
    numbers = from_dataset(Squares(10, target=lambda i: i / 2))
    assert numbers.y.dtype == torch.float32 and numbers.y.tolist() == [i / 2 for i in range(10)]
    tokens = TensorDataset(torch.arange(20).view(10, 2), torch.arange(10, dtype=torch.int32))
    assert from_dataset(tokens).x.dtype == from_dataset(tokens).y.dtype == torch.int64


class Endless(IterableDataset):
    def __iter__(self):
        yield torch.zeros(2), 0


@pytest.mark.parametrize(
    ("dataset", "said"),
    [
        (Endless(), "needs a length"),
        (Squares(0), "it is empty"),
        (Squares(4, shape=lambda i: i), "of one shape"),
        (Squares(4, target=lambda i: "cat"), "found str"),
        (Squares(4, target=lambda i: {"a": 1}), "found dict"),
        (Squares(4, target=lambda i: 1 // (2 - i)), "item 2 is not a pair (x, y) that can be read: ZeroDivisionError"),
        (TensorDataset(torch.zeros(4, 2, dtype=torch.uint8), torch.zeros(4)), "x is uint8: items must have numbers"),
        (
            TensorDataset(torch.zeros(4, 2, dtype=torch.complex64), torch.arange(4)),
            "x is complex64: items must have numbers",
        ),
        (TensorDataset(torch.zeros(4, 2), torch.tensor([0, 1, 0, 1j])), "y is complex64: items must have numbers"),
        ([(torch.zeros(2), np.complex128(i + 1j)) for i in range(4)], "y is complex128: items must have numbers"),
        ([(torch.zeros(2), i + 1j) for i in range(4)], "found <class 'complex'>"),
        ([(torch.zeros(2), 0)] * 3 + [(1, 2, 3)], "item 3 is not a pair"),
        (
            [{"x": torch.zeros(2), "y": 1}] * 9,
            "item 0 is not a pair (x, y) that can be read: TypeError: it is a dict with 'x', 'y'",
        ),
        (torch.randn(9, 2, 3), "item 0 is not a pair (x, y) that can be read: TypeError: it is a Tensor"),
        (["ab"] * 9, "item 0 is not a pair (x, y) that can be read: TypeError: it is a str"),
    ],
)
def test_unusable_datasets_are_one_clear_line(dataset, said):
    with pytest.raises(InvalidStudy) as raised:
        from_dataset(dataset)
    (problem,) = raised.value.problems
    assert problem.path == "dataset" and said in problem.message and "\n" not in str(problem)


def test_a_dataset_of_numbers_that_float32_cannot_tell_apart_is_refused():
    times = Squares(20, target=lambda i: 1.7e9 + i)
    with pytest.raises(
        InvalidStudy, match="dataset: y has numbers that differ little for their size: float32 changes them by up to 19"
    ):
        from_dataset(times)
    tall = Squares(20, shape=lambda i: (3,))
    with pytest.raises(InvalidStudy, match="test: x has numbers"):
        from_dataset(tall, test=[(np.full(3, 1e9 + i % 2), i % 2) for i in range(10)])
    assert from_dataset(Squares(20, target=lambda i: 1000 + i / 3)).y.dtype == torch.float32


def test_values_of_a_dataset_are_checked_as_those_of_tensors():
    problem = only_problem(from_dataset(Squares(10, target=lambda i: i - 1)))
    assert problem.path == "y" and "classes must be ≥ 0" in problem.message


# ---------------------------------------------------------------- as a user runs it

STUDY = '''"""Does dropout help on my table, with and without wrong labels?"""
from harness import Study, Sweep
from harness.models import DropoutNet
from harness.tasks import Tabular

study = Study(
    name="table", task=Tabular("FILE", target="y", train_size=Sweep(6, 12), label_noise=Sweep(0.0, 0.4)),
    model=DropoutNet(hidden=(8,)), batch_size=4, steps=6, seeds=2, evaluations=2,
)
'''


@pytest.mark.slow
def test_a_study_of_ones_own_table_runs_from_the_command_line(tmp_path):
    table(tmp_path / "mine.csv", size=["?", *np.arange(19) * 1.5])
    (tmp_path / "study.py").write_text(STUDY.replace("FILE", str(tmp_path / "mine.csv")))
    command = [str(tmp_path / "study.py"), "--results", str(tmp_path / "results"), "--devices", "cpu", "-q"]
    done = CliRunner().invoke(run.main, command)
    assert done.exit_code == 0, done.output
    runs = pd.read_parquet(tmp_path / "results/table/runs.parquet")
    assert len(runs) == 8 and runs.groupby(["task.train_size", "task.label_noise"]).size().eq(2).all()
    assert runs.nonfinite.eq(0).all()
    noted = "Noted before it ran: task.source: column 'size': 1 of 20 values are '?': read as missing."
    for name in ("summary.md", "report.html"):  # at the start it was said in a terminal, and is gone
        assert noted in html.unescape((tmp_path / "results/table" / name).read_text())
    table(tmp_path / "mine.csv", size=np.ones(20))
    changed = CliRunner().invoke(run.main, command[:-1])
    assert changed.exit_code == 0 and "data of Tabular" in changed.output, changed.output
    assert "8 recorded runs are none of the study as it is now" in changed.output
    (tmp_path / "mine.csv").write_text("size,y\n1,\n")
    refused = CliRunner().invoke(run.main, command)
    assert refused.exit_code == 2 and "task.target: column 'y' must have a value in every row" in refused.output
