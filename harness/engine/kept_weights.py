"""The weights of single runs that `--keep-weights` keeps: a safetensors file for each, named by its run's key."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from harness.engine.module_state import NotStorable
from harness.engine.runs import Run
from harness.settings import show
from harness.settings.files import put_in_place, write_durably
from harness.settings.show import counted

Which = Literal["best", "last"]
"""Weights that are kept: those of the least validation loss, or of the last step."""

FOLDER = "weights"
"""Of a study's folder."""

DAMAGE = (OSError, SafetensorError, ValueError, LookupError, TypeError)
"""What reading a file raises that is no whole one."""


def packed(tensors: dict[str, Tensor], run: Run, *, study: str, step: int, which: Which) -> bytes:
    """The content of a file.

    Args:
        tensors: the `state_dict` of the run's module.
        run: whose it is.
        study: its name.
        step: after which these were its weights.
        which: of the run's weights they are.

    Raises:
        NotStorable: some are of a type that such a file cannot hold.
    """
    values = {path: v if isinstance(v, bool | int | float | str) else show(v) for path, v in run.values.items()}
    header = {
        "study": study, "trial": str(run.trial), "seed": str(run.seed), "confirm": json.dumps(run.confirm),
        "values": json.dumps(values), "step": str(step), "which": which,
    }  # fmt: skip
    try:
        return save(tensors, header)
    except KeyError as error:
        raise NotStorable(f"a file of weights holds no {error.args[0]}") from error


def write(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files by their runs' keys into the folder of a study, so that they survive a power failure."""
    for key, content in contents.items():
        with put_in_place(path_of(folder, key)) as beside:
            write_durably(content, beside)


def path_of(folder: Path, key: str) -> Path:
    """The file of a run, which need not be there.

    Args:
        folder: results/<study>.
        key: of the run, see `content.run_key`.
    """
    return folder / FOLDER / f"{key}.safetensors"


def _which(path: Path) -> str:
    """Which weights are in a file; "" where there is no whole one."""
    try:
        with safe_open(path, framework="pt") as file:
            return str(file.metadata()["which"])
    except DAMAGE:
        return ""


def missing_weights(folder: Path, which: str | None, runs: pd.DataFrame) -> list[str]:
    """What the user should know who wants weights kept, of runs that have none: they were recorded before, without.

    Args:
        folder: results/<study>.
        which: are wanted; None for none.
        runs: the table of all runs.
    """
    if which is None:
        return []
    missing = sum(_which(path_of(folder, key)) != which for key in runs.loc[runs["status"] != "failed", "key"])
    if not missing:
        return []
    lack = counted(missing, "run has none, since it was", "runs have none, since they were")
    return [f"--keep-weights {which}: {lack} recorded without; `harness forget` lets all be trained again"]


def read(path: Path) -> dict[str, Tensor]:
    """The weights in a file, as a `state_dict`.

    Raises:
        One of `DAMAGE`: it is missing or not whole.
    """
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name).clone() for name in sorted(file.keys())}
