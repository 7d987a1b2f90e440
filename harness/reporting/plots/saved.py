"""A figure of a written report, drawn again from its table."""

import textwrap
from pathlib import Path

import pandas as pd
from matplotlib import image
from matplotlib.figure import Figure
from PIL import Image

from harness.reporting.plots import DRAWN
from harness.reporting.plots.rendering import style
from harness.settings import InvalidStudy, Problem

TEXTS = ("x", "y", "group", "facet", "row", "why")
"""Columns whose values are text even where they read like numbers, or are empty; so are those of factors."""

INCHES_A_CHARACTER = 0.085


def saved(figures: Path, name: str) -> Figure:
    """The figure of that name, with its title; one of a user's own as the picture that was drawn.

    Args:
        figures: the folder with their tables and pictures.
        name: without suffix.

    Raises:
        InvalidStudy: there is no such figure, or its files are damaged.
    """
    names = sorted(path.stem for path in figures.glob("*.csv"))
    if name not in names:
        there = f"there are {', '.join(names)}" if names else "the folder has none"
        raise InvalidStudy([Problem("plot", f"is none of this study's figures; {there}", name)])
    kind = name.split("_")[0]
    draw = DRAWN.get(name) or DRAWN.get(kind)
    try:
        if draw is None:
            return _picture(figures / f"{name}.png")
        with style():
            figure = draw.draw(read(figures / f"{name}.csv"))
            return _titled(figure, figures / f"{name}.png")
    except (OSError, ValueError, KeyError) as error:
        raise InvalidStudy([Problem(str(figures / name), "is damaged", str(error))]) from None


def read(path: Path) -> pd.DataFrame:
    """The table of a figure as it was drawn."""
    columns = pd.read_csv(path, nrows=0).columns
    texts = [column for column in columns if column in TEXTS or str(column).endswith("_factor")]
    table = pd.read_csv(
        path, dtype=dict.fromkeys(texts, str), keep_default_na=False,
        na_values={column: [""] for column in columns if column not in texts},
    )  # fmt: skip
    for column in texts:  # the apostrophe says to spreadsheets that what follows is no formula
        table[column] = table[column].str.replace(r"^'(?=[=+\-@\t])", "", regex=True)
    return table


def _titled(figure: Figure, picture: Path) -> Figure:
    """With the title that the picture has within, above all else."""
    with Image.open(picture) as opened:
        title = str(opened.info.get("Title", ""))
    if title:
        width = max(20, int(figure.get_figwidth() / INCHES_A_CHARACTER))
        lines = textwrap.wrap(title.replace("$", r"\$"), width)
        figure.set_figheight(figure.get_figheight() + 0.18 * len(lines) + 0.1)
        figure.suptitle("\n".join(lines), fontsize=9.5, weight="bold", ha="left", x=0.01)
    return figure


def _picture(path: Path) -> Figure:
    pixels = image.imread(path)
    figure = Figure(figsize=(pixels.shape[1] / 150, pixels.shape[0] / 150), dpi=150)
    figure.figimage(pixels)
    return figure
