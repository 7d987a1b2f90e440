"""`Plot`: a figure to be. Its data is a tidy table that holds all its drawing needs; it is saved beside the figure."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

Image = tuple[bytes, bytes]
"""A figure as SVG and as PNG."""


@dataclass(frozen=True)
class Plot:
    """A figure to be: its file name, how to read it, its data and how to draw them; `drawn` where that is done already.

    `title` is a sentence that says what is seen.
    """

    name: str
    caption: str
    data: pd.DataFrame
    draw: Callable[[pd.DataFrame], Figure]
    drawn: Image | None = None
    title: str = ""
