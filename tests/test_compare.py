"""`harness compare`: two studies that ran, side by side, against pandas and SciPy."""

import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from own_study import no_drawing, without_digests
from scipy import stats
from test_registration import chain_of
from test_tuning import CLAIM, TWO, grid, make

from harness import InvalidStudy, Sweep, compare, load, report, run
from harness.inference.exploration.paired_difference import RATES, paired_difference
from harness.inference.families import judge_registered
from harness.inference.selection import selected
from harness.reporting import comparison, comparison_tables
from harness.reporting.comparison import Comparison
from harness.reporting.comparison import compare as compare_results
from harness.reporting.comparison_tables import verdicts_table
from harness.reporting.comparison_text import text
from harness.reporting.formats import claims_json
from harness.reporting.reading import verdicts_of
from harness.settings.metrics import METRICS, Metric
from harness.study import Estimated, Study, Trend
from harness.study.registration import registrations

TREND = Trend("t", metric="test_loss", better="lower", smallest_effect=0.1, factor="model.dropout")

STUDY = """import torch
from math import inf
from torch import nn
from harness import Claim, Model, Study, Sweep
from harness.clipping import GlobalNorm
from harness.optimizers import SGD
from harness.tasks import Tensors

x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))

class Net(nn.Module):
    def __init__(self, outputs, dropout=0.2):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, outputs))

    def forward(self, x):
        return self.net(x)

study = Study(
    name="before", task=Tensors(x, (x[:, 0] * x[:, 1] > 0).long()), model=Model(Net), clipping=GlobalNorm(Sweep(0.1, inf)),
    optimizer=SGD(lr=0.5), batch_size=16, steps=12, seeds=8, evaluations=2,
    claims=[
        Claim("clipping helps", metric="test_loss", better="lower", smallest_effect=0.01,
              treatment={"clipping.max_norm": 0.1}, baseline={"clipping.max_norm": inf}),
        Claim("clipping prevents divergence", metric="diverged", better="lower", smallest_effect=0.1,
              treatment={"clipping.max_norm": 0.1}, baseline={"clipping.max_norm": inf}),
    ],
)
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`before`; `grown`, the same with more seeds; `after`, at another learning rate and with a sweep of its own."""
    home = tmp_path_factory.mktemp("compared")
    (home / "study.py").write_text(STUDY)
    launch(home)
    launch(home, "name=grown", seeds="10")
    launch(home, "name=after", "optimizer.lr=0.25", "clipping.max_norm=Sweep(0.5, inf)", "model.dropout=Sweep(0.2, 0.4)",
           "claims=()", seeds="1,2,3,4,5,6,7,8,9")  # fmt: skip
    return home / "results"


def launch(home: Path, *settings: str, seeds: str = "8") -> None:
    command = [str(home / "study.py"), "--results", str(home / "results"), "--devices", "cpu", "--seeds", seeds]
    with no_drawing():
        done = CliRunner().invoke(run.main, [*command, *(word for setting in settings for word in ("--set", setting))])
    assert done.exit_code == 0, done.output


def compared(*arguments: Any) -> Result:
    return CliRunner().invoke(compare.main, list(map(str, arguments)))


def confirmed(folder: Path) -> pd.DataFrame:
    runs = pd.read_parquet(folder / "runs.parquet")
    return runs[runs["phase"] == "confirm"]


def interval_of_median(values: "pd.Series[float]") -> tuple[float, float]:
    """By SciPy's exact quantile test, whose interval is that of the sign test."""
    found = stats.quantile_test(values.to_numpy(float), p=0.5).confidence_interval(0.95)
    return float(found.low), float(found.high)


@pytest.mark.slow
def test_differences_are_those_of_runs_joined_by_cell_and_seed(results: Path) -> None:
    found = load(results / "before").compare(load(results / "after"), ["test_loss", "test_error"])
    keys = ["clipping.max_norm", "model.dropout", "seed"]
    joined = confirmed(results / "before").merge(confirmed(results / "after"), on=keys, suffixes=("_a", "_b"))
    assert len(found) == 2 and set(found["clipping.max_norm"]) == {math.inf} and set(found["model.dropout"]) == {0.2}
    assert len(joined) == 7
    for cell in found.to_dict("records"):
        differences = (joined[f"{cell['metric']}_b"] - joined[f"{cell['metric']}_a"]).set_axis(joined["seed"])
        assert (joined["status_b"] != "diverged").all()
        assert cell["per_seed"] == differences.to_dict()
        assert cell["difference"] == np.median(differences)
        assert (cell["low"], cell["high"]) == interval_of_median(differences)
        assert cell["a"] == joined[f"{cell['metric']}_a"].median()
        assert (cell["n"], cell["n_a"], cell["n_b"], cell["n_same"]) == (7, 8, 9, 0)


@pytest.mark.slow
def test_a_study_before_and_after_it_grew(results: Path, tmp_path: Path) -> None:
    said = compared(results / "before", results / "grown", "--json", tmp_path / "found.json")
    assert said.exit_code == 0, said.output
    found = json.loads((tmp_path / "found.json").read_text())
    assert {row["setting"]: (row["a"], row["b"]) for row in found["settings"]} == {
        "name": ("'before'", "'grown'"), "seeds": ("8", "10"),
    }  # fmt: skip
    assert found["matched_on"] == ["clipping.max_norm"]
    assert (found["n_common"], found["n_same"]) == (16, 16)  # grown equals whole, in populations of other widths
    assert "Runs in common, by clipping.max_norm, seed: 16, of which" in said.output
    assert {cell["metric"] for cell in found["cells"]} == {"test_loss", "diverged"}
    before, grown = (json.loads((results / name / "claims.json").read_text()) for name in ("before", "grown"))
    for row, old, new in zip(found["verdicts"], before, grown, strict=True):
        assert (row["title"], row["verdict_a"], row["verdict_b"]) == (old["title"], old["verdict"], new["verdict"])
        assert (row["estimate_a"], row["estimate_b"]) == (old["estimate"], new["estimate"])
        assert "seeds: 8 → 10" in row["why"]


@pytest.mark.slow
def test_runs_that_are_the_same_to_the_bit_are_counted(results: Path, tmp_path: Path) -> None:
    copy = without_digests(shutil.copytree(results / "before", tmp_path / "copy"))
    assert set(load(results / "before").compare(load(copy))["n_same"]) == {8}
    table = pd.read_parquet(copy / "runs.parquet")
    table.loc[0, "test_loss"] = np.nextafter(table.loc[0, "test_loss"], 9.0)
    table.to_parquet(copy / "runs.parquet", index=False)
    curves = pd.read_parquet(copy / "curves.parquet")
    last = curves.index[(curves["trial"] == table.loc[1, "trial"]) & (curves["seed"] == table.loc[1, "seed"])][-1]
    curves.loc[last, "loss"] += 1
    curves.to_parquet(copy / "curves.parquet", index=False)
    said = compared(results / "before", copy)
    assert "Settings and environment are the same." in said.output
    assert "16, of which 14 the same to the bit." in said.output


@pytest.mark.slow
def test_factors_and_cells_of_one_alone_are_named(results: Path) -> None:
    said = compared(results / "before", results / "after", "--metric", "test_loss")
    assert said.exit_code == 0, said.output
    assert "Runs in common, by clipping.max_norm, model.dropout, seed: 7" in said.output
    assert "A alone has the cell clipping.max_norm = 0.1." in said.output
    assert "B alone has the cell model.dropout = 0.2, clipping.max_norm = 0.5." in said.output
    assert "only A has this claim" in said.output
    assert "optimizer.lr" in said.output and "0.5" in said.output


@pytest.mark.slow
def test_a_factor_that_the_other_tunes_is_no_key(results: Path, tmp_path: Path) -> None:
    other = without_digests(shutil.copytree(results / "before", tmp_path / "other"))
    study = json.loads((other / "study.json").read_text())
    (other / "study.json").write_text(json.dumps(study | {"clipping.max_norm": "Tune(0.1, 1.0)"}))
    table = pd.read_parquet(other / "runs.parquet")
    table[table["clipping.max_norm"] == 0.1].to_parquet(other / "runs.parquet", index=False)
    said = compared(results / "before", other)
    assert "clipping.max_norm: B does not sweep it; each of A's levels stands beside the same cell of B." in said.output
    assert "Runs in common, by seed: 16" in said.output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda folder: None, ["--metric", "test_los"], "--metric: no such metric is recorded; did you mean test_loss?"),
        (lambda folder: (folder / "claims.json").unlink(), [], "has no claims.json"),
        (lambda folder: shutil.rmtree(folder), [], "no such folder"),
        (lambda folder: (folder / "curves.parquet").write_bytes(b"x"), [], "curves.parquet: is damaged"),
        (lambda folder: None, ["--json", "/nowhere/at/all.json"], "--json: cannot be written"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused(
    change: Callable[[Path], None], options: list[str], message: str, results: Path, tmp_path: Path
) -> None:
    folder = without_digests(shutil.copytree(results / "before", tmp_path / "copy"))
    change(folder)
    refused = compared(results / "grown", folder, *options)
    assert refused.exit_code == 2, refused.output
    assert message in refused.output
    assert "Traceback" not in refused.output


@pytest.mark.slow
def test_a_metric_of_one_alone_is_refused_and_so_is_the_same_folder(results: Path, tmp_path: Path) -> None:
    folder = without_digests(shutil.copytree(results / "before", tmp_path / "copy"))
    pd.read_parquet(folder / "runs.parquet").drop(columns="test_error").to_parquet(folder / "runs.parquet", index=False)
    with pytest.raises(InvalidStudy, match=f"--metric: test_error is not recorded in {folder}"):
        load(results / "before").compare(load(folder), ["test_error"])
    with pytest.raises(InvalidStudy, match="is the folder that it would be compared with"):
        load(results / "before").compare(load(str(results / "before")))


def of_runs(values: list[float], statuses: list[str] | None = None, metric: str = "test_loss") -> pd.DataFrame:
    seeds = range(len(values))
    return pd.DataFrame({"seed": seeds, "status": statuses or ["finished"] * len(values), metric: values})


def test_a_diverged_run_ranks_worst_and_two_tie() -> None:
    statuses = ["diverged", "diverged", *["finished"] * 6]
    a = of_runs([math.nan, 3.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0], statuses)
    b = of_runs([math.inf, 2.0, 1.5, 0.5, 1.25, 0.75, 2.0, 3.0], ["diverged", *["finished"] * 7])
    found = paired_difference("test_loss", "lower", a, b)
    assert found.per_seed == {0: 0.0, 1: -math.inf, 2: 0.5, 3: -0.5, 4: 0.25, 5: -0.25, 6: 1.0, 7: 2.0}
    assert found.difference == 0.125
    assert (found.low, found.high) == (-math.inf, 2.0)  # of 8 values the least and the largest: 99.2 %
    assert found.n_missing == 0


def test_failed_runs_are_missing_and_few_seeds_have_no_interval() -> None:
    a = of_runs([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], ["failed", *["finished"] * 5])
    found = paired_difference("test_loss", "lower", a, of_runs([1.0, 2.5, 3.5, 4.5, 5.5, math.nan]))
    assert found.per_seed == {1: 0.5, 2: 0.5, 3: 0.5, 4: 0.5}
    assert (found.difference, found.n_missing) == (0.5, 2)
    assert math.isnan(found.low) and math.isnan(found.high)
    for ends, shown in (((math.nan, math.nan), "0.5"), ((None, 0.75), "0.5 [−∞, 0.75]"), ((None, None), "0.5")):
        assert comparison_tables._with_interval(0.5, *ends) == shown
    assert comparison_tables._with_interval(None, None, None) == "–"


def test_rates_have_the_paired_score_interval() -> None:
    """Of 10 pairs B alone has it in 6: Tango's asymptotic interval, solved for by SciPy, is within what the exact one holds."""
    a, b = [0.0] * 10, [1.0] * 6 + [0.0] * 4
    found = paired_difference("diverged", "lower", of_runs(a, metric="diverged"), of_runs(b, metric="diverged"))
    assert (found.a, found.b, found.difference) == (0.0, 0.6, 0.6)
    assert found.low < stats.binomtest(6, 10).proportion_ci(method="wilson").low
    assert 0.0 < found.low < 0.6 < found.high < 1.0


def test_seeds_that_are_copies_are_no_replicates() -> None:
    a, b = of_runs([1.0, 1.0, 2.0]), of_runs([3.0, 3.0, 3.0])
    found = paired_difference("test_loss", "lower", a, b)
    assert (found.per_seed, found.n_copies) == ({0: 2.0, 2: 1.0}, 1)


def claimed(claim: Estimated, folder: Path) -> SimpleNamespace:
    """Of results what their claims.json says of one claim, on the same runs; nothing is known of when it was made."""
    return judged(made(claim), (), folder)


def made(*claims: Estimated) -> Study:
    return make(batch_size=Sweep(8, 16), claims=claims)


def judged(study: Study, chain: Any, folder: Path) -> SimpleNamespace:
    """Likewise, of all claims as they stand to this record."""
    runs = selected(
        study, pd.concat([grid(TWO, batch_size=8), grid(TWO, batch_size=16).assign(trial=lambda t: t["trial"] + 6)])
    )
    file = folder / "claims.json"
    file.write_bytes(claims_json(judge_registered(study, runs, registrations(study, chain))))
    return SimpleNamespace(verdicts=verdicts_of(file, runs))


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        (CLAIM, CLAIM.replace(across="each"), "across: average → each"),
        (CLAIM, CLAIM.replace(least_clipped=0.5), "least_clipped: 0.01 → 0.5"),
        (TREND, TREND.replace(shape="monotone"), "shape: linear → monotone"),
        (TREND, TREND.replace(at={"batch_size": 8}), "at: nothing → batch_size = 8, over: batch_size = 8, 16 → nothing"),
    ],
)  # fmt: skip
def test_verdicts_on_another_claim_say_so_whatever_it_is_in(
    was: Estimated, now: Estimated, said: str, tmp_path: Path
) -> None:
    before, after = claimed(was, tmp_path), claimed(now, tmp_path)
    (row,) = comparison._verdicts(before, after).to_dict("records")  # type: ignore[arg-type]  # all that it reads
    assert row["why"].startswith("another claim, ") and said in row["why"]
    (row,) = comparison._verdicts(before, before).to_dict("records")  # type: ignore[arg-type]
    assert row["why"] == ""


def test_of_a_claim_of_an_older_version_it_is_said_that_not_all_is_known(tmp_path: Path) -> None:
    before, after = claimed(TREND, tmp_path), claimed(TREND.replace(shape="monotone"), tmp_path)
    before.verdicts["form"], before.verdicts["verdict"] = None, "refuted"
    (row,) = comparison._verdicts(before, after).to_dict("records")  # type: ignore[arg-type]
    assert "whether they are one claim in all is not known, since an older version wrote one of them" in row["why"]


@pytest.mark.parametrize(
    ("after", "marked", "why"),
    [
        ([(made(), 3), (made(CLAIM), 3)], "undecided (exploratory)", "exploratory: added after 12 of its runs were seen"),
        ([(made(CLAIM), 0), (made(), 3)], "undecided (withdrawn)", "registered; withdrawn after 12 of its runs were seen"),
        ([(made(), 3), (made(CLAIM), 3), (made(), 3)], "undecided (withdrawn, exploratory)",
         "exploratory: added after 12 of its runs were seen; withdrawn after 12 of its runs were seen"),
    ],
)  # fmt: skip
def test_verdicts_on_claims_that_were_not_made_before_the_data_or_were_dropped_are_marked_as_in_show(
    after: list[tuple[Study, int]], marked: str, why: str, tmp_path: Path
) -> None:
    study = after[-1][0]
    one = judged(made(CLAIM), chain_of((made(CLAIM), 0), (made(CLAIM), 3)), tmp_path)
    other = judged(study, chain_of(*after), tmp_path)
    verdicts = comparison._verdicts(one, other)  # type: ignore[arg-type]  # all that it reads
    (row,) = verdicts_table(SimpleNamespace(verdicts=verdicts), ("A", "B")).rows  # type: ignore[arg-type]  # likewise
    estimate = comparison_tables._with_interval(*verdicts.loc[0, ["estimate_a", "low_a", "high_a"]])
    assert row[1:3] == [f"undecided {estimate}", f"{marked} {estimate}"]
    assert f"registration: registered → {why}" in row[3]
    assert verdicts.loc[0, ["registered_a", "registration_a", "withdrawn_a"]].tolist() == [True, "registered", False]
    assert (verdicts.loc[0, "registration_b"], verdicts.loc[0, "withdrawn_b"]) == (why, "withdrawn" in marked)
    (row,) = comparison._verdicts(other, other).to_dict("records")  # type: ignore[arg-type]
    assert row["why"] == ""


OWN_RATE = """from pathlib import Path
from harness import Diagnostics, Measure, Study, Sweep
from harness.models import DropoutNet
from harness.optimizers import SGD
from harness.tasks import Images

def rose(curve):
    \"\"\"Whether the last loss is above the first.\"\"\"
    return float(curve["loss"].iloc[-1] > curve["loss"].iloc[0])

study = Study(
    name="one", task=Images("digits", train_size=40), model=DropoutNet(hidden=[4]), optimizer=SGD(0.01), batch_size=4, steps=4, seeds=8,
    metrics=Diagnostics(measures=[Measure(rose, "share of runs", "lower")]),
)
"""


@pytest.mark.slow
def test_a_users_own_rate_is_one_in_a_folder_too(tmp_path: Path) -> None:
    (tmp_path / "study.py").write_text(OWN_RATE)
    launch(tmp_path)
    launch(tmp_path, "name=two", "optimizer.lr=0.02")
    del METRICS["rose"]  # as in a process that did not run the study file
    one, two = (tmp_path / "results" / name for name in ("one", "two"))
    x, y = (confirmed(folder).set_index("seed")["rose"] for folder in (one, two))
    assert 0 < x.mean() < 1
    (found,) = load(one).compare(load(two), ["rose"]).to_dict("records")
    rates = {"a": x.mean(), "b": y.mean(), "difference": (y - x).mean(), "better": "lower", "method": RATES}
    assert {name: found[name] for name in rates} == rates
    for folder in (one, two):
        (without_digests(folder) / "metrics.json").unlink()  # as older versions wrote it
    found = compare_results(load(one), load(two), ["rose"])
    assert (found.unknown, found.cells["better"].tolist()) == (["rose"], [""])
    assert "What rose means is not known, since A and B do not say" in compared(one, two, "--metric", "rose").output
    loss = {"rose": vars(Metric("", "loss", "lower", "stability", examples=""))}
    rate = {"rose": vars(Metric("", "share of runs", "lower", "stability", examples=""))}
    for folder, means in ((one, loss), (two, rate)):
        (folder / "metrics.json").write_text(json.dumps(means))
    said = compared(one, two, "--metric", "rose")
    assert said.exit_code == 2 and "means something else in each of both (got rose)" in said.output


# --- a report with a baseline ---------------------------------------------------------------------------------------


def reported(results: Path, *arguments: Any) -> Result:
    command = [results.parent / "study.py", "--results", results, "--set", "name=after", *arguments]
    with no_drawing():
        return CliRunner().invoke(report.main, list(map(str, command)))


@pytest.mark.slow
def test_a_report_stands_beside_its_baseline_in_the_same_differences(results: Path) -> None:
    before, after = results / "before", results / "after"
    tables = {name: (after / name).read_bytes() for name in ("runs.parquet", "claims.json", "summary.parquet")}
    done = reported(results, "--baseline", before)
    assert done.exit_code == 0, done.output
    assert tables == {name: (after / name).read_bytes() for name in tables}
    joined = confirmed(before).merge(
        confirmed(after), on=["clipping.max_norm", "model.dropout", "seed"], suffixes=("_a", "_b")
    )
    differences = joined["test_loss_b"] - joined["test_loss_a"]
    (of_loss,) = pd.read_csv(after / "tables" / "baseline.csv").query("metric == 'test_loss'").to_dict("records")
    assert of_loss["difference"] == np.median(differences) and of_loss["n"] == len(joined) == 7
    assert (of_loss["low"], of_loss["high"]) == interval_of_median(differences)
    low, middle, high = (
        f"{value:.3g}".replace("-", "−") for value in (of_loss["low"], of_loss["difference"], of_loss["high"])
    )
    page, text = (after / "report.html").read_text(), (after / "summary.md").read_text()
    assert f"Against {before}" in page and f"## Against {before}" in text
    for shown in (page, text):
        section = shown[shown.index(f"Against {before}") :]
        assert f"{middle} [{low}, {high}]" in section
        for said in (
            "optimizer.lr", "the baseline alone has the cell clipping.max_norm = 0.1", "this study alone has the cell",
            "Runs in common", "clipping prevents divergence", "only the baseline has this claim",
        ):  # fmt: skip
            assert said in section, said
    assert reported(results).exit_code == 0  # and without one again
    assert "Against" not in (after / "report.html").read_text()
    assert not (after / "tables" / "baseline.csv").exists()


@pytest.mark.slow
def test_a_baseline_that_is_none_is_refused_before_anything_is_written(results: Path) -> None:
    page = (results / "after" / "report.html").stat()
    for folder, said in (("after", "is the folder that the report writes; keep a copy"), ("nowhere", "no such folder")):
        done = reported(results, "--baseline", results / folder)
        assert done.exit_code == 2 and said in done.output, done.output
    assert (results / "after" / "report.html").stat() == page


@pytest.mark.slow
def test_a_baseline_with_several_runs_of_a_seed_is_said_to_be_beyond_comparison(results: Path, tmp_path: Path) -> None:
    front = without_digests(shutil.copytree(results / "before", tmp_path / "front"))
    runs = pd.read_parquet(front / "runs.parquet")
    pd.concat([runs, runs.assign(trial=99)]).to_parquet(front / "runs.parquet", index=False)
    done = reported(results, "--baseline", front)
    assert done.exit_code == 0, done.output
    assert "Not compared: " in (results / "after" / "report.html").read_text()
    assert "a front of several objectives has no counterpart" in (results / "after" / "summary.md").read_text()


def test_long_settings_are_cut_where_they_are_printed_and_still_told_apart() -> None:
    same = "Untied(" + "wide=True, " * 9
    rows = [
        ("data of CharLM(" + "length=50, " * 20, "0" * 64, ""),
        ("model", f"{same}deep=1, {same[7:-2]})", f"{same}deep=2, {same[7:-2]})"),
        ("steps", "10", "20"),
    ]
    settings = pd.DataFrame(rows, columns=["setting", "a", "b"])
    none = {"a": [], "b": []}
    found = Comparison(settings, [], none, none, pd.DataFrame({"metric": []}), pd.DataFrame(), [], [], [], 0, 0)
    one = other = SimpleNamespace(folder=Path("x"), runs=settings)
    lines = text(found, one, other).split("Settings that differ, A → B:\n")[1].splitlines()[:3]  # type: ignore[arg-type]
    assert max(map(len, lines)) < 160
    (_, a, b) = re.split(r"  +(?:→  )?", lines[1].strip())
    assert a != b
    assert lines[2].split() == ["steps", "10", "→", "20"]
