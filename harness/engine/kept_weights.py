"""The weights of single runs that `--keep-weights` keeps: a safetensors file for each, named by its run's key."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from harness.engine.runs import Run
from harness.settings import show
from harness.settings.files import put_in_place
from harness.settings.show import counted

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


class KeptWeights:
    """The weights that are kept in the folder of a study.

    Args:
        folder: results/<study>.
    """

    def __init__(self, folder: Path) -> None:
        self._which: dict[Path, str] = {}
        self._of: dict[tuple[Any, ...], Path | None] = {}
        for path in sorted((folder / FOLDER).glob("*.safetensors")):
            try:
                with safe_open(path, framework="pt") as file:
                    header = file.metadata()
                values, seed, which = json.loads(header["values"]), int(header["seed"]), header["which"]
            except DAMAGE:  # trained again, these are written again
                continue
            self._which[path] = which
            of = _run(seed, tuple(values), values)
            self._of[of] = None if of in self._of else path  # of two that look alike neither is known to be it
        self._paths = {paths for _, paths, _ in self._of}

    def find(self, run: "pd.Series[Any]", which: str | None = None) -> Path | None:
        """The file of a run, a row of the table of runs; None where there is none, or none of `best` or `last` as asked for.

        By the run's key, where the table has it, else by its seed and the values of its factors.
        """
        if "key" in run:
            candidates = [path for path in self._which if path.stem == run["key"]]
        else:
            alike = (
                self._of.get(_run(int(run["seed"]), paths, run)) for paths in self._paths if set(paths) <= {*run.index}
            )
            candidates = [path for path in alike if path is not None]
        path = candidates[0] if len(candidates) == 1 else None
        return None if path is None or which not in (None, self._which[path]) else path


def _run(seed: int, paths: tuple[str, ...], values: Any) -> tuple[Any, ...]:
    """What tells a run from others of its study: its seed, its factors, and their values as text, numbers all in one form."""
    texts = []
    for path in paths:
        try:
            texts.append(repr(float(str(values[path]))))
        except ValueError:
            texts.append(str(values[path]))
    return seed, paths, tuple(texts)


def missing_weights(folder: Path, which: str | None, runs: pd.DataFrame) -> list[str]:
    """What the user should know who wants weights kept, of runs that have none: they were recorded before, without.

    Args:
        folder: results/<study>.
        which: are wanted; None for none.
        runs: the table of all runs.
    """
    if which is None:
        return []
    kept = KeptWeights(folder)
    missing = sum(kept.find(run, which) is None for _, run in runs[runs["status"] != "failed"].iterrows())
    if not missing:
        return []
    lack = counted(missing, "run has none, since it was", "runs have none, since they were")
    return [f"--keep-weights {which}: {lack} recorded without; --fresh trains all runs again"]


def read(path: Path) -> dict[str, Tensor]:
    """The weights in a file, as a `state_dict`.

    Raises:
        One of `DAMAGE`: it is missing or not whole.
    """
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name).clone() for name in sorted(file.keys())}
