"""The weights of single runs that `--keep-weights` keeps: a safetensors file for each, named by its run's key."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor

from harness.engine.runs import Run
from harness.settings import show
from harness.settings.files import put_in_place

FOLDER = "weights"
"""Of a study's folder."""

DAMAGE = (OSError, SafetensorError, ValueError, LookupError, TypeError)
"""What reading a file raises that is no whole one."""


def packed(tensors: dict[str, Tensor], run: Run, *, study: str, step: int, which: str) -> bytes:
    """The content of a file.

    Args:
        tensors: the `state_dict` of the run's module.
        run: whose it is.
        study: its name.
        step: after which these were its weights.
        which: `best` or `last`, see `keeping.Keeping`.
    """
    values = {path: v if isinstance(v, bool | int | float | str) else show(v) for path, v in run.values.items()}
    header = {
        "study": study, "trial": str(run.trial), "seed": str(run.seed), "confirm": json.dumps(run.confirm),
        "values": json.dumps(values), "step": str(step), "which": which,
    }  # fmt: skip
    return save(tensors, header)


def write(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files by their runs' keys into the folder of a study, so that they survive a power failure."""
    for key, content in contents.items():
        with put_in_place(folder / FOLDER / f"{key}.safetensors") as beside, beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def headers(folder: Path) -> dict[Path, dict[str, Any]]:
    """What the files in the folder of a study are of: `trial`, `seed`, `values`, `step`, `which`; damaged ones are left out."""
    found = {}
    for path in sorted((folder / FOLDER).glob("*.safetensors")):
        try:
            with safe_open(path, framework="pt") as file:
                header = file.metadata()
            numbers = {name: json.loads(header[name]) for name in ("trial", "seed", "confirm", "values", "step")}
        except DAMAGE:
            continue
        found[path] = header | numbers
    return found


def read(path: Path) -> dict[str, Tensor]:
    """The weights in a file, as a `state_dict`.

    Raises:
        One of `DAMAGE`: it is missing or not whole.
    """
    return load(path.read_bytes())
