"""`Beforehand`: a call that goes on in a thread while something else is done."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Beforehand(Generic[T]):
    """Begins a call; a process that ends does not wait for it.

    Args:
        call: that waits for others most of its time, such as for another process.
    """

    def __init__(self, call: Callable[[], T]) -> None:
        self._call, self._found = call, list[T]()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
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
