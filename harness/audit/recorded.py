"""A results folder, as somebody hands it on: its tables, its study, and the populations that trained together."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harness.audit.recorded_tables import read_curves, read_table
from harness.engine.content import seed_key
from harness.engine.planning import copy_of
from harness.engine.run_tables import CURVE_COLUMNS
from harness.engine.runs import Run
from harness.inference.range_ends import still_to_try
from harness.inference.selection import selected
from harness.ledger.records.finished import CURVES_FILE, RUNS_FILE
from harness.ledger.records.launch import DOCUMENTS
from harness.ledger.records.populations import COLUMNS, POPULATIONS_FILE
from harness.ledger.run_table import OUTCOME
from harness.ledger.trial_runs import factor_values, runs_of
from harness.ledger.trials import Trial
from harness.reporting.results import check_place
from harness.reporting.trace import TRACE_COLUMNS, TRACE_FILE
from harness.reporting.whole import MARK, check_marked, digests
from harness.settings import InvalidStudy, Problem
from harness.settings.levels import spelled
from harness.study import Study
from harness.study.changes import Changes, parse_changes
from harness.study.load import load_study
from harness.study.widening import ENDS, MOST, are_beyond, beyond, tuned

WRITTEN_AGAIN = "is missing; the study's command, run again, writes it without training what is trained"
ABSENT = {"study.py": "is missing; name the file that defines the study with --study FILE, also for one made in Python"}

KEPT = {CURVES_FILE: CURVE_COLUMNS, TRACE_FILE: TRACE_COLUMNS}
"""Files that say how runs went, the best first, and their columns."""

IDENTITY = ("trial", "seed", "phase", "key")

Key = tuple[int, int]
"""Trial and seed of a run."""


@dataclass(frozen=True)
class Part:
    """Runs that trained together.

    Attributes:
        runs: of trials that the study has, in the order in which they trained.
        whole: whether these are all of them: a study that has changed since may have some no more.
    """

    runs: list[Run]
    whole: bool


@dataclass(frozen=True)
class Recorded:
    """What a results folder holds.

    Attributes:
        study: as it was launched.
        environment: where it was trained, see `harness.ledger.environment`.
        runs: one row per run, indexed by trial and seed.
        curves: one row per run and logged step, indexed by trial and seed, steps in order; None where they were left out, as
            large files are.
        whole: whether the curves have every logged step; else they are traces, see `harness.reporting.trace`.
        parts: in which runs trained together, some of which were recorded from there.
        part_of: trial and seed of each run → index of the part that it was recorded from; failed runs have none.
        alone: whether it was found that companions change no bit of a run, see `harness.engine.independence`.
    """

    study: Study
    environment: dict[str, str]
    runs: pd.DataFrame
    curves: pd.DataFrame | None
    whole: bool
    parts: list[Part]
    part_of: dict[Key, int]
    alone: bool


def read_results(folder: Path, study_file: Path | None = None) -> Recorded:
    """Read a results folder and check that its parts belong together.

    Args:
        folder: results/<study>/.
        study_file: the study, where the copy in the folder lacks what lay beside the original.

    Raises:
        InvalidStudy: with what is missing, damaged or at odds; paths are files.
    """
    check_place(folder)
    wanted = (RUNS_FILE, POPULATIONS_FILE, *DOCUMENTS)
    absent = [name for name in wanted if not (folder / name).is_file() and not (name == "study.py" and study_file)]
    if absent:
        raise InvalidStudy([Problem(str(folder / name), ABSENT.get(name, WRITTEN_AGAIN)) for name in absent])
    check_marked(folder)
    study = _study(folder, study_file)
    runs = read_table(folder / RUNS_FILE, (*IDENTITY, *OUTCOME), IDENTITY[:2])
    trials = _trials(study, runs, folder / RUNS_FILE)
    _check_complete(study, trials, runs, folder / RUNS_FILE)
    keys = ["trial", "seed"]
    runs = runs.set_index(keys).sort_index()
    kept = next((name for name in KEPT if (folder / name).exists()), None)
    curves = None if kept is None else read_curves(folder / kept, KEPT[kept], runs, study)
    environment = {name: str(value) for name, value in _json(folder / "environment.json").items()}
    members = read_table(folder / POPULATIONS_FILE, COLUMNS, ("seed",))
    parts, of_key = _parts(
        study, members, {trial.key(study): trial for trial in reversed(trials)}, folder / POPULATIONS_FILE
    )
    key_of = {trial.number: trial.key(study) for trial in trials}
    named = {(trial, seed): (key_of[trial], seed) for trial, seed in runs.index}
    part_of = {run: of_key[key] for run, key in named.items() if key in of_key}
    for (trial, seed), status in zip(runs.index, runs["status"], strict=True):
        if (status == "failed") == ((trial, seed) in part_of):
            said = "holds" if status == "failed" else "does not say"
            message = f"{said} with which runs trial {trial}, seed {seed} trained, whose status is {status}"
            raise InvalidStudy([Problem(str(folder / POPULATIONS_FILE), message)])
    return Recorded(study, environment, runs, curves, kept == CURVES_FILE, parts, part_of, _alone(folder / "plan.json"))


def altered(folder: Path) -> list[str]:
    """Names of the files that are not those of which a results folder has digests; one that is not there was left out, as large ones are."""
    noted = _json(folder / MARK).get("digests", {})
    return [name for name, digest in digests(folder, noted).items() if digest != noted[name]]


def _alone(path: Path) -> bool:
    """See `Recorded.alone`; not where a plan does not say."""
    try:
        return all(way["width"] == 1 or way.get("alone", False) for way in _json(path)["ways"].values())
    except (KeyError, TypeError, AttributeError):
        raise InvalidStudy([Problem(str(path), "needs ways, each with a width")]) from None


def _parts(
    study: Study, members: pd.DataFrame, known: Mapping[str, Trial], path: Path
) -> tuple[list[Part], dict[tuple[str, int], int]]:
    """The parts, and which of them each run was recorded from, by key of the trial and seed."""
    parts: list[Part] = []
    part_of: dict[tuple[str, int], int] = {}
    for _, rows in members.groupby("part", sort=False):
        keys = list(zip(rows["key"].tolist(), rows["seed"].tolist(), strict=True))
        own = [key for key, recorded in zip(keys, rows["recorded"], strict=True) if recorded]
        if strangers := [key for key, _ in own if key not in known]:
            message = f"says that runs of {strangers[0]} were recorded, which is no trial of the study"
            raise InvalidStudy([Problem(str(path), message)])
        part_of |= dict.fromkeys(own, len(parts))
        runs, met = list[Run](), set[tuple[str, int]]()
        for key, seed in keys:
            if key in known:
                (run,) = runs_of(study, known[key], [seed])
                runs.append(copy_of(run) if (key, seed) in met else run)
                met.add((key, seed))
        parts.append(Part(runs, whole=all(key in known for key, _ in keys)))
    return parts, part_of


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidStudy([Problem(str(path), f"cannot be read: {error}")]) from None
    if not isinstance(content, dict):
        raise InvalidStudy([Problem(str(path), "must hold a JSON object")])
    return content


def _changes(path: Path) -> Changes:
    try:
        return parse_changes(_json(path))
    except (KeyError, TypeError):
        raise InvalidStudy([Problem(str(path), "needs settings, seeds and quick")]) from None


def _study(folder: Path, study_file: Path | None) -> Study:
    """The study as it was launched."""
    changes = _changes(folder / "changes.json")
    path = study_file or folder / "study.py"
    try:
        study, _ = load_study(path, changes)
    except InvalidStudy as error:
        way_out = Problem(str(path), "if it needs what lay beside the original, name that with --study FILE")
        raise InvalidStudy(error.problems + ([way_out] if study_file is None else [])) from None
    if found := study.differences(_json(folder / "study.json")):
        problems = [Problem(str(path), f"does not define the study that was run: {line}") for line in found]
        raise InvalidStudy(problems)
    return study


def _trials(study: Study, runs: pd.DataFrame, path: Path) -> list[Trial]:
    """The trials whose runs are in a table, in their order.

    Raises:
        InvalidStudy: some runs are none of this study.
    """
    cells = study.cells()
    known = {_spelling(cell, study.sweeps()): index for index, cell in enumerate(cells)}
    columns = {*IDENTITY, *OUTCOME, *study.metrics.metrics()}
    found = []
    for number, rows in runs.groupby("trial"):
        row = rows.iloc[0].to_dict()
        cell = known.get(_spelling(row, study.sweeps()))
        if cell is None or row["phase"] not in ("tune", "confirm"):
            shown = {name: row.get(name) for name in ("phase", *study.sweeps())}
            raise InvalidStudy([Problem(str(path), f"trial {number} is none of the study", str(shown))])
        tuned = {name: _number(row.get(name), whole=isinstance(tune.low, int) and isinstance(tune.high, int))
                 for name, tune in study.tunes().items()}  # fmt: skip
        confirms = row["phase"] == "confirm" and not study.tunes_within()
        trial = Trial(int(str(number)), cell, confirms, cells[cell] | tuned)
        seeds = sorted(run.seed for run in runs_of(study, trial))
        if sorted(rows["seed"]) != seeds:
            problem = Problem(str(path), f"trial {number} must have the seeds {seeds}", str(sorted(rows["seed"])))
            raise InvalidStudy([problem])
        of_trial = trial.key(study)
        if list(rows["key"]) != [seed_key(of_trial, seed) for seed in rows["seed"]]:
            message = f"trial {number} is of other settings, code or data than the study's, by its keys"
            raise InvalidStudy([Problem(str(path), message)])
        settings = factor_values(study, trial) | ({} if study.tunes_within() else {"phase": row["phase"]})
        for name, value in settings.items():
            got = set(map(spelled, rows[name])) if name in rows else {"nothing"}
            if got != {spelled(value)}:
                message = f"trial {number} must have {name} = {value}, as in the study"
                raise InvalidStudy([Problem(str(path), message, ", ".join(sorted(got)))])
        columns |= settings.keys()
        found.append(trial)
    chosen = selected(study, runs)
    if other := runs.index[chosen["phase"] != runs["phase"]].tolist():
        trial, seed = runs.loc[other[0], ["trial", "seed"]]
        message = f"trial {trial}, seed {seed} must have the phase {chosen.loc[other[0], 'phase']}, by the runs' own validation data"
        raise InvalidStudy([Problem(str(path), message, str(runs.loc[other[0], "phase"]))])
    if unknown := [str(name) for name in runs if name not in columns]:
        raise InvalidStudy([Problem(str(path), "has columns that this version does not record", ", ".join(unknown))])
    return found


def _spelling(levels: Mapping[Any, Any], paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(spelled(levels.get(path, math.nan)) for path in paths)


def _number(value: Any, *, whole: bool) -> float:
    """A tuned value; NaN where there is none, which the comparison with the study's settings then finds."""
    try:
        return int(value) if whole else float(value)
    except (TypeError, ValueError):
        return math.nan


def _check_complete(study: Study, trials: list[Trial], runs: pd.DataFrame, path: Path) -> None:
    """Raises `InvalidStudy` where trials of the study are not there, or values were tried that it does not try."""
    tune, confirm = ([t for t in trials if t.confirm == phase] for phase in (False, True))
    cells = len(study.cells())
    wanted, confirmed = (trials * cells for trials in study.trials_per_cell())
    wanted += cells * (len(_beyond(study, runs, path)) + len(still_to_try(study, runs)))
    there = len({trial.cell for trial in confirm})
    if len(tune) != wanted or there != confirmed:
        message = (
            f"holds {len(tune)} of {wanted} tune trials, and {there} of {confirmed} cells in the confirm phase: the study's "
            "command continues it"
        )
        raise InvalidStudy([Problem(str(path), message)])


def _beyond(study: Study, runs: pd.DataFrame, path: Path) -> list[float]:
    """The values beyond the range of a study that is widened; raises `InvalidStudy` where they are none that it tries."""
    if not study.widen:
        return []
    name, _ = tuned(study)
    found: list[float] = []
    for end in ENDS:
        there = are_beyond(study, end, runs[name])
        planned = [beyond(study, end, number) for number in range(1, MOST + 1)]
        if there != planned[: len(there)]:
            message = f"has values of {name} beyond the {end} end of its range that the study does not try"
            raise InvalidStudy([Problem(str(path), message, ", ".join(map(str, there)))])
        found += there
    return found
