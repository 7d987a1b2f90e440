"""Torch's functions of dropout, and the project's own, by hand: the noise of a seed against p, and what becomes of what is dropped."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from test_train import CPU, normal, uniform
from torch import Tensor

from harness.engine import masks
from harness.engine.functions.answers import Answers
from harness.engine.functions.dropout import Dropout
from harness.engine.member_float import MemberFloat
from harness.engine.noise import MASKS, Noise
from harness.engine.obstacles import Unbatchable
from harness.models.noise import gaussian_dropout, zoneout
from harness.settings.randomness import stream
from harness.settings.schedules import Early

SHAPE, P = (4, 3, 5, 2), 0.3
X = torch.randn(SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
NEGATIVE = -1.0507009873554804934193349852946 * 1.6732632423543772848170429916717
"""What a SELU is far below zero."""


def begun(members: int = 1) -> Noise:
    noise = Noise({3: slice(0, members)}, steps=4, device=CPU, dtype=torch.float64)
    noise.begin(train=True)
    return noise


def kept(shape: tuple[int, ...], p: float, call: int = 0) -> Tensor:
    """1 where seed 3 keeps what the first call with this shape, or a later one, is given."""
    drawn = uniform(torch.Size(shape), stream(3, f"dropout {'x'.join(map(str, shape))} {call}"))
    return (drawn >= p).double()


def scaled(x: Tensor, keep: Tensor, p: float) -> Tensor:
    return x * keep / (1 - p)


def as_selu(x: Tensor, keep: Tensor, p: float) -> Tensor:
    """Klambauer et al. 2017, section 3."""
    a = ((1 - p) * (1 + p * NEGATIVE**2)) ** -0.5
    return a * (x * keep + NEGATIVE * (1 - keep)) - a * p * NEGATIVE


def of_features(*axes: int) -> tuple[int, ...]:
    """The shape of a mask that is the same along some axes."""
    return tuple(1 if axis in axes else size for axis, size in enumerate(SHAPE))


WHOLE = of_features(2, 3)
BY_HAND: list[tuple[Callable[..., Any], Callable[..., Tensor], tuple[int, ...]]] = [
    (F.dropout, scaled, SHAPE), (torch.dropout, scaled, SHAPE), (torch.dropout_, scaled, SHAPE),
    (F.dropout2d, scaled, WHOLE), (torch.feature_dropout, scaled, WHOLE), (torch.feature_dropout_, scaled, WHOLE),
    (F.dropout3d, scaled, of_features(1, 2, 3)),  # torch takes four axes as one example of features in three
    (F.alpha_dropout, as_selu, SHAPE), (torch.alpha_dropout, as_selu, SHAPE), (torch.alpha_dropout_, as_selu, SHAPE),
    (F.feature_alpha_dropout, as_selu, WHOLE), (torch.feature_alpha_dropout, as_selu, WHOLE),
    (torch.feature_alpha_dropout_, as_selu, WHOLE),
]  # fmt: skip
IN_PLACE = (F.dropout, F.dropout2d, F.dropout3d, F.alpha_dropout)
every = pytest.mark.parametrize(("function", "formula", "shape"), BY_HAND)


@every
def test_every_function_of_torchs(function: Callable[..., Any], formula: Callable[..., Tensor], shape: tuple[int, ...]) -> None:  # fmt: skip
    native = function is getattr(torch, function.__name__, None)
    with Answers(begun(), batched=False):
        given = [X.clone() for _ in range(3)]
        found = [function(given[0], P, True), function(given[1], P, **{"train" if native else "training": True})]
        assert torch.equal(function(given[2], P, False), X)
    for call, values in enumerate(found):
        torch.testing.assert_close(values, formula(X, kept(shape, P, call), P), rtol=1e-7, atol=1e-12)
        assert torch.equal(given[call], values if function.__name__.endswith("_") else X)


@pytest.mark.parametrize("function", IN_PLACE)
def test_in_place_what_was_given_is_changed(function: Callable[..., Any]) -> None:
    with Answers(begun(), batched=False):
        apart = function(X, P, True)
    given = X.clone()
    with Answers(begun(), batched=False):
        found = function(given, P, True, inplace=True)
    assert found is given and torch.equal(given, apart) and not torch.equal(given, X)


@pytest.mark.parametrize(
    "function", [F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout]
)
def test_without_settings_a_function_does_what_torchs_does(function: Callable[..., Any]) -> None:
    """Half is dropped, or nothing where torch drops in training only."""
    x = torch.ones(40, 20, 5, *[2] * {"dropout3d": 2, "dropout2d": 1}.get(function.__name__, 0))
    with Answers(begun(), batched=False):
        ours = function(x)
    assert sorted(ours.unique().tolist()) == pytest.approx(sorted(function(x).unique().tolist()))


def test_features_of_an_example_with_and_without_a_batch_axis() -> None:
    """Torch takes two axes as an example for `dropout1d`, as a batch of scalars for `dropout2d`."""
    cases = [(F.dropout1d, X[0, 0], (5, 1)), (F.dropout1d, X[0], (3, 5, 1)), (F.dropout2d, X[0, 0], (5, 2)),
             (F.dropout3d, X[:, None], (4, 1, 1, 1, 1)), (F.dropout3d, X, (4, 1, 1, 1))]  # fmt: skip
    for function, x, shape in cases:
        with Answers(begun(), batched=False):
            found = function(x, P, True)
        torch.testing.assert_close(found, scaled(x, kept(shape, P), P), rtol=1e-7, atol=1e-12)


def test_the_projects_own_functions() -> None:
    with Answers(begun(), batched=False):
        noisy, same = gaussian_dropout(X, P, True), gaussian_dropout(X, P, False)
        held, shares, nowhere = zoneout(X, P, True), zoneout(X, P, False), zoneout(X, 0.0, True)
        assert zoneout(X, 0.0, False) is None
    drawn = normal(torch.Size(SHAPE), stream(3, "dropout 4x3x5x2 0")).double()
    torch.testing.assert_close(noisy, X * (1 + math.sqrt(P / (1 - P)) * drawn), rtol=1e-7, atol=1e-12)
    assert same is X and nowhere is None
    assert torch.equal(held, 1 - kept(SHAPE, P, 1)) and held.dtype == X.dtype
    assert shares.dim() == 4 and shares.tolist() == [[[[pytest.approx(P)]]]]


MEMBERS = [0.2, 0.5, 0.2]
ACROSS = {
    "dropout": (lambda x, p: F.dropout(x, p, True), SHAPE, scaled),
    "of features": (lambda x, p: F.dropout2d(x, p, True), WHOLE, scaled),
    "alpha": (lambda x, p: F.alpha_dropout(x, p, True), SHAPE, as_selu),
    "alpha of features": (lambda x, p: F.feature_alpha_dropout(x, p, True), WHOLE, as_selu),
    "zoneout": (lambda x, p: zoneout(x, p, True), SHAPE, lambda _, keep, p: 1 - keep),
    "zoneout in evaluation": (lambda x, p: x * zoneout(x, p, False), SHAPE, lambda x, _, p: x * p),
}  # fmt: skip


@pytest.mark.parametrize("name", ACROSS)
def test_each_member_has_its_own_p_and_the_seeds_noise(name: str) -> None:
    function, shape, formula = ACROSS[name]
    xs = torch.stack([X, X - 1, 2 * X])
    with Answers(begun(3), batched=True):
        found = torch.func.vmap(lambda x: function(x, MemberFloat(MEMBERS)))(xs)
    for x, values, p in zip(xs, found, MEMBERS, strict=True):
        torch.testing.assert_close(values, formula(x, kept(shape, p), p), rtol=1e-7, atol=1e-12)


def test_where_nothing_is_dropped_an_input_is_itself_and_a_parameter_no_parameter() -> None:
    """Else a module that puts a dropped weight in a weight's place would find a parameter there."""
    weight = nn.Parameter(X.clone())
    with Answers(begun(), batched=False):
        for found in (F.dropout(weight, P, False), F.dropout(weight, 0.0, True)):
            assert torch.equal(found, weight) and not isinstance(found, nn.Parameter) and found.requires_grad
        assert F.dropout(X, 0.0, True) is X and F.alpha_dropout(X, 0.0, True) is X


def test_a_lower_precision_stays() -> None:
    with Answers(begun(), batched=False):
        found = F.dropout(X.bfloat16(), P, True)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.double(), scaled(X, kept(SHAPE, P), P), rtol=0.02, atol=0)


def test_calls_in_which_nothing_is_dropped_are_counted() -> None:
    noise = begun()
    dropout = Dropout(noise, batched=False)
    assert [dropout.acts(p) for p in (0.0, P, Early(0.5, until=2))] == [False, True, True]
    dropout.count(0.0, SHAPE)
    dropout.dropout(X, 0.0)
    torch.testing.assert_close(dropout.dropout(X, P), scaled(X, kept(SHAPE, P, 2), P))


@pytest.mark.parametrize("p", [-0.1, 1.1])
def test_no_probability_is_refused_as_by_torch(p: float) -> None:
    for train in (lambda: F.dropout(X, p), lambda: torch.alpha_dropout(X, p, True)):
        with pytest.raises(ValueError, match="has to be between 0 and 1"), Answers(begun(), batched=False):
            train()
    with Answers(begun(), batched=False):
        assert torch.equal(F.dropout(X, 1.0), 0 * X)


@pytest.mark.parametrize("batched", [True, False])
def test_within_another_transform_no_noise_is_known(batched: bool) -> None:
    def loss(x: Tensor) -> Tensor:
        return F.dropout(x, P, True).sum()

    with Answers(begun(), batched=batched), pytest.raises(Unbatchable, match=r"within a transform of torch\.func"):
        torch.func.grad(loss)(X)
    with Answers(begun(4), batched=batched), pytest.raises(Unbatchable, match=r"within a transform of torch\.func"):
        torch.func.vmap(torch.func.grad(loss) if batched else loss)(X)


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize("shape", [(), (5,), (3, 7)])
def test_masks_of_all_seeds_at_once_as_on_a_gpu_are_those_of_one_seed_after_another(
    kind: str, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn() -> list[Tensor]:
        noise = Noise({3: slice(0, 2), 7: slice(2, 5)}, steps=10, device=CPU, dtype=torch.float32)
        p, found = MemberFloat([0.1, 0.5, 0.0, 0.3, 0.9]), []
        for _ in range(2):
            noise.begin(train=True)
            found.append(noise.mask(kind, p, shape).clone())
            noise.end()
        p.levels = [p.levels[i] for i in (0, 3, 4)]
        noise.clock.compact(torch.tensor([0, 3, 4]))
        noise.compact({3: slice(0, 1), 7: slice(1, 3)})
        noise.begin(train=True)
        return [*found, noise.mask(kind, p, shape).clone()]

    one_by_one = drawn()
    monkeypatch.setattr(masks, "at_once", lambda device: True)
    for mask, oracle in zip(drawn(), one_by_one, strict=True):
        assert torch.equal(mask, oracle)


@pytest.mark.parametrize("shapes", [((4, 5), (2, 4, 5)), ((2, 4, 5), (4, 5)), ((2, 4, 5), (2, 4, 5))])
def test_what_comes_after_attention_drops_the_same_units_whatever_its_p(shapes: tuple[tuple[int, ...], ...]) -> None:
    query, key = (torch.randn(shape) for shape in shapes)
    found = []
    for p in (0.0, 0.5):
        noise = Noise({0: slice(0, 1)}, steps=1, device=torch.device("cpu"), dtype=torch.float32)
        noise.begin(train=True)
        with Answers(noise, batched=False):
            F.scaled_dot_product_attention(query, key, key, dropout_p=p)
            found.append(F.dropout(torch.ones(2, 4, 4), 0.5))
    assert torch.equal(*found)
