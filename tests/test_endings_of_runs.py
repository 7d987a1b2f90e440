"""How a run ends, by its loss against that of guessing: rules by hand, and runs of every kind against plain torch."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from test_train import CPU

from harness import InvalidStudy, Study
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.engine.stability import ending
from harness.engine.train import train
from harness.ledger.records.finished import WORST, outcomes
from harness.models import DropoutNet, Model, SimpleRNN
from harness.optimizers import SGD
from harness.tasks import AddingProblem, CharLM, Images, Task, Tensors

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("train_loss", "guess", "validation", "nonfinite", "expected"),
    [
        (0.5, 3.0, [4.6, 2.0, 1.0], False, (0, 0, 0)),  # learned
        (0.1, 3.0, [4.6, 2.0, 9.0], False, (0, 0, 0)),  # overfitted: worse than guessing on new data only
        (1.0, 3.0, [4.6, 30.0, 1.0], False, (0, 0, 0)),  # was far above guessing, and recovered
        (17.0, 3.0, [4.6, 2.0, 17.0], False, (0, 1, 0)),  # rose and stayed up
        (4.0, 3.0, [4.6, 2.0, 4.0], False, (0, 1, 0)),  # likewise, but below where it began
        (130.0, 2.3, [2.3, 5000.0, 130.0], False, (0, 1, 0)),  # is coming down again, and has not recovered
        (4.5, 3.0, [4.6, 4.55, 4.5], False, (0, 0, 1)),  # began above guessing and hardly moved
        (3.0, 3.0, [4.6, 3.1, 3.0], False, (0, 0, 1)),  # learned the frequencies only
        (3.1, 3.0, [4.6, 2.0, 3.1], False, (0, 0, 1)),  # forgot all but these
        (2.9, 3.0, [4.6, 3.1, 2.9], False, (0, 0, 0)),  # a little is more than nothing
        (NAN, 3.0, [4.6, 2.0, NAN], True, (1, 1, 0)),
        (INF, 3.0, [4.6, 2.0, 2.0], False, (1, 1, 0)),
        (17.0, NAN, [4.6, 2.0, 17.0], False, (0, 0, NAN)),  # nobody knows what guessing costs
        (NAN, NAN, [4.6, 2.0, NAN], True, (1, 1, 0)),
        (-0.5, -1.0, [0.0, -1.5, -0.5], False, (0, 1, 0)),  # losses of a user's own may be negative
        (-2.0, -1.0, [0.0, -1.5, -2.0], False, (0, 0, 0)),
        (17.0, 3.0, [4.6, 2.0, 2.08], False, (0, 0, 1)),  # 4 % above its least, which is jitter
        (17.0, 3.0, [4.6, 2.0, 2.15], False, (0, 1, 0)),
        (17.0, 3.0, [4.6, 0.0, 0.0], False, (0, 0, 1)),  # is at its least
        (0.0, 0.0, [1.0, 0.5, 0.1], False, (0, 0, 1)),  # guessing costs nothing, and nothing is better
        (0.99, 1.0, [4.6, 3.1, 0.99], False, (0, 0, 1)),  # below it by 1 %, and not by more
        (0.9899, 1.0, [4.6, 3.1, 0.9899], False, (0, 0, 0)),
        (1.05, 1.0, [4.6, 0.5, 1.05], False, (0, 0, 1)),  # above it by 5 %, and not by more
        (1.0501, 1.0, [4.6, 0.5, 1.0501], False, (0, 1, 0)),
        (17.0, 3.0, [4.6, 1.0, 1.05], False, (0, 0, 1)),  # risen by 5 %, and not by more
        (17.0, 3.0, [4.6, 1.0, 1.0501], False, (0, 1, 0)),
    ],
)
def test_endings_by_hand(
    train_loss: float, guess: float, validation: list[float], nonfinite: bool, expected: tuple[float, ...]
) -> None:
    found = ending(*map(np.array, ([train_loss], [guess], [[value] for value in validation], [nonfinite])))
    np.testing.assert_array_equal([found[name][0] for name in ("nonfinite", "diverged", "collapsed")], expected)


def outcome(task: Task, model: Model, lr: float, steps: int, **more: object) -> dict[str, object]:
    setup = Setup(task=task, model=model, optimizer=SGD(lr), steps=steps, **({"batch_size": 16} | more))
    runs, _ = train([Run(0, 0, setup), Run(0, 1, setup)], evaluations=5, device=CPU)
    return runs.loc[0].to_dict()


DIGITS, TEXT = Images(train_size=300), CharLM(length=20, train_size=300)


def test_ten_steps_at_a_huge_rate_have_diverged_though_every_number_is_finite() -> None:
    found = outcome(DIGITS, DropoutNet(hidden=(32,)), 50.0, 10)
    assert (found["status"], found["diverged"], found["nonfinite"], found["collapsed"]) == ("diverged", 1, 0, 0)
    assert found["steps_done"] == 10
    assert 10 < found["test_loss"] < INF  # what was measured
    assert found["gap"] == pytest.approx(found["test_loss"] - found["train_loss"], abs=1e-12)


def test_a_recurrent_net_that_ends_worse_than_guessing_has_diverged() -> None:
    found = outcome(TEXT, SimpleRNN(hidden=32, readout="every"), 30.0, 60)
    assert found["train_loss"] > 1.2 * found["guess_loss"]
    assert (found["status"], found["nonfinite"]) == ("diverged", 0)


def test_a_run_that_hardly_moves_has_collapsed_and_not_diverged() -> None:
    """It begins at ln 103, far above the loss of the frequencies."""
    found = outcome(TEXT, SimpleRNN(hidden=32, readout="every"), 1e-4, 20)
    assert found["train_loss"] > 1.2 * found["guess_loss"]
    assert (found["status"], found["diverged"], found["collapsed"]) == ("collapsed", 0, 1)


class Dead(nn.Module):
    """Its hidden units are never on, so that it learns the frequencies alone."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(64, 8), nn.Linear(8, 10)
        nn.init.constant_(self.hidden.bias, -1000.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.hidden(x).relu())


def test_a_net_that_is_dead_has_collapsed() -> None:
    found = outcome(DIGITS, Model(Dead), 0.1, 200)
    assert found["train_loss"] == pytest.approx(found["guess_loss"], rel=0.01)
    assert (found["status"], found["collapsed"]) == ("collapsed", 1)


def test_an_overfitted_net_whose_test_loss_exceeds_guessing_is_finished() -> None:
    x = torch.randn(200, 20, generator=torch.Generator().manual_seed(0))
    y = torch.randint(0, 2, (200,), generator=torch.Generator().manual_seed(1))  # nothing to be learned
    found = outcome(Tensors(x, y), DropoutNet(hidden=(64,)), 0.5, 400)
    assert found["test_loss"] > 1.5 * found["guess_loss"] > found["train_loss"]
    assert (found["status"], found["diverged"], found["collapsed"]) == ("finished", 0, 0)


def test_a_non_finite_run_ends_there_and_ranks_worst() -> None:
    found = outcome(DIGITS, DropoutNet(hidden=(32,)), 1e38, 50)
    assert (found["status"], found["diverged"], found["nonfinite"], found["collapsed"]) == ("diverged", 1, 1, 0)
    assert found["steps_done"] < 50
    assert math.isinf(found["test_loss"]) and math.isinf(found["best_test_loss"])
    assert math.isfinite(found["guess_loss"])


def test_guessing_is_the_cross_entropy_of_the_frequencies_that_are_trained_on() -> None:
    task = Images(train_size=300, label_noise=0.3, resample="bootstrap")
    for confirm in (True, False):
        runs, _ = train([Run(0, s, Setup(task=task, model=DropoutNet(), steps=1), confirm=confirm) for s in (0, 1)],
                        evaluations=1, device=CPU)  # fmt: skip
        for seed in (0, 1):
            data = task.data(seed)
            y = data.y[data.train]
            p = torch.bincount(y, minlength=10) / len(y)
            measured = y[: len(data.test) if confirm else 256]
            expected = F.nll_loss(p.log().expand(len(measured), 10), measured)
            assert runs["guess_loss"][seed] == pytest.approx(float(expected), rel=1e-6)


def test_guessing_the_default_text_costs_3_25_nats() -> None:
    task = CharLM(length=50)
    data = task.data(0)
    y = data.y[data.train].flatten().numpy()
    p = np.bincount(y) / len(y)
    p = p[p > 0]
    found = float(task.guess_losses(data.y[data.train]).mean())
    assert found == pytest.approx(-(p * np.log(p)).sum(), rel=1e-6)
    assert found == pytest.approx(3.25, abs=0.05)


def test_guessing_numbers_costs_their_variance_about_each_targets_own_mean() -> None:
    y = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)) + torch.tensor([0.0, 5.0, -9.0])
    found = AddingProblem().guess_losses(y).mean()
    assert float(found) == pytest.approx(float(y.numpy().var(axis=0).mean()), rel=1e-5)
    assert AddingProblem().guess_losses(torch.ones(9, 2)).isnan().all()
    assert Images().guess_losses(torch.full((9,), 4)).isnan().all()


class Weighted(Tensors):
    """A loss of its own, and no word on what guessing costs."""

    def losses(self, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return 2 * super().losses(output, y)


class Told(Weighted):
    def guess_losses(self, y: torch.Tensor) -> torch.Tensor:
        return 2 * super().guess_losses(y)


class Anew(Told):
    """The guess is that of another loss again."""

    def losses(self, output: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return 3 * super().losses(output, y)


def test_a_loss_of_a_users_own_is_judged_only_where_it_says_what_guessing_costs() -> None:
    x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] > 0).long()
    guesses, notes = {}, {}
    for kind in (Tensors, Weighted, Told, Anew):
        found = outcome(kind(x, y), DropoutNet(hidden=(8,)), 20.0, 12)
        guesses[kind] = found["guess_loss"], found["collapsed"], found["status"], found["diverged"]
        notes[kind] = Study(name="x", task=kind(x, y), model=DropoutNet(), steps=5).notes
    assert guesses[Tensors][0] > 0
    assert guesses[Told][0] == pytest.approx(2 * guesses[Tensors][0])
    assert [guesses[kind][2] for kind in (Tensors, Told)] == ["diverged"] * 2
    for kind in (Weighted, Anew):
        assert all(map(math.isnan, guesses[kind][:2]))
        assert guesses[kind][2:] == ("finished", 0)
        assert any("guess_losses" in note and note.startswith("task: ") for note in notes[kind])
    assert not any("guess_losses" in note for kind in (Tensors, Told) for note in notes[kind])


class WrongGuess(Weighted):
    def guess_losses(self, y: torch.Tensor) -> torch.Tensor:
        return super().guess_losses(y).mean()


def test_a_guess_that_does_not_serve_is_refused_before_anything_trains() -> None:
    x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    with pytest.raises(InvalidStudy, match="task: its `guess_losses` must give a loss for each of"):
        Study(name="x", task=WrongGuess(x, (x[:, 0] > 0).long()), model=DropoutNet(), steps=5)


def test_a_diverged_run_is_told_as_the_worst_whatever_its_value() -> None:
    """Of several objectives as well, so that a trial that always diverges dominates none."""
    runs = pd.DataFrame(
        {"seed": [3, 4], "status": ["finished", "diverged"], "spike_rate": [0.1, 0.0], "validation_loss": [2.0, 17.0]}
    )
    both = ["spike_rate", "validation_loss"]
    assert outcomes(runs, both) == {3: [0.1, 2.0], 4: [WORST, WORST]}
    kept = runs.assign(status=["collapsed", "finished"], spike_rate=[NAN, 0.1])
    assert outcomes(kept, both) == {3: [WORST, 2.0], 4: [0.1, 17.0]}
