"""What a study is kept in, open while it runs: its folder, its trials in Optuna, its records in MLflow."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import filelock

from harness.ledger.design import AlreadyLed, Design, identity_in
from harness.ledger.records.recorder import Recorder
from harness.ledger.records.spool import Spool
from harness.ledger.records.tracking import RecordError, default_tracking_uri, tracking_problem
from harness.ledger.storage import StorageError, address_problem, this_process
from harness.settings import InvalidStudy, Problem
from harness.settings.credentials import ambiguous, without_credentials
from harness.settings.files import disk_error
from harness.settings.patience import Unreachable
from harness.study import Study

OWN = (".lock", ".leader", "study.json", "environment.json")
"""Of these every folder that a study began to write has one."""


WAIT = "wait until the process that runs it has ended, or stop that; the same command then continues"

SEE_TO_IT = "see to what is said below of a database, server or file, or give another"
"""Followed by the option that names it."""


@contextmanager
def leadership(folder: Path) -> Iterator[None]:
    """Be the only leader of a study while the block runs.

    Raises:
        InvalidStudy: another process leads it, or the folder cannot be written or could be confused with another.
    """
    lock, holder = filelock.FileLock(folder / ".lock"), folder / ".leader"
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        _make(folder)
        lock.acquire(timeout=0)
        holder.write_text(this_process())
    except filelock.Timeout:
        raise _led(folder) from None
    except OSError as error:
        lock.release()
        raise _unwritable(folder, error.strerror or str(error)) from None
    try:
        yield
    except InvalidStudy:
        if made:  # nothing began
            with suppress(OSError):
                holder.unlink(missing_ok=True)
                Path(lock.lock_file).unlink(missing_ok=True)
                for place in made:
                    place.rmdir()
        raise
    finally:
        with suppress(OSError):
            holder.unlink(missing_ok=True)
        lock.release()


def check_free(folder: Path) -> None:
    """Raises `InvalidStudy` where `leadership` would be refused now. Nothing is written."""
    place = next(path for path in (folder.absolute(), *folder.absolute().parents) if os.path.exists(path))
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise _unwritable(folder, f"{place} is {'read-only for you' if place.is_dir() else 'a file'}")
    if folder.parent.is_dir():
        _check_place(folder)
    lock = folder / ".lock"
    if lock.exists():
        try:
            with filelock.FileLock(lock).acquire(timeout=0):
                pass
        except filelock.Timeout:
            raise _led(folder) from None


def _make(folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    _check_place(folder)
    folder.mkdir(exist_ok=True)


def _check_place(folder: Path) -> None:
    names = [path.name for path in folder.parent.iterdir() if path.name != folder.name]
    if alike := [name for name in names if name.lower() == folder.name.lower()]:
        message = f"the name differs in case alone from {alike[0]}, on some disks the same folder; choose another name"
        raise InvalidStudy([Problem(str(folder), message)])
    taken = [name for name in ("study.py", "figures") if (folder / name).exists()]
    if taken and not any((folder / name).exists() for name in OWN):
        message = f"holds {taken[0]}, which no study left there and its results would replace; choose another --results"
        raise InvalidStudy([Problem(str(folder), message)])


def _unwritable(folder: Path, why: str) -> InvalidStudy:
    problem = Problem(str(folder), f"cannot be written: {why}")
    return InvalidStudy([problem], "make that place writable, or choose another --results")


def _led(folder: Path) -> InvalidStudy:
    holder = folder / ".leader"
    who = holder.read_text() if holder.exists() else "another process"
    return InvalidStudy([Problem(str(folder), f"this study is being run by {who}")], WAIT)


class Stores(NamedTuple):
    """What a study is kept in: its trials in Optuna, its records in MLflow, and what is on its way there."""

    design: Design
    recorder: Recorder
    spool: Spool


@contextmanager
def open_stores(
    study: Study, results: Path, storage: str | None, tracking_uri: str | None, *, retry_failed: bool = False
) -> Iterator[Stores]:
    """A study's stores, open within the block.

    Args:
        study: whose they are.
        results: folder of all results.
        storage: of Optuna; None for a journal there.
        tracking_uri: of MLflow; None for a database there.
        retry_failed: see `Design`.

    Raises:
        InvalidStudy: they cannot be opened, or another process leads the study.
    """
    check_addresses(storage, tracking_uri)
    with usable("--tracking-uri"):
        recorder = recorder_of(study.name, results, tracking_uri)
        if tracking_uri:  # may be a wrong address: known before anything is written here
            recorder.connect()
    with usable("--storage"):
        design = Design(study, storage or str(journal_in(results)), retry_failed=retry_failed)
    with closing(design):
        yield Stores(design, recorder.of(design.identity), spool_of(study.name, results, design.identity))


def check_addresses(storage: str | None, tracking_uri: str | None) -> None:
    """Raises `InvalidStudy` for what cannot be a storage, or MLflow's, or could be understood in two ways, without connecting."""
    found = []
    for option, address, problem_of in (
        ("--storage", storage, address_problem), ("--tracking-uri", tracking_uri, tracking_problem),
    ):  # fmt: skip
        if address is not None and (message := _address_problem(address, problem_of)):
            found.append(Problem(option, message))
    if found:
        raise InvalidStudy(found, f"{SEE_TO_IT} {found[0].path}" if len(found) == 1 else "")


def _address_problem(address: str, problem_of: Callable[[str], str]) -> str:
    if not address:
        return "is empty; give a value, or leave it out"
    return "has several @; write one in a password as %40" if ambiguous(address) else problem_of(address)


def spool_of(study_name: str, results: Path, identity: str) -> Spool:
    """Where what is not recorded yet of a study waits."""
    return Spool(results / study_name / ".unrecorded", identity)


def open_records(study_name: str, results: Path, tracking_uri: str | None) -> tuple[Recorder, str]:
    """The records of a study for a reader, who leads nothing; and what the reader should know of whose they are.

    They are those of the study in the journal of `results`, or, where MLflow knows none of that, those of the newest launch.

    Args:
        study_name: its name.
        results: folder of all results.
        tracking_uri: of MLflow; None for a database there.

    Raises:
        RecordError, Unreachable: the database or server cannot be used.
    """
    recorder = recorder_of(study_name, results, tracking_uri)
    known, own = recorder.identities(), identity_in(journal_in(results), study_name)
    if not known:
        return recorder if own is None else recorder.of(own), ""
    chosen = own if own in known else known[0]
    note = ""
    if len(known) > 1:
        whose = f"the one in {journal_in(results)}" if chosen == own else "that of the newest launch"
        note = f"MLflow has the records of {len(known)} studies named {study_name!r}; this is {whose} ({chosen})."
    return recorder.of(chosen), note


def journal_in(results: Path) -> Path:
    """The journal of the studies in a folder of results."""
    return results / "optuna.journal"


def recorder_of(study_name: str, results: Path, tracking_uri: str | None) -> Recorder:
    """The records of a study, of no identity yet; `tracking_uri` None for a database in `results`."""
    uri = tracking_uri or default_tracking_uri(results)
    return Recorder(study_name, uri, artifact_folder=results / "mlartifacts")


@contextmanager
def usable(option: str) -> Iterator[None]:
    """Raises as `InvalidStudy` that a storage, database or server cannot be used before anything was trained."""
    try:
        yield
    except InvalidStudy:
        raise
    except AlreadyLed as leader:
        raise InvalidStudy([Problem("study", f"this study is being run by {leader}")], WAIT) from None
    except (RecordError, Unreachable, StorageError) as error:
        raise InvalidStudy([Problem(option, str(error))], f"{SEE_TO_IT} {option}") from None
    except OSError as error:
        raise InvalidStudy([Problem(option, disk_error(error))], f"{SEE_TO_IT} {option}") from None
    except Exception as error:  # whatever a database's driver raises
        raise InvalidStudy(
            [Problem(option, without_credentials(f"{type(error).__name__}: {error}"))], f"{SEE_TO_IT} {option}"
        ) from None
