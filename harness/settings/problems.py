"""Problems: what is wrong with a study, where, and how a reader is told.

Nothing raises where it is written: what is wrong is collected, so that all of it can be reported at once.
"""

import difflib
import typing
from collections.abc import Iterable
from dataclasses import dataclass, replace

from harness.settings.credentials import without_credentials

LONGEST = 1000
"""Characters of a problem that are shown."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a study: where (`path`), what (`message`) and, if it helps, the value `got`."""

    path: str
    message: str
    got: str = ""

    def __str__(self) -> str:
        text = f"{self.path}: {self.message}" + (f" (got {self.got})" if self.got else "")
        line = printable(" ".join(without_credentials(text).split()))
        return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"

    def under(self, parent: str) -> typing.Self:
        """The same problem, seen from a component that holds this one under the name `parent`."""
        return replace(self, path=f"{parent}.{self.path}" if self.path else parent)


class Note(Problem):
    """Something that is not wrong, but that the user of a study should know before it runs."""


def refusals(problems: Iterable[Problem]) -> list[Problem]:
    """Those for which a study cannot run, notes left out."""
    return [problem for problem in problems if not isinstance(problem, Note)]


def printable(text: str) -> str:
    r"""The text as a terminal may safely show it: control characters, surrogates and such as escapes, lines kept.

    >>> printable("a\x1b[31m\u202e δ")
    'a\\x1b[31m\\u202e δ'
    """
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def first_line(error: BaseException) -> str:
    r"""An exception in short.

    >>> first_line(ValueError("one\ntwo"))
    'ValueError: one'
    """
    said, _, _ = str(error).strip().partition("\n")
    return f"{type(error).__name__}: {without_credentials(said)}".removesuffix(": ")


class InvalidStudy(Exception):
    """A study that cannot run; `problems` lists everything that is wrong with it, `remedy` says what to do, "" for mending it."""

    def __init__(self, problems: list[Problem], remedy: str = "") -> None:
        self.problems, self.remedy = problems, remedy
        super().__init__(problems, remedy)

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


def closest(name: str, valid: list[str], alike: float = 0.6) -> str | None:
    """The valid name that was probably meant, if there is one; `alike` is how like it must be, see `difflib.get_close_matches`.

    >>> closest("lr", ["widen", "optimizer.lr"]), closest("droput", ["looks", "dropout"]), closest("foo", ["looks", "dropout"])
    ('optimizer.lr', 'dropout', None)
    """
    ends = [path for path in valid if path.endswith(f".{name}")]
    return next(iter(ends or difflib.get_close_matches(name, valid, n=1, cutoff=alike)), None)


def nearest(name: str, valid: list[str]) -> str:
    """`; did you mean …?` with the closest valid name, or the valid names where none is close.

    >>> nearest("droput", ["dropout", "hidden"])
    '; did you mean dropout?'
    """
    close = closest(name, valid)
    return f"; did you mean {close}?" if close else f"; valid names: {', '.join(valid) or 'none'}"
