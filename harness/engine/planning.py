"""Runs, and which of them train together: a round's runs → `plan` → lists of members.

Runs with equal `population_key` keys can: they build modules of one structure, and what else differs is a number for each.
"""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from operator import itemgetter
from typing import Any

import torch.nn as nn
from torch import Tensor

from harness.engine.attributes import TORCHS, attributes, is_level
from harness.engine.clip import shares
from harness.engine.runs import Run, build
from harness.engine.scheduled import kind_of
from harness.engine.setup import Setup
from harness.engine.way import Way
from harness.settings import show
from harness.settings.show import ADDRESS

NO_TRIAL = -1
"""In the place of a trial's number: of none that the study has."""

NARROWEST = 16
"""From this width on, launching operations costs a member little."""


def structure(module: nn.Module, again: nn.Module) -> str:
    """What must agree between modules that are stacked: classes, plain attributes, shapes.

    Numbers with a point, and schedules, may be each run's own: what that is worth shows the proof. So may what is another one
    whenever a module is built, such as the time or an identifier.

    Args:
        module: of a run.
        again: the same, built once more.
    """
    lines, twins = [], dict(again.named_modules())
    for name, layer in module.named_modules():
        twin = vars(twins[name]) if name in twins else {}
        plain = {k: _without_values(v) for k, v in vars(layer).items() if k not in TORCHS}
        for key, value in plain.items():
            if is_level(vars(layer)[key]) or _said(value) != _said(_without_values(twin.get(key))):
                plain[key] = "its own"
        lines.append(f"{name} {type(layer).__qualname__} {plain}")
    tensors = [*module.named_parameters(), *module.named_buffers()]
    text = "\n".join(lines + [f"{name} {tuple(t.shape)} {t.dtype} {t.requires_grad}" for name, t in tensors])
    return ADDRESS.sub("", text)  # of what the module has made itself


def _said(value: Any) -> str:
    return ADDRESS.sub("", repr(value))


def _without_values(attribute: Any) -> Any:
    """What an attribute holds, of tensors their shapes; a set in the order of its texts, since its own differs between processes."""
    if isinstance(attribute, Tensor):
        return tuple(attribute.shape)
    if isinstance(attribute, list | tuple):
        return [_without_values(item) for item in attribute]
    if isinstance(attribute, dict):
        return {key: _without_values(item) for key, item in attribute.items()}
    if isinstance(attribute, set | frozenset):
        return sorted(_said(_without_values(item)) for item in attribute)
    return attribute


def levels_of(run: Run) -> tuple[str, ...]:
    """The numbers of a run's module that may be its own, as text, but those that are others whenever it is built."""
    texts, again = (
        [f"{name} {show(store[key])}" for name, store, key in attributes(module) if is_level(store[key])]
        for module in _built_twice(run)
    )
    return tuple(text for text in texts if text in again)


def _built_twice(run: Run) -> list[nn.Module]:
    data = run.data()
    return [build(run.setup, data, run.init_seed) for _ in range(2)]


def population_key(run: Run, structures: dict[tuple[Any, ...], str] | None = None) -> tuple[str, ...]:
    """Runs with equal keys can train in one population.

    Args:
        run: one of them.
        structures: of the modules met so far, by task and model; saves building the same module again.
    """
    setup, structures = run.setup, {} if structures is None else structures
    if (setup.task, setup.model) not in structures:
        structures[setup.task, setup.model] = structure(*_built_twice(run))
    return (
        kind_of(setup.task, setup.task.choice_of_examples),
        structures[setup.task, setup.model],
        "" if shares(setup.clipping) else kind_of(setup.clipping),
        kind_of(setup.optimizer),
        f"{setup.batch_size} {setup.steps} {setup.tf32} {setup.accumulate} {setup.precision} {setup.patience is None}",
        *([] if setup.differ == "all" else [setup.differ]),  # members of equal noise lie next to each other
    )


def group_name(run: Run, structures: dict[tuple[Any, ...], str]) -> str:
    """The name of the runs with which a run could share a population, the same in every process; `structures` as there."""
    return hashlib.sha256("\n".join(population_key(run, structures)).encode()).hexdigest()[:16]


def groups(runs: list[Run]) -> dict[str, list[Run]]:
    """The runs that could share a population, by the name of their group."""
    structures: dict[tuple[Any, ...], str] = {}
    names: dict[Setup, str] = {}
    found: dict[str, list[Run]] = {}
    for run in runs:
        if run.setup not in names:
            names[run.setup] = group_name(run, structures)
        found.setdefault(names[run.setup], []).append(run)
    return found


def plan(runs: list[Run], way_of: Callable[[str, list[Run]], Way], abreast: int = 1) -> list[list[Run]]:
    """Partition a round's runs into populations, each ordered by seed; those that take longest come first.

    A run that would be the only one of its population is accompanied by a copy of itself: alone it would be trained by the
    plain loop, which rounds otherwise.

    Depends on nothing but its arguments, so that an interrupted study trains the same populations again.

    Args:
        runs: of a round.
        way_of: how a group of them trains, by its name.
        abreast: populations that train at the same time, see `parts`.
    """
    found = groups(runs)
    ways = {name: way_of(name, group) for name, group in found.items()}
    places, planned = places_of(found, ways, abreast), []
    for name, group in found.items():
        way = ways[name]
        for alike in apart(group) if way.apart else [group]:
            count = parts(len(alike), way.width, places[name] * len(alike) / len(group), abreast)
            populations = [sorted(part, key=lambda run: run.seed) for part in cut(alike, count)]
            if way.width > 1 and len(alike) == 1:
                populations[-1].append(copy_of(alike[0]))
            planned += [(way.step_s * _steps(population), population) for population in populations]
    return [population for _, population in sorted(planned, key=itemgetter(0), reverse=True)]


def places_of(found: Mapping[str, list[Run]], ways: Mapping[str, Way], abreast: int) -> dict[str, float]:
    """How many of the places, where populations train at the same time, each group would fill all the time.

    Args:
        found: groups of runs by name.
        ways: of them.
        abreast: places.
    """
    work = {name: ways[name].step_s * _steps(group) for name, group in found.items()}
    return {name: abreast * own / (sum(work.values()) or 1.0) for name, own in work.items()}


def parts(count: int, width: int, places: float, abreast: int) -> int:
    """Into how many populations runs are cut that could share one.

    All places work to the end where their number is a multiple of these. Where they would get too narrow for that, no
    population takes longer than all places together would: a narrow one costs a member more, an idle core costs half.

    Args:
        count: runs.
        width: members of a population, at most.
        places: that these runs fill, of all that there are, see `places_of`.
        abreast: all places.
    """
    if width == 1:
        return count
    fewest = -(-count // width)
    even = -(-fewest // abreast) * abreast
    if count >= even * NARROWEST:
        return even
    return min(max(fewest, math.ceil(round(places, 6)), 1), max(1, count // 2))


def _steps(runs: list[Run]) -> int:
    return sum(run.setup.steps for run in runs)


def copy_of(run: Run) -> Run:
    """The same run, for nobody: of no trial of the study."""
    return replace(run, trial=NO_TRIAL)


def apart(runs: list[Run]) -> list[list[Run]]:
    """The runs whose modules agree in every number."""
    texts: dict[Setup, tuple[str, ...]] = {}
    found: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        if run.setup not in texts:
            texts[run.setup] = levels_of(run)
        found.setdefault(texts[run.setup], []).append(run)
    return list(found.values())


def cut(runs: list[Run], parts: int) -> list[list[Run]]:
    """Consecutive parts, as even as possible."""
    bounds = [len(runs) * i // parts for i in range(parts + 1)]
    return [runs[a:b] for a, b in pairwise(bounds)]
