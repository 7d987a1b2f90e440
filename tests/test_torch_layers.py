"""Every layer of torch.nn that has parameters or draws random numbers, inside a small net, trains as in the textbook loop.

With each of its options that changes what is computed, and in the ways that modules are built of them. Where a population
equals the plain loop, it trains in one; `pytest -rP` shows which do and why others do not.
"""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils import parametrizations, parametrize, prune
from torch.nn.utils.rnn import pack_padded_sequence

from harness.engine.feed import Order
from harness.engine.proof import obstacle
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.engine.train import train
from harness.models import Model
from harness.optimizers import SGD
from harness.settings.randomness import stream, stream_seed
from harness.study.trial_run import trial_run
from harness.tasks import Tensors

CPU = torch.device("cpu")
SEEDS, STEPS, BATCH = (3, 4), 5, 6


class Net(nn.Module):
    """A layer, its output flattened, and a readout."""

    def __init__(
        self, make: Callable[[float], nn.Module], call: Callable[[nn.Module, Tensor], Tensor], p: float
    ) -> None:
        super().__init__()
        self.layer, self.call, self.readout = make(p), call, nn.LazyLinear(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.readout(self.call(self.layer, x).flatten(1))


def directly(layer: nn.Module, x: Tensor) -> Tensor:
    return layer(x)


def first(layer: nn.Module, x: Tensor) -> Tensor:
    return layer(x)[0]


VECTOR, SEQUENCE, IMAGE, VOLUME, TOKENS = (8,), (5, 8), (4, 6, 6), (4, 4, 4, 4), (5,)
SHAPES = {1: SEQUENCE, 2: IMAGE, 3: VOLUME}

Case = tuple[tuple[int, ...], Callable[[float], nn.Module], Callable[[nn.Module, Tensor], Tensor]]


def convolutions() -> dict[str, Case]:
    found: dict[str, Case] = {}
    options: dict[str, dict[str, Any]] = {
        "": {}, " no bias": {"bias": False}, " stride": {"stride": 2}, " padding": {"padding": 1}, " dilation": {"dilation": 2},
    }  # fmt: skip
    for d, shape in SHAPES.items():
        channels = shape[0]
        conv, back = getattr(nn, f"Conv{d}d"), getattr(nn, f"ConvTranspose{d}d")
        only = {" groups": {"groups": channels if d == 1 else 2}} | {
            f" {mode}": {"padding": 1, "padding_mode": mode} for mode in ("zeros", "reflect", "replicate", "circular")
        }
        for name, more in (options | only).items():
            found[f"Conv{d}d{name}"] = (shape, lambda p, k=conv, c=channels, m=more: k(c, c, 2, **m), directly)
        for name, more in (options | {" output padding": {"stride": 2, "output_padding": 1}}).items():
            found[f"ConvTranspose{d}d{name}"] = (shape, lambda p, k=back, c=channels, m=more: k(c, 2, 2, **m), directly)
        found[f"LazyConv{d}d"] = (shape, lambda p, n=f"LazyConv{d}d": getattr(nn, n)(3, 2), directly)
        found[f"LazyConvTranspose{d}d"] = (shape, lambda p, n=f"LazyConvTranspose{d}d": getattr(nn, n)(3, 2), directly)
    return found


def norms() -> dict[str, Case]:
    found: dict[str, Case] = {
        "BatchNorm1d of vectors": (VECTOR, lambda p: nn.BatchNorm1d(8), directly),
        "GroupNorm": (IMAGE, lambda p: nn.GroupNorm(2, 4), directly),
        "GroupNorm no affine": (IMAGE, lambda p: nn.GroupNorm(2, 4, affine=False), directly),
        "LayerNorm": (SEQUENCE, lambda p: nn.LayerNorm(8), directly),
        "LayerNorm no bias": (SEQUENCE, lambda p: nn.LayerNorm((5, 8), bias=False), directly),
        "RMSNorm": (SEQUENCE, lambda p: nn.RMSNorm(8), directly),
        "LocalResponseNorm": (IMAGE, lambda p: nn.LocalResponseNorm(2), directly),
        "CrossMapLRN2d": (IMAGE, lambda p: nn.CrossMapLRN2d(2), directly),
    }
    options: dict[str, dict[str, Any]] = {
        "": {}, " no affine": {"affine": False}, " own statistics": {"track_running_stats": False},
        " momentum": {"momentum": 0.5}, " cumulative": {"momentum": None},
    }  # fmt: skip
    for d, shape in SHAPES.items():
        for name, more in options.items():
            kind = getattr(nn, f"BatchNorm{d}d")
            found[f"BatchNorm{d}d{name}"] = (shape, lambda p, k=kind, c=shape[0], m=more: k(c, **m), directly)
        for name, more in {"": {}, " affine": {"affine": True}, " tracking": {"track_running_stats": True}}.items():
            kind = getattr(nn, f"InstanceNorm{d}d")
            found[f"InstanceNorm{d}d{name}"] = (shape, lambda p, k=kind, c=shape[0], m=more: k(c, **m), directly)
        for name in (f"LazyBatchNorm{d}d", f"LazyInstanceNorm{d}d"):
            found[name] = (shape, lambda p, n=name: getattr(nn, n)(), directly)
    return found


def recurrent() -> dict[str, Case]:
    found: dict[str, Case] = {}
    options: dict[str, dict[str, Any]] = {
        "": {}, " no bias": {"bias": False}, " both": {"bidirectional": True}, " two layers": {"num_layers": 2},
        " two layers both": {"num_layers": 2, "bidirectional": True},
    }  # fmt: skip
    for kind in (nn.RNN, nn.LSTM, nn.GRU):
        more = options | ({" relu": {"nonlinearity": "relu"}} if kind is nn.RNN else {})
        more |= {" projected": {"proj_size": 2}} if kind is nn.LSTM else {}
        for name, given in more.items():
            for batch_first in (True, False):
                found[f"{kind.__name__}{name}{'' if batch_first else ' time first'}"] = (
                    SEQUENCE,
                    lambda p, k=kind, m=given, b=batch_first: k(
                        8, 3, batch_first=b, dropout=p * ("num_layers" in m), **m
                    ),
                    first if batch_first else lambda layer, x: layer(x.transpose(0, 1))[0].transpose(0, 1),
                )
    found["LSTM last states"] = (
        SEQUENCE,
        lambda p: nn.LSTM(8, 3, batch_first=True),
        lambda l, x: l(x)[1][1].transpose(0, 1),
    )
    found["GRU first states"] = (
        SEQUENCE, lambda p: nn.GRU(8, 3, batch_first=True), lambda l, x: l(x, x[:, 0, :3].unsqueeze(0).contiguous())[0],
    )  # fmt: skip
    found["RNN of one example"] = (
        SEQUENCE, lambda p: nn.RNN(8, 3), lambda l, x: torch.stack([l(example)[0] for example in x]),
    )  # fmt: skip
    found["LSTM step by step"] = (SEQUENCE, lambda p: nn.LSTM(8, 3, batch_first=True), step_by_step)
    for cell in (nn.RNNCell, nn.GRUCell, nn.LSTMCell):
        found[cell.__name__] = (SEQUENCE, lambda p, k=cell: k(8, 3), cell_by_cell)
    found["LSTM packed"] = (SEQUENCE, lambda p: nn.LSTM(8, 3, 2, dropout=p, batch_first=True), packed)
    return found


def step_by_step(layer: nn.Module, x: Tensor) -> Tensor:
    state, outputs = None, []
    for t in range(x.shape[1]):
        output, state = layer(x[:, t : t + 1], state)
        outputs.append(output)
    return torch.cat(outputs, 1)


def cell_by_cell(layer: nn.Module, x: Tensor) -> Tensor:
    state = None
    for t in range(x.shape[1]):
        state = layer(x[:, t], state)
    return state[0] if isinstance(state, tuple) else state


def packed(layer: nn.Module, x: Tensor) -> Tensor:
    lengths = (x[:, :, 0] > -0.5).sum(1).clamp(min=1)
    return layer(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))[1][0][-1]


def attention() -> dict[str, Case]:
    causal = nn.Transformer.generate_square_subsequent_mask(5)
    padding = torch.tensor([False, False, False, True, True])

    def itself(**options: Any) -> Callable[[nn.Module, Tensor], Tensor]:
        return lambda layer, x: layer(x, x, x, **options)[0]

    def of(**options: Any) -> Callable[[float], nn.Module]:
        return lambda p: nn.MultiheadAttention(8, 2, dropout=p, batch_first=True, **options)

    def encoder(**options: Any) -> Callable[[float], nn.Module]:
        return lambda p: nn.TransformerEncoderLayer(8, 2, 16, dropout=p, batch_first=True, **options)

    return {
        "MultiheadAttention": (SEQUENCE, of(), itself()),
        "MultiheadAttention no weights": (SEQUENCE, of(), itself(need_weights=False)),
        "MultiheadAttention causal": (SEQUENCE, of(), itself(attn_mask=causal, is_causal=True, need_weights=False)),
        "MultiheadAttention masked": (SEQUENCE, of(), itself(attn_mask=causal.bool())),
        "MultiheadAttention of other keys": (SEQUENCE, of(kdim=4, vdim=3), lambda l, x: l(x, x[..., :4], x[..., :3])[0]),
        "MultiheadAttention bias kv": (SEQUENCE, of(add_bias_kv=True, add_zero_attn=True), itself()),
        "MultiheadAttention no bias": (SEQUENCE, of(bias=False), itself()),
        "TransformerEncoderLayer": (SEQUENCE, encoder(), directly),
        "TransformerEncoderLayer gelu, norm first": (SEQUENCE, encoder(activation="gelu", norm_first=True), directly),
        "TransformerEncoderLayer padded": (
            SEQUENCE, encoder(), lambda l, x: l(x, src_key_padding_mask=padding.expand(len(x), -1)),
        ),
        "TransformerEncoder causal": (
            SEQUENCE, lambda p: nn.TransformerEncoder(encoder()(p), 2), lambda l, x: l(x, mask=causal, is_causal=True),
        ),
        "TransformerDecoderLayer": (
            SEQUENCE, lambda p: nn.TransformerDecoderLayer(8, 2, 16, dropout=p, batch_first=True), lambda l, x: l(x, x.flip(1)),
        ),
        "TransformerDecoder": (
            SEQUENCE, lambda p: nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16, dropout=p, batch_first=True), 2),
            lambda l, x: l(x, x.flip(1)),
        ),
        "Transformer": (
            SEQUENCE, lambda p: nn.Transformer(8, 2, 1, 1, 16, dropout=p, batch_first=True), lambda l, x: l(x, x.flip(1)),
        ),
        "attention by hand": (
            SEQUENCE, lambda p: nn.ModuleDict({"qkv": nn.Linear(8, 24), "p": nn.Dropout(p)}), by_hand,
        ),
    }  # fmt: skip


def by_hand(layers: Any, x: Tensor) -> Tensor:
    q, k, v = layers["qkv"](x).view(len(x), 5, 2, 12).transpose(1, 2).chunk(3, -1)
    return F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=layers["p"].p if layers.training else 0.0)


class Flipped(torch.autograd.Function):
    """The identity, whose gradient is turned around."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return -gradient


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x).tanh())


class Squared(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return weight.square()


def squared(p: float) -> nn.Module:
    layer = nn.Linear(8, 4)
    parametrize.register_parametrization(layer, "weight", Squared())
    return layer


def clipped(p: float) -> nn.Module:
    """Many of its weights are .2, the largest."""
    layer = nn.Linear(8, 4)
    with torch.no_grad():
        layer.weight.clamp_(max=0.2)
    return layer


def assigned_by_mask(layer: nn.Module, x: Tensor) -> Tensor:
    h = layer(x)
    h[h < 0] = 0.1
    h[h > 0.5] = layer.bias.max()  # type: ignore[operator,union-attr]
    return h


def assigned_by_rows(layer: nn.Module, x: Tensor) -> Tensor:
    h = layer(x)
    h[h.sum(-1) < 0] = 1
    return h


def in_half_precision(layer: nn.Module, x: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return layer(x).float()


OTHERS: dict[str, Case] = {
    "Linear": (VECTOR, lambda p: nn.Linear(8, 4), directly),
    "Linear no bias": (VECTOR, lambda p: nn.Linear(8, 4, bias=False), directly),
    "Linear of sequences": (SEQUENCE, lambda p: nn.Linear(8, 4), directly),
    "LazyLinear": (VECTOR, lambda p: nn.LazyLinear(4), directly),
    "Bilinear": (VECTOR, lambda p: nn.Bilinear(8, 8, 4), lambda l, x: l(x, x.flip(1))),
    "Embedding": (TOKENS, lambda p: nn.Embedding(7, 4), directly),
    "Embedding padded": (TOKENS, lambda p: nn.Embedding(7, 4, padding_idx=0), directly),
    "Embedding padded from the end": (TOKENS, lambda p: nn.Embedding(7, 4), lambda l, x: F.embedding(x, l.weight, -2)),
    "embedding as a function": (TOKENS, lambda p: nn.Embedding(7, 4), lambda l, x: torch.embedding(l.weight, x, 1)),
    "Embedding of norm 1": (TOKENS, lambda p: nn.Embedding(7, 4, max_norm=1.0), directly),
    "Embedding by frequency": (TOKENS, lambda p: nn.Embedding(7, 4, scale_grad_by_freq=True), directly),
    "EmbeddingBag": (TOKENS, lambda p: nn.EmbeddingBag(7, 4), directly),
    "EmbeddingBag max": (TOKENS, lambda p: nn.EmbeddingBag(7, 4, mode="max"), directly),
    "PReLU": (VECTOR, lambda p: nn.PReLU(8), directly),
    "RReLU": (VECTOR, lambda p: nn.RReLU(), directly),
    "FractionalMaxPool2d": (IMAGE, lambda p: nn.FractionalMaxPool2d(2, output_size=3), directly),
    "FractionalMaxPool3d": (VOLUME, lambda p: nn.FractionalMaxPool3d(2, output_size=2), directly),
    "Dropout": (VECTOR, nn.Dropout, directly),
    "Dropout in place": (VECTOR, lambda p: nn.Sequential(nn.Linear(8, 8), nn.Dropout(p, inplace=True)), directly),
    "Dropout1d": (SEQUENCE, nn.Dropout1d, directly),
    "Dropout2d": (IMAGE, nn.Dropout2d, directly),
    "Dropout3d": (VOLUME, nn.Dropout3d, directly),
    "AlphaDropout": (VECTOR, nn.AlphaDropout, directly),
    "FeatureAlphaDropout": (IMAGE, nn.FeatureAlphaDropout, directly),
    "tied weights": (VECTOR, lambda p: Tied(), directly),
    "weight norm": (VECTOR, lambda p: parametrizations.weight_norm(nn.Linear(8, 4)), directly),
    "weight norm of a convolution": (IMAGE, lambda p: parametrizations.weight_norm(nn.Conv2d(4, 4, 3)), directly),
    "spectral norm": (VECTOR, lambda p: parametrizations.spectral_norm(nn.Linear(8, 4)), directly),
    "spectral norm of a convolution": (IMAGE, lambda p: parametrizations.spectral_norm(nn.Conv2d(4, 4, 3)), directly),
    "spectral norm by a hook": (VECTOR, lambda p: nn.utils.spectral_norm(nn.Linear(8, 4)), directly),
    "orthogonal": (VECTOR, lambda p: parametrizations.orthogonal(nn.Linear(8, 8)), directly),
    "a parametrization of one's own": (VECTOR, squared, directly),
    "a function of one's own": (VECTOR, lambda p: nn.Linear(8, 4), lambda l, x: l(x) + Flipped.apply(l(x).tanh())),
    "compiled": (
        VECTOR,
        lambda p: nn.Sequential(
            torch.compile(nn.Sequential(nn.Linear(8, 8), nn.Tanh()), backend="eager"), nn.Linear(8, 4)
        ),
        directly,
    ),
    "half precision": (VECTOR, lambda p: nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4)), in_half_precision),
    "pruned": (VECTOR, lambda p: prune.l1_unstructured(nn.Linear(8, 4), "weight", 0.5), directly),
    "the largest of equals": (VECTOR, clipped, lambda l, x: l(x) / l.weight.max()),
    "the median of equals": (VECTOR, clipped, lambda l, x: l(x) * (1 + l.weight.relu().median())),
    "a mask assigned to": (VECTOR, lambda p: nn.Linear(8, 4), assigned_by_mask),
    "a mask of rows assigned to": (SEQUENCE, lambda p: nn.Linear(8, 4), assigned_by_rows),
    "a linear function": (VECTOR, lambda p: nn.Linear(8, 8), lambda l, x: F.linear(x, l.weight.t(), l.bias) @ l.weight),
}
"""Layers by themselves, and what is built of layers."""

CASES = convolutions() | norms() | recurrent() | attention() | OTHERS

LEFT_OUT = {"Container", "Module", "Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict", "RNNBase",
            "RNNCellBase", "DataParallel", "SyncBatchNorm",  # several devices
            "AdaptiveLogSoftmaxWithLoss", "LinearCrossEntropyLoss"}  # fmt: skip  # losses: a task's business


def setup_of(name: str, p: float) -> Setup:
    shape, make, call = CASES[name]
    generator = torch.Generator().manual_seed(0)
    size = (60, *shape)
    x = torch.randint(7, size, generator=generator) if shape == TOKENS else torch.randn(size, generator=generator)
    y = torch.randint(2, (60,), generator=generator)
    y[:2] = torch.tensor([0, 1])
    model = Model(Net, make=make, call=call, p=p)
    return Setup(task=Tensors(x, y), model=model, optimizer=SGD(0.05, momentum=0.9), batch_size=BATCH, steps=STEPS)


def textbook(setup: Setup, seed: int) -> tuple[list[float], float]:
    """Training losses, and the test loss, of the loop that anybody would write."""
    data = setup.task.data(seed)
    torch.manual_seed(stream_seed(seed, "init"))
    net = setup.model.build(setup.task.sizes(data))
    net.eval()(data.x[data.train[:1]])  # layers find their sizes
    optimizer = torch.optim.SGD(net.parameters(), 0.05, momentum=0.9)
    losses = []
    torch.manual_seed(stream_seed(seed, "module"))
    for index in Order(data.train, BATCH, stream(seed, "order")).take(STEPS):
        optimizer.zero_grad()
        loss = F.cross_entropy(net.train()(data.x[index]), data.y[index])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    net.eval()
    with torch.no_grad():  # in batches of four times that size, on which a layer without statistics of its own depends
        outputs = torch.cat([net(data.x[index]) for index in data.validation.split(4 * BATCH)])
        return losses, float(F.cross_entropy(outputs, data.y[data.validation]))


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("name", CASES)
def test_layer_trains_as_in_the_textbook_loop(name: str) -> None:
    """Without dropout, whose noise is a seed's own; `test_modules` compares that."""
    setup = setup_of(name, 0.0)
    runs = [Run(0, seed, setup, confirm=False) for seed in SEEDS]
    curves = [train([run], evaluations=1, device=CPU)[1] for run in runs]
    why = obstacle(runs, CPU)
    if not why:
        together = train(runs, evaluations=1, device=CPU)[1]
        curves += [together[together["seed"] == seed] for seed in SEEDS]
    for seed, curve in zip(SEEDS * 2, curves, strict=False):
        losses, validation = textbook(setup, seed)
        np.testing.assert_allclose(curve["loss"], losses, rtol=2e-4)
        np.testing.assert_allclose(curve["validation_loss"].iloc[-1], validation, rtol=2e-4)


OTHERS = "in evaluation, what it makes of an example depends on the others in the batch"
READS = "its forward pass reads values of a tensor"
DRAWS = "its forward pass draws random numbers itself"
WHY_NOT = {
    "CrossMapLRN2d": "without a rule for `vmap`",
    **{f"BatchNorm{n}d own statistics": OTHERS for n in (1, 2, 3)},
    **{f"BatchNorm{n}d cumulative": READS for n in (1, 2, 3)},
    "LSTM projected": "projections", "LSTM projected time first": "projections", "LSTM packed": "equal size",
    "RReLU": "aten::rrelu",
    "half precision": "the gradient of `layer.0.weight` at step 1 would be another",
    "FractionalMaxPool2d": DRAWS, "FractionalMaxPool3d": DRAWS,
    "a function of one's own": "without a rule for `vmap`", "compiled": "is compiled (`torch.compile`)",
}  # fmt: skip
"""The layers that train one by one, and what the reason says; all others train as a population."""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("name", CASES)
def test_layer_with_dropout_is_batched_only_if_that_equals_the_plain_loop(name: str) -> None:
    low, high = (
        Run(trial, seed, setup_of(name, p)) for trial, (seed, p) in enumerate(zip(SEEDS, (0.2, 0.6), strict=True))
    )
    why = obstacle([low, high], CPU)
    assert (WHY_NOT[name] in why) if name in WHY_NOT else not why, why


class Answers(nn.Module):
    """Returns a dictionary that holds a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.readout = nn.Linear(8, 6), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> dict[str, Any]:
        hidden = self.body(x).tanh()
        return {"scores": self.readout(hidden), "more": (hidden,)}


class OfAnswers(Tensors):
    def losses(self, output: Any, y: Tensor) -> Tensor:
        return F.cross_entropy(output["scores"], y, reduction="none") + output["more"][0].square().mean(1)

    def errors(self, output: Any, y: Tensor) -> Tensor:
        return (output["scores"].argmax(-1) != y).float()


def test_a_module_may_return_a_dictionary_to_a_task_that_takes_one() -> None:
    plain = setup_of("Linear", 0.0)
    x, y = (plain.task.values()[name] for name in "xy")
    setup = plain.replace(task=OfAnswers(x, y), model=Model(Answers))
    assert trial_run(setup) == []
    runs = [Run(0, seed, setup) for seed in SEEDS]
    assert obstacle(runs, CPU) == ""
    together, _ = train(runs, evaluations=1, device=CPU)
    alone = [train([run], evaluations=1, device=CPU)[0] for run in runs]
    for name in ("test_loss", "train_noise"):
        np.testing.assert_allclose(together[name], [table[name][0] for table in alone], rtol=1e-5)


def test_every_layer_with_parameters_or_randomness_is_here() -> None:
    layers = {name for name, kind in vars(nn).items() if inspect.isclass(kind) and issubclass(kind, nn.Module)}
    tried = {name.partition(" ")[0] for name in CASES}
    missing = layers - tried - LEFT_OUT - {name for name in layers if name.endswith(("Loss", "Loss2d"))}
    plain = {name for name in missing if not has_parameters_or_randomness(name)}
    assert missing == plain


def has_parameters_or_randomness(name: str) -> bool:
    kind = getattr(nn, name)
    source = inspect.getsource(kind.__init__) + inspect.getsource(kind.forward) if "__init__" in vars(kind) else ""
    return any(word in source for word in ("Parameter(", "self.training", "_random_samples"))
