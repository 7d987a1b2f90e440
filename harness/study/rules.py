"""Rules between the parts of a study, beside what each part checks of itself: names, roles, seeds, objectives, claims, size."""

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from harness.engine.diagnostics import Diagnostics
from harness.settings import Problem, Sweep, Tune, metrics, nearest, show
from harness.settings.functions import needed_arguments, unnamed
from harness.settings.levels import stored, sweep_in_short
from harness.settings.show import counted
from harness.study.claims_of_factors import Trend
from harness.study.contrasts import Levels
from harness.study.experiment import MOST_SEEDS, SETUP_FIELDS, Experiment
from harness.study.statement import Estimated, Statement
from harness.study.widening import widening_problems

MOST_RUNS = 10**6
"""Runs of a study, at most: all are planned, and end in one table."""

LONGEST_NAME = 64

RESERVED = re.compile(
    r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?|mlartifacts|mlflow\.db.*|optuna\.journal.*|default|.*\.", re.IGNORECASE
)
"""Names that mean something else: a device on Windows, what lies beside the studies' folders, MLflow's own experiment."""


def problems_between(study: Experiment, known: set[str]) -> list[Problem]:
    """What is wrong between the parts, as far as what is wrong already does not get in the way.

    Args:
        study: its parts checked, each by itself.
        known: paths of the problems that were found so.
    """
    found = list(_role_problems(study, known))
    broken = {_head(path) for path in known | {problem.path for problem in found}} | _absent(study)
    if "name" not in broken:
        found += name_problems(study.name)
    if "seeds" not in broken and isinstance(study.seeds, list | tuple) and not _valid_seeds(study.seeds):
        message = f"must be different whole numbers from 0 to {MOST_SEEDS - 1}"
        found.append(Problem("seeds", message, show(list(study.seeds))))
    elif not broken & {"seeds", "looks"}:
        found += _look_problems(study)
    if study.values().get("steps") is not None and study.values().get("epochs") is not None:
        found.append(Problem("epochs", "takes the place of steps: give one of the two", show(study.epochs)))
    if not broken & {"patience", "evaluations", "steps"}:
        found += _patience_problems(study)
    if "metrics" not in broken:
        found += _measure_problems(study)
    if "figures" not in broken:
        found += _figure_problems(study)
    if "objective" not in broken:
        found += _objective_problems(study)
    if not broken & {"tune", "tune_seeds", "sampler", "objective"}:
        found += _tuning_problems(study)
    if not broken and study.widen:
        found += widening_problems(study)
    for name in STATEMENTS:
        for i, each in enumerate(_statements(study, name, known)):
            if isinstance(each, Statement):
                own = {path for path in known | {p.path for p in found} if path.startswith(f"{name}[{i}].")}
                found += [p.under(f"{name}[{i}]") for p in _statement_problems(study, each, broken, own)]
    return found or ([] if broken else _size_problems(study))


STATEMENTS = ("claims", "published")
"""Settings of a study that hold `Statement`s."""


def _statements(study: Experiment, name: str, known: set[str]) -> Sequence[Any]:
    """What such a setting holds, as far as it is sound."""
    held = study.values().get(name, ())
    return () if name in known or isinstance(held, Sweep | Tune) else held


def _head(path: str) -> str:
    return re.split(r"[.\[]", path)[0]


def _absent(study: Experiment) -> set[str]:
    return set(study.kinds()) - set(study.values())


def _role_problems(study: Experiment, known: set[str]) -> Iterator[Problem]:
    """Only what decides how a run trains can be swept or tuned."""
    settings = {name: value for name, value in study.values().items() if name not in SETUP_FIELDS}
    for field in STATEMENTS:
        for i, each in enumerate(_statements(study, field, known)):
            if isinstance(each, Statement):
                settings |= {f"{field}[{i}].{name}": value for name, value in each.values().items()}
    if isinstance(study.metrics, Diagnostics):
        settings |= dict(study.metrics.walk("metrics."))
    for path, value in settings.items():
        if isinstance(value, Sweep | Tune) and path not in known:
            yield Problem(path, "cannot be swept or tuned", show(value))


def _look_problems(study: Experiment) -> list[Problem]:
    looks, n = list(study.looks), len(study.planned_seeds())
    if looks != sorted(set(looks)):
        return [Problem("looks", "must rise: each has the seeds of the one before and more", show(study.looks))]
    if looks and looks[-1] != n:
        return [Problem("looks", f"must end at the number of seeds, {n}", show(study.looks))]
    return []


def _patience_problems(study: Experiment) -> list[Problem]:
    """Patience that no run can lose before its last evaluation."""
    levels = study.patience.levels if isinstance(study.patience, Sweep) else (study.patience,)
    levels = (study.patience.high,) if isinstance(study.patience, Tune) else levels
    evaluations = min(study.evaluations, study.steps) if isinstance(study.steps, int) else study.evaluations
    message = f"must be less than the {evaluations} evaluations of a run, or it ends none; see evaluations"
    return [Problem("patience", message, show(p)) for p in levels if p is not None and p >= evaluations]


def _measure_problems(study: Experiment) -> Iterator[Problem]:
    """Metrics of the user's own that have the name of a factor: both are columns of one table."""
    for i, measure in enumerate(study.metrics.measures):
        for name in measure.metrics().keys() & study.values().keys():
            yield Problem(f"metrics.measures[{i}].function", "has the name of a setting; rename it", name)


def _figure_problems(study: Experiment) -> Iterator[Problem]:
    names = [getattr(function, "__name__", "").lower() for function in study.figures]  # files of some systems are alike
    for i, function in enumerate(study.figures):
        message = unnamed(function)
        if not message and needed_arguments(function) != 1:
            message = "must take one argument, the table of runs"
        if not message and names[i] in names[:i]:
            message = "has the name of another figure; rename it"
        if message:
            yield Problem(f"figures[{i}]", message, show(function))


def _objective_problems(study: Experiment) -> list[Problem]:
    objectives, measured = study.objectives(), _measured(study) or metrics.shipped()
    valid = [name for name, metric in measured.items() if metric.tunable and metric.better != "higher"]
    if not objectives or len(set(objectives)) < len(objectives):
        return [Problem("objective", "needs one metric, or several different ones", show(objectives))]
    wrong = {name: f"cannot be tuned for{nearest(name, valid)}" for name in objectives if name not in valid}
    lacking = {name: _lacks(study, name) for name in objectives if name in valid}
    return [Problem("objective", message, show(name)) for name, message in (wrong | lacking).items() if message]


def _tuning_problems(study: Experiment) -> Iterator[Problem]:
    """What only shared values can have."""
    if not study.tunes_within():
        return
    way_out = '; set tune="shared" to choose one value for all seeds'
    if len(study.objectives()) > 1:
        message = f"every seed is tuned by one metric{way_out}"
        yield Problem("objective", message, show(study.objectives()))
    if study.sampler == "tpe":
        yield Problem(
            "sampler", f"learns from results, and every seed is to be tuned at the same values{way_out}", "tpe"
        )
    if study.tune_seeds is not None:
        yield Problem(
            "tune_seeds", f"has no meaning where every seed is tuned by itself{way_out}", show(study.tune_seeds)
        )


def _measured(study: Experiment) -> dict[str, metrics.Metric]:
    """What the study measures; nothing where that cannot be known."""
    if not isinstance(study.metrics, Diagnostics) or study.metrics.problems():
        return {}
    fixed = not any(isinstance(value, Sweep | Tune) for _, value in study.metrics.walk())
    return study.metrics.metrics() if fixed else {}


def _lacks(study: Experiment, metric: str) -> str:
    """What the study must set so that a metric is measured, "" for nothing."""
    if metric in metrics.OF_TUNED_RATES and not study.sweeps_rates():
        return "needs a learning rate that is tuned within each seed, and nothing else: optimizer.lr=Tune(…)"
    path, value = metrics.METRICS[metric].needs or ("", None)
    return f"needs {path}: at {show(value)} it is not measured" if path and study.factors().get(path) == value else ""


def _size_problems(study: Experiment) -> list[Problem]:
    cells = math.prod(len(sweep.levels) for sweep in study.sweeps().values())
    runs = cells * study.runs_per_cell()
    if runs <= MOST_RUNS:
        return []
    message = f"has {runs:,} runs, more than {MOST_RUNS:,}; take fewer levels, seeds or tune trials"
    return [Problem("study", message, counted(cells, "cell"))]


def _statement_problems(study: Experiment, claim: Statement, broken: set[str], own: set[str]) -> Iterator[Problem]:
    """What a claim, or a published number, names that the study does not have.

    Args:
        study: that holds it.
        claim: sound by itself, but for `own`.
        broken: settings of the study that have problems: nothing is said about factors of these.
        own: paths of this claim's problems that are known.
    """
    wrong = {path.split(".")[1] for path in own} | (set(claim.kinds()) - set(claim.values()))
    measured, shipped = _measured(study), metrics.shipped()
    looks = "looks" not in broken and len(study.looks) > 1
    for field, name in claim.measured().items() if not wrong & {"metric", "unless"} else ():
        if name not in shipped | measured:
            if measured:  # else the study's own are not known
                yield Problem(field, f"unknown metric{nearest(name, list(shipped | measured))}", name)
        elif measured and name not in measured:
            yield Problem(field, f'needs metrics=Diagnostics("{shipped[name].level}")', name)
        elif lacking := _lacks(study, name):
            yield Problem(field, lacking, name)
        elif looks and isinstance(claim, Estimated) and (shipped | measured)[name].across_runs == "seeds":
            message = "compares seeds with each other: a further look would change what the looks before it rest on; leave out looks"
            yield Problem(field, message, name)
    if isinstance(claim, Estimated) and not wrong and claim.metric in metrics.METRICS:
        yield from claim.estimand_problems()
    if wrong & {"treatment", "baseline", "here", "there", "arm", "at", "less", "factor", "levels"}:
        return
    arms = dict(claim.arms())
    unknown = [problem for field, levels in arms.items() for problem in _arm_problems(study, field, levels, broken)]
    if isinstance(claim, Trend):
        unknown += _trend_problems(study, claim, broken)
    yield from unknown
    for field, other in SAME_FACTORS.items():
        if not unknown and other in arms and set(arms[field]) != set(arms[other]):
            message = f"must name the factors of {field}, {sorted(arms[field])}"
            yield Problem(other, message, show(sorted(arms[other])))


SAME_FACTORS = {"treatment": "baseline", "here": "there", "at": "less"}
"""Fields of statements that name levels of the same factors."""


def _trend_problems(study: Experiment, claim: Trend, broken: set[str]) -> list[Problem]:
    """A trend needs two levels of one swept factor."""
    if claim.factor not in study.sweeps():
        return [
            Problem("factor", problem.message, problem.got or claim.factor)
            for problem in _arm_problems(study, "", {claim.factor: None}, broken)
        ]
    levels = [{claim.factor: level} for level in claim.levels]
    found = [Problem("levels", p.message, p.got) for level in levels for p in _arm_problems(study, "", level, broken)]
    if not found and len(claim.along(study.sweeps())) < 2:
        found = [Problem("factor", "has one level: a trend needs two or more", claim.factor)]
    return found


def _arm_problems(study: Experiment, field: str, levels: Levels, broken: set[str]) -> Iterator[Problem]:
    sweeps, factors = study.sweeps(), study.factors()
    for path, level in levels.items():
        if path in sweeps:
            if stored(level) not in map(stored, sweeps[path].levels):
                yield Problem(f"{field}.{path}", f"is not a level of {sweep_in_short(path, sweeps[path])}", show(level))
        elif _head(path) not in broken and path in factors:
            message = f"is not a swept factor, but the same in all cells; swept: {', '.join(sweeps) or 'none'}"
            yield Problem(f"{field}.{path}", message, show(factors[path]))
        elif _head(path) not in broken:
            yield Problem(f"{field}.{path}", f"is not a swept factor{nearest(path, list(sweeps))}")


def name_problems(name: str) -> list[Problem]:
    """What keeps a text from being a study's name."""
    if not re.fullmatch(rf"[A-Za-z0-9][A-Za-z0-9_.-]{{0,{LONGEST_NAME - 1}}}", name):
        message = f"1 to {LONGEST_NAME} letters, digits, '_', '-' or '.', the first a letter or digit"
        return [Problem("name", message, show(name))]
    return [Problem("name", "is reserved; choose another one", show(name))] if RESERVED.fullmatch(name) else []


def _valid_seeds(seeds: Sequence[int]) -> bool:
    return len(set(seeds)) == len(seeds) > 0 and all(0 <= seed < MOST_SEEDS for seed in seeds)
