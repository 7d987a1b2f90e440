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
from harness.settings.metrics import METRICS

TEXTS = ("x", "y", "group", "facet", "row", "why")
"""Columns whose values are text even where they read like numbers, or are empty; so are those of factors."""

INCHES_A_CHARACTER = 0.085


def saved(figures: Path, name: str) -> Figure:
    """The figure of that name, with its title; one of a user's own, or of a metric of the user's, as the picture that was drawn.

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
        table = read(figures / f"{name}.csv")
        if draw is None or not _known(table):
            return _picture(figures / f"{name}.png")
        with style():
            figure = draw.draw(table)
            return _titled(figure, figures / f"{name}.png")
    except (OSError, ValueError, KeyError) as error:
        raise InvalidStudy([Problem(str(figures / name), "is damaged", str(error))]) from None


def _known(table: pd.DataFrame) -> bool:
    """Whether all its metrics are ours: of a user's own, whose code does not run here, nobody knows what they are."""
    return bool("metric" not in table or table["metric"].str.partition(" ")[0].isin(METRICS).all())


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
        share = _made_higher(figure, 0.18 * len(lines) + 0.1)
        figure.suptitle(
            "\n".join(lines), x=0.01, y=1 - 0.02 * (1 - share), ha="left", va="top", fontsize=9.5, weight="bold"
        )
    return figure


def _made_higher(figure: Figure, inches: float) -> float:
    """Give a figure room above all it has, legends included, which its layout would not; the share of its height that this now is."""
    if engine := figure.get_layout_engine():
        engine.execute(figure)
        figure.set_layout_engine(None)
    share = figure.get_figheight() / (figure.get_figheight() + inches)
    for ax in figure.axes:
        x, y, width, height = ax.get_position().bounds
        ax.set_position((x, y * share, width, height * share))
    for text in figure.texts:
        text.set_y(text.get_position()[1] * share)
    for legend in figure.legends:
        legend.set_bbox_to_anchor((0, 0, 1, share), figure.transFigure)
    figure.set_figheight(figure.get_figheight() + inches)
    return share


def _picture(path: Path) -> Figure:
    pixels = image.imread(path)
    figure = Figure(figsize=(pixels.shape[1] / 150, pixels.shape[0] / 150), dpi=150)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set_axis_off()
    ax.imshow(pixels, aspect="auto")  # at any resolution, as `figimage` would not be
    return figure
