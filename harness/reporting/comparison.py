"""`Comparison`: two results side by side, two studies or one before and after: settings, cells, runs and verdicts.

Runs are paired by cell and seed, and every difference is `b` − `a`. A cell is known by the levels of what either study sweeps and
both have; a factor that only one sweeps, and the other lacks or tunes, is named, and each of its levels stands beside the same
cell of the other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from harness.inference.exploration.paired_difference import paired_difference
from harness.inference.outcomes import Outcome, in_bits
from harness.inference.reading import as_read
from harness.settings import InvalidStudy, Problem, nearest
from harness.settings.bits import same_bits
from harness.settings.levels import in_short, in_words, label, spelled
from harness.settings.metrics import Metric, shipped

if TYPE_CHECKING:
    from harness.reporting.results import Results

Better = Literal["lower", "higher", None]
Levels = dict[str, Any]

DEFAULT_METRICS = ("test_loss", "test_error")
STATUSES = ("diverged", "collapsed", "failed")
NO_METRICS = ("trial", "seed", "phase", "status")
CLAIM_FIELDS = ("kind", "metric", "better", "compared", "smallest_effect", "above", "estimand", "treatment", "baseline")
CIRCUMSTANCES = {"n": "seeds", "level": "level", "n_missing": "seeds without a number", "n_copies": "copies left out",
                 "registration": "registration"}  # fmt: skip
STANDING = ("verdict", "registered", "registration", "withdrawn")
"""What `worded` words."""
VERDICT = (*STANDING, "label", "estimate", "low", "high")


@dataclass(frozen=True)
class Comparison:
    """Two results side by side.

    Attributes:
        settings: one row per setting, or fact of the environment, that differs: `setting`, `a`, `b`; missing is empty.
        matched_on: the factor paths by which cells are matched.
        only: for `a` and `b` the factor paths that are swept there alone.
        alone: for `a` and `b` the cells that have no counterpart.
        cells: one row per pair of cells and metric: its levels, `metric`, `better`, `n` seeds that are compared, `n_a` and `n_b`
            runs, `n_same` runs that are the same to the bit in all that both recorded, counts of runs by status, and the fields
            of `harness.inference.exploration.paired_difference.PairedDifference`.
        verdicts: one row per claim of either: `title`, for each side `verdict`, how its claim stands (`registered`,
            `registration`, `withdrawn`), `label`, `estimate`, `low`, `high`, and `why` they may differ.
        unmeasured: metrics of claims that only one of both has recorded.
        unlike: metrics of claims that mean something else in each of both, in unit, direction or group.
        unknown: metrics that are compared, of which neither says what they mean, as older versions wrote no file of it.
        n_common: runs that both have.
        n_same: those of them that are the same to the bit.
    """

    settings: pd.DataFrame
    matched_on: list[str]
    only: Mapping[str, list[str]]
    alone: Mapping[str, list[Levels]]
    cells: pd.DataFrame
    verdicts: pd.DataFrame
    unmeasured: list[str]
    unlike: list[str]
    unknown: list[str]
    n_common: int
    n_same: int


@dataclass(frozen=True)
class Side:
    """One of the two: its results, what it sweeps and tunes, and the runs of the confirm phase of each cell, by levels."""

    results: "Results"
    swept: list[str]
    tuned: list[str]
    cells: list[tuple[Levels, pd.DataFrame]]


def compare(a: "Results", b: "Results", metrics: Sequence[str] | None = None) -> Comparison:
    """Set two results side by side.

    Args:
        a: the first, such as a study before a change.
        b: the second.
        metrics: that are compared; None for those of both studies' claims, or test loss and error where there are none.

    Raises:
        InvalidStudy: they are the same folder, a metric is not recorded by both or not the same in both, or a cell has several
            runs of a seed.
    """
    if a.folder.resolve() == b.folder.resolve():
        raise InvalidStudy([Problem(str(b.folder), "is the folder that it would be compared with")])
    sides = _side(a), _side(b)
    known = shipped() | a.metrics | b.metrics
    chosen, unmeasured, unlike = _metrics(a, b, metrics)
    unknown = [name for name in chosen if name not in known]
    common, only = _paths(*sides)
    pairs, alone = _pairs(*sides, common)
    curves = [_curves(side) for side in sides]
    rows, n_common, n_same = [], 0, 0
    for levels, (before, after) in pairs:
        seeds = sorted(set(before["seed"]) & set(after["seed"]))
        same = sum(_same(before, after, seed, curves, known) for seed in seeds)
        n_common, n_same = n_common + len(seeds), n_same + same
        rows += [
            levels | _row(name, _better(name, a, b, known), before, after, known) | {"n_same": same} for name in chosen
        ]
    head = [*common, *only["a"], *only["b"], "metric", "better", "n", "n_a", "n_b", "n_same"]
    cells = pd.DataFrame(rows)
    cells = cells[head + [name for name in cells if name not in head]] if rows else pd.DataFrame(columns=head)
    return Comparison(
        _settings(a, b), common, only, alone, cells, _verdicts(a, b), unmeasured, unlike, unknown, n_common, n_same
    )


def _side(results: "Results") -> Side:
    swept, tuned = results.swept, results.tuned
    confirm = results.runs[results.runs["phase"] == "confirm"]
    cells: dict[tuple[str, ...], list[Any]] = {}
    for place, row in zip(confirm.index, confirm[swept].itertuples(index=False), strict=True):
        cells.setdefault(tuple(map(spelled, row)), []).append(place)
    found = []
    for labels in cells.values():
        runs = confirm.loc[labels]
        levels = {path: runs[path].iloc[0] for path in swept}
        if runs["seed"].duplicated().any():
            message = (
                f"has several runs of a seed at {in_words(levels)}: a front of several objectives has no counterpart"
            )
            raise InvalidStudy([Problem(str(results.folder), message)])
        found.append((levels, runs))
    return Side(results, swept, tuned, found)


def _paths(a: Side, b: Side) -> tuple[list[str], dict[str, list[str]]]:
    """The paths that cells are matched by, and those that only one of both sweeps."""
    swept = list(dict.fromkeys(a.swept + b.swept))
    common = [
        path
        for path in swept
        if path in a.results.runs and path in b.results.runs and path not in a.tuned and path not in b.tuned
    ]
    return common, {name: [p for p in side.swept if p not in common] for name, side in (("a", a), ("b", b))}


def _pairs(
    a: Side, b: Side, common: list[str]
) -> tuple[list[tuple[Levels, tuple[pd.DataFrame, pd.DataFrame]]], dict[str, list[Levels]]]:
    """The cells that agree in all of `common`, with their levels and the runs of both; and the cells without a counterpart."""

    def key(runs: pd.DataFrame) -> tuple[str, ...]:
        return tuple(spelled(runs[path].iloc[0]) for path in common)

    counterparts: dict[tuple[str, ...], list[tuple[Levels, pd.DataFrame]]] = {}
    for levels, runs in b.cells:
        counterparts.setdefault(key(runs), []).append((levels, runs))
    pairs = [
        ({path: runs[path].iloc[0] for path in common} | levels | other, (runs, others))
        for levels, runs in a.cells
        for other, others in counterparts.get(key(runs), [])
    ]
    keys = {key(runs) for _, runs in a.cells}
    return pairs, {
        "a": [levels for levels, runs in a.cells if key(runs) not in counterparts],
        "b": [levels for levels, runs in b.cells if key(runs) not in keys],
    }


def _metrics(a: "Results", b: "Results", wanted: Sequence[str] | None) -> tuple[list[str], list[str], list[str]]:
    """The metrics to compare, those of claims that only one has, and those of claims that mean something else in each."""
    recorded, unlike = [_recorded(results) for results in (a, b)], _unlike(a, b)
    if wanted is not None:
        both = [name for name in recorded[0] if name in recorded[1]]
        wanted = list(dict.fromkeys(wanted))
        found = [_unknown(name, a, b, recorded, both) for name in wanted if name not in both]
        found += [
            Problem("--metric", "means something else in each of both", name) for name in wanted if name in unlike
        ]
        if found:
            raise InvalidStudy(found)
        return wanted, [], []
    claimed = list(dict.fromkeys([*a.verdicts["metric"], *b.verdicts["metric"]])) or list(DEFAULT_METRICS)
    there = [name for name in claimed if all(name in names for names in recorded)]
    return (
        [name for name in there if name not in unlike],
        [name for name in claimed if name not in there],
        [name for name in there if name in unlike],
    )


def _unlike(a: "Results", b: "Results") -> list[str]:
    """The studies' own metrics of which the two say something else in what numbers are judged by."""

    def said(metric: Metric) -> tuple[Any, ...]:
        return metric.unit, metric.better, metric.group

    return [name for name in a.metrics if name in b.metrics and said(a.metrics[name]) != said(b.metrics[name])]


def _unknown(name: str, a: "Results", b: "Results", recorded: list[list[str]], both: list[str]) -> Problem:
    lacking = [str(results.folder) for results, names in zip((a, b), recorded, strict=True) if name not in names]
    if len(lacking) == 1:
        return Problem("--metric", f"{name} is not recorded in {lacking[0]}")
    return Problem("--metric", f"no such metric is recorded{nearest(name, both)}", name)


def _recorded(results: "Results") -> list[str]:
    """The columns of runs that are metrics: ours, and what else is a number and no setting."""
    runs, known = results.runs, shipped()
    numbers = (n for n in runs if pd.api.types.is_numeric_dtype(runs[n]) and n not in (*NO_METRICS, *results.study))
    return [str(name) for name in numbers if name in known or "." not in str(name)]


def _better(metric: str, a: "Results", b: "Results", known: Mapping[str, Metric]) -> Better:
    """Which direction is good: of a metric of which nothing else is known, as a claim says."""
    if metric in known:
        return known[metric].better
    claims = pd.concat([a.verdicts, b.verdicts])
    said = set(claims.loc[claims["metric"] == metric, "better"]) - {""}
    return "lower" if said == {"lower"} else "higher" if said == {"higher"} else None


def _row(
    metric: str, better: Better, before: pd.DataFrame, after: pd.DataFrame, known: Mapping[str, Metric]
) -> dict[str, Any]:
    found = asdict(paired_difference(metric, better, before, after, known.get(metric)))
    counts = {
        f"n_{status}_{side}": int((runs["status"] == status).sum())
        for status in STATUSES
        for side, runs in (("a", before), ("b", after))
    }
    n = {"n": len(found["per_seed"]), "n_a": len(before), "n_b": len(after)}
    return {"metric": metric, "better": better or ""} | n | counts | found


def _curves(side: Side) -> dict[Any, pd.DataFrame]:
    """The curve of each run, by trial and seed, without its levels: another study may have those from elsewhere.

    None of any where the file was left out.
    """
    if not side.results.has_curves:
        return {}
    curves = side.results.curves.drop(columns=side.swept, errors="ignore")
    return dict(iter(curves.groupby(["trial", "seed"])))


def _same(
    before: pd.DataFrame,
    after: pd.DataFrame,
    seed: int,
    curves: list[dict[Any, pd.DataFrame]],
    known: Mapping[str, Metric],
) -> bool:
    """Whether the runs of a seed are the same to the bit in status, steps, every metric of a run's own, and curve."""
    shared = [str(name) for name in before if name in after]
    own = [name for name in shared if name in known and not known[name].across_runs]
    names = ["status", *(name for name in shared if name == "steps_done" or name in own)]
    rows = [runs[runs["seed"] == seed].iloc[0] for runs in (before, after)]
    one, other = (found.get((row["trial"], seed)) for found, row in zip(curves, rows, strict=True))
    if all(curves) and (one is None) != (other is None):
        return False
    if one is not None and other is not None:
        columns = [name for name in one if name in other and name not in ("trial", "seed")]
        one, other = one[columns], other[columns]
    first, second = (Outcome(dict(row[names]), curve) for row, curve in zip(rows, (one, other), strict=True))
    return in_bits(first, second) is None


def _settings(a: "Results", b: "Results") -> pd.DataFrame:
    rows = []
    texts = [_texts(results.study) for results in (a, b)]
    for path in dict.fromkeys([*texts[0], *texts[1]]):
        values = [text.get(path, "") for text in texts]
        if values[0] != values[1]:
            rows.append((path, *values))
    return pd.DataFrame(rows, columns=["setting", "a", "b"])


def _texts(study: Mapping[str, Any]) -> dict[str, str]:
    settings = {path: str(value) for path, value in study.items() if path != "environment"}
    return settings | {
        f"environment: {n}": str(value) for n, value in study["environment"].items() if n not in settings
    }


def _verdicts(a: "Results", b: "Results") -> pd.DataFrame:
    """The claims of both, those of `a` first; of equal titles the first beside the first."""
    of_both = [dict(numbered(results.verdicts)) for results in (a, b)]
    rows = []
    for title, k in dict.fromkeys([*of_both[0], *of_both[1]]):
        found = [claims.get((title, k)) for claims in of_both]
        row: dict[str, Any] = {"title": title}
        for side, claim in zip("ab", found, strict=True):
            for name in VERDICT:
                row[f"{name}_{side}"] = None if claim is None else claim[name]
        rows.append(row | {"why": _why(*found)})
    names = [f"{name}_{side}" for side in "ab" for name in VERDICT]
    return pd.DataFrame(rows, columns=["title", *names, "why"])


def numbered(verdicts: pd.DataFrame) -> list[tuple[tuple[str, int], "pd.Series[Any]"]]:
    """Each claim by its title and its place among those of that title."""
    places = verdicts.groupby("title").cumcount().tolist()
    return [((row["title"], place), row) for place, (_, row) in zip(places, verdicts.iterrows(), strict=True)]


def worded(claim: "Mapping[Any, Any] | pd.Series[Any]") -> str:
    """The verdict on a claim that is recorded so, as people read it."""
    return as_read(*(claim[name] for name in STANDING))


def _why(a: "pd.Series[Any] | None", b: "pd.Series[Any] | None") -> str:
    """What differs between the verdicts on a claim and could explain why these do, in words; "" for nothing."""
    if a is None or b is None:
        return f"only {'B' if a is None else 'A'} has this claim"
    changed = any(not same_bits(a[name], b[name]) for name in VERDICT)
    forms = a["form"], b["form"]
    one, other = ({name: row[name] for name in CLAIM_FIELDS} for row in (a, b)) if None in forms else forms
    fields = [(name, *(_shown(claim.get(name)) for claim in (one, other))) for name in dict.fromkeys([*one, *other])]
    said = [f"{name}: {before} → {after}" for name, before, after in fields if before != after]
    said = [f"another claim, {', '.join(said)}"] if said else []
    if None in forms and changed:
        said.append("whether they are one claim in all is not known, since an older version wrote one of them")
    for name, words in CIRCUMSTANCES.items():
        if not same_bits(a[name], b[name]):
            said.append(f"{words}: {_shown(a[name])} → {_shown(b[name])}")
    explained = bool(said)
    both = sorted(set(a["per_seed"]) & set(b["per_seed"]))
    if both:
        moved = sum(not same_bits(a["per_seed"][seed], b["per_seed"][seed]) for seed in both)
        said.append(f"its difference is another one in {moved} of {len(both)} seeds in common" if moved else
                    f"its difference is the same in all {len(both)} seeds in common")  # fmt: skip
    return "; ".join(said) if changed or explained else ""


def _shown(value: Any) -> str:
    if value in (None, "", {}):
        return "nothing"
    if isinstance(value, dict):
        each = {path: in_short(path, level) if isinstance(level, list) else level for path, level in value.items()}
        return in_words(each)
    return label("", value) if isinstance(value, float) else str(value)
