"""How many examples the splits of a task have, of one seed or of several."""

from collections.abc import Sequence
from contextlib import suppress

from harness.settings.modules import owner_of
from harness.tasks.task import Task
from harness.tasks.usable import SPLITS


def split_sizes(task: Task, seeds: Sequence[int]) -> list[dict[str, int]]:
    """The different numbers of examples that splits have, by name of the split: of seed 0 alone where seeds do not differ.

    Of a task of a user's own they do not as far as seeds 0 and 1 tell; where these do, all data are drawn.

    Args:
        task: gives the data.
        seeds: whose numbers are asked for.

    Raises:
        Exception: the data of seeds 0 and 1 cannot be had.
    """
    first = _sizes(task, 0)
    users = any(owner_of(cls) == "user" and {"draw", "data"} & vars(cls).keys() for cls in type(task).__mro__)
    if not users or task.resample != "split" or _sizes(task, 1) == first:
        return [first]
    found: list[dict[str, int]] = []
    for seed in seeds:
        with suppress(Exception):  # of a user's task: the runs of this seed will fail, and say so
            sizes = _sizes(task, seed)
            found += [sizes] * (sizes not in found)
    return found or [first]


def _sizes(task: Task, seed: int) -> dict[str, int]:
    data = task.data(seed)
    return {name: len(getattr(data, name)) for name in SPLITS}
