"""Which runs trained together: the parts of populations, as they came to be after any halving, for every recorded run.

A run's bits may depend on its companions (out of memory, or after a death, a population trains in smaller parts), so that
whoever trains it again must know them.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping

import pandas as pd

from harness.engine.planning import NO_TRIAL

POPULATIONS_FILE = "populations.parquet"
COLUMNS = {"part": "str", "key": "str", "seed": "int64", "recorded": "bool"}
"""Of the table of one entry; that of a study also says which `trial` of it a member belongs to, `NO_TRIAL` for none."""

Part = tuple[tuple[str, int], ...]
"""Key of the trial and seed of the runs that trained together, in the order in which they did."""


def no_populations() -> pd.DataFrame:
    """The table of nothing."""
    return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in COLUMNS.items()})


def population_table(key: str, parts: Iterable[Part]) -> pd.DataFrame:
    """The parts in which runs of a trial trained, one row per member.

    Args:
        key: of the trial.
        parts: in the order in which they trained; those without a run of the trial are left out.

    Returns:
        `part`: a name that is made from the members, `key` and `seed`: one of them, in their order; `recorded`: whether it
        is a run of this trial whose record came from this part, which is the last that trained it.
    """
    own = [part for part in parts if any(of == key for of, _ in part)]
    last = {member: part for part in own for member in part if member[0] == key}
    names = {part: part_name(part) for part in dict.fromkeys(own)}
    rows = [(name, *member, last.get(member) == part) for part, name in names.items() for member in part]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def part_name(part: Part) -> str:
    """What tells a part from others: 16 hex digits of the SHA-256 of its members.

    >>> part_name((("a", 1), ("b", 1)))
    '7a985682e4bcee49'
    """
    return hashlib.sha256(json.dumps(part).encode()).hexdigest()[:16]


def joined_populations(tables: Iterable[pd.DataFrame], trials: Mapping[str, int]) -> pd.DataFrame:
    """The tables of a study's entries as one: every part once, by name, its members in their order.

    Args:
        tables: of entries.
        trials: key → number of the trials that the study has.
    """
    rows = pd.concat(dict(enumerate([no_populations(), *tables])), names=["table", None]).reset_index("table")
    rows["place"] = rows.groupby(["table", "part"]).cumcount()
    members = rows.groupby(["part", "place"]).agg({"key": "first", "seed": "first", "recorded": "max"})
    found = members.reset_index()[list(COLUMNS)].astype(COLUMNS)
    return found.assign(trial=found["key"].map(trials).fillna(NO_TRIAL).astype("int64"))
