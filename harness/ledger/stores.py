"""What a study is kept in, open while it runs: its folder, its trials in Optuna, its records in MLflow."""

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import filelock

from harness.ledger.design import AlreadyLed, Design, StudyChanged
from harness.ledger.records.recorder import Recorder
from harness.ledger.records.spool import Spool
from harness.ledger.records.tracking import RecordError, default_tracking_uri
from harness.ledger.storage import this_process
from harness.settings import InvalidStudy, Problem
from harness.settings.credentials import ambiguous, without_credentials
from harness.settings.patience import Unreachable
from harness.study import Study


@contextmanager
def leadership(folder: Path) -> Iterator[None]:
    """Be the only leader of a study while the block runs.

    Raises:
        InvalidStudy: another process leads it, or the folder cannot be written or could be confused with another.
    """
    lock, holder, is_new = filelock.FileLock(folder / ".lock"), folder / ".leader", not folder.exists()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        names = [path.name for path in folder.parent.iterdir() if path.name != folder.name]
        if alike := [name for name in names if name.lower() == folder.name.lower()]:
            message = (
                f"the name differs in case alone from {alike[0]}, on some disks the same folder; choose another name"
            )
            raise InvalidStudy([Problem(str(folder), message)])
        folder.mkdir(exist_ok=True)
        with lock.acquire(timeout=0):
            holder.write_text(this_process())
            yield
            holder.unlink(missing_ok=True)
    except filelock.Timeout:
        who = holder.read_text() if holder.exists() else "another process"
        raise InvalidStudy([Problem(str(folder), f"this study is being run by {who}")]) from None
    except InvalidStudy:
        if is_new:  # nothing began
            with suppress(OSError):
                holder.unlink(missing_ok=True)
                Path(lock.lock_file).unlink(missing_ok=True)
                folder.rmdir()
        raise
    except OSError as error:
        raise InvalidStudy([Problem(str(folder), f"cannot be written: {error.strerror}")]) from None


@contextmanager
def open_stores(
    study: Study, results: Path, storage: str | None, tracking_uri: str | None, *, fresh: bool
) -> Iterator[tuple[Design, Recorder, Spool]]:
    """The study's trials in Optuna, its records in MLflow, and what is on its way there; open within the block.

    Args:
        study: whose they are.
        results: folder of all results.
        storage: of Optuna; None for a journal there.
        tracking_uri: of MLflow; None for a database there.
        fresh: forget what they hold of the study.

    Raises:
        InvalidStudy: they cannot be opened, or hold another study of the same name.
    """
    addresses = {"--storage": storage, "--tracking-uri": tracking_uri}
    if unclear := [option for option, uri in addresses.items() if uri and ambiguous(uri)]:
        raise InvalidStudy([Problem(option, "has several @; write one in a password as %40") for option in unclear])
    spool = Spool(results / study.name / ".unrecorded", study.digest())
    uri = tracking_uri or default_tracking_uri(results)
    with _usable("--tracking-uri"):
        recorder = Recorder(study.name, uri, artifact_folder=results / "mlartifacts")
        if tracking_uri:  # may be a wrong address: known before anything is written here
            recorder.connect()
    design = _open_design(study, storage or str(results / "optuna.journal"), fresh=fresh)
    with closing(design):
        if fresh:
            with _usable("--tracking-uri"):
                recorder.forget()
            spool.clear()
        yield design, recorder, spool


def _open_design(study: Study, storage: str, *, fresh: bool) -> Design:
    try:
        return Design(study, storage, fresh=fresh)
    except StudyChanged as changed:
        raise InvalidStudy(
            [Problem(study.name, "was begun with other settings; --fresh starts it anew, or give the study another name"),
             *(Problem(*difference.split(": ", 1)) for difference in changed.differences)]
        ) from None  # fmt: skip
    except AlreadyLed as leader:
        raise InvalidStudy([Problem(study.name, f"this study is being run by {leader}")]) from None
    except Exception as error:
        raise InvalidStudy([Problem("--storage", without_credentials(f"{type(error).__name__}: {error}"))]) from None


@contextmanager
def _usable(option: str) -> Iterator[None]:
    """Raises as `InvalidStudy` that MLflow cannot be used before anything was trained."""
    try:
        yield
    except (RecordError, Unreachable) as error:
        raise InvalidStudy([Problem(option, str(error))]) from None
