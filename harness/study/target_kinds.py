"""What cannot be claimed of a study since its targets are numbers, its outputs no scores of classes or guessing has no known loss."""

from collections.abc import Iterator

from harness.settings import Problem, show
from harness.settings.metrics import ERROR, METRICS
from harness.study.experiment import Experiment
from harness.study.scope import setups
from harness.study.statement import Estimated, Statement
from harness.tasks.task import Task

OF_GUESSING = "guess_loss", "collapsed"
"""Metrics that only a task tells which knows what guessing costs."""

NO_GUESS = "cannot be known: the task has `losses` of its own and no `guess_losses`, which say what guessing costs; give it these"


def predicts_numbers(study: Experiment) -> bool:
    """Whether any of its tasks has numbers as targets, so that errors are absolute ones, without a bound."""
    if "_predicts_numbers" not in study.__dict__:  # to draw a user's data may take long
        tasks = dict.fromkeys(setup.task for setup in setups(study))
        study.__dict__["_predicts_numbers"] = any(task.data(0).y.is_floating_point() for task in tasks)
    return bool(study.__dict__["_predicts_numbers"])


def target_problems(study: Experiment) -> Iterator[Problem]:
    """Claims on what is measured of classes alone or beside guessing, and on the mean of absolute errors, for which no interval holds."""
    yield from (Problem("objective", NO_GUESS, name) for name in study.objectives() if _lacks_guess(study, name))
    for name in ("claims", "published"):
        for i, each in enumerate(study.values().get(name) or ()):
            if isinstance(each, Statement):
                yield from (problem.under(f"{name}[{i}]") for problem in _statement_problems(study, each))


def own_methods(study: Experiment) -> set[str]:
    """Which of `losses` and `errors` any of its tasks has of its own, so that by these its outputs may be anything."""
    tasks = {type(setup.task) for setup in setups(study)}
    return {
        name for name in ("losses", "errors") if any(getattr(task, name) is not getattr(Task, name) for task in tasks)
    }


def _statement_problems(study: Experiment, statement: Statement) -> Iterator[Problem]:
    for field, metric in statement.measured().items():
        method = METRICS[metric].of_classes
        if method and predicts_numbers(study):
            yield Problem(field, "is measured of classes, and the targets are numbers", metric)
        elif method and method in own_methods(study):
            yield Problem(
                field,
                f"is measured of scores of classes, and by the task's own `{method}` outputs may be anything",
                metric,
            )
        if _lacks_guess(study, metric):
            yield Problem(field, NO_GUESS, metric)
        absolute = METRICS[metric].unit == ERROR and predicts_numbers(study)
        if absolute and isinstance(statement, Estimated) and statement.estimated() == "mean":
            message = "no interval holds for the mean of what has no bound: targets are numbers, so that this is an absolute error"
            yield Problem("estimand", f'{message}; use "median" or "hodges_lehmann"', show("mean"))


def _lacks_guess(study: Experiment, metric: str) -> bool:
    return metric in OF_GUESSING and not all(setup.task.can_guess() for setup in setups(study))
