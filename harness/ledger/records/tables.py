"""Tables of runs and curves as files: written so that they survive, read where they are whole, joined over all trials."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

TABLES_AT_ONCE = 100


def parquet(table: pd.DataFrame) -> bytes:
    """A table as the content of a Parquet file; its index is not kept."""
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), buffer)
    return bytes(buffer.getvalue().to_pybytes())


def read_table(path: Path) -> pa.Table | None:
    """The table in a file; None where it is missing or damaged."""
    try:
        return pq.ParquetFile(path).read()
    except (OSError, pa.ArrowException):
        return None


def _schema(path: Path) -> pa.Schema | None:
    """The columns of the table in a file; None where it is missing or damaged."""
    try:
        return pq.read_schema(path).remove_metadata()
    except (OSError, pa.ArrowException):
        return None


def of_trial(table: pa.Table, trial: int, seeds: Collection[int], there: Collection[int]) -> pa.Table:
    """Of a table of runs or curves the rows of some seeds, as those of a trial of this number.

    Args:
        table: with the columns `trial` and `seed`.
        trial: its number now.
        seeds: wanted.
        there: all that the table has.
    """
    if set(seeds) < set(there):
        table = table.filter(pc.is_in(table["seed"], pa.array(list(seeds), table["seed"].type)))
    place = table.schema.get_field_index("trial")
    return table.set_column(place, table.schema.field(place), pa.array([trial] * len(table), pa.int64()))


def below_each_other(tables: Sequence[pa.Table]) -> pa.Table:
    """Tables of one trial as one, with the columns of all of them."""
    return tables[0] if len(tables) == 1 else pa.concat_tables(tables, promote_options="permissive")


def joined(tables: Iterable[pa.Table]) -> pd.DataFrame:
    """The tables below each other. Those of one schema become one frame first, which takes a tenth of the time."""
    kinds: dict[tuple[pa.Schema, bytes], list[pa.Table]] = {}
    for table in tables:
        kinds.setdefault((table.schema, table.schema.metadata[b"pandas"]), []).append(table)
    # In one chunk: of text in a thousand, pandas takes rows fifty times slower.
    frames: list[pd.DataFrame] = [pa.concat_tables(same).combine_chunks().to_pandas() for same in kinds.values()]
    return pd.concat(frames, ignore_index=True)


class GatheredCurves:
    """One Parquet file of the curves of many trials, some at a time; it has the columns of all of them.

    Args:
        path: the file to be.
        files: the trials' own; those missing or damaged do not count.
    """

    def __init__(self, path: Path, files: Iterable[Path]) -> None:
        schemas = [schema for schema in map(_schema, files) if schema is not None]
        self._schema = pa.unify_schemas([pa.schema([]), *schemas], promote_options="permissive")
        self._writer = pq.ParquetWriter(path, self._schema)
        self._waiting: list[pa.Table] = []

    def add(self, table: pa.Table) -> None:
        """Add the curves of one trial."""
        self._waiting.append(table.replace_schema_metadata())
        if len(self._waiting) == TABLES_AT_ONCE:
            self._write()

    def close(self) -> None:
        """Finish the file."""
        self._write()
        self._writer.close()

    def _write(self) -> None:
        if self._waiting:
            joined = pa.concat_tables([self._schema.empty_table(), *self._waiting], promote_options="permissive")
            self._writer.write_table(joined.sort_by([(name, "ascending") for name in ("trial", "seed", "step")]))
            self._waiting = []
