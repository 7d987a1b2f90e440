"""What a study's numbers are conditional on, in words: on which examples, and how long its runs train."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from harness.engine.setup import Setup
from harness.settings import show
from harness.settings.levels import in_words
from harness.settings.show import spread
from harness.study.contrasts import Levels
from harness.study.experiment import Experiment
from harness.tasks.sameness import Examples, same_test
from harness.tasks.scope import scope as of_task
from harness.tasks.task import Task
from harness.tasks.usable import SPLITS


def scope(study: Experiment) -> list[str]:
    """What verdicts are conditional on, a sentence for all cells, or one with the levels that decide it for each that differs.

    Of a study without claims, which has no verdicts, it is what its numbers are conditional on.
    """
    what = "Verdicts" if study.claims else "Numbers"
    kinds = [(setup.task, setup.differ) for setup in setups(study)]
    scopes = {kind: of_task(*kind, study.confirm_seeds(), what) for kind in dict.fromkeys(kinds)}
    said = [(cell, scopes[kind]) for cell, kind in zip(study.cells(), kinds, strict=True)]
    tested = _test_sets([task for task, _ in kinds])
    deciding = [path for path in study.sweeps() if _decides(path, said)]
    of_each = [path for path in study.sweeps() if _decides(path, list(zip(study.cells(), tested, strict=True)))]
    each = [f"each {path}" for path in of_each if path not in deciding]
    sentences = []
    for cell, sentence in said:
        levels = [in_words({path: cell[path] for path in deciding})] if deciding else []
        where = " and ".join(levels + each)
        sentences.append(f"At {where}: {sentence[0].lower()}{sentence[1:]}" if where else sentence)
    return list(dict.fromkeys(sentences))


def _test_sets(tasks: Sequence[Task]) -> list[int]:
    """Of each task a number, the same for those that are tested on the same examples under seed 0."""
    number: dict[Task, int] = {}
    kinds: list[Examples] = []
    for task in dict.fromkeys(tasks):
        own = task.data(0).tested()
        same = (i for i, other in enumerate(kinds) if same_test(own, other))
        number[task] = next(same, len(kinds))
        if number[task] == len(kinds):
            kinds.append(own)
    return [number[task] for task in tasks]


def _decides(path: str, said: Iterable[tuple[Levels, str | int]]) -> bool:
    """Whether cells that differ in one factor alone say different things."""
    found: dict[Any, set[str | int]] = {}
    for cell, sentence in said:
        found.setdefault(tuple(show(level) for other, level in cell.items() if other != path), set()).add(sentence)
    return any(len(sentences) > 1 for sentences in found.values())


def setups(study: Experiment, *, end: Literal["low", "high"] = "low") -> list[Setup]:
    """The setup of each cell, what is tuned at one end of its range."""
    tuned = {path: getattr(tune, end) for path, tune in study.tunes().items()}
    return [study.setup(cell | tuned) for cell in study.cells()]


def examples_in_words(study: Experiment) -> dict[str, str]:
    """How many examples numbers are measured on, for `measured_on`: of each split one number, or those of all cells and seeds.

    Under `gap` the training examples on which the training loss is measured: as many as there are test examples, if there are.
    """
    counts = [count for setup in setups(study) for count in study.examples_of_seeds(setup)]
    found = {name: spread(count[name] for count in counts) for name in SPLITS}
    return found | {"gap": spread(min(count["test"], count["train"]) for count in counts)}


def budget(study: Experiment, trained: Iterable[Setup]) -> str:
    """How long runs train, in steps and epochs, at most where patience may end them: of each one number, or the least and the most of some setups."""
    each = list(trained)
    steps = [setup.steps for setup in each]
    epochs = [
        setup.steps * setup.examples_a_step / count["train"]
        for setup in each
        for count in study.examples_of_seeds(setup)
    ]
    several = ["" if set(numbers) == {1} else "s" for numbers in (steps, epochs)]
    at_most = "at most " * any(setup.patience is not None for setup in each)
    return f"{at_most}{spread(steps)} step{several[0]}, {spread(epochs)} epoch{several[1]}"
