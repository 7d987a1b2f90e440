"""From a figure's data to the bytes of its files, by several processes: it is most of a report's time."""

import io
import multiprocessing
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path

import matplotlib
import torch
from fontTools.subset import Options  # type: ignore[import-untyped]

from harness.engine.devices import cores_of
from harness.execution.processes import start
from harness.reporting.plots.drawn_before import drawn_before, made_of, remember
from harness.reporting.plots.plot import Image, Plot
from harness.settings.metrics import METRICS

MOST_HELPERS = 3
"""Of about ten figures one takes a quarter of the time: more processes would wait for it."""


def style() -> AbstractContextManager[None]:
    """Matplotlib settings of all figures; a fixed hash salt keeps the bytes of an SVG the same."""
    import seaborn as sns  # type: ignore[import-untyped]  # takes a second or two, which a report that draws nothing anew is spared

    settings = {**sns.axes_style("ticks"), **sns.plotting_context("notebook", font_scale=0.78)}
    own = {
        "font.family": ["DejaVu Sans"], "svg.hashsalt": "harness", "axes.spines.top": False, "axes.spines.right": False,
        "axes.grid": True, "axes.grid.axis": "y", "grid.color": "0.9", "axes.edgecolor": "0.3", "legend.frameon": False,
        "lines.linewidth": 1.4, "axes.titlesize": 9, "axes.titlelocation": "left", "pdf.fonttype": 42,
    }  # fmt: skip
    context: AbstractContextManager[None] = matplotlib.rc_context(settings | own)
    return context


def render(plot: Plot) -> Image:
    """The figure as SVG, PNG and PDF, the same bytes for the same data; each has the title within."""
    svg, png, pdf = io.BytesIO(), io.BytesIO(), io.BytesIO()
    with style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # a box stands for it
        figure = plot.draw(plot.data)
        if engine := figure.get_layout_engine():
            engine.execute(figure)
            figure.set_layout_engine(None)  # solved once is enough; with any engine set each format draws twice
        titled = {"Title": plot.title} if plot.title else {}
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None} | titled)
        figure.savefig(png, format="png", dpi=150, metadata={"Software": None} | titled)
        with without_layout_tables():
            figure.savefig(
                pdf, format="pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None} | titled
            )
    return Image(svg.getvalue(), png.getvalue(), pdf.getvalue())


@contextmanager
def without_layout_tables() -> Iterator[None]:
    """Fonts are cut for a PDF without the tables by which texts are set, which a PDF does not read and cutting which takes the longest."""
    kept = Options._drop_tables_default
    Options._drop_tables_default = [*kept, "GSUB", "GPOS", "GDEF", "kern"]  # matplotlib hands on no options
    try:
        yield
    finally:
        Options._drop_tables_default = kept


def render_all(plots: Sequence[Plot], helpers: Sequence[Connection] = (), figures: Path | None = None) -> list[Image]:
    """Every figure.

    Args:
        plots: figures to be.
        helpers: of `start_helpers`; each draws some, and this process the others, and those of a helper that died.
        figures: the folder in which an earlier report's lie, and these will: what is the same is not drawn again.
    """
    wanted = {plot.name: plot for plot in plots if plot.drawn is None}
    of = {name: made_of(plot) for name, plot in wanted.items()} if figures else {}
    found = drawn_before(figures, of) if figures else {}
    missing = [plot for name, plot in wanted.items() if name not in found]
    found |= {plot.name: image for plot, image in zip(missing, _drawn(missing, helpers), strict=True)}
    if figures:
        remember(figures, {name: (of[name], found[name]) for name in wanted})
    return [plot.drawn or found[plot.name] for plot in plots]


def _drawn(plots: Sequence[Plot], helpers: Sequence[Connection]) -> list[Image]:
    abreast = 1 + len(helpers)
    shares = [plots[i::abreast] for i in range(abreast)]
    for helper, share in zip(helpers, shares[1:], strict=True):
        with suppress(OSError):
            helper.send((METRICS, share))  # among them a user's own
    images = [[render(plot) for plot in shares[0]]]
    for helper, share in zip(helpers, shares[1:], strict=True):
        try:
            images.append(helper.recv())
        except (EOFError, OSError):
            images.append([render(plot) for plot in share])
    return [images[i % abreast][i // abreast] for i in range(len(plots))]


def start_helpers() -> list[Connection]:
    """Start processes that draw for `render_all` until this one ends. They first import what they need: a second or two."""
    pipes = [multiprocessing.Pipe() for _ in range(min(MOST_HELPERS, cores_of(torch.device("cpu")) - 1))]
    for _, theirs in pipes:
        start(_help, theirs)
        theirs.close()
    return [ours for ours, _ in pipes]


def _help(pipe: Connection) -> None:
    with suppress(EOFError, ConnectionError):
        while True:
            metrics, plots = pipe.recv()
            METRICS.update(metrics)
            pipe.send([render(plot) for plot in plots])
