"""A study is checked when it is built: every problem at once, as `path: message`, with the nearest valid name."""

from math import inf, nan
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn as nn
from hypothesis import given
from hypothesis import strategies as st

from harness import Claim, Exact, InvalidStudy, Model, Study, Sweep, Tune
from harness.clipping import GlobalNorm, Value
from harness.models import DropoutNet, SimpleRNN
from harness.optimizers import SGD, Adam, Optimizer
from harness.settings import Fraction, LearningRate, NonNegative
from harness.study.changes import Changes, apply_changes, parse_seeds
from harness.study.expressions import parse_value
from harness.study.load import load_study
from harness.tasks import CharLM, Images

STUDIES = Path(__file__).parent.parent / "studies"


def problems(**settings: object) -> list[str]:
    with pytest.raises(InvalidStudy) as caught:
        Study(**({"name": "x", "task": Images(), "model": DropoutNet()} | settings))
    return list(map(str, caught.value.problems))


def claim(**changes: object) -> Claim:
    settings = {"metric": "test_error", "better": "lower", "smallest_effect": 0.1,
                "treatment": {"model.dropout": 0.5}, "baseline": {"model.dropout": 0.0}}  # fmt: skip
    return Claim("t", **(settings | changes))


MALFORMED = [
    ({"name": "../x"}, "name: ", "'../x'"),
    ({"model": DropoutNet(droput=0.5)}, "model.droput: unknown setting; did you mean dropout?", "0.5"),
    ({"model": DropoutNet(dropout=1.0)}, "model.dropout: input should be less than 1", "1.0"),
    ({"model": DropoutNet(dropout=nan)}, "model.dropout: must be a number", "nan"),
    ({"model": DropoutNet(dropout=Sweep(0.0, 1.5))}, "model.dropout: input should be less than 1", "1.5"),
    ({"model": DropoutNet(dropout=Sweep())}, "model.dropout: Sweep needs at least one level", ""),
    ({"model": DropoutNet(dropout=Sweep(0.1, 0.1))}, "model.dropout: the levels of a Sweep must differ", ""),
    ({"model": nn.Linear(3, 3)}, "model: needs a torch.nn.Module class, e.g. Model(MyNet, width=32)", "a Linear object"),
    ({"model": Model(nn.Linear, in_features=3, out_features=2)}, "model: does not train on Images", ""),
    ({"clipping": GlobalNorm(max_norm=-1.0)}, "clipping.max_norm: input should be greater than 0", "-1.0"),
    ({"clipping": GlobalNorm(max_norm="1")}, "clipping.max_norm: input should be a valid number", "'1'"),
    ({"clipping": 1.0}, "clipping: input should be an instance of ClippingRule", "1.0"),
    ({"optimizer": SGD(lr=Tune(0.0, 1.0, log=True))}, "optimizer.lr: log=True needs low > 0", ""),
    ({"optimizer": SGD(lr=Tune(2.0, 1.0))}, "optimizer.lr: low < high must hold", ""),
    ({"optimizer": SGD(lr=Tune(-1.0, 1.0))}, "optimizer.lr: input should be greater than 0", "-1.0"),
    ({"batch_size": 0}, "batch_size: input should be greater than or equal to 1", "0"),
    ({"batch_size": 10**6}, "batch_size: must not exceed the ", "1000000"),
    ({"steps": 1.5}, "steps: input should be a valid integer", "1.5"),
    ({"seeds": [1, 1]}, "seeds: must be different", "[1, 1]"),
    ({"seeds": Sweep(1, 2)}, "seeds: cannot be swept or tuned", ""),
    ({"sampler": "grid"}, "sampler: input should be 'qmc', 'tpe' or 'random'", "'grid'"),
    ({"objective": "test_loss"}, "objective: cannot be tuned for; did you mean train_loss?", "test_loss"),
    ({"stepz": 3}, "stepz: unknown setting; did you mean steps?", "3"),
    ({"claims": [claim()]}, "claims[0].treatment.model.dropout: is not a swept factor", ""),
    ({"claims": [claim(metric="tst_loss")]}, "claims[0].metric: unknown metric; did you mean test_loss?", "tst_loss"),
    ({"claims": [claim(smallest_effect=0.0)]}, "claims[0].smallest_effect: input should be greater than 0", "0.0"),
    ({"model": DropoutNet(dropout=Sweep(0.0, 0.5)), "claims": [claim(baseline={})]},
     "claims[0].baseline: must name the factors of treatment", "[]"),
    ({"claims": [Exact("t", metric="nothing_like_it")]}, "claims[0].metric: unknown metric", "nothing_like_it"),
    ({"model": DropoutNet(dropout=Sweep(0.0, 0.2)), "claims": [claim()]},
     "claims[0].treatment.model.dropout: is not a level of Sweep(0.0, 0.2)", "0.5"),
    ({"task": Images("no_such")}, "task.source: ", "no_such"),
    ({"task": Images(train_size=10**6)}, "task.train_size: ", "1000000"),
    ({"task": CharLM(text="/no/such/file.txt"), "model": SimpleRNN(readout="every")}, "task.text: ", "/no/such/file.txt"),
    ({"task": None}, "task: input should be an instance of Task", "None"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "message", "got"), MALFORMED, ids=lambda v: str(v)[:40])
def test_malformed_study_is_refused_with_path_and_value(settings: dict[str, object], message: str, got: str) -> None:
    found = problems(**settings)
    assert any(line.startswith(message) and got in line for line in found), found


def test_all_problems_are_reported_at_once() -> None:
    found = problems(
        name="a b", model=DropoutNet(droput=1, hidden=0), clipping=Value(-1.0), optimizer=Adam(lr="x"), steps=0
    )
    assert {line.partition(":")[0] for line in found} == {
        "name", "model.droput", "model.hidden", "clipping.max_value", "optimizer.lr", "steps"}  # fmt: skip


def test_cells_multiply_and_setups_hold_their_levels() -> None:
    study = Study(
        name="x", task=Images(), model=DropoutNet(dropout=Sweep(0.0, 0.5)), clipping=GlobalNorm(Sweep(1, inf)),
        optimizer=SGD(lr=Tune(0.1, 1.0)), batch_size=Sweep(16, 32),
    )  # fmt: skip
    cells = study.cells()
    assert len(cells) == 8
    assert cells[0] == {"model.dropout": 0.0, "clipping.max_norm": 1.0, "batch_size": 16}
    setup = study.setup(cells[7] | {"optimizer.lr": 0.3})
    assert setup.model.values()["dropout"] == 0.5
    assert dict(setup.walk())["clipping.max_norm"] == inf
    assert (setup.batch_size, dict(setup.walk())["optimizer.lr"]) == (32, 0.3)


def test_components_are_frozen_and_compare_by_value() -> None:
    assert GlobalNorm(1) == GlobalNorm(max_norm=1.0) != GlobalNorm(2.0)
    with pytest.raises(AttributeError, match="frozen"):
        GlobalNorm(1.0).max_norm = 2.0  # type: ignore[misc]


def test_whole_components_can_be_swept() -> None:
    study = Study(name="x", task=Images(), model=DropoutNet(), clipping=Sweep(GlobalNorm(1.0), Value(0.1)))
    assert [type(study.setup(cell).clipping).__name__ for cell in study.cells()] == ["GlobalNorm", "Value"]


def test_users_argument_named_inputs_or_outputs_comes_from_the_task() -> None:
    class Mine(nn.Module):
        def __init__(self, inputs: int, outputs: int, width: int = 8) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(inputs, width), nn.Linear(width, outputs))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.net(x)

    study = Study(name="x", task=Images(), model=Model(Mine, width=Sweep(4, 8)))
    assert set(study.sweeps()) == {"model.width"}
    assert Study(name="x", task=Images(), model=Mine).factors()["model.width"] == 8


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.py")), ids=lambda p: p.stem)
def test_shipped_study_is_valid_and_named_after_its_file(path: Path) -> None:
    study, doc = load_study(path)
    assert study.name == path.stem
    assert doc


def test_changes_of_the_command_line() -> None:
    changes = Changes(("optimizer.lr=0.5", "model.hidden=8", "clipping.max_norm=Sweep(1, inf)"), "2-4", quick=True)
    study, _ = load_study(STUDIES / "rnn_clip.py", changes)
    assert study.factors()["optimizer.lr"] == 0.5
    assert study.factors()["model.hidden"] == 8
    assert study.sweeps()["clipping.max_norm"].levels == (1.0, inf)
    assert study.confirm_seeds() == [2, 3, 4]
    assert study.name == "rnn_clip-quick"
    assert study.steps < 300


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model.droput=0.3", "model.droput: unknown setting; did you mean model.dropout?"),
        ("nothing", "nothing: needs the form path=value"),
        ("optimizer.lr=Tune(1)", "optimizer.lr: cannot make Tune: missing a required argument: 'high'"),
        ("model.dropout=abc", "model.dropout: input should be a valid number"),
        ("clipping.max_norm=-1", "clipping.max_norm: input should be greater than 0"),
        ("steps.x=1", "steps.x: unknown setting"),
    ],
)
def test_bad_set_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidStudy) as caught:
        load_study(STUDIES / "mlp_dropout.py", Changes((text,)))
    assert any(str(problem).startswith(message) for problem in caught.value.problems), caught.value.problems


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("stud = 1", "must define `study = Study(…)` (got nothing of that name)"),
        ("study = 1", "must define `study = Study(…)` (got a int)"),
        ("x = 1\n1 / 0\n", ":2: ZeroDivisionError: division by zero"),
        ("x = (\n", ":1: SyntaxError"),
        ("import no_such_module", ":1: ModuleNotFoundError: No module named 'no_such_module'"),
    ],
)
def test_broken_study_file_is_refused(source: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(source)
    with pytest.raises(InvalidStudy) as caught:
        load_study(tmp_path / "mine.py")
    assert message in str(caught.value)


@given(st.text(max_size=30))
def test_any_set_value_parses_or_is_refused_by_value_error(text: str) -> None:
    for parse in (parse_value, parse_seeds):
        try:
            parse(text)
        except ValueError as error:
            assert str(error)  # noqa: PT017


@given(st.one_of(st.floats(), st.integers(), st.text(max_size=5), st.none(), st.booleans(), st.lists(st.integers())))
def test_any_value_of_a_field_is_taken_or_reported(value: object) -> None:
    for component in (GlobalNorm(value), SGD(value), Adam(weight_decay=Sweep(value, value)), Value(Tune(value, value))):  # type: ignore
        assert all(str(problem) for problem in component.problems())


def test_whole_numbers_of_numpy_and_ranges_are_whole_numbers() -> None:
    study = Study(
        name="x", task=Images(), model=DropoutNet(hidden=(np.int64(4),)), steps=np.int32(5), seeds=range(3, 6)
    )
    plain = Study(name="x", task=Images(), model=DropoutNet(hidden=(4,)), steps=5, seeds=[3, 4, 5])
    assert study.planned_seeds() == [3, 4, 5] and type(study.steps) is int and study.digest() == plain.digest()
    few = Study(name="x", task=Images(), model=DropoutNet(), steps=5, seeds=list(np.arange(2)))
    assert few.planned_seeds() == [0, 1]
    assert SGD(lr=0.1).replace(momentum=np.True_).problems()


class Averaged(Optimizer):
    """Its `decay` is that of a mean, and no weight's."""

    lr: LearningRate = 0.1
    weight_decay: NonNegative = 0.0
    decay: Fraction = 0.9
    state_names = ("mean",)

    def coefficients(self, step: torch.Tensor, *, lr, weight_decay, decay):
        return {"lr": lr, "weight_decay": weight_decay, "decay": decay}

    def update(self, parameters, gradient, mean, *, lr, weight_decay, decay):
        mean.lerp_(gradient + weight_decay * parameters, 1 - decay)
        parameters.sub_(lr * mean)


def test_settings_that_change_nothing_are_named_and_those_that_are_given_by_nobody_are_not() -> None:
    fixed = {"name": "x", "task": Images(), "model": DropoutNet(hidden=(4,)), "steps": 5}
    search = {"tune": "shared", "tune_trials": 3, "tune_seeds": 3, "sampler": "random"}
    idle = Study(**fixed, **search, objective="validation_error", evaluations=100)
    assert [note.partition(":")[0] for note in idle.notes] == [*search, "evaluations"]
    assert "nothing is tuned" in idle.notes[1] and idle.notes[-1].endswith("a run of 5 steps has 5, one after each")
    decay = SGD(0.1, weight_decay=Sweep(0.0, 0.1), decay="weights")
    assert Study(**fixed, optimizer=decay).notes == []
    assert Study(**fixed, optimizer=decay.replace(weight_decay=0.0)).notes == [
        "optimizer.decay: 'weights' has no effect: weight_decay is 0"
    ]
    assert Study(**fixed, optimizer=Averaged(decay=0.9)).notes == [], "of a formula of its own"
    tuned = Study(**fixed, **search, optimizer=SGD(Tune(0.1, 1.0)))
    assert tuned.notes == Study(**fixed).notes == []
    assert apply_changes(Study(**fixed), Changes(quick=True)).notes == []
