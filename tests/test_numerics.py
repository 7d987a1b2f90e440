"""Numbers at the ends of their range: small losses, states near 0, gradients that are huge or tiny; torch in float64 is right."""

import math

import numpy as np
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from test_train import CPU
from test_update import population_of, torchs_optimizer

from harness.clipping import GlobalNorm
from harness.engine.functions.cells import CELLS
from harness.engine.functions.cells.arithmetic import tanh_of_half
from harness.engine.functions.cross_entropy import CrossEntropy
from harness.engine.functions.recurrence import Recurrence
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.engine.train import train
from harness.engine.update import Update
from harness.models import Model
from harness.optimizers import SGD, Adam, AdamW
from harness.tasks import Tensors


@pytest.mark.parametrize("loss", [1e-7, 1e-6, 6e-6, 1e-3, 0.5, 3.0, 50.0])
@pytest.mark.parametrize("classes", [2, 10])
def test_cross_entropy_and_its_gradient_keep_their_digits(loss: float, classes: int) -> None:
    """Of logits around 30: −log σ(gap) = loss, the other classes alike."""
    gap = math.log(classes - 1) - math.log(math.expm1(loss))
    logits = torch.full((3, 4, classes), 30.0)
    logits[..., 1] += gap
    y = torch.ones(3, 4, dtype=torch.long)
    exact = logits.double().requires_grad_()  # of the logits as float32 has them
    expected = torch.log1p((exact[..., [0, *range(2, classes)]] - exact[..., 1:2]).exp().sum(-1))
    expected.sum().backward()
    given = logits.clone().requires_grad_()
    found = CrossEntropy.apply(given, y)[0]
    found.sum().backward()
    torch.testing.assert_close(found.double(), expected, rtol=2e-6, atol=0)
    torch.testing.assert_close(given.grad.double(), exact.grad, rtol=2e-6, atol=0)


def test_cross_entropy_is_torchs_on_any_logits() -> None:
    logits = 20 * torch.randn(2, 50, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    logits[0, 0] = 3.0
    logits[0, 1, 2] = -math.inf
    y = torch.randint(0, 7, (2, 50), generator=torch.Generator().manual_seed(1))
    y[0, :2] = torch.tensor([0, 3])
    ours, torchs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    found, expected = (
        CrossEntropy.apply(ours, y)[0],
        F.cross_entropy(torchs.flatten(0, 1), y.flatten(), reduction="none"),
    )
    torch.testing.assert_close(found.flatten(), expected, rtol=1e-12, atol=1e-14)
    found.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(ours.grad, torchs.grad, rtol=1e-9, atol=1e-15)


def test_tanh_is_accurate_near_zero_and_saturates() -> None:
    a = torch.cat([torch.logspace(-30, 2, 400), torch.tensor([0.0, 88.0, 200.0, 3e37, math.inf])])
    a = torch.cat([a, -a])
    found = tanh_of_half(2 * a, out=torch.empty_like(a))
    torch.testing.assert_close(found.double(), torch.tanh(a.double()), rtol=3e-7, atol=0)
    assert math.isnan(tanh_of_half(torch.tensor([math.nan]), out=torch.empty(1)))


@pytest.mark.parametrize("mode", ["RNN_TANH", "LSTM", "GRU"])
def test_a_recurrence_keeps_the_digits_of_small_states(mode: str) -> None:
    """States of about 1e-5, in float32: each is right to rounding, as torch's own in float64 has it."""
    kinds = {"RNN_TANH": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}
    torch.manual_seed(0)
    layer = kinds[mode](4, 6, bias=False, batch_first=True)
    x = 1e-5 * torch.randn(3, 5, 4)
    expected = layer.double()(x.double())[0].detach()
    w_ih, w_hh = (w.detach().float().unsqueeze(0) for w in (layer.weight_ih_l0, layer.weight_hh_l0))
    sequence = x.transpose(0, 1).contiguous().unsqueeze(0)
    states = Recurrence.apply(CELLS[mode], False, False, sequence, w_ih, w_hh, *[None] * 7)[0]
    torch.testing.assert_close(states[0].transpose(0, 1).double(), expected, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize(
    "optimizer", [Adam(lr=1e-3), AdamW(lr=1e-2), Adam(lr=1e-39), Adam(lr=1e-3, eps=1e-30), Adam(beta1=0.0)]
)
@pytest.mark.parametrize("size", [1e20, 1e18, 1e-20, 1e-23, 1e-30])
def test_adams_formula_neither_overflows_nor_vanishes_where_torchs_does_not(optimizer: Adam, size: float) -> None:
    """In float32, as a GPU computes it; some gradients are 0."""
    runs, population = population_of([optimizer, optimizer], torch.float32)
    start, update = population.parameters.clone(), Update(runs, population)
    theirs = start[0].clone().requires_grad_()
    torchs = torchs_optimizer(optimizer, [theirs])
    for step in range(4):
        gradient = size * torch.randn(start.shape[1], generator=torch.Generator().manual_seed(step))
        gradient[:5] = 0.0
        theirs.grad = gradient.clone()
        torchs.step()
        update.begin()
        update(slice(0, 2), gradient.expand(2, -1).clone(), None)
        update.end(None)
    assert theirs.isfinite().all()
    change, expected = population.parameters[1] - start[1], (theirs - start[0]).detach()
    torch.testing.assert_close(change, expected, rtol=1e-4, atol=1e-6 * float(expected.abs().max()))


class Wide(nn.Module):
    """All weights of it are postponed."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(8192, 10, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(x)


def test_a_model_whose_gradients_are_all_postponed_trains_as_alone() -> None:
    x = torch.randn(24, 8192, generator=torch.Generator().manual_seed(0))
    setup = Setup(task=Tensors(x, torch.arange(24) % 10), model=Model(Wide), clipping=GlobalNorm(0.5), optimizer=SGD(0.01), batch_size=4,
                  steps=3)  # fmt: skip
    runs = [Run(0, seed, setup) for seed in (0, 1)]
    together = train(runs, evaluations=1, device=CPU)[1]
    alone = [train([run], evaluations=1, device=CPU)[1] for run in runs]
    for seed, one in enumerate(alone):
        mine = together[together["seed"] == seed]
        np.testing.assert_allclose(mine["loss"], one["loss"], rtol=1e-5)
        np.testing.assert_allclose(mine["grad_norm"], one["grad_norm"], rtol=1e-5)
