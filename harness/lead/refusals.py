"""What a run is refused for, all at once, as far as it is known before anything is connected to or trained."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from typing import TypeVar

import torch

from harness.engine.devices import find_devices
from harness.engine.memory_budget import parse_memory
from harness.lead.looks import check_looks
from harness.lead.options import Options
from harness.ledger.stores import check_addresses
from harness.settings import InvalidStudy
from harness.study import Study

T = TypeVar("T")


def loaded(load: Callable[[], tuple[Study, T]], options: Options) -> tuple[Study, T]:
    """A study that is to be run with options, and what is loaded with it.

    Args:
        load: gives both.
        options: each is looked at by itself; for what contradicts each other see `placing`.

    Raises:
        InvalidStudy: with everything that is wrong with the study or the options.
    """
    found: list[tuple[Study, T]] = []
    refused = []
    for check in chain([lambda: found.append(load())], _checks(found, options)):
        try:
            check()
        except InvalidStudy as error:
            refused.append(error)
    if refused:
        problems = [problem for error in refused for problem in error.problems]
        raise InvalidStudy(problems, refused[0].remedy if len(refused) == 1 else "")
    return found[0]


def _checks(found: list[tuple[Study, T]], options: Options) -> Iterator[Callable[[], object]]:
    """What raises `InvalidStudy` where an option cannot be used, by and by: the study is found by then, or is unsound."""
    if options.until_decided:
        yield from (partial(check_looks, study) for study, _ in found)
    if options.ray is None:
        yield partial(find_devices, options.devices)
    if options.memory is not None:
        yield partial(parse_memory, options.memory, torch.device("cpu"))
    yield partial(check_addresses, options.storage, options.tracking_uri)
