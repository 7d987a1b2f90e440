"""What cannot be claimed of a study since its targets are numbers, not classes; known once its data are."""

from collections.abc import Iterator

from harness.settings import Problem, show
from harness.settings.metrics import ERROR, METRICS
from harness.study.experiment import Experiment
from harness.study.scope import setups
from harness.study.statement import Estimated, Statement


def predicts_numbers(study: Experiment) -> bool:
    """Whether any of its tasks has numbers as targets, so that errors are absolute ones, without a bound."""
    if "_predicts_numbers" not in study.__dict__:  # to draw a user's data may take long
        tasks = dict.fromkeys(setup.task for setup in setups(study))
        study.__dict__["_predicts_numbers"] = any(task.data(0).y.is_floating_point() for task in tasks)
    return bool(study.__dict__["_predicts_numbers"])


def target_problems(study: Experiment) -> Iterator[Problem]:
    """Claims on what is measured of classes alone, and on the mean of absolute errors, for which no interval holds."""
    if not predicts_numbers(study):
        return
    for name in ("claims", "published"):
        for i, each in enumerate(study.values().get(name) or ()):
            if isinstance(each, Statement):
                yield from (problem.under(f"{name}[{i}]") for problem in _statement_problems(each))


def _statement_problems(statement: Statement) -> Iterator[Problem]:
    for field, metric in statement.measured().items():
        if METRICS[metric].of_classes:
            yield Problem(field, "is measured of classes, and the targets are numbers", metric)
        if isinstance(statement, Estimated) and METRICS[metric].unit == ERROR and statement.estimated() == "mean":
            message = "no interval holds for the mean of what has no bound: targets are numbers, so that this is an absolute error"
            yield Problem("estimand", f'{message}; use "median" or "hodges_lehmann"', show("mean"))
