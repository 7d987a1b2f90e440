"""Recorded runs, trained again from nothing but the folder that a colleague would get."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result
from own_study import no_drawing, without_digests

from harness import InvalidStudy, load, run
from harness import verify as command
from harness.audit import verify
from harness.audit.agreement import moved, parting, unknown, until, within_tolerances
from harness.audit.recorded import read_results
from harness.engine.devices import device_name
from harness.engine.runs import Run
from harness.engine.way import Way
from harness.execution import placement
from harness.execution.costs import Costs
from harness.execution.placement import Placement
from harness.execution.trainer import Executor
from harness.inference.outcomes import Outcome, in_bits
from harness.ledger.environment import DECISIVE, obstacles
from harness.reporting.trace import TRACE_COLUMNS, write_trace

pytestmark = pytest.mark.slow

STUDY = '''"""Some cells diverge at once, one factor mixes numbers and None, seven units are an odd size."""
import torch
from torch import nn
from harness import Claim, Model, Study, Sweep, Tune
from harness.optimizers import SGD
from harness.tasks import Tensors

x = torch.randn(300, 6, generator=torch.Generator().manual_seed(0))

class Mine(nn.Module):
    def __init__(self, outputs, width=7, dropout=0.3):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(6, width), nn.Tanh(), nn.Dropout(dropout), nn.Linear(width, outputs))
        self.width, self.calls = width, 0

    def forward(self, x):
        self.calls += 1
        if self.width == 9 and self.calls > 9:
            raise RuntimeError("no more")
        return self.net(x)

study = Study(
    name="small",
    task=Tensors(x, (x[:, 0] * x[:, 1] > 0).long(), train_size=Sweep(None, 100)),
    model=Model(Mine),
    optimizer=SGD(lr=Sweep(0.1, 1e38), momentum=Tune(0.0, 0.5)),
    batch_size=13, steps=40, seeds=4, sampler="tpe", tune="shared", tune_seeds=1, tune_trials=4, evaluations=4,
    claims=[Claim("more data help", metric="test_loss", better="lower", smallest_effect=0.01,
                  treatment={"task.train_size": None}, baseline={"task.train_size": 100})],
)
'''


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two studies: `small`, narrower than 16, in two rounds; `wide`, half of whose runs fail."""
    place = tmp_path_factory.mktemp("verify")
    (place / "mine.py").write_text(STUDY)
    assert launch(place, "--set", "steps=30", "--seeds", "2,5,7").exit_code == 0
    with pytest.MonkeyPatch.context() as patch:
        cpu, way = torch.device("cpu"), Way(64, step_s=1e-3)
        wide = Placement([cpu], {}, lambda grouped: dict.fromkeys(grouped, way), Costs({}, 4), device_name(cpu))
        patch.setattr(placement, "place_on_host", lambda *_, **__: wide)
        plain = (f"{path}=0.1" for path in ("optimizer.lr", "optimizer.momentum"))
        settings = ["name=wide", *plain, "model.width=Sweep(7, 9)", "task.train_size=100", "claims=()"]
        done = launch(place, "--seeds", "20", *(word for setting in settings for word in ("--set", setting)))
        assert done.exit_code == 1, done.output
    (place / "mine.py").unlink()
    return place / "results"


def launch(place: Path, *options: str) -> Result:
    command = [str(place / "mine.py"), "--results", str(place / "results"), "--devices", "cpu", *options]
    with no_drawing():
        return CliRunner().invoke(run.main, command)


def verified(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(command.main, [str(folder), *options])


@pytest.fixture
def small(results: Path, tmp_path: Path) -> Path:
    """A copy of the folder alone, somewhere else, whose files may be changed."""
    return without_digests(shutil.copytree(results / "small", tmp_path / "from_a_colleague"))


def change(folder: Path, name: str, how: Callable[[pd.DataFrame], None]) -> None:
    table = pd.read_parquet(folder / name)
    how(table)
    table.to_parquet(folder / name, index=False)


def test_every_run_of_every_phase_is_trained_again_to_the_bit(small: Path) -> None:
    again = verified(small, "--sample", "100")
    assert again.exit_code == 0, again.output
    runs = pd.read_parquet(small / "runs.parquet")
    assert len(runs) == 4 * (4 + 3)
    assert {"finished", "diverged"} <= set(runs["status"]) <= {"finished", "diverged", "collapsed"}
    assert set(runs["seed"]) == {2, 5, 7, 1_000_000}
    assert set(runs["task.train_size"]) == {"None", "100"}
    assert again.output.count("agrees in every bit") == 28
    assert again.output.splitlines()[-1].startswith("AGREES: 28 of 28 runs agree, 28 of them in every bit")
    assert "claims.json: every verdict follows from the runs" in again.output
    sizes = [(len(part.runs), {run.confirm for run in part.runs}) for part in read_results(small).parts]
    assert [sum(size for size, kinds in sizes if kinds == {phase}) for phase in (False, True)] == [16, 12]


def test_the_choice_is_random_and_can_be_repeated(small: Path) -> None:
    first, other = (verified(small, "--sample", "2").stdout for _ in range(2))
    (seed,) = re.findall(r"--seed (\d+)", first)
    assert f"--seed {seed}" not in other
    assert verified(small, "--sample", "2", "--seed", seed).stdout == first


def test_failed_runs_are_not_sampled(results: Path) -> None:
    again = verified(results / "wide", "--sample", "100")
    assert again.exit_code == 0, again.output
    assert "20 of 40 runs" in again.output
    assert "20 failed and are not sampled" in again.output
    assert again.output.count("agrees in every bit") == 20


def test_a_run_that_is_said_to_have_failed_though_it_trained_is_found(results: Path, tmp_path: Path) -> None:
    folder = without_digests(shutil.copytree(results / "wide", tmp_path / "wide"))
    change(folder, "runs.parquet", lambda table: table.loc.__setitem__((table["seed"] == 3, "status"), "failed"))
    refused = verified(folder, "--sample", "100")
    assert refused.exit_code == 2, refused.output
    assert "holds with which runs trial 0, seed 3 trained, whose status is failed" in refused.output


def test_a_changed_verdict_is_found_whatever_is_sampled(small: Path) -> None:
    claims = json.loads((small / "claims.json").read_text())
    changed = [claims[0] | {"verdict": "supported", "estimate": 9.0}]
    (small / "claims.json").write_text(json.dumps(changed))
    again = verified(small, "--sample", "1")
    assert again.exit_code == 1, again.output
    assert (
        f"claims.json: more data help: verdict is supported recorded, {claims[0]['verdict']} from the runs"
        in again.output
    )
    assert "DIFFERS: 1 of 1 run agrees" in again.output and "2 numbers of claims.json do not" in again.output


CHANGED_BY_HAND = ("report.html", "summary.md", "summary.csv", "runs.csv", "tables/cells.tex")


def test_a_file_that_no_run_tells_of_is_found_by_its_digest(results: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(results / "small", tmp_path / "small"))
    (folder / "curves.parquet").unlink()  # left out, as large files are
    assert verified(folder, "--sample", "1").exit_code == 0
    change(folder, "summary.parquet", lambda table: table.update({"seeds": [9] * len(table)}))
    changed = [*CHANGED_BY_HAND, f"figures/{next((folder / 'figures').glob('*.csv')).name}"]
    for name in changed:
        with (folder / name).open("a", encoding="utf-8") as file:
            file.write(" ")
    again = verified(folder, "--sample", "1")
    assert again.exit_code == 1, again.output
    for name in ("summary.parquet", *changed):
        assert f"{name}: is not the file that was written with the others, by its digest in counts.json" in again.output
    assert f"1 of them in every bit; {1 + len(changed)} files were changed." in again.output


def test_halves_are_trained_again_as_halves(results: Path, tmp_path: Path) -> None:
    """A population that was too much for the memory: its runs are compared among those with which they trained."""
    folder = without_digests(shutil.copytree(results / "wide", tmp_path / "wide"))
    members = pd.read_parquet(folder / "populations.parquet")
    members["part"] = [
        f"{part}-{place // 10}" for part, place in zip(members["part"], range(len(members)), strict=True)
    ]
    members.to_parquet(folder / "populations.parquet", index=False)
    recorded = read_results(folder)
    assert [len(part.runs) for part in recorded.parts] == [10, 10]
    assert {recorded.part_of[run.trial, run.seed] for run in recorded.parts[1].runs} == {1}


def trained_again(monkeypatch: pytest.MonkeyPatch) -> list[list[tuple[int, int]]]:
    """Trial and seed of the runs of each population that `verify` trains from now on."""
    populations: list[list[tuple[int, int]]] = []
    original = verify.train

    def train(trainer: Executor, runs: list[list[Run]], *rest: Any, **named: Any) -> Any:
        populations.extend([(run.trial, run.seed) for run in population] for population in runs)
        return original(trainer, runs, *rest, **named)

    monkeypatch.setattr(verify, "train", train)
    return populations


def test_sampled_runs_train_without_their_companions(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    again = trained_again(monkeypatch)
    wide = verified(results / "wide", "--sample", "3", "--seed", "0")
    assert wide.exit_code == 0, wide.output
    assert list(map(len, again)) == [3]
    assert wide.stdout.splitlines()[-1] == "AGREES: 3 of 3 runs agree, 3 of them in every bit."
    assert "companion" not in wide.output


def test_a_run_of_a_population_is_not_trained_by_the_plain_loop(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounded otherwise there: with one companion it is a population, whose bits are those of the recorded one."""
    again = trained_again(monkeypatch)
    wide = verified(results / "wide", "--sample", "1", "--seed", "1")
    assert wide.exit_code == 0, wide.output
    (population,) = again
    assert len(population) == 2
    assert "1 of them in every bit." in wide.output


def test_runs_of_several_parts_share_a_population_where_they_can(small: Path) -> None:
    recorded = read_results(small)
    confirmed = recorded.runs[recorded.runs["phase"] == "confirm"].index
    tuned = recorded.runs[recorded.runs["phase"] == "tune"].index
    chosen = {tuned[0], tuned[5], tuned[10]}
    searched, tested = verify.without_companions(recorded, {*chosen, *confirmed[:4]})
    assert {(run.trial, run.seed) for run in searched} == chosen
    assert {(run.trial, run.seed) for run in tested} == set(confirmed[:4])  # which are measured on test data, too
    assert len({recorded.part_of[key] for key in chosen}) == 2
    widest = max(len(part.runs) for part in recorded.parts)
    assert max(map(len, verify.without_companions(recorded, set(recorded.runs.index)))) <= widest


def test_a_run_recorded_by_the_plain_loop_is_trained_by_it(results: Path, tmp_path: Path) -> None:
    folder = without_digests(shutil.copytree(results / "wide", tmp_path / "wide"))
    members = pd.read_parquet(folder / "populations.parquet")
    members["part"] = [f"{place}" if place < 2 else "rest" for place in range(len(members))]
    members.to_parquet(folder / "populations.parquet", index=False)
    recorded = read_results(folder)
    plain = [(run.trial, run.seed) for part in recorded.parts if len(part.runs) == 1 for run in part.runs]
    assert len(plain) == 2
    alone = verify.without_companions(recorded, set(recorded.part_of))
    assert sorted(map(len, alone)) == [1, 1, 18]


def test_a_run_whose_bits_depend_on_its_companions_is_trained_with_all_of_them(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which kernels of a library depend on a population's width differs from CPU to CPU: here those of the fewest do."""
    recorded = read_results(results / "wide")
    widest = max(recorded.parts, key=lambda part: len(part.runs))
    chosen = {(run.trial, run.seed) for run in widest.runs[:3]}
    original = verify.train

    def rounds_otherwise_if_narrow(
        trainer: Executor, runs: list[list[Run]], *rest: Any, **named: Any
    ) -> dict[verify.Key, Outcome]:
        found = original(trainer, runs, *rest, **named)
        if len(runs[0]) == len(widest.runs):
            return found
        return {
            key: Outcome({**it.row, "test_loss": np.nextafter(it.row["test_loss"], np.inf)}, it.curve)
            for key, it in found.items()
        }

    monkeypatch.setattr(verify, "train", rounds_otherwise_if_narrow)
    again = trained_again(monkeypatch)
    judged, _ = verify.train_and_judge(recorded, chosen, [torch.device("cpu")], exactly=True)
    assert list(map(len, again)) == [3, len(widest.runs)]
    assert [found.agrees for found in judged] == [True] * 3
    assert judged[-1].words == f"agrees in every bit with its {len(widest.runs) - 1} companions, not without"


TAMPERED = [
    ("runs.parquet", "test_loss", None),
    ("runs.parquet", "steps_done", 7),
    ("runs.parquet", "status", "diverged"),
    ("curves.parquet", "validation_loss", None),
    ("curves.parquet", "clipped", 1.0),
]
"""Table, column, and a value; None for the next floating-point number."""


def test_a_changed_value_is_found(small: Path) -> None:
    runs = pd.read_parquet(small / "runs.parquet")
    confirmed = runs[(runs["phase"] == "confirm") & ~runs["status"].isin(["diverged", "failed"])]
    keys = list(zip(confirmed["trial"], confirmed["seed"], strict=True))[: len(TAMPERED)]
    for (trial, seed), (name, column, value) in zip(keys, TAMPERED, strict=True):
        table = pd.read_parquet(small / name)
        last = table.index[(table["trial"] == trial) & (table["seed"] == seed)][-1]
        table.loc[last, column] = np.nextafter(table.loc[last, column], 9.0) if value is None else value
        table.to_parquet(small / name, index=False)
    again = verified(small, "--sample", "100")
    assert again.exit_code == 1, again.output
    for (trial, seed), (_, column, _) in zip(keys, TAMPERED, strict=True):
        assert re.search(
            rf"^{trial} +{seed} .* {column}(: | at step).* recorded, .* again$", again.stdout, re.MULTILINE
        )
    last = again.stdout.splitlines()[-1]
    assert re.match(r"DIFFERS: 23 of 28 runs agree, 23 of them in every bit[,;] ", last)  # and what follows from a loss
    assert last.endswith("numbers of claims.json do not.")


def elsewhere(folder: Path) -> None:
    environment = json.loads((folder / "environment.json").read_text())
    (folder / "environment.json").write_text(json.dumps(environment | {"torch": "2.12.0"}))


def nudge(table: pd.DataFrame) -> None:
    """Rounding errors as another processor makes them."""
    numbers = [name for name in table if table[name].dtype == float and "." not in name]
    table[numbers] *= 1 + 1e-9 * np.random.default_rng(0).standard_normal((len(table), len(numbers)))


def test_another_environment_is_held_to_tolerances_and_named(small: Path) -> None:
    elsewhere(small)
    for name in ("runs.parquet", "curves.parquet"):
        change(small, name, nudge)
    again = verified(small, "--sample", "100")
    assert again.exit_code == 0, again.output
    assert f"torch: 2.12.0 there, {torch.__version__} here" in again.output
    assert "agrees within tolerances" in again.output
    assert again.output.splitlines()[-1] == "AGREES: 28 of 28 runs agree, 0 of them in every bit."


def double(column: str) -> Callable[[pd.DataFrame], None]:
    def apply(table: pd.DataFrame) -> None:
        table.loc[table["seed"] == 4, column] *= 2

    return apply


def swap(table: pd.DataFrame) -> None:
    table["seed"] = table["seed"].map({2: 5, 5: 2}).fillna(table["seed"]).astype(int)


@pytest.mark.parametrize(
    ("table", "how", "word"),
    [("runs.parquet", double("grad_norm_median"), "grad_norm_median"), ("curves.parquet", swap, "at step 1"),
     ("runs.parquet", lambda table: table.update({"status": table["status"].replace("finished", "diverged")}), "status")],
)  # fmt: skip
def test_tolerances_are_not_blind(
    table: str, how: Callable[[pd.DataFrame], None], word: str, results: Path, tmp_path: Path
) -> None:
    folder = without_digests(shutil.copytree(results / "wide", tmp_path / "wide"))
    elsewhere(folder)
    change(folder, table, how)
    again = verified(folder, "--sample", "100")
    assert again.exit_code == 1, again.output
    assert word in again.output


def test_without_its_curves_a_folder_is_verified_by_what_its_runs_came_to(results: Path, tmp_path: Path) -> None:
    folder = without_digests(shutil.copytree(results / "wide", tmp_path / "wide"))
    for name in ("curves.parquet", "trace.parquet"):
        (folder / name).unlink()
    again = verified(folder, "--sample", "2")
    assert again.exit_code == 0, again.output
    assert "curves.parquet is not there: what a run came to is compared" in again.output
    assert len(load(folder).runs) and load(folder).study["name"]
    with pytest.raises(InvalidStudy, match=r"curves\.parquet: is missing"):
        _ = load(folder).curves
    change(folder, "runs.parquet", lambda runs: runs.__setitem__("test_loss", runs["test_loss"] * 1.001))
    assert verified(folder, "--sample", "100").exit_code == 1
    elsewhere(folder)
    change(folder, "runs.parquet", lambda runs: runs.__setitem__("grad_norm_median", runs["grad_norm_median"] * 1.1))
    nobody = verified(folder, "--sample", "3", "--seed", "1")
    assert nobody.exit_code == 3, nobody.output
    assert nobody.output.splitlines()[-1] == (
        "OPEN: 0 of 3 runs agree, 0 of them in every bit; of 3 nobody can say without a curve."
    )


@pytest.mark.parametrize(
    ("table", "how", "code", "words"),
    [("trace.parquet", nudge, 0, "AGREES: 20 of 20 runs agree"),
     ("trace.parquet", swap, 1, "at step 1"),
     ("runs.parquet", double("test_loss"), 1, "test_loss: "),
     ("runs.parquet", double("grad_norm_median"), 0, "may have parted, which nobody can say without its whole curve (grad_norm_median")],
)  # fmt: skip
def test_on_another_processor_a_trace_tells_whether_a_run_began_as_the_recorded_one(
    table: str, how: Callable[[pd.DataFrame], None], code: int, words: str, results: Path, tmp_path: Path
) -> None:
    folder = without_digests(shutil.copytree(results / "wide", tmp_path / "wide"))
    (folder / "curves.parquet").unlink()
    elsewhere(folder)
    change(folder, table, how)
    again = verified(folder, "--sample", "100")
    assert "its first, last and few other steps" in again.output
    assert words in again.output
    assert again.exit_code == code, again.output


def test_a_trace_agrees_in_every_bit_or_differs(results: Path, tmp_path: Path) -> None:
    folder = without_digests(shutil.copytree(results / "wide", tmp_path / "wide"))
    (folder / "curves.parquet").unlink()
    assert verified(folder, "--sample", "100").exit_code == 0
    change(folder, "trace.parquet", nudge)
    again = verified(folder, "--sample", "2")
    assert again.exit_code == 1 and "at step 1" in again.output


def test_the_trace_of_all_runs_is_that_of_each(results: Path, tmp_path: Path) -> None:
    """However the file of the curves is cut into pieces."""
    curves = pd.read_parquet(results / "wide" / "curves.parquet")
    curves.to_parquet(tmp_path / "cut.parquet", index=False, row_group_size=7)
    write_trace(tmp_path / "cut.parquet", tmp_path / "trace.parquet")
    found = pd.read_parquet(tmp_path / "trace.parquet")
    assert found.equals(pd.read_parquet(results / "wide" / "trace.parquet"))
    assert list(found) == list(TRACE_COLUMNS)
    for (trial, seed), curve in curves.groupby(["trial", "seed"]):
        steps = curve["step"].tolist()
        firsts = {min(step for step in steps if step >= 2**power) for power in range(steps[-1].bit_length())}
        mine = found[(found["trial"] == trial) & (found["seed"] == seed)]
        assert mine["step"].tolist() == sorted(firsts | {steps[-1]})
        assert mine["loss"].equals(curve["loss"][curve["step"].isin(mine["step"])].set_axis(mine.index))


def test_obstacles_ignore_threads_and_the_number_of_devices() -> None:
    here = dict.fromkeys(DECISIVE, "same") | {"devices": "cpu (Some(R) CPU, 2 cores)"}
    there = here | {"devices": "cpu (Some(R) CPU, 1 core), cpu (Some(R) CPU, 1 threads)", "cores": "9"}
    assert obstacles(there, here) == []
    assert obstacles(there | {"devices": "cpu (Other, 2 threads)"}, here) != []
    assert obstacles({k: v for k, v in here.items() if k != "instructions"}, here) == ["instructions: not recorded"]


def test_comparison_of_outcomes() -> None:
    curve = pd.DataFrame({"step": [1, 2, 3], "loss": [1.0, 0.5, np.nan], "grad_norm": [3.0, 2.0, np.nan]})
    row = {"status": "finished", "steps_done": 3, "test_loss": 0.5, "test_error": 0.0, "gap": 0.0}
    outcome = Outcome(row, curve)
    assert in_bits(outcome, Outcome(dict(row), curve.copy())) is None
    assert str(in_bits(outcome, Outcome(row | {"gap": -0.0}, curve))) == "gap: 0.0 recorded, -0.0 again"
    late = Outcome(row | {"test_loss": 9.0}, curve.assign(loss=[1.0, 0.6, np.nan]))
    assert str(in_bits(outcome, Outcome(row, late.curve))) == "loss at step 2: 0.5 recorded, 0.6 again"
    assert parting(outcome.curve, late.curve) == 2
    assert within_tolerances(outcome, late) is None
    assert moved([(outcome, late)] * 14 + [(outcome, outcome)] * 9) == {"test_loss": (14, 14)}
    assert moved([(late, outcome)] * 14) == {"test_loss": (0, 14)}
    assert moved([(outcome, late)] * 8) == moved([(outcome, late), (late, outcome)] * 40) == {}
    assert until(outcome, late) == " until it parts at step 2" and until(outcome, outcome) == ""
    bare = Outcome(row, None)
    assert in_bits(bare, outcome) is None and str(in_bits(bare, late)) == "test_loss: 0.5 recorded, 9.0 again"
    assert within_tolerances(bare, late) is None and unknown(bare, outcome) is None
    assert str(unknown(bare, late)) == "test_loss: 0.5 recorded, 9.0 again" and unknown(outcome, late) is None
    assert within_tolerances(outcome, Outcome(row | {"gap": 0.02, "test_error": 0.04}, curve)) is None
    assert within_tolerances(outcome, Outcome(row | {"gap": 0.04}, curve)) is not None
    trace = Outcome(row | {"grad_norm_max": 3.0}, curve, False)
    spiked, other = (trace._replace(row=trace.row | off) for off in ({"grad_norm_max": 9.0}, {"test_loss": 9.0}))
    assert within_tolerances(trace, spiked) is None and str(unknown(trace, spiked)).startswith("grad_norm_max")
    assert str(within_tolerances(trace, other)).startswith("test_loss")
    assert unknown(trace, other._replace(curve=late.curve)) is None
    early = Outcome(row, curve.assign(loss=[1.001, 0.5, np.nan]))
    assert "loss at step 1" in str(within_tolerances(outcome, early))
    assert "logged steps" in str(within_tolerances(outcome, Outcome(row, curve[:0])))


def test_a_study_that_needs_its_neighbours_is_named_by_an_option(small: Path, tmp_path: Path) -> None:
    needy = STUDY.replace("import torch\n", "import helpers_of_mine\nimport torch\n", 1)
    original = tmp_path / "mine.py"
    for file in (small / "study.py", original):
        file.write_text(needy)
    refused = verified(small)
    assert refused.exit_code == 2
    assert "study.py:2: ModuleNotFoundError: No module named 'helpers_of_mine'" in refused.output
    assert "name that with --study FILE" in refused.output
    (tmp_path / "helpers_of_mine.py").write_text("")
    again = verified(small, "--study", str(original), "--sample", "1")
    assert again.exit_code == 0, again.output


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def drop_a_run(folder: Path) -> None:
    table = pd.read_parquet(folder / "runs.parquet")
    table[table["seed"] != 5].to_parquet(folder / "runs.parquet", index=False)


def drop_a_trial(folder: Path) -> None:
    table = pd.read_parquet(folder / "runs.parquet")
    table[table["trial"] != 0].to_parquet(folder / "runs.parquet", index=False)


def put(column: str, value: object) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        change(folder, "runs.parquet", lambda table: table.update({column: [value] * len(table)}))

    return apply


@pytest.mark.parametrize(
    ("damage", "file", "message"),
    [
        (lambda folder: (folder / "runs.parquet").unlink(), "runs.parquet", "is missing"),
        (lambda folder: (folder / "plan.json").unlink(), "plan.json", "is missing"),
        (lambda folder: cut_short(folder / "runs.parquet"), "runs.parquet", "cannot be read"),
        (lambda folder: cut_short(folder / "curves.parquet"), "curves.parquet", "cannot be read"),
        (lambda folder: cut_short(folder / "environment.json"), "environment.json", "cannot be read"),
        (lambda folder: (folder / "populations.parquet").unlink(), "populations.parquet", "is missing"),
        (lambda folder: cut_short(folder / "populations.parquet"), "populations.parquet", "cannot be read"),
        (lambda folder: change(folder, "populations.parquet", lambda table: table.update({"seed": [77] * len(table)})),
         "populations.parquet", "does not say with which runs trial 0, seed 1000000 trained"),
        (lambda folder: change(folder, "populations.parquet", lambda table: table.update({"recorded": [False] * len(table)})),
         "populations.parquet", "does not say with which runs trial 0"),
        (lambda folder: (folder / "claims.json").write_text("[1"), "claims.json", "cannot be read"),
        (lambda folder: (folder / "changes.json").write_text("{}"), "changes.json", "needs settings"),
        (lambda folder: (folder / "study.py").write_text("x = 1"), "study.py", "must define `study"),
        (lambda folder: (folder / "study.py").write_text(STUDY.replace("batch_size=13", "batch_size=14")), "study.py",
         "does not define the study that was run: batch_size: 13 → 14"),
        (drop_a_run, "runs.parquet", "trial 16 must have the seeds [2, 5, 7] (got [2, 7])"),
        (drop_a_trial, "runs.parquet", "holds 15 of 16 tune trials"),
        (put("model.dropout", 0.4), "runs.parquet", "must have model.dropout = 0.3, as in the study (got 0.4)"),
        (put("optimizer.lr", 0.4), "runs.parquet", "trial 0 is none of the study"),
        (put("phase", "other"), "runs.parquet", "trial 0 is none of the study"),
        (lambda folder: change(folder, "curves.parquet", lambda table: table.update({"trial": [99] * len(table)})),
         "curves.parquet", "has a curve of trial 99"),
        (lambda folder: change(folder, "curves.parquet", lambda table: table.update({"optimizer.lr": [0.7] * len(table)})),
         "curves.parquet", "must have optimizer.lr = "),
    ],
)  # fmt: skip
def test_a_damaged_folder_is_refused(damage: Callable[[Path], None], file: str, message: str, small: Path) -> None:
    damage(small)
    refused = verified(small)
    assert refused.exit_code == 2, refused.output
    assert f"{small / file}: " in refused.output
    assert message in refused.output
    assert "Traceback" not in refused.output


def test_arguments_that_do_not_serve(small: Path, tmp_path: Path) -> None:
    assert "no such folder" in verified(tmp_path / "nowhere").output
    assert verified(small, "--sample", "0").exit_code == 2
    refused = verified(small, "--devices", "tpu")
    assert refused.exit_code == 2
    assert "--devices: no such device here" in refused.output
