"""`Plot`: a figure to be. Its data is a tidy table that holds all its drawing needs; it is saved beside the figure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure


class Image(NamedTuple):
    """A figure as the bytes of its files, each named by its suffix."""

    svg: bytes
    png: bytes
    pdf: bytes


@dataclass(frozen=True)
class Plot:
    """A figure to be.

    Attributes:
        name: of its files.
        caption: how to read it.
        data: all its drawing needs.
        draw: makes the figure of the data.
        drawn: its files, where that is done already.
        title: what is seen, a sentence that follows from the data.
    """

    name: str
    caption: str
    data: pd.DataFrame
    draw: Callable[[pd.DataFrame], Figure]
    drawn: Image | None = None
    title: str = ""
