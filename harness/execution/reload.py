"""The study file, loaded a second time by a process beside the leader: whether it gives the same study.

A file that draws its data without a seed gives another study to everyone who loads it: it could neither be continued nor
verified. That is said before anything is recorded. The process is started first, so that it has imported what it needs
when the leader has loaded the file; only then it loads it too: two that fetch the same data at once would be in each
other's way.
"""

import contextlib
import multiprocessing
import os
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from harness.execution.processes import start
from harness.execution.shipping import pack_loaded, unpack_loaded
from harness.settings import InvalidStudy, Problem
from harness.study import Study
from harness.study.changes import Changes
from harness.study.load import load_study


class Reload:
    """A process that loads a study file once more; it is started when this is made.

    Args:
        study_file, changes: see `load_study`.
    """

    def __init__(self, study_file: Path, changes: Changes) -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        self._process = start(_reload, theirs, study_file, changes)
        theirs.close()

    def begin(self, study: Study) -> None:
        """Let it load the file, which this process has loaded as this study; what that reads from data files it has, too."""
        with contextlib.suppress(OSError):  # it died; `compare` will say so
            self._pipe.send_bytes(pack_loaded(study))

    def compare(self, study: Study) -> None:
        """Wait for it; once it has answered there is nothing more to say.

        Raises:
            InvalidStudy: it found another study than this one, or none.
        """
        if self._pipe.closed:
            return
        try:
            answer: dict[str, str] | InvalidStudy = self._pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            answer = InvalidStudy([Problem("study", f"its process ended with exit code {self._process.exitcode}")])
        self._pipe.close()
        if isinstance(answer, InvalidStudy):
            problem = Problem("study", "the study file can be loaded once, and not a second time, as it is to go on")
            raise InvalidStudy([problem, *answer.problems])
        here = study.description()
        if paths := [path for path in here | answer if here.get(path) != answer.get(path)]:
            named = [path for path in paths if not path.startswith("data of ")] or ["its data"]
            message = (
                f"the study file gives another study each time it is loaded: {', '.join(named)}; seed what it draws"
            )
            raise InvalidStudy([Problem("study", message)])


def _reload(pipe: Connection, study_file: Path, changes: Changes) -> None:
    """What the process does: it says nothing, whatever the file prints."""
    try:
        loaded = pipe.recv_bytes()
    except (
        EOFError,
        ConnectionError,
    ):  # the leader is gone, or the file cannot be loaded at all, which the leader says
        return
    torch.set_num_threads(1)  # the others are the leader's
    silence = os.open(os.devnull, os.O_WRONLY)
    for output in (1, 2):
        os.dup2(silence, output)
    answer: dict[str, str] | InvalidStudy
    try:
        unpack_loaded(loaded)
        answer = load_study(study_file, changes)[0].description()
    except InvalidStudy as error:
        answer = error
    with contextlib.suppress(OSError):
        pipe.send(answer)
