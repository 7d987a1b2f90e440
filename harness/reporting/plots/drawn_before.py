"""Figures of an earlier report: one of the same data, drawn by the same code, need not be drawn again."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from harness.reporting.formats import csv
from harness.reporting.plots.plot import Image, Plot
from harness.settings.digests import digest_of, own_code
from harness.settings.files import put_in_place
from harness.settings.metrics import METRICS

INDEX = "drawn.json"
"""In the folder of the figures: by name what each was drawn of, and a digest of its files."""

DRAWN_BY = ("matplotlib", "seaborn", "fonttools", "pillow", "numpy", "pandas")


def made_of(plot: Plot) -> str:
    """A digest of all that decides the bytes of its files: its table, the code that draws it, and what that knows of metrics."""
    said = [plot.name, plot.title, plot.draw.__module__, plot.data.dtypes.astype(str).tolist(), METRICS]
    return digest_of([csv(plot.data), repr(said), own_code(), *(f"{name} {version(name)}" for name in DRAWN_BY)])


def drawn_before(figures: Path, wanted: Mapping[str, str]) -> dict[str, Image]:
    """By name those that an earlier report has drawn of the same, and whose files are still what it wrote.

    Args:
        figures: the folder with their files; what is missing there or damaged was not drawn.
        wanted: of each figure what it is to be made of, see `made_of`.
    """
    try:
        index = json.loads((figures / INDEX).read_text(encoding="utf-8"))
        noted = {str(name): (str(of), str(digest)) for name, (of, digest) in index.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
    found = {}
    for name, of in wanted.items():
        files = [figures / f"{name}.{kind}" for kind in Image._fields]
        if name in noted and noted[name][0] == of and all(file.is_file() for file in files):
            image = Image(*(file.read_bytes() for file in files))
            if noted[name][1] == digest_of(image):
                found[name] = image
    return found


def remember(figures: Path, drawn: Mapping[str, tuple[str, Image]]) -> None:
    """Note by name of what each was made, for the next report. Their files may be written later."""
    index = {name: (of, digest_of(image)) for name, (of, image) in drawn.items()}
    with put_in_place(figures / INDEX) as beside:
        beside.write_text(json.dumps(index, indent=1), encoding="utf-8")
