"""What happens while a study runs: one stream of events, which `harness.lead.terminal.displays` shows to people or writes for machines.

`harness run --json` writes each as a line on stdout and nothing else there: a JSON object with `event`, `at_s` (seconds since the
command began) and

- `study`, once: `study` (its name), `factors` (levels of what is swept, as text), `cells`, `runs`, `steps` (summed over runs);
- `phase`: `phase`, one of `prepare` (how its runs train is found out), `tune`, `widen`, `confirm`, `report`;
- `progress`, at most one a second: `phase`, `runs`, `done_runs`, `steps`, `done_steps`, `share` (of the work, 0 to 1), `left_s`
  (seconds that training goes on), `steps_per_s`, `cells`, `done_cells`, `members` (least and most of what trains together),
  `diverged`, `collapsed`, `failed`, `best` (`metric`, `value`, `seeds`, `levels`; of this launch), of which some may be null;
- `message`: `text`, as a reader gets it, and whether it is `urgent`, about something that went wrong;
- `look`, with `--until-decided`: `seeds`, `most`, `decided` (titles of claims), `open` (how many are), `next` (seeds, or null);
- `verdict`, of each claim: `claim` (its title), `verdict`, `label`, `sentence`, `estimand`, `estimate`, `low`, `high`, `level`,
  `smallest_effect`, `n`, `look` (seeds at which it was decided, or null), `registered`; numbers that are not finite are text;
- `end`, the last: `exit_code`, `text` (what went wrong and what to do, or ""), `problems` (`path`, `message`, `got` each), and, where
  there are any, `report` (its path), `tracking` (the command that serves the runs), `page` (the address that shows them),
  `tuning` (the command that shows the search), `failed` (runs).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Union

from harness.settings import Problem
from harness.settings.show import counted

if TYPE_CHECKING:
    from harness.inference.verdict import Verdict
    from harness.lead.progress.progress import Progress

OF_VERDICT = (
    "verdict", "label", "sentence", "estimand", "estimate", "low", "high", "level", "smallest_effect", "n", "look", "registered",
)  # fmt: skip


@dataclass(frozen=True)
class Began:
    """A study is about to be run; `factors` are the levels of what is swept, as text by path."""

    study: str
    factors: Mapping[str, Sequence[str]]
    cells: int
    runs: int
    steps: int


@dataclass(frozen=True)
class Phase:
    """A phase begins: `prepare`, `tune`, `widen`, `confirm` or `report`."""

    phase: str


@dataclass(frozen=True)
class Said:
    """Something for the reader; what is `urgent` is shown in any case."""

    text: str
    urgent: bool = False


@dataclass(frozen=True)
class Look:
    """A planned look was taken.

    Attributes:
        seeds: at it.
        most: of the last one.
        decided: the verdicts that it decided.
        still_open: claims that are.
        following: seeds of the next look; None where there is none.
    """

    seeds: int
    most: int
    decided: Sequence["Verdict"]
    still_open: int
    following: int | None

    @property
    def text(self) -> str:
        """For a reader."""
        words = "; ".join(f"“{verdict.title}” is {verdict.verdict}" for verdict in self.decided)
        left = f"{counted(self.still_open, 'claim is', 'claims are')} open" if self.still_open else "no claim is open"
        after = f", the next look is at {self.following}" if self.following is not None else ""
        return f"Look at {self.seeds} of at most {self.most} seeds: {words or 'nothing was decided'}; {left}{after}."


@dataclass(frozen=True)
class Judged:
    """What came of a claim."""

    verdict: "Verdict"


@dataclass(frozen=True)
class Ended:
    """The command is over; `text` says what went wrong and what to do."""

    exit_code: int
    text: str = ""
    problems: Sequence[Problem] = ()
    more: Mapping[str, Any] = field(default_factory=dict)


Event = Union[Began, Phase, Said, Look, Judged, Ended, "Progress"]

Tell = Callable[[Event], None]
"""Takes each event."""


def as_json(event: Event) -> dict[str, Any]:
    """An event as plain JSON values, see the module."""
    match event:
        case Began():
            return {"event": "study", **asdict(event)}
        case Phase():
            return {"event": "phase", "phase": event.phase}
        case Said():
            return {"event": "message", "text": event.text, "urgent": event.urgent}
        case Look():
            titles = [verdict.title for verdict in event.decided]
            told = {"seeds": event.seeds, "most": event.most, "decided": titles}
            return {"event": "look", **told, "open": event.still_open, "next": event.following}
        case Judged():
            return {"event": "verdict", "claim": event.verdict.title, **_of_verdict(event.verdict)}
        case Ended():
            told = {"exit_code": event.exit_code, "text": event.text, "problems": list(map(asdict, event.problems))}
            return {"event": "end", **told, **event.more}
    return {"event": "progress", **event.snapshot()}


def _of_verdict(verdict: "Verdict") -> dict[str, Any]:
    from harness.inference import verdict as verdicts  # it takes a second, and no verdict comes before that is over

    found = verdicts.as_json(verdict)
    return {name: found[name] for name in OF_VERDICT}
