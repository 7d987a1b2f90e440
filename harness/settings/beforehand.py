"""`Beforehand`: a call that goes on in a thread while something else is done."""

import threading
from collections.abc import Callable
from multiprocessing.util import Finalize
from typing import Generic, TypeVar

T = TypeVar("T")

LONGEST_S = 10.0
"""How long a process waits that ends."""

AFTER_CHILDREN = -1
"""When `multiprocessing` waits, of what it does at the end of a process."""


class Beforehand(Generic[T]):
    """Begins a call.

    A process that ends before it ends its children first, and then waits for it: a thread that is stopped within C++ aborts the process.

    Args:
        call: that waits for others most of its time, such as for another process.
    """

    def __init__(self, call: Callable[[], T]) -> None:
        self._call, self._found = call, list[T]()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        Finalize(None, self._thread.join, args=(LONGEST_S,), exitpriority=AFTER_CHILDREN)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._found.append(self._call())
        except BaseException as error:
            self._error = error

    def result(self) -> T:
        """What it returned, or raises what it raised; waits for that."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._found[0]
