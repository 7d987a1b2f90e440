"""`harness.load`: the results of a study → tidy tables, for a script or a notebook.

After the flow: reads what `harness.reporting.report` left. Nothing is trained, and no code of the folder runs: its `study.py`
is a record, all that is read is data.
"""

import html
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
from torch import Tensor

from harness.engine import kept_weights
from harness.inference.verdict import OF_ESTIMANDS, OF_REGISTRATION, Verdict
from harness.ledger.records.finished import CURVES_FILE, RUNS_FILE
from harness.reporting.comparison import compare
from harness.settings import InvalidStudy, Problem, nearest
from harness.settings.show import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUMMARY_FILE, CLAIMS_FILE, STUDY_FILE, ENVIRONMENT_FILE = "summary.csv", "claims.json", "study.json", "environment.json"
FILES = (RUNS_FILE, CURVES_FILE, SUMMARY_FILE, CLAIMS_FILE, STUDY_FILE, ENVIRONMENT_FILE)
PAIRS_FILE = "pairs.csv"
REMEDY = "`harness report STUDY` writes the folder anew from the records, `harness run STUDY` goes on with the study"

COUNTS = ("n", "n_diverged", "n_collapsed", "n_failed")
RUN_COLUMNS = ("trial", "seed", "phase", "status")
NUMBERS = ("smallest_effect", "above", "estimate", "low", "high", "level", "p_value", "p_smallest_effect")
ESTIMATES = ("mean", "interquartile_mean", "probability_of_improvement")
SHOWN = ["title", "verdict", "label", "registration", "estimand", "estimate", "low", "high", "smallest_effect", "n"]

T = TypeVar("T")


@dataclass(frozen=True, eq=False, repr=False)
class Results:
    """What a study found.

    Attributes:
        folder: results/<study>.
        runs: one row per run: `trial`, `seed`, `phase`, a column per factor, `status`, `steps_done`, a column per metric.
        cells: one row per cell: its levels, tuned values, counts, and mean, median and interval of every metric, as in
            `summary.csv`.
        verdicts: one row per claim, with the fields of `harness.inference.verdict.Verdict`; an estimate with an interval
            of its own takes three columns, of which two end in `_low` and `_high`. Claims that the study makes no more come
            last; `was`, `cells` and `catastrophes` are what `claims.json` has of the form that was registered, of each cell by itself,
            and of runs that diverged or collapsed.
        study: everything that decides the results, as text by path, and under `environment` what ran and where.
    """

    folder: Path
    runs: pd.DataFrame
    cells: pd.DataFrame
    verdicts: pd.DataFrame
    study: dict[str, Any]

    @cached_property
    def curves(self) -> pd.DataFrame:
        """One row per run and logged step: `trial`, `seed`, `step`, values. Read when first asked for: it may be large.

        Raises:
            InvalidStudy: the file is damaged.
        """
        return _read(self.folder / CURVES_FILE, pd.read_parquet)

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """All pairs of levels of every swept factor, exploratory: one row per pair and metric, see `harness.inference.all_pairs`.

        Raises:
            InvalidStudy: the file is missing, as in a folder that an older version wrote, or damaged.
        """
        return _read(self.folder / PAIRS_FILE, _pairs)

    def compare(self, other: "Results", metrics: Sequence[str] | None = None) -> pd.DataFrame:
        """How `other` differs from these, paired by cell and seed: `cells` of `harness.reporting.comparison.Comparison`.

        Args:
            other: the results of another study, or of the same one later; every difference is `other`'s value less that of these.
            metrics: that are compared; None for those of both studies' claims, or test loss and error where there are none.

        Raises:
            InvalidStudy: both are one folder, a metric is not recorded by both, or a cell has several runs of a seed.
        """
        return compare(self, other, metrics).cells

    def weights(self, run: "pd.Series[Any] | tuple[int, int]") -> dict[str, Tensor]:
        """The weights of a run that `--keep-weights` has kept, for `load_state_dict` of its module.

        Args:
            run: a row of `runs`, or trial and seed.

        Raises:
            InvalidStudy: there is no such run, or there are no weights of it.
        """
        trial, seed = (int(n) for n in (run if isinstance(run, tuple) else (run["trial"], run["seed"])))
        rows, name = (
            self.runs[(self.runs["trial"] == trial) & (self.runs["seed"] == seed)],
            f"trial {trial}, seed {seed}",
        )
        if len(rows) != 1:
            raise InvalidStudy([Problem("run", "is none of this study's", name)])
        path = kept_weights.path_of(self.folder, str(rows.iloc[0]["key"]))
        folder = str(self.folder / kept_weights.FOLDER)
        if not path.exists():
            message = f"has none of {name}; `harness run STUDY --keep-weights best`, or last, keeps those of the runs that it trains"
            raise InvalidStudy([Problem(folder, message)])
        try:
            return kept_weights.read(path)
        except kept_weights.DAMAGE as error:
            raise InvalidStudy([Problem(str(path), "is damaged", str(error))]) from None

    def plot(self, name: str) -> "Figure":
        """A figure of the report, with its title, such as `surface`, `generalization` or `claim_1`.

        Args:
            name: of the figure: its file in `figures` without the suffix.

        Raises:
            InvalidStudy: there is no such figure; the message names those that there are.
        """
        from harness.reporting.plots.saved import saved  # takes a second

        return saved(self.folder / "figures", name)

    @property
    def report(self) -> Path:
        """The page that shows all this."""
        return self.folder / "report.html"

    def __repr__(self) -> str:
        marks = self.verdicts["registered"].map(lambda registered: " (exploratory)" if registered is False else "")
        counts = (self.verdicts["verdict"] + marks).value_counts(sort=False)
        words = ", ".join(f"{count} {word}" for word, count in counts.items()) or "no claims"
        return (
            f"<Results in {self.folder}: {counted(len(self.runs), 'run')}, {counted(len(self.cells), 'cell')}; {words}>"
        )

    def _repr_html_(self) -> str:
        table = self.verdicts[SHOWN].to_html(index=False, na_rep="–", float_format="{:.3g}".format)
        return f"<p>{html.escape(repr(self))}</p>{table if len(self.verdicts) else ''}"


def load(folder: str | Path) -> Results:
    """The results of a study, from its folder; the same after `harness run`, `harness report` and on another machine.

    Args:
        folder: results/<study>.

    Raises:
        InvalidStudy: it is missing, incomplete or damaged.
    """
    folder = Path(folder)
    _check(folder)
    runs = _read(folder / RUNS_FILE, _runs)
    return Results(
        folder=folder,
        runs=runs,
        cells=_read(folder / SUMMARY_FILE, lambda path: _cells(path, runs)),
        verdicts=_read(folder / CLAIMS_FILE, lambda path: _verdicts(path, runs)),
        study=_read(folder / STUDY_FILE, _json) | {"environment": _read(folder / ENVIRONMENT_FILE, _json)},
    )


def _check(folder: Path) -> None:
    """Refuse what is not the folder of a study's results, with the one that may be meant."""
    if folder.is_file():
        raise InvalidStudy([Problem(str(folder), "is a file; give the folder results/<study>")])
    if not folder.is_dir():
        siblings = _studies_in(folder.parent)
        hint = nearest(folder.name, siblings) if siblings else "; a study leaves its results in results/<study>"
        raise InvalidStudy([Problem(str(folder), f"no such folder{hint}")])
    missing = [name for name in FILES if not (folder / name).is_file()]
    inside = _studies_in(folder) if missing else []
    if inside:
        message = f"is the folder of all results; give that of one study in it: {', '.join(inside)}"
        raise InvalidStudy([Problem(str(folder), message)])
    if missing:
        raise InvalidStudy([Problem(str(folder), f"has no {' and no '.join(missing)}; {REMEDY}")])


def _studies_in(folder: Path) -> list[str]:
    return sorted(path.parent.name for path in folder.glob(f"*/{CLAIMS_FILE}"))


def _read(path: Path, reader: Callable[[Path], T]) -> T:
    try:
        return reader(path)
    except (OSError, ValueError, RecursionError, pa.ArrowException) as error:
        raise InvalidStudy([Problem(str(path), f"is damaged; {REMEDY}", str(error))]) from None


def _runs(path: Path) -> pd.DataFrame:
    runs = pd.read_parquet(path)
    if lacking := [name for name in RUN_COLUMNS if name not in runs]:
        raise ValueError(f"no column {', '.join(lacking)}")
    return runs


def _cells(path: Path, runs: pd.DataFrame) -> pd.DataFrame:
    """The summary; its levels are as `runs` has them, so that the two can be joined."""
    cells = pd.read_csv(path, dtype=str, keep_default_na=False)
    if lacking := [name for name in COUNTS if name not in cells]:
        raise ValueError(f"no column {', '.join(lacking)}")
    kinds = {name: runs[name].dtype for name in cells if name in runs} | dict.fromkeys(COUNTS, "int64")
    return pd.DataFrame({name: _column(column, kinds.get(name, "float64")) for name, column in cells.items()})


def _pairs(path: Path) -> pd.DataFrame:
    """All pairs of levels, which are texts since factors have levels of many kinds."""
    pairs = pd.read_csv(path, dtype=str, keep_default_na=False)
    kinds = dict.fromkeys(["factor", "a", "b", "metric"], "object") | dict.fromkeys(
        ["difference", "p_value", "q_value"], "float64"
    )
    return pd.DataFrame({name: _column(column, kinds.get(str(name), "int64")) for name, column in pairs.items()})


def _column(texts: "pd.Series[str]", kind: Any) -> "pd.Series[Any]":
    """A column of a CSV file as it was: by Python's `float`, which reads every digit."""
    if not pd.api.types.is_numeric_dtype(kind):  # the apostrophe says to spreadsheets that what follows is no formula
        return texts.str.replace(r"^'(?=[=+\-@\t])", "", regex=True)
    if pd.api.types.is_bool_dtype(kind):
        return texts == "True"
    return texts.map(lambda text: float(text or "nan")).astype(kind)


def _verdicts(path: Path, runs: pd.DataFrame) -> pd.DataFrame:
    claims = json.loads(path.read_text(encoding="utf-8"))
    names = [field.name for field in fields(Verdict)]
    later = {*OF_REGISTRATION, *OF_ESTIMANDS}
    needed = set(names) - later
    if not isinstance(claims, list) or not all(isinstance(claim, dict) and needed <= set(claim) for claim in claims):
        raise ValueError(f"not a list of claims with {', '.join(names)}")
    absent = {field.name: field.default for field in fields(Verdict) if field.name in later}
    bounds = [f"{name}_{bound}" for name in ESTIMATES for bound in ("low", "high")]
    table = pd.DataFrame([_row(absent | claim, runs) for claim in claims], columns=names + bounds)
    numbers = dict.fromkeys([*NUMBERS, *ESTIMATES, *bounds], float)
    whole = dict.fromkeys(["look", "planned_seeds"], "Int64")
    return table.astype(
        numbers
        | whole
        | dict.fromkeys(["registered", "was", "looks", "cells", "catastrophes", "incomparable", "left_out"], object)
    )


def _row(claim: dict[str, Any], runs: pd.DataFrame) -> dict[str, Any]:
    """A claim of `claims.json` with numbers for what JSON has as text, and no value within another but levels and seeds."""
    row = claim | {arm: _levels(claim[arm], runs) for arm in ("treatment", "baseline")}
    row["per_seed"] = {int(seed): float(difference) for seed, difference in claim["per_seed"].items()}
    for name in ESTIMATES:
        found = claim[name] or {}
        row |= {name: found.get("value"), f"{name}_low": found.get("low"), f"{name}_high": found.get("high")}
    return row


def _levels(levels: dict[str, Any], runs: pd.DataFrame) -> dict[str, Any]:
    numeric = [path for path in levels if path in runs and pd.api.types.is_numeric_dtype(runs[path])]
    return levels | {path: float(levels[path]) for path in numeric if isinstance(levels[path], str)}


def _json(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError("not an object")
    return content
