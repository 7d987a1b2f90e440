"""Test examples are fixed first: the same for every seed, seen by none in training, the official ones where there are any."""

import functools
import math
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from test_tasks import every_task, only_problem, tensors, write_idx
from test_tasks_tabular import IRIS, Squares, bundled, kept, no_network  # noqa: F401

from harness import Study, Sweep
from harness.audit import data_checks
from harness.ledger.trial_runs import TUNE_SEEDS
from harness.models import DropoutNet, SimpleRNN
from harness.settings import InvalidStudy
from harness.settings.randomness import ALL_SEEDS, stream
from harness.settings.show import show
from harness.study.scope import budget, examples_in_words, scope, setups
from harness.tasks import CharLM, Data, Friedman, Images, Tabular, Task, TemporalOrder, Tensors, from_dataset
from harness.tasks.doubts import doubts
from harness.tasks.leaks import repeated_inputs
from harness.tasks.pooled import Pooled
from harness.tasks.scope import scope as task_scope
from harness.tasks.windows import overlapping_windows

SEEDS = (0, 1, 2, 999_999, TUNE_SEEDS, TUNE_SEEDS + 1)
RESAMPLES = ("split", "bootstrap", "none")


def with_test_set(n=40, tested=12):
    """Tensors with a test set of their own; every input is another number."""
    x = torch.arange(2.0 * (n + tested)).view(-1, 2)
    y = torch.arange(n + tested) % 3
    return Tensors(x[:n], y[:n], test=(x[n:], y[n:]))


def identities(task: Task, data: Data, split: str) -> list[bytes]:
    """What tells examples apart: their place in a pool, or what they are."""
    if isinstance(task, Pooled):
        return [bytes(str(i), "ascii") for i in getattr(data, split).tolist()]
    return [data.x[i].numpy().tobytes() + data.y[i].numpy().tobytes() for i in getattr(data, split).tolist()]


EVERY = [*every_task(), with_test_set(), CharLM(length=20, train_size=60, validation_size=30, test_size=40)]


@pytest.mark.parametrize("resample", RESAMPLES)
@pytest.mark.parametrize("task", EVERY, ids=lambda task: type(task).__name__)
def test_all_seeds_are_tested_on_the_same_examples_and_none_trains_or_validates_on_one(task, resample):
    task = task.replace(resample=resample)
    tested = identities(task, task.data(0), "test")
    for seed in SEEDS:
        data = task.data(seed)
        assert identities(task, data, "test") == tested
        seen = identities(task, data, "train") + identities(task, data, "validation")
        assert set(seen).isdisjoint(tested)
        assert set(identities(task, data, "train")).isdisjoint(identities(task, data, "validation"))
    assert task.fixes_test() and data_checks.test_set(task).level == "ok"


@pytest.mark.parametrize("task", EVERY, ids=lambda task: type(task).__name__)
def test_a_smaller_test_set_is_part_of_a_larger_one(task):
    small = task.replace(test_size=5)
    assert identities(task, small.data(3), "test") == identities(task, task.data(3), "test")[:5]


def test_the_test_set_follows_the_documented_streams():
    task = tensors(50)
    data = task.data(7)
    assert torch.equal(data.test, torch.randperm(50, generator=stream(ALL_SEEDS, "test"))[:10])
    rest = torch.tensor([i for i in range(50) if i not in data.test.tolist()])
    order = rest[torch.randperm(40, generator=stream(7, "split"))]
    assert torch.equal(torch.cat([data.validation, data.train]), order)
    drawn = Friedman(noise=0.0, test_size=9).data(7)
    uniform = torch.rand(9, 12, generator=stream(ALL_SEEDS, "test"))
    assert torch.equal(drawn.x[drawn.test], uniform[:, :10])
    assert ALL_SEEDS not in range(2 * TUNE_SEEDS)


def test_any_training_and_validation_examples_may_go_to_any_other_seed():
    """With one split for all seeds, four of five of them would never be held out."""
    task = tensors(100)
    known = set(range(100)) - set(task.data(0).test.tolist())
    held_out = set().union(*(task.data(seed).validation.tolist() for seed in range(40)))
    assert held_out == known


# ---------------------------------------------------------------- official test sets


def test_the_t10k_files_of_an_idx_folder_are_what_is_tested_on(tmp_path):
    pixels, labels = write_idx(tmp_path, n=20)
    task = Images(f"idx:{tmp_path}")
    assert task.official_test() == 20
    for seed in SEEDS:
        data = task.data(seed)
        assert sorted(data.test.tolist()) == list(range(20, 40))
        assert np.array_equal((data.x[data.test.sort().values] * 255).round().numpy(), pixels[20:].reshape(20, -1))
        assert np.array_equal(data.y[data.test.sort().values].numpy(), labels[20:])
        assert sorted(torch.cat([data.train, data.validation]).tolist()) == list(range(20))
    few = task.replace(test_size=6)
    assert set(few.data(0).test.tolist()) < set(range(20, 40)) and max(few.data(1).train.tolist()) < 20
    assert str(only_problem(task.replace(test_size=21))) == "test_size: at most 20, which the data come with (got 21)"
    alone = tmp_path / "alone"
    alone.mkdir()
    write_idx(alone, names=("train",))
    assert Images(f"idx:{alone}").official_test() == 0


class Grouped(Tensors):
    """Three examples of each of twenty patients; ten more examples, of patients 3, 4 and new ones, are what is tested on."""

    names: ClassVar[object] = torch.cat([torch.arange(60) // 3, torch.tensor([3, 3, 4, 4, 20, 20, 20, 21, 21, 21])])

    def groups(self):
        return self.names


def grouped(names=Grouped.names, **settings):
    x = torch.arange(140.0).view(70, 2)
    y = torch.arange(70) % 3
    kind = type("Grouped", (Grouped,), {"names": names, "__module__": __name__})
    return kind(x[:60], y[:60], test=(x[60:], y[60:]), **settings)


def test_nobody_trains_on_a_group_of_which_the_official_test_set_has_examples():
    task = grouped()
    assert list(map(str, task.data_notes())) == [
        "groups: 6 examples are left out: the test set has others of their groups",
        "groups: 2 examples are in no split of a seed: groups stay whole, the largest has 3 examples, and all seeds train on as many; "
        "fewer are with smaller groups, or with the largest as the test set",
    ]
    for seed in range(5):
        data = task.data(seed)
        of = {name: set(Grouped.names[getattr(data, name)].tolist()) for name in ("train", "validation", "test")}
        assert of["test"] == {3, 4, 20, 21} and of["test"].isdisjoint(of["train"] | of["validation"])
        assert of["train"].isdisjoint(of["validation"])
        assert len(data.validation) == 12 and len(data.train) == 40  # two more may be left over of a patient
    assert "which 52 of the other 54 they train and validate on" in task_scope(task)
    assert "at most 40" in str(only_problem(grouped(train_size=41)))
    every = torch.cat([torch.arange(60) % 10, torch.arange(10)])
    assert "besides those of groups that are tested on" in str(only_problem(grouped(every)))


def test_nobody_trains_on_a_group_of_the_official_test_set_where_few_of_it_are_tested_on():
    task = grouped(test_size=2)
    for seed in SEEDS:
        data = task.data(seed)
        assert len(data.test) == 2 and min(data.test) >= 60
        known = Grouped.names[torch.cat([data.train, data.validation])]
        assert not torch.isin(known, Grouped.names[60:]).any()
        assert torch.equal(data.train, grouped().data(seed).train)
    assert "6 examples are left out" in str(task.data_notes()[0])


@pytest.mark.parametrize(
    "sizes", [[200] + [4] * 100, [1] * 60, [5] * 30, [9, 1, 1] * 12], ids=["one large", "single", "alike", "mixed"]
)
@pytest.mark.parametrize("test_size", [20, None])
def test_what_groups_leave_out_of_the_splits_is_said_before_anything_trains(sizes, test_size):
    names = np.repeat(np.arange(len(sizes)), sizes)
    x = torch.randn(len(names), 2, generator=stream(0, "own"))
    task = Tensors(x, torch.arange(len(names)) % 2, group=names, validation_size=20, test_size=test_size)
    said = [str(note) for note in task.data_notes()]
    for seed in SEEDS:
        data = task.data(seed)
        tested = np.isin(names, names[data.test])
        left = int(tested.sum()) - len(data.test)
        out = int((~tested).sum()) - len(data.train) - len(data.validation)
        largest = np.bincount(names[~tested]).max()
        assert any(f"{left} example" in note and "left out: the test set has" in note for note in said) == (left > 0)
        assert any(f"{out} example" in note and f"the largest has {largest} " in note for note in said) == (out > 0)
        assert len(said) == (left > 0) + (out > 0)
        used = f"{(~tested).sum() - out} of" if out else "of"
        assert f"which {used} the other {(~tested).sum()} they train and validate on" in task_scope(task)
    assert not any("split" in str(note) for note in task.replace(train_size=5).data_notes())


def test_groups_are_a_setting_of_tensors():
    task, x, y = grouped(), torch.arange(140.0).view(70, 2), torch.arange(70) % 3
    told = Tensors(x[:60], y[:60], test=(x[60:], y[60:]), group=Grouped.names)
    assert list(map(str, told.data_notes())) == list(map(str, task.data_notes()))
    for seed in SEEDS:
        assert torch.equal(told.data(seed).train, task.data(seed).train)
        assert torch.equal(told.data(seed).validation, task.data(seed).validation)
    assert str(only_problem(told.replace(group=[1, 2]))).startswith(
        "group: must name a group for each of the 70 examples"
    )
    assert (
        str(only_problem(grouped(group=Grouped.names)))
        == "group: the class says groups of its own; leave one of them out"
    )


def of_patients(path, *, n=90, named=str, shift=0):
    """A table of three visits a patient, in any order; the name of a patient tells the target."""
    patients = np.random.default_rng(n).permutation(np.arange(n) // 3 + shift)
    columns = {
        "age": patients % 7 + 20.5,
        "patient": list(map(named, patients)),
        "sick": np.where(patients % 2, "yes", "no"),
    }
    pd.DataFrame(columns).to_csv(path, index=False)
    return patients


def test_rows_of_a_table_stay_together_by_a_column_that_is_no_input(tmp_path):
    patients = of_patients(tmp_path / "visits.csv")
    task = Tabular(tmp_path / "visits.csv", target="sick", group="patient", validation_size=15, test_size=15)
    assert task.data(0).x.shape == (90, 1) and Tabular(task.source, target="sick").data(0).x.shape == (90, 2)
    for seed in SEEDS:
        data = task.data(seed)
        train, validation, test = (set(patients[split]) for split in (data.train, data.validation, data.test))
        assert not (train & validation or train & test or validation & test)
        assert len(data.validation) == len(data.test) == 15
    assert task.replace(without=("patient",)).data(0).x.shape == (90, 1)
    assert "one fixed test set of 15 examples of 5 groups;" in task_scope(task)
    text = CharLM(length=20, train_size=60, validation_size=30, test_size=40)
    tested = len(text.groups()[text.data(0).test].unique())
    assert f"one fixed test set of 40 examples of {tested} passage" in task_scope(text)


def test_patients_of_a_test_file_are_known_again_however_it_writes_them(tmp_path):
    """1 in the one file and 1.0 in the other: nobody trains on another visit of whom is tested."""
    patients = of_patients(tmp_path / "visits.csv")
    of_patients(tmp_path / "test.csv", n=12, named=lambda patient: f"{patient}.0", shift=28)
    task = Tabular(tmp_path / "visits.csv", target="sick", test=tmp_path / "test.csv", group="patient")
    seen = {
        int(patients[row])
        for seed in SEEDS
        for split in (task.data(seed).train, task.data(seed).validation)
        for row in split
    }
    assert seen == set(range(28))
    assert "groups: 6 examples are left out: the test set has others of their groups" in map(str, task.data_notes())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"group": "sick"}, "group: cannot be the column to predict (got sick)"),
        ({"group": "patent"}, "group: no such column; did you mean patient? (got patent)"),
        ({"group": "patient", "categories": ("patient",)}, "categories: cannot name the column of groups, which is no input (got patient)"),
        ({"group": "patient", "missing": ("3", "NA")}, "group: column 'patient' must have a value in every row; give a row that is alone a name of its own (got 3 without)"),
    ],
)  # fmt: skip
def test_a_column_that_names_no_groups_is_one_clear_problem(settings, said, tmp_path):
    of_patients(tmp_path / "visits.csv")
    assert str(only_problem(Tabular(tmp_path / "visits.csv", target="sick", **settings))) == said


def test_a_task_without_groups_is_known_by_what_it_was_known_by_before_there_was_the_setting():
    task = Tabular("wine", validation_size=20)
    assert "group" not in dict(task.walk()) and "group" not in repr(task)
    assert dict(Tabular("wine", group="hue").walk())["group"] == "hue"


def test_groups_may_have_any_names():
    names = Grouped.names
    expected = grouped().data(3)
    for same in (names * 10**12, names - 30, names.double() / 2, names.numpy(), names.int(), names.tolist(),
                 [f"patient {i:02}" for i in names.tolist()], pd.Series([f"patient {i:02}" for i in names.tolist()])):  # fmt: skip
        data = grouped(same).data(3)
        assert torch.equal(data.train, expected.train) and torch.equal(data.validation, expected.validation)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (Grouped.names[:60], "must name a group for each of the 70 examples, those of a test set last, in shape (70,) (got shape (60,))"),
        (Grouped.names[:, None], "(got shape (70, 1))"),
        (np.array(["a", np.nan] * 35), "holds the text 'nan', which NumPy makes of a missing name among texts; give a list, or call the group otherwise (got an array of texts)"),
        (torch.where(Grouped.names == 3, torch.nan, Grouped.names.float()), "must name a group for each example; give one that is alone a name of its own (got 5 without)"),
        ([None] * 70, "(got 70 without)"),
        (["p1", None] * 35, "(got 35 without)"),
        ([1, math.nan] * 35, "(got 35 without)"),
        (pd.Series(["p1", None] * 35), "(got 35 without)"),
        (np.ma.masked_array(Grouped.names.numpy(), Grouped.names.numpy() == 3), "(got 5 without)"),
        ([1, "1"] * 35, "must be all numbers or all texts, in a tensor on the CPU, an array, a list or a column of pandas (got int and str)"),
        (pd.Series(["p1", 1] * 35), "(got int and str)"),
        ([[1], [2, 3]], "must be all numbers or all texts"),
        (Grouped.names.to("meta"), "must be all numbers or all texts"),
    ],
)  # fmt: skip
def test_what_names_no_groups_is_one_clear_problem(names, said):
    problem = only_problem(grouped(names))
    assert problem.path == "groups" and said in str(problem)


def test_groups_are_numbered_once_until_they_change(monkeypatch):
    calls, factorize = [], pd.factorize
    monkeypatch.setattr(pd, "factorize", lambda *args, **settings: calls.append(args) or factorize(*args, **settings))
    names = [f"p{i}" for i in Grouped.names.tolist()]
    task = grouped(names)
    expected = [task.data(seed).train for seed in SEEDS]
    assert len(calls) == 1
    names[0] = "p20"  # of whom the test set has examples
    assert all(0 not in task.data(seed).train for seed in SEEDS) and len(calls) == 2
    assert any(0 in train for train in expected)


@bundled
def test_openmls_mnist_is_tested_on_its_last_ten_thousand(no_network, monkeypatch):  # noqa: F811
    """As scikit-learn reads it, openml.org does not say which examples are for testing: how many of each class tells."""
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    tested = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    random = np.random.default_rng(0)
    labels = [random.permutation(np.repeat(np.arange(10), part)) for part in (counts, tested)]
    monkeypatch.setattr("harness.tasks.images._load", Images._pictures.__globals__["_load"].__wrapped__)

    def written(text, order):
        if not text.startswith("%"):
            return text
        rows = "\n".join(f"{k % 256},1,2,3,{label}" for k, label in enumerate(order))
        head = text[: text.upper().index("@DATA")].replace(
            "{Iris-setosa,Iris-versicolor,Iris-virginica}", f"{{{','.join('0123456789')}}}"
        )
        return f"{head}@DATA\n{rows}\n"

    for order, official in ((np.concatenate(labels), 10_000), (random.permutation(np.concatenate(labels)), 0)):
        kept(no_network, *IRIS, functools.partial(written, order=order))
        task = Images("openml:61")
        assert task.official_test() == official
    assert min(Images("openml:61").data(3).test.tolist()) < 60_000


def test_a_test_file_is_what_is_tested_on_and_nothing_is_learned_from_it(tmp_path):
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"size": random.normal(size=60), "kind": ["u", "v", "w"] * 20, "y": random.normal(size=60).round(3)}
    )
    other = pd.DataFrame({"y": [50.5, -3.25, 7.125], "kind": ["z", "u", "v"], "size": [1e3, 2.0, 3.0]})
    frame.to_csv(tmp_path / "train.csv", index=False)
    other.to_csv(tmp_path / "test.csv", index=False)
    task = Tabular(tmp_path / "train.csv", target="y", test=tmp_path / "test.csv")
    assert task.problems() == [] and task.official_test() == 3
    alone = Tabular(tmp_path / "train.csv", target="y", test_size=1)
    for seed in SEEDS:
        data = task.data(seed)
        assert sorted(data.test.tolist()) == [60, 61, 62]
        train = frame.iloc[data.train.numpy()]
        scaled = (pd.concat([frame, other])["size"] - train["size"].mean()) / train["size"].std(ddof=0)
        np.testing.assert_allclose(data.x[:, 0], scaled, rtol=1e-4, atol=1e-6)
        y = (pd.concat([frame, other])["y"] - frame["y"].mean()) / frame["y"].std(ddof=0)
        np.testing.assert_allclose(data.y, y, rtol=1e-4, atol=1e-6)
        assert data.x.shape[1] == 1 + 4 and (data.x[60, 1:] == 0).all()  # a kind that no training example has
        assert data.x[61, 1:].tolist() == [1, 0, 0, 0]
    assert alone.fingerprint() != task.fingerprint()
    other.assign(size=[1e3, 2.0, 4.0]).to_csv(tmp_path / "test.csv", index=False)
    assert task.data(0).x[62, 0] > data.x[62, 0]  # read again


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"size": [1.0], "y": ["a"]}, "test: lacks the column 'kind'"),
        ({"y": ["a"]}, "test: lacks the columns 'size', 'kind'"),
        ({"size": [1.0], "kind": ["u"], "y": ["a"], "more": [1]}, "test: must have the columns of the source and no others (got 'more')"),
        ({"size": ["x"], "kind": ["u"], "y": ["a"]}, "test: column 'size' must be of the same type as in the source, float64"),
    ],
)  # fmt: skip
def test_a_test_file_that_does_not_fit_is_refused(tmp_path, columns, said):
    frame = pd.DataFrame({"size": [1.0, 2.0, 3.5, 4.0], "kind": ["u", "v"] * 2, "y": ["a", "b"] * 2})
    frame.to_parquet(tmp_path / "train.parquet")
    pd.DataFrame(columns).to_parquet(tmp_path / "test.parquet")
    problem = only_problem(Tabular(tmp_path / "train.parquet", target="y", test=tmp_path / "test.parquet"))
    assert str(problem).startswith(said)


def test_a_test_file_that_is_none_is_refused(tmp_path):
    assert str(only_problem(Tabular(test=tmp_path / "no.csv"))).startswith("test: no such file")
    assert str(only_problem(Tabular(test="no"))).startswith("test: must be a file that ends in .csv or .parquet")


def test_declared_categories_of_a_test_file_are_joined(tmp_path):
    for name, kinds in (("train", ["u", "v"]), ("test", ["v", "w"])):
        kind = pd.Categorical(kinds * 10)
        pd.DataFrame({"kind": kind, "size": np.arange(20.0), "y": list("ab") * 10}).to_parquet(
            tmp_path / f"{name}.parquet"
        )
    data = Tabular(tmp_path / "train.parquet", target="y", test=tmp_path / "test.parquet").data(0)
    assert data.x[:20, 1:].tolist() == [[1, 0, 0], [0, 1, 0]] * 10
    assert data.x[20:, 1:].tolist() == [[0, 1, 0], [0, 0, 0]] * 10  # no training example is a w


def test_test_tensors_and_a_test_data_set_are_what_is_tested_on():
    for task in (with_test_set(40, 12), from_dataset(Squares(40), test=Squares(12))):
        assert task.problems() == [] and task.official_test() == 12
        assert (len(task.data(0).train), len(task.data(0).validation)) == (32, 8)
        assert all(set(task.data(seed).test.tolist()) == set(range(40, 52)) for seed in SEEDS)
        assert torch.equal(task.data(0).x[40:], task.test[0])
        assert task.data(0).x is task.replace(train_size=3).data(1).x  # one pool for all sizes
    with pytest.raises(InvalidStudy, match="test: item 0 is not a pair"):
        from_dataset(Squares(40), test=Squares(4, target=lambda i: 1 // i))


@pytest.mark.parametrize("first", [0, 59])
def test_a_whole_number_among_others_rounds_none_of_them(first):
    mixed = [i if i == first else i + 0.5 for i in range(60)]
    assert from_dataset([(torch.tensor([float(i)]), y) for i, y in enumerate(mixed)]).y.tolist() == mixed
    with pytest.raises(InvalidStudy, match="float32 changes them by up to"):
        from_dataset([(torch.tensor([float(i)]), 10**9 if i == first else 1e9 + i / 10) for i in range(60)])


@pytest.mark.parametrize("write", [torch.Tensor.copy_, lambda t, new: t.data.copy_(new), lambda t, new: np.copyto(t.numpy(), new.numpy())])  # fmt: skip
def test_tensors_that_were_written_into_are_looked_at_as_they_are_now(write):
    given = with_test_set(60, 20)
    assert not any("tells the target" in doubt.sentence for doubt in doubts(given, given.data(0)))
    for x, y in ((given.x, given.y), given.test):
        write(x, torch.stack([y.float(), x[:, 1]], 1))
    for task in (given, Tensors(given.x, given.y, test=given.test)):
        assert torch.equal(task.data(0).x[:, 0].long(), task.data(0).y)
        assert any("tells the target" in doubt.sentence for doubt in doubts(task, task.data(0)))


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ((torch.zeros(3, 3), torch.zeros(3, dtype=torch.int64)), "test.x: must be like x: shape (n, 2), float32"),
        ((torch.zeros(3, 2), torch.zeros(3)), "test.y: must be like y: shape (n), int64"),
        ((torch.zeros(3, 2), torch.zeros(2, dtype=torch.int64)), "test.y: needs as many examples as x, 3"),
        ((torch.zeros(3, 2).double(), torch.zeros(3, dtype=torch.int64)), "test.x: must be float32 or int64"),
        ((torch.full((3, 2), torch.nan), torch.zeros(3, dtype=torch.int64)), "test.x: all 6 values must be finite"),
        (torch.zeros(3, 2), "test: input should be a valid tuple"),
    ],
)  # fmt: skip
def test_test_tensors_that_do_not_fit_are_refused(test, said):
    problem = tensors(test=test).problems()[0]
    assert str(problem).startswith(said)


def test_test_tensors_are_told_apart_by_content():
    one, other = (tensors(test=(torch.full((2000, 2), v), torch.zeros(2000, dtype=torch.int64))) for v in (1.0, 1.0))
    assert one == other and one.fingerprint() == other.fingerprint()
    middle = torch.full((2000, 2), 1.0)
    middle[1000] = 2.0  # which the repr of a large tensor leaves out
    changed = tensors(test=(middle, torch.zeros(2000, dtype=torch.int64)))
    assert changed != one and changed.fingerprint() != one.fingerprint()
    assert show([middle, 1]) != show([torch.full((2000, 2), 1.0), 1])


# ---------------------------------------------------------------- what is learned from data


@pytest.mark.parametrize("source", ["breast_cancer", "diabetes"])
def test_nothing_is_learned_from_test_examples(tmp_path, source):
    """Whatever the test rows hold, all that is trained and validated on stays as it is, inputs and targets."""
    base = Tabular(source)
    frame = base._table.__globals__["_shipped"](source)
    frame.to_parquet(tmp_path / "t.parquet")
    task = Tabular(tmp_path / "t.parquet", target="target")
    before = task.data(2)
    rows = before.test.numpy()
    numbers = [name for name in frame if name != "target"]
    frame.loc[rows, numbers] = frame.loc[rows, numbers] * 50 + 7
    if source == "diabetes":
        frame.loc[rows, "target"] = frame.loc[rows, "target"] * 9
    frame.to_parquet(tmp_path / "t.parquet")
    after = task.data(2)
    for index in (before.train, before.validation):
        assert torch.equal(before.x[index], after.x[index]) and torch.equal(before.y[index], after.y[index])


def test_a_category_that_no_training_example_has_is_no_input(tmp_path):
    kinds = ["u", "v"] * 30
    path = tmp_path / "t.csv"

    def task():
        pd.DataFrame({"size": np.arange(60.0), "kind": kinds, "y": list("abc") * 20}).to_csv(path, index=False)
        return Tabular(path, target="y")

    kinds[int(task().data(0).test[0])] = "w"
    data = task().data(0)
    assert data.x.shape[1] == 4 and (data.x[:, 3] == 0).all() and (data.x[data.test[0], 1:] == 0).all()


# ---------------------------------------------------------------- a user's own task


class Own(Task):
    """A pool that is split anew for every seed, or whose test examples are fixed, in the seed's order and scale."""

    fixed: bool = False
    scaled: bool = False

    def draw(self, seed):
        x = torch.randn(60, 2, generator=torch.Generator().manual_seed(1))
        order = torch.randperm(60, generator=stream(seed, "own"))
        if self.fixed:
            order = torch.cat([order[order < 40], order[order >= 40] if not self.scaled else torch.arange(40, 60)])
        train, validation, test = order.split([30, 10, 20])
        if self.scaled:
            x = (x - x[train].mean(0)) / x[train].std(0)
        return Data(x, (torch.arange(60) % 2), train, validation, test)


class Drawn(Task):
    """New inputs for every seed, of the same classes."""

    def draw(self, seed):
        x = torch.randn(60, 2, generator=stream(seed, "own"))
        return Data(x, torch.arange(60) % 2, *torch.arange(60).split([30, 10, 20]))


@pytest.mark.parametrize(
    ("task", "fixed"),
    [(Own(), False), (Drawn(), False), (Own(fixed=True), True), (Own(fixed=True, scaled=True), True), (Own(resample="none"), True)],
)  # fmt: skip
def test_a_users_task_whose_test_examples_differ_between_seeds_is_found(task, fixed):
    found = [doubt.sentence for doubt in doubts(task, task.data(0)) if "differ between seeds" in doubt.sentence]
    assert (not found) == task.fixes_test() == fixed == (data_checks.test_set(task).level == "ok")
    study = Study(name="own", task=task, model=DropoutNet(hidden=(4,)), batch_size=5, steps=2)
    assert any("its test examples differ between seeds" in note for note in study.notes) != fixed
    assert ("one fixed test set of 20 examples" in scope(study)[0]) == fixed
    assert ("on 20 examples, other ones for each seed" in scope(study)[0]) != fixed


class Twice(Task):
    """Half of the test examples are training examples too."""

    def draw(self, seed):
        x = torch.randn(60, 2, generator=stream(0, "own"))
        x[50:] = x[:10]
        return Data(x, torch.arange(60) % 2, *torch.arange(60).split([30, 10, 20]))


def test_test_inputs_that_are_trained_on_too_are_said_before_a_study_trains():
    study = Study(name="own", task=Twice(), model=DropoutNet(hidden=(4,)), batch_size=5, steps=2)
    assert any("10 of 20 test examples have inputs that occur in training too" in note for note in study.notes)
    assert data_checks.splits(Twice()).level == "warning"


def test_inputs_may_begin_anywhere_in_their_memory():
    """Such as numbers after a header of one."""
    x = torch.randn(801, generator=stream(0, "own"))[1:].view(200, 4)
    x[190:] = x[:10]
    splits = torch.arange(200).split([150, 20, 30])
    found, same = (repeated_inputs(Data(inputs, torch.arange(200) % 2, *splits)) for inputs in (x, x.clone()))
    assert found == same and "10 of 30 test examples" in found.sentence


@pytest.mark.parametrize("features", [0, 3])
@pytest.mark.parametrize("order", ["drawn", "later"])
def test_windows_of_a_series_that_overlap_are_said_where_one_is_tested_on_and_another_is_trained_on(
    features: int, order: str
):
    generator = stream(0, "own")
    series = torch.randn(2000, *[features] * (features > 0), generator=generator)
    x = torch.stack([series[start : start + 20] for start in range(0, 1980, 5)])
    places = torch.randperm(len(x), generator=generator) if order == "drawn" else torch.arange(len(x))
    train, _, validation, _, test = places.split([250, 4, 60, 4, len(x) - 318])  # what lies between is left out
    known = set(train.tolist())
    alike = sum(any(i + k in known for k in (-2, -1, 1, 2)) for i in test.tolist())  # 10 of 20 steps, or 15
    found = overlapping_windows(Task(), Data(x, torch.arange(len(x)) % 2, train, validation, test))
    if order == "later":
        assert found is None
    else:
        assert f"{alike} of {len(test)} test examples" in found.sentence and "5 apart" in found.sentence


SERIES = torch.randn(400, 3, generator=stream(0, "series")).cumsum(0)


def said_of_windows(task):
    return [doubt.sentence for doubt in doubts(task, task.data(0)) if "windows of a series, 1 apart" in doubt.sentence]


@pytest.mark.parametrize("channels", [None, 1, 3])
@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("step", [1, -1])
def test_windows_are_seen_along_any_axis_and_in_reverse(channels, axis, step):
    series = SERIES[:, 0] if channels is None else SERIES[:, :channels]
    x = series.unfold(0, 16, 1)  # (n, time), or (n, channels, time)
    x = x if channels is None or axis == 2 else x.mT
    x = x.flip(0) if step < 0 else x
    (said,) = said_of_windows(Tensors(x.contiguous(), torch.arange(len(x)) % 2))
    assert said.startswith("77 of 77 test examples and 77 of 77 validation examples share half of their steps or more")


@pytest.mark.parametrize("names", [range(16), range(16, 0, -1)])
def test_lags_of_a_table_are_seen_as_windows(names, tmp_path):
    x = SERIES[:, 0].unfold(0, 17, 1).numpy()
    frame = pd.DataFrame(x, columns=[*(f"lag {k}" for k in names), "next"])
    for n, columns in enumerate((frame, frame[frame.columns[::-1]])):
        columns.to_parquet(tmp_path / f"{n}.parquet")
        (said,) = said_of_windows(Tabular(tmp_path / f"{n}.parquet", target="next"))
        assert said.startswith("76 of 76 test examples")


@pytest.mark.parametrize(
    "task",
    [Images("digits"), CharLM(), Images("digits", layout="rows"), TemporalOrder()],
    ids=["digits", "text", "rows", "symbols"],
)
def test_what_is_no_window_of_a_series_is_not_taken_for_one(task):
    assert overlapping_windows(task, task.data(0)) is None


def test_rows_of_zeros_and_ones_and_examples_that_repeat_are_no_windows():
    ones = torch.randint(0, 2, (300, 12), generator=stream(0, "own")).float()
    for x in (ones, ones[:1].expand(300, 12), torch.zeros(300, 12), torch.tensor([0.0, 1.0]).repeat(300, 6)):
        assert (
            overlapping_windows(Task(), Data(x, torch.arange(300) % 2, *torch.arange(300).split([200, 50, 50]))) is None
        )


# ---------------------------------------------------------------- what a verdict is conditional on


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (Images(), "one fixed test set of 359 examples; seeds differ in initial weights, order of batches, dropout and which of "
         "the other 1,438 they train and validate on."),
        (Images(train_size=100, resample="none"), "one fixed test set of 359 examples; seeds differ in initial weights, order of "
         "batches and dropout, and train on the same 100 examples."),
        (Images(resample="bootstrap"), "order of batches, dropout and the bootstrap sample of one training set of 1,079 examples."),
        (Images(label_noise=0.1), "dropout, which of the other 1,438 they train and validate on and which labels are replaced."),
        (TemporalOrder(test_size=300), "one fixed test set of 300 examples; seeds differ in initial weights, order of batches, "
         "dropout and the examples that they train and validate on, which are drawn anew."),
        (with_test_set(), "one fixed test set of 12 examples; seeds differ in initial weights, order of batches, dropout and which "
         "of the other 40 they train and validate on."),
    ],
)  # fmt: skip
def test_a_task_says_what_a_verdict_on_it_is_conditional_on(task, said):
    assert task_scope(task).startswith("Verdicts hold for tests on ") and task_scope(task).endswith(said)


class Folds(Task):
    """Folds of unequal size."""

    def draw(self, seed):
        x = torch.randn(300, 2, generator=stream(seed, "own"))
        sizes = [60, 200, 100][seed % 3], 20, [40, 10, 20][seed % 3]
        return Data(x, torch.arange(300) % 2, *torch.arange(sum(sizes)).split(sizes))


def test_where_seeds_differ_in_the_sizes_of_their_splits_the_least_and_the_most_are_said():
    study = Study(name="folds", task=Folds(), model=DropoutNet(hidden=(4,)), batch_size=6, steps=20, seeds=3)
    assert scope(study)[0].startswith("Numbers hold for tests on 10 to 40 examples, other ones for each seed")
    assert examples_in_words(study) == {"train": "60 to 200", "validation": "20", "test": "10 to 40", "gap": "10 to 40"}
    assert budget(study, setups(study)) == "20 steps, 0.6 to 2 epochs"


def test_data_of_all_seeds_are_not_drawn_where_sizes_cannot_differ(monkeypatch):
    study = Study(name="x", task=tensors(60), model=DropoutNet(hidden=(4,)), batch_size=6, steps=20, seeds=9)
    seen, data = set(), Tensors.data
    monkeypatch.setattr(Tensors, "data", lambda task, seed: seen.add(seed) or data(task, seed))
    assert scope(study) and examples_in_words(study)["train"] == "36" and "epoch" in budget(study, setups(study))
    assert seen <= {0}


class Split(Task):
    """A user's own split of one set of examples, in which only some parts depend on the seed."""

    by_seed: tuple[str, ...] = ()

    def draw(self, seed):
        x = torch.randn(60, 2, generator=torch.Generator().manual_seed(1))
        own = {name: torch.randperm(20, generator=stream(seed, name)) for name in self.by_seed}
        train, validation = (own.get(name, torch.arange(20))[:15] for name in ("train", "validation"))
        order = torch.randperm(15, generator=stream(seed, "order"))
        return Data(x, torch.arange(60) % 2, train[order], 20 + validation, torch.arange(40, 60))


class SplitPool(Split, Tensors):
    """Likewise, of tensors."""


@pytest.mark.parametrize("kind", [Split, lambda **by: SplitPool(torch.randn(60, 2), torch.arange(60) % 2, **by)])
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "initial weights, order of batches and dropout, and train on the same 15 examples."),
        ({"label_noise": 0.2}, "initial weights, order of batches, dropout and which labels are replaced."),
        ({"by_seed": ("train",)}, "order of batches, dropout and the examples that they train on."),
        ({"by_seed": ("validation",)}, "order of batches, dropout and the examples that they validate on."),
        ({"by_seed": ("train", "validation")}, "dropout and the examples that they train and validate on."),
    ],
)
def test_of_a_users_own_split_is_said_what_really_differs_between_seeds(kind, settings, said):
    task = kind(**settings)
    assert task_scope(task).endswith(said)
    of_data = said.partition("dropout and ")[2] or "the order of their examples;"
    assert f"seeds differ only in {of_data.removesuffix('.')}" in task_scope(task, "data")


def test_several_test_sets_of_one_size_are_not_called_one():
    task = TemporalOrder(length=Sweep(10, 20), train_size=100, validation_size=20, test_size=20)
    study = Study(name="x", task=task, model=SimpleRNN(hidden=4), batch_size=5, steps=2)
    (said,) = scope(study)
    assert said.startswith("At each task.length: numbers hold for tests on one fixed test set of 20 examples")
    noisy = study.replace(task=task.replace(length=10, label_noise=Sweep(0.0, 0.2)))
    assert len(scope(noisy)) == 2 and not any("each" in sentence.split(":")[0] for sentence in scope(noisy))


def test_cells_whose_verdicts_are_conditional_on_other_examples_are_told_apart():
    task = Images(train_size=Sweep(50, 100), label_noise=Sweep(0.0, 0.2))
    said = scope(Study(name="x", task=task, model=DropoutNet(hidden=(4,)), batch_size=5, steps=2))
    assert len(said) == 2 and said[0].startswith("At task.label_noise = 0: numbers hold for tests on")
    assert "which labels are replaced" not in said[0] and said[1].endswith("which labels are replaced.")
    (one,) = scope(
        Study(name="x", task=Images(train_size=Sweep(50, 100)), model=DropoutNet(hidden=(4,)), batch_size=5, steps=2)
    )
    assert "359" in one
