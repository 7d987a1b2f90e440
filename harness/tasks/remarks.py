"""What the user of a table should know about how its columns were understood, a line for each kind of remark."""

from harness.settings import Note

MOST = 5
"""Columns that a remark names."""


class Remarks:
    """Remarks about columns, in the order in which they were first made.

    Args:
        setting: that says which columns they are.
    """

    def __init__(self, setting: str) -> None:
        self._setting = setting
        self._found: dict[str, list[tuple[str, str]]] = {}

    def add(self, column: str, seen: str, conclusion: str) -> None:
        """Remark on a column: what was seen in it, and what it is therefore taken for, as in other columns."""
        self._found.setdefault(conclusion, []).append((column, seen))

    def notes(self) -> list[Note]:
        """Each conclusion with the columns it was drawn for."""
        return [Note(self._setting, _line(seen, conclusion)) for conclusion, seen in self._found.items()]


def _line(found: list[tuple[str, str]], conclusion: str) -> str:
    several = "s" if len(dict(found)) > 1 else ""
    seen = ", ".join(f"{column!r}: {what}" for column, what in found[:MOST])
    more = f" and {len(found) - MOST} more" if len(found) > MOST else ""
    return f"column{several} {seen}{more}: {conclusion}"
