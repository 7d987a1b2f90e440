"""`harness.load`: the results of a study → tidy tables, for a script or a notebook.

After the flow: reads what `harness.reporting.report` left. Nothing is trained, and no code of the folder runs: its `study.py`
is a record, all that is read is data.
"""

import ast
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from torch import Tensor

from harness.engine import kept_weights
from harness.inference.reading import as_read
from harness.ledger.records.finished import CURVES_FILE, RUNS_FILE
from harness.reporting.comparison import compare
from harness.reporting.notebook import as_html
from harness.reporting.page.words import incompleteness
from harness.reporting.reading import cells_of, counts_of, json_of, metrics_of, pairs_of, read, runs_of, verdicts_of
from harness.reporting.whole import MARK, REMEDY, check_marked
from harness.settings import InvalidStudy, Problem, nearest
from harness.settings.metrics import Metric
from harness.settings.show import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CLAIMS_FILE, STUDY_FILE, ENVIRONMENT_FILE = "claims.json", "study.json", "environment.json"
SUMMARY_FILE, OLD_SUMMARY_FILE = "summary.parquet", "summary.csv"
FILES = (RUNS_FILE, SUMMARY_FILE, CLAIMS_FILE, STUDY_FILE, ENVIRONMENT_FILE)
PAIRS_FILE, METRICS_FILE = "pairs.csv", "metrics.json"


@dataclass(frozen=True, eq=False, repr=False)
class Results:
    """What a study found.

    Attributes:
        folder: results/<study>.
        runs: one row per run: `trial`, `seed`, `phase`, a column per factor, `status`, `steps_done`, a column per metric.
        cells: one row per cell: its levels, tuned values, counts, and mean, median and interval of every metric, as in
            `summary.parquet`.
        verdicts: one row per claim, with the fields of `harness.inference.verdict.Verdict`; an estimate with an interval
            of its own takes three columns, of which two end in `_low` and `_high`. Claims that the study makes no more come
            last; `was`, `cells` and `catastrophes` are what `claims.json` has of the form that was registered, of each cell by itself,
            and of runs that diverged or collapsed.
        study: everything that decides the results, as text by path, and under `environment` what ran and where.
        metrics: what each of the study's own metrics means; empty, too, where an older version wrote the folder, which did not say.
        counts: how many runs there are, by phase and how they ended, of how many, and digests of the files, as in `counts.json`; empty where an older version wrote the
            folder, which did not say.
    """

    folder: Path
    runs: pd.DataFrame
    cells: pd.DataFrame
    verdicts: pd.DataFrame
    study: dict[str, Any]
    metrics: dict[str, Metric] = field(default_factory=dict)
    counts: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def curves(self) -> pd.DataFrame:
        """One row per run and logged step: `trial`, `seed`, levels of what is swept, `step`, values. Read when first asked for.

        Raises:
            InvalidStudy: the file was left out as large files are, is damaged, or is of another state than these results.
        """
        return read(self.folder / CURVES_FILE, pd.read_parquet, self.counts.get("digests", {}))

    @property
    def incomplete(self) -> str:
        """That runs of the study are missing, a sentence; "" for none, and where an older version wrote the folder, which did not say."""
        return incompleteness(len(self.runs), self.counts.get("expected runs", 0))

    @property
    def has_curves(self) -> bool:
        """Whether the file of the curves is there: from published results it is often left out, as it is large."""
        return (self.folder / CURVES_FILE).is_file()

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """All pairs of levels of every swept factor, exploratory: one row per pair and metric, see `harness.inference.exploration.all_pairs`.

        Raises:
            InvalidStudy: the file is missing, as in a folder that an older version wrote, damaged, or of another state than
                these results.
        """
        return read(self.folder / PAIRS_FILE, pairs_of, self.counts.get("digests", {}))

    def compare(self, other: "Results", metrics: Sequence[str] | None = None) -> pd.DataFrame:
        """How `other` differs from these, paired by cell and seed: `cells` of `harness.reporting.comparison.Comparison`.

        Args:
            other: the results of another study, or of the same one later; every difference is `other`'s value less that of these.
            metrics: that are compared; None for those of both studies' claims, or test loss and error where there are none.

        Raises:
            TypeError: `other` is no `Results`.
            InvalidStudy: both are one folder, a metric is not recorded by both, or a cell has several runs of a seed.
        """
        if not isinstance(other, Results):
            raise TypeError(f"compare takes Results, such as harness.load(folder) gives; got {type(other).__name__}")
        return compare(self, other, metrics).cells

    def weights(self, run: "pd.Series[Any] | tuple[int, int]") -> dict[str, Tensor]:
        """The weights of a run that `--keep-weights` has kept, for `load_state_dict` of its module.

        Args:
            run: a row of `runs`, or trial and seed.

        Raises:
            TypeError: it is neither.
            InvalidStudy: there is no such run, or there are no weights of it.
        """
        if not isinstance(run, tuple | pd.Series):
            raise TypeError(f"weights takes a row of runs, or trial and seed such as (0, 1); got {run!r}")
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
    def swept(self) -> list[str]:
        """The paths of the factors whose levels make the cells."""
        return self._in_role("Sweep(")

    @property
    def tuned(self) -> list[str]:
        """The paths of the factors that were tuned."""
        return self._in_role("Tune(")

    def _in_role(self, role: str) -> list[str]:
        return [path for path, text in self.study.items() if str(text).startswith(role) and path in self.runs]

    @property
    def question(self) -> str:
        """What the study file says of itself; "" where there is none, as of a study that was made in Python."""
        path = self.folder / "study.py"
        try:
            return ast.get_docstring(ast.parse(path.read_bytes())) or "" if path.is_file() else ""
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
            return ""

    @property
    def report(self) -> Path:
        """The page that shows all this."""
        return self.folder / "report.html"

    @property
    def extent(self) -> str:
        """How many cells there are, in words; where a search confirms several combinations in a cell, these as well."""
        rows = len(self.cells)
        cells = self.cells.groupby(self.swept, dropna=False).ngroups if self.swept else min(rows, 1)
        several = f" ({counted(rows, 'combination')})" if rows > cells else ""
        return counted(cells, "cell") + several

    def __repr__(self) -> str:
        rows = self.verdicts[["verdict", "registered", "registration", "withdrawn"]].itertuples(index=False)
        counts = Counter(as_read(*row) for row in rows)
        words = ", ".join(f"{count} {word}" for word, count in counts.items()) or "no claims"
        return f"<Results in {self.folder}: {counted(len(self.runs), 'run')}, {self.extent}; {words}>"

    def _repr_html_(self) -> str:
        return as_html(self)


def load(folder: str | Path) -> Results:
    """The results of a study, from its folder; the same after `harness run`, `harness report` and on another machine.

    Args:
        folder: results/<study>.

    Raises:
        InvalidStudy: it is missing, incomplete, damaged, or being written.
    """
    folder = Path(folder)
    _check(folder)
    counts = {} if _is_old(folder) else read(folder / MARK, counts_of, {})  # before all else: it says what that must be
    noted = counts.get("digests", {})
    runs = read(folder / RUNS_FILE, runs_of, noted)
    says = METRICS_FILE in noted or (folder / METRICS_FILE).is_file()  # an older version did not
    return Results(
        folder=folder,
        runs=runs,
        cells=read(_summary(folder), lambda path: cells_of(path, runs), noted),
        verdicts=read(folder / CLAIMS_FILE, lambda path: verdicts_of(path, runs), noted),
        study=read(folder / STUDY_FILE, json_of, noted)
        | {"environment": read(folder / ENVIRONMENT_FILE, json_of, noted)},
        metrics=read(folder / METRICS_FILE, metrics_of, noted) if says else {},
        counts=counts,
    )


def _check(folder: Path) -> None:
    """Refuse what is not the whole folder of a study's results."""
    check_place(folder)
    missing = [
        name for name in FILES if not (folder / name).is_file() and not (name == SUMMARY_FILE and _is_old(folder))
    ]
    if missing:
        raise InvalidStudy([Problem(str(folder), f"has no {' and no '.join(missing)}; {REMEDY}")])
    if not _is_old(folder):
        check_marked(folder)


def check_place(folder: Path) -> None:
    """Raises `InvalidStudy` for what is not the folder of one study, with the one that may be meant."""
    if folder.is_file():
        raise InvalidStudy([Problem(str(folder), "is a file; give the folder results/<study>")])
    if not folder.is_dir():
        siblings = _studies_in(folder.parent)
        hint = nearest(folder.name, siblings) if siblings else "; a study leaves its results in results/<study>"
        raise InvalidStudy([Problem(str(folder), f"no such folder{hint}")])
    inside = _studies_in(folder)
    if inside and not (folder / CLAIMS_FILE).is_file():
        message = f"is the folder of all results; give that of one study in it: {', '.join(inside)}"
        raise InvalidStudy([Problem(str(folder), message)])


def _studies_in(folder: Path) -> list[str]:
    return sorted(path.parent.name for path in folder.glob(f"*/{CLAIMS_FILE}"))


def _summary(folder: Path) -> Path:
    return folder / (OLD_SUMMARY_FILE if _is_old(folder) else SUMMARY_FILE)


def _is_old(folder: Path) -> bool:
    """Whether an older version wrote the folder, which had every metric in `summary.csv`: medians of rates, too."""
    old = folder / OLD_SUMMARY_FILE
    if (folder / SUMMARY_FILE).is_file() or not old.is_file():
        return False
    with old.open("rb") as file:
        return b"diverged_median" in file.readline()
