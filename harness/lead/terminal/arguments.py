"""Arguments of commands that a shell completes: study files and folders of results. Imports little, since a shell waits."""

from collections.abc import Iterator
from pathlib import Path

import click
from click.shell_completion import CompletionItem

OF_RESULTS = "claims.json"
"""What every folder of results has."""


class StudyFile(click.Path):
    """A study file: Python files are offered, and the folders on the way to one."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """See `click.ParamType`."""
        return [_item(path) for path in _beginning(incomplete) if path.is_dir() or path.suffix == ".py"]


class ResultsFolder(click.Path):
    """The folder results/<study>: such are offered, and the folders on the way to one."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """See `click.ParamType`."""
        folders = [path for path in _beginning(incomplete) if path.is_dir()]
        return [CompletionItem(str(path)) if (path / OF_RESULTS).is_file() else _item(path) for path in folders]


class StudyName(click.types.StringParamType):
    """A study's name: those with results in `--results` are offered."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """See `click.ParamType`."""
        folders = sorted(Path(ctx.params.get("results") or "results").glob(f"*/{OF_RESULTS}"))
        return [CompletionItem(path.parent.name) for path in folders if path.parent.name.startswith(incomplete)]


def _beginning(incomplete: str) -> Iterator[Path]:
    """What begins so on the disk, but for what is hidden or only Python's."""
    folder, _, start = incomplete.rpartition("/")
    here = Path(f"{folder}/") if incomplete.startswith("/") else Path(folder)
    try:
        names = sorted(path.name for path in here.iterdir())
    except OSError:
        return
    yield from (here / name for name in names if name.startswith(start) and name[0] not in "._")


def _item(path: Path) -> CompletionItem:
    """A folder goes on after a slash."""
    return CompletionItem(f"{path}/" if path.is_dir() else str(path))
