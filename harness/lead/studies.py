"""`harness list` and `harness forget`: which studies there are, and deleting what is recorded of one."""

from collections.abc import Collection
from contextlib import nullcontext
from pathlib import Path

import click

from harness.engine.keeping import forget as forget_kept
from harness.lead.ending import DONE
from harness.lead.terminal.arguments import OF_RESULTS
from harness.lead.terminal.ctrl_c import INTERRUPTED
from harness.ledger.claim_record import forget_chain
from harness.ledger.forgetting import Doomed, Forgetting
from harness.ledger.listing import Listed, known, listed
from harness.ledger.peek import file_of
from harness.ledger.stores import check_addresses, journal_in, leadership, recorder_of, spool_of, usable
from harness.settings import InvalidStudy, Problem
from harness.settings.show import aligned, counted

HEADS = ("study", "runs", "others", "claims", "last recorded", "size")


def say_list(results: Path, storage: str | None) -> int:
    """Print the studies of a results folder or of a storage; the exit code.

    Raises:
        InvalidStudy: there is no such folder or storage, or it cannot be used.
    """
    check_addresses(storage, None)
    if storage is None and not results.is_dir():
        raise InvalidStudy([Problem(str(results), "no such folder")], "give the folder of all results")
    if storage is None and (results / OF_RESULTS).is_file():
        message = f"is the folder of one study; give that of all results: {results.resolve().parent}"
        raise InvalidStudy([Problem(str(results), message)])
    if storage is not None and (file := file_of(storage)) is not None and not file.is_file():
        raise InvalidStudy([Problem("--storage", "no such file", storage)])
    found = listed(results, storage or str(journal_in(results)))
    if not found:
        click.echo(f"No studies in {storage or results}.")
        return DONE
    click.echo("\n".join(aligned([HEADS, *map(_row, found)])))
    return DONE


def _row(study: Listed) -> tuple[str, ...]:
    runs = f"{study.done:,} of {study.wanted:,}" if study.wanted else f"{study.done:,}"
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in study.verdicts.items())
    when = "never" if study.when is None else f"{study.when:%Y-%m-%d %H:%M}"
    return (
        study.name,
        runs,
        f"{study.others:,}",
        verdicts or "–",
        when,
        _size(study.size_bytes) if study.size_bytes else "–",
    )


def _size(size_bytes: int) -> str:
    """A size in words.

    >>> _size(512), _size(20_000), _size(5_250_000_000)
    ('512 B', '20 kB', '5.2 GB')
    """
    if size_bytes < 1000:
        return f"{size_bytes} B"
    size, unit = float(size_bytes), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size >= 999.5:
            size, unit = size / 1000, larger
    return f"{size:.1f} {unit}" if size < 10 else f"{size:.0f} {unit}"


def forget(name: str, *, results: Path, storage: str | None, tracking_uri: str | None, unused: bool, yes: bool) -> int:
    """Delete what is recorded of a study; the exit code.

    Args:
        name: of the study.
        results: folder of all results.
        storage: of Optuna; None for a journal there.
        tracking_uri: of MLflow; None for a database there.
        unused: only the runs that the study had no use for at its newest launch.
        yes: do not ask.

    Raises:
        InvalidStudy: there is no such study, or it is being run, or a storage cannot be used.
    """
    check_addresses(storage, tracking_uri)
    place = storage or str(journal_in(results))
    if name not in (there := known(place)):
        raise InvalidStudy([Problem(name, f"no study of this name in {place}; there are {', '.join(there) or 'none'}")],
                           "give the name of a study that is there, or the --results or --storage in which it is")  # fmt: skip
    recorder = recorder_of(name, results, tracking_uri)
    folder = results / name

    def records(identity: str, entries: Collection[int] | None) -> None:
        with usable("--tracking-uri"):
            recorder.of(identity).forget(entries)
        if entries is None:
            spool_of(name, results, identity).clear()
            forget_kept(folder)
            if folder.is_dir():
                forget_chain(folder)

    with (
        leadership(folder) if folder.is_dir() else nullcontext(),
        usable("--storage"),
        Forgetting(name, place) as study,
    ):
        doomed = study.doomed(unused=unused)
        if not yes and not click.confirm(f"{_question(name, doomed)} This cannot be undone. Go on?"):
            return INTERRUPTED
        study.delete(doomed, records)
    kept = f" The report in {folder} stays." if folder.is_dir() else ""
    click.echo(f"{counted(doomed.runs, 'run')} of {name} forgotten.{kept}")
    return DONE


def _question(name: str, doomed: Doomed) -> str:
    what = "that it has no use for now" if doomed.entries is not None else "and all else that is recorded of it"
    return f"{name}: delete {counted(doomed.runs, 'run')} {what}?"
