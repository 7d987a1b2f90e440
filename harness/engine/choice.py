"""Which way runs train: the proof that a population equals the plain loop, then the measurement that it is faster.

Both are cached for the device, the shapes and what else a caller says they depend on; a study keeps the ways with its
trials, so that a continued one trains the same populations again.
"""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import chain, zip_longest
from pathlib import Path

import torch

from harness.engine import way_cache
from harness.engine.clip import by_kind
from harness.engine.devices import device_name
from harness.engine.independence import independent
from harness.engine.obstacles import Unbatchable, reason
from harness.engine.planning import apart, levels_of, population_key
from harness.engine.population_width import best_width, bytes_per_member, most_members, plain_step_s
from harness.engine.proof import obstacle
from harness.engine.runs import Run
from harness.engine.scheduled import kind_of
from harness.engine.way import WIDEST, Way


def ways(
    groups: Iterable[tuple[str, list[Run]]], device: torch.device, *, memory_bytes: int, cache: Path | None, context: str = ""
) -> Iterator[tuple[str, Way]]:  # fmt: skip
    """The names of groups of runs, each with its way, one after another.

    Args:
        groups: see `planning.groups`.
        device: where they train.
        memory_bytes: bound on what a population takes.
        cache: JSON file of earlier results, see `way_cache`; unreadable or unwritable, it is done without. With None nothing
            is read or written.
        context: of what the results hold for besides device and shapes: code, data, versions.

    Raises:
        Exception: whatever the plain loop raises on the runs.
    """
    known = {} if cache is None else way_cache.read(cache)
    for name, runs in groups:
        key = _key(runs, device, context)
        if key in known and known[key].fits(memory_bytes):
            yield name, known[key]
            continue
        found = way(runs, device, memory_bytes=memory_bytes)
        yield name, found if cache is None or key in known else way_cache.remember(cache, key, found)


def way(runs: list[Run], device: torch.device, *, memory_bytes: int) -> Way:
    """How runs of one `population_key` train best.

    Args:
        runs: as many as there may be.
        device: where they train.
        memory_bytes: bound on what a population takes.
    """
    try:
        return _together(runs, device, memory_bytes=memory_bytes, apart=False)
    except Unbatchable as error:
        why = str(error)
    one, other = map(levels_of, _pair(runs))
    if one != other:
        with suppress(Unbatchable):
            alike = next(own for own in apart(runs) if levels_of(own[0]) == other)
            return _together(alike, device, memory_bytes=memory_bytes, apart=True)
    return _alone(runs[0], device, why=why)


def _together(runs: list[Run], device: torch.device, *, memory_bytes: int, apart: bool) -> Way:
    """How runs train best that may share a population; for the arguments see `way` and `Way`.

    Raises:
        Unbatchable: they may not, as is proven, or turns out in the steps that are measured.
        Exception: whatever the plain loop raises on the runs.
    """
    pairs = _pairs(runs)
    if why := obstacle(sorted(chain(*pairs), key=lambda run: run.seed), device):
        raise Unbatchable(why)
    if len(runs) == 1:
        return _alone(runs[0], device)
    try:
        member_bytes = max(bytes_per_member(pair[0], device) for pair in pairs)
        width, step_s = best_width(_in_turns(runs), device, most_members(member_bytes, memory_bytes))
        if width == 1:
            return Way(1, step_s, apart, member_bytes=member_bytes)
        alone = all(independent(pair, device, width) for pair in pairs)
        return Way(width, step_s, apart, member_bytes=member_bytes, alone=alone)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # of the plain loop, too, it is raised again where that is measured alone
        raise Unbatchable(reason(error)) from error


def _alone(run: Run, device: torch.device, why: str = "") -> Way:
    """The plain loop, for runs like this one."""
    return Way(1, plain_step_s(run, device), why=why, member_bytes=_bytes_alone(run, device))


def _bytes_alone(run: Run, device: torch.device) -> int:
    """Memory of a run by the plain loop; 0 for a module that trains but lets nobody see what its forward pass saves."""
    try:
        return bytes_per_member(run, device, alone=True)
    except Exception:  # `torch.func` in a forward pass, sparse tensors
        return 0


def _pairs(runs: list[Run]) -> list[list[Run]]:
    """Two runs of each kind of clipping rule, as in `_pair`."""
    return [_pair([runs[place] for place in places]) for places in by_kind(runs)]


def _in_turns(runs: list[Run]) -> list[Run]:
    """The same runs, those of each kind of clipping rule in turn, so that the first of them are like all."""
    turns = zip_longest(*by_kind(runs))
    return [runs[place] for places in turns for place in places if place is not None]


def _pair(runs: list[Run]) -> list[Run]:
    """Two runs of different seeds, whose settings differ as much as those of any."""
    first = min(runs, key=lambda run: run.seed)
    values = first.values
    other = max(runs, key=lambda run: (sum(run.values.get(path) != value for path, value in values.items()), run.seed))
    if other.seed == first.seed:
        seed = next((run.seed for run in runs if run.seed != first.seed), first.seed + 1)
        other = replace(other, seed=seed)
    return [first, other]


def _key(runs: list[Run], device: torch.device, context: str) -> str:
    """What the best way depends on, as a digest; of memory it is asked whether it suffices."""
    size = min(len(runs), WIDEST).bit_length()
    levels = [levels_of(run) for run in _pair(runs)]
    rules = sorted({kind_of(run.setup.clipping) for run in runs})
    text = f"{device_name(device)} {population_key(runs[0])} {levels} {rules} {size} {context}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]
