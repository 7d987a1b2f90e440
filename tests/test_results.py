"""`harness.load`: the tables of a study as it left them, without training and without running anything of the folder."""

import dataclasses
import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from own_study import without_digests
from synthetic import FakeStudy, rnn_clip, simulate

import harness
from harness import InvalidStudy, Results, Sweep, compare, load, run, show, verify
from harness.clipping import GlobalNorm, NoClipping, Value
from harness.inference.plan import Plan
from harness.inference.verdicts import judge
from harness.reporting.formats import claims_json, counts_json, csv, parquet
from harness.reporting.reading import cells_of
from harness.reporting.results import CURVES_FILE, FILES, METRICS_FILE, PAIRS_FILE
from harness.reporting.tables import sort_runs, summarize

pytestmark = pytest.mark.slow

SMALL = '''"""Does clipping matter?"""
from math import inf
import torch
from torch import nn
from harness import Claim, Exact, Model, Study, Sweep
from harness.clipping import GlobalNorm
from harness.optimizers import SGD
from harness.tasks import Tensors

x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))

class Net(nn.Module):
    def __init__(self, outputs, dropout=0.2):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, outputs))

    def forward(self, x):
        return self.net(x)

study = Study(
    name="small", task=Tensors(x, (x[:, 0] > 0).long()), model=Model(Net), clipping=GlobalNorm(Sweep(0.1, inf)),
    optimizer=SGD(lr=0.5), batch_size=16, steps=12, seeds=3, evaluations=2,
    claims=[
        Claim("clipping helps", metric="test_loss", better="lower", smallest_effect=0.01,
              treatment={"clipping.max_norm": 0.1}, baseline={"clipping.max_norm": inf}),
        Exact("dropout acts in training only", metric="eval_noise", unless="train_noise"),
    ],
)
'''

POISON = "import pathlib\npathlib.Path(__file__).with_name('executed').touch()\nraise SystemExit('executed')\n"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study that ran; read only."""
    home = tmp_path_factory.mktemp("loaded")
    (home / "small.py").write_text(SMALL)
    options = ["--results", str(home / "results"), "--devices", "cpu", "-q"]
    done = CliRunner().invoke(run.main, [str(home / "small.py"), *options])
    assert done.exit_code == 0, done.output
    return home / "results" / "small"


@pytest.fixture
def folder(ran: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return without_digests(shutil.copytree(ran, tmp_path / "results" / "small"))


def test_tables_are_those_that_the_study_left(ran: Path) -> None:
    results = load(str(ran))
    pd.testing.assert_frame_equal(results.runs, pd.read_parquet(ran / "runs.parquet"))
    pd.testing.assert_frame_equal(results.curves, pd.read_parquet(ran / "curves.parquet"))
    assert results.curves is results.curves
    assert len(results.runs) == 6
    assert list(results.cells["clipping.max_norm"]) == [0.1, math.inf]
    assert list(results.cells["n"]) == [3, 3]
    for _, cell in results.cells.iterrows():
        runs = results.runs[results.runs["clipping.max_norm"] == cell["clipping.max_norm"]]
        assert cell["test_loss_mean"] == runs["test_loss"].mean()
    assert results.folder == ran
    assert results.report == ran / "report.html"
    assert results.report.exists()


def test_verdicts_are_a_table_of_numbers_with_a_row_per_claim(ran: Path) -> None:
    verdicts, claims = load(ran).verdicts, json.loads((ran / "claims.json").read_text())
    assert list(verdicts["title"]) == ["clipping helps", "dropout acts in training only"]
    assert list(verdicts["verdict"]) == [claim["verdict"] for claim in claims]
    first = verdicts.iloc[0]
    assert first["treatment"] == {"clipping.max_norm": 0.1}
    assert first["baseline"] == {"clipping.max_norm": math.inf}
    assert np.median([*first["per_seed"].values()]) == pytest.approx(first["estimate"])
    assert set(first["per_seed"]) == {0, 1, 2}
    assert math.isnan(first["low"]) and math.isnan(first["high"])  # three seeds bound no median
    for name in ("estimate", "low", "high", "p_value", "interquartile_mean", "interquartile_mean_low"):
        assert verdicts[name].dtype == float
    assert math.isnan(verdicts["low"].iloc[1])


def test_study_says_what_decided_the_results_and_what_ran_where(ran: Path) -> None:
    study = load(ran).study
    assert study["clipping.max_norm"] == "Sweep(0.1, inf)"
    assert study["environment"]["devices"].startswith("cpu")


def test_a_glance_tells_runs_and_verdicts(ran: Path) -> None:
    results = load(ran)
    assert repr(results).startswith(f"<Results in {ran}: 6 runs, 2 cells; ")
    assert sum(repr(results).count(word) for word in ("supported", "refuted", "undecided")) >= 1
    assert "dropout acts in training only" in results._repr_html_()
    twice = pd.concat([results.cells, results.cells.tail(1)])  # as where a search confirms two in a cell
    assert ": 6 runs, 2 cells (3 combinations); " in repr(dataclasses.replace(results, cells=twice))
    results.verdicts["withdrawn"] = True
    assert repr(results).count("(withdrawn") >= 1 and "(withdrawn" not in repr(load(ran))


def test_a_notebook_shows_question_verdicts_and_cells(ran: Path) -> None:
    results = load(ran)
    assert results.question == "Does clipping matter?"
    shown = results._repr_html_()
    assert "<b>small</b>: Does clipping matter?" in shown
    lines = re.findall(r"<li>(.*?)</li>", shown)
    assert len(lines) == 2
    for line, (_, claim) in zip(lines, results.verdicts.iterrows(), strict=True):
        assert line.startswith("<b>Undecided</b>: " if claim["verdict"] == "inconclusive" else "<b>Supported</b>: ")
        assert claim["title"] in line and f"n = {claim['n']}" in line
    assert f"{results.verdicts['estimate'].iloc[0]:.3g}".replace("-", "−") in lines[0]
    assert all(text in shown for text in ("<td>0.1</td><td>3</td>", "<td>∞ (no clipping)</td><td>3</td>"))
    for cell in results.cells.to_dict("records"):
        own = results.runs.loc[results.runs["clipping.max_norm"] == cell["clipping.max_norm"], "test_loss"]
        assert f"<td>{own.median():.3g} " in shown.replace("</td>", " ")
    assert "Over seeds of the confirm phase: medians" in shown
    assert "<script" not in shown and "http" not in shown


def test_what_a_notebook_shows_is_text_whatever_it_holds(folder: Path) -> None:
    evil = "<script>alert(1)</script> & \"'<img src=x onerror=alert(1)>"
    claims = json.loads((folder / "claims.json").read_text())
    claims[0] |= {"title": evil, "label": evil}
    (folder / "claims.json").write_text(json.dumps(claims))
    (folder / "study.py").write_text(repr(evil))
    shown = load(folder)._repr_html_()
    assert set(re.findall(r"<(/?\w+)", shown)) <= {
        f"{end}{tag}" for tag in ("div", "p", "b", "ul", "li", "small", "table", "thead", "tbody", "tr", "th", "td") for end in ("", "/")
    }  # fmt: skip
    assert shown.count("&lt;script&gt;") == 3
    (folder / "study.py").write_bytes(b"\x00 no Python (")
    assert load(folder).question == ""
    (folder / "study.py").unlink()
    assert "<b>small</b></p>" in load(folder)._repr_html_()


def test_nothing_of_the_folder_is_executed(folder: Path) -> None:
    for name in ("study.py", "pandas.py", "conftest.py", "__init__.py"):
        (folder / name).write_text(POISON)
    program = f"import harness; r = harness.load({str(folder)!r}); r.curves; r.study; print(r)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "6 runs" in done.stdout
    assert not (folder / "executed").exists()


def test_curves_are_read_when_they_are_asked_for(folder: Path) -> None:
    (folder / "curves.parquet").write_bytes(b"PAR1 no more")
    results = load(folder)
    with pytest.raises(InvalidStudy, match=r"curves\.parquet: is damaged; `harness report STUDY` writes"):
        _ = results.curves


def test_a_missing_folder_is_told_with_the_nearest(folder: Path) -> None:
    with pytest.raises(InvalidStudy, match=r"smal: no such folder; did you mean small\?"):
        load(folder.with_name("smal"))
    with pytest.raises(InvalidStudy, match="nowhere: no such folder; a study leaves its results in results/<study>"):
        load("nowhere")
    with pytest.raises(InvalidStudy, match=r"is the folder of all results; give that of one study in it: small$"):
        load(folder.parent)
    with pytest.raises(InvalidStudy, match="is a file; give the folder"):
        load(folder / "report.html")


@pytest.mark.parametrize("name", ["runs.parquet", "summary.parquet", "claims.json", "study.json"])
def test_an_incomplete_folder_says_what_is_missing_and_what_to_do(name: str, folder: Path) -> None:
    (folder / name).unlink()
    with pytest.raises(InvalidStudy, match=f"small: has no {name}; `harness report STUDY`"):
        load(folder)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("runs.parquet", b""),
        ("runs.parquet", b"PAR1 and so on PAR1"),
        ("summary.parquet", b""),
        ("summary.parquet", b"PAR1 and so on PAR1"),
        ("claims.json", b"[{"),
        ("claims.json", b'[{"title": "half a claim"}]'),
        ("claims.json", b"{}"),
        ("claims.json", b"[" * 100_000),
        ("study.json", b"[]"),
        ("environment.json", b"\xff"),
    ],
)
def test_a_damaged_file_is_named(name: str, content: bytes, folder: Path) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(InvalidStudy, match=f"{name}: is damaged; `harness report STUDY`"):
        load(folder)


def as_before(folder: Path) -> None:
    """Make of a folder what versions wrote that had all metrics in `summary.csv` and no levels in `curves.parquet`."""
    (folder / "summary.csv").write_bytes(csv(pd.read_parquet(folder / "summary.parquet")))
    (folder / "summary.parquet").unlink()
    curves = pd.read_parquet(folder / "curves.parquet")
    curves.drop(columns=["clipping.max_norm"]).to_parquet(folder / "curves.parquet", index=False)


def test_folders_of_before_are_read_the_same(ran: Path, folder: Path) -> None:
    as_before(folder)
    pd.testing.assert_frame_equal(load(folder).cells, load(ran).cells, check_exact=True, check_dtype=False)
    assert set(load(ran).compare(load(folder))["n_same"]) == {3}
    (folder / "summary.csv").write_text("clipping.max_norm,n,test_loss_mean\n")  # of the short one nothing is made up
    with pytest.raises(InvalidStudy, match=r"small: has no summary\.parquet; `harness report STUDY`"):
        load(folder)


@pytest.mark.parametrize("content", [b"diverged_median,b\n1,2\n", b"diverged_median\xff\xfe\x00"])
def test_a_damaged_summary_of_before_is_named(content: bytes, folder: Path) -> None:
    as_before(folder)
    (folder / "summary.csv").write_bytes(content)
    with pytest.raises(InvalidStudy, match=r"summary\.csv: is damaged; `harness report STUDY`"):
        load(folder)


def test_a_level_that_no_run_has_yet_stays_what_it_is(tmp_path: Path) -> None:
    """Runs of some levels are whole numbers, another level is not."""
    cells = pd.DataFrame({"x": [1.0, 2.5], "n": 3, "n_diverged": 0, "n_collapsed": 0, "n_failed": 0})
    for name, content in (("summary.parquet", parquet(cells)), ("summary.csv", csv(cells))):
        (tmp_path / name).write_bytes(content)
        assert cells_of(tmp_path / name, pd.DataFrame({"x": [1, 1]}))["x"].tolist() == [1.0, 2.5]


def all_of(folder: Path) -> tuple[pd.DataFrame, ...]:
    results = load(folder)
    return results.runs, results.curves, results.pairs


def test_files_of_two_states_are_no_result(ran: Path, tmp_path: Path) -> None:
    """Each file that is read is another one than was written with the rest: an older one, or one that was cut short."""
    for name in (*FILES, METRICS_FILE, CURVES_FILE, PAIRS_FILE):
        folder = Path(shutil.copytree(ran, tmp_path / name))
        results = load(folder)
        content = (folder / name).read_bytes()
        cut = content[: len(content) // 2].rpartition(b"\n")[0]
        older = {"pairs.csv": cut, "curves.parquet": (folder / "runs.parquet").read_bytes()}.get(name, content + b"\n")
        (folder / name).write_bytes(older)
        with pytest.raises(InvalidStudy, match=f"{name}: is (not the file that was written with the others|damaged)"):
            all_of(folder)
        if name in ("curves.parquet", "pairs.csv"):
            with pytest.raises(InvalidStudy, match="is not the file that was written with the others"):
                _ = results.curves, results.pairs


def test_a_folder_without_its_mark_says_that_its_writing_was_interrupted(ran: Path, folder: Path) -> None:
    (folder / "counts.json").unlink()
    for command in (
        [show.main, folder],
        [verify.main, folder],
        [compare.main, folder, ran],
        [compare.main, ran, folder],
    ):
        done = CliRunner().invoke(command[0], [str(each) for each in command[1:]])
        assert done.exit_code == 2 and "has no counts.json, which is written last" in done.output, done.output


def test_what_is_no_result_and_no_run_is_refused_in_words(ran: Path) -> None:
    results = load(ran)
    with pytest.raises(TypeError, match=r"compare takes Results, such as harness\.load"):
        results.compare(str(ran))
    with pytest.raises(TypeError, match="weights takes a row of runs, or trial and seed"):
        results.weights(results.runs["key"].iloc[0])


def test_a_pair_table_that_is_gone_is_missing(folder: Path) -> None:
    (folder / "pairs.csv").unlink()
    with pytest.raises(InvalidStudy, match=r"pairs\.csv: is missing; `harness report STUDY`"):
        _ = load(folder).pairs


def test_a_table_that_is_none_of_runs_is_refused(folder: Path) -> None:
    pd.DataFrame({"a": [1]}).to_parquet(folder / "runs.parquet")
    with pytest.raises(
        InvalidStudy, match=r"runs\.parquet: is damaged; .*\(got no column trial, seed, phase, status\)"
    ):
        load(folder)


# --- any study ------------------------------------------------------------------------------------------------------


def written(study: FakeStudy, folder: Path) -> Results:
    """The tables of simulated runs, read back."""
    runs, curves = simulate(study, tune_trials=2, every=8)
    folder.mkdir()
    curves.to_parquet(folder / "curves.parquet", index=False)
    (folder / "runs.parquet").write_bytes(parquet(sort_runs(study, runs)))
    (folder / "summary.parquet").write_bytes(parquet(summarize(study, runs)))
    (folder / "claims.json").write_bytes(claims_json(judge(study.claims, runs, Plan.of(study))))
    for name in ("study.json", "environment.json"):
        (folder / name).write_text("{}")
    (folder / "counts.json").write_bytes(counts_json(len(runs), len(runs), {}, {}))
    return load(folder)


@pytest.mark.parametrize(
    ("path", "levels"),
    [
        ("clipping", (GlobalNorm(1.0), NoClipping(), Value(0.5))),
        ("model.rate", (0.5, "auto", "None")),
        ("model.act", ("=tanh", "+relu", "1e3", "007")),
        ("model.bias", (True, False)),
        ("optimizer.lr", (0.1, 1 / 3, 1.0)),
        ("batch_size", (16, 32)),
    ],
)
def test_cells_join_with_their_runs_whatever_the_levels_are(path: str, levels: tuple, tmp_path: Path) -> None:
    results = written(FakeStudy(name="any", settings={path: Sweep(*levels), "steps": 40}, seeds=2), tmp_path / "any")
    assert results.cells[path].dtype == results.runs[path].dtype
    joined = results.runs.merge(results.cells, on=path)
    assert len(joined) == len(results.runs) == 2 * len(levels)


def test_claims_without_interval_or_data_are_missing_numbers_not_texts(tmp_path: Path) -> None:
    verdicts = written(rnn_clip(seeds=20), tmp_path / "claims").verdicts
    assert verdicts["probability_of_improvement_low"].notna().any()
    assert (verdicts["interquartile_mean_low"] <= verdicts["interquartile_mean_high"]).sum() == verdicts[
        "interquartile_mean"
    ].notna().sum()
    none = written(FakeStudy(name="none", settings={"optimizer.lr": 0.1, "steps": 40}, seeds=2), tmp_path / "none")
    assert none.verdicts.empty
    assert list(none.verdicts.columns) == list(verdicts.columns)
    assert "no claims" in repr(none)
    assert none._repr_html_()


def test_the_names_are_public() -> None:
    assert {"Results", "load"} <= set(harness.__all__)


def test_a_figure_is_drawn_again_with_its_title_and_a_wrong_name_says_which_there_are(ran: Path) -> None:
    results = load(ran)
    figure = results.plot("claim_1")
    said = " ".join(figure.get_suptitle().split())
    assert "Δ of test loss is " in said and "δ = 0.01" in said
    dots = [x for line in figure.axes[0].lines if line.get_marker() == "o" for x in line.get_xdata()]
    assert sorted(dots) == pytest.approx(sorted(results.verdicts["per_seed"].iloc[0].values()))
    for path in (ran / "figures").glob("*.csv"):
        assert results.plot(path.stem).axes or path.stem.startswith("own_")
    with pytest.raises(
        InvalidStudy, match=r"none of this study's figures; there are claim_1, generalization, .*got surfaces"
    ):
        results.plot("surfaces")
