"""Asking for a wave of entries: one write, whatever its size, and a wave that a kill has torn is asked for again as a whole."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from test_design import tell
from test_growth import asked, opened, small, storage  # noqa: F401  # a fixture

from harness import Study, Sweep
from harness.ledger.storage import open_storage
from harness.ledger.together import together
from harness.models import DropoutNet
from harness.settings.patience import Unreachable


def cells(n: int) -> Study:
    return small(name=f"cells-{n}", model=DropoutNet(hidden=(8,), dropout=Sweep(*(i / 100 for i in range(n)))))


@pytest.fixture
def durable_writes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """Counts what waits for the disk from now on: syncs of files and commits of databases."""
    seen: list[object] = []
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (seen.append(descriptor), sync(descriptor)))
    note = seen.append
    sqlalchemy.event.listen(sqlalchemy.engine.Engine, "commit", note)
    yield lambda: len(seen)
    sqlalchemy.event.remove(sqlalchemy.engine.Engine, "commit", note)


def test_a_wave_of_any_size_is_as_many_durable_writes(
    storage: str,  # noqa: F811
    durable_writes: Callable[[], int],
) -> None:
    written = []
    for n in (2, 40):
        with opened(cells(n), storage) as design:
            before = durable_writes()
            (wave,) = design.ask("confirm").waves
            written.append(durable_writes() - before)
            assert len(wave) == n
    assert 0 < written[0] == written[1]


def test_a_journal_that_was_torn_within_a_wave_is_asked_for_it_again_as_a_whole(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    with opened(cells(6), whole) as design:
        begun = whole.stat().st_size
        expected = asked(design)
    content = whole.read_bytes()
    for place in [begun + (len(content) - begun) * i // 7 for i in range(8)] + [len(content) - 1]:
        torn = tmp_path / f"torn {place}"
        torn.write_bytes(content[:place])
        for _ in range(2):
            with opened(cells(6), torn) as design:
                (wave,) = design.ask("confirm").waves
                assert [(portion.trial.number, portion.seeds) for portion in wave] == expected
        with opened(cells(6), torn) as design:
            assert len(design.entries()) == 6, "none is doubled"


def test_a_torn_wave_of_a_study_that_grew_leaves_what_was_asked_for_before(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    with opened(small(), journal) as design:
        (wave,) = design.ask("confirm").waves
        tell(design, wave[0])
    with opened(small(seeds=5), journal) as design:
        begun = journal.stat().st_size
        grown = [[(p.number, p.seeds, p.told) for p in wave] for wave in design.ask("confirm").waves]
    content = journal.read_bytes()
    journal.write_bytes(content[: (begun + len(content)) // 2])
    with opened(small(seeds=5), journal) as design:
        again = [[(p.number, p.seeds, p.told) for p in wave] for wave in design.ask("confirm").waves]
    assert again[0] == grown[0] == [(wave[0].number, (0, 1, 2), True), (wave[1].number, (0, 1, 2), False)]
    assert [seeds for _, seeds, _ in again[1]] == [seeds for _, seeds, _ in grown[1]] == [(3, 4), (3, 4)]


def test_a_study_from_before_waves_were_kept_goes_on_with_what_it_has_asked_for(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    with opened(small(), journal) as design:
        (wave,) = design.ask("confirm").waves
        tell(design, wave[0])
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(line for line in lines if b'"user_attr":{"wave":' not in line))
    with opened(small(), journal) as design:
        (again,) = design.ask("confirm").waves
    assert [(p.number, p.told) for p in again] == [(wave[0].number, True), (wave[1].number, False)]


def test_a_database_has_all_that_is_written_together_or_nothing(tmp_path: Path) -> None:
    database = open_storage(f"sqlite:///{tmp_path}/optuna.db")
    study = optuna.create_study(storage=database, study_name="x")

    def write(ending: Callable[[], object]) -> None:
        with together(database):
            study.add_trial(optuna.create_trial(value=1.0))
            study.set_user_attr("a", 1)
            assert stored(tmp_path, "trials") == 0, "others see nothing of it yet"
            ending()

    with pytest.raises(ZeroDivisionError):
        write(lambda: 1 // 0)
    assert stored(tmp_path, "trials") == stored(tmp_path, "study_user_attributes") == 0
    write(lambda: None)
    assert stored(tmp_path, "trials") == stored(tmp_path, "study_user_attributes") == 1


def stored(folder: Path, table: str) -> int:
    with closing(sqlite3.connect(folder / "optuna.db")) as database:
        return int(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


@pytest.mark.slow
def test_a_database_that_is_away_while_a_wave_is_asked_for_is_asked_again(tmp_path: Path) -> None:
    with opened(small(), f"sqlite:///{tmp_path}/optuna.db?timeout=0.1") as design:
        with closing(sqlite3.connect(tmp_path / "optuna.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(Unreachable, match="database is locked"):
                design.ask("confirm")
            other.execute("ROLLBACK")
        assert stored(tmp_path, "trials") == 0
        assert asked(design) == [(0, (0, 1, 2)), (1, (0, 1, 2))]
    assert stored(tmp_path, "trials") == 2
