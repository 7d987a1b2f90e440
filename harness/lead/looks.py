"""`--until-decided`: a study look by look, until none of its claims is open."""

from collections.abc import Callable

from harness.lead.flow import Outcome
from harness.lead.terminal.events import Look, Tell
from harness.settings import InvalidStudy, Problem
from harness.study import Estimated, Study


def run_until_decided(study: Study, run: Callable[[Study], Outcome], tell: Tell) -> Outcome:
    """Run a study at each of its planned looks, the first that leaves no claim open being the last.

    Args:
        study: with looks.
        run: all stages for the seeds up to a look.
        tell: is told of each look.

    Raises:
        InvalidStudy: no looks are planned, or nothing is claimed that they could decide.
    """
    check_looks(study)
    for n in study.looks:
        outcome = run(study.up_to(n))
        still = [verdict for verdict in outcome.verdicts if verdict.is_open]
        decided = [verdict for verdict in outcome.verdicts if verdict.look == n]
        following = next((later for later in study.looks if later > n), None) if still else None
        tell(Look(n, study.looks[-1], decided, len(still), following))
        if not still:
            break
    return outcome


def check_looks(study: Study) -> None:
    """Raises `InvalidStudy` where no looks are planned, or nothing is claimed that they could decide."""
    if not study.looks:
        raise InvalidStudy([Problem("--until-decided", "needs planned looks, such as looks=(10, 20, 40) in the study")])
    if not any(isinstance(claim, Estimated) for claim in study.claims):
        raise InvalidStudy([Problem("--until-decided", "the study has no claim that statistics decide")])
