"""Tables of runs and curves as files: written so that they survive, read where they are whole, joined over all trials."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

TABLES_AT_ONCE = 100

KEYS = ("trial", "seed")
"""Columns that name a run."""


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


class LevelColumns:
    """The levels of trials as columns: numbers as they are; texts, and levels of several kinds, as categories.

    Args:
        levels: of each trial, by factor path.
    """

    def __init__(self, levels: Sequence[Mapping[str, Any]]) -> None:
        self._texts: dict[str, list[str]] = {}
        self._kinds: dict[str, pa.DataType] = {}
        for path in dict.fromkeys(path for each in levels for path in each):
            column = pd.Series([each[path] for each in levels if path in each])
            if pd.api.types.is_numeric_dtype(column):
                self._kinds[path] = pa.from_numpy_dtype(column.dtype)
            else:  # one dictionary for all trials, in which a level takes four bytes a row
                self._texts[path] = sorted(set(map(str, column)))
                self._kinds[path] = pa.dictionary(pa.int32(), pa.string())

    @property
    def fields(self) -> list[pa.Field]:
        """Their names and types."""
        return [pa.field(path, kind) for path, kind in self._kinds.items()]

    def beside(self, table: pa.Table, levels: Mapping[str, Any]) -> pa.Table:
        """A trial's table with its levels in front."""
        for field in reversed(self.fields):
            if field.name in levels:
                table = table.add_column(0, field, self._column(field, levels[field.name], len(table)))
        return table

    def _column(self, field: pa.Field, level: Any, rows: int) -> pa.Array:
        if field.name not in self._texts:
            return pa.repeat(pa.scalar(level, field.type), rows)
        texts = self._texts[field.name]
        places = pa.repeat(pa.scalar(texts.index(str(level)), pa.int32()), rows)
        return pa.DictionaryArray.from_arrays(places, pa.array(texts))


class GatheredCurves:
    """One Parquet file of the curves of many trials, some at a time; it has the columns of all of them.

    Args:
        path: the file to be.
        files: the trials' own; those missing or damaged do not count.
        levels: what is swept, whose columns follow `trial` and `seed`.
    """

    def __init__(self, path: Path, files: Iterable[Path], levels: LevelColumns) -> None:
        schemas = [schema for schema in map(_schema, files) if schema is not None]
        own = pa.unify_schemas([pa.schema([]), *schemas], promote_options="permissive")
        front = [field for field in own if field.name in KEYS]
        self._schema = pa.schema([*front, *levels.fields, *(field for field in own if field.name not in KEYS)])
        self._writer = pq.ParquetWriter(path, self._schema)
        self._levels = levels
        self._waiting: list[pa.Table] = []

    def add(self, table: pa.Table, levels: Mapping[str, Any]) -> None:
        """Add the curves of one trial, which has these levels."""
        self._waiting.append(self._levels.beside(table.replace_schema_metadata(), levels))
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
