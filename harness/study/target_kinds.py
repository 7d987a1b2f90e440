"""What cannot be claimed of a study since its targets are numbers, its outputs no scores of classes or a loss or error is not known."""

from collections.abc import Iterator

from harness.settings import Problem, show
from harness.settings.metrics import ERROR, METRICS
from harness.settings.modules import class_with, owner_of
from harness.study.experiment import Experiment
from harness.study.scope import setups
from harness.study.statement import Estimated, Statement
from harness.tasks.task import Task

BY_DIFFERENCES = (
    "the absolute difference of outputs and targets: the task has `losses` of its own and no `errors`, so that outputs may be something "
    "else than the numbers to be predicted, and this no error"
)
"""What is called an error where nobody knows what one is."""

NO_ERROR = f"cannot be known: it would be {BY_DIFFERENCES}; give it `errors`"

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
    """Claims on what is measured of classes alone, beside guessing or by errors that are none, and on means for which no interval holds."""
    yield from (Problem("objective", why, name) for name in study.objectives() if (why := _unknown(study, name)))
    if any(setup.task.target_error for setup in setups(study)) and not knows_errors(study):
        yield Problem("task.target_error", f"asks for an error, which {NO_ERROR}, or leave target_error at 0")
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


def knows_errors(study: Experiment) -> bool:
    """Whether what all of its tasks call an error is one, see `Task.knows_errors`."""
    tasks = {type(setup.task): setup.task for setup in setups(study)}
    own_losses = {kind: task for kind, task in tasks.items() if kind.losses is not Task.losses}
    return all(kind.knows_errors(task.data(0).y) for kind, task in own_losses.items())


def unusual_errors(study: Experiment) -> str:
    """What is called an error in a study whose tasks do not have the usual ones, in words; "" where they have."""
    if not knows_errors(study):
        return BY_DIFFERENCES
    return "what the task's own `errors` say" if "errors" in own_methods(study) else ""


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
        if why := _unknown(study, metric):
            yield Problem(field, why, metric)
        estimates_mean = isinstance(statement, Estimated) and statement.estimated() == "mean"
        if estimates_mean and is_of_errors(metric) and (why := _without_bound(study)):
            message = f"no interval holds for the mean of what has no bound: {why}"
            yield Problem("estimand", f'{message}; use "median" or "hodges_lehmann"', show("mean"))


def is_of_errors(metric: str) -> bool:
    """Whether a metric is a mean of what a task's `errors` say; a user's own of this unit is checked to lie between 0 and 1."""
    return METRICS[metric].unit == ERROR and not METRICS[metric].own


def _without_bound(study: Experiment) -> str:
    """Why errors may be larger than 1, "" where none can."""
    whose = {class_with("errors", type(setup.task)) for setup in setups(study)}
    if any(owner_of(each) != "harness" for each in whose):
        return "the task has `errors` of its own, which may be any numbers"
    usual_of_numbers = Task in whose and predicts_numbers(study)
    return "targets are numbers, so that this is an absolute error" if usual_of_numbers else ""


def _unknown(study: Experiment, metric: str) -> str:
    """Why nobody can know a metric, "" where it is known."""
    if metric in OF_GUESSING and not all(setup.task.can_guess() for setup in setups(study)):
        return NO_GUESS
    return NO_ERROR if is_of_errors(metric) and not knows_errors(study) else ""
