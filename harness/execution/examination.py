"""How a study's runs train best, found out in a process of its own: what a module does to it then harms nobody else."""

import contextlib
import multiprocessing
import traceback
from collections.abc import Iterable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from harness.engine.choice import ways
from harness.engine.culprit import culprit
from harness.engine.devices import use
from harness.engine.population_width import plain_step_s
from harness.engine.runs import Run
from harness.engine.way import Way
from harness.engine.way_cache import cache_file
from harness.execution.jobs import LastWords, Message, received, sent
from harness.execution.processes import start
from harness.execution.shipping import pack, unpack, users_modules
from harness.settings import InvalidStudy, Problem, first_line, show
from harness.settings.digests import digest_of, own_code
from harness.study import Study

UNKNOWN_STEP_S = 0.01
"""What a step is taken to last where it could not be measured."""


def examined(
    study: Study, grouped: Mapping[str, list[Run]], *, device: torch.device, memory_bytes: int, remember: bool
) -> dict[str, Way]:  # fmt: skip
    """How groups of runs train best, from a process that has tried it.

    Args:
        study: whose runs they are.
        grouped: runs of the study, see `planning.groups`; their names are sent along, as one may be another in another process.
        device: where they train.
        memory_bytes: bound on what a population takes.
        remember: whether what is found is kept for later studies, and what was found for earlier ones used.

    Raises:
        InvalidStudy: the first steps cannot be taken.
    """
    ours, theirs = multiprocessing.Pipe()
    process = start(_examine, theirs, str(device), memory_bytes, code() if remember else None)
    theirs.close()
    try:
        ours.send_bytes(pack(study))
        ours.send({name: sent(study, runs) for name, runs in grouped.items()})
        answer: dict[str, Way] | InvalidStudy | LastWords = ours.recv()
    except (EOFError, OSError):
        process.join()
        return _unknown(grouped, f"with exit code {process.exitcode}")
    if isinstance(answer, LastWords):
        return _unknown(grouped, answer.how)
    if isinstance(answer, InvalidStudy):
        raise answer
    return answer


def _unknown(names: Iterable[str], how: str) -> dict[str, Way]:
    """How groups of runs train whose process ended, in words how."""
    why = f"the process that took their first steps ended {how}"
    return dict.fromkeys(names, Way(1, UNKNOWN_STEP_S, why=why))


def code() -> str:
    """A digest of the code that trains: torch's version, our own files, and those of the user's that are loaded."""
    files = (getattr(module, "__file__", None) for _, module in sorted(users_modules().items()))
    return digest_of([torch.__version__, own_code(), *map(Path, filter(None, files))])


def examine(
    study: Study, messages: Mapping[str, Message], device: torch.device, memory_bytes: int, code: str | None
) -> dict[str, Way]:
    """How groups of runs train best.

    Args:
        study: whose runs they are.
        messages: groups of runs as they are sent, by name.
        device: where they train.
        memory_bytes: bound on what a population takes.
        code: what the results depend on besides the study; None to remember nothing.

    Raises:
        InvalidStudy: the first steps cannot be taken.
    """
    cache = None if code is None else cache_file()
    context = f"{code} {sorted(study.fingerprints().items())}"
    found, grouped = dict[str, Way](), {name: received(study, message) for name, message in messages.items()}
    try:
        for name, way in ways(grouped.items(), device, memory_bytes=memory_bytes, cache=cache, context=context):
            found[name] = way
    except Exception as error:
        failing = next(own for name, own in grouped.items() if name not in found)
        where = "".join(f", {note}" for note in getattr(error, "__notes__", []))
        message = f"cannot take a few steps on {device}{where}: {first_line(error)}"
        path = culprit(error) or "model"
        raise InvalidStudy([Problem(path, message, show(_failing(failing, device).setup.values()[path]))]) from error
    return found


def _failing(runs: list[Run], device: torch.device) -> Run:
    """Of runs that could share a population the first that fails by itself; the first one if it takes several."""
    for run in {run.setup: run for run in runs}.values():
        try:
            plain_step_s(run, device)
        except Exception:
            return run
    return runs[0]


def notes(found: Mapping[str, Way]) -> list[str]:
    """What the user should know of runs that train by the plain loop, once for each reason."""
    reasons: dict[str, float] = {}
    for way in found.values():
        if way.width == 1 and way.why:
            reasons.setdefault(way.why, way.step_s)
    return [
        f"model: trains by the plain loop, each run alone ({seconds * 1e3:.2g} ms a step), not as a population: {why}."
        for why, seconds in reasons.items()
    ]


def _examine(pipe: Connection, device: str, memory_bytes: int, code: str | None) -> None:
    """What the process does."""
    torch.set_num_threads(1)
    try:
        study = unpack(pipe.recv_bytes(), "a process that trains")
        messages: dict[str, Message] = pipe.recv()
        use(torch.device(device))
        answer: dict[str, Way] | InvalidStudy | LastWords = examine(
            study, messages, torch.device(device), memory_bytes, code
        )
    except (EOFError, ConnectionError):  # the leader is gone, maybe killed
        return
    except InvalidStudy as error:
        answer = error
    except BaseException:  # of the user's, whatever its name: Ctrl-C does not mean this process
        answer = LastWords(traceback.format_exc())
    with contextlib.suppress(OSError):
        pipe.send(answer)
