"""From a figure's data to the bytes of its files."""

import io
import warnings
from contextlib import AbstractContextManager

import matplotlib
import seaborn as sns  # type: ignore[import-untyped]

from harness.plots.style import Plot


def style() -> AbstractContextManager[None]:
    """Matplotlib settings of all figures; a fixed hash salt keeps the bytes of an SVG the same."""
    settings = {**sns.axes_style("ticks"), **sns.plotting_context("notebook", font_scale=0.78)}
    own = {
        "font.family": ["DejaVu Sans"], "svg.hashsalt": "harness", "axes.spines.top": False, "axes.spines.right": False,
        "axes.grid": True, "axes.grid.axis": "y", "grid.color": "0.9", "axes.edgecolor": "0.3", "legend.frameon": False,
        "lines.linewidth": 1.4, "axes.titlesize": 9.5, "axes.titlelocation": "left",
    }  # fmt: skip
    context: AbstractContextManager[None] = matplotlib.rc_context(settings | own)
    return context


def render(plot: Plot) -> tuple[bytes, bytes]:
    """The figure as SVG and as PNG, the same bytes for the same data."""
    svg, png = io.BytesIO(), io.BytesIO()
    with style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # a box stands for it
        figure = plot.draw(plot.data)
        if engine := figure.get_layout_engine():
            engine.execute(figure)
            figure.set_layout_engine(None)  # solved once is enough; with any engine set each format draws twice
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
        figure.savefig(png, format="png", dpi=150, metadata={"Software": None})
    return svg.getvalue(), png.getvalue()
