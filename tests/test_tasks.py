"""Tasks: their examples, their splits, and what they say about bad input."""

import gzip
import itertools
import math
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.datasets import load_digits, make_friedman1
from sklearn.utils import Bunch

from harness import Study, tasks
from harness.engine.setup import Setup
from harness.models import DropoutNet, Model
from harness.settings import InvalidStudy, Problem, Sweep
from harness.settings.show import ranges
from harness.study.trial_run import trial_run
from harness.tasks import (
    AddingProblem,
    CharLM,
    CopyMemory,
    Data,
    Friedman,
    Images,
    Tabular,
    Task,
    TemporalOrder,
    Tensors,
)
from harness.tasks.doubts import doubts
from harness.tasks.pooled import Pooled
from harness.tasks.splits import split

FASHION = Path("/usr/share/datasets/fashion-mnist")


def tensors(n=40, **settings):
    x = torch.arange(2.0 * n).view(n, 2)
    return Tensors(**({"x": x, "y": torch.arange(n) % 3} | settings))


LAYOUTS = ("flat", "rows", "pixels", "image")
SPLITS = ("train", "validation", "test")
SMALL = {"train_size": 30, "validation_size": 7, "test_size": 9}


def every_task():
    """One small task of every exported class, with its defaults where it has them, and further variants."""
    exported = [
        cls for name in tasks.__all__ if isinstance(cls := getattr(tasks, name), type) and issubclass(cls, Task)
    ]
    made = [tensors(60, **SMALL) if cls is Tensors else cls(**SMALL) for cls in exported if cls is not Task]
    return [*made, Images(layout="rows", **SMALL), Images(layout="pixels", **SMALL), Tabular("diabetes", **SMALL)]


def only_problem(task):
    """The one problem of a task; repr and data() must not break on it either."""
    problems = task.problems()
    assert len(problems) == 1, problems
    assert "\n" not in str(problems[0])
    with pytest.raises(InvalidStudy) as raised:
        task.data(0)
    assert raised.value.problems == problems
    return problems[0]


# ---------------------------------------------------------------- all tasks


@pytest.fixture(params=every_task(), ids=lambda task: f"{type(task).__name__}")
def task(request):
    return request.param


def test_task_is_valid_and_its_data_fit_its_sizes(task):
    assert isinstance(task, Task) and task.problems() == []
    data = task.data(0)
    assert isinstance(data, Data) and len(data.x) == len(data.y)
    assert data.x.dtype in (torch.float32, torch.int64) and data.y.dtype in (torch.float32, torch.int64)
    assert (len(data.train), len(data.validation), len(data.test)) == (30, 7, 9)
    sizes = task.sizes(data)
    if data.x.is_floating_point():
        assert sizes["inputs"] == data.x.shape[-1]
    else:
        assert data.x.max() < sizes["inputs"]
    if data.y.is_floating_point():
        assert sizes["outputs"] == data.y[0].numel()
    else:
        assert data.y.min() >= 0 and data.y.max() < sizes["outputs"]


def test_losses_and_errors_are_one_number_an_example(task):
    data = task.data(0)
    y = data.y[data.test]
    steps = y.shape[1:] if not y.is_floating_point() else ()
    output = torch.zeros(9, *steps, task.sizes(data)["outputs"])
    assert task.losses(output, y).shape == task.errors(output, y).shape == (9,)


def test_splits_are_disjoint(task):
    data = task.data(3)
    assert len(set(torch.cat([data.train, data.validation, data.test]).tolist())) == 46


def test_data_are_fixed_by_the_seed_and_all_but_the_test_examples_differ_between_seeds(task):
    def seen(seed):
        data = task.data(seed)
        return {name: (data.x[i], data.y[i]) for name in SPLITS for i in [getattr(data, name)]}

    torch.manual_seed(0)
    first = seen(5)
    torch.manual_seed(1)  # the global state must not matter
    again, other = seen(5), seen(6)
    for name, (x, y) in first.items():
        assert torch.equal(x, again[name][0]) and torch.equal(y, again[name][1])
        scaled = isinstance(task, Tabular)  # by each seed's training examples
        assert torch.equal(x, other[name][0]) == (name == "test" and not scaled)
        assert name != "test" or torch.equal(y, other[name][1])


def test_global_random_state_is_left_alone(task):
    before = torch.get_rng_state()
    task.data(0)
    assert torch.equal(before, torch.get_rng_state())


def test_train_size_changes_only_how_many_examples_are_trained_on(task):
    assert "train_size" in task.choice_of_examples
    large, small = task.data(2), task.replace(train_size=11).data(2)
    for part, n in (("validation", 7), ("test", 9), ("train", 11)):
        one, two = getattr(large, part)[:n], getattr(small, part)
        if isinstance(task, Tabular):  # standardised by its training set; the pool is one
            assert torch.equal(one, two)
        else:
            assert torch.equal(large.x[one], small.x[two]) and torch.equal(large.y[one], small.y[two])
    assert len(small.train) == 11


def pooled(*, but=()):
    return [task for task in every_task() if isinstance(task, Pooled) and not isinstance(task, but)]


@pytest.mark.parametrize("task", pooled(but=Tabular), ids=lambda task: type(task).__name__)
def test_seeds_and_training_sizes_share_one_pool_in_memory(task):
    one, other = task.data(0), task.replace(train_size=5).data(1)
    assert one.x is other.x and one.y is other.y


DEFAULTS = [CharLM, Images, AddingProblem, TemporalOrder, CopyMemory, Friedman, Tabular]


@pytest.mark.parametrize("cls", DEFAULTS)
def test_defaults_are_valid(cls):
    assert cls().problems() == []


@pytest.mark.parametrize("task", pooled(), ids=lambda task: type(task).__name__)
@pytest.mark.parametrize("size", ["train_size", "validation_size", "test_size"])
def test_sizes_beyond_the_pool_are_a_problem(task, size):
    problem = only_problem(task.replace(**{size: 10**7}))
    assert problem.path in ("train_size", "validation_size")


@pytest.mark.parametrize("cls", DEFAULTS)
@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "3", math.nan])
def test_a_size_that_is_no_count_is_a_problem(cls, wrong):
    assert [problem.path for problem in cls(train_size=wrong).problems()] == ["train_size"]


def test_sweeping_a_size_is_checked_level_by_level():
    task = Images(train_size=Sweep(10, 10**6))
    assert task.problems() == []
    assert [p.path for p in task.with_value("train_size", 10**6).problems()] == ["train_size"]


def test_fingerprints_tell_data_apart_and_are_empty_for_drawn_data():
    assert AddingProblem().fingerprint() == TemporalOrder().fingerprint() == ""
    assert Images().fingerprint() == Images(layout="rows", train_size=3).fingerprint() != ""
    assert tensors().fingerprint() == tensors().fingerprint() != tensors(y=torch.arange(40) % 4).fingerprint()


# ---------------------------------------------------------------- splitting


@given(st.data())
def test_split_gives_disjoint_sets_of_the_sizes_asked_for_and_tears_no_group(data):
    groups = torch.tensor(data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=60))).sort().values
    groups = torch.unique(groups, return_inverse=True)[1]
    n, largest = len(groups), int(groups.bincount().max())
    parts = tuple(data.draw(st.lists(st.integers(0, 20), min_size=1, max_size=4)))
    assume(sum(parts) + (len(parts) - 1) * (largest - 1) <= n)
    sets = split(n, parts, torch.Generator().manual_seed(1), groups=groups)
    assert [len(s) for s in sets] == list(parts)
    chosen = torch.cat(sets).tolist()
    assert len(set(chosen)) == len(chosen) and all(0 <= i < n for i in chosen)
    of_sets = [set(groups[s].tolist()) for s in sets]
    assert all(one.isdisjoint(other) for one, other in itertools.combinations(of_sets, 2))
    for s in sets:  # whole groups, but for the last one
        assert all((groups[s] == g).sum() == (groups == g).sum() for g in list(dict.fromkeys(groups[s].tolist()))[:-1])


def test_split_of_single_examples_is_a_random_permutation():
    order = torch.randperm(10, generator=torch.Generator().manual_seed(4))
    (got,) = split(10, (10,), torch.Generator().manual_seed(4))
    assert torch.equal(got, order)
    three, four = split(10, (3, 4), torch.Generator().manual_seed(4))
    assert torch.equal(torch.cat([three, four]), order[:7])


@given(st.data())
def test_any_sizes_either_split_the_pool_exactly_or_are_a_problem(data):
    n = data.draw(st.integers(1, 60))
    size = st.none() | st.integers(1, 80)
    sizes = {f"{part}_size": data.draw(size) for part in ("train", "validation", "test")}
    task = tensors(n, **sizes)
    if problems := task.problems():
        assert all(p.path in sizes for p in problems)
        held_out = [sizes[f"{p}_size"] or max(n // 5, 1) for p in ("validation", "test")]
        assert sum(held_out) + (sizes["train_size"] or 1) > n
    else:
        got = task.data(0)
        for part in ("train", "validation", "test"):
            assert len(getattr(got, part)) == (sizes[f"{part}_size"] or len(getattr(got, part))) > 0


def test_too_large_a_training_set_is_told_the_most_there_is():
    problem = only_problem(tensors(40, train_size=25))
    assert problem == Problem("train_size", "at most 24: 40 examples less 8 for validation and 8 for the test", "25")


def test_default_sizes_are_sixty_twenty_twenty():
    data = tensors(50).data(0)
    assert (len(data.train), len(data.validation), len(data.test)) == (30, 10, 10)


# ---------------------------------------------------------------- CharLM


def test_a_path_object_and_a_home_folder_name_files(tmp_path, monkeypatch):
    (tmp_path / "text").write_text("abc" * 1000)
    monkeypatch.setenv("HOME", str(tmp_path))
    sizes = {"length": 4, "validation_size": 2, "test_size": 2}
    assert CharLM(text=tmp_path / "text", **sizes).problems() == []
    assert CharLM(text="~/text", **sizes).problems() == []


def test_a_changed_file_is_read_again(tmp_path):
    path = tmp_path / "text"
    path.write_text("ab" * 50)
    task = CharLM(text=str(path), length=4, validation_size=2, test_size=2)
    assert task.vocabulary() == "ab"
    path.write_text("xyz" * 50)
    assert task.vocabulary() == "xyz"
    assert set(task.data(0).x.flatten().tolist()) == {0, 1, 2}


@pytest.mark.parametrize(
    ("content", "field", "said"),
    [
        (None, "text", "no such file"),
        (b"", "text", "empty"),
        (b"\xff\xfe" * 5000, "text", "UTF-8, but is not at byte 0"),
        (b"good" * 5000 + b"\xe9t\xe9", "text", "UTF-8, but is not at byte 20000"),
        (b"short", "length", "less than the 5 characters"),
        (b"a" * 5000, "validation_size", "90 examples"),
    ],
)
def test_bad_text_is_one_clear_problem(tmp_path, content, field, said):
    path = tmp_path / "text"
    if content is not None:
        path.write_bytes(content)
    problem = only_problem(CharLM(text=str(path)))
    assert problem.path == field and said in str(problem)


@pytest.mark.parametrize(
    ("task", "field"),
    [
        (lambda folder: CharLM(text=f"{folder}text"), "text"),
        (lambda folder: Tabular(f"{folder}data.csv"), "source"),
        (lambda folder: Tabular("wine", test=f"{folder}data.csv"), "test"),
        (lambda folder: Images(f"idx:{folder}images"), "source"),
    ],
)
def test_where_a_relative_path_was_followed_is_said(tmp_path, monkeypatch, task, field):
    monkeypatch.chdir(tmp_path)
    problem = only_problem(task("no/"))
    assert problem.path == field and f" in the working directory {tmp_path}" in problem.message
    assert "working directory" not in only_problem(task("/no/")).message


def test_what_is_no_file_is_one_clear_problem(tmp_path):
    assert "not a folder" in only_problem(CharLM(text=str(tmp_path))).message
    assert only_problem(CharLM(text="")).message.startswith("no such file")
    assert only_problem(CharLM(text="a\0b")).path == "text"
    assert only_problem(CharLM(text="x" * 5000)).path == "text"
    os.mkfifo(tmp_path / "pipe")
    assert only_problem(CharLM(text=str(tmp_path / "pipe"))).message == "must be a file"


# ---------------------------------------------------------------- Images


def write_idx(folder, *, names=("train", "t10k"), n=20, shape=(4, 3), ending="", labels=None):
    """Small files in MNIST's format; returns images and labels as written."""
    random = np.random.default_rng(0)
    all_images, all_labels = [], []
    for name in names:
        pixels = random.integers(0, 256, (n, *shape), dtype=np.uint8)
        classes = random.integers(0, 10, n, dtype=np.uint8) if labels is None else np.array(labels, dtype=np.uint8)
        for kind, array in (("images-idx3", pixels), ("labels-idx1", classes)):
            raw = bytes([0, 0, 8, array.ndim]) + b"".join(k.to_bytes(4, "big") for k in array.shape) + array.tobytes()
            path = folder / f"{name}-{kind}-ubyte{ending}"
            path.write_bytes(gzip.compress(raw) if ending else raw)
        all_images.append(pixels)
        all_labels.append(classes)
    return np.concatenate(all_images), np.concatenate(all_labels)


def test_idx_files_of_two_scales_are_refused(tmp_path):
    """A test set of bytes beside training images from 0 to 1 would be 255 times as bright."""
    pixels, _ = write_idx(tmp_path)
    train = pixels[: len(pixels) // 2]
    header = bytes([0, 0, 13, 3]) + b"".join(k.to_bytes(4, "big") for k in train.shape)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(header + (train / 255).astype(">f4").tobytes())
    problem = only_problem(Images(f"idx:{tmp_path}"))
    assert "or all of them fractions" in problem.message and "t10k-images-idx3-ubyte up to 255" in problem.got
    path.write_bytes(header + train.astype(">f4").tobytes())
    assert np.array_equal(Images(f"idx:{tmp_path}", layout="rows").data(0).x.numpy(), pixels.astype(np.float32) / 255)


def test_digits_are_those_of_scikit_learn():
    expected = load_digits()
    flat, rows, pixels, image = (Images(layout=layout).data(0) for layout in LAYOUTS)
    assert image.x.shape[1:] == (1, 8, 8) and torch.equal(image.x.flatten(1), flat.x)
    assert flat.x.dtype == torch.float32 and flat.x.shape == (1797, 64)
    assert np.array_equal(flat.x.numpy() * 16, expected.data)
    assert np.array_equal(rows.x.numpy() * 16, expected.images)
    assert np.array_equal(pixels.x.numpy() * 16, expected.data[:, :, None])
    assert np.array_equal(flat.y.numpy(), expected.target)
    assert flat.x.min() == 0 and flat.x.max() == 1
    assert Images().sizes(flat) == {"inputs": 64, "outputs": 10}
    assert Images().sizes(rows) == {"inputs": 8, "outputs": 10}
    assert (len(flat.train), len(flat.validation), len(flat.test)) == (1079, 359, 359)


def test_layouts_share_their_memory():
    assert len({Images(layout=layout).data(0).x.data_ptr() for layout in LAYOUTS}) == 1


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("names", [("train",), ("train", "t10k")])
def test_idx_files_come_back_as_written(tmp_path, ending, names):
    pixels, labels = write_idx(tmp_path, names=names, ending=ending)
    task = Images(f"idx:{tmp_path}", layout="rows")
    assert task.problems() == []
    data = task.data(0)
    assert np.array_equal((data.x * 255).round().numpy(), pixels)
    assert data.x.dtype == torch.float32 and data.x.min() >= 0 and data.x.max() <= 1
    assert np.array_equal(data.y.numpy(), labels)
    assert torch.equal(Images(f"idx:{tmp_path}").data(0).x, data.x.flatten(1))


def damage(tmp_path, name, change):
    path = tmp_path / name
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-labels-idx1-ubyte"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda raw: raw[:-1], "damaged"),
        (lambda raw: raw + b"\0", "damaged"),
        (lambda raw: raw[:6], "not an IDX file"),
        (lambda raw: b"\1" + raw[1:], "not an IDX file"),
        (lambda raw: raw[:2] + b"\x0a" + raw[3:], "not an IDX file"),
        (lambda raw: raw[:2] + b"\x0d" + raw[3:], "damaged"),
        (lambda raw: raw[:4] + b"\xff" * 4 + raw[8:], "damaged"),
        (lambda raw: raw[:4] + bytes(4) + raw[8:], "damaged"),
        (lambda raw: gzip.compress(raw)[:-9], "not a whole gzip file"),
        (lambda raw: gzip.compress(raw)[:10] + b"\xff" * 30, "not a whole gzip file"),
        (lambda raw: b"", "empty"),
        (lambda raw: b"<html>not found</html>", "not an IDX file"),
    ],
)
def test_damaged_idx_files_are_one_clear_problem(tmp_path, name, change, said):
    write_idx(tmp_path)
    damage(tmp_path, name, change)
    problem = only_problem(Images(f"idx:{tmp_path}"))
    assert problem.path == "source" and said in problem.message and name in str(problem)


def test_a_mended_folder_is_read_again(tmp_path):
    write_idx(tmp_path)
    damage(tmp_path, "train-labels-idx1-ubyte", lambda raw: raw[:-1])
    task = Images(f"idx:{tmp_path}")
    assert "damaged" in only_problem(task).message
    write_idx(tmp_path)
    assert task.replace().problems() == []


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([*range(1, 27), *range(1, 15)], ["source: 26 classes, the labels 1 … 26, in this order"]),
        ([0, 7, 255, 7] * 10, ["source: 3 classes, the labels 0 … 255, not all between them, in this order"]),
        ([*range(10)] * 4, []),
    ],
    ids=["letters", "with gaps", "digits"],
)
def test_idx_labels_of_any_range_are_classes_and_that_is_said(tmp_path, labels, said):
    write_idx(tmp_path, names=("train",), n=40, labels=labels)
    task = Images(f"idx:{tmp_path}")
    data = task.data(0)
    assert [str(note) for note in task.data_notes()] == said
    assert data.y.tolist() == [sorted(set(labels)).index(label) for label in labels]
    assert task.sizes(data)["outputs"] == len(set(labels))


@pytest.mark.parametrize(("code", "dtype"), [(9, "i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")])
def test_idx_files_of_every_type_are_read(tmp_path, code, dtype):
    random = np.random.default_rng(0)
    pixels = random.integers(0, 128, (20, 4, 3)).astype(dtype)
    labels = random.integers(-3, 3, 20).astype(dtype)
    pixels = pixels / np.array(128, dtype) if dtype in (">f4", ">f8") else pixels
    for kind, array in (("images-idx3", pixels), ("labels-idx1", labels)):
        sizes = b"".join(k.to_bytes(4, "big") for k in array.shape)
        raw = bytes([0, 0, code, array.ndim]) + sizes + array.astype(dtype).tobytes()
        (tmp_path / f"train-{kind}-ubyte").write_bytes(raw)
    data = Images(f"idx:{tmp_path}", layout="rows").data(0)
    np.testing.assert_allclose(data.x, pixels.astype(float) / (1 if "f" in dtype else 255), rtol=1e-6)
    assert data.y.tolist() == np.unique(labels, return_inverse=True)[1].tolist()


def test_an_idx_file_of_another_scale_than_its_test_set_is_named(tmp_path):
    write_idx(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte"
    damage(tmp_path, path.name, lambda raw: raw[:16] + bytes(grey // 16 for grey in raw[16:]))
    assert [str(note) for note in Images(f"idx:{tmp_path}").data_notes() if "grey" in str(note)] == [
        f"source: the largest grey value of {path} is 15 of 255: inputs are between 0 and 0.059"
    ]


def test_grey_values_that_hardly_vary_are_said_and_those_out_of_range_refused(tmp_path):
    write_idx(tmp_path, names=("train",))
    damage(tmp_path, "train-images-idx3-ubyte", lambda raw: raw[:16] + bytes(i % 2 for i in range(len(raw) - 16)))
    assert "the largest grey value is 1 of 255" in str(Images(f"idx:{tmp_path}").data_notes()[-1])
    damage(
        tmp_path, "train-images-idx3-ubyte", lambda raw: raw[:2] + b"\x09" + raw[3:16] + bytes([255]) * (len(raw) - 16)
    )
    assert "grey values from 0 to 255" in only_problem(Images(f"idx:{tmp_path}")).message


def test_idx_files_that_do_not_fit_together_are_a_problem(tmp_path):
    write_idx(tmp_path)
    write_idx(tmp_path, names=("t10k",), shape=(4, 4))
    assert "as large as" in only_problem(Images(f"idx:{tmp_path}")).message
    write_idx(tmp_path)
    write_idx(tmp_path / "..", names=("t10k",), n=5)
    os.replace(tmp_path / "../t10k-labels-idx1-ubyte", tmp_path / "t10k-labels-idx1-ubyte")
    assert "20 images" in only_problem(Images(f"idx:{tmp_path}")).message


def test_missing_idx_files_are_named(tmp_path):
    assert "lacks train-images-idx3-ubyte" in only_problem(Images(f"idx:{tmp_path}")).message
    write_idx(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    assert "lacks t10k-labels-idx1-ubyte" in only_problem(Images(f"idx:{tmp_path}")).message
    (tmp_path / "t10k-labels-idx1-ubyte").mkdir()
    assert "not a folder" in only_problem(Images(f"idx:{tmp_path}")).message


@pytest.mark.parametrize(
    "source", ["", "digit", "idx", "idx:", "idx:/no/such", "idx:a\0b", "openml", "openml:", "mnist:x"]
)
def test_unknown_sources_are_one_clear_problem(source):
    assert only_problem(Images(source)).path == "source"


def test_an_almost_right_source_gets_the_right_name():
    assert "did you mean digits?" in only_problem(Images("digit")).message


@pytest.mark.usefixtures("offline")
def test_unreachable_openml_is_one_problem_that_says_what_to_do():
    problem = only_problem(Images("openml:Fashion-MNIST"))
    assert problem.path == "source" and "idx:FOLDER" in problem.message and "digits" in problem.message


@pytest.mark.parametrize(
    ("pixels", "valid"),
    [
        (np.full((30, 9), 255.0), True),
        (np.ones((30, 8)), False),
        (np.full((30, 9), 256.0), False),
        (np.full((30, 9), np.nan), False),
    ],
)
def test_openml_images_are_scaled_and_made_square(monkeypatch, pixels, valid):
    found = Bunch(data=pixels, target=np.array(["3", "0", "1"] * 10, dtype=object))
    monkeypatch.setattr("sklearn.datasets.fetch_openml", lambda *args, **settings: found)
    monkeypatch.setattr("harness.tasks.images._load", tasks.images._load.__wrapped__)
    task = Images("openml:some", layout="rows")
    assert (task.problems() == []) == valid
    if valid:
        data = task.data(0)
        assert data.x.shape == (30, 3, 3) and (data.x == 1).all()
        assert data.y[:3].tolist() == [2, 0, 1]


@pytest.mark.skipif(not FASHION.is_dir(), reason="needs Debian's package dataset-fashion-mnist")
def test_real_fashion_mnist():
    data = Images(f"idx:{FASHION}").data(0)
    assert data.x.shape == (70_000, 784) and data.y.bincount().tolist() == [7000] * 10
    assert (len(data.train), len(data.validation), len(data.test)) == (50_000, 10_000, 10_000)
    assert data.test.min() == 60_000  # the published test set
    assert data.x.mean().item() == pytest.approx(0.286, abs=1e-3)  # as published for the set


# ---------------------------------------------------------------- drawn sequences


@pytest.mark.parametrize("length", [2, 3, 50])
def test_adding_targets_are_the_sums_of_the_marked_numbers(length):
    data = AddingProblem(length=length, train_size=400, validation_size=50, test_size=50).data(1)
    assert data.x.shape == (500, length, 2) and data.y.shape == (500,)
    assert data.x.dtype == data.y.dtype == torch.float32
    first, second = set(), set()
    for x, y in zip(data.x.tolist(), data.y.tolist(), strict=True):
        marked = [step for step, (_, marker) in enumerate(x) if marker == 1]
        assert len(marked) == 2 and marked[0] < length // 2 <= marked[1]
        assert sum(marker for _, marker in x) == 2
        assert y == pytest.approx(x[marked[0]][0] + x[marked[1]][0], rel=1e-6)
        first.add(marked[0])
        second.add(marked[1])
    assert first == set(range(length // 2)) and second == set(range(length // 2, length))
    numbers = data.x[..., 0]
    assert numbers.min() >= 0 and numbers.max() < 1 and numbers.mean().item() == pytest.approx(0.5, abs=0.05)


def test_always_answering_one_gives_a_sixth():
    task = AddingProblem(length=10, train_size=50_000)
    y = task.data(0).y
    assert task.losses(torch.ones(len(y), 1), y).mean().item() == pytest.approx(1 / 6, abs=0.003)


def test_adding_errors_are_answers_off_by_more_than_four_hundredths():
    y = torch.tensor([1.0, 1.0, 1.0, 1.0])
    output = torch.tensor([[1.0], [1.039], [0.95], [1.05]])
    assert AddingProblem().errors(output, y).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("length", [10, 13, 50, 99])
def test_temporal_order_classes_follow_from_the_sequence(length):
    data = TemporalOrder(length=length, train_size=900, validation_size=50, test_size=50).data(1)
    assert data.x.shape == (1000, length, 6) and data.x.dtype == torch.float32 and data.y.dtype == torch.int64
    assert (data.x.sum(2) == 1).all() and set(data.x.unique().tolist()) == {0.0, 1.0}
    places = set()
    for x, y in zip(data.x.argmax(2).tolist(), data.y.tolist(), strict=True):
        word = "".join("abcdef"[symbol] for symbol in x)
        relevant = [(step, symbol) for step, symbol in enumerate(word) if symbol in "ab"]
        (one, s), (two, t) = relevant
        assert length // 10 <= one <= 2 * length // 10 and 4 * length // 10 <= two <= 5 * length // 10
        assert ["aa", "ab", "ba", "bb"][y] == s + t
        places |= {one, two}
    allowed = [*range(length // 10, 2 * length // 10 + 1), *range(4 * length // 10, 5 * length // 10 + 1)]
    assert places == set(allowed)
    assert data.y.bincount().min() > 200
    distractors = data.x.sum((0, 1))[2:]
    assert (distractors / distractors.sum() - 0.25).abs().max() < 0.03


@pytest.mark.parametrize("task", [AddingProblem(length=1), TemporalOrder(length=9), AddingProblem(length=2.5)])
def test_too_short_sequences_are_a_problem(task):
    assert [problem.path for problem in task.problems()] == ["length"]


@pytest.mark.parametrize("delay", [1, 2, 30])
def test_copy_memory_asks_for_the_first_ten_symbols(delay):
    task = CopyMemory(delay=delay, train_size=500, validation_size=50, test_size=50)
    data = task.data(1)
    assert data.x.shape == data.y.shape == (600, delay + 20) and data.x.dtype == data.y.dtype == torch.int64
    for x, y in zip(data.x.tolist(), data.y.tolist(), strict=True):
        symbols = x[:10]
        assert x == symbols + [8] * (delay - 1) + [9] + [8] * 10
        assert y == [8] * (delay + 10) + symbols
    assert data.x[:, :10].flatten().bincount(minlength=8).shape == (8,)
    assert (data.x[:, :10].flatten().bincount() / 6000 - 1 / 8).abs().max() < 0.02
    assert task.sizes(data) == {"inputs": 10, "outputs": 9}


@pytest.mark.parametrize("delay", [1, 80])
def test_copy_memory_without_memory_costs_what_is_published(delay):
    task = CopyMemory(delay=delay)
    y = task.data(0).y[:100]
    output = torch.full((*y.shape, 9), -1e9)
    output[:, :-10, 8] = 0.0
    output[:, -10:, :8] = 0.0
    assert task.losses(output, y).mean().item() == pytest.approx(10 * math.log(8) / (delay + 20), rel=1e-5)
    output[:, :, 3] += 1.0  # always answers 3
    assert task.errors(output, y).mean().item() == pytest.approx((y[:, -10:] != 3).float().mean().item())


@pytest.mark.parametrize("features", [5, 12])
def test_friedman_is_that_of_scikit_learn(monkeypatch, features):
    task = Friedman(features=features, noise=0.0, train_size=200, validation_size=20, test_size=20)
    data = task.data(1)

    class Given:
        def uniform(self, size):
            return data.x.double().numpy()

        def standard_normal(self, size):
            return np.zeros(size)

    monkeypatch.setattr("sklearn.datasets._samples_generator.check_random_state", lambda state: Given())
    _, y = make_friedman1(240, features)
    assert data.x.shape == (240, features) and data.x.min() >= 0 and data.x.max() < 1
    np.testing.assert_allclose(data.y.numpy(), y, rtol=1e-4, atol=1e-4)


def test_friedman_noise_is_normal_and_of_the_size_asked_for():
    plain, noisy = (Friedman(noise=noise, train_size=20_000).data(0) for noise in (0.0, 2.0))
    assert torch.equal(plain.x, noisy.x)
    noise = (noisy.y - plain.y).double().numpy() / 2
    assert scipy.stats.kstest(noise, "norm").pvalue > 0.01


# ---------------------------------------------------------------- Tensors


def test_tensors_are_used_as_they_are():
    task = tensors()
    data = task.data(0)
    assert data.x is task.x and data.y is task.y
    assert task.sizes(data) == {"inputs": 2, "outputs": 3}


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (torch.zeros(10, 4), torch.zeros(10)),
        (torch.zeros(10, 4), torch.zeros(10, 3)),
        (torch.zeros(10, 5, 4), torch.zeros(10, 5, dtype=torch.int64)),
        (torch.zeros(10, 5, 4), torch.zeros(10, dtype=torch.int64)),
        (torch.zeros(10, 5, dtype=torch.int64), torch.zeros(10, 5, dtype=torch.int64)),
        (torch.zeros(10, 5, dtype=torch.int64), torch.zeros(10)),
    ],
)
def test_features_tokens_classes_and_numbers_are_welcome(x, y):
    assert Tensors(x, y).problems() == []


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("x", torch.zeros(40, 2, dtype=torch.float64), "x.float()"),
        ("x", torch.zeros(40, 2, dtype=torch.uint8), "x.long() for tokens"),
        ("x", torch.zeros(40, 2, dtype=torch.complex64), "must be float32"),
        ("y", torch.zeros(40, dtype=torch.int32), "y.long() for classes"),
        ("y", torch.zeros(40, dtype=torch.bool), "y.long()"),
        ("y", torch.zeros(40, dtype=torch.complex64), "must be float32"),
        ("x", torch.zeros(40), "x.unsqueeze(1)"),
        ("x", torch.zeros(0, 2), "at least one example"),
        ("x", torch.zeros(40, 0), "at least one example"),
        ("y", torch.zeros(39), "as many examples as x, 40"),
        ("y", torch.zeros(40, 1, dtype=torch.int64), "need the shape (40,)"),
        ("x", torch.full((40, 2), math.nan), "80 NaN, 0 infinite"),
        ("y", torch.tensor([math.inf, -math.inf, math.nan] + [1.0] * 37), "1 NaN, 2 infinite"),
        ("y", torch.arange(40) - 2, "2 of 40 are not (got smallest -2)"),
        ("x", torch.arange(80).view(40, 2) - 1, "tokens must be ≥ 0"),
        ("x", torch.zeros(40, 2, requires_grad=True), "x.detach()"),
        ("x", torch.zeros(40, 2).to_sparse(), "x.to_dense()"),
        ("x", torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)], layout=torch.jagged), "must not be nested"),
        ("x", torch.zeros(40, 2, device="meta"), "x.cpu()"),
    ],
)
def test_unusable_tensors_are_one_problem_with_the_way_out(field, value, said):
    problem = only_problem(tensors(**{field: value}))
    assert problem.path == field and said in str(problem)


class OwnScores(Tensors):
    """Targets of another length than the inputs', as of a translation, and scored by the usual loss all the same."""

    def losses(self, output, y):
        return super().losses(output, y)

    def errors(self, output, y):
        return super().errors(output, y)


def test_classes_of_other_shapes_need_losses_and_errors_of_ones_own():
    x, y = torch.randint(0, 8, (500, 13)), torch.randint(0, 8, (500, 6))
    assert "others need a subclass of Tensors with `losses` and `errors` of its own" in str(only_problem(Tensors(x, y)))
    assert OwnScores(x, y).problems() == []
    assert "as many examples as x" in str(only_problem(OwnScores(x, y[:9])))

    class Reader(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table = torch.nn.Embedding(8, 8)

        def forward(self, x):
            return self.table(x[:, :6])

    assert trial_run(Setup(task=OwnScores(x, y), model=Model(Reader))) == []


def test_a_scalar_is_a_problem():
    assert [p.path for p in tensors(y=torch.tensor(1)).problems()] == ["y"]


def test_what_is_no_tensor_is_a_problem():
    assert [p.path for p in Tensors(np.zeros((9, 2)), [0] * 9).problems()] == ["x", "y"]
    assert [p.path for p in Tensors().problems()] == ["x", "y"]
    lists = Tensors([[1.0, 2.0]] * 9, [0] * 9).problems()
    assert all("torch.tensor(…) makes one of numbers, arrays and lists" in problem.message for problem in lists)


def test_both_tensors_are_reported_at_once():
    task = Tensors(torch.zeros(9, 2).double(), torch.zeros(9).int())
    assert [p.path for p in task.problems()] == ["x", "y"]


@pytest.mark.parametrize("n", [1, 2])
def test_too_few_examples_for_three_splits_are_a_problem(n):
    assert only_problem(tensors(n)).path == "validation_size"


def test_three_examples_are_enough_for_three_splits():
    assert tensors(3).problems() == []


# ---------------------------------------------------------------- doubts

X = torch.randn(300, 4, generator=torch.Generator().manual_seed(0))


def said(task):
    return [doubt.sentence for doubt in doubts(task, task.data(0))]


@pytest.mark.parametrize(
    "y",
    [
        (X[:, 2] > 0).long(),
        X[:, 2].argsort().argsort() // 60,
        X[:, 2] * 3 - 1,
        X[:, 2:3].exp(),
        (X[:, 2] > 0).float(),
    ],
    ids=["two classes", "five classes", "a number", "another scale", "0 and 1"],
)
def test_an_input_that_tells_the_target_is_named(y):
    (sentence,) = said(Tensors(X, y))
    assert sentence.startswith("input 2 alone tells the target: of the ")
    noise = torch.randn(300, generator=torch.Generator().manual_seed(1))
    assert said(Tensors(X + noise[:, None], y)) == []


def test_neither_chance_nor_what_is_no_answer_is_taken_for_one():
    generator = torch.Generator().manual_seed(2)
    many = torch.randint(0, 2, (300, 900), generator=generator).float()
    for y in (torch.arange(300) % 2, (torch.arange(300) % 50 == 0).long(), torch.randn(300, generator=generator)):
        assert not [sentence for sentence in said(Tensors(many, y)) if "alone tells" in sentence]
    assert said(Tensors(X, X.sum(1))) == [] and said(Tensors(X, (X.sum(1) > 0).long())) == []
    assert said(Tensors(X, (X[:, 2] > 0).long(), resample="bootstrap")) != []
    assert said(Tensors(X + 0.1, (X.sum(1) > 0).long(), resample="bootstrap")) == []


def test_of_a_table_columns_are_looked_at_and_what_is_missing_may_tell_too(tmp_path):
    y = np.arange(300) % 3
    path = tmp_path / "t.csv"
    kind = pd.Series(["u", "v", "w"])[y].to_numpy()
    pd.DataFrame({"size": X[:, 0], "kind": kind, "y": [f"class {k}" for k in y]}).to_csv(path, index=False)
    assert said(Tabular(path, target="y")) == [
        "column 'kind' alone tells the target: of the errors of guessing it leaves 0%"
    ]
    weight = np.where(y == 0, np.nan, X[:, 1])
    pd.DataFrame({"size": X[:, 0], "weight": weight, "y": np.where(y == 0, "a", "b")}).to_csv(path, index=False)
    assert said(Tabular(path, target="y"))[0].startswith("column 'weight' alone tells the target")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([1, 2, 3, 4], ["of the 5 classes, 0 … 4, 0 never occurs"]),
        ([0, 2, 7], ["of the 8 classes, 0 … 7, 1, 3, 4 and 2 more never occur"]),
        ([0, 1, 2], []),
    ],
)
def test_a_class_that_never_occurs_is_named(labels, expected):
    assert said(Tensors(X, torch.tensor(labels).repeat(300)[:300])) == expected


def test_a_class_that_a_split_lacks_is_named():
    y = (torch.arange(300) % 2) + 1
    y[Tensors(X, y - 1).data(0).train[:30]] = 0
    assert said(Tensors(X, y)) == [
        "class 0 is not in the validation examples of seed 0; class 0 is not in the test examples of seed 0"
    ]


def test_a_class_of_which_a_split_has_one_example_or_none_is_named():
    y = torch.arange(300) % 2
    data = Tensors(X, y).data(0)
    train, validation, test = data.train[:30], data.validation[:30], data.test[:30]

    def told(*examples):
        return said(Tensors(X, y.index_fill(0, torch.cat(examples), 2)))

    assert told(train, validation, test) == []
    assert told(train, validation, test[:1]) == ["class 2 is tested on a single example"]
    assert told(train, validation) == ["class 2 is not in the test examples of seed 0"]
    unseen = "1 of 120 held-out targets is of a class that is never trained on"
    assert told(test[:1]) == [
        f"{unseen}; class 2 is not in the validation examples of seed 0; class 2 is tested on a single example"
    ]
    of_texts = torch.arange(1200).reshape(300, 4) % 2
    of_texts[data.test[0], 0] = 2
    assert said(Tensors(X.unsqueeze(1).expand(-1, 4, -1).contiguous(), of_texts)) == []


def test_seeds_that_train_on_one_class_are_said_before_a_study_trains():
    y = (torch.arange(300) % 10 == 0).long()
    task = Tensors(X, y, train_size=8)
    alone = [seed for seed in range(6) if len(torch.unique(y[task.data(seed).train])) == 1]
    assert 1 < len(alone) < 6
    study = Study(name="x", task=task, model=DropoutNet(hidden=(4,)), batch_size=4, steps=3, seeds=6)
    said = f"task: {len(alone)} seeds train on one class alone ({ranges(alone)}): there is nothing to learn"
    assert any(note.startswith(said) for note in study.notes)
    study = study.replace(task=Tensors(X, y, train_size=100))
    assert not any("one class alone" in note for note in study.notes)


def test_whole_numbers_as_inputs_are_tokens_and_that_is_said():
    x = torch.arange(1200).reshape(300, 4) % 7
    (note,) = Tensors(x, torch.arange(300) % 2).data_notes()
    assert (
        str(note)
        == "x: whole numbers are taken as tokens, 7 different ones from 0 to 6; x.float() makes numbers of them"
    )
    assert Tensors(x, x).data_notes() == Tensors(x.float(), torch.arange(300) % 2).data_notes() == []


@pytest.mark.parametrize(
    ("y", "way_out"),
    [
        (torch.arange(300) % 3, "y.long() makes classes of them"),
        (torch.arange(300)[:, None] % 3, "y.flatten().long() makes classes of them"),
        (torch.eye(3)[torch.arange(300) % 3], "y.argmax(1) makes classes of rows with a single 1"),
        ((X > 0).long(), "labels of which a row has several need a subclass of Tensors with `losses` and `errors` of its own"),
    ],
)  # fmt: skip
def test_numbers_that_may_be_classes_are_said_with_the_way_out(y, way_out):
    (note,) = Tensors(X, y.float()).data_notes()
    assert "taken as numbers to predict, by squared error" in note.message and note.message.endswith(way_out)
    if "y." in way_out:
        assert Tensors(X, eval(way_out.split()[0], {"y": y.float()})).problems() == []


def test_categories_that_are_never_trained_on_are_said(tmp_path):
    def told(cities, tested):
        for name, kinds, sizes in (("t.csv", cities, X[:, 0]), ("test.csv", tested, X[:, 1])):
            y = np.where(np.arange(len(kinds)) % 7 % 2, "a", "b")
            pd.DataFrame({"size": sizes[: len(kinds)], "city": kinds, "y": y}).to_csv(tmp_path / name, index=False)
        return said(Tabular(tmp_path / "t.csv", target="y", test=tmp_path / "test.csv"))

    known, other = ["A", "B", "C"] * 100, ["X", "Y", "Z"] * 20
    assert told(known, other) == ["60 of 60 test examples have in column 'city' what is never trained on"]
    few = [*known[:58], "X", None]
    assert told(known, few) == ["2 of 60 test examples have in column 'city' what is never trained on"]
    assert told(known, known[:60]) == []


def test_numbers_that_nothing_is_learned_of_are_said(tmp_path):
    def told(numbers, tested):
        for name, own, sizes in (("t.csv", numbers, X[:, 0]), ("test.csv", tested, X[:, 1])):
            y = np.where(np.arange(len(own)) % 7 % 2, "a", "b")
            pd.DataFrame({"size": sizes[: len(own)], "b": own, "y": y}).to_csv(tmp_path / name, index=False)
        task = Tabular(tmp_path / "t.csv", target="y", test=tmp_path / "test.csv")
        notes = [str(note) for note in task.data_notes() if "'b': no number" in str(note)]
        x = task.data(0).x
        assert not said(task) or len(torch.unique(x[300:, 1:], dim=0)) == 1  # tested examples are alike in it
        return said(task) + notes

    numbers, none = X[:300, 2].tolist(), [np.nan]
    lacking, constant = [*numbers[:150], *none * 150], [*[1.0] * 300]
    unseen = "60 of 60 test examples have in column 'b' what is never trained on"
    note = "source: column 'b': no number in any row of the {}: tells nothing there; `without` leaves it out"
    assert told(numbers, none * 60) == [unseen, note.format("test file")]
    assert told(lacking, none * 60) == [note.format("test file")]
    assert told(none * 300, numbers[:60]) == [unseen, note.format("source")]
    assert told(constant, numbers[:60]) == [unseen]
    assert told(constant, [1.0] * 60) == told(numbers, numbers[1:61]) == told(lacking, lacking[120:180]) == []


def test_doubts_and_notes_about_data_are_said_before_a_study_trains(tmp_path):
    write_idx(tmp_path, names=("train",), n=300, labels=[*range(1, 7)] * 50)
    task = Images(f"idx:{tmp_path}", train_size=Sweep(20, 30), label_noise=Sweep(0.0, 0.1))
    study = Study(name="x", task=task, model=DropoutNet(hidden=(4,)), batch_size=5, steps=3)
    assert study.notes == ["task.source: 6 classes, the labels 1 … 6, in this order"]
    study = Study(name="x", task=Tensors(X, (X[:, 1] > 0).long()), model=DropoutNet(hidden=(4,)), steps=3)
    (note,) = study.notes
    assert note.startswith("task: input 1 alone tells the target") and "leave it out if it is the answer" in note
