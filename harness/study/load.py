"""From a study file to a checked `Study`: the first step of every command.

A study file is Python and runs as its author's. Everything wrong with it is reported as `path: message`.
"""

import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType

from harness.settings import InvalidStudy, Problem
from harness.settings.credentials import without_credentials
from harness.settings.modules import HARNESS, STUDY_FILE, place
from harness.settings.source import forget_sources
from harness.study.changes import NO_CHANGES, Changes, apply_changes
from harness.study.study import Study


def load_study(path: Path, changes: Changes = NO_CHANGES) -> tuple[Study, str]:
    """Run a study file and apply changes to its study.

    Args:
        path: a Python file that defines `study`.
        changes: of the command line.

    Returns:
        The study and the file's docstring.

    Raises:
        InvalidStudy: with everything that is wrong.
    """
    module = _run(path)
    study = getattr(module, "study", None)
    if not isinstance(study, Study):
        got = "nothing of that name" if study is None else f"a {type(study).__name__}"
        raise InvalidStudy([Problem(str(path), "must define `study = Study(…)`", got)])
    return apply_changes(study, changes, vars(module)), (module.__doc__ or "").strip()


def _run(path: Path) -> ModuleType:
    if not path.is_file():
        what = "is a folder, not a study file" if path.is_dir() else "no such study file"
        meant = Path(f"{path}.py")
        what += f"; did you mean {meant}?" if meant.is_file() else ""
        raise InvalidStudy([Problem(str(path), what)])
    name = f"{STUDY_FILE}{path.stem}"  # no name that a module could have: a study file may be called json.py
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise InvalidStudy([Problem(str(path), "is not a Python file")])
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # so that its classes can be found by name
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except InvalidStudy:
        raise
    except (Exception, SystemExit) as error:
        message = without_credentials(f"{type(error).__name__}: {error}{_shadowed(error, path)}")
        raise InvalidStudy([Problem(f"{path}:{_line(error, path)}", message)]) from error
    finally:
        sys.path.pop(0)
    forget_sources()  # the file may have changed what its classes use after its study was made
    return module


def _shadowed(error: BaseException, path: Path) -> str:
    """Why a user's own module was not the one that was imported; "" where that is not it."""
    if not isinstance(error, ImportError | AttributeError):
        return ""
    module = error.name if isinstance(error, ImportError) else getattr(error.obj, "__name__", None)
    name = str(module).partition(".")[0]
    own, imported = path.resolve().with_name(f"{name}.py"), sys.modules.get(name)
    if not own.is_file() or imported is None or place(imported) == own:
        return ""
    whose = "the harness itself" if name == HARNESS else "a module of Python, or of what is installed"
    return f"; {own.name} beside the study cannot be imported, its name is that of {whose}: rename it"


def _line(error: BaseException, path: Path) -> int:
    """The line of the study file at which an error arose."""
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return error.lineno
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == path.resolve()]
    return (frames[-1].lineno or 0) if frames else 0
