"""What the command line says of claims: before anything trains, of those that are not registered; at the end, their verdicts."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from harness.settings.show import counted, level_text
from harness.study.registration import Registration

if TYPE_CHECKING:  # the statistics take a second to import, which a start should not pay
    from harness.inference.verdict import Verdict


def said_of(registrations: Sequence[Registration]) -> Iterator[str]:
    """A line for each claim that was not registered as it is, or is withdrawn."""
    for one in registrations:
        if one.state != "registered" or one.withdrawn:
            yield f"  claim:   “{one.claim.title}”: {one.sentence}"


def is_as_registered(verdict: "Verdict") -> bool:
    """Whether there is nothing to say of a claim but its verdict."""
    return verdict.registration == "registered"


def verdict_lines(verdicts: Sequence["Verdict"]) -> Iterator[str]:
    """Each verdict with its reason and its interval, and how its claim stands to the record of claims."""
    for verdict in verdicts:
        yield _line(verdict)
        if interval := interval_of(verdict):
            yield f"  {interval}"
        if verdict.was is not None:
            yield f"  as it was: {_line(verdict.was)}"


def interval_of(verdict: "Verdict") -> str:
    """What was estimated, in numbers; "" where nothing was."""
    from harness.inference.intervals.interval import EVERYTHING
    from harness.reporting.page.words import at_worst, ends, interval

    if verdict.estimate is None or verdict.level is None or ends(verdict) == EVERYTHING:
        return ""
    between = f"{interval(verdict)}{at_worst(verdict)} at level {level_text(verdict.level)}%"
    least = "" if verdict.smallest_effect is None else f", δ = {verdict.smallest_effect:g}"
    return f"Δ {between}{least}, {counted(verdict.n, 'seed')}"


def _line(verdict: "Verdict") -> str:
    from harness.inference.reading import READ_AS

    mark = " (EXPLORATORY)" if verdict.registered is False else ""
    said = "" if is_as_registered(verdict) else f" [{verdict.registration}]"
    return f"{READ_AS[verdict.verdict].upper()}{mark}: {verdict.title}. {verdict.sentence}{said}"
