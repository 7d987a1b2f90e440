"""`Plot`: a figure to be. Its data is a tidy table that holds all its drawing needs; it is saved beside the figure."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure


@dataclass(frozen=True)
class Plot:
    """A figure to be: its file name, what to see in it, its data and how to draw them."""

    name: str
    caption: str
    data: pd.DataFrame
    draw: Callable[[pd.DataFrame], Figure]
