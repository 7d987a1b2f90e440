"""The shipped models and every form of dropout against the textbook loop with the papers' formulas, in float64."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from test_train import CPU, curves_of, textbook, textbook_model

from harness import InvalidStudy, Study, Sweep
from harness.engine.functions.answers import Answers
from harness.engine.member_float import Level, MemberFloat
from harness.engine.noise import Noise
from harness.engine.planning import groups
from harness.engine.proof import obstacle
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.models import DropoutNet, Model, SimpleRNN
from harness.models.init import set_recurrent
from harness.models.noise import GaussianDropout, Variational, Zoneout, zoneout
from harness.optimizers import SGD
from harness.settings.schedules import Early, Late, Linear
from harness.study.trial_run import trial_run
from harness.tasks import CharLM, Images, Task

MLP, ROWS, TEXT = Images(), Images(layout="rows"), CharLM(length=8)

FORMS: dict[str, tuple[Task, Model, dict[str, Any]]] = {
    "deep mlp": (MLP, DropoutNet(hidden=(16, 16, 16), activation="tanh", init="orthogonal", gain=1.3), {"dropout": 0.2}),
    "input dropout": (MLP, DropoutNet(hidden=(16,), input_dropout=0.2, activation="gelu", init="he"), {"input_dropout": 0.6}),
    "gaussian": (MLP, DropoutNet(hidden=(16,), noise="gaussian", input_dropout=0.1), {"dropout": 0.0, "input_dropout": 0.3}),
    "lstm of two layers": (ROWS, SimpleRNN(hidden=16, layers=2, cell="lstm", dropout=0.3), {"dropout": 0.5}),
    "embedding": (TEXT, SimpleRNN(hidden=16, cell="gru", embedding=6, readout="every", input_dropout=0.2), {"input_dropout": 0.4}),
    "variational": (ROWS, SimpleRNN(hidden=16, layers=2, cell="lstm", variational=True, dropout=0.2, input_dropout=0.1, recurrent_dropout=0.3),
                    {"recurrent_dropout": 0.0, "dropout": 0.4}),
    "at every step": (TEXT, SimpleRNN(hidden=16, recurrent_dropout=0.3, dropout=0.2, readout="every", init="orthogonal"), {"recurrent_dropout": 0.5}),
    "gaussian rnn": (ROWS, SimpleRNN(hidden=16, layers=2, cell="gru", noise="gaussian", variational=True, dropout=0.2, recurrent_dropout=0.2), {"dropout": 0.4}),
    "dropconnect": (ROWS, SimpleRNN(hidden=16, layers=2, cell="lstm", weight_dropout=0.5), {"weight_dropout": 0.2}),
    "dropconnect of a relu rnn": (ROWS, SimpleRNN(hidden=16, nonlinearity="relu", weight_dropout=0.5, spectral_radius=0.9), {"weight_dropout": 0.2}),
    "zoneout": (ROWS, SimpleRNN(hidden=16, layers=2, zoneout=0.3), {"zoneout": 0.1}),
    "zoneout of an lstm": (ROWS, SimpleRNN(hidden=16, cell="lstm", zoneout=0.05, cell_zoneout=0.5), {"cell_zoneout": 0.2}),
    "zoneout of a gru": (ROWS, SimpleRNN(hidden=16, cell="gru", zoneout=0.3, weight_dropout=0.1), {"zoneout": 0.5}),
    "early": (MLP, DropoutNet(hidden=(16,), dropout=Early(0.5, until=5)), {"dropout": 0.5}),
    "late": (MLP, DropoutNet(hidden=(16,), dropout=Late(0.5, after=5)), {"dropout": Early(0.3, until=2)}),
    "linear": (MLP, DropoutNet(hidden=(16,), noise="gaussian", dropout=Linear(0.45, 0.1)), {"dropout": Linear(0.0, 0.33, until=7)}),
    "zoneout that fades": (ROWS, SimpleRNN(hidden=16, cell="lstm", zoneout=Linear(0.5, 0.1), dropout=Late(0.2, after=3)), {"dropout": 0.1}),
}  # fmt: skip


def runs_of(name: str, seeds: tuple[int, ...] = (3, 4)) -> list[Run]:
    task, model, change = FORMS[name]
    setup = Setup(task=task, model=model, optimizer=SGD(0.2), batch_size=8, steps=12)
    return [Run(i, s, setup.replace(model=m)) for i, m in enumerate([model, model.replace(**change)]) for s in seeds]


@pytest.mark.parametrize("other", ["input_dropout", "recurrent_dropout", "zoneout", "weight_dropout"])
@pytest.mark.parametrize("batch_size", [6, 8])
@pytest.mark.parametrize("variational", [False, True])
def test_a_further_dropout_leaves_the_noise_of_the_readout_as_it_is(
    other: str, batch_size: int, variational: bool
) -> None:
    """Whatever sizes agree: steps and examples, the embedding and the hidden layer. It drops next to nothing."""
    model = SimpleRNN(hidden=16, embedding=16, readout="every", dropout=0.5, variational=variational)
    first = []
    for each in (model, model.replace(**{other: 1e-12})):
        setup = Setup(task=TEXT, model=each, optimizer=SGD(0.2), batch_size=batch_size, steps=2)
        first.append(float(curves_of([Run(0, 3, setup)])["loss"].iloc[0]))
    assert first[0] == pytest.approx(first[1], rel=1e-9)


@pytest.mark.parametrize("name", FORMS)
def test_member_equals_the_textbook_loop_alone_and_among_others(name: str) -> None:
    runs = runs_of(name)
    assert trial_run(runs[0].setup) == []
    assert obstacle([runs[0], runs[-1]], CPU) == ""
    together, alone = curves_of(runs, dtype=torch.float64), curves_of(runs[:1], dtype=torch.float64)
    for run in runs:
        model, losses, norms = textbook_model(run.setup, run.seed, torch.float64)
        data = run.setup.task.data(run.seed)
        x = data.x[data.validation]
        output = model.eval()(x.double() if x.is_floating_point() else x)
        loss = F.cross_entropy(output.flatten(0, -2), data.y[data.validation].flatten()).item()
        for curves in [together, alone] if run == runs[0] else [together]:
            mine = curves.loc[run.trial, run.seed]
            np.testing.assert_allclose(mine["loss"], losses, rtol=1e-9)
            np.testing.assert_allclose(mine["grad_norm"], norms, rtol=1e-9)
            assert mine["validation_loss"].iloc[-1] == pytest.approx(loss, rel=1e-9)


@pytest.mark.parametrize("name", FORMS)
def test_levels_above_zero_share_a_population(name: str) -> None:
    task, model, change = FORMS[name]
    levels = {path: 0.15 if level == 0 else level for path, level in change.items()}
    setups = [Setup(task=task, model=m, steps=5) for m in (model, model.replace(**levels))]
    assert len(groups([Run(i, 0, setup) for i, setup in enumerate(setups)])) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gaussian", "variational", "dropconnect", "zoneout of an lstm", "linear"])
def test_companions_do_not_change_a_bit(name: str) -> None:
    runs = runs_of(name, tuple(range(16)))
    together = curves_of(runs)
    apart = pd.concat([curves_of(runs[:16]), curves_of(runs[16:])])
    pd.testing.assert_frame_equal(together, apart, check_exact=True)


def noise_of(levels: list[Level], steps: int = 6) -> tuple[Noise, MemberFloat]:
    """Of one seed, with a member for each level."""
    noise = Noise({0: slice(0, len(levels))}, steps=steps, device=CPU, dtype=torch.float64)
    return noise, MemberFloat(levels)


def drawn(noise: Noise, kind: str, p: MemberFloat) -> torch.Tensor:
    """The masks of the first call of a forward pass."""
    noise.begin(train=True)
    masks = noise.mask(kind, p, (16, 64))
    assert masks is not None
    return masks.clone()


def test_gaussian_noise_is_one_standard_normal_scaled_by_each_members_p() -> None:
    ps = [0.1, 0.5, 0.8]
    noise, levels = noise_of(ps)
    masks = drawn(noise, "gaussian", levels)
    normals = [(mask - 1) / (p / (1 - p)) ** 0.5 for mask, p in zip(masks, ps, strict=True)]
    for z in normals[1:]:
        torch.testing.assert_close(z, normals[0])
    assert abs(float(normals[0].mean())) < 4 / normals[0].numel() ** 0.5
    assert float(normals[0].var()) == pytest.approx(1, abs=6 / normals[0].numel() ** 0.5)


def test_zoned_out_units_are_nested_in_p() -> None:
    noise, ps = noise_of([0.1, 0.4, 0.8])
    noise.begin(train=True)
    like = torch.ones(8, 16, 16, dtype=torch.float64)
    with Answers(noise, batched=True):
        held = torch.func.vmap(lambda _: zoneout(like, ps, True))(torch.zeros(3))
    assert set(held.unique().tolist()) == {0.0, 1.0}
    assert bool((held[0] <= held[1]).all() and (held[1] <= held[2]).all())
    for p, units in zip(ps.levels, held, strict=True):
        assert abs(float(units.mean()) - p) < 4 * (p * (1 - p) / units.numel()) ** 0.5


def test_a_schedule_draws_the_masks_that_its_p_would_have_drawn_all_along() -> None:
    noise, levels = noise_of([0.5, Early(0.5, until=3), Late(0.5, after=3), Linear(0.5, 0.1, until=5), 0.1])
    shares = []
    for step in range(1, 9):  # six steps of training; what is drawn after them is at the last step's p
        noise.clock.advance()
        constant, early, late, linear, low = drawn(noise, "bernoulli", levels)
        assert torch.equal(early if step <= 3 else late, constant)
        assert bool(((late if step <= 3 else early) == 1).all())
        assert torch.equal(linear, constant) if step == 1 else torch.equal(linear, low) if step >= 5 else True
        shares.append(float((linear == 0).double().mean()))
    assert shares[0] > shares[2] > shares[4]


def test_variational_dropout_has_one_mask_for_all_steps() -> None:
    torch.manual_seed(0)
    out = Variational(nn.Dropout(0.5))(torch.ones(4, 10, 6))
    assert torch.equal(out, out[:, :1].expand_as(out))
    assert set(out.unique().tolist()) == {0.0, 2.0}


def test_noise_layers_by_themselves() -> None:
    torch.manual_seed(0)
    x = torch.ones(100, 200)
    noisy = GaussianDropout(0.2)(x)
    assert float(noisy.mean()) == pytest.approx(1, abs=0.02)
    assert float(noisy.std()) == pytest.approx(0.5, abs=0.02)
    assert torch.equal(GaussianDropout(0.2).eval()(x), x)
    shares = Zoneout(0.2)(x)
    assert set(shares.unique().tolist()) == {0.0, 1.0}
    assert float(shares.mean()) == pytest.approx(0.2, abs=0.02)
    assert float(Zoneout(0.2).eval()(x)) == pytest.approx(0.2)
    assert Zoneout(0.0)(x) is None


def built(model: Model, sizes: tuple[int, int] = (20, 5)) -> Any:
    torch.manual_seed(0)
    return model.build(dict(zip(("inputs", "outputs"), sizes, strict=True)))


def test_initial_weights_of_a_perceptron() -> None:
    plain, strong = built(DropoutNet(hidden=(300, 200))), built(DropoutNet(hidden=(300, 200), gain=3.0))
    he, orthogonal = (built(DropoutNet(hidden=(300, 200), init=init, gain=2.0)) for init in ("he", "orthogonal"))
    for a, b in zip(plain.hidden, strong.hidden, strict=True):
        assert torch.equal(3 * a.weight, b.weight)
        assert torch.equal(a.bias, b.bias)
    assert he.hidden[1].weight.std().item() == pytest.approx(2 * (2 / 300) ** 0.5, rel=0.02)
    weight = orthogonal.hidden[1].weight
    torch.testing.assert_close(weight @ weight.T, 4 * torch.eye(200), atol=1e-4, rtol=0)
    for other in (strong, he, orthogonal):
        assert torch.equal(other.readout.weight, plain.readout.weight)
        assert not other.hidden[1].bias.any() or other is strong


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("init", ["default", "orthogonal"])
def test_spectral_radius_is_the_chosen_one(cell: str, init: str) -> None:
    plain = built(SimpleRNN(hidden=12, layers=2, cell=cell))
    model = built(SimpleRNN(hidden=12, layers=2, cell=cell, spectral_radius=1.25, init=init))
    for layer in range(2):
        for gate in getattr(model.rnn, f"weight_hh_l{layer}").detach().numpy().reshape(-1, 12, 12):
            assert np.abs(np.linalg.eigvals(gate)).max() == pytest.approx(1.25, rel=1e-5)
            if init == "orthogonal":
                np.testing.assert_allclose(gate @ gate.T, 1.25**2 * np.eye(12), atol=1e-5)
    assert torch.equal(model.readout.weight, plain.readout.weight)
    assert torch.equal(model.rnn.weight_ih_l0, plain.rnn.weight_ih_l0)


def test_without_a_choice_torchs_recurrent_weights_stay() -> None:
    layer = nn.LSTM(3, 4)
    before = layer.weight_hh_l0.clone()
    set_recurrent(layer, "default", None)
    assert torch.equal(layer.weight_hh_l0, before)


REFUSED = [
    (ROWS, SimpleRNN(cell="gru", nonlinearity="relu"), "nonlinearity='relu' needs cell='rnn'"),
    (ROWS, SimpleRNN(cell_zoneout=0.1), "cell_zoneout needs cell='lstm'"),
    (ROWS, SimpleRNN(embedding=8), "embedding is for tokens; leave it out"),
    (TEXT, SimpleRNN(readout="every", input_dropout=0.1), "input_dropout of tokens needs an embedding"),
    (MLP, DropoutNet(input_dropout=1.0), "model.input_dropout: input should be less than 1"),
    (MLP, DropoutNet(zoneout=0.1), "model.zoneout: unknown setting"),
    (MLP, DropoutNet(dropout=Early(1.0, until=5)), "model.dropout: input should be less than 1"),
    (MLP, DropoutNet(dropout=Late(0.5)), "model.dropout.after: is required"),
    (MLP, DropoutNet(hidden=(Early(0.1, until=3),)), "model"),
]


@pytest.mark.parametrize(("task", "model", "message"), REFUSED, ids=lambda v: v if isinstance(v, str) else "")
def test_wrong_combinations_are_refused_with_the_way_out(task: Task, model: Model, message: str) -> None:
    with pytest.raises(InvalidStudy) as caught:
        Study(name="x", task=task, model=model, steps=5)
    assert any(message in str(problem) for problem in caught.value.problems), caught.value.problems


def test_the_numbers_of_a_schedule_are_factors_and_schedules_are_levels() -> None:
    inside = Study(name="x", task=MLP, model=DropoutNet(dropout=Early(Sweep(0.1, 0.5), until=100)), steps=5)
    assert set(inside.sweeps()) == {"model.dropout.value"}
    assert inside.factors()["model.dropout.until"] == 100
    assert inside.setup({"model.dropout.value": 0.5}).model.values()["dropout"] == Early(0.5, until=100)
    whole = Study(name="x", task=MLP, model=DropoutNet(dropout=Sweep(0.5, Early(0.5, until=3))), steps=5)
    assert len(groups([Run(i, 0, whole.setup(cell)) for i, cell in enumerate(whole.cells())])) == 1


def test_a_schedule_reaches_a_users_dropout_layer_or_is_refused() -> None:
    class Users(nn.Module):
        def __init__(self, outputs: int, dropout: float = 0.1, halve: bool = False) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(64, 16), nn.Linear(16, outputs)
            self.drop = nn.Dropout(dropout / 2 if halve else dropout)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(self.drop(self.a(x)))

    levels = 0.5, Late(0.5, after=2)
    setups = [Setup(task=MLP, model=Model(Users, dropout=level), optimizer=SGD(0.2), steps=4) for level in levels]
    assert obstacle([Run(0, 0, setups[0]), Run(1, 1, setups[1])], CPU) == ""
    curves = curves_of([Run(i, seed, setup) for i, setup in enumerate(setups) for seed in (0, 1)], dtype=torch.float64)
    for i, setup in enumerate(setups):
        np.testing.assert_allclose(curves.loc[i, 1]["loss"], textbook(setup, 1, torch.float64)[0], rtol=1e-9)
    (problem,) = trial_run(Setup(task=MLP, model=Model(Users, dropout=Late(0.5, after=2), halve=True)))
    assert "cannot be built: TypeError: unsupported operand" in problem.message
