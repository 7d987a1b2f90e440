"""The commit of a finished trial, in three steps: its tables on disk (spool), MLflow, Optuna's `tell`.

MLflow takes a trial in place of whatever is there of it, and `tell` is the last step: a trial that is on disk and not told
when the leader dies is committed by the next one. While a storage or server cannot be reached, commits wait in a thread
of their own, and training goes on; their tables wait on disk, since an outage may outlast the memory.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Self

from harness.ledger.claim_record import ClaimRecord
from harness.ledger.records.finished import FinishedTrial, outcomes, tunable
from harness.ledger.records.launch import Launch
from harness.ledger.records.tracking import RecordError
from harness.ledger.stores import Stores
from harness.settings.patience import Patience


class Commits:
    """Commits finished trials, one after another, while the leader goes on. A context manager.

    Args:
        stores: where trials are kept, recorded and told. Within the block, only the thread of this object uses the
            recorder, but after `wait`.
        launch: what to record of this launch.
        claims: of the study, entered already.
        say: is told what the user should know at once.
        stop: once it returns true, nobody waits for a storage or server any more.
        done: is given each trial that is committed, and how many seconds that took.
    """

    def __init__(
        self, stores: Stores, *, launch: Launch, claims: ClaimRecord, say: Callable[[str], None], stop: Callable[[], bool],
        done: Callable[[FinishedTrial, float], None],
    ) -> None:  # fmt: skip
        self._design, self._recorder, self._spool = stores
        self._launch, self._claims, self._done = launch, claims, done
        self._over, self._begun = threading.Event(), False
        self.patiently = Patience(say, lambda: self._over.is_set() or stop())
        self._pending: list[Future[None]] = []

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commit")
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        """End it: after all commits, or after the present one if the block ends with an error; the rest is on disk."""
        if error is not None:
            self._over.set()
        self._thread.shutdown(cancel_futures=error is not None)

    def begin(self) -> None:
        """Queue what comes before all trials: the launch, and an end to what earlier leaders left half recorded.

        It takes seconds of this process, which has nothing to do once others train.
        """
        if not self._begun:
            self._begun = True
            self._submit(partial(self._recorder.start_launch, self._launch.params, data=self._launch.data))
            self._submit(partial(self._recorder.write_documents, self._launch.documents))
            self._submit(self._claims.keep)
            self._submit(lambda: self._recorder.keep_only(self._design.told()))

    def add(self, finished: FinishedTrial) -> None:
        """Keep a trial on disk and queue its other steps.

        Raises:
            OSError: the disk is full or cannot be written.
            RecordError: an earlier trial could not be recorded.
        """
        self._spool.save(finished)
        self._queue(finished.number)

    def resume(self, number: int) -> bool:
        """Queue the steps of what an earlier leader trained and did not commit; false where there is nothing of this number.

        Raises:
            RecordError: an earlier trial could not be recorded.
        """
        if self._spool.load(number) is None:
            return False
        self._queue(number)
        return True

    def _queue(self, number: int) -> None:
        self.begin()
        while self._pending and self._pending[0].done():
            self._pending.pop(0).result()  # what cannot be committed ends the study now, not when all is trained
        self._submit(partial(self._record_and_tell, number))

    def wait(self) -> None:
        """Until all that was added is committed; raises what kept a trial from it."""
        self.begin()
        while self._pending:
            self._pending.pop(0).result()

    def _submit(self, step: Callable[[], None]) -> None:
        self._pending.append(self._thread.submit(self.patiently, step))

    def _record_and_tell(self, number: int) -> None:
        begun_s = time.monotonic()
        finished = self._spool.load(number)
        if finished is None:
            raise RecordError(f"What was trained for entry {number} is on disk no more, or damaged.")
        self._recorder.record(finished)
        study = self._design.study
        self._design.tell(
            number, outcomes(finished.runs, study.objectives()), diverged=finished.count("diverged"),
            failed=finished.failed, metrics=tunable(finished.runs),
        )  # fmt: skip
        self._spool.discard(finished.number)
        self._done(finished, time.monotonic() - begun_s)
