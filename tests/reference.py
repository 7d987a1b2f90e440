"""The oracle: the textbook loop, one model at a time, with plain `nn.Module`, `torch.optim` and `torch.nn.utils`.

Shares no code with the engine, and knows the project's own layers by name only. Fed the same initial state, batches and
dropout noise, it must give the same curve. Slow and obvious on purpose.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from harness.models.noise import GaussianDropout, Zoneout
from harness.models.noisy_recurrent import NoisyRecurrent

Draw = Callable[[torch.Size], Tensor]
"""Gives noise of a shape, other numbers at every call."""


def given_dropout(x: Tensor, p: float, noise: Tensor) -> Tensor:
    """Mask U ≥ p, scaled by 1/(1 − p)."""
    return x * (noise >= p).to(x.dtype) / (1 - p)


class GivenDropout(nn.Module):
    """`nn.Dropout` whose uniform noise is handed in, by a `Draw` that every call in training asks once, whatever p."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.draw: Draw

    def noise(self, x: Tensor) -> Tensor:
        return self.draw(x.shape)

    def forward(self, x: Tensor) -> Tensor:
        return given_dropout(x, self.p, self.noise(x)) if self.training else x


class GivenFeatureDropout(GivenDropout):
    """`nn.Dropout1d` to `nn.Dropout3d` on a batch: whole features are dropped."""

    def noise(self, x: Tensor) -> Tensor:
        return self.draw(torch.Size([*x.shape[:2], *[1] * (x.dim() - 2)]))


class GivenAlphaDropout(GivenDropout):
    """`nn.AlphaDropout` as in Klambauer et al. 2017, section 3: a·(x·d + α'(1 − d)) + b, α' what SELU saturates at."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        saturated, keep = -1.0507009873554804934193349852946 * 1.6732632423543772848170429916717, 1 - self.p
        a = (keep + saturated**2 * keep * (1 - keep)) ** -0.5
        b = -a * (1 - keep) * saturated
        return a * torch.where(self.noise(x) >= self.p, x, torch.full_like(x, saturated)) + b


class GivenFeatureAlphaDropout(GivenFeatureDropout, GivenAlphaDropout):
    """`nn.FeatureAlphaDropout`."""


class GivenRecurrent(nn.Module):
    """An `nn.RNN`, `nn.LSTM` or `nn.GRU` of several layers as that many of torch's, with the given dropout in between."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.between = nn.ModuleList(GivenDropout(layer.dropout) for _ in range(layer.num_layers - 1))
        self.layers = nn.ModuleList()
        more = {"nonlinearity": layer.nonlinearity} if isinstance(layer, nn.RNN) else {}
        for k in range(layer.num_layers):
            width = layer.input_size if k == 0 else layer.hidden_size * (1 + layer.bidirectional)
            one = type(layer)(width, layer.hidden_size, batch_first=layer.batch_first,
                              bidirectional=layer.bidirectional, **more)  # fmt: skip
            own = {n.replace(f"_l{k}", "_l0"): p for n, p in layer.named_parameters() if f"_l{k}" in n}
            one.load_state_dict(own)
            self.layers.append(one)

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        for k, layer in enumerate(self.layers):
            x, _ = layer(x if k == 0 else self.between[k - 1](x))
        return x, None


class GivenGaussian(GivenDropout):
    """Srivastava et al. 2014, section 10: times 1 + √(p/(1 − p))·z; the noise is a standard normal."""

    def forward(self, x: Tensor) -> Tensor:
        return x * (1 + (self.p / (1 - self.p)) ** 0.5 * self.noise(x).to(x.dtype)) if self.training else x


class GivenZoneout(GivenDropout):
    """Krueger et al. 2017, equation 4: the share of the old state, 0 or 1, and its mean p in evaluation."""

    def forward(self, shape: Tensor) -> Tensor:
        return (self.noise(shape) < self.p).to(shape.dtype) if self.training else torch.full_like(shape, self.p)


class GivenNoisyRecurrent(nn.Module):
    """A recurrent layer with noise inside, step by step as the papers write it; takes over what it stands in for."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.mode, self.hidden, self.variational = layer.mode, layer.hidden_size, layer.variational
        for name, parameter in layer.named_parameters(recurse=False):
            self.register_parameter(name, parameter)
        for name in ("between", "recurrent_dropout", "weight_dropout", "zoneout", "cell_zoneout"):
            setattr(self, name, getattr(layer, name))

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        """x (batch, time, input)."""
        for k in range(1 + len(self.between)):
            x = x if k == 0 else self.between[k - 1](x)
            w_ih, w_hh, b_ih, b_hh = (
                getattr(self, f"{n}_l{k}") for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            w_hh = self.weight_dropout(w_hh)
            apart = [1] if x.shape[1] == len(x) else []  # no shape that the layer's output has, (batch, time, hidden)
            ones = x.new_ones(x.shape[1], *apart, len(x), self.hidden)
            drawn = self.recurrent_dropout(ones[:1] if self.variational else ones).expand_as(ones)
            factor, hold_h, hold_c = (
                n.flatten(0, len(apart)) for n in (drawn, self.zoneout(ones), self.cell_zoneout(ones))
            )
            h = c = x.new_zeros(len(x), self.hidden)
            states = []
            for t in range(x.shape[1]):
                new_h, new_c = self.step(x[:, t] @ w_ih.T + b_ih, (h * factor[t]) @ w_hh.T + b_hh, h, c)
                h = hold_h[t] * h + (1 - hold_h[t]) * new_h
                c = hold_c[t] * c + (1 - hold_c[t]) * new_c
                states.append(h)
            x = torch.stack(states, 1)
        return x, None

    def step(self, outer: Tensor, inner: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        if self.mode == "LSTM":
            i, f, g, o = (outer + inner).chunk(4, -1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            return o.sigmoid() * c.tanh(), c
        if self.mode == "GRU":
            (r, z, n), (hr, hz, hn) = outer.chunk(3, -1), inner.chunk(3, -1)
            r, z = (r + hr).sigmoid(), (z + hz).sigmoid()
            return (1 - z) * (n + r * hn).tanh() + z * h, c
        return ((outer + inner).tanh() if self.mode == "RNN_TANH" else (outer + inner).relu()), c


GIVEN: dict[type[nn.Module], Callable[[float], GivenDropout]] = {
    nn.Dropout: GivenDropout,
    nn.Dropout1d: GivenFeatureDropout,
    nn.Dropout2d: GivenFeatureDropout,
    nn.Dropout3d: GivenFeatureDropout,
    nn.AlphaDropout: GivenAlphaDropout,
    nn.FeatureAlphaDropout: GivenFeatureAlphaDropout,
    GaussianDropout: GivenGaussian,
    Zoneout: GivenZoneout,
}


def with_given_noise(model: nn.Module) -> dict[str, GivenDropout]:
    """Put such layers in place of torch's; returns them by name."""
    for name, layer in list(model.named_modules()):
        if type(layer) in GIVEN:
            _replace(model, name, GIVEN[type(layer)](layer.p))
        elif isinstance(layer, NoisyRecurrent):
            _replace(model, name, GivenNoisyRecurrent(layer))
        elif isinstance(layer, nn.RNNBase) and layer.num_layers > 1:
            _replace(model, name, GivenRecurrent(layer))
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, GivenDropout)}


@contextmanager
def given_functions(draw: Draw) -> Iterator[None]:
    """Within the block torch's functions of dropout are those of `GivenDropout`, for modules that call them."""

    def dropout(x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        return given_dropout(x, p, draw(x.shape)) if training else x

    def attention(
        q: Tensor,
        k: Tensor,
        v: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
    ) -> Tensor:
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        if is_causal:
            scores = scores + torch.full(scores.shape[-2:], -math.inf, dtype=q.dtype).triu(1)
        if attn_mask is not None:
            scores = scores.masked_fill(~attn_mask, -math.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
        return dropout(torch._safe_softmax(scores, -1), dropout_p) @ v

    functions = {"dropout": dropout, "scaled_dot_product_attention": attention}
    with mock.patch.multiple(F, **functions), mock.patch.object(torch, "dropout", dropout):
        yield


def _replace(model: nn.Module, name: str, new: nn.Module) -> None:
    """Everywhere the layer is used, under whatever name."""
    old = model.get_submodule(name)
    for parent in list(model.modules()):
        for key, child in parent._modules.items():
            if child is old:
                parent._modules[key] = new


def train_plain(
    model: nn.Module,
    batches: list[tuple[Tensor, Tensor]],
    loss: Callable[[Tensor, Tensor], Tensor],
    optimizer: torch.optim.Optimizer,
    *,
    clip: Callable[[nn.Module], bool] = lambda model: True,
    before_step: Callable[[int], None] = lambda step: None,
    before_pass: Callable[[], None] = lambda: None,
    accumulate: int = 1,
    bf16: bool = False,
) -> tuple[list[float], list[float]]:
    """Train one model; returns its losses and its gradient norms before clipping, a number for each step.

    `clip` changes the gradients and says whether the step is to be taken. The gradient of a step is the mean over
    `accumulate` equal parts of its batch, each passed through the model alone.
    """
    losses, norms = [], []
    model.train()
    for step, (x, y) in enumerate(batches):
        before_step(step)
        optimizer.zero_grad()
        value = torch.zeros(())
        for part_x, part_y in zip(x.chunk(accumulate), y.chunk(accumulate), strict=True):
            before_pass()
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                part = loss(model(part_x), part_y) / accumulate
            part.backward()
            value = value + part.detach()
        used = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
        norms.append(float(torch.cat(used).norm()))
        if clip(model):
            optimizer.step()
        losses.append(float(value.detach()))
    return losses, norms
