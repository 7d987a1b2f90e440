"""Last stage of the flow: recorded runs → `results/<study>/`, tables, figures, verdicts and the report.

Everything is a function of `runs` and `curves`: the same tables give the same bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pandas as pd

from harness.engine.diagnostics.gradient_flow import PROFILE
from harness.inference.exploration.all_pairs import all_pairs
from harness.inference.exploration.importance import importance
from harness.inference.families import judge_registered
from harness.inference.selection import most_combinations
from harness.inference.verdict import Verdict
from harness.ledger.records.finished import CURVES_FILE, RUNS_FILE
from harness.reporting import html, plots
from harness.reporting.comparison import compare
from harness.reporting.comparison_tables import against
from harness.reporting.exploration import explored
from harness.reporting.exports import exports
from harness.reporting.formats import claims_json, counts_json, csv, metrics_json, parquet
from harness.reporting.page.advice import advice
from harness.reporting.page.answers import answer, first_sentence
from harness.reporting.page.content import Captioned, FirstScreen, Page, Picture, Table
from harness.reporting.page.curves import Curves, curves_of
from harness.reporting.page.published import beside_published
from harness.reporting.page.run_table import run_table
from harness.reporting.page.trust import conditions, explored_factors, run_counts, trust
from harness.reporting.page.words import incompleteness
from harness.reporting.page_tables import best_trials, explored_metrics, meanings, readable, shown_metrics
from harness.reporting.results import CLAIMS_FILE, METRICS_FILE, PAIRS_FILE, Results, load
from harness.reporting.tables import counts, measured, sort_runs, summarize
from harness.reporting.trace import TRACE_FILE, write_trace
from harness.reporting.tuning import at_shared_values, remarks
from harness.reporting.whole import MARK, digests, files_in, put_together
from harness.settings import InvalidStudy
from harness.settings.files import write
from harness.settings.metrics import METRICS
from harness.settings.show import counted
from harness.study import Study
from harness.study.registration import registrations

FIGURES = "figures"
BASELINE_FILE = "tables/baseline.csv"


@dataclass(frozen=True)
class Subject:
    """What a report is about, beside the runs.

    Attributes:
        study: what was asked.
        doc: the study's docstring.
        environment: what ran and where, by name, for the report's last table.
        commands: shell lines that reproduce the study.
        expected_runs: how many runs the whole study has; where fewer are there, the report says so.
        chain: the record of its claims, see `harness.study.claim_chain`; maybe damaged, or empty.
        baseline: an earlier result to set it beside; None for none.
    """

    study: Study
    doc: str
    environment: Mapping[str, str]
    commands: Sequence[str]
    expected_runs: int
    chain: Any = ()
    baseline: Results | None = None


def write_report(
    subject: Subject, runs: pd.DataFrame, made: Path, folder: Path, *, helpers: Sequence[Connection] = ()
) -> list[Verdict]:
    """Write all tables, figures, verdicts and reports of a study.

    Args:
        subject: the study and what is to be said of it.
        runs: one row per run, columns as in the public contract; left as it is.
        made: where all files are made, with `curves.parquet`, one row per run and logged step, and the study's documents.
        folder: `results/<study>`, where they are put in place together at the end.
        helpers: processes that draw figures, see `plots.render_all`.

    Returns:
        The verdicts, in the order of the study's claims; those on claims that it makes no more come last.
    """
    study = subject.study
    study.metrics.register()
    runs = sort_runs(study, runs)
    verdicts = judge_registered(study, runs, registrations(study, subject.chain))
    summary = summarize(study, runs)
    drawn = list(plots.plots(runs, made / CURVES_FILE, study, verdicts))
    images = plots.render_all(drawn, helpers, folder / FIGURES)
    pictures = [
        Picture(plot.name, plot.caption, image.svg, plot.title) for plot, image in zip(drawn, images, strict=True)
    ]
    runs = runs.drop(columns=PROFILE, errors="ignore")  # no number, and no text: it is in its figure's table
    metrics = explored_metrics(study, runs)
    pairs = all_pairs(study, runs, metrics)
    shares = [plot.data for plot in drawn if plot.name == "importance"]
    importances = shares[0] if shares else importance(study, runs, metrics)
    found = explored(study, runs, importances, pairs)
    page = page_of(subject, runs, summary, verdicts, pictures, found, curves_of(made / CURVES_FILE, runs, study))
    write(made / RUNS_FILE, parquet(runs))
    write_trace(made / CURVES_FILE, made / TRACE_FILE)
    write(made / "runs.csv", csv(runs))
    for name, content in exports(study, summary, verdicts, counts(runs)).items():
        write(made / name, content)
    write(made / PAIRS_FILE, csv(pairs))
    write(made / CLAIMS_FILE, claims_json(verdicts))
    write(made / METRICS_FILE, metrics_json(study.metrics.own()))
    if subject.baseline is not None:
        mark(made, runs, subject.expected_runs)  # what is made so far is a result, to be set beside the earlier one
        page = replace(page, baseline=str(subject.baseline.folder), against=differences(subject.baseline, made))
    for plot, image in zip(drawn, images, strict=True):
        write(made / FIGURES / f"{plot.name}.csv", csv(plot.data))
        for kind, content in image._asdict().items():
            write(made / FIGURES / f"{plot.name}.{kind}", content)
    write(made / "summary.md", html.markdown(page).encode())
    write(made / "report.html", html.render(page).encode())
    mark(made, runs, subject.expected_runs)
    (folder / BASELINE_FILE).unlink(missing_ok=True)  # of a report that had one
    put_together(made, folder)
    remove_stale(folder / FIGURES, {plot.name for plot in drawn})
    return verdicts


def mark(made: Path, runs: pd.DataFrame, expected_runs: int) -> None:
    """Write `counts.json`, with a digest of every other file that is made so far."""
    write(made / MARK, counts_json(len(runs), expected_runs, counts(runs), digests(made, files_in(made))))


def page_of(
    subject: Subject,
    runs: pd.DataFrame,
    summary: pd.DataFrame,
    verdicts: Sequence[Verdict],
    pictures: Sequence[Picture],
    exploration: Sequence[Captioned],
    curves: Curves,
) -> Page:
    """What the report says."""
    study = subject.study
    diagnostics = [name for name in measured(summary) if METRICS[name].level != "light" or METRICS[name].own]
    shown = shown_metrics(summary)
    claimed = [claim.metric for claim in study.claims]
    return Page(
        title=study.name,
        first=first_screen(subject, runs, verdicts),
        notice=incompleteness(len(runs), subject.expected_runs) or looked(study, verdicts),
        scope=conditions(study),
        doc=subject.doc,
        verdicts=verdicts,
        curves=curves,
        cells=readable(study, summary, shown),
        runs=run_table(study, runs, list(dict.fromkeys(["validation_loss", *claimed, *shown]))),
        diagnostics=readable(study, summary, diagnostics) if diagnostics else Table([], []),
        meanings=meanings(study, summary),
        tuning=remarks(study, runs),
        shared=at_shared_values(study, runs),
        trials=best_trials(study, runs),
        published=beside_published(runs, study.published, study.sweeps(), most_combinations(study, runs)),
        exploration=exploration,
        pictures=pictures,
        about=subject.environment,
        commands=subject.commands,
        counts=counts(runs),
    )


def differences(baseline: Results, made: Path) -> list[Captioned]:
    """What a page says of an earlier result, once the tables of the study are made; maybe why it cannot say more."""
    try:
        found = compare(baseline, load(made))
    except InvalidStudy as error:
        return [Captioned(f"Not compared: {error}", Table([], []))]
    write(made / BASELINE_FILE, csv(found.cells.drop(columns="per_seed", errors="ignore")))
    return against(found)


def first_screen(subject: Subject, runs: pd.DataFrame, verdicts: Sequence[Verdict]) -> FirstScreen:
    """What a reader sees first."""
    study = subject.study
    return FirstScreen(
        question=first_sentence(subject.doc.strip().split("\n\n")[0]),
        answers=[answer(verdict, runs, study.sweeps()) for verdict in verdicts],
        explored=explored_factors(study),
        advice=advice(study, runs, verdicts, incomplete=len(runs) < subject.expected_runs),
        trust=trust(study, runs, verdicts),
        counts=run_counts(runs),
    )


def looked(study: Study, verdicts: Sequence[Verdict]) -> str:
    """That a study ends at a look that is not its last one, and what that leaves open; mostly nothing."""
    n = len(study.confirm_seeds())
    if n == len(study.planned_seeds()):
        return ""
    still = sum(verdict.is_open for verdict in verdicts)
    left = f"{counted(still, 'claim is', 'claims are')} open" if still else "no claim is open"
    return f"Look at {n} of at most {len(study.planned_seeds())} seeds: {left}."


def remove_stale(figures: Path, names: set[str]) -> None:
    """Delete figures of an earlier report of this study that this one no longer has; a user's own stay."""
    kinds, suffixes = {*plots.DRAWN, "own"}, {".csv", *(f".{kind}" for kind in plots.Image._fields)}
    for path in figures.glob("*"):
        ours = path.suffix in suffixes and any(f"{path.stem}_".startswith(f"{kind}_") for kind in kinds)
        if ours and path.stem not in names:
            path.unlink()
