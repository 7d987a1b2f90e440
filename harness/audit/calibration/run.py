"""Worlds × numbers of seeds → rows, in as many processes as there are cores: the same rows whatever their number."""

import multiprocessing
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from harness.audit.calibration.counting import SHARE_FOR_POWER, Counts, Row, study_of
from harness.audit.calibration.world import World
from harness.audit.calibration.worlds import worlds

CHUNK = 50
"""Studies of a piece of work."""

Piece = tuple[str, int, int, range]
"""World, seeds, seed of the simulation, studies."""

_worlds = lru_cache(maxsize=1)(worlds)


def cells(names: Sequence[str]) -> list[tuple[World, int]]:
    """Each world with each of its numbers of seeds."""
    return [(_worlds()[name], n) for name in names for n in _worlds()[name].sizes]


def simulate(names: Sequence[str], studies: int, seed: int, processes: int | None = None) -> Iterator[Row]:
    """A row for each world and number of seeds, as soon as it is there.

    Args:
        names: of worlds.
        studies: of each row.
        seed: of the simulation.
        processes: None: one for each core.
    """
    pieces: list[Piece] = [
        (world.name, n, seed, range(start, min(start + CHUNK, studies)))
        for world, n in cells(names)
        for start in range(0, studies, CHUNK)
    ]
    processes = min(processes or len(os.sched_getaffinity(0)), len(pieces))
    if processes == 1:
        yield from _rows(names, studies, map(_count, pieces))
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from _rows(names, studies, pool.imap(_count, pieces))


def _rows(names: Sequence[str], studies: int, counts: Iterable[Counts]) -> Iterator[Row]:
    """Pieces, in order, to rows."""
    left = iter(counts)
    for world, n in cells(names):
        yield Row(
            world.name, world.says, n, sum((next(left) for _ in range(0, studies, CHUNK)), Counts()), world.exempt
        )


def _count(piece: Piece) -> Counts:
    name, n, seed, studies = piece
    own = zlib.crc32(name.encode())
    return sum(
        (study_of(_worlds()[name], n, (seed, own, n, i), power=i % SHARE_FOR_POWER == 0) for i in studies), Counts()
    )
