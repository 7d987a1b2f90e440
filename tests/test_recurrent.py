"""The kernels that answer recurrent layers, of a population and of one member, against torch's own, in float64."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn as nn
from reference import GivenNoisyRecurrent, GivenRecurrent
from test_train import CPU, Streams
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap
from torch.utils.checkpoint import checkpoint

from harness.engine.functions.answers import Answers
from harness.engine.functions.cells import CELLS, RecurrentNoise
from harness.engine.functions.recurrence import Recurrence
from harness.engine.noise import Noise
from harness.engine.obstacles import Unbatchable

LAYERS = [(nn.RNN, {"nonlinearity": "tanh"}), (nn.RNN, {"nonlinearity": "relu"}), (nn.LSTM, {}), (nn.GRU, {})]
OPTIONS = [
    {"num_layers": layers, "bias": bias, "batch_first": batch_first, "bidirectional": bidirectional}
    for layers, bias, batch_first, bidirectional in itertools.product((1, 2), *[(True, False)] * 3)
]
INPUT, HIDDEN, STEPS, BATCH = 3, 4, 5, 2


@contextmanager
def answered(members: int = 1, *, by_kernels: bool = True) -> Iterator[None]:
    """Within the block layers run as in a forward pass of a population, or of a single run."""
    noise = Noise({0: slice(0, members)}, steps=1, device=CPU, dtype=torch.float64)
    noise.begin(train=True)
    answers = Answers(noise, batched=members > 1)
    answers.use_kernels(by_kernels)
    with answers:
        yield


def by_kernel(layer: nn.Module, *arguments: Any) -> Any:
    """What a layer returns where the kernels answer it."""
    with answered():
        return layer(*arguments)


def build(kind: type[nn.RNNBase], seed: int, **options: Any) -> nn.RNNBase:
    torch.manual_seed(seed)
    return kind(INPUT, HIDDEN, **options).double()


def data(options: dict[str, Any], *, lstm: bool, with_states: bool) -> tuple[Tensor, tuple[Tensor, ...]]:
    generator = torch.Generator().manual_seed(0)
    shape = (BATCH, STEPS, INPUT) if options.get("batch_first") else (STEPS, BATCH, INPUT)
    rows = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
    x, *states = (
        torch.randn(s, generator=generator, dtype=torch.float64).requires_grad_()
        for s in (shape, *[(rows, BATCH, HIDDEN)] * (1 + lstm))
    )
    return x, tuple(states) if with_states else ()


def flat(outputs: Any) -> list[Tensor]:
    return [outputs] if isinstance(outputs, Tensor) else [tensor for part in outputs for tensor in flat(part)]


def as_hx(states: tuple[Tensor, ...]) -> Any:
    return None if not states else states if len(states) == 2 else states[0]


def scalar(outputs: Any) -> Tensor:
    """A loss in which every output element has a weight of its own."""
    return sum((t * torch.linspace(-1, 2, t.numel(), dtype=t.dtype).view(t.shape)).sin().sum() for t in flat(outputs))


def assert_same(ours: Any, theirs: Any, **tolerance: float) -> None:
    for mine, reference in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, reference, **tolerance)


@pytest.mark.parametrize("with_states", [False, True], ids=["from_zero", "hx"])
@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(f"{k[:5]}{int(v)}" for k, v in o.items()))
@pytest.mark.parametrize(("kind", "more"), LAYERS, ids=["tanh", "relu", "lstm", "gru"])
class TestAgainstTorch:
    def test_one_layer_by_itself(self, kind: Any, more: Any, options: Any, with_states: bool) -> None:
        theirs = build(kind, 0, **options, **more)
        x, states = data(options, lstm=kind is nn.LSTM, with_states=with_states)
        outputs = [by_kernel(theirs, x, as_hx(states)), theirs(x, as_hx(states))]
        assert_same(*(flat(o) for o in outputs))
        assert_same(*(torch.autograd.grad(scalar(o), [*theirs.parameters(), x, *states]) for o in outputs))
        with torch.no_grad():
            assert_same(flat(by_kernel(theirs, x, as_hx(states))), flat(outputs[1]))

    def test_every_member_of_a_population(self, kind: Any, more: Any, options: Any, with_states: bool) -> None:
        each = [build(kind, seed, **options, **more) for seed in range(3)]
        x, states = data(options, lstm=kind is nn.LSTM, with_states=with_states)
        params, _ = stack_module_state(each)  # type: ignore[arg-type]

        def loss(params: Any, x: Tensor, states: Any) -> Tensor:
            return scalar(functional_call(each[0], params, (x, as_hx(states))))  # type: ignore[arg-type]

        with answered(3):
            losses = vmap(loss, in_dims=(0, None, None))(params, x, states)
        *grads, grad_x = torch.autograd.grad(losses.sum(), [*params.values(), *states, x])
        expected = [scalar(layer(x, as_hx(states))) for layer in each]
        assert_same(losses, expected)
        for k, layer in enumerate(each):
            own = torch.autograd.grad(expected[k], list(layer.parameters()), retain_graph=True)
            assert_same([g[k] for g in grads[: len(params)]], own)
        shared = torch.autograd.grad(torch.stack(expected).sum(), [*states, x])
        assert_same([*grads[len(params) :], grad_x], shared)


READOUTS: dict[str, Callable[[Tensor, Any], Any]] = {
    "alone": lambda states, last: states[last],
    "beside all": lambda states, last: (states[last], states.cos()),
    "twice": lambda states, last: states[last] * states[last].sigmoid(),
    "of one unit": lambda states, last: states[..., 1][last],
    "of the other end": lambda states, last: states.flip(0, 1)[last],
    "by a mask": lambda states, last: states[torch.tensor(True)][0][last],
}


@pytest.mark.parametrize(("kind", "more"), LAYERS, ids=["tanh", "relu", "lstm", "gru"])
class TestEveryCell:
    def test_members_may_have_inputs_and_states_of_their_own(self, kind: Any, more: Any) -> None:
        each = [build(kind, seed, num_layers=2, bidirectional=True, **more) for seed in range(3)]
        params, _ = stack_module_state(each)  # type: ignore[arg-type]
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(STEPS, 3, BATCH, INPUT, generator=generator, dtype=torch.float64).requires_grad_()
        states = tuple(
            torch.randn(3, 4, BATCH, HIDDEN, generator=generator, dtype=torch.float64).requires_grad_()
            for _ in range(1 + (kind is nn.LSTM))
        )

        def loss(params: Any, x: Tensor, states: Any) -> Tensor:
            return scalar(functional_call(each[0], params, (x, as_hx(states))))  # type: ignore[arg-type]

        with answered(3):
            losses = vmap(loss, in_dims=(0, 1, 0))(params, x, states)
        expected = torch.stack([scalar(e(x[:, k], as_hx(tuple(s[k] for s in states)))) for k, e in enumerate(each)])
        assert_same([losses], [expected])
        assert_same(*(torch.autograd.grad(v.sum(), [x, *states]) for v in (losses, expected)))

    @pytest.mark.parametrize("batch_first", [True, False])
    def test_dropout_goes_between_layers_with_the_axes_of_the_input(
        self, kind: Any, more: Any, batch_first: bool
    ) -> None:
        layer = build(kind, 0, num_layers=3, dropout=0.25, batch_first=batch_first, bidirectional=True, **more)
        x, _ = data({"batch_first": batch_first}, lstm=False, with_states=False)
        given, noise = GivenRecurrent(layer).double(), Streams(0)
        for between in given.between:
            between.draw = noise.uniform
        expected = given(x)[0]
        assert dict(noise.calls) == {f"{'2x5' if batch_first else '5x2'}x{2 * HIDDEN}": 2}
        assert (expected - layer.eval()(x)[0]).abs().max() > 0.01
        layer.train()
        for by_kernels in (True, False):
            with answered(by_kernels=by_kernels):
                ours = layer(x)[0]
            assert_same([ours], [expected])
            assert_same(*(torch.autograd.grad(scalar(o), x, retain_graph=True) for o in (ours, expected)))

    def test_last_states_alone_carry_gradients(self, kind: Any, more: Any) -> None:
        theirs = build(kind, 0, **more)
        x, _ = data({}, lstm=False, with_states=False)
        finals = by_kernel(theirs, x)[1], theirs(x)[1]
        assert_same(*(torch.autograd.grad(scalar(final), [*theirs.parameters(), x]) for final in finals))

    @pytest.mark.parametrize("way", READOUTS)
    @pytest.mark.parametrize("batch_first", [True, False])
    @pytest.mark.parametrize("layers", [1, 2])
    def test_a_readout_of_the_last_step_is_of_the_sequence_as_it_is(
        self, kind: Any, more: Any, layers: int, batch_first: bool, way: str
    ) -> None:
        each = [build(kind, seed, num_layers=layers, batch_first=batch_first, **more) for seed in range(2)]
        x, _ = data({"batch_first": batch_first}, lstm=False, with_states=False)
        params, _ = stack_module_state(each)  # type: ignore[arg-type]
        last: Any = (slice(None), -1) if batch_first else -1

        def loss(params: Any) -> Tensor:
            return scalar(READOUTS[way](functional_call(each[0], params, (x,))[0], last))  # type: ignore[arg-type]

        with answered(2):
            losses = vmap(loss)(params)
        grads = torch.autograd.grad(losses.sum(), list(params.values()))
        expected = [scalar(READOUTS[way](layer(x)[0], last)) for layer in each]
        assert_same(losses, expected)
        for k, layer in enumerate(each):
            assert_same([g[k] for g in grads], torch.autograd.grad(expected[k], list(layer.parameters())))

    def test_what_is_written_into_a_sequence_is_read_or_refused(self, kind: Any, more: Any) -> None:
        """Refused where gradients go through it: the backward pass needs the states that were there."""
        layer = build(kind, 0, batch_first=True, **more)
        x, _ = data({"batch_first": True}, lstm=False, with_states=False)

        def readout(x: Tensor) -> Tensor:
            states: Tensor = layer(x)[0]
            states[:, -1] = states[:, -1] * 3
            return states[:, -1]

        with torch.no_grad():
            expected = readout(x)
            for members in (1, 2):
                with answered(members):
                    found = vmap(readout)(x.expand(2, *x.shape)) if members > 1 else readout(x)
                assert_same([found], [expected.expand(found.shape)])
        with answered(2), pytest.raises(RuntimeError, match="inplace"):
            scalar(vmap(readout)(x.expand(2, *x.shape))).backward()

    def test_a_hook_on_all_states_sees_the_gradient_of_a_readout(self, kind: Any, more: Any) -> None:
        layer, seen = build(kind, 0, batch_first=True, **more), list[Tensor]()
        x, _ = data({"batch_first": True}, lstm=False, with_states=False)
        with answered():
            states = layer(x)[0]
            states.register_hook(seen.append)
            scalar(states[:, -1]).backward()
        with answered():
            kept = layer(x)[0]
            kept.retain_grad()
            scalar(kept[:, -1]).backward()
        theirs = layer(x)[0]
        theirs.retain_grad()
        scalar(theirs[:, -1]).backward()
        assert_same([seen[0], kept.grad], [theirs.grad, theirs.grad])

    def test_a_sequence_without_a_batch_axis_is_one_example(self, kind: Any, more: Any) -> None:
        layer = build(kind, 0, num_layers=2, **more)
        x = torch.randn(STEPS, INPUT, dtype=torch.float64)
        assert_same(flat(by_kernel(layer, x)), flat(layer(x)))

    @pytest.mark.slow
    def test_gradcheck(self, kind: Any, more: Any) -> None:
        layer = build(kind, 0, **more)
        x, states = data({}, lstm=kind is nn.LSTM, with_states=True)
        names, params = zip(*layer.named_parameters(), strict=True)

        def call(x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
            states, params = rest[: 1 + (kind is nn.LSTM)], rest[1 + (kind is nn.LSTM) :]
            with answered():
                return tuple(flat(functional_call(layer, dict(zip(names, params, strict=True)), (x, as_hx(states)))))  # type: ignore[arg-type]

        def again(*tensors: Tensor) -> object:  # a fresh forward pass for every backward pass
            return checkpoint(call, *tensors, use_reentrant=False)

        assert torch.autograd.gradcheck(again, (x, *states, *params))

    @pytest.mark.slow
    @pytest.mark.parametrize("members", [2, 3, 8])
    def test_companions_do_not_change_a_bit(self, kind: Any, more: Any, members: int) -> None:
        torch.manual_seed(0)
        each = [kind(16, 32, num_layers=2, batch_first=True, **more) for _ in range(16)]
        x = torch.randn(16, 24, 16)
        few, all_of_them = (step(each[:n], x) for n in (members, 16))
        assert all(torch.equal(a, b[:members]) for a, b in zip(few, all_of_them, strict=True))

    def test_companions_stay_within_tolerance_at_odd_sizes(self, kind: Any, more: Any) -> None:
        torch.manual_seed(0)
        each = [kind(5, 7, batch_first=True, **more) for _ in range(16)]
        x = torch.randn(3, 24, 5)
        for alone, together in zip(step(each[:1], x), step(each, x), strict=True):
            torch.testing.assert_close(alone, together[:1], rtol=1e-4, atol=1e-5)

    def test_evaluation_keeps_nothing_for_backward(self, kind: Any, more: Any) -> None:
        layer = build(kind, 0, **more)
        tensors = [t.detach().unsqueeze(0) for t in (torch.ones(STEPS, BATCH, INPUT).double(), *layer.parameters())]
        assert len(Recurrence.apply(CELLS[layer.mode], False, False, *tensors, None, None, *RecurrentNoise())) == 3


def step(layers: list[Any], x: Tensor) -> list[Tensor]:
    """Outputs and parameter gradients of a population, member axis first."""
    params, _ = stack_module_state(layers)
    with answered(len(layers)):
        out, _ = vmap(lambda p: functional_call(layers[0], p, (x,)))(params)
    return [out.detach(), *torch.autograd.grad(out.square().sum(), list(params.values()))]


def test_a_second_backward_pass_through_consumed_gates_is_refused() -> None:
    for kind, more in LAYERS:
        x, _ = data({}, lstm=False, with_states=False)
        loss = scalar(by_kernel(build(kind, 0, **more), x))
        first = torch.autograd.grad(loss, x, retain_graph=True)
        if kind is nn.RNN:  # consumes nothing
            assert_same(first, torch.autograd.grad(loss, x))
        else:
            with pytest.raises(RuntimeError, match="modified by an inplace operation"):
                torch.autograd.grad(loss, x)


def test_a_subclass_keeps_its_own_forward_pass() -> None:
    class Doubled(nn.GRU):
        def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
            return 2 * super().forward(x)[0]

    layer = Doubled(INPUT, HIDDEN).double()
    x, _ = data({}, lstm=False, with_states=False)
    assert_same([by_kernel(layer, x)], [2 * nn.GRU.forward(layer, x)[0]])


def test_packed_sequences_have_dropout_between_layers_where_torch_computes_the_layers() -> None:
    layer = build(nn.LSTM, 0, num_layers=2, dropout=0.25)
    packed = nn.utils.rnn.pack_sequence([torch.ones(3, INPUT).double(), torch.ones(2, INPUT).double()])
    given, noise = GivenRecurrent(layer).double(), Streams(0)
    first, second = given.layers
    states, _ = first(packed)
    given.between[0].draw = noise.uniform
    states, _ = second(nn.utils.rnn.PackedSequence(given.between[0](states.data), states.batch_sizes))
    with answered(by_kernels=False):
        assert_same([layer(packed)[0].data], [states.data])
    with answered(by_kernels=False):
        assert_same(flat(layer.eval()(packed)[1]), flat(layer(packed)[1]))


def test_what_the_kernels_cannot_compute_is_refused() -> None:
    x = torch.zeros(STEPS, BATCH, INPUT)
    with pytest.raises(Unbatchable, match="projections"):
        by_kernel(nn.LSTM(INPUT, HIDDEN, proj_size=2), x)
    with pytest.raises(Unbatchable, match="packed sequences"):
        by_kernel(nn.LSTM(INPUT, HIDDEN), nn.utils.rnn.pack_sequence([x[:, 0], x[:2, 0]]))
    with pytest.raises(Unbatchable, match="autocast"), torch.autocast("cpu"):
        by_kernel(nn.LSTM(INPUT, HIDDEN), x)


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("mode", CELLS)
def test_noise_inside_the_recurrence_equals_the_papers_formulas(mode: str, reverse: bool) -> None:
    """Any share of the old state, not only 0 and 1; in reverse, everything runs from the last step to the first."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()

    gates = {"LSTM": 4, "GRU": 3}.get(mode, 1) * HIDDEN
    x, weights = draw(STEPS, BATCH, INPUT), [draw(gates, INPUT), draw(gates, HIDDEN), draw(gates), draw(gates)]
    states = [draw(BATCH, HIDDEN) for _ in range(1 + (mode == "LSTM"))]
    factor, hold_h, hold_c = (torch.rand(STEPS, BATCH, HIDDEN, generator=generator).double() for _ in range(3))
    tensors = [x, *weights, *states, *[None] * (2 - len(states)), factor, hold_h, hold_c if mode == "LSTM" else None]
    ours = Recurrence.apply(CELLS[mode], reverse, True, *(None if t is None else t.unsqueeze(0) for t in tensors))[0][0]

    w_ih, w_hh, b_ih, b_hh = weights
    formula = GivenNoisyRecurrent.step
    h, c = states if mode == "LSTM" else (states[0], torch.zeros(BATCH, HIDDEN))
    theirs: list[Any] = [None] * STEPS
    for t in range(STEPS)[:: -1 if reverse else 1]:
        inner = (h * factor[t]) @ w_hh.T + b_hh
        new_h, new_c = formula(SimpleNamespace(mode=mode), x[t] @ w_ih.T + b_ih, inner, h, c)  # type: ignore[arg-type]
        h, c = hold_h[t] * h + (1 - hold_h[t]) * new_h, hold_c[t] * c + (1 - hold_c[t]) * new_c
        theirs[t] = h
    outputs = [ours, torch.stack(theirs)]
    assert_same(*([o] for o in outputs))
    assert_same(*(torch.autograd.grad(scalar(o), [x, *weights, *states]) for o in outputs))
    with torch.no_grad():  # where nothing is kept for a backward pass
        again = Recurrence.apply(CELLS[mode], reverse, False, *(None if t is None else t.unsqueeze(0) for t in tensors))
    assert_same([again[0][0]], [ours])
