"""`--until-decided`: a study look by look, until none of its claims is open."""

from collections.abc import Callable, Sequence

from harness.inference.verdict import Verdict
from harness.lead.flow import Outcome
from harness.settings import InvalidStudy, Problem
from harness.settings.show import counted
from harness.study import Estimated, Study


def run_until_decided(study: Study, run: Callable[[Study], Outcome], say: Callable[[str], None]) -> Outcome:
    """Run a study at each of its planned looks, the first that leaves no claim open being the last.

    Args:
        study: with looks.
        run: all stages for the seeds up to a look.
        say: for the user.

    Raises:
        InvalidStudy: no looks are planned, or nothing is claimed that they could decide.
    """
    if not study.looks:
        raise InvalidStudy([Problem("--until-decided", "needs planned looks, such as looks=(10, 20, 40) in the study")])
    if not any(isinstance(claim, Estimated) for claim in study.claims):
        raise InvalidStudy([Problem("--until-decided", "the study has no claim that statistics decide")])
    for n in study.looks:
        outcome = run(study.up_to(n))
        still = [verdict for verdict in outcome.verdicts if verdict.is_open]
        say(_said(n, study.looks, outcome.verdicts, still))
        if not still:
            break
    return outcome


def _said(n: int, looks: Sequence[int], verdicts: Sequence[Verdict], still: Sequence[Verdict]) -> str:
    decided = [verdict for verdict in verdicts if verdict.look == n]
    words = [f"“{verdict.title}” is {verdict.verdict}" for verdict in decided]
    left = f"{counted(len(still), 'claim is', 'claims are')} open" if still else "no claim is open"
    after = "" if not still or n == looks[-1] else f", the next look is at {looks[list(looks).index(n) + 1]}"
    return f"Look at {n} of at most {looks[-1]} seeds: {'; '.join(words) or 'nothing was decided'}; {left}{after}."
