"""Both ways to update members, by formula and by torch's fused kernels, against `torch.optim` on one member at a time."""

import pandas as pd
import pytest
import torch
from test_train import numbers_at, torch_optimizer

from harness.clipping import GlobalNorm
from harness.engine import update
from harness.engine.population import Population
from harness.engine.runs import Run, examples
from harness.engine.setup import Setup
from harness.engine.train import train
from harness.engine.update import FusedUpdate, Update, update_of
from harness.models import DropoutNet, Model
from harness.optimizers import SGD, Adam, AdamW, Lion, Optimizer, RMSprop
from harness.settings.schedules import Linear
from harness.tasks import Images, Tensors

CPU, STEPS = torch.device("cpu"), 50
OPTIMIZERS: list[list[Optimizer]] = [
    [Adam(lr=1e-2), Adam(lr=1e-3, beta1=0.0, weight_decay=0.1), Adam(lr=1e-2), Adam(beta2=0.9, eps=1e-3)],
    [AdamW(lr=1e-2), AdamW(lr=1e-2, weight_decay=0.0), AdamW(lr=3e-2, weight_decay=0.3), AdamW(lr=1e-2)],
    [SGD(), SGD(momentum=0.9), SGD(weight_decay=0.1), SGD(lr=1.0, momentum=0.5, weight_decay=0.2)],
    [SGD(momentum=m, weight_decay=w, nesterov=True) for m, w in ((0.9, 0.0), (0.5, 0.1), (0.1, 0.0), (0.99, 0.01))],
    [RMSprop(), RMSprop(momentum=0.9), RMSprop(alpha=0.0, weight_decay=0.1), RMSprop(0.1, alpha=0.5, eps=1e-3)],
    [RMSprop(momentum=m, weight_decay=w, centered=True) for m, w in ((0.9, 0.0), (0.0, 0.1), (0.5, 0.0), (0.0, 0.0))],
    [Lion(), Lion(1e-2, weight_decay=0.1), Lion(beta1=0.0), Lion(1e-2, beta2=0.0)],
]
WAYS = [
    pytest.param(kind, optimizers, id=f"{kind.__name__}-{i}-{type(optimizers[0]).__name__}")
    for kind in (Update, FusedUpdate)
    for i, optimizers in enumerate(OPTIMIZERS)
    if kind is Update or isinstance(optimizers[0], Adam)
]


def population_of(optimizers: list[Optimizer], dtype: torch.dtype = torch.float64) -> tuple[list[Run], Population]:
    x, y = torch.zeros(40, 3), torch.arange(40) % 2
    setups = [Setup(task=Tensors(x, y), model=DropoutNet(hidden=(5,)), clipping=GlobalNorm(), optimizer=optimizer)
              for optimizer in optimizers]  # fmt: skip
    runs = [Run(i, 0, setup) for i, setup in enumerate(setups)]
    return runs, Population(runs, examples(runs), device=CPU, dtype=dtype)


def torchs_optimizer(optimizer: Optimizer, parameters: list[torch.Tensor]) -> torch.optim.Optimizer:
    return torch_optimizer(optimizer, parameters)


def torchs_parameters(optimizer: Optimizer, start: torch.Tensor, gradients: list[torch.Tensor]) -> torch.Tensor:
    """What torch's own optimizer makes of one member's parameters."""
    parameters = start.clone().requires_grad_()
    torchs = torchs_optimizer(optimizer, [parameters])
    for gradient in gradients:
        parameters.grad = gradient.clone()
        torchs.step()
    return parameters.detach()


@pytest.mark.parametrize("optimizers", OPTIMIZERS, ids=lambda optimizers: type(optimizers[0]).__name__)
def test_a_run_alone_is_updated_by_the_formula_as_in_a_population(optimizers, monkeypatch):
    monkeypatch.setattr(update, "FUSED", {})  # as on a CUDA device, and for optimizers of one's own
    setup = Setup(Images(), DropoutNet(hidden=(5,)), GlobalNorm(), optimizers[-1], 16, 20)
    runs = [Run(0, seed, setup) for seed in (0, 1)]
    _, together = train(runs, evaluations=2, device=CPU, dtype=torch.float64)
    alone = pd.concat(
        [train([run], evaluations=2, device=CPU, dtype=torch.float64)[1] for run in runs], ignore_index=True
    )
    pd.testing.assert_frame_equal(together, alone, rtol=1e-9)


@pytest.mark.parametrize(("kind", "optimizers"), WAYS)
@pytest.mark.parametrize("skipping", [False, True])
def test_every_member_is_updated_as_by_its_own_optimizer_of_torch(kind, optimizers, skipping):
    runs, population = population_of(optimizers)
    start, update = population.parameters.clone(), kind(runs, population)
    generator = torch.Generator().manual_seed(0)
    gradients = torch.randn(STEPS, *start.shape, generator=generator, dtype=torch.float64)
    skips = torch.rand(STEPS, len(runs), 1, generator=generator) < 0.4 * skipping
    survivors = torch.arange(len(runs))
    for step in range(STEPS):
        if step == STEPS - 2:  # a member leaves in mid-training
            survivors = torch.tensor([0, 1, 3])
            population.compact(survivors)
            update.compact(survivors)
        skipped = skips[step, survivors] if skipping else None
        update.begin()
        for rows in (slice(0, 2), slice(2, len(survivors))):
            part = None if skipped is None else skipped[rows]
            update(rows, gradients[step, survivors][rows].contiguous(), part)
        update.end(skipped)
    for row, member in enumerate(survivors.tolist()):
        taken = [gradients[step, member] for step in range(STEPS) if not skips[step, member]]
        expected = torchs_parameters(optimizers[member], start[member], taken)
        torch.testing.assert_close(population.parameters[row], expected, rtol=1e-9, atol=1e-9)


DECAYS = [
    [SGD(0.1, momentum=0.5, weight_decay=0.1, decay="weights"), SGD(0.1, decay="weights")],
    [Adam(0.1, weight_decay=0.1, decay="weights"), Adam(0.01, weight_decay=Linear(0.3, 0.0), decay="weights")],
    [AdamW(0.1, weight_decay=0.1, decay="weights"), AdamW(Linear(0.1, 0.0), decay="weights")],
    [RMSprop(weight_decay=0.1, decay="weights"), RMSprop(weight_decay=0.3, decay="weights")],
    [Lion(0.01, weight_decay=0.1, decay="weights"), Lion(0.01, weight_decay=0.3, decay="weights")],
]


@pytest.mark.parametrize(
    ("kind", "optimizers"),
    [(kind, o) for kind in (Update, FusedUpdate) for o in DECAYS if kind is Update or isinstance(o[0], Adam)],
    ids=lambda v: v.__name__ if isinstance(v, type) else type(v[0]).__name__,
)
def test_weight_decay_may_leave_biases_and_gains_alone(kind: type[Update], optimizers: list[Optimizer]) -> None:
    """As torch's parameter groups do: of biases and gains no weight decay."""
    task = Tensors(torch.zeros(40, 3), torch.arange(40) % 2)
    setups = [Setup(task=task, model=Model(Normed), optimizer=optimizer, steps=STEPS) for optimizer in optimizers]
    runs = [Run(i, 0, setup) for i, setup in enumerate(setups)]
    population = Population(runs, examples(runs), device=CPU, dtype=torch.float64)
    update, views = kind(runs, population), population.views(population.parameters)
    assert [len(view[0].shape) for view in views.values()] == [4, 2, 1, 1, 1, 2, 1]
    theirs = [[view[i].clone().requires_grad_() for view in views.values()] for i in range(len(runs))]
    torchs = [torch_optimizer(optimizer, own) for optimizer, own in zip(optimizers, theirs, strict=True)]
    generator = torch.Generator().manual_seed(0)
    for step in range(STEPS):
        gradient = torch.zeros_like(population.parameters)
        for view in population.views(gradient).values():
            view.copy_(torch.randn(view.shape, generator=generator, dtype=torch.float64))
        for i, (own, of_torch) in enumerate(zip(theirs, torchs, strict=True)):
            for parameter, view in zip(own, population.views(gradient).values(), strict=True):
                parameter.grad = view[i].clone()
            for group in of_torch.param_groups:
                group |= numbers_at(optimizers[i], step + 1, STEPS, decays=group["decays"])
            of_torch.step()
        population.advance()
        update.begin()
        update(slice(0, len(runs)), gradient, None)
        update.end(None)
    for k, view in enumerate(views.values()):
        torch.testing.assert_close(view, torch.stack([own[k].detach() for own in theirs]), rtol=1e-9, atol=1e-9)


class Normed(torch.nn.Module):
    """Weights of two and of four axes, biases, gains, and a single number."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first, self.norm = torch.nn.Linear(inputs, 5), torch.nn.LayerNorm(5)
        self.kernel = torch.nn.Parameter(torch.randn(2, 3, 1, 1))
        self.second = torch.nn.Linear(5, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.norm(self.first(x))) + self.kernel.sum()


@pytest.mark.parametrize(("kind", "optimizers"), WAYS)
@pytest.mark.parametrize("skipping", [False, True])
def test_a_parameter_is_left_alone_in_steps_in_which_it_takes_no_part(kind, optimizers, skipping):
    """As torch leaves one without a gradient: no weight decay, no momentum, and no step of its own is counted."""
    runs, population = population_of(optimizers)
    update, views = kind(runs, population), population.views(population.parameters)
    first, never, *_ = views
    theirs = [{name: view[i].clone().requires_grad_() for name, view in views.items()} for i in range(len(runs))]
    torchs = [
        torchs_optimizer(optimizer, list(own.values())) for optimizer, own in zip(optimizers, theirs, strict=True)
    ]
    generator = torch.Generator().manual_seed(0)
    for step in range(STEPS):
        population.unused = (first, never) if step in (0, 2, 5) else (never,)
        gradient = torch.zeros_like(population.parameters)
        for name, view in population.views(gradient).items():
            if name not in population.unused:
                view.copy_(torch.randn(view.shape, generator=generator, dtype=torch.float64))
        skipped = torch.rand(len(runs), 1, generator=generator) < 0.4 * skipping
        for i, (own, optimizer) in enumerate(zip(theirs, torchs, strict=True)):
            for name, view in population.views(gradient).items():
                own[name].grad = None if name in population.unused or skipped[i] else view[i].clone()
            optimizer.step()
        update.begin()
        update(slice(0, len(runs)), gradient, skipped if skipping else None)
        update.end(skipped if skipping else None)
    for name, view in views.items():
        expected = torch.stack([own[name].detach() for own in theirs])
        torch.testing.assert_close(view, expected, rtol=1e-9, atol=1e-9)


class Halved(Adam):
    """A user's optimizer, derived from one that has a fused kernel."""

    def update(self, parameters, gradient, *state, **coefficients):  # type: ignore[override]
        super().update(parameters, gradient.mul_(0.5), *state, **coefficients)


def test_a_derived_optimizer_keeps_its_own_formula():
    runs, population = population_of([Halved()])
    assert type(update_of(runs, population)) is Update
    runs, population = population_of([Adam()])
    assert type(update_of(runs, population)) is FusedUpdate
