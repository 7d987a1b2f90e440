"""Whatever a study is written with, it is taken or refused by `path: message`: never another error, never a file.

By hand, with many more examples: FUZZ=5000 python -m pytest -n 0 tests/test_fuzz.py
"""

import os
from collections.abc import Callable
from math import inf, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn as nn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import Claim, Exact, InvalidStudy, Model, Study, Sweep, Tune
from harness.clipping import ClippingRule, GlobalNorm, Value
from harness.lead.terminal.overview import overview
from harness.ledger.trial_runs import n_runs, n_steps, sample_runs
from harness.models import DropoutNet, SimpleRNN
from harness.optimizers import SGD, Adam, AdamW, Optimizer
from harness.settings.metrics import METRICS
from harness.study.changes import Changes
from harness.study.load import load_study
from harness.tasks import AddingProblem, CharLM, Images, Task, TemporalOrder, Tensors

pytestmark = pytest.mark.slow

MANY = int(os.environ.get("FUZZ", "0"))


def fuzz(examples: int) -> Callable[[Any], Any]:
    """So many examples, the same at every run; with FUZZ in the environment that many, new ones each time."""
    return settings(
        max_examples=MANY or examples, derandomize=not MANY, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip


class Hostile:
    """An object that can be neither compared nor hashed."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")


class Odd(nn.Module):
    """A module whose arguments have the names of `Model`'s own methods, and annotations that mean nothing."""

    def __init__(self, inputs, outputs, values: "Nowhere" = 3, build: [int] = 4, kinds=0.0, _values=1) -> None:  # type: ignore # noqa
        super().__init__()
        self.net = nn.Sequential(nn.Linear(inputs, values), nn.Dropout(kinds), nn.Linear(values, outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


class AnyKeywords(nn.Module):
    def __init__(self, **keywords: Any) -> None:
        super().__init__()
        self.net = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


X, Y = torch.randn(60, 4, generator=torch.Generator().manual_seed(0)), torch.arange(60) % 2

texts = st.text(max_size=8) | st.sampled_from(
    ["", "../x", "a\0b", "\ud800", "\x1b[31m", "{0}", "%s", "$x$", "x" * 300, "postgresql://u:secret@h/x", *METRICS]
)
numbers = (
    st.integers(-3, 100) | st.integers() | st.floats()
    | st.sampled_from([10**10, 10**400, -(10**19), 1e308, 5e-324, inf, -inf, nan, True, np.float64(0.5), np.int64(3)])
)  # fmt: skip
tensors = st.builds(
    lambda shape, dtype, fill: torch.full(shape, fill).to(dtype),
    st.lists(st.integers(0, 5), max_size=3).map(tuple) | st.just((60,)) | st.just((60, 4)) | st.just((60, 3, 4)),
    st.sampled_from([torch.float32, torch.int64, torch.bool, torch.complex64, torch.float64, torch.uint8]),
    st.sampled_from([0.0, 1.0, -1.0, nan, inf, 1e9]),
) | st.sampled_from(
    [torch.tensor(0.5), X.to_sparse(), X.clone().requires_grad_(), torch.empty(3, 2, device="meta"), X[:30], Y[:7]]
)  # fmt: skip
objects = st.sampled_from([None, Hostile(), object, int, nn.Linear, Study, GlobalNorm, SGD, len, b"\xff", {}, {1}])
plain = texts | numbers | tensors | objects
nested = st.recursive(plain, lambda v: st.lists(v, max_size=3) | st.tuples(v) | st.dictionaries(texts, v, max_size=2),
                      max_leaves=4)  # fmt: skip


def roles(value: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A value as it is, swept or tuned, as it may be and as it may not."""
    sweeps = st.lists(value, max_size=3).map(lambda levels: Sweep(*levels))
    tunes = st.builds(Tune, value, value, log=st.booleans() | value)
    return value | sweeps | tunes | st.builds(Sweep, sweeps | tunes)


def field(*good: Any) -> st.SearchStrategy[Any]:
    """Mostly good values of a field, some in a role, some nonsense."""
    right = st.sampled_from(good)
    return right | right | roles(right) | roles(right | nested)


def component(cls: Any, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A component with some of its fields, at times one that it does not have."""
    named = st.fixed_dictionaries({}, optional=fields)
    return st.builds(lambda a, b: cls(**a, **{k: v for k, v in b.items() if k not in a}), named,
                     st.just({}) | st.just({}) | st.dictionaries(texts, nested, max_size=1))  # fmt: skip


rates = field(0.0, 0.5, 0.9, 1, -1)
sizes = field(1, 8, 20)
models = (
    component(DropoutNet, hidden=field((4,), (), (3, 2), (0,), (10**9, 10**9)), dropout=rates, outputs=field(2, 3, 1))
    | component(SimpleRNN, hidden=field(4), layers=field(1, 2), dropout=rates, nonlinearity=field("tanh", "relu"),
                readout=field("last", "every"), inputs=field(4, 3))
    | component(lambda **s: Model(Odd, **s), values=field(2, 3), build=field(1), kinds=rates, _values=nested)
    | component(lambda **s: Model(AnyKeywords, **s), width=field(1, 2, "a"))
    | st.builds(Model, nested) | st.just(Odd)
)  # fmt: skip
tasks = (
    component(lambda **s: Tensors(**({"x": X, "y": Y} | s)), x=field(X), y=field(Y), train_size=sizes, validation_size=sizes,
              test_size=sizes)
    | component(AddingProblem, length=field(4, 10**9), train_size=sizes, validation_size=sizes, test_size=sizes)
    | component(TemporalOrder, length=field(12), train_size=sizes, validation_size=sizes, test_size=sizes)
    | component(CharLM, length=field(3), text=field("/no/such/file", __file__, "/"), train_size=sizes)
    | component(Images, source=field("digits", "idx:/", "nothing"), layout=field("rows"), train_size=sizes)
    | st.builds(Task)
)  # fmt: skip
clippings = (
    component(GlobalNorm, max_norm=field(1.0, inf, 0)) | component(Value, max_value=field(1.0))
    | st.builds(ClippingRule)
)  # fmt: skip
optimizers = (
    component(SGD, lr=field(0.1, 1.0), momentum=rates) | component(Adam, lr=field(0.1), beta1=rates)
    | component(AdamW, weight_decay=rates) | st.builds(Optimizer)
)  # fmt: skip
paths = texts | st.sampled_from(
    ["model.dropout", "clipping.max_norm", "optimizer.lr", "task.x", "batch_size", "claims"]
)
arms = st.dictionaries(paths, st.sampled_from([0.0, 0.5, 1.0]) | nested, max_size=2)
claims = st.lists(
    component(Claim, title=field("t"), metric=field(*METRICS), better=field("lower", "higher"),
              smallest_effect=field(0.1, 0), treatment=arms | roles(arms), baseline=arms | roles(arms))
    | component(Exact, title=field("t"), metric=field(*METRICS), equals=field(0.0), unless=field(None, "train_noise"))
    | nested, max_size=3,
)  # fmt: skip

STUDY = {
    "name": field("fuzz", "con", "x.", "a/b", "mlartifacts"),
    "task": tasks | tasks | roles(tasks) | nested,
    "model": models | models | roles(models) | nested,
    "clipping": clippings | clippings | roles(clippings) | nested,
    "optimizer": optimizers | optimizers | roles(optimizers) | nested,
    "batch_size": field(1, 2, 100),
    "steps": field(1, 20, 10**8),
    "seeds": field(1, 3, [0, 2], (), 10**7),
    "claims": claims | roles(claims),
    "tune_trials": field(1, 2, 10**9),
    "tune_seeds": field(1, 2),
    "sampler": field("qmc", "tpe", "random"),
    "objective": field("validation_loss", "train_loss", ("train_loss", "diverged"), []),
    "evaluations": field(1, 3),
}


def taken_or_refused(make: Callable[[], Study]) -> None:
    """The study can be planned, or every problem has a path and a message on one printable line."""
    try:
        study = make()
    except InvalidStudy as error:
        problems = error.problems
    else:
        assert overview(study, verbose=True)
        assert n_steps(study) >= n_runs(study) >= len(study.cells()) >= 1
        assert study.description()
        assert sample_runs(study)
        return
    assert problems
    for problem in problems:
        assert problem.path.strip() and problem.message.strip()
        assert str(problem).isprintable()
        assert "secret" not in str(problem)
        assert len(str(problem)) <= 1001


@pytest.fixture(scope="module", autouse=True)
def _nothing_is_written(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """All of this runs in an empty folder, which stays empty."""
    here, there = Path.cwd(), tmp_path_factory.mktemp("empty")
    os.chdir(there)
    yield
    os.chdir(here)
    assert not list(there.iterdir())


@fuzz(150)
@given(st.fixed_dictionaries({}, optional=STUDY))
def test_any_study_is_taken_or_refused(given: dict[str, Any]) -> None:
    sound = {"name": "fuzz", "task": Tensors(X, Y), "model": DropoutNet(hidden=(4,)), "batch_size": 8, "steps": 5}
    taken_or_refused(lambda: Study(**(sound | given)))


@fuzz(150)
@given(st.sampled_from(sorted(STUDY)).flatmap(lambda name: st.fixed_dictionaries({name: STUDY[name]})))
def test_any_value_of_one_field_is_taken_or_refused(given: dict[str, Any]) -> None:
    """Alone, so that no other problem keeps a check from being reached."""
    sound = {"name": "fuzz", "task": Tensors(X, Y), "model": DropoutNet(hidden=(4,), dropout=Sweep(0.0, 0.5)),
             "batch_size": 8, "steps": 5}  # fmt: skip
    taken_or_refused(lambda: Study(**(sound | given)))


FILE = """
import torch
from harness import Study, Sweep, Tune
from harness.clipping import GlobalNorm
from harness.models import DropoutNet
from harness.optimizers import SGD
from harness.tasks import Tensors
class Mine(torch.nn.Module):
    def __init__(self, inputs, outputs, hidden: list[int] = [4], flag=False, dropout=0.0):
        super().__init__()
        self.net = torch.nn.Linear(inputs, outputs)
    def forward(self, x):
        return self.net(x)
x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
study = Study(name="fuzz", task=Tensors(x, torch.arange(60) % 2), model=DropoutNet(hidden=(4,), dropout=Sweep(0.0, 0.5)),
              clipping=GlobalNorm(1.0), optimizer=SGD(Tune(0.1, 1.0)), batch_size=8, steps=5)
"""
literals = st.sampled_from(["0", "1", "3", "0.5", "inf", "nan", "-1", "1e999", "10**10", "9" * 5000, "None", "True", "'a'",
                            "b'a'", "1j", "{[]}", "{}", "()", "[1, 2]", "x.y", "é", "\0", "\ud800", "", "1 2", "/", "*"])  # fmt: skip
words = ["true", "false", "[4]", "(4, 4)", "{'a': 1}", "[inf, [None]]", "'postgresql://u:secret@h/x'", "x", "Mine", "torch",
         "torch.nn.ReLU", "log=True", "log=3", "**{}", "*a", "max_norm=1.0", "max_nrm=1.0", "hidden=(4,)", "dropout=0.5"]  # fmt: skip
called = ["Sweep", "Tune", "GlobalNorm", "GlobalNrm", "AGC", "NoClipping", "SGD", "Adam", "DropoutNet", "SimpleRNN", "Model",
          "Mine", "Tensors", "Early", "Diagnostics", "Claim", "Study", "torch.rand", "open", "-", "f", ""]  # fmt: skip
calls = st.recursive(
    literals | st.sampled_from(words),
    lambda inner: st.builds(lambda name, args: f"{name}({', '.join(args)})", st.sampled_from(called), st.lists(inner, max_size=3))
    | st.builds(lambda pair, parts: pair[0] + ", ".join(parts) + pair[1], st.sampled_from(["[]", "()", "{}"]),
                st.lists(inner, max_size=3)),
    max_leaves=6,
)  # fmt: skip
brackets = st.builds(
    lambda a, n, b: a * n + b, st.sampled_from("([{-~+*"), st.sampled_from([1, 50, 300, 5000]), literals
)
keys = st.sampled_from(
    ["model.dropout", "model.hidden", "optimizer.lr", "clipping.max_norm", "steps", "seeds", "batch_size", "name", "claims",
     "task", "task.x", "model", "model", "clipping", "optimizer", "metrics", "tune_trials", "objective", "model.", ".", "", " ", "model.dropout.x", "study", "\ud800"]
)  # fmt: skip
changes = st.builds(lambda k, e, v: k + e + v, keys | st.text(max_size=6), st.sampled_from(["=", "=", " = ", "", "=="]),
                    literals | calls | brackets | st.text(max_size=20))  # fmt: skip
seed_lists = st.none() | st.text(alphabet="0123456789,- ²٣x", max_size=8) | st.text(max_size=5) | st.sampled_from(
    ["0-999999999999", "5-3", "9" * 5000, "1,1", "-1", "1e3", "5-", ","]
)  # fmt: skip


@fuzz(150)
@given(st.lists(changes, max_size=2), seed_lists, st.booleans())
def test_any_change_of_the_command_line_is_taken_or_refused(
    tmp_path_factory: pytest.TempPathFactory, sets: list[str], seeds: str | None, quick: bool
) -> None:
    file = tmp_path_factory.getbasetemp() / "fuzzed.py"
    if not file.exists():
        file.write_text(FILE)
    taken_or_refused(lambda: load_study(file, Changes(tuple(sets), seeds, quick))[0])
