"""Member-aware recurrent layers: what `nn.RNN`, `nn.LSTM` and `nn.GRU` become in a population.

A `MemberRecurrent` is an ordinary module that sees one member. Under `vmap` its `Recurrence` receives all members and runs
them through one kernel of `harness.engine.layers.cells`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from functools import partial

import torch
import torch.nn as nn
from torch import Tensor
from torch.func import functional_call
from torch.nn.utils.rnn import PackedSequence

from harness.engine.layers.cells import CELLS, RecurrentNoise
from harness.engine.layers.recurrence import Recurrence
from harness.models.noisy_recurrent import NoisyRecurrent

States = Tensor | tuple[Tensor, ...]
PARAMETERS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


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
