"""What a run is: everything that decides its numbers, as text by path, and in short its key."""

import hashlib

from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.settings import show

RESULTS_VERSION = 2
"""Of the numbers that this engine gives. Raised by hand when a change of the code moves them by more than rounding, so that
runs of before are not taken for runs of now; `tests/test_content.py` notices."""


def content(setup: Setup, evaluations: int) -> dict[str, str]:
    """Everything that decides the numbers of a run but its seed, as text by path.

    What is measured is left out: training is the same whatever is.

    Args:
        setup: what it trains.
        evaluations: times during training at which the validation loss is measured.
    """
    settings = {path: show(value) for path, value in setup.walk() if path.partition(".")[0] != "metrics"}
    parts = ((path, part) for path, part in setup.components() if path.partition(".")[0] != "metrics")
    identities = {f"{path} is": part.identity() for path, part in parts}
    others = {"evaluations": str(evaluations), "data": setup.task.data_digest(), "results": str(RESULTS_VERSION)}
    return settings | identities | others


def trial_key(setup: Setup, evaluations: int, *, confirm: bool) -> str:
    """What the runs of a trial have in common, 32 hex digits.

    Args:
        setup: what they train.
        evaluations: see `content`.
        confirm: whether they are tested.
    """
    return _short(f"{_digest(setup, evaluations)} {confirm}")


def run_key(run: Run, evaluations: int) -> str:
    """What a run is known by, 32 hex digits: runs of one key have the same numbers, to rounding."""
    return seed_key(trial_key(run.setup, evaluations, confirm=run.confirm), run.seed)


def seed_key(of_trial: str, seed: int) -> str:
    """The key of a run from that of its trial."""
    return _short(f"{of_trial} {seed}")


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _digest(setup: Setup, evaluations: int) -> str:
    """Of `content`, made once for the many seeds of a setup: a class of another study may have the same text."""
    digests: dict[int, str] = setup.__dict__.setdefault("_digests", {})
    if evaluations not in digests:
        text = repr(sorted(content(setup, evaluations).items()))
        digests[evaluations] = hashlib.sha256(text.encode()).hexdigest()
    return digests[evaluations]
