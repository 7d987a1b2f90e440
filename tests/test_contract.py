"""The contract of every piece: it fits some other pieces, and trains in a population as the module is written.

A new task, model, clipping rule or optimizer is picked up by its export alone; one that cannot be made without
arguments needs its line in `GIVEN`. Sizes are made small by the names that settings have in common.
"""

import typing
from collections.abc import Iterator
from functools import cache, partial
from math import inf
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn as nn
from test_train import textbook

from harness import clipping, models, optimizers, tasks
from harness.audit import checks
from harness.clipping import ClippingRule, GlobalNorm
from harness.engine.proof import obstacle
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.engine.train import train
from harness.models import Model
from harness.optimizers import SGD, Optimizer
from harness.settings import Component
from harness.tasks import Task

SMALL = {"length": 12, "train_size": 60, "validation_size": 20, "test_size": 20, "dropout": 0.3}
"""Values of settings by name, where a piece has a setting of that name."""

HIDDEN = ((8, 16), 16)
"""Likewise, of the widths of hidden layers: the first that the model takes."""

X = torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
GIVEN: dict[str, dict[str, Any]] = {"Tensors": {"x": X, "y": X.argmax(1)}}
"""What a piece cannot be made without."""

F64, RTOL = torch.float64, 1e-9


def exported(module: ModuleType, base: type) -> dict[str, type[Any]]:
    """The subclasses of `base` that a module exports, by name."""
    names = getattr(module, "__all__", vars(module))
    found = {name: getattr(module, name) for name in names}
    return {n: k for n, k in found.items() if isinstance(k, type) and issubclass(k, base) and k is not base}


TASKS, RULES, OPTIMIZERS = exported(tasks, Task), exported(clipping, ClippingRule), exported(optimizers, Optimizer)


class Convolution(nn.Sequential):
    """A module as a user would write it, for images that keep their channel: no shipped one takes them."""

    def __init__(self, outputs: int, *, dropout: float = 0.0):
        layers = (nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        super().__init__(*layers, nn.Dropout(dropout), nn.Linear(16, outputs))


SHIPPED = {name: getattr(models, name) for name in models.__all__ if name != "Model"}
MODELS = SHIPPED | {"Model": partial(Model, Convolution)}


def variants(component: Component) -> Iterator[Any]:
    """The component in small, and with each other word of every setting that is a choice of words."""
    settings = {name: SMALL[name] for name in component.kinds() if name in SMALL}
    small = component.replace(**settings)
    if "hidden" in component.kinds():
        made = (small.replace(hidden=hidden) for hidden in HIDDEN)
        small = next(component for component in made if not component.problems())
    yield small
    for name, kind in component.kinds().items():
        if typing.get_origin(kind) is typing.Literal:
            for word in typing.get_args(kind):
                if word != small.values()[name]:
                    yield small.replace(**{name: word})


@cache
def task_variants(name: str) -> list[Task]:
    return list(variants(TASKS[name](**GIVEN.get(name, {}))))


@cache
def model_variants(name: str) -> list[Model]:
    return list(variants(MODELS[name](**GIVEN.get(name, {}))))


@cache
def fits(task: Task, model: Model) -> bool:
    """Whether the module takes the task's inputs and its outputs can be scored."""
    data = task.data(0)
    x, y = data.x[data.train[:2]], data.y[data.train[:2]]
    try:
        task.losses(model.build(task.sizes(data))(x), y)
    except (RuntimeError, ValueError, IndexError):
        return False
    return True


def fitting(task_names: Any, model_names: Any) -> list[Setup]:
    """Every variant of these tasks with every variant of these models that fits it."""
    return [
        Setup(task=task, model=model, clipping=GlobalNorm(0.5), optimizer=SGD(0.1), batch_size=8, steps=checks.STEPS)
        for task_name in task_names for task in task_variants(task_name)
        for model_name in model_names for model in model_variants(model_name)
        if fits(task, model)
    ]  # fmt: skip


@cache
def one_for_each_model() -> list[Setup]:
    found = {setup.model.module: setup for setup in reversed(fitting(TASKS, MODELS))}
    return list(found.values())


def assert_contract(setup: Setup) -> None:
    """The setup, and another that differs from it in numbers: of the optimizer, of the clipping rule, of the model."""
    numbers = {name: value for name, value in setup.clipping.values().items() if isinstance(value, float)}
    halved = setup.clipping.replace(**{name: value / 2 for name, value in numbers.items()})
    other = setup.replace(clipping=halved).with_value("optimizer.lr", 0.03).with_value("model.dropout", 0.1)
    assert obstacle([Run(0, 0, setup), Run(1, 1, other)], checks.CPU) == "", setup


@pytest.mark.parametrize("model", MODELS)
def test_model_fits_a_task(model: str) -> None:
    found = {repr(setup.model) for setup in fitting(TASKS, [model])}
    assert found == {repr(variant) for variant in model_variants(model)}


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_task_trains_every_model_that_fits_as_it_is_written(task: str) -> None:
    setups = fitting([task], MODELS)
    assert {repr(setup.task) for setup in setups} == {repr(variant) for variant in task_variants(task)}
    for setup in setups:
        assert_contract(setup)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_task_trains_as_in_the_plain_loop(task: str) -> None:
    """Without dropout, which `test_train` compares; tasks with a loss of their own are left to the plain module."""
    for setup in fitting([task], MODELS):
        if type(setup.task).losses is Task.losses:
            setup = setup.replace(model=setup.model.replace(dropout=0.0))
            _, curves = train(checks.short_runs([setup]), evaluations=1, device=checks.CPU, dtype=F64)
            for seed, curve in curves.groupby("seed"):
                losses, norms = textbook(setup, seed, F64)
                np.testing.assert_allclose(curve["loss"], losses, rtol=RTOL, err_msg=repr(setup))
                np.testing.assert_allclose(curve["grad_norm"], norms, rtol=RTOL, err_msg=repr(setup))


@pytest.mark.parametrize("rule", RULES)
def test_clipping_rule_acts_in_a_population_as_alone(rule: str) -> None:
    made = RULES[rule](**GIVEN.get(rule, {}))
    closed = made.replace(**{name: 0.5 for name, value in made.values().items() if value == inf})
    for setup in one_for_each_model():
        assert_contract(setup.replace(clipping=closed))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizer_steps_in_a_population_as_alone(optimizer: str) -> None:
    for setup in one_for_each_model():
        assert_contract(setup.replace(optimizer=OPTIMIZERS[optimizer](**GIVEN.get(optimizer, {}))))
