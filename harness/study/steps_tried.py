"""The second half of a training step, tried: what is wrong with a clipping rule and an optimizer is known before training."""

from collections.abc import Callable

import torch
from torch import Tensor

from harness.engine.clip import Clip, check_shares, initial_state
from harness.engine.members import Members
from harness.engine.misfit import Misfit
from harness.engine.runs import Run
from harness.engine.update import update_of
from harness.settings import Problem, first_line, show

ALL = slice(None)


def halves_tried(run: Run, member: Members, gradient: Tensor) -> list[Problem]:
    """What is wrong with the run's clipping rule, or else with its optimizer, each of which takes the gradient as it came.

    Args:
        run: at its first step.
        member: which it is alone; its parameters change.
        gradient: of that step, (1, parameters).
    """
    halves: dict[str, Callable[[Run, Members, Tensor], None]] = {"clipping": _clip, "optimizer": _update}
    for path, half in halves.items():
        try:
            half(run, member, gradient.clone())
        except Misfit as error:
            return [Problem(path, str(error), show(run.setup.values()[path]))]
        except Exception as error:
            return [Problem(path, f"cannot take a step: {first_line(error)}", show(run.setup.values()[path]))]
    return []


def _clip(run: Run, member: Members, gradient: Tensor) -> None:
    """Raises `Misfit` where the rule calls something a share that is none, or would remember one thing of two members."""
    initial_state(run.setup.clipping, torch.zeros(2, 1), run.setup.steps)
    clip = Clip([run], member)
    clip.begin()
    check_shares(run.setup.clipping, clip(ALL, gradient).units)


def _update(run: Run, member: Members, gradient: Tensor) -> None:
    update = update_of([run], member)
    update.begin()
    update(ALL, gradient, None)
    update.end(None)
