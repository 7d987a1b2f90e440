"""What editors, notebooks and type checkers know of a study's pieces: real names, types and defaults."""

import inspect
import subprocess
import sys
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

import harness
from harness import clipping, models, optimizers, tasks
from harness.settings import Component
from harness.settings.metrics import shipped
from harness.settings.schedules import Cosine
from harness.tasks import Tensors

PIECES = [
    piece
    for room in (clipping, optimizers, tasks)
    for piece in (getattr(room, name) for name in getattr(room, "__all__", vars(room)))
    if isinstance(piece, type) and issubclass(piece, Component) and piece is not Component
]


def test_every_piece_names_its_settings_with_their_defaults() -> None:
    assert len(PIECES) > 20
    for piece in PIECES:
        parameters = inspect.signature(piece).parameters
        assert not {p.kind for p in parameters.values()} & {
            inspect.Parameter.VAR_POSITIONAL,
            inspect.Parameter.VAR_KEYWORD,
        }
        required = [name for name, p in parameters.items() if p.default is p.empty]
        if not required:
            assert {name: p.default for name, p in parameters.items()} == piece().values(), piece
        assert "Annotated" not in str(inspect.signature(piece))


def test_signatures_read_as_they_are_written() -> None:
    assert str(inspect.signature(optimizers.SGD)) == (
        "(lr: float = 0.1, momentum: float = 0.0, weight_decay: float = 0.0, nesterov: bool = False, "
        "decay: Literal['all', 'weights'] = 'all')"
    )
    assert str(inspect.signature(clipping.GlobalNorm)) == "(max_norm: float = inf)"
    shown = inspect.signature(Tensors)
    assert list(shown.parameters)[:2] == ["x", "y"]
    assert shown.parameters["label_noise"].kind is inspect.Parameter.KEYWORD_ONLY
    bound = shown.bind(1, 2, label_noise=0.1)
    assert bound.arguments == {"x": 1, "y": 2, "label_noise": 0.1}
    with pytest.raises(TypeError, match="unexpected keyword argument 'label_nose'"):
        shown.bind(1, 2, label_nose=0.1)
    study = inspect.signature(harness.Study).parameters
    assert {"task", "model", "epochs", "claims"} < set(study)
    assert {p.kind for p in study.values()} == {inspect.Parameter.KEYWORD_ONLY}


def test_models_take_the_arguments_of_their_constructors_without_what_the_task_gives() -> None:
    for name, module in (("DropoutNet", models.mlp.DropoutNet), ("SimpleRNN", models.rnn.SimpleRNN)):
        shown = inspect.signature(getattr(models, name)).parameters
        own = inspect.signature(module).parameters
        assert list(shown) == [name for name in own if name not in ("inputs", "outputs")]
        assert all(shown[name].default == own[name].default for name in shown)
        assert "Annotated" not in str(inspect.signature(getattr(models, name)))
    cell = inspect.signature(models.SimpleRNN).parameters["cell"]
    assert cell.annotation == Literal["rnn", "lstm", "gru"]


def test_a_users_own_piece_has_a_signature_too_and_keeps_its_order() -> None:
    class Own(Cosine):
        """With a number that must be given."""

        floor: float

    shown = inspect.signature(Own)
    assert shown.parameters["floor"].kind is inspect.Parameter.KEYWORD_ONLY
    assert list(shown.parameters) == ["peak", "end", "warmup", "floor"]


def family(base: type, made: Callable[[type], type]) -> list[Any]:
    """A class, and classes derived from it with a field more, made by a decorator."""

    @made
    class First(base):  # type: ignore[misc]
        x: int
        y: float = 1.0
        _: KW_ONLY
        size: int = 3

    @made
    class Own(First):
        gamma: float = 0.0

    @made
    class Named(First):
        _: KW_ONLY
        gamma: float = 0.0

    @made
    class Changed(Own):
        y: float = 2.0
        delta: float = 0.5

    return [First, Own, Named, Changed]


def test_positions_are_those_of_dataclasses() -> None:
    for piece, twin in zip(family(Component, lambda cls: cls), family(object, dataclass), strict=True):
        mine, theirs = inspect.signature(piece), inspect.signature(twin)
        assert [(p.name, p.default) for p in mine.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD] == [
            (p.name, p.default) for p in theirs.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD
        ]
        assert mine.parameters.keys() == theirs.parameters.keys()
        for values in ((7,), (7, 8.0), (7, 8.0, 9.0), (7, 8.0, 9.0, 10.0), (7, 8.0, 9.0, 10.0, 11.0)):
            made = piece(*values)
            try:
                expected = vars(twin(*values))
            except TypeError:
                with pytest.raises(TypeError, match="too many positional"):
                    mine.bind(*values)
                assert "takes at most" in str(made.problems()[0])
            else:
                mine.bind(*values)
                assert (made.problems(), made.values()) == ([], expected)


def test_a_task_of_a_users_own_takes_examples_first() -> None:
    """Its own settings are shown before those of all tasks, but come after the examples that every task of its kind is given."""

    class Weighed(Tensors):
        gamma: float = 0.0

    x, y = torch.randn(100, 5), torch.arange(100) % 2
    assert list(inspect.signature(Weighed).parameters)[:3] == ["x", "y", "gamma"]
    for task in (Weighed(x, y, gamma=1.0), Weighed(x, y, 1.0)):
        assert (task.problems(), task.gamma) == ([], 1.0) and task.x is x


def test_names_of_metrics_and_settings_stand_in_tables() -> None:
    found = harness.metrics()
    assert found.loc["gap"].to_dict() == {
        "meaning": "test_loss − train_loss", "unit": "loss", "better": "lower", "level": "light", "group": "generalization",
    }  # fmt: skip
    assert list(found.index) == list(shipped())
    sgd = harness.settings_of(optimizers.SGD)
    assert sgd.loc["momentum"].to_dict() == {
        "type": "float",
        "default": "0.0",
        "meaning": "weight of the previous update.",
    }
    assert harness.settings_of(Tensors).loc["x", "default"] == "required"
    for piece in (*PIECES, models.DropoutNet, models.SimpleRNN, harness.Study, harness.Claim):
        table = harness.settings_of(piece)
        assert list(table.index) == list(inspect.signature(piece).parameters)
        assert not len(table) or (table["meaning"] != "").all(), (piece, table)


RIGHT = """from harness import Cosine, Early, Model, Study, Sweep, Tune
from harness.clipping import AGC, GlobalNorm, NoClipping
from harness.models import DropoutNet, SimpleRNN
from harness.optimizers import SGD, AdamW
from harness.tasks import CharLM, Images

SGD(lr=Tune(0.1, 1.0, log=True), momentum=Sweep(0.0, 0.9))
AdamW(lr=Cosine(Tune(0.1, 1.0), warmup=Sweep(0, 50)))
CharLM(length=50)
Images("digits", label_noise=0.1)
DropoutNet(dropout=Early(0.5, until=200), hidden=(64,))
SimpleRNN(hidden=64, readout="every", dropout=Sweep(0.0, 0.2))
Study(name="x", task=Images(), model=DropoutNet, clipping=Sweep(NoClipping(), GlobalNorm(1.0), AGC(0.1)))
"""

WRONG = """from harness.clipping import GlobalNorm
from harness.models import DropoutNet, SimpleRNN
from harness.optimizers import SGD
from harness.tasks import CharLM

SGD(lrr=1.0)
SGD(lr="high")
GlobalNorm(1.0, 2.0)
CharLM(lenght=50)
DropoutNet(droput=0.5)
SimpleRNN(cell="gated")
"""


@pytest.mark.slow
def test_a_type_checker_flags_wrong_arguments_and_no_right_ones(tmp_path: Path) -> None:
    for name, text in (("right", RIGHT), ("wrong", WRONG)):
        (tmp_path / f"{name}.py").write_text(text)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--config-file=", "right.py", "wrong.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    found = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert [line.split(": error: ")[0] for line in found] == [f"wrong.py:{n}" for n in range(6, 12)], done.stdout
    for line, said in zip(found, ["lrr", '"lr"', "Too many", "lenght", "droput", '"cell"'], strict=True):
        assert said in line
