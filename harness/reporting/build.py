"""`python -m harness.report STUDY`: what MLflow holds → tables, figures, verdicts. Nothing is trained.

Last stage of the flow; `harness.run` ends with it too.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pandas as pd

from harness.inference.exploration.learning_rates import with_rates
from harness.inference.range_ends import number_beyond, still_to_try, values_tried
from harness.inference.selection import selected
from harness.inference.verdict import Verdict
from harness.ledger.claim_record import REGISTERED
from harness.ledger.records.finished import outcomes
from harness.ledger.records.launch import recordable
from harness.ledger.records.recorder import Recorder
from harness.ledger.records.tracking import RecordError
from harness.ledger.trial_runs import n_runs, seeds_of
from harness.ledger.trials import Outcomes, Trial, Trials
from harness.reporting.report import Subject, write_report
from harness.reporting.results import Results
from harness.study import Study
from harness.study.changes import NO_CHANGES, Changes, parse_changes
from harness.study.claim_chain import from_text
from harness.study.widening import tuned


@dataclass(frozen=True)
class Told:
    """What a report says that is no record.

    Attributes:
        doc: what the study file says of itself.
        commands: command lines that the report names.
        baseline: an earlier result to set it beside.
    """

    doc: str
    commands: list[str]
    baseline: Results | None = None


def build_report(
    study: Study,
    told: Told,
    documents: Mapping[str, str],
    runs: pd.DataFrame,
    made: Path,
    folder: Path,
    *,
    helpers: Sequence[Connection] = (),
) -> list[Verdict]:
    """Write `folder` from the study's records.

    Args:
        study: the study; its claims are judged as they stand now, beside what the record of claims has of them.
        told: what else it says.
        documents: what is recorded of its launches, from `Recorder.read_documents`.
        runs: all of them, from `Recorder.read`.
        made: from `harness.reporting.whole.making`, where it wrote the curves.
        folder: results/<study>/, in which all is put in place together at the end.
        helpers: processes that draw figures, see `harness.reporting.plots.render_all`.

    Returns:
        The verdict on each claim; those on claims that the study makes no more come last.

    Raises:
        RecordError: a document is damaged.
    """
    environment = _json("environment.json", documents.get("environment.json"))
    for name, text in documents.items():
        (made / name).write_text(text, encoding="utf-8")
    runs = with_rates(study, selected(study, runs))
    study = up_to_its_look(study, runs)
    chain = from_text(documents.get(REGISTERED))
    expected = expected_runs(study, runs)
    subject = Subject(study, recordable(told.doc), environment, told.commands, expected, chain, told.baseline)
    return write_report(subject, runs, made, folder, helpers=helpers)


def up_to_its_look(study: Study, runs: pd.DataFrame) -> Study:
    """The study up to the planned look all of whose seeds it has runs of, and no others; else as it is."""
    seeds = set(runs["seed"][runs["phase"] == "confirm"])
    here = [n for n in study.looks if seeds == set(study.planned_seeds()[:n])]
    return study.up_to(here[0]) if here else study


def expected_runs(study: Study, runs: pd.DataFrame) -> int:
    """How many runs the whole study has, as far as those that there are decide that.

    Those beyond its range are among them that there are and that are still to be tried; and by several objectives those of all
    values that are chosen.

    Args:
        study: of the runs.
        runs: all of them, phases set by `selected`.
    """
    if len(study.objectives()) > 1:
        trials = Trials(study, lambda trial: _outcomes(study, trial, runs)).all()
        return max(n_runs(study), sum(len(seeds_of(study, trial)) for trial in trials))
    if not study.widen:
        return n_runs(study)
    path, _ = tuned(study)
    values = [*values_tried(study, runs, path), *still_to_try(study, runs)]
    return n_runs(study, beyond=number_beyond(study, values))


def _outcomes(study: Study, trial: Trial, runs: pd.DataFrame) -> Outcomes | None:
    """What each objective was of a trial, by seed; None where a run of it is not there."""
    own = runs[runs["trial"] == trial.number]
    return outcomes(own, study.objectives()) if len(own) == len(seeds_of(study, trial)) else None


def recorded_changes(recorder: Recorder) -> Changes:
    """The command line's changes with which the study was last launched; none where it never was."""
    stored = _json("changes.json", recorder.read_document("changes.json"))
    return parse_changes(stored) if stored else NO_CHANGES


def _json(name: str, text: str | None) -> dict[str, Any]:
    """What a recorded document holds; nothing if there is none."""
    try:
        return dict(json.loads(text or "{}"))
    except ValueError as error:
        raise RecordError(f"{name}, recorded with the study, is damaged: {error}") from None
