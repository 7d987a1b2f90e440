"""What a module is as it is built: whose its tensors are, and what of it trains."""

import copy
import functools
import os
import subprocess
import sys
import time
import uuid
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from own_study import MINE, harness_run
from test_as_written import Net, assert_textbook, runs_of
from test_modules import FLAT, runs_at
from test_train import CPU, curves_of
from torch import Tensor

from harness import Study
from harness.audit import checks
from harness.engine.choice import way
from harness.engine.obstacles import Unbatchable
from harness.engine.planning import groups
from harness.engine.proof import obstacle
from harness.engine.runs import Untrainable
from harness.models import Model
from harness.settings import Note
from harness.study.trial_run import trial_run
from harness.tasks import Tensors


def problem_of(module: type[Net]) -> str:
    """The only one, or ""; of notes, which keep nothing from training, none."""
    found = [str(problem) for problem in trial_run(runs_of(module)[0].setup) if not isinstance(problem, Note)]
    assert len(found) <= 1
    return "".join(found)


# --- Memory that tensors share


class TiedByData(Net):
    def prepare(self) -> None:
        self.back = nn.Linear(16, 6)
        self.back.weight.data = self.a.weight.data.t()

    def hidden(self, x: Tensor) -> Tensor:
        return super().hidden(self.back(super().hidden(x)))


class TiedRows(Net):
    """They overlap in a few numbers."""

    def prepare(self) -> None:
        memory = torch.randn(120)
        self.a.weight.data, self.a.bias.data = memory[:96].view(16, 6), memory[90:106]


class BufferOfAWeight(Net):
    def prepare(self) -> None:
        self.register_buffer("fixed", self.a.weight.detach())

    def hidden(self, x: Tensor) -> Tensor:
        return (self.a(x) - F.linear(x, self.fixed) / 2).relu()


class ViewInAList(BufferOfAWeight):
    def prepare(self) -> None:
        self.views = [{"row": self.a.weight[0].detach().numpy()}]

    def hidden(self, x: Tensor) -> Tensor:
        return super(BufferOfAWeight, self).hidden(x) + float(self.views[0]["row"].sum())


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (TiedByData, "model: its parameters `a.weight` and `back.weight` share memory"),
        (TiedRows, "model: its parameters `a.weight` and `a.bias` share memory"),
        (BufferOfAWeight, "model: `fixed` shares the memory of its parameter `a.weight`"),
        (ViewInAList, "model: `views[0]['row']` shares the memory of its parameter `a.weight`"),
    ],
)
def test_what_training_would_cut_off_from_a_parameter_is_refused(module: type[Net], said: str) -> None:
    assert problem_of(module).startswith(said)


class TiedByOneParameter(TiedByData):
    def prepare(self) -> None:
        self.c = nn.Linear(6, 16)
        self.c.weight = self.a.weight

    def hidden(self, x: Tensor) -> Tensor:
        return Net.hidden(self, x) + self.c(x)


class OldSpectralNorm(Net):
    """Holds the weight's memory once more until its first forward pass."""

    def prepare(self) -> None:
        with warnings.catch_warnings(action="ignore", category=FutureWarning):
            nn.utils.spectral_norm(self.a)


class PartsOfATable(Net):
    """Parts of one tensor, some of which do not overlap, and views of a constant one."""

    def prepare(self) -> None:
        memory = torch.randn(16, 7)
        self.a.weight.data, self.a.bias.data = memory[:, :6], memory[:, 6]
        self.register_buffer("table", torch.linspace(0, 1, 16))
        self.register_buffer("part", self.table[:8])

    def hidden(self, x: Tensor) -> Tensor:
        return super().hidden(x) + self.table + self.part.sum()


class ChangingViews(Net):
    """Of two buffers that share memory one is changed and the other one read."""

    def prepare(self) -> None:
        self.register_buffer("sums", torch.zeros(16))
        self.register_buffer("first", self.sums[:1])

    def hidden(self, x: Tensor) -> Tensor:
        hidden = super().hidden(x)
        if self.training:
            self.sums += hidden.detach().mean(0)
        return hidden + self.first


@pytest.mark.parametrize("module", [TiedByOneParameter, OldSpectralNorm, PartsOfATable])
def test_what_shares_no_memory_in_training_trains_as_written(module: type[Net]) -> None:
    assert problem_of(module) == ""
    for run in runs_of(module):
        assert_textbook(curves_of([run]), run, torch.float32, 1e-4)


def test_buffers_that_share_memory_train_as_written_by_the_plain_loop() -> None:
    assert problem_of(ChangingViews) == ""
    runs = runs_of(ChangingViews)
    assert "it changes `sums`, which shares memory with `first`" in obstacle([runs[0], runs[-1]], CPU)
    for run in runs:
        assert_textbook(curves_of([run]), run, torch.float32, 1e-4)


# --- Memory that there is


@functools.lru_cache
def table(size: int) -> Tensor:
    return torch.linspace(0, 1, size)


class CachedTable(Net):
    def prepare(self) -> None:
        self.register_buffer("table", table(16))
        self.a.load_state_dict({"weight": torch.zeros(16, 6), "bias": torch.ones(16)})

    def hidden(self, x: Tensor) -> Tensor:
        return super().hidden(x) + self.table


@pytest.mark.filterwarnings("error")
def test_a_constructor_makes_real_tensors_alone_which_it_may_keep_for_the_next() -> None:
    assert problem_of(CachedTable) == ""
    assert table(16).device == CPU


class WideLayer(Net):
    def prepare(self) -> None:
        self.wide = nn.Linear(10**6, 10**7)


class WideNoise(Net):
    """Would be written to before it is a parameter."""

    def prepare(self) -> None:
        self.wide = nn.Parameter(torch.randn(10**6, 10**7) / 1000)


class WideLazy(Net):
    def hidden(self, x: Tensor) -> Tensor:
        self.wide(x)
        return super().hidden(x)

    def prepare(self) -> None:
        self.wide = nn.LazyLinear(10**13)


@pytest.mark.parametrize("module", [WideLayer, WideNoise, WideLazy])
def test_what_no_memory_holds_is_refused_before_it_is_made(module: type[Net]) -> None:
    assert problem_of(module).startswith("model: needs ") and "GiB of memory" in problem_of(module)


# --- What trains


class AllFrozen(Net):
    def prepare(self) -> None:
        self.requires_grad_(False)


class NoParameters(Net):
    def prepare(self) -> None:
        del self.a, self.b

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(x[:, :2])


class Doubles(Net):
    def prepare(self) -> None:
        self.double()


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (AllFrozen, "model: does not train: all its parameters are frozen when it is built; leave some as they are"),
        (NoParameters, "model: does not train: it has no parameters when it is built; make them in the constructor"),
        (Doubles, "model: its parameters must be float32, but `a.weight` is float64: call `.float()` in the constructor"),
    ],
)  # fmt: skip
def test_a_module_in_which_nothing_can_train_is_refused_in_one_sentence(module: type[Net], said: str) -> None:
    assert problem_of(module) == f"{said} (got {module.__name__}(dropout=0.3))"


class OnlyInTraining(Net):
    """A layer that evaluation leaves out, made last, so that its weights are drawn last in any case."""

    lazy = False

    def prepare(self) -> None:
        self.norm = nn.LazyBatchNorm1d(affine=False) if self.lazy else nn.BatchNorm1d(16, affine=False)
        self.more = nn.LazyLinear(16) if self.lazy else nn.Linear(6, 16)

    def hidden(self, x: Tensor) -> Tensor:
        hidden = super().hidden(self.drop(x))
        return hidden + self.norm(self.more(x)) if self.training else hidden


class LazyInTraining(OnlyInTraining):
    lazy = True


class NeverUsed(Net):
    def prepare(self) -> None:
        self.spare = nn.LazyLinear(3)


def test_a_lazy_layer_finds_its_size_in_training_where_evaluation_leaves_it_out() -> None:
    known, lazy = (runs_of(module) for module in (OnlyInTraining, LazyInTraining))
    assert problem_of(LazyInTraining) == ""
    assert obstacle([lazy[0], lazy[-1]], CPU) == ""
    pd.testing.assert_frame_equal(curves_of(known), curves_of(lazy), check_exact=True)
    assert_textbook(curves_of(lazy[:1], dtype=torch.float64), known[0])


def test_a_lazy_layer_that_nothing_uses_is_refused() -> None:
    said = "model: no forward pass uses its lazy `spare.weight`, whose size is so not known: use it, or leave it out"
    assert problem_of(NeverUsed).startswith(said)


class Unfreezes(Net):
    """Gradual unfreezing (Howard & Ruder 2018)."""

    def prepare(self) -> None:
        self.a.requires_grad_(False)

    def hidden(self, x: Tensor) -> Tensor:
        if self.training and self.steps == 7:
            self.a.requires_grad_(True)
        return super().hidden(x)


class UnfreezesAtOnce(Unfreezes):
    def hidden(self, x: Tensor) -> Tensor:
        for parameter in self.a.parameters():
            parameter.requires_grad = True
        return Net.hidden(self, x)


class FreezesAgain(Unfreezes):
    def hidden(self, x: Tensor) -> Tensor:
        self.a.requires_grad_(5 <= self.steps < 9)
        return Net.hidden(self, x)


class Freezes(Net):
    def hidden(self, x: Tensor) -> Tensor:
        if self.steps == 5:
            self.a.requires_grad_(False)
        return super().hidden(x)


class FreezesByTheFlag(Net):
    def hidden(self, x: Tensor) -> Tensor:
        for parameter in self.a.parameters():
            parameter.requires_grad = self.steps < 5
        return super().hidden(x)


class FreezesInTrain(Net):
    """Often written so for a pretrained part."""

    def train(self, mode: bool = True) -> "FreezesInTrain":
        super().train(mode)
        self.a.requires_grad_(False)
        return self


@pytest.mark.parametrize(
    "module", [Unfreezes, UnfreezesAtOnce, FreezesAgain, Freezes, FreezesByTheFlag, FreezesInTrain]
)
def test_what_is_frozen_and_unfrozen_in_training_trains_as_written(module: type[Net]) -> None:
    assert problem_of(module) == ""
    runs = runs_of(module)
    if not obstacle([runs[0], runs[-1]], CPU):  # within its few steps
        with pytest.raises(Unbatchable, match="requires_grad"):
            curves_of(runs)
    for run in runs:
        assert_textbook(curves_of([run], dtype=torch.float64), run)


class Late(Net):
    """Builds a layer when its width is known, and that is after its third step."""

    def prepare(self) -> None:
        self.late: nn.Module | None = None

    def hidden(self, x: Tensor) -> Tensor:
        if self.late is None and self.steps == self.at:
            self.late = nn.Linear(6, 16)
        return super().hidden(x) + (self.late(x) if self.late else 0)

    at = 4


class LateAtOnce(Late):
    at = 0


class Replaced(Late):
    def hidden(self, x: Tensor) -> Tensor:
        if self.steps == self.at:
            self.a.weight = nn.Parameter(self.a.weight.detach() / 2)
        return Net.hidden(self, x)

    at = 1


def test_a_parameter_that_comes_to_be_in_a_forward_pass_is_refused() -> None:
    said = "does not train: its parameter `{}` comes to be in its forward pass, when no optimizer knows of it any more"
    assert said.format("late.weight") in problem_of(LateAtOnce)
    assert said.format("a.weight") in problem_of(Replaced)
    assert problem_of(Late) == ""
    with pytest.raises(Untrainable, match=r"its parameter `late\.weight` comes to be in its forward pass"):
        curves_of(runs_of(Late)[:1])


class Grows(Late):
    def hidden(self, x: Tensor) -> Tensor:
        if self.steps == self.at:
            self.b.weight.data = torch.cat([self.b.weight.data, torch.zeros(1, 16)])
            self.b.bias.data = torch.zeros(3)
        return Net.hidden(self, x)


class Shrinks(Late):
    """To a part that lies where the whole did, whose numbers would fit all rows."""

    def hidden(self, x: Tensor) -> Tensor:
        self.a.bias.data = self.a.bias.data[:1]
        return Net.hidden(self, x)


class Transposes(Net):
    def prepare(self) -> None:
        self.a = nn.Linear(6, 6)
        self.b = nn.Linear(6, 2)

    def hidden(self, x: Tensor) -> Tensor:
        if self.training:
            self.a.weight.data = self.a.weight.data.t()
        return super().hidden(x)


def test_a_parameter_that_is_given_other_data_keeps_its_shape() -> None:
    said = "model: does not train: its parameter `{}` changes its shape"
    assert problem_of(Shrinks).startswith(said.format("a.bias"))
    with pytest.raises(Untrainable, match=r"its parameter `b\.weight` changes its shape"):
        curves_of(runs_of(Grows)[:1])
    for run in runs_of(Transposes):
        assert_textbook(curves_of([run], dtype=torch.float64), run)


class Teacher(Net):
    """Made in the first forward pass, and never trained by a gradient."""

    def hidden(self, x: Tensor) -> Tensor:
        if not hasattr(self, "teacher"):
            self.teacher = copy.deepcopy(self.a)
        with torch.no_grad():
            return self.a(x).relu() - self.teacher(x) / 2


def test_a_late_parameter_that_gets_no_gradient_does_no_harm() -> None:
    assert problem_of(Teacher) == ""


# --- What one run leaves to the next

START = torch.zeros(16)


class RunningMean(Net):
    """Begins with a tensor of the file."""

    def prepare(self) -> None:
        self.register_buffer("mean", START)

    def hidden(self, x: Tensor) -> Tensor:
        hidden = super().hidden(x)
        if self.training:
            self.mean.mul_(0.9).add_(hidden.detach().mean(0), alpha=0.1)
        return hidden - self.mean


class ReadInEvaluation(RunningMean):
    """The mean, in a plain list."""

    def prepare(self) -> None:
        self.kept = {"mean": [START]}

    def hidden(self, x: Tensor) -> Tensor:
        hidden = Net.hidden(self, x)
        if self.training:
            self.kept["mean"][0].mul_(0.9).add_(hidden.detach().mean(0), alpha=0.1)
            return hidden
        return hidden - self.kept["mean"][0]


class CountsInItsClass(Net):
    calls = 0

    def hidden(self, x: Tensor) -> Tensor:
        type(self).calls += 1
        return super().hidden(x) / self.calls


GENERATOR = torch.Generator().manual_seed(0)


class DrawsFromTheFile(Net):
    def prepare(self) -> None:
        self.a.weight.data = torch.randn(16, 6, generator=GENERATOR)


CACHE: dict[int, Tensor] = {}


class CountsForNobody(Net):
    """Fills a cache with what is always the same, and counts what changes no number."""

    calls = 0

    def hidden(self, x: Tensor) -> Tensor:
        type(self).calls += 1
        if len(x) not in CACHE:
            CACHE[len(x)] = torch.linspace(0, 1, 16)
        return super().hidden(x) + CACHE[len(x)]


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (
            RunningMean,
            "model: `mean` is one for all runs, and each changes it for the next: copy it in the constructor",
        ),
        (ReadInEvaluation, "model: `kept['mean'][0]` is one for all runs, and each changes it"),
        (CountsInItsClass, "model: gives other numbers when the same run is trained again"),
        (DrawsFromTheFile, "model: gives other numbers when the same run is trained again"),
        (CountsForNobody, ""),
    ],
)
def test_what_one_run_would_leave_to_the_next_is_refused(module: type[Net], said: str) -> None:
    assert problem_of(module).startswith(said) and (said or not problem_of(module))


# --- What it takes and returns


class ShiftsItsTokens(nn.Module):
    """In place, to keep 0 for padding."""

    def __init__(self, dropout: float = 0.3) -> None:
        super().__init__()
        self.embed, self.drop, self.b = nn.Embedding(6, 8), nn.Dropout(dropout), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x += 1
        return self.b(self.drop(self.embed(x).mean(1)))


def test_a_module_may_change_its_inputs_in_place() -> None:
    tokens = torch.randint(0, 5, (200, 7), generator=torch.Generator().manual_seed(0))
    task = Tensors(tokens, (tokens.sum(1) > 14).long())
    runs = runs_at(task, Model(ShiftsItsTokens), (0.3, 0.5))
    assert trial_run(runs[0].setup) == []
    together = curves_of(runs, dtype=torch.float64)
    for run in runs:
        assert_textbook(together.loc[run.trial, run.seed], run)
        assert_textbook(curves_of([run], dtype=torch.float64), run)


class HelpsInTraining(Net):
    def forward(self, x: Tensor) -> Any:
        output = super().forward(x)
        return (output, output) if self.training else output


def test_what_is_returned_in_training_alone_is_looked_at_too() -> None:
    assert problem_of(HelpsInTraining).startswith("model: in training must return one tensor, not a tuple, or its task")


# --- Where torch finds its layers


class PlainList(Net):
    def prepare(self) -> None:
        self.layers = [nn.Linear(6, 6), nn.ReLU(), nn.Dropout(0.5), {"norm": (nn.BatchNorm1d(6),)}]

    def hidden(self, x: Tensor) -> Tensor:
        for layer in self.layers[:3]:
            x = layer(x)
        return super().hidden(x)


class OwnObjects(Net):
    """A parameter and a layer in an object, and what is registered as well, or is the same in training."""

    def prepare(self) -> None:
        self.of = SimpleNamespace(scale=nn.Parameter(torch.ones(1)), teacher=copy.deepcopy(self.a), me=self, a=self.a)
        self.kinds = {"relu": nn.ReLU(), "all": nn.Sequential(nn.Tanh()), "weight": self.a.weight}


class Registered(Net):
    def prepare(self) -> None:
        self.recurrent, self.several = nn.LSTM(6, 6, 2), [self.a, self.b]
        self.kinds = {"relu": nn.ReLU()}


def test_layers_that_torch_does_not_find_are_told_of_before_training() -> None:
    def told(module: type[Net]) -> list[str]:
        study = Study(name="own", task=FLAT, model=Model(module), batch_size=16, steps=4)
        return [note for note in study.notes if "where torch does not look" in note]

    (note,) = told(PlainList)
    assert note == (
        "model: holds `layers[0]`, `layers[2]`, `layers[3]['norm'][0]` where torch does not look, in a list, a dictionary or another "
        "object: what is there does not train, nor does it follow train() and eval(); unless that is meant so, hold layers in "
        "nn.ModuleList or nn.ModuleDict and parameters in nn.ParameterList"
    )
    assert "`of.teacher`, `of.scale` where" in told(OwnObjects)[0]
    assert told(Registered) == told(Net) == []
    finding = checks.registered(runs_of(PlainList)[0].setup)
    assert finding.level == "warning" and finding.sentence.startswith("the model holds `layers[0]`")


# --- Attributes that are others in another process, or whenever a module is built

NOTED = {
    "set": "self.no_decay = {'bias', 'norm.weight', 'pos_embed', ('a', frozenset({'b', 'c', 'd'}))}",
    "all": "self.tag, self.made, self.uid = uuid.uuid4().hex, time.time(), id(self)",
    "lazy": "self.net[3] = nn.LazyLinear(outputs)",
    "compiled": "self.net[0] = torch.compile(self.net[0])",
    "compiles": "self.net.compile()",
}


NAMES = """
import sys
from pathlib import Path
from harness.engine.planning import groups, levels_of
from harness.ledger.trial_runs import sample_runs
from harness.study.load import load_study

for name, runs in groups(sample_runs(load_study(Path(sys.argv[1]))[0])).items():
    print(name, sorted(set(map(levels_of, runs))))
"""


@pytest.fixture
def noted(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A study of a net whose constructor also does what the parameter names."""
    nothing_tuned = MINE.replace("Tune(0.05, 1.0, log=True)", "0.1").replace(
        'tune="shared", tune_seeds=1, tune_trials=2, ', ""
    )
    source = nothing_tuned.replace("import torch\n", "import time, uuid\nimport torch\n")
    own = f"\n        {NOTED[request.param]}\n\n    def forward"
    (tmp_path / "mine.py").write_text(source.replace("\n\n    def forward", own))
    return tmp_path / "mine.py"


@pytest.mark.parametrize("noted", ["set", "all"], indirect=True)
def test_the_name_of_a_group_is_the_same_in_every_process(noted: Path) -> None:
    one, other = (
        subprocess.run(
            [sys.executable, "-c", NAMES, noted], env=os.environ | {"PYTHONHASHSEED": seed}, stdout=subprocess.PIPE, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    )  # fmt: skip
    assert one == other
    assert (
        one.endswith(" [('net.2.p 0.0',), ('net.2.p 0.5',)]\n") and one.count("\n") == 1
    )  # a single group, of both probabilities


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # which the import of a compiler says too
@pytest.mark.parametrize("noted", list(NOTED), indirect=True)
def test_a_module_trains_whatever_its_constructor_notes(noted: Path) -> None:
    result = harness_run(noted, results=noted.parent / "results")
    assert result.exit_code == 0, result.output
    by_itself = any(word in noted.read_text() for word in ("uuid4", "torch.compile("))
    assert ("trains by the plain loop" in result.output) is by_itself
    runs = pd.read_parquet(noted.parent / "results" / "mine" / "runs.parquet")
    assert len(runs) == 16 and "failed" not in set(runs["status"])
    plain = noted.with_name("plain.py")
    plain.write_text("".join(line for line in noted.read_text().splitlines(True) if line.strip() not in NOTED.values()))
    assert harness_run(plain, results=noted.parent / "plain").exit_code == 0
    truth = pd.read_parquet(noted.parent / "plain" / "mine" / "runs.parquet")
    if "Lazy" not in noted.read_text():  # which draws other weights
        pd.testing.assert_series_equal(runs["test_loss"], truth["test_loss"], rtol=1e-4)


class Timed(Net):
    def prepare(self) -> None:
        self.made = time.time()


class Tagged(Net):
    def prepare(self) -> None:
        self.made, self.tag = time.time(), uuid.uuid4().hex


def test_what_is_another_whenever_a_module_is_built_keeps_from_a_population_only_where_it_is_no_number() -> None:
    timed, tagged = (
        way(next(iter(groups(runs_of(module)).values())), CPU, memory_bytes=2**30) for module in (Timed, Tagged)
    )
    assert timed.why == ""
    assert (tagged.width, tagged.why) == (1, "`tag` is not the same in all runs")
    run = runs_of(Tagged)[0]
    assert_textbook(curves_of([run], dtype=torch.float64).loc[run.trial, run.seed], run)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # which the import of a compiler says too
@pytest.mark.parametrize(
    ("decorator", "said"),
    [
        ("@torch.compile", ""),
        ("@torch.jit.script", "`act` is compiled by torch.jit.script; leave that out, and it trains as it is written"),
    ],
)
def test_a_function_that_is_compiled_trains_as_it_is_written_or_the_way_out_is_said(
    decorator: str, said: str, tmp_path: Path
) -> None:
    act = f"{decorator}\ndef act(x: torch.Tensor) -> torch.Tensor:\n    return x.tanh()\n\n\nclass Mine"
    source = MINE.replace("class Mine", act).replace("return self.net(x)", "return self.net[1:](act(self.net[0](x)))")
    (tmp_path / "mine.py").write_text(source)
    result = harness_run(tmp_path / "mine.py", results=tmp_path / "results")
    assert result.exit_code == (2 if said else 0), result.output
    assert said in result.output
