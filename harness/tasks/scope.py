"""What a verdict on a task is conditional on, in words: which examples are fixed, and what differs between seeds."""

from collections.abc import Sequence

from harness.settings.show import counted, spread
from harness.tasks.split_sizes import split_sizes
from harness.tasks.task import Data, Differ, Task

HELD = "are those of seed 0, and verdicts conditional on these"


def scope(task: Task, differ: Differ = "all", seeds: Sequence[int] = (0, 1), what: str = "Verdicts") -> str:
    """A sentence on the examples that are tested on, on what differs between seeds, and on a unit that needs saying.

    Args:
        task: what is learned.
        differ: see `harness.engine.setup.Setup`.
        seeds: that are tested.
        what: is conditional on these.
    """
    data = task.data(0)
    if differ == "noise" or task.fixes_test():
        groups = task.together(data.test)
        tested = f"one fixed test set of {counted(len(data.test), 'example')}{groups and f' of {groups}'}"
    else:
        most = [sizes["test"] for sizes in split_sizes(task, seeds)]
        tested = f"{spread(most)} example{'s' * (max(most) > 1)}, other ones for each seed"
    unit = task.unit()
    return f"{what} hold for tests on {tested}; {_of_seeds(task, data, differ)}{unit and f'; {unit}'}."


def _of_seeds(task: Task, data: Data, differ: Differ) -> str:
    """What seeds differ in, and what they share beyond what is usual."""
    if differ == "noise":
        return f"seeds differ only in dropout and what else is drawn in training and measuring; examples, initial weights and order of batches {HELD}"
    of_data = _of_data(task, data)
    if differ == "data":
        return f"seeds differ only in {_joined(of_data or ['the order of their examples'])}; initial weights, order of batches and dropout {HELD}"
    differing = _joined(["initial weights", "order of batches", "dropout", *of_data])
    same = "" if of_data else f", and train on the same {counted(len(data.train), 'example')}"
    return f"seeds differ in {differing}{same}"


def _of_data(task: Task, data: Data) -> list[str]:
    """What differs between the data of two seeds."""
    if task.resample == "none":
        return []
    if task.resample == "bootstrap":
        return [f"the bootstrap sample of one training set of {counted(len(data.train), 'example')}"]
    drawn = task.between_seeds(data)
    return [drawn] * bool(drawn) + ["which labels are replaced"] * bool(task.label_noise)


def _joined(parts: list[str]) -> str:
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last
