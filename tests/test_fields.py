"""The fields of a user's own component: what hides something, or was meant as a field and is none, is said by name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from harness import InvalidStudy, Model, Sweep, Tune
from harness.clipping import ClippingRule, GlobalNorm, Gradient
from harness.optimizers import SGD, Optimizer
from harness.optimizers.optimizer import Decay, coefficients_of
from harness.settings import Component, LearningRate, NonNegative, Positive
from harness.settings.schedules import Schedule
from harness.tasks import Task, Tensors


def made(base: type[Component], **fields: Any) -> type[Component]:
    """A class `Mine` with these fields and their defaults."""
    found: type[Component] = type("Mine", (base,), {"__annotations__": dict.fromkeys(fields, Any), **fields})
    return found


@pytest.mark.parametrize(
    ("base", "name", "owner"),
    [
        (Task, "unit", "Task"),
        (Task, "losses", "Task"),
        (Task, "kinds", "Task"),
        *(
            (Task, name, "Component")
            for name in ("code", "values", "later", "problems", "replace", "check", "stand_ins")
        ),
        (Task, "mro", "every class"),
        (ClippingRule, "clip", "ClippingRule"),
        (ClippingRule, "skips", "ClippingRule"),
        (Optimizer, "decoupled", "Optimizer"),
        (Schedule, "sequence", "Schedule"),
    ],
)
def test_a_field_that_hides_what_its_base_has_is_refused(base: type[Component], name: str, owner: str) -> None:
    mine = made(base, **{name: 3})
    for _ in range(2):
        with pytest.raises(InvalidStudy) as refused:
            mine()
        message = f"Mine.{name}: is a setting that hides `{name}` of {owner}, which is none; give it another name"
        assert str(refused.value) == message


def test_a_field_of_a_base_may_have_another_default_and_another_type() -> None:
    class Tighter(GlobalNorm):
        max_norm = 0.5

    class Annotated(GlobalNorm):
        max_norm: Positive = 0.25

    class Skipping(GlobalNorm):
        skips: ClassVar[bool] = True

    assert (Tighter().max_norm, Annotated().max_norm, Skipping(1.0).skips) == (0.5, 0.25, True)
    assert not [problem for rule in (Tighter(), Annotated(), Skipping(1.0)) for problem in rule.problems()]


def test_a_property_may_not_hide_a_setting() -> None:
    class Mine(GlobalNorm):
        @property
        def max_norm(self) -> float:  # type: ignore[override]
            return 1.0

    with pytest.raises(InvalidStudy, match=r"Mine.max_norm: is a setting, whose value this property hides"):
        Mine(2.0)


@pytest.mark.parametrize("values", [Sweep(1.0, 2.0), Tune(1.0, 2.0)])
@pytest.mark.parametrize("name", ["max_norm", "_max_norm"])
def test_levels_without_an_annotation_are_refused(name: str, values: Any) -> None:
    mine = type("Mine", (ClippingRule,), {name: values})
    with pytest.raises(
        InvalidStudy, match=rf"Mine.{name}: is no setting, which needs an annotation .*: max_norm: float ="
    ):
        mine()


class Unannotated(ClippingRule):
    max_norm = 1.0

    def clip(self, gradient: Gradient, *, max_norm: Tensor) -> Tensor:  # type: ignore[override]
        return gradient.norm > max_norm


@pytest.mark.parametrize("settings", [{}, {"max_norm": Sweep(1.0, 2.0)}])
def test_a_value_without_an_annotation_that_is_meant_as_a_setting_is_said(settings: dict[str, Any]) -> None:
    said = "max_norm: is no setting of Unannotated without an annotation: `max_norm: float = 1.0` in the class"
    assert any(str(problem).startswith(said) for problem in Unannotated(**settings).problems())


@pytest.mark.parametrize(
    ("base", "name", "method"), [(ClippingRule, "gradient", "clip"), (Optimizer, "step", "coefficients")]
)
def test_a_setting_may_not_be_called_as_the_argument_before_the_settings(
    base: type[Component], name: str, method: str
) -> None:
    message = f"{name}: is a setting with the name of the first argument of `{method}`; give one of them another name"
    assert message in map(str, made(base, **{name: 1.0})().problems())


def test_a_value_assigned_to_a_component_is_told_where_it_belongs() -> None:
    sgd: Any = SGD()
    with pytest.raises(AttributeError, match=r"SGD is frozen; use `replace\(lr=…\)`$"):
        sgd.lr = 1.0
    for component, way_out in ((sgd, "state_names"), (GlobalNorm(1.0), "initial_state"), (Task(), "settings alone")):
        with pytest.raises(AttributeError, match=way_out):
            component.last = 1.0


@pytest.mark.parametrize(
    "decorated", [lambda cls: cls, dataclass, dataclass(frozen=True)], ids=["", "dataclass", "frozen"]
)
def test_an_init_that_leaves_the_settings_out_is_said(decorated: Callable[[type], type]) -> None:
    @decorated
    class Mine(ClippingRule):
        def __init__(self) -> None:
            pass

    assert "an `__init__` of Mine must call `super().__init__(…)`" in str(Mine().problems()[0])


def test_a_component_that_is_made_a_dataclass_is_told_not_to_be() -> None:
    @dataclass
    class Mine(ClippingRule):
        bound: float = 1.0

    with pytest.raises(
        AttributeError, match=r"Mine was made without its settings: .*nor `@dataclass`, which makes one$"
    ):
        Mine()


def test_a_method_that_is_not_there_is_named() -> None:
    class Mine(Optimizer, ClippingRule, Task, Schedule):  # type: ignore[misc]
        pass

    mine: Any = object.__new__(Mine)
    nothing = torch.zeros(1, 1)
    calls = {
        "clip": lambda: mine.clip(nothing), "coefficients": lambda: mine.coefficients(nothing), "draw": lambda: mine.draw(0),
        "update": lambda: mine.update(nothing, nothing), "sequence": lambda: mine.sequence(1),
    }  # fmt: skip
    for name, call in calls.items():
        with pytest.raises(NotImplementedError, match=f"Mine has no method `{name}`, which it must have"):
            call()


class Decoupled(Optimizer):
    decoupled = True

    def coefficients(self, step: Tensor, **settings: Tensor | None) -> dict[str, Tensor | None]:
        return settings


def test_a_decoupled_optimizer_needs_its_fields() -> None:
    class Unknown(Decoupled):
        lr: LearningRate = 0.1
        weight_decay: NonNegative = 0.1
        decay: str = "weigths"

    class Known(Unknown):
        decay: Decay = "all"

    class OneName(Known):
        state_names = "velocity"  # type: ignore[assignment]

    said = {problem.path: problem.message for cls in (Decoupled, Unknown, OneName) for problem in cls().problems()}
    assert said == {
        "lr": "is required where `decoupled` is True, as a field of the class",
        "weight_decay": "is required where `decoupled` is True, as a field of the class",
        "decay": "must be 'all' or 'weights' where `decoupled` is not None; annotate it as `Decay`",
        "state_names": "must be a tuple of names: ('velocity',) for a single one",
    }
    assert Known(decay=Sweep("all", "weights")).problems() == []
    assert len(SGD(decay="weigths").problems()) == 1


@pytest.mark.parametrize(
    ("column", "here"),
    [
        (0.1, "`lr` is a float"),
        (torch.tensor(0.1), r"`lr` has shape \(\) for 2 members"),
        (torch.ones(2), r"`lr` has shape \(2,\) for 2 members"),
        (torch.ones(1, 2), r"`lr` has shape \(1, 2\) for 2 members"),
    ],
)
def test_a_coefficient_is_a_column_of_members(column: Any, here: str) -> None:
    with pytest.raises(ValueError, match=here):
        coefficients_of(Decoupled(), torch.ones(2, 1), {"lr": column})


def test_coefficients_are_a_dictionary() -> None:
    class Mine(Optimizer):
        def coefficients(self, step: Tensor, **settings: Tensor | None) -> Any:
            return step

    with pytest.raises(ValueError, match=r"must return a dictionary .* here a Tensor"):
        coefficients_of(Mine(), torch.ones(2, 1), {})
    assert coefficients_of(Decoupled(), torch.ones(2, 1), {"lr": None}) == {"lr": None}


class ByPosition(torch.nn.Linear):
    def __init__(self, inputs: int, width: int = 3, depth: int = 1, /, outputs: int = 2) -> None:
        super().__init__(inputs, outputs)


def test_an_argument_of_a_module_that_is_taken_by_position_alone_is_refused() -> None:
    message = "is taken by position alone, and a study gives arguments by name: take the `/` out of the constructor"
    found = Model(ByPosition, width=Sweep(1, 2)).problems()
    assert list(map(str, found)) == [f"inputs: {message}", f"width: {message}"]


def test_data_of_a_user_stay_as_they_are_where_a_subclass_adds_nothing() -> None:
    class Mine(Tensors):
        scale: Positive = 1.0

    assert Mine(torch.randn(9, 2), torch.arange(9) % 2, test_size=3, validation_size=3).problems() == []
