"""Batches and masks by hand: permutation after permutation of the examples, and the noise of each seed against each p."""

import math
from dataclasses import replace

import pytest
import torch
from test_train import uniform

from harness.engine.feed import Feed, Order
from harness.engine.masks import BernoulliMask, GaussianMask, Mask
from harness.engine.member_float import MemberFloat
from harness.engine.noise import ALPHA, Noise, alpha_scale
from harness.engine.runs import Run
from harness.engine.scheduled import Clock, Scheduled
from harness.engine.setup import Setup
from harness.models import DropoutNet
from harness.settings.randomness import stream
from harness.settings.schedules import Early
from harness.tasks import Data, Tensors

CPU = torch.device("cpu")

# --- Batches

EXAMPLES = torch.tensor([3, 5, 8, 13, 21, 34, 55])


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(7)


def permutations(count: int) -> torch.Tensor:
    """So many shuffles of the examples, each another one, one after another."""
    own = generator()
    return torch.cat([EXAMPLES[torch.randperm(7, generator=own)] for _ in range(count)])


def test_batches_are_one_permutation_after_another_whatever_is_taken_at_once() -> None:
    expected = permutations(5)
    for portions in ([11], [1] * 11, [2, 0, 5, 4], [8, 3]):
        order = Order(EXAMPLES, 3, generator())
        taken = torch.cat([order.take(steps) for steps in portions])
        assert taken.shape == (11, 3) and torch.equal(taken.flatten(), expected[:33])
    epochs = expected.view(5, 7)
    assert all(torch.equal(epoch.sort().values, EXAMPLES) for epoch in epochs)
    assert len({tuple(epoch.tolist()) for epoch in epochs}) == 5


def test_a_look_at_the_next_batch_leaves_it_the_next_one_also_across_epochs() -> None:
    order, expected = Order(EXAMPLES, 3, generator()), permutations(3)
    for step in range(7):
        batch = expected[3 * step : 3 * step + 3]
        assert torch.equal(order.peek(), batch) and torch.equal(order.peek(), batch)
        assert torch.equal(order.take(1)[0], batch)


def test_an_order_goes_on_from_where_it_was() -> None:
    order = Order(EXAMPLES, 3, generator())
    order.take(4)
    state = {name: value.clone() for name, value in order.state_dict().items()}
    rest = order.take(9)
    other = Order(EXAMPLES, 3, torch.Generator())
    other.load_state_dict(state)
    assert torch.equal(other.take(9), rest)


def fed() -> tuple[list[Data], Feed]:
    """Members 0 and 1 share data; 2 has fewer training examples in the same tensors; 3 is of seed 1 and has inputs of its own, 2 targets of its own."""
    x = torch.arange(90.0).view(30, 3)
    whole = Tensors(x, torch.arange(30) % 2, validation_size=6, test_size=4, label_noise=0.3)
    fewer = whole.replace(train_size=8)
    setups = [Setup(task=task, model=DropoutNet(hidden=(4,)), batch_size=5, steps=9) for task in (whole, fewer)]
    first = setups[0].task.data(0)
    second, third = setups[1].task.data(0), setups[0].task.data(1)
    data = [first, first, replace(second, y=1 - second.y), replace(third, x=-third.x)]
    runs = [Run(0, 0, setups[0]), Run(1, 0, setups[0]), Run(2, 0, setups[1]), Run(0, 1, setups[0])]
    return data, Feed(runs, data, device=CPU, dtype=torch.float64)


def test_every_member_gets_its_own_examples_in_its_seeds_order_also_when_others_leave_and_when_it_begins_anew() -> None:
    data, feed = fed()
    orders = [[d.train[torch.randperm(len(d.train), generator=own)] for _ in range(9)]
              for d, own in zip(data, (stream(seed, "order") for seed in (0, 0, 0, 1)), strict=True)]  # fmt: skip
    batches = [torch.cat(own)[:45].view(9, 5) for own in orders]
    members = [0, 1, 2, 3]

    def check(step: int, indices: torch.Tensor) -> None:
        x, y = feed.gather(indices)
        assert x.dtype == torch.float64 and y.dtype == torch.int64
        for place, m in enumerate(members):
            own = batches[m][step]
            assert torch.equal(x[place], data[m].x[own].double()) and torch.equal(y[place], data[m].y[own])

    check(0, feed.peek())
    for step, indices in enumerate(feed.indices(2)):
        check(step, indices)
    feed.compact(torch.tensor([0, 2, 3]))
    members = [0, 2, 3]
    feed.compact(torch.tensor([1, 2]))
    members = [2, 3]
    check(2, feed.indices(1)[0])
    check(3, feed.peek())
    feed.restart([0, 3])
    members = [0, 3]
    for step, indices in enumerate(feed.indices(9)):
        check(step, indices)


def test_a_feed_goes_on_from_where_it_was() -> None:
    _, feed = fed()
    feed.indices(3)
    state = [{name: value.clone() for name, value in order.items()} for order in feed.state_dict()]
    rest = feed.indices(6)
    assert len(state) == 3, "members 0 and 1 share an order"
    _, other = fed()
    other.indices(1)
    other.load_state_dict(state)
    assert torch.equal(other.indices(6), rest)


def test_splits_are_filled_up_with_examples_that_do_not_count() -> None:
    data, feed = fed()
    for name, at_most in (("train", None), ("validation", None), ("test", None), ("flipped", None), ("train", 7), ("train", [3, 20, 9, 1])):  # fmt: skip
        most = at_most if isinstance(at_most, list) else [at_most] * 4
        own = [getattr(each, name)[:count] for each, count in zip(data, most, strict=True)]
        indices, counts = feed.split(name, at_most)
        assert counts.tolist() == list(map(len, own)) and indices.shape == (4, max(map(len, own)))
        x, y = feed.gather(indices)
        for m, split in enumerate(own):
            assert torch.equal(x[m, : len(split)], data[m].x[split].double())
            assert torch.equal(y[m, : len(split)], data[m].y[split])
            filler = x[m, len(split) :]
            assert torch.equal(filler, data[m].x[data[m].train[:1]].double().expand_as(filler))


# --- Masks

ROWS = {4: slice(0, 3), 9: slice(3, 5)}
LEVELS = [0.0, 0.3, 1.0, 0.3, 0.5]
SHAPES = [(6,), (2, 4), (3, 7), (1,)]


def seeds_of(rows: dict[int, slice]) -> list[int]:
    return [seed for seed, where in rows.items() for _ in range(where.stop - where.start)]


def keep_scale(kind: str, p: float) -> float:
    if p == 1:
        return 0.0
    if kind == "bernoulli":
        return 1 / (1 - p)
    saturated = 1.0507009873554804934193349852946 * 1.6732632423543772848170429916717
    keep = 1 - p
    return float((keep + saturated**2 * keep * p) ** -0.5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["bernoulli", "alpha"])
def test_masks_are_the_seeds_noise_against_each_members_p(kind: str, shape: tuple[int, ...]) -> None:
    noise = Noise(ROWS, steps=5, device=CPU, dtype=torch.float64)
    levels = MemberFloat([0.0, 0.3, 0.7, 0.3, 0.5])
    streams = {seed: stream(seed, f"dropout {'x'.join(map(str, shape))} 0") for seed in ROWS}
    for _ in range(3):
        noise.begin(train=True)
        found = noise.mask(kind, levels, shape)
        drawn = {seed: uniform(torch.Size(shape), own) for seed, own in streams.items()}
        assert found is not None and found.shape == (5, *shape)
        for m, (seed, p) in enumerate(zip(seeds_of(ROWS), levels.levels, strict=True)):
            expected = (drawn[seed] >= p).double() * keep_scale(kind, p)
            torch.testing.assert_close(found[m], expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("kind", ["bernoulli", "alpha"])
def test_masks_are_right_where_the_noise_is_next_to_p_and_at_both_ends(kind: str) -> None:
    """So many numbers that every multiple of 2^-16 is among them."""
    ps, count = [0.0, 0.3, 0.5, 0.9, 1 - 2**-16, 1.0], 2**21
    noise = Noise({4: slice(0, 6)}, steps=1, device=CPU, dtype=torch.float32)
    noise.begin(train=True)
    found = noise.mask(kind, MemberFloat(ps), (count,))
    drawn = uniform(torch.Size((count,)), stream(4, f"dropout {count} 0"))
    assert found is not None and len(drawn.unique()) == 2**16
    for mask, p in zip(found, ps, strict=True):
        assert torch.equal(mask != 0, (drawn >= p) & (p < 1))
        assert mask.unique().tolist() == pytest.approx(sorted({0.0, keep_scale(kind, p)} if p else {1.0}))


def test_next_to_1_only_the_largest_noise_is_kept() -> None:
    """No multiple of 2^-16 lies between p and 1: not all may be dropped, nor all be kept."""
    count = 2**21
    noise = Noise({4: slice(0, 1)}, steps=1, device=CPU, dtype=torch.float32)
    noise.begin(train=True)
    found = noise.mask("bernoulli", MemberFloat([1 - 2**-20]), (count,))
    drawn = uniform(torch.Size((count,)), stream(4, f"dropout {count} 0"))
    assert found is not None
    assert torch.equal(found[0] != 0, drawn >= 1 - 2**-16)


def test_all_is_dropped_at_1_and_nothing_at_0_and_a_schedule_says_which() -> None:
    clock = Clock(4, 5, CPU)
    levels = Scheduled([0.0, Early(0.5, until=2), 1.0, 0.25, 0.0], clock)
    mask = BernoulliMask("any", (400,), ROWS, CPU, torch.float32)
    for step in range(1, 5):
        clock.advance()
        found = mask.draw(levels)
        assert bool((found[[0, 4]] == 1).all()) and bool((found[2] == 0).all())
        assert found[3].unique().tolist() == pytest.approx([0.0, 4 / 3])
        assert set(found[1].unique().tolist()) == ({0.0, 2.0} if step <= 2 else {1.0})


def test_gaussian_masks_are_one_normal_scaled_to_each_p() -> None:
    mask = GaussianMask("any", (50,), ROWS, CPU, torch.float64)
    levels = Scheduled([0.0, 0.3, 0.9, 0.3, 0.5], Clock(4, 5, CPU))
    streams = {seed: stream(seed, "any") for seed in ROWS}
    for _ in range(2):
        found = mask.draw(levels)
        drawn = {seed: torch.empty(50).normal_(generator=own).double() for seed, own in streams.items()}
        for m, (seed, p) in enumerate(zip(seeds_of(ROWS), [0.0, 0.3, 0.9, 0.3, 0.5], strict=True)):
            torch.testing.assert_close(found[m], 1 + math.sqrt(p / (1 - p)) * drawn[seed], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [BernoulliMask, GaussianMask])
def test_masks_go_on_when_members_leave_and_from_a_state(kind: type[Mask]) -> None:
    first = [0.2, 0.3, 0.4, 0.3, 0.5]
    mask, whole, other = (kind("any", (9,), ROWS, CPU, torch.float64) for _ in range(3))
    levels = Scheduled(first, Clock(4, 5, CPU))
    for each in (mask, whole):
        each.draw(levels)
    other.load_state_dict(mask.state_dict())
    assert mask.state_dict()["shape"] == [9]
    kept = [0, 2, 4]
    mask.compact({4: slice(0, 2), 9: slice(2, 3)})
    fewer = Scheduled([first[m] for m in kept], Clock(4, 3, CPU))
    for _ in range(2):
        expected = whole.draw(levels).clone()
        assert torch.equal(mask.draw(fewer), expected[kept]) and torch.equal(other.draw(levels), expected)


def test_alpha_is_what_a_selu_is_far_below_zero() -> None:
    assert pytest.approx(-float(torch.nn.functional.selu(torch.tensor(-1e9, dtype=torch.float64))), rel=1e-12) == ALPHA
    p = torch.tensor([0.0, 0.2, 0.5], dtype=torch.float64)
    torch.testing.assert_close(alpha_scale(p), torch.tensor([keep_scale("alpha", float(q)) for q in p], dtype=torch.float64))  # fmt: skip
