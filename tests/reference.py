"""The oracle: the textbook loop, one model at a time, with plain `nn.Module`, `torch.optim` and `torch.nn.utils`.

Shares no code with the population engine. Fed the same initial state, batches and dropout noise, it must give the same
curve. Slow and obvious on purpose.
"""

from collections.abc import Callable

import torch
import torch.nn as nn
from torch import Tensor


class GivenDropout(nn.Module):
    """`nn.Dropout` whose uniform noise is handed in, one tensor for each call: mask U ≥ p, scaled by 1/(1 − p)."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.noise: list[Tensor] = []

    def noise_shape(self, x: Tensor) -> torch.Size:
        return x.shape

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        return x * (self.noise.pop(0) >= self.p).to(x.dtype) / (1 - self.p)


class GivenFeatureDropout(GivenDropout):
    """`nn.Dropout1d` to `nn.Dropout3d` on a batch: whole features are dropped."""

    def noise_shape(self, x: Tensor) -> torch.Size:
        return torch.Size([*x.shape[:2], *[1] * (x.dim() - 2)])


class GivenAlphaDropout(GivenDropout):
    """`nn.AlphaDropout` as in Klambauer et al. 2017, section 3: a·(x·d + α'(1 − d)) + b, α' what SELU saturates at."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        saturated, keep = -1.0507009873554804934193349852946 * 1.6732632423543772848170429916717, 1 - self.p
        a = (keep + saturated**2 * keep * (1 - keep)) ** -0.5
        b = -a * (1 - keep) * saturated
        return a * torch.where(self.noise.pop(0) >= self.p, x, torch.full_like(x, saturated)) + b


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


GIVEN: dict[type[nn.Module], Callable[[float], GivenDropout]] = {
    nn.Dropout: GivenDropout,
    nn.Dropout1d: GivenFeatureDropout,
    nn.Dropout2d: GivenFeatureDropout,
    nn.Dropout3d: GivenFeatureDropout,
    nn.AlphaDropout: GivenAlphaDropout,
    nn.FeatureAlphaDropout: GivenFeatureAlphaDropout,
}


def with_given_noise(model: nn.Module) -> dict[str, GivenDropout]:
    """Put such layers in place of torch's; returns them by name."""
    for name, layer in list(model.named_modules()):
        if type(layer) in GIVEN:
            _replace(model, name, GIVEN[type(layer)](layer.p))
        elif isinstance(layer, nn.RNNBase) and layer.num_layers > 1:
            _replace(model, name, GivenRecurrent(layer))
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, GivenDropout)}


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
    max_norm: float | None = None,
    max_value: float | None = None,
    before_step: Callable[[int], None] = lambda step: None,
) -> tuple[list[float], list[float]]:
    """Train one model; returns its losses and its gradient norms before clipping, a number for each batch."""
    losses, norms = [], []
    model.train()
    for step, (x, y) in enumerate(batches):
        before_step(step)
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        norms.append(float(torch.cat([p.grad.flatten() for p in model.parameters()]).norm()))
        if max_norm is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
        if max_value is not None:
            torch.nn.utils.clip_grad_value_(model.parameters(), max_value)
        optimizer.step()
        losses.append(float(value.detach()))
    return losses, norms
