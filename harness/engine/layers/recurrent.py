"""Member-aware recurrent layers: what `nn.RNN`, `nn.LSTM` and `nn.GRU` become in a population.

A `MemberRecurrent` is an ordinary module that sees one member. Under `vmap` its recurrence, an `autograd.Function` with
a rule of its own, receives all members and runs them through one kernel of `harness.engine.layers.cells`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from functools import partial
from typing import Any

import torch
import torch.nn as nn
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.func import functional_call
from torch.nn.utils.rnn import PackedSequence

from harness.engine.layers.cells import Cell, Elman, GatedUnit, Given, LongShortTerm, RecurrentNoise, Trace
from harness.engine.layers.members import MemberFunction
from harness.engine.layers.one_hot_product import one_hot_product, one_hot_weight_gradient
from harness.models.noisy_recurrent import NoisyRecurrent

States = Tensor | tuple[Tensor, ...]
PARAMETERS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
_DENSE = torch.contiguous_format


class Recurrence(MemberFunction):
    """One layer in one direction, for M members.

    Takes the cell, `reverse`, `keep` (whether a backward pass may follow), x (M, T, B, I) or tokens (M, T, B), w_ih (M, G, I),
    w_hh (M, G, H), b_ih and b_hh (M, G) or None, h_0 and c_0 (M, B, H) or None, and the tensors of a `RecurrentNoise`. Returns the
    states (M, T, B, H), the last of them, the last cell state or None, and the tensors that the backward pass reads.
    """

    @staticmethod
    def forward(cell: Cell, reverse: bool, keep: bool, *tensors: Tensor) -> tuple[Tensor | None, ...]:
        """See the class."""
        x, w_ih, w_hh, b_ih, b_hh, h_0, c_0, *noise = tensors
        inner = torch.cat([w_hh.new_full(w_hh.shape[-1:], factor) for factor in cell.inner])  # made on the device
        bias = None if b_ih is None else (b_ih + b_hh if cell.folds_bias else b_ih) * inner
        given = _given(x, w_hh, b_hh, h_0, c_0, reverse, RecurrentNoise(*noise))
        summed = _summed_inputs(given.in_order(x)[0], (w_ih * inner.unsqueeze(1)).transpose(1, 2), bias)
        trace = cell.forward(summed, x.shape[1], given, keep=keep)
        return trace.states, trace.states[:, 0 if reverse else -1], trace.last_c, *trace.saved

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor | None, ...]) -> None:
        """Keep what `backward` reads."""
        ctx.cell, ctx.reverse, _, x, w_ih, w_hh, _, b_hh, h_0, c_0, *noise = inputs
        states, _, _, *saved = output
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*saved)
        ctx.save_for_backward(x, w_ih, w_hh, b_hh, h_0, c_0, *noise, states, *saved)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor | None, *last: Tensor | None) -> tuple[Tensor | None, ...]:
        """Gradients of all tensors; each weight's is one product over the whole sequence."""
        x, w_ih, w_hh, b_hh, h_0, c_0, factor, hold_h, hold_c, states, *saved = ctx.saved_tensors
        cell, given = ctx.cell, _given(x, w_hh, b_hh, h_0, c_0, ctx.reverse, RecurrentNoise(factor, hold_h, hold_c))
        grad = states.new_zeros(()).expand_as(states) if grad is None else grad
        d_h, d_c = (torch.zeros_like(given.h_0) if d is None else d.clone(memory_format=_DENSE) for d in last[:2])
        signals = cell.backward(grad, d_h, d_c, given, Trace(states, None, tuple(saved)))

        before, after, first = slice(-1), slice(1, None), 0
        if ctx.reverse:
            before, after, first = after, before, -1
        h, h_first = states[:, before], h_0
        if factor is not None:
            h = h * (factor if factor.shape[1] == 1 else factor[:, after])
            h_first = None if h_0 is None else h_0 * factor[:, first]
        d_w_hh = torch.bmm(_rows(signals.recurrent[:, after]).transpose(1, 2), _rows(h))
        if h_first is not None:
            d_w_hh.baddbmm_(signals.recurrent[:, first].transpose(1, 2), h_first)
        rows, turn = _rows(signals.input), cell.turned * w_hh.shape[-1]
        # The narrow factor first: a product with few columns took up to seven times as long as with few rows.
        if x.is_floating_point():
            with_one = torch.cat([x, x.new_ones(1).expand(*x.shape[:3], 1)], -1)
            gradients = torch.bmm(_rows(with_one).transpose(1, 2), rows)
            d_weight, d_bias = gradients[:, :-1], gradients[:, -1]
        else:
            d_weight = one_hot_weight_gradient(x.flatten(1), rows, w_ih.shape[2])
            d_bias = d_weight.sum(1)
        d_w_ih = d_weight.transpose(1, 2).roll(-turn, 1).contiguous()
        d_x = torch.bmm(rows, w_ih.roll(turn, 1)).view(x.shape) if ctx.needs_input_grad[3] else None
        d_b_ih = d_b_hh = None
        if b_hh is not None:
            d_b_ih = d_bias.roll(-turn, 1)  # the recurrent signal begins with the same blocks, but for the turned one
            d_b_hh = torch.cat([d_bias[:, turn:], _rows(signals.recurrent)[..., rows.shape[-1] - turn :].sum(1)], 1)
        d_h_0, d_c_0 = (None if s is None else d for s, d in ((h_0, signals.h_0), (c_0, signals.c_0)))
        return None, None, None, d_x, d_w_ih, d_w_hh, d_b_ih, d_b_hh, d_h_0, d_c_0, None, None, None


def _summed_inputs(steps: Sequence[Tensor], weight: Tensor, bias: Tensor | None) -> Iterator[Tensor]:
    """x_t·weight + bias of one step after another, (M, B, G), in one buffer: what is done next finds it in the caches.

    Args:
        steps: x_t (M, B, I), or tokens (M, B).
        weight: (M, I, G).
        bias: (M, G) or None.
    """
    summed = weight.new_empty(*steps[0].shape[:2], weight.shape[2])
    tokens = not steps[0].is_floating_point()
    if tokens:
        weight = (weight if bias is None else weight + bias.unsqueeze(1)).contiguous()
    for x in steps:
        if tokens:
            one_hot_product(x, weight, out=summed)
        elif bias is None:
            torch.bmm(x, weight, out=summed)
        else:
            torch.baddbmm(bias.unsqueeze(1), x, weight, out=summed)
        yield summed


def _rows(sequence: Tensor) -> Tensor:
    """(M, T, B, ·) as one matrix (M, T * B, ·) a member."""
    return sequence.reshape(sequence.shape[0], -1, sequence.shape[-1])


def _given(
    x: Tensor,
    w_hh: Tensor,
    b_hh: Tensor | None,
    h_0: Tensor | None,
    c_0: Tensor | None,
    reverse: bool,
    noise: RecurrentNoise,
) -> Given:
    """Zeros in place of initial states that are None."""
    members, _, batch = x.shape[:3]
    h_0, c_0 = (w_hh.new_zeros(members, batch, w_hh.shape[-1]) if s is None else s for s in (h_0, c_0))
    return Given(w_hh, b_hh, h_0, c_0, reverse, noise)


class MemberRecurrent(nn.Module):
    """Stands in for an `nn.RNN`, `nn.LSTM` or `nn.GRU`: same parameters, same names, same outputs.

    Outside `vmap` it is that layer, computed another way.

    Args:
        layer: what it stands in for; its parameters are shared, not copied.
        dropout: makes the dropout layer, given p, that goes between two recurrent layers.

    Raises:
        ValueError: the layer has projections.
    """

    def __init__(self, layer: nn.RNNBase | NoisyRecurrent, dropout: Callable[[float], nn.Module]) -> None:
        super().__init__()
        if layer.proj_size:
            raise ValueError(
                f"proj_size must be 0 in a population, but got proj_size={layer.proj_size}; "
                "apply an nn.Linear to the LSTM's output instead"
            )
        self.mode, self.input_size, self.hidden_size = layer.mode, layer.input_size, layer.hidden_size
        self.num_layers, self.bidirectional, self.bias = layer.num_layers, layer.bidirectional, layer.bias
        self.batch_first = layer.batch_first
        self.cell = CELLS[layer.mode]
        self.between = nn.ModuleList(dropout(layer.dropout) for _ in range(layer.num_layers - 1))
        for name, parameter in layer.named_parameters():
            self.register_parameter(name, parameter)
        self.probe: Tensor | None
        self.register_buffer("probe", None, persistent=False)
        self._original = (copy(layer),)  # in a tuple, so that it is no part of this module
        self._original[0].dropout = 0.0  # runs with different p train together
        self.train(layer.training)

    def flatten_parameters(self) -> None:
        """Nothing to do; here because models call it."""

    def forward(self, x: Tensor, hx: States | None = None) -> tuple[Tensor, States]:
        """As the layer it stands in for.

        Args:
            x: (batch, time, input) if `batch_first`, else (time, batch, input); integers without the last axis are tokens
                and stand for their one-hot vectors.
                A `PackedSequence` goes through torch's own layer, which `vmap` cannot batch.
            hx: initial states (layers * directions, batch, hidden), a pair (h_0, c_0) for an LSTM; zeros if None.

        Returns:
            The states of the last layer, shaped as `x`, and every layer's last state, shaped as `hx`.

        Raises:
            ValueError: an input of a form that a population cannot have, or of the wrong shape.
        """
        if isinstance(x, PackedSequence):
            packed: tuple[Tensor, States] = functional_call(self._torchs_own(), dict(self._parameters), (x, hx))
            return packed
        first = self._first_states(x, hx)
        sequence = x.transpose(0, 1) if self.batch_first else x
        last: list[list[Tensor]] = []
        for layer in range(self.num_layers):
            if layer:
                sequence = self._drop(sequence, layer)
            sequence, outputs = sequence.contiguous(), []
            for direction in ("", "_reverse")[: 1 + self.bidirectional]:
                run = self._run if self.probe is None or direction else partial(self._run_probed, self.probe[layer])
                states, *final = run(sequence, f"l{layer}{direction}", *(s[len(last)] for s in first))
                outputs.append(states)
                last.append(final)
            sequence = torch.cat(outputs, -1) if self.bidirectional else outputs[0]
        h_n, *c_n = (torch.stack(states) for states in zip(*last, strict=True))
        return sequence.transpose(0, 1) if self.batch_first else sequence, (h_n, *c_n) if c_n else h_n

    @contextmanager
    def probed(self, shape: tuple[int, ...], *, like: Tensor) -> Iterator[None]:
        """Within the block a buffer `probe`, zeros (layer, time, batch, hidden), is added to the states h_t of each layer.

        The gradient with respect to it is ∂L/∂h_t, by all effects of h_t. Forward direction only.
        """
        self.probe = like.new_zeros(shape)
        try:
            yield
        finally:
            self.probe = None

    def _torchs_own(self) -> nn.RNNBase:
        """The layer that this one stands in for; its parameters are to be replaced."""
        (layer,) = self._original
        assert isinstance(layer, nn.RNNBase), "a layer with noise inside takes no packed sequences"
        layer.dropout = self.between[0].level if self.between else 0.0  # type: ignore[assignment]
        return layer.train(self.training)

    def _first_states(self, x: Tensor, hx: States | None) -> tuple[Tensor, ...]:
        """The given initial states as a tuple, empty if there are none, after checking the shapes."""
        tokens = not x.is_floating_point()
        if x.dim() != 3 - tokens:
            raise ValueError(
                f"a batch of sequences ({3 - tokens} axes) is needed, but got {tuple(x.shape)}; images are sequences "
                "with layout='rows', and a single sequence needs a batch axis of size 1"
            )
        batch, steps = x.shape[:2] if self.batch_first else x.shape[1::-1]
        if steps == 0 or not (tokens or x.shape[2] == self.input_size):
            raise ValueError(f"time >= 1 and {self.input_size} features are needed, but got {tuple(x.shape)}")
        first = () if hx is None else (hx,) if isinstance(hx, Tensor) else tuple(hx)
        shape = (self.num_layers * (1 + self.bidirectional), batch, self.hidden_size)
        expected = [shape] * (2 if self.mode == "LSTM" else 1)
        if first and [tuple(state.shape) for state in first] != expected:
            raise ValueError(f"hx must have shapes {expected}, but got {[tuple(state.shape) for state in first]}")
        return first

    def _drop(self, sequence: Tensor, layer: int) -> Tensor:
        """Dropout before a layer; a mask has the axes that the module's own input has."""
        dropout: Callable[[Tensor], Tensor] = self.between[layer - 1]
        return dropout(sequence.transpose(0, 1)).transpose(0, 1) if self.batch_first else dropout(sequence)

    def _run(self, x: Tensor, suffix: str, h_0: Tensor | None = None, c_0: Tensor | None = None) -> list[Tensor]:
        """One layer in one direction on x (T, B, I): states (T, B, H), last states (B, H)."""
        w_ih, w_hh, b_ih, b_hh = (self._parameters.get(f"{name}_{suffix}") for name in PARAMETERS)
        assert w_hh is not None
        tensors = (x, w_ih, self._recurrent_weight(w_hh), b_ih, b_hh, h_0, c_0, *self._noise(x))
        outputs = Recurrence.of_member(self.cell, suffix.endswith("_reverse"), torch.is_grad_enabled(), *tensors)
        return [output for output in outputs[:3] if output is not None]

    def _run_probed(self, probe: Tensor, x: Tensor, suffix: str, *state: Tensor) -> list[Tensor]:
        """`_run` step by step, with `probe` (T, B, H) added to the states."""
        states = []
        for now, added in zip(torch.split(x, 1), probe, strict=True):
            _, h, *c = self._run(now, suffix, *state)
            state = (h + added, *c)
            states.append(state[0])
        return [torch.stack(states), *state]

    def _recurrent_weight(self, weight: Tensor) -> Tensor:
        """W_hh as this forward pass uses it; for subclasses with noise of their own."""
        return weight

    def _noise(self, x: Tensor) -> RecurrentNoise:
        """Of one layer in one direction for x (T, B, I), without the member axis; likewise."""
        return RecurrentNoise()


CELLS: dict[str, Cell] = {
    "RNN_TANH": Elman("tanh"),
    "RNN_RELU": Elman("relu"),
    "LSTM": LongShortTerm(),
    "GRU": GatedUnit(),
}
