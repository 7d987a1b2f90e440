"""What all tasks share: label noise, resampled training sets, and that runs which differ in them train together."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from test_tasks import every_task, only_problem, tensors

from harness import Study, Sweep
from harness.engine.diagnostics import Diagnostics
from harness.engine.feed import Feed, Order
from harness.engine.planning import population_key
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.engine.train import train
from harness.models import DropoutNet, SimpleRNN
from harness.settings import InvalidStudy
from harness.settings.randomness import stream
from harness.tasks import CharLM, CopyMemory, Data, Friedman, Images, Tabular, Task, TemporalOrder, Tensors
from harness.tasks.usable import data_problems

CPU = torch.device("cpu")


def ids(task):
    return type(task).__name__


def classes(task):
    return not task.data(0).y.is_floating_point()


ALL = every_task()
CLASSES = [task for task in ALL if classes(task)]
NUMBERS = [task for task in ALL if not classes(task)]


# ---------------------------------------------------------------- label noise


@pytest.mark.parametrize("task", CLASSES, ids=ids)
def test_label_noise_replaces_training_classes_and_nothing_else(task):
    plain, noisy = task.data(3), task.replace(label_noise=0.5).data(3)
    assert torch.equal(plain.x, noisy.x) and noisy.clean is not None and torch.equal(plain.y, noisy.clean)
    for part in ("train", "validation", "test"):
        assert torch.equal(getattr(plain, part), getattr(noisy, part))
    changed = (noisy.y != plain.y).reshape(len(plain.y), -1)
    assert sorted(noisy.flipped.tolist()) == changed.any(1).nonzero().flatten().tolist()
    assert set(noisy.flipped.tolist()) < set(noisy.train.tolist())
    assert changed[noisy.flipped].all()  # each step of a sequence
    assert 5 <= len(noisy.flipped) <= 25
    outputs = task.sizes(plain)["outputs"]
    assert task.sizes(noisy)["outputs"] == outputs and noisy.y.min() >= 0 and noisy.y.max() < outputs
    assert len(plain.flipped) == 0


@pytest.mark.parametrize("task", CLASSES, ids=ids)
def test_label_noise_is_nested_in_its_level_and_in_the_training_set(task):
    before: dict[int, list[int]] = {}
    for noise in (0.0, 0.1, 0.4, 0.9):
        data = task.replace(label_noise=noise).data(2)
        flipped = {int(i): data.y[i].tolist() for i in data.flipped}
        assert before.items() <= flipped.items()
        before = flipped
        few = task.replace(label_noise=noise, train_size=11).data(2)
        large = [data.y[i].tolist() for i in data.train[:11]]
        assert [few.y[i].tolist() for i in few.train] == large


def test_label_noise_has_the_probability_asked_for_and_its_classes_are_uniform():
    y = torch.arange(40_000) % 5
    data = Tensors(torch.zeros(40_000, 1), y, label_noise=0.3).data(0)
    assert len(data.flipped) / len(data.train) == pytest.approx(0.3, abs=0.01)
    shift = (data.y - y)[data.flipped] % 5
    counts = shift.bincount(minlength=5)
    assert counts[0] == 0
    assert (counts[1:] / len(shift) - 1 / 4).abs().max() < 0.02


def test_label_noise_follows_the_documented_stream():
    task = tensors(50, label_noise=0.4)
    data = task.data(7)
    uniform = torch.rand(50, 2, generator=stream(7, "label noise"))
    expected = [i for i in data.train.tolist() if uniform[i, 0] < 0.4]
    assert data.flipped.tolist() == expected
    assert [int(data.y[i]) for i in expected] == [(i % 3 + 1 + int(uniform[i, 1] * 2)) % 3 for i in expected]


def test_label_noise_differs_between_seeds_and_leaves_the_global_state_alone():
    state = torch.get_rng_state()
    task = Images(label_noise=0.2, resample="split")
    assert set(task.data(0).flipped.tolist()) != set(task.data(1).flipped.tolist())
    assert torch.equal(state, torch.get_rng_state())


def test_the_last_class_counts_even_where_noise_has_replaced_all_of_it():
    y = torch.zeros(50, dtype=torch.int64)
    y[Tensors(torch.zeros(50, 1), y).data(0).train[:1]] = 1
    task = Tensors(torch.zeros(50, 1), y, label_noise=0.99)
    data = task.data(0)
    assert task.sizes(data)["outputs"] == 2


@pytest.mark.parametrize("task", [*NUMBERS, tensors(y=torch.zeros(40, dtype=torch.int64))], ids=ids)
def test_label_noise_without_classes_to_choose_from_is_a_problem(task):
    problem = only_problem(task.replace(label_noise=0.1))
    assert problem.path == "label_noise" and "leave it at 0" in problem.message
    assert task.replace(label_noise=0.0).problems() == []


@pytest.mark.parametrize("wrong", [-0.1, 1.0, 2, "a", True, float("nan")])
def test_a_label_noise_that_is_no_probability_is_a_problem(wrong):
    assert [p.path for p in Images(label_noise=wrong).problems()] == ["label_noise"]


# ---------------------------------------------------------------- resampled training sets


@pytest.mark.parametrize("task", ALL, ids=ids)
def test_bootstrap_shares_all_but_the_training_set(task):
    one, two = (task.replace(resample="bootstrap").data(seed) for seed in (1, 2))
    base = task.data(0)
    for data in (one, two):
        assert torch.equal(data.x, base.x) and torch.equal(data.y, base.y)
        assert torch.equal(data.test, base.test) and torch.equal(data.validation, base.validation)
        assert len(data.train) == len(base.train) and set(data.train.tolist()) < set(base.train.tolist())
    assert not torch.equal(one.train, two.train)
    assert torch.equal(one.train, task.replace(resample="bootstrap").data(1).train)


def test_bootstrap_leaves_out_a_share_of_one_over_e():
    data = Images(resample="bootstrap").data(4)
    assert len(set(data.train.tolist())) / len(data.train) == pytest.approx(1 - 0.368, abs=0.03)


@pytest.mark.parametrize("task", ALL, ids=ids)
def test_without_resampling_all_seeds_have_the_data_of_seed_zero(task):
    task = task if task in NUMBERS else task.replace(label_noise=0.3)
    base, other = task.data(0), task.replace(resample="none").data(5)
    for name in ("x", "y", "train", "validation", "test", "flipped"):
        assert torch.equal(getattr(base, name), getattr(other, name))


def test_a_bootstrap_repeats_noisy_labels():
    task = Images(label_noise=0.3, train_size=200, resample="bootstrap")
    data, base = task.data(6), task.replace(resample="none").data(6)
    assert set(data.flipped.tolist()) <= set(base.flipped.tolist())
    assert len(data.flipped) > len(set(data.flipped.tolist()))  # some of them twice
    assert torch.equal(data.y, base.y)


# ---------------------------------------------------------------- together


def run_of(task, seed, trial=0):
    data = task.data(0)
    steps = not data.y.is_floating_point() and data.y.dim() > 1
    flat = data.x.is_floating_point() and data.x.dim() == 2
    model = DropoutNet(hidden=(8,), dropout=0.1) if flat else SimpleRNN(hidden=6, readout="every" if steps else "last")
    return Run(trial, seed, Setup(task=task, model=model, batch_size=5, steps=4))


def variants(task):
    changed = [{"train_size": 11}, {"resample": "bootstrap"}, {"resample": "none"}]
    changed += [{"label_noise": 0.2}, {"label_noise": 0.6, "resample": "bootstrap"}] if task in CLASSES else []
    return [task, *(task.replace(**change) for change in changed)]


@pytest.mark.parametrize("task", ALL, ids=ids)
def test_runs_of_all_options_train_in_one_population(task):
    runs = [run_of(t, seed, trial) for trial, t in enumerate(variants(task)) for seed in (0, 1)]
    assert len({population_key(run) for run in runs}) == 1
    table, curves = train(runs, evaluations=2, device=CPU)
    assert len(table) == len(runs) and table.nonfinite.eq(0).all()
    assert table[["train_loss", "validation_loss", "test_loss", "test_error"]].notna().all().all()
    assert curves.loss.notna().all()
    # seed 0 draws the same splits, whether other seeds do or not
    alike = curves[(curves.seed == 0)].pivot(index="step", columns="trial", values="loss")
    pd.testing.assert_series_equal(alike[0], alike[3], check_names=False)


@pytest.mark.parametrize("task", [TemporalOrder(length=10), CharLM(length=7), Tabular("wine")], ids=ids)
def test_each_member_is_fed_its_own_examples(task):
    small = task.replace(train_size=40, validation_size=8, test_size=9)
    settings = [{}, {"label_noise": 0.3}, {"label_noise": 0.7}, {"resample": "bootstrap"}, {"train_size": 20}]
    runs = sorted((run_of(small.replace(**s), seed) for s in settings for seed in (0, 1)), key=lambda run: run.seed)
    data = [run.setup.task.data(run.seed) for run in runs]
    feed = Feed(runs, data, device=CPU, dtype=torch.float32)
    orders = [Order(d.train, 5, stream(run.seed, "order")).take(9) for run, d in zip(runs, data, strict=True)]
    members = list(range(len(runs)))
    for _ in range(3):
        coming = feed.peek()  # a look at the next batch takes nothing from the order
        batches = feed.indices(3)
        assert torch.equal(batches[0], coming)
        for batch in batches:
            x, y = feed.gather(batch)
            for member, i in enumerate(members):
                index, orders[i] = orders[i][0], orders[i][1:]
                assert torch.equal(x[member], data[i].x[index]) and torch.equal(y[member], data[i].y[index])
        indices, counts = feed.split("train")
        x, y = feed.gather(indices)
        for member, i in enumerate(members):
            assert counts[member] == len(data[i].train)
            assert torch.equal(y[member, : counts[member]], data[i].y[data[i].train])
        survivors = torch.tensor([i for i in range(len(members)) if i != 1])  # one member leaves, as if it had diverged
        feed.compact(survivors)
        members = [members[i] for i in survivors.tolist()]


def test_options_are_factors_of_a_study():
    study = Study(
        name="noise",
        task=TemporalOrder(length=10, train_size=Sweep(50, 100), label_noise=Sweep(0.0, 0.4), resample="bootstrap"),
        model=SimpleRNN(hidden=4),
        steps=3,
        batch_size=5,
    )
    assert list(study.sweeps()) == ["task.train_size", "task.label_noise"] and len(study.cells()) == 4


def test_label_noise_on_numbers_is_refused_when_the_study_is_checked():
    with pytest.raises(InvalidStudy) as raised:
        Study(name="noise", task=Friedman(label_noise=Sweep(0.0, 0.4)), model=DropoutNet(), steps=3)
    assert [p.path for p in raised.value.problems] == ["task.label_noise"]


def test_data_of_a_swept_task_belong_to_the_identity_of_a_study():
    def study(x):
        task = Tensors(x, torch.arange(40) % 3, train_size=Sweep(10, 20), label_noise=Sweep(0.0, 0.1))
        return Study(name="swept", task=task, model=DropoutNet(hidden=(4,)), batch_size=5, steps=3)

    (digest,) = study(torch.ones(40, 2)).fingerprints().values()
    assert digest != next(iter(study(torch.zeros(40, 2)).fingerprints().values()))


# ---------------------------------------------------------------- a task of a user's own


class Mine(Task):
    """Classes of random points, as a user would write it."""

    points: int
    last: int = 2

    def draw(self, seed):
        x = torch.randn(self.points, 3, generator=stream(seed, "mine"))
        y = (x[:, 0] > 0).long() * self.last
        train, validation, test = torch.arange(self.points).split([self.points - 8, 4, 4])
        return Data(x, y, train, validation, test)


def test_a_task_of_ones_own_has_the_options_after_its_own_fields():
    task = Mine(30, 1, label_noise=0.5)
    assert task.points == 30 and task.last == 1 and list(task.values())[:2] == ["points", "last"]
    assert 0 < len(task.data(0).flipped) < 22
    assert torch.equal(task.replace(resample="bootstrap").data(3).test, task.data(0).test)


@pytest.mark.parametrize(
    ("change", "path", "said"),
    [
        ({"last": -1}, "task.y", "classes must be ≥ 0"),
        ({"points": 8}, "task.train", "at least one example"),
        ({"last": 0, "label_noise": 0.1}, "task.label_noise", "one class only"),
    ],
)
def test_unusable_data_of_a_task_of_ones_own_are_refused(change, path, said):
    with pytest.raises(InvalidStudy) as raised:
        Study(name="mine", task=Mine(30).replace(**change), model=DropoutNet(hidden=(4,)), batch_size=2, steps=3)
    (problem,) = raised.value.problems
    assert problem.path == path and said in problem.message


def given(x=None, y=None, train=(0, 1), validation=(2,), test=(3,)):
    """Four examples, and some of all that they are made of."""
    splits = (torch.tensor(part) if isinstance(part, tuple) else part for part in (train, validation, test))
    return Data(torch.zeros(4, 1) if x is None else x, torch.arange(4.0) if y is None else y, *splits)


MASK = torch.arange(4) > 2


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (given(), ""),
        (given(train=(0, 0, 1)), ""),
        (given(train=torch.tensor([0, 1]).int()), ""),
        (given(y=torch.arange(4.0).double()), ""),
        (given(test=(4,)), "test: must be indices of the examples, 0 to 3 (got 4 to 4)"),
        (given(train=(-1, 0)), "train: must be indices of the examples, 0 to 3 (got -1 to 0)"),
        (given(validation=torch.arange(0)), "validation: must hold at least one example (got none)"),
        (given(test=torch.tensor([[3]])), "test: must be one row of indices (got shape (1, 1))"),
        (given(validation=(2, 3)), "test: must share no example with validation, see harness.tasks.splits.split (got 1 of 1 in both)"),
        (given(train=(0, 1, 1, 2)), "validation: must share no example with train"),
        (given(y=torch.arange(3.0), test=(2,), validation=(1,), train=(0,)), "y: needs as many examples as x, 4 (got 3)"),
        (given(y=torch.full((4,), math.nan)), "y: all targets must be finite"),
        (given(y=torch.zeros(4)), "y: the targets of all examples are the same"),
        (given(y=torch.full((4, 4), 7)), "y: the targets of all examples are the same"),
        (given(y=torch.tensor(1)), "y: must have an axis of examples"),
        *[(given(y=(torch.arange(4) % 2).to(kind)), "y: must be float32 or int64; use y.float() for numbers, y.long() for classes")
          for kind in (torch.uint8, torch.bool, torch.int32)],
        *[(given(x=torch.zeros(4, 1, dtype=kind)), "x: must be float32 or int64; use x.float() for numbers, x.long() for tokens")
          for kind in (torch.float64, torch.float16)],
        (given(x=torch.zeros(4, 1, dtype=torch.uint8)), ""),  # of which its module makes others
        (given(x=np.zeros((4, 1))), "x: must be a tensor; use torch.as_tensor (got ndarray)"),
        (given(y=[0, 1, 0, 1]), "y: must be a tensor; use torch.as_tensor (got list)"),
        (given(test=[3]), "test: must be a tensor; use torch.as_tensor (got list)"),
        (given(test=MASK), "test: must be int64 or int32; use torch.as_tensor(…) of a list of indices, mask.nonzero()[:, 0] of a mask (got bool)"),
        (given(test=torch.tensor([3.0])), "test: must be int64 or int32"),
        (given(x=torch.nested.nested_tensor([torch.zeros(1), torch.zeros(2)], layout=torch.jagged)), "x: must not be nested: examples have one shape; use"),
        (given(x=torch.zeros(4, 1).to_sparse()), "x: must not be sparse; use x.to_dense()"),
    ],
)  # fmt: skip
def test_data_say_what_is_wrong_with_them(data, said):
    problems = list(map(str, data_problems(data)))
    assert len(problems) == bool(said) and all(line.startswith(said) for line in problems)


class Gives(Task):
    """Whatever is given."""

    what: Any

    def draw(self, seed):
        return self.what


def test_data_that_are_none_are_one_clear_problem_and_what_is_wrong_with_others_is_said_before_a_model_is_tried():
    def said(what):
        with pytest.raises(InvalidStudy) as raised:
            Study(name="gives", task=Gives(what), model=DropoutNet(hidden=(4,)), batch_size=2, steps=3)
        return str(raised.value)

    assert said(None) == "task.draw: must return `harness.tasks.Data` (got NoneType)"
    assert said((1, 2)) == "task.draw: must return `harness.tasks.Data` (got tuple)"
    for wrong, path in (({"test": MASK}, "test"), ({"train": [0, 1]}, "train"), ({"test": (2, 3)}, "test"),
                        ({"x": torch.zeros(4, 1).double()}, "x"), ({"y": (torch.arange(4) % 2).byte()}, "y"),
                        ({"x": np.zeros((4, 1))}, "x")):  # fmt: skip
        assert said(given(**wrong)).startswith(f"task.{path}: must ")


def test_copy_memory_noise_replaces_the_whole_sequence():
    data = CopyMemory(delay=3, train_size=50, label_noise=0.5).data(0)
    assert (data.y != data.clean)[data.flipped].all()


# ---------------------------------------------------------------- targets that do not count


class Padded(Task):
    """Tag each of four numbers by its sign, or double it; −100 or NaN marks what does not count, and is skipped."""

    numbers: bool = False

    def draw(self, seed):
        x = torch.randn(120, 4, 1, generator=stream(seed, "padded"))
        y = 2 * x[:, :, 0] if self.numbers else (x[:, :, 0] > 0).long()
        absent = torch.arange(4) > torch.arange(120)[:, None] % 4
        y = y.masked_fill(absent, float("nan") if self.numbers else -100)
        train, validation, test = torch.arange(120).split([80, 20, 20])
        return Data(x, y, train, validation, test)

    def losses(self, output, y):
        if y.is_floating_point():
            return self.mean((output.squeeze(-1) - y.nan_to_num()).square(), ~y.isnan())
        each = torch.nn.functional.cross_entropy(output.transpose(1, 2), y.clamp(min=0), reduction="none")
        return self.mean(each, y >= 0)

    def errors(self, output, y):
        if y.is_floating_point():
            return self.mean((output.squeeze(-1) - y.nan_to_num()).abs(), ~y.isnan())
        return self.mean((output.argmax(-1) != y).float(), y >= 0)

    @staticmethod
    def mean(values, there):
        return (values * there).sum(1) / there.sum(1)

    def sizes(self, data):
        return {"inputs": 1, "outputs": 1 if self.numbers else 2}


class CountsAll(Padded):
    """Skips what does not count in its losses only."""

    errors = Task.errors


class UsualLosses(Padded):
    losses, errors = Task.losses, Task.errors


def padded_study(task, **settings):
    model = SimpleRNN(hidden=4, readout="every")
    return Study(name="padded", task=task, model=model, batch_size=8, steps=4, seeds=1, **settings)


@pytest.mark.parametrize("numbers", [False, True])
def test_a_task_with_losses_and_errors_of_its_own_may_mark_what_does_not_count(numbers):
    study = padded_study(Padded(numbers))
    table, curves = train([Run(0, 0, study.setup({}))], evaluations=2, device=CPU)
    guess, note = sorted(study.notes, key=lambda note: "guess_losses" not in note)
    assert "guess_losses" in guess
    assert note.startswith("task: its test examples differ between seeds") and (table.status == "finished").all()
    assert table[["train_loss", "test_loss", "test_error"]].notna().all().all() and curves.loss.notna().all()


def test_label_noise_leaves_what_does_not_count_alone():
    plain, noisy = Padded().data(0), Padded(label_noise=0.5).data(0)
    assert torch.equal(noisy.y < 0, plain.y < 0) and noisy.y.max() == 1
    assert 20 < len(noisy.flipped) < 60


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (CountsAll(), "task.y: classes must be ≥ 0, or the task's own `errors` must leave the others out; 180 of 480 are not"),
        (UsualLosses(), "the task's own `losses` and `errors` must leave the others out; 180 of 480 are not (got smallest -100)"),
        (UsualLosses(True), "task.y: all targets must be finite, or the task's own `losses` and `errors` must leave"),
    ],
    ids=["errors", "both", "numbers"],
)  # fmt: skip
def test_marked_targets_are_refused_where_a_usual_loss_or_error_would_count_them(task, said):
    with pytest.raises(InvalidStudy) as raised:
        padded_study(task)
    assert said in str(raised.value)


def test_calibration_of_marked_targets_is_missing_and_that_is_said():
    notes = padded_study(Padded(), metrics=Diagnostics("standard")).notes
    assert "task: has `losses` of its own, by which outputs may be anything: no brier and no calibration_error" in notes
    assert "task: has `errors` of its own, by which outputs may be anything: no churn" in notes


class SkippingTensors(Tensors):
    """Tensors with torch's mark for what does not count, and scores that skip it."""

    losses, errors = Padded.losses, Padded.errors
    mean = staticmethod(Padded.mean)


def test_tensors_may_be_marked_where_a_subclass_skips_the_marks():
    data = Padded().data(0)
    assert "classes must be ≥ 0" in only_problem(Tensors(data.x, data.y)).message
    assert SkippingTensors(data.x, data.y).problems() == []
    nothing = SkippingTensors(data.x, torch.full_like(data.y, -100))
    assert "classes must be ≥ 0; 480 of 480 are not" in only_problem(nothing).message


def test_whole_numbers_are_said_to_be_predicted_by_squared_error_where_they_are():
    x, y = torch.randn(60, 3), (torch.arange(60) % 3).float()
    (note,) = Tensors(x, y).data_notes()
    assert "3 different numbers, all whole, are taken as numbers to predict, by squared error" in note.message
    assert SkippingTensors(x, y).data_notes() == []
