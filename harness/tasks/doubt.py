"""`Doubt`: what of a task's data may not be as its user believes."""

from typing import NamedTuple


class Doubt(NamedTuple):
    """What may not be as believed, and what to do about it."""

    sentence: str
    way_out: str
