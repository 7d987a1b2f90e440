"""Where a study came from: a file and the command line's changes to it, or Python.

A study file is one way to get a `Study`; from here on the object is what counts.
"""

import importlib.util
from dataclasses import dataclass, field
from pathlib import Path

from harness.study.changes import Changes
from harness.study.load import load_study
from harness.study.study import Study


@dataclass(frozen=True)
class Origin:
    """What a study was made from.

    Attributes:
        file: the study file; None for a study that was made in Python.
        text: what the file said when it was loaded.
        doc: its docstring.
        changes: what the command line, or the caller, changed.
    """

    file: Path | None = None
    text: str = ""
    doc: str = ""
    changes: Changes = field(default_factory=Changes)


def load_with_origin(file: Path, changes: Changes) -> tuple[Study, Origin]:
    """Load a study file.

    Raises:
        InvalidStudy: with everything that is wrong with it.
    """
    source = file.read_bytes() if file.is_file() else b""
    study, doc = load_study(file, changes)
    return study, Origin(file, importlib.util.decode_source(source), doc, changes)
