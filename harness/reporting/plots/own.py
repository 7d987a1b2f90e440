"""Figures of a user's own: functions of the table of runs, drawn where they are, since other processes do not have them."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import pandas as pd
from matplotlib.figure import Figure

from harness.reporting.plots.plot import Plot
from harness.reporting.plots.rendering import render
from harness.settings import first_line, printable
from harness.settings.functions import said_of
from harness.settings.randomness import global_generators
from harness.study import Study


def plots(runs: pd.DataFrame, study: Study) -> Iterator[Plot]:
    """One figure for each of the study's functions; where one fails, a picture that says how.

    Args:
        runs: one row per run, as in `runs.parquet`.
        study: has the functions.
    """
    for function in study.figures:
        name = function.__name__
        said = " ".join(said_of(function).split())
        plot = Plot(f"own_{name}", f"{said.removesuffix('.')}.", runs, drawing(function))
        try:
            drawn = render(plot)
        except Exception as error:  # of the user's function, or of the figure that it made
            wrong = printable(f"`{name}` could not be drawn: {first_line(error)}")
            plot = replace(plot, caption=f"{plot.caption} {wrong}.", draw=words(wrong))
            drawn = render(plot)
        yield replace(plot, drawn=drawn)


def drawing(function: Callable[[pd.DataFrame], object]) -> Callable[[pd.DataFrame], Figure]:
    """What draws a user's figure from the table of runs, and always draws the same one."""

    def draw(runs: pd.DataFrame) -> Figure:
        with global_generators(0):
            figure = function(runs.copy())
        if not isinstance(figure, Figure):
            raise TypeError(f"it must return a matplotlib Figure, not a {type(figure).__name__}")
        if pyplot := sys.modules.get("matplotlib.pyplot"):
            pyplot.close(figure)  # which it would keep, and a notebook show
        return figure

    return draw


def words(text: str) -> Callable[[pd.DataFrame], Figure]:
    """What draws a sentence."""

    def draw(runs: pd.DataFrame) -> Figure:
        figure = Figure(figsize=(5.5, 1.2))
        figure.text(0.5, 0.5, text, ha="center", va="center", wrap=True, color="0.3", parse_math=False)
        return figure

    return draw
