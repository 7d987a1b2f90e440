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
        self._found: dict[str, list[str]] = {}

    def add(self, column: str, seen: str, conclusion: str) -> None:
        """Remark on a column: what was seen in it, and what it is therefore taken for, as in other columns."""
        self._found.setdefault(conclusion, []).append(f"{column!r}: {seen}")

    def notes(self) -> list[Note]:
        """Each conclusion with the columns it was drawn for."""
        return [Note(self._setting, _line(seen, conclusion)) for conclusion, seen in self._found.items()]


def _line(seen: list[str], conclusion: str) -> str:
    more = f" and {len(seen) - MOST} more" if len(seen) > MOST else ""
    return f"column{'s' if len(seen) > 1 else ''} {', '.join(seen[:MOST])}{more}: {conclusion}"
