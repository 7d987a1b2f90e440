"""What other tools read: the short summary and all of it, LaTeX, BibTeX, curves with their levels; against pandas by hand and a small reader of TeX."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from synthetic import FakeStudy, rnn_clip, simulate

from harness import Claim, Cosine, Early, Model, Study, Sweep, clipping, optimizers, tasks
from harness.clipping import AGC, ClippingRule, GlobalNorm, NoClipping
from harness.engine import setup
from harness.engine.diagnostics import setting
from harness.inference.families import judge_registered
from harness.inference.verdict import Verdict
from harness.lead.terminal.verdict_lines import interval_of
from harness.ledger.records.tables import GatheredCurves, LevelColumns
from harness.models import DropoutNet, SimpleRNN, mlp, rnn
from harness.optimizers import SGD, AdamW
from harness.reporting.exports import exports, latex
from harness.reporting.exports.bibliography import CHOICES, CLASSES, SETTINGS, bibtex
from harness.reporting.exports.numbers import claim_numbers
from harness.reporting.exports.references import REFERENCES, entry
from harness.reporting.folder import FILES
from harness.reporting.page.answers import _rests_on
from harness.reporting.page.content import Table
from harness.reporting.tables import counts, sort_runs, summarize
from harness.settings import schedules
from harness.settings.fields import fields_of
from harness.study.registration import registrations
from harness.tasks import AddingProblem, Images, task

ROOT = Path(__file__).parents[1]

NASTY = r"50 % of {a}_b & \input{x} #1 ~^ <tag> $x$ -- '' `` “é” [1] −∞ 1.5e-07 Δ‖g‖ C:\new|"


def files(study: FakeStudy) -> tuple[dict[str, bytes], pd.DataFrame, list[Verdict]]:
    runs = sort_runs(study, simulate(study)[0])
    verdicts = judge_registered(study, runs, registrations(study, ()))
    return exports(study, summarize(study, runs), verdicts, counts(runs)), runs, verdicts


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame, list[Verdict]]:
    found, runs, verdicts = files(rnn_clip())
    folder = tmp_path_factory.mktemp("exports")
    for name, content in found.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    return folder, runs, verdicts


# --- levels ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("level", "said"), [(0.95, "95.0"), (1 - 0.05 / 3, "98.3"), (1 - 0.05 / 16 / 11, "99.97")])
def test_no_level_is_100_percent(level: float, said: str) -> None:
    """The first look of a family of eleven claims leaves .028 %."""
    verdict = Verdict("x", "test_loss", "supported", "", "", estimate=1.0, low=0.5, high=1.5, level=level, n=6)
    assert f"at level {said}%," in interval_of(verdict)
    assert claim_numbers(verdict)["level"] == f"{said} %"
    assert f", {said.removesuffix('.0')} % interval." in _rests_on(verdict)
    of_few = replace(verdict, low=None, high=None)
    assert f", no {said.removesuffix('.0')} % interval." in _rests_on(of_few), "where seeds are too few for one"


# --- summary --------------------------------------------------------------------------------------------------------


def test_the_short_summary_has_levels_counts_and_the_metrics_of_claims_by_hand(written) -> None:
    folder, runs, _ = written
    table = pd.read_csv(folder / "summary.csv")
    assert len(table) == 12 and len(table.columns) <= 25
    assert list(table.columns[:7]) == [
        "model.dropout", "clipping.max_norm", "optimizer.lr", "n", "n_diverged", "n_collapsed", "n_failed",
    ]  # fmt: skip
    confirm = runs[runs["phase"] == "confirm"]
    for _, row in table.iterrows():
        at = (confirm["model.dropout"] == row["model.dropout"]) & (
            confirm["clipping.max_norm"] == row["clipping.max_norm"]
        )
        inside = confirm[at]
        assert row["n"] == len(inside) == 10
        assert row["n_diverged"] == (inside["status"] == "diverged").sum()
        assert row["diverged_mean"] == pytest.approx(inside["diverged"].mean())
        for metric in ("test_loss", "grad_norm_q99", "test_error", "gap"):
            values = inside[metric].where(inside["status"] != "diverged", np.inf)
            assert row[f"{metric}_median"] == pytest.approx(values.median())
        losses = sorted(inside["test_loss"])
        assert (row["test_loss_low"], row["test_loss_high"]) == pytest.approx(
            (losses[1], losses[8])
        )  # P(fewer) = 11 / 1024


def test_all_of_the_summary_is_in_the_parquet_file(written) -> None:
    folder, runs, _ = written
    whole, short = pd.read_parquet(folder / "summary.parquet"), pd.read_csv(folder / "summary.csv")
    pd.testing.assert_frame_equal(whole[list(short)], short, check_dtype=False)
    confirm = runs[runs["phase"] == "confirm"]
    medians = confirm.groupby(["model.dropout", "clipping.max_norm"])["train_loss"].median()
    np.testing.assert_allclose(
        whole.set_index(["model.dropout", "clipping.max_norm"])["train_loss_median"].sort_index(), medians.sort_index()
    )


def test_many_factors_and_claims_leave_what_is_claimed() -> None:
    settings = {f"model.f{i}": Sweep(0, 1) if i < 2 else i for i in range(3)} | {"steps": 40}
    metrics = ["train_loss", "gap", "grad_norm_q99", "grad_norm_max", "update_ratio", "validation_loss", "diverged"]
    claims = tuple(
        Claim(name, metric=name, better="lower", smallest_effect=0.1, treatment={"model.f0": 0}, baseline={"model.f0": 1})
        for name in metrics
    )  # fmt: skip
    study = FakeStudy(name="wide", settings=settings, claims=claims, seeds=3)
    found = files(study)[0]["summary.csv"].decode().splitlines()[0].split(",")
    assert [name.rpartition("_")[0] for name in found if name.endswith(("_mean", "_median"))] == metrics


# --- curves ---------------------------------------------------------------------------------------------------------


def test_curves_carry_the_levels_of_what_is_swept(tmp_path: Path) -> None:
    levels = [
        {"model.p": 0.5, "clipping": "GlobalNorm(max_norm=1.0)", "model.rate": 0.1, "model.bias": True},
        {"model.p": 0, "clipping": "NoClipping()", "model.rate": "auto", "model.bias": False},
    ]
    curves = [
        pd.DataFrame({"trial": trial, "seed": [0, 0, 1], "step": [1, 2, 1], "loss": [1.0, 0.5, float(trial)]})
        for trial in range(2)
    ]
    for trial, curve in enumerate(curves):
        curve.to_parquet(tmp_path / f"{trial}.parquet", index=False)
    gathered = GatheredCurves(
        tmp_path / "all.parquet", [tmp_path / f"{trial}.parquet" for trial in range(2)], LevelColumns(levels)
    )
    for trial in range(2):
        gathered.add(pq.read_table(tmp_path / f"{trial}.parquet"), levels[trial])
    gathered.close()
    found = pd.read_parquet(tmp_path / "all.parquet")
    assert list(found) == ["trial", "seed", *levels[0], "step", "loss"]
    expected = pd.concat(curves, ignore_index=True)
    pd.testing.assert_frame_equal(found[list(expected)], expected)
    assert found["model.p"].tolist() == [0.5] * 3 + [0.0] * 3
    assert found["model.bias"].tolist() == [True] * 3 + [False] * 3
    assert found["clipping"].tolist() == ["GlobalNorm(max_norm=1.0)"] * 3 + ["NoClipping()"] * 3
    assert found["model.rate"].tolist() == ["0.1"] * 3 + ["auto"] * 3
    assert {str(found[name].dtype) for name in ("clipping", "model.rate")} == {
        "category"
    }  # four bytes a row, not a text


# --- LaTeX ----------------------------------------------------------------------------------------------------------

MEANS = {
    r"\textbackslash": "\\", r"\{": "{", r"\}": "}", r"\$": "$", r"\&": "&", r"\%": "%", r"\#": "#", r"\_": "_", "~": "\u00a0",
    r"\textasciitilde": "~", r"\textasciicircum": "^", r"\textless": "<", r"\textgreater": ">", r"\textbar": "|",
    r"\textasciigrave": "`", r"\infty": "∞", r"\Delta": "Δ", r"\delta": "δ", r"\|": "‖", r"\times": "×", r"\textperiodcentered": "·",
}  # fmt: skip
"""What TeX prints for a command."""

TOKEN = re.compile(r"\\[A-Za-z]+ ?|\\.|[{}$&%#_~^]|''|``|--|[^\\{}$&%#_~^]", re.DOTALL)


def printed(source: str) -> str:
    """What LaTeX prints for a text, for the few commands that are used; fails on any other, and on a special character."""
    tokens, found = TOKEN.findall(source), []
    assert "".join(tokens) == source
    depth, maths = 0, []
    i = 0
    while i < len(tokens):
        token = tokens[i].rstrip(" ") if tokens[i].startswith("\\") and len(tokens[i]) > 2 else tokens[i]
        if token == "{":
            depth += 1
        elif token == "}":
            depth -= 1
            maths = [level for level in maths if level <= depth]
            assert depth >= 0
        elif token == r"\ensuremath":
            maths.append(depth + 1)
        elif token == r"\char":
            i += 2
            assert tokens[i - 1 : i + 1] == ["3", "4"]
            found.append('"')
        elif token == "^":
            assert maths
        elif token == "-" and maths:
            found.append("−")
        elif token in ("--", "''", "``"):
            found.append({"--": "–", "''": "”", "``": "“"}[token])
        elif token in MEANS:
            found.append(MEANS[token])
        else:
            assert token not in set("$&%#_") and not (token.startswith("\\") and token[1:].isalpha()), token
            found.append(token)
        i += 1
    assert depth == 0
    return "".join(found)


def test_any_text_is_printed_as_it_is() -> None:
    assert printed(latex.escaped(NASTY)) == NASTY.replace("1.5e-07", "1.5×10−7").replace("× ", "×")
    assert printed(latex.escaped("a--b ---c")) == "a--b ---c"
    assert printed(latex.escaped('say "no"\x07\u202e')) == 'say "no"  '
    assert printed(latex.escaped("-0.5, 5-9, x-1, 1e3")) == "−0.5, 5-9, x-1, 1×103"


def macros(text: str) -> dict[str, str]:
    """Name → source of each number of a file."""
    lines = [line for line in text.splitlines() if line.startswith(r"\harnessnumber{")]
    pairs = [re.fullmatch(r"\\harnessnumber\{([^{}\\]+)\}\{(.*)\}", line).groups() for line in lines]
    assert len({name for name, _ in pairs}) == len(pairs)
    return dict(pairs)


def test_every_number_and_verdict_has_a_macro_as_the_report_writes_it(written) -> None:
    folder, runs, verdicts = written
    found = {name: printed(source) for name, source in macros((folder / "tables/numbers.tex").read_text()).items()}
    for i, verdict in enumerate(verdicts, 1):
        of = f"rnn_clip/claim{i}"
        assert found[f"{of}/verdict"] == verdict.verdict
        assert found[f"{of}/title"] == verdict.title
        assert found[f"{of}/n"] == str(verdict.n)
        assert found[f"{of}/estimate"] == f"{verdict.estimate:.3g}".replace("-", "−")
    assert found["rnn_clip/claim2/title"] == "Dropout <generalizes> better"
    assert [found[f"rnn_clip/claim2/{side}"] for side in ("low", "high")] == [
        "−∞" if verdicts[1].low is None else f"{verdicts[1].low:.3g}",
        "∞" if verdicts[1].high is None else f"{verdicts[1].high:.3g}",
    ]
    whole = pd.read_parquet(folder / "summary.parquet")
    for i, row in whole.iterrows():
        assert found[f"rnn_clip/cell{i + 1}/test_loss_median"] in (f"{row['test_loss_median']:.3g}", "∞")
        assert found[f"rnn_clip/cell{i + 1}/n_diverged"] == f"{row['n_diverged']:.0f}"
    assert found["rnn_clip/cell4/clipping.max_norm"] == "∞ (no clipping)"
    assert found["rnn_clip/runs/diverged"] == str((runs["status"] == "diverged").sum())
    report = (folder / "tables/claims.tex").read_text()
    assert all(name in report for name in ("Supported", r"\ensuremath{\delta}", r"test\_loss"))


def cells(source: str) -> list[list[str]]:
    """The rows of a `tabular`, printed."""
    body = source[source.index(r"\toprule") :]
    rows = [line.strip() for line in body.splitlines() if line.rstrip().endswith(r"\\")]
    return [[printed(cell.strip()) for cell in re.split(r"(?<!\\)&", row.removesuffix(r"\\"))] for row in rows]


def test_tables_have_a_column_for_each_and_print_what_was_given() -> None:
    given = Table(["a_b", "c & d"], [["[1]", NASTY], ["x\\", "–"]])
    source = latex.table(given)
    assert source.count(r"\begin{tabular}{@{}ll@{}}") == source.count(r"\end{tabular}") == 1
    shown = cells(source)
    assert shown[0] == ["a_b", "c & d"] and shown[1][0] == "[1]" and shown[2] == ["x\\", "–"]
    assert "\\\\\n  [" not in source  # it would be an argument of the line's end


def test_the_table_of_cells_is_the_reports(written) -> None:
    folder, _, verdicts = written
    shown = cells((folder / "tables/cells.tex").read_text())
    assert shown[0][:4] == ["model.dropout", "clipping.max_norm", "optimizer.lr (tuned)", "n"]
    assert len(shown) == 13 and {len(row) for row in shown} == {len(shown[0])}
    assert len(cells((folder / "tables/claims.tex").read_text())) == 1 + len(verdicts)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs a TeX")
def test_a_document_with_all_of_it_compiles(written, tmp_path: Path) -> None:
    folder, _, _ = written
    names = macros((folder / "tables/numbers.tex").read_text())
    body = "\n\n".join(f"\\harness{{{name}}}" for name in names) + "\n\n" + latex.escaped(NASTY)
    inputs = [f"\\begin{{table}}\\input{{{folder}/tables/{name}}}\\end{{table}}" for name in ("cells", "claims")]
    document = (
        f"\\documentclass{{article}}\\usepackage{{booktabs}}\\input{{{folder}/tables/numbers}}\n\\begin{{document}}\n{body}\n"
        f"{''.join(inputs)}\\nocite{{*}}\\bibliographystyle{{plain}}\\bibliography{{{folder}/tables/references}}\n\\end{{document}}\n"
    )
    (tmp_path / "a.tex").write_text(document)
    for command in (["pdflatex", "-halt-on-error", "a"], ["bibtex", "a"], ["pdflatex", "-halt-on-error", "a"]):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
        assert done.returncode == 0, done.stdout[-3000:]
    assert "Warning--" not in (tmp_path / "a.blg").read_text()
    (tmp_path / "b.tex").write_text(document.replace("rnn_clip/claim1/estimate", "rnn_clip/claim9/estimate"))
    done = subprocess.run(["pdflatex", "-halt-on-error", "b"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode and "There is no number `rnn_clip/claim9/estimate'" in done.stdout
    assert "undefined" not in (tmp_path / "a.log").read_text(errors="replace").split("LaTeX Warning: There were")[-1]


# --- BibTeX ---------------------------------------------------------------------------------------------------------


def keys(text: str) -> set[str]:
    return set(re.findall(r"^@\w+\{(\w+),$", text, re.MULTILINE))


class Halved(ClippingRule):
    """A rule of a user's own."""


def test_what_a_study_uses_is_cited_and_nothing_else() -> None:
    given = {"batch_size": 8, "steps": 20, "seeds": 2}
    study = Study(
        name="rules", task=Images(), model=DropoutNet(dropout=Early(0.5, until=3)), clipping=Sweep(NoClipping(), AGC(0.1)),
        optimizer=AdamW(), **given,
    )  # fmt: skip
    found = keys(bibtex(study))
    assert {"srivastava2014", "liu2023", "brock2021", "kingma2015", "loshchilov2019", "alpaydin1998"} <= found
    assert not found & {"pascanu2013", "zaremba2014", "gal2016", "holm1979", "sutskever2013", "chen2023", "he2015"}
    recurrent = Study(
        name="rnn", task=AddingProblem(length=8, label_noise=0.0), model=SimpleRNN(hidden=8, zoneout=Sweep(0.0, 0.1), cell="lstm"),
        clipping=GlobalNorm(1.0), optimizer=SGD(lr=Cosine(0.1), momentum=0.5, nesterov=True),
        claims=[Claim("zoneout helps", metric="test_loss", better="lower", smallest_effect=0.1,
                      treatment={"model.zoneout": 0.1}, baseline={"model.zoneout": 0.0})], **given,
    )  # fmt: skip
    found = keys(bibtex(recurrent))
    assert {"krueger2017", "hochreiter1997", "arjovsky2016", "pascanu2013", "sutskever2013", "loshchilov2017"} <= found
    assert {"thompson1936", "holm1979", "benjamini1995", "paszke2019", "akiba2019", "zaharia2018"} <= found
    assert not found & {"srivastava2014", "zaremba2014", "gal2016", "elman1990", "tango1998", "kim1987", "brock2021"}


def test_of_a_users_own_pieces_it_is_said_that_nothing_is_known() -> None:
    class GlobalNorm(Halved):  # of the name of one that is known
        """Another rule."""

    study = FakeStudy(settings={"steps": 20})
    assert "your own" not in bibtex(study)

    class Own(FakeStudy):
        def setup(self, values):
            return super().setup(values).replace(clipping=GlobalNorm())

    found = bibtex(Own(settings={"steps": 20}))
    assert "since they are your own: the sources of GlobalNorm." in found
    assert "pascanu2013" not in keys(found)


def test_a_task_with_its_data_is_looked_at_like_any_other() -> None:
    x = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    study = Study(
        name="own",
        task=tasks.Tensors(x, torch.arange(60) % 2),
        model=DropoutNet(hidden=(4,)),
        batch_size=8,
        steps=5,
        seeds=2,
    )
    assert {"srivastava2014", "pascanu2013", "kingma2015"} <= keys(bibtex(study))


def test_every_key_is_a_reference_and_every_reference_is_used() -> None:
    text = (ROOT / "harness/reporting/exports/bibliography.py").read_text()
    named = [key for table in (CLASSES, SETTINGS, CHOICES) for found in table.values() for key in found]
    assert set(named) <= set(REFERENCES)
    assert all(f'"{key}"' in text for key in REFERENCES)


def test_entries_are_those_of_bibtex() -> None:
    """Balanced braces, and what every kind of entry needs."""
    needed = {"article": {"journal", "volume", "pages"}, "inproceedings": {"booktitle"}, "misc": set()}
    for key in REFERENCES:
        text = entry(key)
        kind = re.match(r"@(\w+)\{", text).group(1)
        fields = dict(re.findall(r"^  (\w+) = \{(.*)\},$", text, re.MULTILINE))
        assert {"author", "title", "year"} | needed[kind] <= set(fields), text
        assert text.isascii() and text.count("{") == text.count("}")
        assert not re.search(r"(?<!\\)[&%#_$]", fields["title"] + fields["author"])


def test_classes_and_settings_in_the_table_of_sources_are_there() -> None:
    """What is renamed would be cited no more."""
    rooms = (clipping, optimizers, tasks, schedules, setup, setting, task)
    pieces = {name: piece for room in rooms for name, piece in vars(room).items()}
    modules = {"DropoutNet": mlp.DropoutNet, "SimpleRNN": rnn.SimpleRNN}
    for name in {*CLASSES, *(key[0] for key in (*SETTINGS, *CHOICES))}:
        settings = {key[1] for key in (*SETTINGS, *CHOICES) if key[0] == name}
        of = Model(modules[name]).kinds() if name in modules else fields_of(pieces[name])
        assert settings <= set(of), name


def test_every_file_of_a_result_is_explained_in_the_room() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| (.*) \|$", (ROOT / "harness/reporting/README.md").read_text(), re.MULTILINE)
    assert dict(rows) == FILES
