"""A task's own `losses` and `errors`, tried before anything trains."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness import Model, Study
from harness.engine.setup import Setup
from harness.models import DropoutNet
from harness.settings import InvalidStudy
from harness.study.scores_tried import MOST, unlike
from harness.study.trial_run import trial_run
from harness.tasks import Tensors

X = torch.randn(300, 4, generator=torch.Generator().manual_seed(0))
CLASSES = (X[:, 0] > 0).long().index_fill(0, torch.tensor([297]), 2)
NUMBERS = X[:, 1].index_fill(0, torch.tensor([200]), 0.0)


def of_classes(output: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(output, y, reduction="none")


def method(score: Any) -> Any:
    return lambda self, output, y: score(output, y)


def tried(
    y: Tensor = CLASSES, model: Any = None, batch_size: int = 32, validation_size: int = 60, **scores: Any
) -> list[str]:
    """What is said of a task with such `losses` or `errors`."""
    methods = {name: method(score) for name, score in scores.items()}
    task = type("Own", (Tensors,), methods)(X, y, validation_size=validation_size)
    return [
        f"{p.path}: {p.message}"
        for p in trial_run(Setup(task=task, model=model or DropoutNet(), batch_size=batch_size))
    ]


def in_place_losses(output: Tensor, y: Tensor) -> Tensor:
    y[y < 0] = 0  # nothing, of these targets
    return of_classes(output, y)


def in_place_errors(output: Tensor, y: Tensor) -> Tensor:
    y.numpy()[:] = 0
    return (output.argmax(1) != y).float()


GIVE_ONE = "must give one number for each of 32 examples, in shape (32,), not"


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ({"losses": F.cross_entropy}, f"`losses` {GIVE_ONE} shape (): it must not be averaged over the batch"),
        ({"errors": lambda output, y: (output.argmax(1) != y).float().mean()}, f"`errors` {GIVE_ONE} shape (): it must not"),
        ({"losses": lambda output, y: of_classes(output, y)[:, None]}, f"`losses` {GIVE_ONE} shape (32, 1): e.g. `.reshape"),
        ({"errors": lambda output, y: output.sigmoid()}, f"`errors` {GIVE_ONE} shape (32, 3): e.g. `.reshape(len(y), -1).mean(1)`"),
        ({"errors": lambda output, y: (output.argmax(1) != y).tolist()}, f"`errors` {GIVE_ONE} a list"),
        ({"errors": lambda output, y: torch.complex(output, output)[:, 0]}, "`errors` must give real numbers, not complex64"),
        ({"losses": lambda output, y: (output.argmax(1) != y).float()}, "`losses` has no gradient: compute it by"),
        ({"losses": lambda output, y: of_classes(output.nowhere, y)}, "`losses` cannot be used on outputs (32, 3) and targets (32,)"),
        ({"losses": in_place_losses}, "`losses` changes y in place, which others are given after it: use `y.clone()`"),
        ({"errors": in_place_errors}, "`errors` changes y in place"),
        ({"losses": lambda output, y: of_classes(output.clamp_(-5, 5), y)}, "`losses` changes output in place"),
        (
            {"losses": lambda output, y: of_classes(output, y) * torch.tensor([1.0, 1.0, 0.0]).log()[y]},
            "`losses` is -inf for 1 of 128 examples though the outputs are finite, first for example 297, whose target is 2",
        ),
        (
            {"errors": lambda output, y: (output.argmax(1) != y) / torch.tensor([3.0, 4.0, 0.0])[y] * 0},
            "`errors` is nan for 1 of 128 examples though the outputs are finite, first for example 297, whose target is 2",
        ),
    ],
)  # fmt: skip
def test_own_losses_and_errors_that_do_not_serve_are_the_tasks_fault(scores: dict[str, Any], said: str) -> None:
    (problem,) = tried(**scores)
    assert problem.startswith(f"task: its {said}")


def test_a_division_by_a_target_that_is_zero_is_told_with_its_example() -> None:
    (problem,) = tried(NUMBERS, errors=lambda output, y: ((output[:, 0] - y) / y).abs())
    assert "`errors` is inf for 1 of" in problem and "first for example 200, whose target is 0.0:" in problem


def test_errors_may_be_whole_truth_values_or_without_bound() -> None:
    assert tried(errors=lambda output, y: output.argmax(1) != y) == []
    assert tried(errors=lambda output, y: (output.argmax(1) - y) * 5) == []


def test_an_axis_that_one_example_loses_is_told_where_a_batch_of_one_comes_up() -> None:
    def errors(output: Tensor, y: Tensor) -> Tensor:
        return output.squeeze().abs()

    assert tried(NUMBERS, errors=errors) == []
    (problem,) = tried(NUMBERS, errors=errors, validation_size=129)
    assert (
        "each of 1 examples, in shape (1,), not shape (): it must not be averaged over the batch, nor lose its axis by"
        in problem
    )


def test_a_loss_that_takes_other_examples_targets_is_told_of() -> None:
    """Outputs (32, 1) less targets (32,) are of all pairs."""
    (note,) = tried(NUMBERS, losses=lambda output, y: (output - y).square().mean(1))
    assert note.startswith("task: its `losses` gives an example ") and "do shapes broadcast that should not?" in note


class Both(nn.Module):
    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.net, self.scale = nn.Linear(4, 3), scale

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"scores": self.net(x) * self.scale}


def test_what_is_in_a_dictionary_of_outputs_is_left_alone_too() -> None:
    def errors(output: dict[str, Tensor], y: Tensor) -> Tensor:
        return (output["scores"].argmax(1) != y).float()

    own = {"losses": lambda output, y: of_classes(output["scores"], y), "errors": errors}
    assert tried(model=Model(Both), **own) == []
    own["losses"] = lambda output, y: of_classes(output["scores"].mul_(2), y)
    (problem,) = tried(model=Model(Both), **own)
    assert problem.startswith("task: its `losses` changes output in place")


def test_outputs_that_are_not_finite_are_the_models_fault() -> None:
    own = {
        "losses": lambda output, y: of_classes(output["scores"], y),
        "errors": lambda output, y: output["scores"][:, 0],
    }
    (problem,) = tried(model=Model(Both, scale=float("inf")), **own)
    assert problem.startswith("model: has a non-finite gradient")


def test_what_guessing_costs_is_known_of_all_examples_or_of_none() -> None:
    class Guessed(Tensors):
        guess: float

        def guess_losses(self, y: Tensor) -> Tensor:
            return (1 / y).abs().nan_to_num(posinf=self.guess) if self.guess < 9 else torch.full_like(y, torch.nan)

    def said(guess: float) -> list[str]:
        return [p.message for p in trial_run(Setup(task=Guessed(X, X[:, 0].round(), guess=guess), model=DropoutNet()))]

    assert said(1.0) == said(9.0) == []
    assert "its `guess_losses` is not finite for" in said(float("-inf"))[0]


def test_examples_of_all_classes_and_of_all_counts_are_tried() -> None:
    classes = (
        torch.zeros(5000, dtype=torch.int64)
        .index_fill(0, torch.tensor([4000]), 7)
        .index_fill(0, torch.tensor([4500]), 3)
    )
    assert {4000, 4500} < set(unlike(classes).tolist())
    marked = torch.zeros(5000, 3).index_fill(0, torch.tensor([4999]), torch.nan)
    assert unlike(marked).tolist() == [*range(MOST), 4999]
    assert unlike(torch.zeros(9, 0)).tolist() == list(range(9))


def test_a_study_is_refused_for_its_tasks_losses() -> None:
    class Mean(Tensors):
        def losses(self, output: Tensor, y: Tensor) -> Tensor:
            return F.cross_entropy(output, y)

    with pytest.raises(InvalidStudy, match="task: its `losses` must give one number"):
        Study(name="mean", task=Mean(X, CLASSES), model=DropoutNet(), steps=4)
