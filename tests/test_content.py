"""What a run is known by: what changes its numbers changes its key and nothing else does, and a change of our numbers is noticed."""

import dataclasses
import importlib.util
import itertools
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from test_source import MODULES
from torch import nn

from harness.clipping import AGC, ClippingRule, GlobalNorm, NoClipping
from harness.engine.content import RESULTS_VERSION, content, run_key
from harness.engine.diagnostics import Diagnostics
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.engine.train import train
from harness.models import DropoutNet, Model, SimpleRNN
from harness.optimizers import SGD, Adam
from harness.settings import Component, Sweep, Tune
from harness.settings.measures import Measure
from harness.settings.schedules import Cosine, Function, Linear, Schedule
from harness.settings.source import forget_sources
from harness.study import Claim, Study
from harness.study.load import load_study
from harness.tasks import AddingProblem, CopyMemory, Friedman, Images, Tensors
from harness.tasks.task import Data, Task

pytestmark = pytest.mark.usefixtures("modules_forgotten")

# --- The numbers of our engine

SMALL: dict[str, Any] = {"train_size": 200, "validation_size": 50, "test_size": 100}

TRAININGS = {
    "mlp": Setup(task=Friedman(**SMALL), model=DropoutNet(hidden=(16, 16), dropout=0.2), clipping=GlobalNorm(5.0), optimizer=SGD(0.01, momentum=0.9), batch_size=20, steps=20),
    "smoothed": Setup(task=Images(train_size=200, label_noise=0.2), model=DropoutNet(hidden=(16,), dropout=0.5), clipping=AGC(0.05), optimizer=Adam(0.01), batch_size=20, steps=20, label_smoothing=0.1),
    "rnn": Setup(task=AddingProblem(length=10, **SMALL), model=SimpleRNN(hidden=8), clipping=GlobalNorm(0.5), optimizer=SGD(Linear(0.1, 0.01)), batch_size=20, steps=20),
    "lstm": Setup(task=CopyMemory(delay=3, **SMALL), model=SimpleRNN(hidden=8, cell="lstm", readout="every", embedding=8, dropout=0.2), clipping=GlobalNorm(1.0), optimizer=Adam(0.02), batch_size=20, steps=20, accumulate=2),
    "gru": Setup(task=AddingProblem(length=10, **SMALL), model=SimpleRNN(hidden=8, cell="gru", recurrent_dropout=0.2, variational=True), optimizer=Adam(Cosine(0.02, warmup=5), weight_decay=0.1), batch_size=20, steps=20),
}  # fmt: skip

METRICS = ("train_loss", "validation_loss", "test_loss", "grad_norm_q99")

NUMBERS = {
    "mlp": [115.56287, 132.56953, 153.20125, 305.57339],
    "smoothed": [2.14089, 2.1323, 2.11954, 0.86348],
    "rnn": [0.21032, 0.17335, 0.16429, 1.91125],
    "lstm": [0.98309, 0.98516, 0.9841, 0.54503],
    "gru": [0.20069, 0.16746, 0.163, 1.84186],
}


def trained(name: str) -> list[float]:
    """Two seeds together, of which the second counts."""
    runs, _ = train([Run(0, seed, TRAININGS[name]) for seed in (0, 1)], evaluations=4, device=torch.device("cpu"))
    return [round(float(runs[metric].iloc[1]), 5) for metric in METRICS]


@pytest.mark.parametrize("name", TRAININGS)
def test_the_numbers_of_the_engine_are_those_of_its_version(name: str) -> None:
    assert RESULTS_VERSION == 2
    assert trained(name) == pytest.approx(NUMBERS[name], rel=1e-3), (
        "the engine gives other numbers than before: raise RESULTS_VERSION in harness/engine/content.py, so that runs of before"
        " are not taken for runs of now, and write the new numbers here"
    )


# --- What changes a key

STUDY = """
import torch, helpers
from harness import Claim, Model, Study, Sweep, Tune
from harness.engine.diagnostics import Diagnostics
from harness.clipping import GlobalNorm
from harness.optimizers import SGD
from harness.tasks import Tensors
from torch import nn

SCALE = 1.0
x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))

class Mine(nn.Module):
    def __init__(self, inputs, outputs, act=torch.tanh, p=0.1):
        super().__init__()
        self.net, self.act = nn.Sequential(nn.Linear(inputs, 4), nn.Dropout(p), nn.Linear(4, outputs)), act

    def forward(self, x):
        return helpers.halved(self.act(self.net(x))) * SCALE

class Unused(nn.Linear):
    pass

study = Study(name="mine", task=Tensors(x, (x[:, 0] > 0).long()), model=Model(Mine, p=Sweep(0.0, 0.5)), clipping=GlobalNorm(1.0),
              optimizer=SGD(Tune(0.1, 1.0)), batch_size=4, steps=5, seeds=2, tune_trials=2, evaluations=2)
"""


def key(folder: Path, study: str = STUDY, helpers: str = MODULES["helpers"], *, seed: int = 0, **levels: Any) -> str:
    """Of the run at p = 0 and lr = 0.3, or these levels, of the study in a file of its own, as it is loaded anew."""
    folder = folder / f"{next(_folders)}"
    folder.mkdir()
    for name, text in (MODULES | {"helpers": helpers, "mine": study}).items():
        (folder / f"{name}.py").write_text(text)
        sys.modules.pop(name, None)
    importlib.invalidate_caches()
    found, _ = load_study(folder / "mine.py")
    setup = found.setup({"model.p": 0.0, "optimizer.lr": 0.3} | levels)
    return run_key(Run(0, seed, setup), found.evaluations)


_folders = itertools.count()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("steps=5", "steps=6"),
        ("batch_size=4", "batch_size=5"),
        ("GlobalNorm(1.0)", "GlobalNorm(2.0)"),
        ("evaluations=2", "evaluations=3"),
        ("Model(Mine,", "Model(Mine, act=torch.relu,"),
        ("Model(Mine,", "Model(Mine, act=lambda x: x,"),
        ("SCALE = 1.0", "SCALE = 2.0"),
        ("* SCALE", "/ SCALE"),
        ("manual_seed(0)", "manual_seed(1)"),
        ("x[:, 0] > 0", "x[:, 1] > 0"),
    ],
)
def test_settings_code_and_data_make_another_run(old: str, new: str, tmp_path: Path) -> None:
    assert STUDY.count(old) == 1
    assert key(tmp_path, STUDY.replace(old, new)) != key(tmp_path)


def test_so_do_the_seed_the_level_and_a_helper(tmp_path: Path) -> None:
    texts = MODULES["helpers"], MODULES["helpers"].replace("HALF = 0.5", "HALF = 0.25")
    keys = [key(tmp_path), key(tmp_path, seed=1), key(tmp_path, **{"model.p": 0.5}), key(tmp_path, helpers=texts[1])]
    assert len(set(keys)) == 4


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("seeds=2", "seeds=[0, 5, 9]"),
        ('name="mine"', 'name="other"'),
        ("Tune(0.1, 1.0)", "Tune(0.01, 2.0, log=True)"),
        ("Tune(0.1, 1.0)", "0.3"),
        ("Sweep(0.0, 0.5)", "Sweep(0.0, 0.2, 0.5)"),
        ("Sweep(0.0, 0.5)", "0.0"),
        ("tune_trials=2", "tune_trials=3, metrics=Diagnostics('standard')"),
        ("evaluations=2", """evaluations=2, claims=[Claim("x", metric="test_loss", better="lower", smallest_effect=0.1,
                             treatment={"model.p": 0.5}, baseline={"model.p": 0.0})]"""),
        ("class Unused(nn.Linear):\n    pass", "# nothing"),
    ],
)  # fmt: skip
def test_what_decides_no_number_of_it_makes_no_other_run(old: str, new: str, tmp_path: Path) -> None:
    assert STUDY.count(old) == 1
    assert key(tmp_path, STUDY.replace(old, new)) == key(tmp_path)


# --- Components of the user's


class Own(Task):
    factor: float = 1.0

    def draw(self, seed: int) -> Data:
        x = FACTOR["data"] * torch.randn(40, 3, generator=torch.Generator().manual_seed(seed))
        return Data(x, (x[:, 0] > 0).long(), torch.arange(20), torch.arange(20, 30), torch.arange(30, 40))


FACTOR = {"data": 1.0}


class Rule(ClippingRule):
    bound: float = 1.0

    def clip(self, gradient: Any, *state: Any, **settings: Any) -> Any:
        return torch.zeros_like(gradient.norm)


class Descent(SGD):
    pass


class Halving(Schedule):
    start: float

    def sequence(self, steps: int) -> Any:
        return self.start * 0.5 ** torch.arange(steps).double().numpy()


def half(outputs: Any, targets: Any) -> Any:
    """Half."""
    return outputs[:, 0] * 0 + 0.5


def twice(x: Any) -> Any:
    return 2 * x


def study(**settings: Any) -> Study:
    given: dict[str, Any] = {
        "task": Own(),
        "model": DropoutNet(hidden=(4,)),
        "batch_size": 4,
        "steps": 4,
        "seeds": 2,
        "evaluations": 2,
    }
    return Study(name="x", **given | settings)


def test_every_component_of_the_users_is_in_the_description_wherever_it_is() -> None:
    described = study(
        clipping=Sweep(NoClipping(), Rule(2.0)), optimizer=Descent(lr=Sweep(Halving(0.1), Function(lambda t, steps: 0.1))),
        model=DropoutNet(hidden=(4, 4), dropout=Sweep((0.1, Halving(0.5)), (0.5, 0.2))),
        metrics=Diagnostics(measures=[Measure(half, "error", "lower")]),
    ).description()  # fmt: skip
    for path, name in {
        "task": "Own", "clipping[1]": "Rule", "optimizer": "Descent", "optimizer.lr[0]": "Halving",
        "model.dropout[0][1]": "Halving", "metrics.measures[0]": "Measure, test_content.half",
    }.items():  # fmt: skip
        assert f"{name} (" in described[path], (path, described[path])
    assert described["clipping[0]"] == "NoClipping" and described["model"] == "DropoutNet"
    assert "test_content.Halving.sequence" in {path.rpartition(" reaches ")[2] for path in described}


@pytest.mark.parametrize("method", ["clip", "update", "sequence", "draw"])
def test_another_method_of_a_component_makes_another_run(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cls = {"clip": Rule, "update": Descent, "sequence": Halving, "draw": Own}[method]
    setup = Setup(task=Own(), model=DropoutNet(hidden=(4,)), clipping=Rule(1.0), optimizer=Descent(Halving(0.1)))
    forget_sources()
    before = content(setup, 2)
    monkeypatch.setattr(
        cls, method, lambda self, *args, **settings: None if method != "draw" else Task.draw(self, *args), raising=False
    )
    forget_sources()
    paths = [path for path, text in content(setup, 2).items() if text != before[path]]
    assert paths == [
        {"clip": "clipping is", "update": "optimizer is", "sequence": "optimizer.lr is", "draw": "task is"}[method]
    ]


def test_data_of_a_users_task_are_known_by_content(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that it reads may have other content."""

    class OnTensors(Tensors):
        def draw(self, seed: int) -> Data:
            data = super().draw(seed)
            return dataclasses.replace(data, x=data.x * FACTOR["data"])

    x = torch.randn(40, 3)
    tasks = lambda: (Own(), OnTensors(x, torch.zeros(40).long() + (x[:, 0] > 0)))  # noqa: E731
    before, again = ([task.data_digest() for task in tasks()] for _ in range(2))
    assert before == again and all(before)
    monkeypatch.setitem(FACTOR, "data", 2.0)
    assert all(one != other for one, other in zip(before, [task.data_digest() for task in tasks()], strict=True))
    shipped = Tensors(x, x[:, 0])
    assert shipped.data_digest() == shipped.fingerprint() and AddingProblem().data_digest() == ""


def test_data_are_drawn_once_for_their_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []
    draw = Own.draw
    monkeypatch.setattr(Own, "draw", lambda self, seed: (seeds.append(seed), draw(self, seed))[1])
    task = Own()
    assert task.data_digest() == task.data_digest() and seeds == [0]


def test_functions_are_levels_that_claims_name_and_tables_show() -> None:
    class Net(nn.Module):
        def __init__(self, inputs: int, outputs: int, act: Any = F.relu) -> None:
            super().__init__()
            self.layer, self.act = nn.Linear(inputs, outputs), act

        def forward(self, x: Any) -> Any:
            return self.act(self.layer(x))

    claim = Claim(
        "x",
        metric="test_loss",
        better="lower",
        smallest_effect=0.1,
        treatment={"model.act": F.relu},
        baseline={"model.act": torch.tanh},
    )
    found = study(model=Model(Net, act=Sweep(F.relu, torch.tanh, twice)), claims=[claim], optimizer=SGD(Tune(0.1, 0.2)))
    assert found.description()["model.act"].startswith(
        "Sweep(torch.nn.functional.relu, torch.tanh, test_content.twice ("
    )


def test_components_are_compared_by_their_settings_only() -> None:
    assert isinstance(Rule(1.0), Component) and Rule(1.0) == Rule(1.0) != Rule(2.0)
