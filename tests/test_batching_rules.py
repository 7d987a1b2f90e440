"""What a forward pass asks of torch within `vmap` over the members is what torch gives each of them, and so are the gradients."""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from torch.func import grad, vmap

from harness.engine.functions.answers import Answers
from harness.engine.functions.transforms import of_all, of_member, over_members
from harness.engine.noise import Noise
from harness.engine.obstacles import Unbatchable, measured_costs

MEMBERS = 3
GENERATOR = torch.Generator().manual_seed(0)
NAN, INF = float("nan"), float("inf")

Function = Callable[..., Tensor]


def normal(*shape: int) -> Tensor:
    return torch.randn(MEMBERS, *shape, generator=GENERATOR, dtype=torch.float64)


def in_a_population(function: Function, *given: Tensor) -> Tensor:
    """The function of all members, whose arguments are (member, …)."""
    noise = Noise({0: slice(0, MEMBERS)}, steps=1, device=torch.device("cpu"), dtype=torch.float64)
    noise.begin(train=True)
    with over_members(MEMBERS) as ours, Answers(noise, batched=True):
        return of_all(function(*(of_member(tensor, ours) for tensor in given)), ours)


def assert_as_alone(function: Function, *given: Tensor) -> None:
    trained = [tensor.requires_grad_() for tensor in given if tensor.is_floating_point()]
    found = in_a_population(function, *given)
    truth = torch.stack([function(*of_one) for of_one in zip(*given, strict=True)])
    weights = torch.linspace(-1.0, 2.0, truth.numel(), dtype=torch.float64).view(truth.shape)
    torch.testing.assert_close(found, truth, equal_nan=True)
    for mine, theirs in zip(*(torch.autograd.grad((r * weights).sum(), trained) for r in (found, truth)), strict=True):
        torch.testing.assert_close(mine, theirs, equal_nan=True)


def some(value: float) -> Tensor:
    """Several elements of one member are the value, and all of another; none of the third."""
    values = normal(4, 5)
    values[0, 1] = value
    values[1] = value
    return values


TIES = {
    "none": normal(4, 5), "clipped": normal(4, 5).clamp(-0.5, 0.5), "all": torch.ones(MEMBERS, 4, 5, dtype=torch.float64),
    "numbers": normal(), "NaN": some(NAN), "infinite": some(INF), "minus infinite": some(-INF),
    "large": torch.full((MEMBERS, 50), 3e38),
}  # fmt: skip


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("choose", [torch.max, torch.min, torch.median, torch.nanmedian], ids=lambda f: f.__name__)
def test_equal_elements_share_the_gradient_of_the_one_that_is_chosen(choose: Function, ties: str) -> None:
    assert_as_alone(choose, TIES[ties].clone())


ROW, SHARED, PLACES = normal(5), normal(4, 5)[0], torch.tensor([0, 3, 3])
MATRIX, OWN_PLACES, ONE_PLACE = normal(4, 5), torch.tensor([[0, 3], [1, 2], [2, 2]]), torch.tensor([0, 2, 1])
TOKENS, VECTORS = torch.tensor([[0, 1, 1], [1, 1, 2], [0, 0, 0]]), normal(5, 2)


def by_number(tokens: Tensor, weight: Tensor) -> Tensor:
    return torch.embedding(weight, tokens, 1)


def scripted(tokens: Tensor, weight: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        found: Tensor = torch.jit.script(by_number)(tokens, weight)
    return found


def unasked(tokens: Tensor, weight: Tensor) -> Tensor:
    with torch._C.DisableTorchFunction():
        return F.embedding(tokens, weight, 0)


def complex_linear(x: Tensor, weight: Tensor) -> Tensor:
    return torch.view_as_real(F.linear(torch.complex(x, x.flip(0)), torch.complex(weight, weight.flip(0))))


def last_without_gradient(x: Tensor, *weights: Tensor) -> Tensor:
    states = torch.rnn_tanh(x, x.new_zeros(1, 4, 4), weights, False, 1, 0.0, True, False, True)[0]
    with torch.no_grad():
        last = states[:, -1]
    return states.sum(1) * last


def channels_last_pooling(x: Tensor) -> Tensor:
    return F.adaptive_avg_pool2d(x.permute(0, 3, 1, 2), 1)


def sampled(x: Tensor, weight: Tensor, turn: Tensor) -> Tensor:
    """Members are the second axis behind what a convolution returns."""
    image = F.conv2d(x, weight)
    with measured_costs():
        grid = F.affine_grid(turn.expand(len(x), 2, 3), list(image.shape), align_corners=False)
    return F.grid_sample(image, grid, align_corners=False)


def every_other(x: Tensor, weight: Tensor) -> Tensor:
    return F.conv2d(x, weight).as_strided((2, 3, 2, 2), (48, 16, 8, 2))


CASES: dict[str, tuple[Any, ...]] = {
    "select_scatter": (lambda x, row: torch.select_scatter(x, row, 0, 2), MATRIX, ROW),
    "select_scatter from the end": (lambda x, row: torch.select_scatter(x, row[:4], -1, -1), MATRIX, ROW),
    "index_fill of what is shared": (lambda value: SHARED.index_fill(0, PLACES, value), normal()),
    "index_fill at places of their own": (lambda i, value: SHARED.index_fill(0, i, value), OWN_PLACES, normal()),
    "roll of a number": (lambda x: x.roll(1), normal()),
    "roll": (lambda x: x.roll(1, 0), MATRIX),
    "index_select of one": (lambda x, i: x.index_select(1, i), MATRIX, ONE_PLACE),
    "index_select of one of a vector": (lambda x, i: x.index_select(0, i), ROW, ONE_PLACE),
    "index_select": (lambda x, i: x.index_select(0, i), MATRIX, OWN_PLACES),
    "embedding": (lambda i, w: F.embedding(i, w, 0), TOKENS, VECTORS),
    "embedding padded from the end": (lambda i, w: F.embedding(i, w, -4), TOKENS, VECTORS),
    "embedding by frequency": (lambda i, w: F.embedding(i, w, 1, scale_grad_by_freq=True), TOKENS, VECTORS),
    "embedding as an operation": (lambda i, w: torch.ops.aten.embedding(w, i, 0), TOKENS, VECTORS),
    "embedding scripted": (scripted, TOKENS, VECTORS),
    "embedding that is not asked": (unasked, TOKENS, VECTORS),
    "complex linear": (complex_linear, MATRIX, normal(3, 5)),
    "attention to shared keys": (F.scaled_dot_product_attention, normal(2, 4, 5), normal(4, 5), normal(4, 5)),
    "attention of one query": (F.scaled_dot_product_attention, normal(4, 5), normal(2, 4, 5), normal(2, 4, 5)),
    "pooling of channels that come last": (channels_last_pooling, normal(2, 4, 4, 3)),
    "a view of what stays as it is": (lambda x: (2 * x).as_strided_((4, 5), (5, 1)), MATRIX),
    "an image turned behind a convolution": (sampled, normal(2, 3, 5, 5), normal(2, 3, 2, 2), normal(2, 3)),
    "strides behind a convolution": (every_other, normal(2, 3, 5, 5), normal(3, 3, 2, 2)),
    "last states without a gradient": (last_without_gradient, normal(4, 3, 5), normal(4, 5), normal(4, 4)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_of_one_of_several_members_it_is_what_torch_gives_that_one(name: str) -> None:
    function, *given = CASES[name]
    assert_as_alone(function, *(tensor.clone() for tensor in given))


@pytest.mark.skipif(not hasattr(F, "linear_cross_entropy"), reason="this torch lacks it")
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy_in_chunks_has_a_gradient(reduction: str) -> None:
    loss = partial(F.linear_cross_entropy, reduction=reduction, options=nn.LinearCrossEntropyOptions())
    assert_as_alone(loss, MATRIX.clone(), normal(3, 5), torch.tensor([[0, 1, 2, 2]] * MEMBERS))


def test_what_no_rule_can_give_is_refused() -> None:
    with pytest.raises(Unbatchable, match="as_strided_"):
        in_a_population(lambda x: (x * 1).as_strided_((2, 2), (1, 2)), MATRIX)


def test_other_transforms_keep_the_rules_of_torch() -> None:
    """So the plain loop of a module that uses them is torch's, and a population is nothing else."""
    with measured_costs():
        vmap(lambda x: (x * 1).as_strided_((4, 5), (5, 1)))(MATRIX)

    def within(x: Tensor) -> Tensor:
        return vmap(grad(lambda row: F.relu(row).max()))(x)

    torch.testing.assert_close(in_a_population(within, MATRIX), torch.stack([within(x) for x in MATRIX]))
