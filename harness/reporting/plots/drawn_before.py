"""Figures of an earlier report: one of the same data, drawn by the same code, need not be drawn again."""

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

import harness
from harness.reporting.formats import csv
from harness.reporting.plots.plot import Image, Plot
from harness.settings.files import put_in_place
from harness.settings.metrics import METRICS

INDEX = "drawn.json"
"""In the folder of the figures: by name what each was drawn of, and a digest of its files."""

DRAWN_BY = ("matplotlib", "seaborn", "fonttools", "pillow", "numpy", "pandas")


def drawn_before(figures: Path, plots: Sequence[Plot]) -> dict[str, Image]:
    """By name those that an earlier report has drawn of the same, and whose files are still what it wrote.

    Args:
        figures: the folder with their files; what is missing there or damaged was not drawn.
        plots: figures to be.
    """
    try:
        index = json.loads((figures / INDEX).read_text(encoding="utf-8"))
        noted = {str(name): (str(of), str(digest)) for name, (of, digest) in index.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
    found = {}
    for plot in plots:
        files = [figures / f"{plot.name}.{kind}" for kind in Image._fields]
        if plot.name in noted and all(file.is_file() for file in files):
            image = Image(*(file.read_bytes() for file in files))
            if noted[plot.name] == (_made_of(plot), _digest(*image)):
                found[plot.name] = image
    return found


def remember(figures: Path, plots: Sequence[Plot], images: Sequence[Image]) -> None:
    """Note of what each was drawn, for the next report. Their files may be written later."""
    index = {plot.name: (_made_of(plot), _digest(*image)) for plot, image in zip(plots, images, strict=True)}
    figures.mkdir(parents=True, exist_ok=True)
    with put_in_place(figures / INDEX) as beside:
        beside.write_text(json.dumps(index, indent=1), encoding="utf-8")


def _made_of(plot: Plot) -> str:
    """All that decides the bytes of its files."""
    kinds = plot.data.dtypes.astype(str).tolist()
    said = [
        plot.name,
        plot.title,
        plot.draw.__module__,
        kinds,
        {name: repr(metric) for name, metric in METRICS.items()},
    ]
    return _digest(csv(plot.data), json.dumps(said).encode(), _code())


@cache
def _code() -> bytes:
    """A digest of the code that draws: all of the harness's, and the libraries by their versions."""
    files = sorted(Path(harness.__file__).parent.rglob("*.py"))
    versions = " ".join(f"{name} {version(name)}" for name in DRAWN_BY)
    return _digest(*(file.read_bytes() for file in files), versions.encode()).encode()


def _digest(*parts: bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "little"))
        whole.update(part)
    return whole.hexdigest()
