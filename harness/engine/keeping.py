"""What is kept of a population's training besides its numbers: checkpoints to go on from, and the weights of its runs."""

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from harness.engine import checkpoint, kept_weights
from harness.engine.checkpoint import Damaged
from harness.engine.content import run_key
from harness.engine.kept_weights import Which
from harness.engine.module_state import NotStorable
from harness.engine.runs import Run
from harness.settings import first_line, show
from harness.settings.show import counted

if TYPE_CHECKING:
    from harness.engine.training import Training


@dataclass(frozen=True)
class Keeping:
    """What is to be kept, and where.

    Attributes:
        folder: results/<study>; None to keep nothing.
        every_s: seconds between two checkpoints of a population; infinite for none.
        weights: of each run, those of the `last` step, or of the step of the least validation loss, `best`; None for none.
    """

    folder: Path | None = None
    every_s: float = 300.0
    weights: Which | None = None


NOTHING = Keeping()


def forget(folder: Path) -> None:
    """Remove what is kept in the folder of a study."""
    for name in (checkpoint.FOLDER, kept_weights.FOLDER):
        shutil.rmtree(folder / name, ignore_errors=True)


class Keeper:
    """Keeps of one population what is asked for, and finds what was kept of it before.

    Args:
        keeping: what, and where.

    Attributes:
        notes: what the user should know.
        weights: by trial and seed, see `kept_weights.packed`.
    """

    def __init__(self, keeping: Keeping = NOTHING) -> None:
        self.keeping = keeping
        self.notes: list[str] = []
        self.weights: dict[tuple[int, int], bytes] = {}
        self._runs: list[Run] = []
        self._keys: list[str] = []
        self._path: Path | None = None
        self._written_s = time.monotonic()

    def resumed(
        self, runs: list[Run], evaluations: int, begin: Callable[[], "Training"]
    ) -> tuple["Training", int]:  # fmt: skip
        """A population's training and the step that it has come to: that of its checkpoint, or 0.

        Args:
            runs: the members.
            evaluations: see `harness.engine.train.train`.
            begin: makes the training from its beginning.
        """
        self._runs, self._keys, training = runs, [run_key(run, evaluations) for run in runs], begin()
        self._path = self._place(training.population.device, frozen=training.population.frozen)
        if self._path is None:
            return training, 0
        try:
            state = checkpoint.read(self._path)
        except FileNotFoundError:
            return training, 0
        except Damaged as error:
            return self._left_out(error, training), 0
        try:
            training.load_state_dict(state)
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # written by another version of this code
            return self._left_out(error, begin()), 0
        step = len(state["history"]["log"])
        went = counted(len(runs), "run went", "runs went")
        self.notes.append(f"{went} on from step {step:,} of {runs[0].setup.steps:,}, by a checkpoint")
        return training, step

    def _place(self, device: torch.device, *, frozen: bool) -> Path | None:
        """The file of the population's checkpoint; None where it has none."""
        folder, setup = self.keeping.folder, self._runs[0].setup
        if folder is None or self.keeping.every_s == float("inf"):
            return None
        if not folder.is_dir():
            self.notes.append(f"checkpoints: none where the folder of the study cannot be reached ({folder})")
            return None
        measured = [setup.metrics.level, str(self.keeping.weights), *(["frozen"] if frozen else [])]
        name = checkpoint.checkpoint_name(self._keys, device, *measured)
        return folder / checkpoint.FOLDER / f"{name}.safetensors"

    def _left_out(self, error: Exception, training: "Training") -> "Training":
        assert self._path is not None
        self.notes.append(f"checkpoints: one was damaged and is removed, its runs begin anew ({first_line(error)})")
        with suppress(OSError):
            self._path.unlink()
        return training

    def evaluated(self, training: "Training", step: int) -> None:
        """Write a checkpoint after an evaluated step, if it is time for one; where that cannot be, training goes on."""
        if self._path is None or time.monotonic() - self._written_s < self.keeping.every_s:
            return
        try:
            checkpoint.write(self._path, training.state_dict(step), self._keys)
        except NotStorable as error:
            self.notes.append(f"checkpoints: none of runs of {show(self._runs[0].setup.model)}: {error}")
            self._path = None
        except (OSError, MemoryError) as error:
            self.notes.append(f"checkpoints: training goes on without, since none can be written: {first_line(error)}")
        self._written_s = time.monotonic()

    def finished(self, training: "Training") -> None:
        """Keep the weights that are asked for; nothing else may be asked of the training any more."""
        which, folder = self.keeping.weights, self.keeping.folder
        if which is None or folder is None:
            return
        try:
            for run, step, tensors in training.kept_weights():
                self.weights[run.trial, run.seed] = kept_weights.packed(
                    tensors, run, study=folder.name, step=step, which=which
                )
        except NotStorable as error:
            self.notes.append(f"--keep-weights: none of runs of {show(self._runs[0].setup.model)}: {error}")
