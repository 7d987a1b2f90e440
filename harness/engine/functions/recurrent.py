"""Recurrent layers of all members at once, and the dropout between layers of one.

What `nn.RNN`, `nn.LSTM` and `nn.GRU` call is answered by the kernels of `cells`, around which `recurrence` has gradients.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn as nn
from torch import Tensor

from harness.engine.functions.cells import CELLS, RecurrentNoise
from harness.engine.functions.dropout import Dropout
from harness.engine.functions.last_states import keep_last, last_states
from harness.engine.functions.recurrence import Recurrence
from harness.engine.functions.transforms import beneath, of_member, only_vmap
from harness.engine.obstacles import NoKernel
from harness.engine.scheduled import Level
from harness.models.noisy_recurrent import Noises, noisy_recurrence
from harness.models.one_hot import on_tokens

NO_NOISE = RecurrentNoise()

TORCHS: dict[str, Callable[..., Any]] = {
    "RNN_TANH": torch.rnn_tanh,
    "RNN_RELU": torch.rnn_relu,
    "LSTM": torch.lstm,
    "GRU": torch.gru,
}
"""Torch's functions by the mode of a layer."""


class Call(NamedTuple):
    """The arguments of torch's functions of recurrent layers on sequences that are not packed, in their order."""

    x: Tensor
    hx: Tensor | Sequence[Tensor]
    weights: Sequence[Tensor]
    biased: bool
    layers: int
    dropout: Level
    train: bool
    both: bool
    batch_first: bool


class Recurrent:
    """Torch's functions of recurrent layers, and the project's own.

    Args:
        dropout: between layers.

    Attributes:
        probes: zeros (M, T, B, H) that were added to the states of each layer's forward direction since `probed`.
    """

    def __init__(self, dropout: Dropout) -> None:
        self._dropout = dropout
        self.probes: list[Tensor] = []
        self._probing = False

    def kernels(self) -> dict[Callable[..., Any], Callable[..., Any]]:
        """What computes all members at once in place of which function."""
        found: dict[Callable[..., Any], Callable[..., Any]] = {
            torchs: partial(self._kernel, mode) for mode, torchs in TORCHS.items()
        }
        return found | {on_tokens: self._on_tokens, noisy_recurrence: self._noisy, Tensor.__getitem__: last_states}

    def with_dropout(self) -> dict[Callable[..., Any], Callable[..., Any]]:
        """What computes one member by torch's own functions, with our dropout between layers."""
        return {torchs: partial(self._layer_by_layer, torchs) for torchs in TORCHS.values()}

    @contextmanager
    def probed(self) -> Iterator[list[Tensor]]:
        """Within the block `probes` are added: the gradient with respect to one is ∂L/∂h_t, by all effects of h_t."""
        self.probes, self._probing = [], True
        try:
            yield self.probes
        finally:
            self._probing = False

    def _layer_by_layer(self, torchs: Callable[..., Any], *arguments: Any) -> Any:
        """Torch's function, in which dropout between layers would draw from torch's generator."""
        packed = is_packed(arguments)
        x, batch_sizes, hx, weights, biased, layers, p, train, both = (
            arguments if packed else (arguments[0], None, *arguments[1:8])
        )
        without = *arguments[: 5 + packed], 0.0, *arguments[6 + packed :]
        if layers == 1 or not train:
            return torchs(*without)
        if not self._dropout.acts(p):
            units = weights[1].shape[1] * (1 + both)
            for _ in range(layers - 1):
                self._dropout.count(p, (*x.shape[:-1], units))
            return torchs(*without)
        states, per_layer, finals = [hx] if isinstance(hx, Tensor) else list(hx), len(weights) // layers, []
        for k in range(layers):
            x = self._dropout.dropout(x, p) if k else x
            of_layer = [s[k * (1 + both) : (k + 1) * (1 + both)].contiguous() for s in states]
            own = list(weights[k * per_layer : (k + 1) * per_layer])
            sequence = (x, batch_sizes) if packed else (x,)
            first = of_layer[0] if isinstance(hx, Tensor) else of_layer
            x, *final = torchs(*sequence, first, own, biased, 1, 0.0, train, both, *arguments[8:] if not packed else ())
            finals.append(final)
        return x, *(torch.cat(states) for states in zip(*finals, strict=True))

    def _kernel(self, mode: str, *arguments: Any) -> tuple[Tensor, ...]:
        """Torch's function of the mode; its arguments are those of torch's, see `Call`."""
        if is_packed(arguments):
            raise NoKernel("its forward pass runs a recurrent layer on packed sequences")
        x, hx, weights, biased, layers, dropout, train, both, batch_first = Call(*arguments)
        directions = 1 + bool(both)
        if len(weights) != layers * directions * (4 if biased else 2):
            raise NoKernel("an LSTM has projections (proj_size)")
        if torch.is_autocast_enabled(weights[0].device.type):
            raise NoKernel("its forward pass runs a recurrent layer under autocast")
        first = [hx] if isinstance(hx, Tensor) else list(hx)
        per_direction = len(weights) // (layers * directions)
        sequence, last = x.transpose(0, 1) if batch_first else x, []
        for k in range(layers):
            if k and train:
                sequence = self._between(sequence, dropout, batch_first=batch_first)
            sequence, outputs = sequence.contiguous(), []
            for direction in range(directions):
                i = k * directions + direction
                own = weights[i * per_direction : (i + 1) * per_direction]
                states, *final = self._run(mode, sequence, own, [s[i] for s in first], reverse=bool(direction))
                outputs.append(states)
                last.append(final)
            sequence = torch.cat(outputs, -1) if both else outputs[0]
        finals = (torch.stack(states) for states in zip(*last, strict=True))
        sequence = sequence.transpose(0, 1) if batch_first else sequence
        if not both:
            keep_last(sequence, last[-1][0], batch_first=batch_first)
        return sequence, *finals

    def _between(self, sequence: Tensor, p: Level, *, batch_first: bool) -> Tensor:
        """Dropout before a layer; a mask has the axes that the module's own input has."""
        if not batch_first:
            return self._dropout.dropout(sequence, p)
        return self._dropout.dropout(sequence.transpose(0, 1), p).transpose(0, 1)

    def _run(
        self, mode: str, x: Tensor, weights: Sequence[Tensor], first: Sequence[Tensor] = (), *, reverse: bool = False,
        noise: RecurrentNoise = NO_NOISE,
    ) -> list[Tensor]:  # fmt: skip
        """One layer in one direction on x (T, B, I) or tokens (T, B): states (T, B, H), last states (B, H)."""
        if self._probing and not reverse and len(x) > 1:
            return self._run_probed(mode, x, weights, first, noise)
        w_ih, w_hh, *biases = weights
        b_ih, b_hh = biases or (None, None)
        h_0, c_0 = [*first, None, None][:2]
        save = torch.is_grad_enabled()
        outputs = Recurrence.of_member(CELLS[mode], reverse, save, x, w_ih, w_hh, b_ih, b_hh, h_0, c_0, *noise)
        return [output for output in outputs[:3] if output is not None]

    def _run_probed(
        self, mode: str, x: Tensor, weights: Sequence[Tensor], state: Sequence[Tensor], noise: RecurrentNoise
    ) -> list[Tensor]:
        """`_run` step by step, with a probe added to the states."""
        probe, states = self._probe((len(x), x.shape[1], weights[1].shape[1]), weights[1]), []
        for t, (now, added) in enumerate(zip(torch.split(x, 1), probe, strict=True)):
            here = RecurrentNoise(*(kind if kind is None or len(kind) == 1 else kind[t : t + 1] for kind in noise))
            _, h, *c = self._run(mode, now, weights, state, noise=here)
            state = [h + added, *c]
            states.append(state[0])
        return [torch.stack(states), *state]

    def _probe(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        vmap = only_vmap()
        if vmap is None:
            self.probes.append(torch.zeros(1, *shape, dtype=like.dtype, device=like.device, requires_grad=True))
            return self.probes[-1][0]
        with beneath():
            self.probes.append(
                torch.zeros(vmap.members, *shape, dtype=like.dtype, device=like.device, requires_grad=True)
            )
        return of_member(self.probes[-1], vmap)

    def _on_tokens(self, rnn: nn.RNNBase, tokens: Tensor) -> Tensor:
        """The states of a layer whose input is one-hot vectors of tokens, without making them."""
        shape = rnn.num_layers * (1 + rnn.bidirectional), tokens.shape[0 if rnn.batch_first else 1], rnn.hidden_size
        weights = rnn._flat_weights
        zeros = torch.zeros(shape, dtype=weights[0].dtype, device=tokens.device)  # type: ignore[union-attr]
        first = (zeros, zeros) if rnn.mode == "LSTM" else zeros
        options = rnn.bias, rnn.num_layers, rnn.dropout, rnn.training, rnn.bidirectional, rnn.batch_first  # see `Call`
        return self._kernel(rnn.mode, tokens, first, weights, *options)[0]

    def _noisy(self, mode: str, x: Tensor, weights: Sequence[Tensor], noises: Noises) -> Tensor:
        """As `noisy_recurrence`, by the kernel."""
        noise = RecurrentNoise(noises.factor, noises.hold_h, noises.hold_c)
        states, last, *_ = self._run(mode, x.transpose(0, 1).contiguous(), weights, noise=noise)
        sequence = states.transpose(0, 1)
        keep_last(sequence, last, batch_first=True)
        return sequence


def is_packed(arguments: Sequence[Any]) -> bool:
    """Whether arguments of torch's are those for packed sequences, where the weights come fourth."""
    return isinstance(arguments[3], list | tuple)
