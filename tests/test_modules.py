"""Any module of a user's, unmodified: what trains as a population, what by the plain loop, both as the textbook has it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from test_train import CPU, curves_of, textbook, textbook_model
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence

from harness.engine import training
from harness.engine.functions.answers import Answers
from harness.engine.functions.transforms import is_per_member
from harness.engine.noise import Noise
from harness.engine.obstacles import Unbatchable
from harness.engine.planning import groups
from harness.engine.proof import obstacle
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.engine.train import train
from harness.engine.way import Way
from harness.execution.examination import notes
from harness.execution.trainer import Trainer
from harness.models import Model
from harness.optimizers import SGD
from harness.study.replicates import shared_parameter
from harness.study.trial_run import trial_run
from harness.tasks import Tensors

GENERATOR = torch.Generator().manual_seed(0)
ROWS = torch.randn(200, 6, generator=GENERATOR)
SEQUENCES = torch.randn(200, 5, 6, generator=GENERATOR)
FLAT = Tensors(ROWS, (ROWS.sum(1) > 0).long())
TIME = Tensors(SEQUENCES, (SEQUENCES.sum((1, 2)) > 0).long())


def module(layers: Callable[[float], dict[str, nn.Module]], forward: Callable[[Any, Tensor], Tensor]) -> Model:
    """A user's class, written down short."""

    class Users(nn.Module):
        def __init__(self, dropout: float = 0.3) -> None:
            super().__init__()
            for name, layer in layers(dropout).items():
                setattr(self, name, layer)

        def forward(self, x: Tensor) -> Tensor:
            return forward(self, x)

    return Model(Users)


def nested(p: float) -> dict[str, nn.Module]:
    """One dropout layer under three names, in containers within containers."""
    drop = nn.Dropout(p)
    block = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), drop)
    return {"net": nn.ModuleList([nn.Sequential(nn.Linear(6, 16), drop), block, block]), "out": nn.Linear(16, 2)}


def in_turn(s: Any, x: Tensor) -> Tensor:
    for part in s.net:
        x = part(x)
    return s.out(s.net[1][2](x))


class Tied(nn.Module):
    """The readout's weights are those of the first layer."""

    def __init__(self, dropout: float = 0.3) -> None:
        super().__init__()
        self.first, self.drop, self.last = nn.Linear(6, 2), nn.Dropout(dropout), nn.Linear(6, 2)
        self.last.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.drop(x)) + self.first(x)


class RandomFeatures(nn.Module):
    """Its projection is a plain attribute: `state_dict` does not know it."""

    def __init__(self, dropout: float = 0.3) -> None:
        super().__init__()
        self.projection = torch.randn(6, 16, dtype=torch.float64).float()
        self.drop, self.b = nn.Dropout(dropout), nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.drop(x @ self.projection.to(x.dtype)))


class OwnDropout(nn.Module):
    """Dropout as many write it."""

    def __init__(self, dropout: float = 0.3) -> None:
        super().__init__()
        self.a, self.b, self.p = nn.Linear(6, 16), nn.Linear(16, 2), dropout

    def forward(self, x: Tensor) -> Tensor:
        return self.b(F.dropout(self.a(x).relu(), self.p, self.training))


class Attentive(nn.Module):
    """Dropout on the weights of an attention, and after it."""

    def __init__(self, dropout: float = 0.3) -> None:
        super().__init__()
        self.block = nn.TransformerEncoderLayer(6, 2, 12, dropout, batch_first=True)
        self.b = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.block(x).mean(1))


class Padded(nn.Module):
    """Of some sequences nothing may be seen, of some the beginning is padding: queries there see no key."""

    def __init__(self, dropout: float = 0.3) -> None:
        super().__init__()
        self.qkv, self.p, self.b = nn.Linear(6, 18), dropout, nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        there = (x[..., 0] > -0.5) & (x[:, :1, 1] > -1.0)
        mask = there[:, None, None, :] & torch.ones(5, 5, dtype=torch.bool).tril()
        q, k, v = (part.unflatten(-1, (2, 3)).transpose(1, 2) for part in self.qkv(x).chunk(3, -1))
        seen = F.scaled_dot_product_attention(q, k, v, mask, self.p if self.training else 0.0)
        return self.b(seen.transpose(1, 2).flatten(2).mean(1))


def two_layers(p: float) -> dict[str, nn.Module]:
    return {"a": nn.Linear(6, 16), "drop": nn.Dropout(p), "b": nn.Linear(16, 2)}


def recurrent(kind: type[nn.RNNBase], **options: Any) -> Model:
    return module(
        lambda p: {
            "rnn": kind(6, 16, 3, dropout=p, bidirectional=True, batch_first=True, **options),
            "out": nn.Linear(32, 2),
        },
        lambda s, x: s.out(s.rnn(x)[0][:, -1]),
    )


def masked(s: Any, x: Tensor) -> Tensor:
    hidden = s.drop(s.a(x))
    hidden[hidden < 0] = 0.1
    hidden[hidden.sum(1) > 2] = s.a.bias.max()
    return s.b(hidden)


def cell_by_cell(s: Any, x: Tensor) -> Tensor:
    state = None
    for step in x.unbind(1):
        state = s.a(s.drop(step), state)
    return s.b(state[0])


BATCHED = {
    "alpha dropout": (FLAT, module(
        lambda p: {"a": nn.Linear(6, 16), "drop": nn.AlphaDropout(p), "b": nn.Linear(16, 2)},
        lambda s, x: s.b(s.drop(F.selu(s.a(x)))))),
    "feature alpha dropout": (TIME, module(
        lambda p: {"drop": nn.FeatureAlphaDropout(p), "b": nn.Linear(30, 2)},
        lambda s, x: s.b(s.drop(F.selu(x)).flatten(1)))),
    "batch norm": (FLAT, module(
        lambda p: {"a": nn.Linear(6, 16), "norm": nn.BatchNorm1d(16), "drop": nn.Dropout(p), "b": nn.Linear(16, 2)},
        lambda s, x: s.b(s.drop(s.norm(s.a(x)).relu())))),
    "convolution": (TIME, module(
        lambda p: {"a": nn.Conv1d(5, 8, 3), "norm": nn.BatchNorm1d(8), "drop": nn.Dropout1d(p), "b": nn.Linear(32, 2)},
        lambda s, x: s.b(s.drop(s.norm(s.a(x))).flatten(1)))),
    "nested and reused": (FLAT, module(nested, in_turn)),
    "tied": (FLAT, Model(Tied)),
    "spectral norm": (FLAT, module(
        lambda p: two_layers(p) | {"a": nn.utils.parametrizations.spectral_norm(nn.Linear(6, 16))},
        lambda s, x: s.b(s.drop(s.a(x))))),
    "masks assigned to": (FLAT, module(two_layers, masked)),
    "a cell": (TIME, module(
        lambda p: {"a": nn.LSTMCell(6, 16), "drop": nn.Dropout(p), "b": nn.Linear(16, 2)}, cell_by_cell)),
    "large weights used thrice": (FLAT, module(
        lambda p: {"a": nn.Linear(6, 256), "drop": nn.Dropout(p), "big": nn.Linear(256, 256), "b": nn.Linear(256, 2)},
        lambda s, x: s.b(s.big(s.drop(s.big(s.a(x)).relu()))) * (1 + s.big.weight.square().mean()))),
    "gradient of an energy": (FLAT, module(
        lambda p: {"a": nn.Linear(6, 16), "energy": nn.Linear(16, 1, bias=False), "drop": nn.Dropout(p), "b": nn.Linear(6, 2)},
        lambda s, x: s.b(s.drop(torch.func.grad(lambda x: s.energy(s.a(x).tanh()).sum())(x))))),
    "tanh": (TIME, recurrent(nn.RNN)),
    "relu": (TIME, recurrent(nn.RNN, nonlinearity="relu")),
    "lstm": (TIME, recurrent(nn.LSTM)),
    "gru": (TIME, recurrent(nn.GRU)),
    "subclass of a gru": (TIME, module(
        lambda p: {"a": type("Own", (nn.GRU,), {})(6, 16), "drop": nn.Dropout(p), "b": nn.Linear(16, 2)},
        lambda s, x: s.b(s.drop(s.a(x)[0][:, -1])))),
    "dropout like that between layers": (TIME, module(
        lambda p: {"a": nn.GRU(6, 16, 2, dropout=p, batch_first=True), "drop": nn.Dropout(0.4), "b": nn.Linear(16, 2)},
        lambda s, x: s.b(s.drop(s.a(x)[0])[:, -1]))),
    "dropout as a function": (FLAT, Model(OwnDropout)),
    "tensor as an attribute": (FLAT, Model(RandomFeatures)),
    "attention": (TIME, Model(Attentive)),
    "attention of queries that see nothing": (TIME, Model(Padded)),
}  # fmt: skip


def runs_at(task: Tensors, model: Model, ps: tuple[float, ...], seeds: tuple[int, ...] = (3, 4)) -> list[Run]:
    setup = Setup(task=task, model=model, optimizer=SGD(0.2), batch_size=16, steps=15)
    return [Run(i, s, setup.with_value("model.dropout", p)) for i, p in enumerate(ps) for s in seeds]


@pytest.mark.parametrize("name", BATCHED)
def test_member_equals_the_textbook_loop_alone_and_among_others(name: str) -> None:
    runs = runs_at(*BATCHED[name], (0.0, 0.3, 0.6))
    assert trial_run(runs[0].setup) == []
    assert obstacle([runs[0], runs[-1]], CPU) == ""
    together, alone = curves_of(runs, dtype=torch.float64), curves_of(runs[3:4], dtype=torch.float64)
    for run in runs:
        losses, norms = textbook(run.setup, run.seed, torch.float64)
        for curves in [together, alone] if run == runs[3] else [together]:
            np.testing.assert_allclose(curves.loc[run.trial, run.seed]["loss"], losses, rtol=1e-9)
            np.testing.assert_allclose(curves.loc[run.trial, run.seed]["grad_norm"], norms, rtol=1e-9)


@pytest.mark.parametrize("name", BATCHED)
def test_runs_with_different_p_share_a_population(name: str) -> None:
    assert len(groups(runs_at(*BATCHED[name], (0.0, 0.3, 0.6)))) == 1


@pytest.mark.parametrize("name", ["alpha dropout", "batch norm", "convolution", "lstm"])
def test_companions_do_not_change_a_bit(name: str) -> None:
    runs = runs_at(*BATCHED[name], (0.2, 0.5), tuple(range(16)))
    pd.testing.assert_frame_equal(curves_of(runs).loc[[1]], curves_of(runs[16:]), check_exact=True)


def test_batch_norm_evaluates_with_each_members_own_statistics() -> None:
    runs = runs_at(*BATCHED["batch norm"], (0.0, 0.3))
    curves = curves_of(runs, dtype=torch.float64)
    for run in runs:
        model, _, _ = textbook_model(run.setup, run.seed, torch.float64)
        data = run.setup.task.data(run.seed)
        loss = F.cross_entropy(model.eval()(data.x[data.validation].double()), data.y[data.validation])
        assert curves.loc[run.trial, run.seed]["validation_loss"].iloc[-1] == pytest.approx(loss.item(), rel=1e-9)


def test_lazy_layers_get_their_shapes_from_the_data() -> None:
    lazy = module(lambda p: {"a": nn.LazyLinear(16), "b": nn.LazyLinear(2)}, lambda s, x: s.b(s.a(x).relu()))
    eager = module(lambda p: {"a": nn.Linear(6, 16), "b": nn.Linear(16, 2)}, lambda s, x: s.b(s.a(x).relu()))
    assert trial_run(Setup(task=FLAT, model=lazy)) == []
    pd.testing.assert_frame_equal(*(curves_of(runs_at(FLAT, model, (0.0,))) for model in (lazy, eager)))


def test_dropout_of_features_takes_an_example_without_a_batch_axis_as_torch_does() -> None:
    for layer, shape in [
        (nn.Dropout1d(0.5), (3, 4)),
        (nn.Dropout3d(0.5), (3, 4, 2, 2)),
        (nn.Dropout2d(0.5), (5, 3, 4, 2)),
    ]:
        x = torch.ones(shape)
        axes = {nn.Dropout1d: 1, nn.Dropout3d: 3, nn.Dropout2d: 2}[type(layer)]
        features = layer(x).flatten(len(shape) - axes)
        assert all(len(set(f.tolist())) == 1 for f in features.reshape(-1, features.shape[-1]))
        mask_shape = *shape[: len(shape) - axes], *[1] * axes
        noises = [Noise({0: slice(0, 1)}, steps=1, device=CPU, dtype=torch.float32) for _ in range(2)]
        for noise in noises:
            noise.begin(train=True)
        with Answers(noises[0], batched=False):
            ours = layer(x)
        assert torch.equal(ours, noises[1].mask("bernoulli", 0.5, mask_shape)[0].expand(shape))


@pytest.mark.parametrize(
    "layer", [nn.Dropout(1.0), nn.Dropout2d(1.0), nn.AlphaDropout(1.0), nn.FeatureAlphaDropout(1.0)], ids=repr
)
def test_at_1_all_is_0_as_in_torch(layer: nn.Module) -> None:
    x = torch.randn(4, 3, 5, 2)
    noise = Noise({0: slice(0, 1)}, steps=1, device=CPU, dtype=torch.float32)
    noise.begin(train=True)
    with Answers(noise, batched=False):
        assert torch.equal(layer(x), torch.zeros_like(x))
    assert torch.equal(layer(x), torch.zeros_like(x))


def by_value(s: Any, x: Tensor) -> Tensor:
    hidden = s.drop(s.a(x))
    return s.b(hidden if hidden.sum() > 0 else hidden.relu())


def packed(s: Any, x: Tensor) -> Tensor:
    lengths = (x[:, :, 0] > -0.5).sum(1).clamp(min=1).cpu()
    sequence = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    return s.b(s.drop(s.a(sequence)[1][0][-1]))


def noisy(s: Any, x: Tensor) -> Tensor:
    hidden = s.drop(s.a(x))
    return s.b(hidden + torch.randn_like(hidden) if s.training else hidden)


ALONE = {
    "decides": (FLAT, module(two_layers, by_value), "decides by the values of a tensor"),
    "reads": (FLAT, module(two_layers, lambda s, x: s.b(s.drop(s.a(x)) * s.a.weight.norm().item())), "`.item()`"),
    "draws": (FLAT, module(two_layers, noisy), "draws random numbers itself"),
    "mean of batch norm": (FLAT, module(
        lambda p: two_layers(p) | {"norm": nn.BatchNorm1d(16, momentum=None)},
        lambda s, x: s.b(s.drop(s.norm(s.a(x))))), "reads values of a tensor"),
    "packed sequences": (TIME, module(
        lambda p: {"a": nn.LSTM(6, 16, batch_first=True), "drop": nn.Dropout(p), "b": nn.Linear(16, 2)}, packed),
        "its forward pass does what torch cannot do for several runs at once: "),
}  # fmt: skip


@pytest.mark.parametrize("name", ALONE)
def test_what_cannot_be_batched_trains_by_the_plain_loop_and_equals_the_textbook(name: str) -> None:
    task, model, why = ALONE[name]
    runs = runs_at(task, model, (0.3, 0.6))
    assert trial_run(runs[0].setup) == []
    assert why in obstacle([runs[0], runs[-1]], CPU)
    for run in runs:
        losses, norms = textbook(run.setup, run.seed, torch.float64)
        curve = curves_of([run], dtype=torch.float64)
        np.testing.assert_allclose(curve["loss"], losses, rtol=1e-9)
        np.testing.assert_allclose(curve["grad_norm"], norms, rtol=1e-9)


@pytest.mark.parametrize("name", ["decides", "draws", "mean of batch norm"])
def test_what_a_population_turns_out_to_be_unable_to_train_trains_as_alone(name: str) -> None:
    """Even beside a run that diverges."""
    runs = runs_at(*ALONE[name][:2], (0.3, 0.6))
    wild = Run(9, runs[0].seed, runs[0].setup.with_value("optimizer.lr", 1e30))
    trained = Trainer(CPU, evaluations=2).train([wild, *runs], lambda steps, diverged: None)
    assert not trained.errors
    assert sorted(trained.parts) == sorted(((run.trial, run.seed),) for run in [wild, *runs])
    together = trained.curves.set_index(["trial", "seed", "step"])
    assert together.loc[9]["loss"].isna().any()
    pd.testing.assert_frame_equal(
        together.loc[[0, 1]], pd.concat(map(curves_of, [[run] for run in runs])), check_exact=True
    )


class Late(nn.Module):
    """Does something else from the thirteenth call in training on, when no proof looks any more.

    Args:
        what: it does then.
    """

    def __init__(self, inputs: int, outputs: int, what: str = "") -> None:
        super().__init__()
        self.a, self.drop, self.b = nn.Linear(inputs, 16), nn.Dropout(0.3), nn.Linear(16, outputs)
        self.what, self.calls = what, 0
        self.register_buffer("tau", torch.ones(1))
        self.register_buffer("unused", torch.ones(1))
        self.register_buffer("gates", torch.ones(16))
        self.held = [[self.gates], self.gates[:8]]

    def forward(self, x: Tensor) -> Tensor:
        self.calls += self.training
        late = self.calls > 12
        if late and self.training:
            self.change()
        hidden = self.drop(self.a(x).relu()) * self.gates / self.tau
        kind = {"by kind": True, "by kind, in evaluation": not self.training}.get(self.what, False)
        if late and kind and not is_per_member(self.b.weight):
            hidden = 2 * hidden
        if self.training and self.calls % 10 == 0 and self.what in ROUND and not is_per_member(self.b.weight):
            with torch.no_grad():
                ROUND[self.what](self).mul_(0.5)
        if late and self.what == "in NumPy":
            hidden = hidden + float(self.b.bias.detach().numpy().max())
        return self.b(hidden)

    def change(self) -> None:
        """What it holds, in one of the ways that there are."""
        if self.what == "in place":
            self.tau *= 0.95
        if self.what == "new":
            self.tau = self.tau * 0.95
        if self.what == "its data":
            self.tau.detach().numpy()[:] *= 0.95
        if self.what == "within a list":
            self.held[0][0].fill_(0.5)
        if self.what == "a view":
            self.held[1].fill_(0.5)


ROUND: dict[str, Callable[[Any], Tensor]] = {
    "weights at round steps": lambda module: module.a.weight,
    "a buffer at round steps": lambda module: module.unused,
}

LATE = {
    "in place": "changes `tau` after its first calls", "new": "changes `tau` after its first calls",
    "its data": "changes `tau` after its first calls", "within a list": "changes `gates` after its first calls",
    "a view": "changes `gates` after its first calls", "by kind": "has become another", "by kind, in evaluation": "its evaluation has become another",
    "in NumPy": "data pointer", "weights at round steps": "its set of weights has become another", "a buffer at round steps": "its `unused` has become another",
}  # fmt: skip


@pytest.mark.parametrize("what", LATE)
def test_what_a_module_does_otherwise_later_is_as_in_the_textbook(what: str) -> None:
    task = Tensors(ROWS, (ROWS.sum(1) > 0).long(), validation_size=40, test_size=40)
    setup = Setup(task=task, model=Model(Late, what=what), optimizer=SGD(0.1), batch_size=16, steps=40)
    runs = [Run(0, seed, setup) for seed in (3, 4)]
    assert obstacle(runs, CPU) == ""
    trained = Trainer(CPU, evaluations=4).train(runs, lambda steps, diverged: None)
    assert LATE[what] in trained.notes[0]
    alone = [train([run], evaluations=4, device=CPU) for run in runs]
    pd.testing.assert_frame_equal(trained.curves, pd.concat([c for _, c in alone], ignore_index=True), check_exact=True)
    for run in runs:
        losses, _ = textbook(setup, run.seed, torch.float64)
        np.testing.assert_allclose(curves_of([run], dtype=torch.float64)["loss"], losses, rtol=1e-9)


class KeptOrDead(Late):
    """Keeps an activation, and may be dead from the start: all its hidden units give 0."""

    def __init__(self, inputs: int, outputs: int, dead: float = 0.0) -> None:
        super().__init__(inputs, outputs, "by kind")
        with torch.no_grad():
            self.a.bias.sub_(dead)
            self.b.bias.requires_grad_(False)
        self.kept: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        self.kept = self.a(x)
        return super().forward(x)


def test_a_dead_run_and_kept_activations_hide_nothing() -> None:
    task = Tensors(ROWS, (ROWS.sum(1) > 0).long(), validation_size=40, test_size=40)
    setups = [
        Setup(task=task, model=Model(KeptOrDead, dead=dead), optimizer=SGD(0.1), batch_size=16, steps=40)
        for dead in (0.0, 100.0)
    ]
    runs = [Run(0, 3, setups[0]), Run(1, 4, setups[1])]
    with pytest.raises(Unbatchable, match="has become another"):
        train(runs, evaluations=4, device=CPU)


class Fitted(nn.Module):
    """Begins with what there is to learn: its loss and gradient are rounding."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.a = nn.Linear(inputs, outputs)
        with torch.no_grad():
            self.a.weight.copy_(torch.tensor([-10.0, 10.0]).unsqueeze(1).expand(2, inputs))
            self.a.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        return self.a(x)


def test_rounding_is_no_difference() -> None:
    far = ROWS[ROWS.sum(1).abs() > 0.8]
    task = Tensors(far, (far.sum(1) > 0).long(), validation_size=20, test_size=20)
    setup = Setup(task=task, model=Model(Fitted), optimizer=SGD(0.01), batch_size=16, steps=16)
    runs = [Run(0, seed, setup) for seed in (3, 4, 5)]
    table, _ = train(runs, evaluations=16, device=CPU)
    assert (table["train_loss"] < 1e-4).all()


def test_a_look_on_the_way_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("batch norm", "nested and reused", "lstm"):
        runs = runs_at(*BATCHED[name][:2], (0.3, 0.6))
        looked = curves_of(runs)
        with monkeypatch.context() as patched:
            patched.setattr(training, "looked_at", lambda evaluation, evaluations: False)
            pd.testing.assert_frame_equal(looked, curves_of(runs), check_exact=True)


def test_tensors_that_differ_between_seeds_are_those_of_the_seed_whoever_trains_beside_it() -> None:
    runs = runs_at(*BATCHED["tensor as an attribute"], (0.3, 0.6))
    together, apart = curves_of(runs), curves_of([run for run in runs if run.seed == 3])
    pd.testing.assert_frame_equal(together.xs(3, level="seed"), apart.xs(3, level="seed"), rtol=1e-4)


def test_by_the_plain_loop_the_number_of_threads_does_not_change_a_bit() -> None:
    wide = module(lambda p: {"a": nn.Linear(6, 600), "drop": nn.Dropout(p), "b": nn.Linear(600, 2)}, by_value)
    runs, threads, curves = runs_at(FLAT, wide, (0.3,), (3,)), torch.get_num_threads(), []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            curves.append(curves_of(runs))
            assert torch.get_num_threads() == n
    finally:
        torch.set_num_threads(threads)
    pd.testing.assert_frame_equal(*curves, check_exact=True)


def test_each_reason_for_the_plain_loop_is_said_once() -> None:
    reads = Way(1, step_s=2e-3, why="its forward pass reads values")
    (note,) = notes({"a": reads, "b": reads, "faster so": Way(1, step_s=1e-3), "population": Way(16, step_s=1e-4)})
    assert note == (
        "model: trains by the plain loop, each run alone (2 ms a step), not as a population: "
        "its forward pass reads values."
    )


def test_parameters_that_two_modules_share_are_found_whatever_their_shape() -> None:
    scale, empty = nn.Parameter(torch.ones(())), [nn.Parameter(torch.zeros(0)) for _ in range(2)]
    shared, apart = ([nn.ParameterList(kind) for kind in kinds] for kinds in ([[scale], [scale]], [[e] for e in empty]))
    assert shared_parameter(*shared) == "0"
    assert shared_parameter(*apart) == ""


class Squeezes(nn.Module):
    """An axis too many of a batch of one."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.a = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.a(x).unsqueeze(-1).squeeze()


@pytest.mark.parametrize(("validation_size", "test_size"), [(48, 60), (65, 60), (48, 65)])
def test_batches_of_every_size_that_occurs_are_tried_and_no_other(validation_size: int, test_size: int) -> None:
    x = torch.randn(300, 6, generator=torch.Generator().manual_seed(0))
    task = Tensors(x, (x[:, 0] > 0).long(), validation_size=validation_size, test_size=test_size)
    setup = Setup(task=task, model=Model(Squeezes), batch_size=16, steps=4)
    runs = [Run(0, seed, setup) for seed in (0, 1)]
    assert trial_run(setup) == []
    if 65 in (validation_size, test_size):  # the last of 65 examples, evaluated 64 at a time
        with pytest.raises(IndexError) as raised:
            obstacle(runs, CPU)
        assert raised.value.__notes__ == ["in the evaluation of a batch of 1"]
        return
    assert obstacle(runs, CPU) == ""
    assert train(runs, evaluations=2, device=CPU)[0]["test_loss"].notna().all()
