"""Which way runs train: proven and measured once, within a memory bound, cached; and how long it will take."""

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
import torch.nn as nn
from torch._C import _functorch as functorch

from harness import Study, Sweep, Tune
from harness.engine import choice, population_width, timing, way_cache
from harness.engine.choice import way, ways
from harness.engine.devices import cores_of
from harness.engine.memory_budget import as_size, check_bound, parse_memory
from harness.engine.planning import groups, plan
from harness.engine.population_width import bytes_per_member, most_members
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.engine.train import train
from harness.engine.way import Way
from harness.engine.way_cache import cache_file
from harness.execution.costs import Costs
from harness.execution.examination import examine
from harness.execution.jobs import sent
from harness.ledger.trial_runs import sample_runs
from harness.models import DropoutNet, Model, SimpleRNN
from harness.optimizers import SGD
from harness.settings import InvalidStudy
from harness.settings.beforehand import Beforehand
from harness.settings.machine import one_thread, threads_restored
from harness.tasks import Images

CPU = torch.device("cpu")
RUNS = [Run(0, seed, Setup(task=Images(), model=DropoutNet(hidden=(16,)))) for seed in range(40)]
PLENTY = 2**34


@pytest.mark.parametrize(
    ("text", "size"), [("4G", 4 * 2**30), ("500M", 500 * 2**20), ("1.5 GiB", 3 * 2**29), ("64k", 65536)]
)
def test_memory_sizes(text: str, size: int) -> None:
    assert parse_memory(text, CPU) == size


@pytest.mark.parametrize("text", ["", "much", "-1G", "0", "4X", "1e9"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidStudy, match="--memory: needs a size"):
        parse_memory(text, CPU)


def test_width_stays_within_the_memory_bound() -> None:
    one = bytes_per_member(RUNS[0], CPU)
    assert most_members(one, 5 * one) == 5
    found = way(RUNS, CPU, memory_bytes=5 * one)
    assert found.width <= 5 and found.fits(5 * one)
    assert most_members(one, 1) == 2  # at least a population


@pytest.mark.parametrize(("width", "least"), [(1, 2**20), (2, 2**21), (64, 2**21)])
def test_a_bound_below_the_least_that_trains_at_a_time_is_refused_with_what_would_do(width: int, least: int) -> None:
    ways = [Way(width, 1e-3, member_bytes=2**20), Way(16, 1e-3, member_bytes=2**10), Way(1, 1e-3)]
    check_bound("it fits", ways, least, processes=3)
    check_bound(None, ways, 1, processes=3)
    with pytest.raises(InvalidStudy) as caught:
        check_bound("3K", ways, least - 1, processes=3)
    (said,) = map(str, caught.value.problems)
    assert said == (
        f"--memory: what trains at a time takes {as_size(least)} at least in each of 3 processes; give {as_size(3 * least)} or "
        "more, or fewer --workers (got 3K)"
    )
    assert parse_memory(as_size(3 * least), CPU) // 3 >= least


def test_a_run_by_the_plain_loop_takes_about_what_a_member_of_a_population_takes() -> None:
    together, alone = (bytes_per_member(RUNS[0], CPU, alone=alone) for alone in (False, True))
    assert alone == pytest.approx(together, rel=0.3)


class Func(torch.nn.Module):
    """Lets nobody see what its forward pass saves."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.net = torch.nn.Linear(inputs, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x) + torch.func.grad(lambda y: (y**2).sum())(x).sum() * float(x.sum())


def test_a_module_whose_memory_cannot_be_seen_trains_without_a_bound() -> None:
    found = way([Run(0, seed, Setup(task=Images(), model=Model(Func))) for seed in range(3)], CPU, memory_bytes=1)
    assert (found.width, found.member_bytes) == (1, 0) and found.why


def test_a_member_is_said_to_take_at_least_its_parameters_gradient_and_state() -> None:
    wide = Setup(task=Images(), model=DropoutNet(hidden=(512,)))
    parameters = sum(p.numel() * 4 for p in wide.model.build({"inputs": 64, "outputs": 10}).parameters())
    assert 4 * parameters <= bytes_per_member(Run(0, 0, wide), CPU) < 100 * parameters


def test_time_that_other_programs_take_does_not_count() -> None:
    """A contender that waits, as for a core in use, computes nothing meanwhile."""

    def compute() -> None:
        x = torch.ones(200, 200)
        for _ in range(20):
            x = x @ x / 200

    def compute_and_wait() -> None:
        compute()
        time.sleep(0.05)

    assert all(0 < taken < 0.05 for taken in timing.in_turns([compute, compute_and_wait], CPU, budget_s=0.05))


@pytest.fixture
def taking(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], float]], None]:
    """Gives a step of so many members a duration, by a clock that no other process disturbs."""

    @dataclass
    class Step:
        members: int

    def set_to(seconds: Callable[[int], float]) -> None:
        def timed(steps: list[Step], device: torch.device) -> list[float]:
            return [seconds(step.members) for step in steps]

        monkeypatch.setattr(population_width, "steps_of", lambda runs, *_, **__: Step(len(runs)))
        monkeypatch.setattr(population_width, "in_turns", timed)

    return set_to


@pytest.mark.parametrize(
    ("seconds", "width"),
    [
        (lambda members: 1e-3 * (1 + members / 100), 40),  # all there are
        (lambda members: 1e-3 * (1 + members / 10 + (members / 20) ** 4), 16),
        (lambda members: 1e-3 if members == 1 else members * 2e-3, 1),
    ],
    ids=["wide", "narrow", "plain"],
)
def test_runs_train_in_the_way_that_takes_the_least_time(
    seconds: Callable[[int], float], width: int, taking: Callable[[Callable[[int], float]], None]
) -> None:
    taking(seconds)
    assert population_width.best_width(RUNS, CPU, most=1024) == (width, pytest.approx(seconds(width) / width))


def test_a_way_is_cached_and_a_damaged_cache_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, examined = tmp_path / "deep" / "ways.json", []

    def found(runs: list[Run], device: torch.device, *, memory_bytes: int) -> Way:
        examined.append(runs)
        return Way(16, 1e-3, apart=True)

    monkeypatch.setattr(choice, "way", found)
    assert dict(ways([("a", RUNS)], CPU, memory_bytes=PLENTY, cache=cache)) == {"a": Way(16, 1e-3, apart=True)}
    (key,) = json.loads(cache.read_text())
    known = {"width": 1, "step_s": 1.0, "apart": False, "why": "it reads"}
    cache.write_text(json.dumps({key: known}))
    assert dict(ways([("b", RUNS)], CPU, memory_bytes=PLENTY, cache=cache)) == {"b": Way(**known)}
    assert len(examined) == 1
    for damage in ("", "[1]", '{"x": 3}', "{", json.dumps({key: known | {"width": 0}}), json.dumps({key: {}})):
        cache.write_text(damage)
        assert dict(ways([("a", RUNS)], CPU, memory_bytes=PLENTY, cache=cache))["a"].width == 16
        assert list(json.loads(cache.read_text())) == [key]


@pytest.mark.parametrize(
    "other",
    [
        {"context": "another code"},
        {"memory_bytes": PLENTY // 16},
        {"groups": [("a", [Run(0, 0, Setup(task=Images(), model=DropoutNet(hidden=(17,))))])]},
        {"groups": [("a", [replace(run, setup=run.setup.with_value("model.dropout", 0.3)) for run in RUNS])]},
    ],
    ids=["code", "memory", "shapes", "p"],
)
def test_what_was_found_for_something_else_is_not_used(
    other: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths = iter((16, 32))
    size = PLENTY // 64
    monkeypatch.setattr(choice, "way", lambda runs, device, memory_bytes: Way(next(widths), 1e-3, member_bytes=size))
    given = {"groups": [("a", RUNS)], "memory_bytes": PLENTY, "context": "", "cache": tmp_path / "ways.json"}
    assert [dict(ways(device=CPU, **arguments))["a"].width for arguments in (given, given | other, given)] == [
        16,
        32,
        16,
    ]


def test_less_memory_that_suffices_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    widths = iter((16, 32))
    monkeypatch.setattr(choice, "way", lambda runs, device, memory_bytes: Way(next(widths), 1e-3, member_bytes=2**20))
    sizes = (PLENTY, 16 * 2**20, 15 * 2**20, PLENTY)
    found = [dict(ways([("a", RUNS)], CPU, memory_bytes=size, cache=tmp_path / "ways.json")) for size in sizes]
    assert [each["a"].width for each in found] == [16, 16, 32, 16]


def test_who_measures_at_the_same_time_goes_by_what_was_kept_first(tmp_path: Path) -> None:
    cache = tmp_path / "ways.json"
    assert way_cache.remember(cache, "a", Way(16, 1e-3)) == Way(16, 1e-3)
    assert way_cache.remember(cache, "b", Way(8, 1e-3)) == Way(8, 1e-3)
    assert way_cache.remember(cache, "a", Way(1, 1e-3)) == Way(16, 1e-3)
    assert way_cache.read(cache) == {"a": Way(16, 1e-3), "b": Way(8, 1e-3)}


@pytest.mark.slow
def test_another_process_finds_what_was_proven_and_measured(tmp_path: Path) -> None:
    source = f"""
from pathlib import Path
from harness.models import SimpleRNN
from test_choice import *
runs = [Run(0, seed, Setup(task=Images(layout="rows"), model=SimpleRNN(hidden=8))) for seed in (0, 1)]
dict(ways(groups(runs).items(), CPU, memory_bytes=PLENTY, cache=Path({str(tmp_path / "c")!r})))
"""
    for _ in range(2):
        subprocess.run([sys.executable, "-c", source], check=True, cwd=Path(__file__).parent)
    assert len(json.loads((tmp_path / "c").read_text())) == 1


@pytest.mark.parametrize(
    ("task", "model"),
    [
        (Images(), DropoutNet(hidden=(8,))),
        (Images(layout="rows"), SimpleRNN(hidden=8, cell="lstm", layers=2)),
        (Images(layout="rows"), SimpleRNN(hidden=8, zoneout=0.1)),
    ],
    ids=["mlp", "lstm", "zoneout"],
)
def test_runs_of_all_seeds_and_levels_are_one_group_under_one_name(task: Images, model: Model) -> None:
    setup = Setup(task=task, model=model)
    names = [
        groups([Run(0, seed, setup.with_value("model.dropout", p))]).keys() for seed, p in ((0, 0.0), (10**6, 0.5))
    ]
    assert names[0] == names[1]


class Scales(nn.Module):
    """Computes with p itself."""

    def __init__(self, inputs: int, outputs: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.a, self.p = nn.Linear(inputs, outputs), dropout

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.a(x) * (1 - self.p)


def test_where_a_module_computes_with_p_only_runs_of_equal_p_share_a_population(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(choice, "best_width", lambda runs, device, most: (len(runs), 1e-3))
    setup = Setup(task=Images(), model=Model(Scales), steps=5)
    runs = [
        Run(trial, seed, setup.with_value("model.dropout", p), {"model.dropout": p})
        for trial, p in enumerate((0.1, 0.5)) for seed in range(8)
    ]  # fmt: skip
    found = way(runs, CPU, memory_bytes=PLENTY)
    assert (found.width, found.apart, found.why) == (8, True, "")
    populations = plan(runs, lambda name, runs: found)
    assert [{run.trial for run in population} for population in populations] == [{0}, {1}]


def test_what_is_tuned_is_proven_at_both_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "best_width", lambda runs, device, most: (len(runs), 1e-3))
    study = Study(name="x", task=Images(), model=Model(Scales, dropout=Tune(0.0, 0.5)), steps=5, seeds=4)
    (runs,) = groups(sample_runs(study)).values()
    assert len(runs) == study.tune_trials * 4, "as many as train at a time"
    assert {run.values["model.dropout"] for run in runs} == {0.0, 0.5}
    assert way(runs, CPU, memory_bytes=PLENTY).apart


def test_what_no_population_can_train_trains_by_the_plain_loop_and_is_said_why() -> None:
    class Reads(nn.Module):
        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__()
            self.a = nn.Linear(inputs, outputs)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.a(x) * self.a.weight.norm().item()

    found = way([Run(0, seed, Setup(task=Images(), model=Model(Reads))) for seed in range(8)], CPU, memory_bytes=PLENTY)
    assert (found.width, found.apart) == (1, False)
    assert found.step_s > 0
    assert found.why == "its forward pass reads values of a tensor (`.item()`, `float()`, `int()`)"


class Explodes(nn.Module):
    """All its numbers overflow once a step was taken."""

    def __init__(self, inputs: int, outputs: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.a, self.d, self.b = nn.Linear(inputs, 16), nn.Dropout(dropout), nn.Linear(16, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(self.d(self.a(x).exp()))


def test_runs_that_all_overflow_in_their_first_steps_are_data_as_others_are() -> None:
    setup = Setup(task=Images(), model=Model(Explodes), optimizer=SGD(1e5), batch_size=8, steps=20)
    runs = [Run(0, seed, setup) for seed in range(4)]
    assert not way(runs, CPU, memory_bytes=PLENTY).why
    assert set(train(runs, evaluations=2, device=CPU)[0]["status"]) == {"diverged"}


def test_a_single_run_trains_by_the_plain_loop() -> None:
    takes = bytes_per_member(RUNS[0], CPU, alone=True)
    assert way(RUNS[:1], CPU, memory_bytes=PLENTY) == Way(1, pytest.approx(1e-3, rel=100), member_bytes=takes)


def test_a_study_takes_its_runs_with_their_evaluations_shared_by_the_processes() -> None:
    own = Study(
        name="own", task=Images(), model=DropoutNet(hidden=(16,)), steps=100, batch_size=32, seeds=3, evaluations=9
    )
    (name,) = groups(sample_runs(own))
    data = own.task.data(0)
    forward_passes = 10 * len(data.validation) + 4 * len(data.test)
    steps = 100 + forward_passes / 3 / 32
    costs = Costs({name: Way(16, 1e-3)}, evaluations=9)
    assert costs.of_study(own) == pytest.approx(3 * steps * 1e-3)
    assert costs.seconds(own, places=2) == pytest.approx(1.5 * steps * 1e-3)


class FailsAtTwo(nn.Module):
    """After the call that tries a model before a study is made."""

    def __init__(self, inputs: int, outputs: int, scale: float = 1.0) -> None:
        super().__init__()
        self.scale, self.calls, self.out = scale, 0, nn.Linear(inputs, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        if self.scale == 2.0 and self.calls > 8:
            raise RuntimeError("boom")
        return self.out(x)


def test_the_level_that_cannot_train_is_named() -> None:
    models = Model(FailsAtTwo, scale=Sweep(1.0, 2.0))
    own = Study(name="own", task=Images(), model=models, steps=10, batch_size=32, seeds=2)
    with pytest.raises(
        InvalidStudy,
        match=r"model: cannot take a few steps on cpu.*: RuntimeError: boom \(got FailsAtTwo\(scale=2.0\)\)",
    ):
        examine(own, {"a": sent(own, sample_runs(own))}, CPU, PLENTY, None)


def test_cores_are_counted_whoever_draws_examples_on_one_of_them_meanwhile() -> None:
    with threads_restored():
        torch.set_num_threads(2)
        assert cores_of(CPU) == 2
        with one_thread(), one_thread():
            assert torch.get_num_threads() == 1
            assert (cores_of(CPU), Beforehand(lambda: cores_of(CPU)).result()) == (2, 2)
        assert torch.get_num_threads() == 2


def test_without_a_cache_nothing_is_read_or_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(choice, "way", lambda *_, **__: Way(16, 1e-3))
    dict(ways([("a", RUNS)], CPU, memory_bytes=PLENTY, cache=cache_file()))
    cache_file().write_text(cache_file().read_text().replace('"width": ', '"width": 9'))  # would be seen
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert dict(ways([("a", RUNS)], CPU, memory_bytes=PLENTY, cache=None))["a"].width == 16
    assert dict(ways([("a", RUNS)], CPU, memory_bytes=PLENTY, cache=cache_file()))["a"].width == 916
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.skipif(sys.platform != "linux", reason="the place is each system's own")
def test_ways_are_cached_where_the_system_keeps_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_file() == tmp_path / "ablation-harness" / "ways.json"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_file() == tmp_path / ".cache" / "ablation-harness" / "ways.json"


class ReadsLater(nn.Module):
    """From its tenth step on, within those that are measured, by `read`."""

    def __init__(self, inputs: int, outputs: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.a, self.p, self.calls = nn.Linear(inputs, outputs), dropout, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += self.training
        return self.a(x) * self.read(x) if self.calls >= 10 else self.a(x)

    def read(self, x: torch.Tensor) -> float:
        return x.mean().item()


class ReadsPLater(ReadsLater):
    def read(self, x: torch.Tensor) -> float:
        return math.sqrt(self.p)


class RaisesLater(ReadsLater):
    """In a population alone, by no word of torch's."""

    def read(self, x: torch.Tensor) -> float:
        if functorch.is_batchedtensor(x):
            raise KeyError("no such place")
        return 2.0


@pytest.mark.parametrize(
    ("module", "apart", "why"),
    [
        (ReadsLater, False, "reads values of a tensor"), (ReadsPLater, True, ""), (RaisesLater, False, "no such place"),
    ],
)  # fmt: skip
def test_what_stops_being_a_population_while_it_is_measured_goes_another_way(
    module: type[ReadsLater], apart: bool, why: str
) -> None:
    runs = [
        Run(trial, seed, Setup(task=Images(), model=Model(module, dropout=p)), {"model.dropout": p})
        for trial, p in enumerate((0.1, 0.5)) for seed in range(8)
    ]  # fmt: skip
    found = way(runs, CPU, memory_bytes=PLENTY)
    assert found.apart is apart and (found.width > 1) is apart
    assert why in found.why and bool(why) is bool(found.why)


def test_what_the_plain_loop_raises_while_it_is_measured_is_raised() -> None:
    class Fails(ReadsLater):
        def read(self, x: torch.Tensor) -> float:
            raise KeyError("no such place")

    with pytest.raises(KeyError, match="no such place"):
        way([Run(0, seed, Setup(task=Images(), model=Model(Fails))) for seed in range(4)], CPU, memory_bytes=PLENTY)
