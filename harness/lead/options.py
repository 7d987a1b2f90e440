"""`Options`: where and how a study is to run, as the command line or a call says."""

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from pydantic import Field

from harness.engine.keeping import Keeping
from harness.engine.kept_weights import Which
from harness.lead.terminal.displays import Display, Lines
from harness.lead.terminal.events import Said
from harness.ledger.records.tracking import default_tracking_uri
from harness.settings import InvalidStudy, Problem
from harness.settings.checking import check_value
from harness.settings.quantities import Hint

Seconds = Annotated[float, Field(ge=0)]

ADDRESSES = ("storage", "tracking_uri")
"""May hold a password, since they are not recorded."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Everything that may be chosen about a run, but for the study itself.

    Attributes:
        devices: `auto`, `cpu`, or CUDA devices such as `0,1`.
        workers: processes on each device; None for as many as take the least time.
        memory: bound on the memory of populations, such as `4G`; None for half of what is free.
        ray: address of a Ray cluster; None to train on this host.
        gpus_per_population: on a cluster.
        storage: of Optuna, a journal file or a database's URL; None for a journal in `results`.
        tracking_uri: of MLflow; None for a database in `results`.
        results: folder of all results.
        timeout: no more work is begun after so many seconds, counted from `started`.
        until_decided: train look by look, as the study plans them, until no claim is open.
        retry_failed: train again the runs that failed by an error of their own.
        checkpoint_every: seconds between two checkpoints of a population in training; infinite for none.
        keep_weights: which weights of each run are kept, `best` or `last`; None for none.
        dry_run: say what would run, and write nothing.
        verbose: say more.
        display: is told what happens.
        started: when the command or the call began, in seconds of `time.monotonic`.
    """

    devices: str = "auto"
    workers: Annotated[int, Field(ge=1)] | None = None
    memory: Annotated[str, Hint("such as '4G'")] | None = None
    ray: str | None = None
    gpus_per_population: Annotated[float, Field(ge=0, le=1)] | None = None
    storage: str | None = None
    tracking_uri: str | None = None
    results: Path = Path("results")
    timeout: Seconds | None = None
    until_decided: bool = False
    retry_failed: bool = False
    checkpoint_every: Seconds = 300.0
    keep_weights: Which | None = None
    dry_run: bool = False
    verbose: bool = False
    display: Display = field(default_factory=Lines)
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        """Check every value, wherever it comes from.

        Raises:
            InvalidStudy: with every one that is none.
        """
        if found := list(misfits(KINDS, vars(self))):
            raise InvalidStudy(found)

    def keeping(self, study: str) -> Keeping:
        """What is kept of a study's training besides its numbers; workers may have another working directory."""
        return Keeping((self.results / study).absolute(), self.checkpoint_every, self.keep_weights)

    @property
    def uri(self) -> str:
        """MLflow's database or server."""
        return self.tracking_uri or default_tracking_uri(self.results)

    @property
    def deadline(self) -> float:
        """From when on no more work is begun, in seconds of `time.monotonic`; infinite without a `timeout`."""
        return math.inf if self.timeout is None else self.started + self.timeout

    def say(self, text: str) -> None:
        """Tell the reader something."""
        self.display.tell(Said(text))

    def note(self, notes: Iterable[str]) -> None:
        """Tell what the user should know, a line each."""
        for note in notes:
            self.say(f"  note:    {note}")


KINDS = {
    name: kind
    for name, kind in get_type_hints(Options, include_extras=True).items()
    if name not in ("display", "started")  # of the command or the call itself
}
"""What each option may be, by its name."""


def misfits(kinds: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with values of options, by the annotation of each."""
    for name, kind in kinds.items():
        _, problems = check_value(kind, values[name], (str,) if name in ADDRESSES else ())
        yield from (problem.under(f"--{name.replace('_', '-')}") for problem in problems)
