"""What is recorded of every step, by hand: when, of whom, until when, and what comes back from a checkpoint."""

import numpy as np
import pandas as pd
import pytest
import torch

from harness.engine.history import LOG, History, LoggingSteps
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.engine.step import StepRecord
from harness.engine.train import train
from harness.models import DropoutNet
from harness.optimizers import SGD
from harness.tasks import Images

CPU = torch.device("cpu")
NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("steps", "evaluations", "expected"),
    [(10, 3, [3, 6, 10]), (12, 3, [4, 8, 12]), (7, 1, [7]), (3, 10, [1, 2, 3]), (1, 1, [1])],
)
def test_evaluations_are_as_far_apart_as_can_be_and_the_last_is_at_the_end(
    steps: int, evaluations: int, expected: list[int]
) -> None:
    assert LoggingSteps(steps, evaluations).evaluated() == expected


def test_curves_have_at_most_a_hundred_points_besides_the_first_and_the_evaluated_ones() -> None:
    assert LoggingSteps(1, 1).logged() == [1]
    assert LoggingSteps(100, 1).logged() == list(range(1, 101))
    assert LoggingSteps(101, 1).logged() == [1, *range(2, 101, 2), 101]
    assert LoggingSteps(250, 2).logged() == sorted({1, 125, 250, *range(3, 251, 3)})
    history = History(LoggingSteps(250, 2), 1, CPU, torch.float32)
    assert [step for step in range(1, 251) if history.logs(step)] == LoggingSteps(250, 2).logged()


def record(step: int, members: list[int]) -> StepRecord:
    """Numbers that tell who they are of: 100·step + 10·column + member."""
    own = torch.tensor(members, dtype=torch.float64)
    others = (100.0 * step + 10 * column + own.unsqueeze(1) for column in range(1, 5))
    return StepRecord(100.0 * step + own, *others)


def trained() -> History:
    """Five runs of 12 steps: 1 has an infinite loss at step 6, 4 at step 1, 2 an infinite weight at step 8, 3 stops after step 8."""
    history = History(LoggingSteps(12, 3), 5, CPU, torch.float64)
    for stop in (4, 8, 12):
        for step in range(stop - 3, stop + 1):
            members = history.alive.tolist()
            losses, *others = record(step, members)
            if 1 in members and step >= 6:
                losses[members.index(1)] = INF if step == 6 else NAN
            if 4 in members:
                losses[members.index(4)] = INF
            history.write(step, StepRecord(losses, *others))
            before = torch.tensor([[3.0, 4.0 * (1 + m)] for m in members], dtype=torch.float64)
            history.write_update(step, before, before + torch.tensor([0.6, 0.8], dtype=torch.float64))
        members = history.alive.tolist()
        history.evaluate(stop, np.array([[1000.0 * stop + m for m in members], [0.1 * m for m in members]]))
        parameters = torch.ones(len(members), 3)
        if stop == 8:
            parameters[members.index(2), 1] = INF
        survivors = history.survivors(stop, parameters)
        if stop == 8:
            assert survivors.tolist() == [0, 3]
            history.stop(stop, survivors[1:])
            survivors = survivors[:1]
        history.compact(survivors)
    return history


def test_who_ends_when() -> None:
    history = trained()
    assert history.nonfinite_at.tolist() == [0, 6, 8, 0, 1] and history.finite() == [0, 3]
    assert history.steps_done.tolist() == [12, 12, 12, 8, 12] and history.measured_at.tolist() == [12] * 5
    assert history.alive.tolist() == [0] and np.isnan(history.at_start).all()


@pytest.mark.parametrize(("step", "expected"), [(4, 4 + 8 + 8 + 4 + 4), (8, 4 * 8 + 4), (12, 12 + 8 + 8 + 8 + 4)])
def test_steps_that_were_taken_count_those_after_a_loss_became_infinite_up_to_the_next_evaluation(
    step: int, expected: int
) -> None:
    assert trained().trained(step) == expected


def test_every_number_is_where_it_belongs_and_none_is_after_a_run_became_non_finite() -> None:
    history = trained()
    arrays, curves = history.columns(slice(None)), history.curves()
    steps, runs = np.arange(1, 13.0)[:, None], np.arange(5.0)
    until = np.array([12, 6, 8, 8, 1])
    inside = steps <= until
    assert list(arrays) == [*LOG, "update_ratio"] and list(curves) == [*LOG, "update_ratio", "validation_loss"]
    for column, name in enumerate(LOG):
        expected = np.where(inside, 100 * steps + 10 * column + runs, NAN)
        if name == "loss":
            expected[5, 1] = expected[0, 4] = INF
        np.testing.assert_array_equal(arrays[name], expected)
    ratio = 1 / np.hypot(3, 4 * (1 + runs))
    np.testing.assert_allclose(arrays["update_ratio"], np.where(inside, ratio, NAN), rtol=1e-12)
    validation = np.full((12, 5), NAN)
    validation[3, :4], validation[7, [0, 2, 3]], validation[11, 0] = 4000 + runs[:4], 8000 + np.array([0, 2, 3]), 12000
    np.testing.assert_array_equal(curves["validation_loss"], validation)
    for name, column in arrays.items():
        np.testing.assert_array_equal(curves[name], column)  # all 12 steps are logged
        for part in (slice(0, 2), slice(2, 5)):
            np.testing.assert_array_equal(history.columns(part)[name], column[:, part])
    np.testing.assert_array_equal(history.validation[0, 1], 0.1 * runs)
    assert history.measured()[0].tolist()[0] == 12000


def test_what_was_recorded_up_to_a_checkpoint_comes_back() -> None:
    history = trained()
    for step, evaluated in ((4, 1), (8, 2)):
        state = history.state_dict(step)
        assert len(state["log"]) == step and len(state["validation"]) == evaluated
        other = History(LoggingSteps(12, 3), 5, CPU, torch.float64)
        other.load_state_dict(state)
        assert other.nonfinite_at.tolist() == [0, 6, 8, 0, 1] and other.steps_done.tolist() == [12, 12, 12, 8, 12]
        for name, column in history.curves().items():
            np.testing.assert_array_equal(other.curves()[name][:step], column[:step])
            assert np.isnan(other.curves()[name][step:]).all()
        np.testing.assert_array_equal(other.validation[:evaluated], history.validation[:evaluated])


def test_runs_that_are_looked_at_in_parts_have_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = Setup(task=Images(), model=DropoutNet(hidden=(4,)), optimizer=SGD(0.5), steps=130)
    runs = [Run(0, seed, setup) for seed in range(5)]
    whole, _ = train(runs, evaluations=3, device=CPU)
    monkeypatch.setattr("harness.engine.history.BLOCK", 300)
    assert trained().blocks() == [slice(0, 5)] and History(LoggingSteps(130, 3), 5, CPU, torch.float32).blocks() == [
        slice(0, 2),
        slice(2, 5),
    ], "none has a single run"
    pd.testing.assert_frame_equal(train(runs, evaluations=3, device=CPU)[0], whole, check_exact=True)
