"""Whose error it is: the setting whose code, of a user's own, raised it."""

import traceback
from types import FrameType

from harness.clipping import ClippingRule
from harness.engine.misfit import Misfit
from harness.optimizers import Optimizer
from harness.settings.modules import owner
from harness.tasks.task import Task

PARTS = {"clipping": ClippingRule, "optimizer": Optimizer, "task": Task}
"""The settings, by path, whose own code a step runs besides the model's."""


def culprit(error: BaseException) -> str:
    """The path of the setting whose code raised an error, as far as its traceback tells; "" of the model's and where it does not.

    Args:
        error: raised by a run's training, or by what is tried of it.
    """
    if isinstance(error, Misfit):
        return "clipping"
    outermost_first = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return next(filter(None, map(_path_of, outermost_first)), "")


def _path_of(frame: FrameType) -> str:
    """Whose method it is of a user's own; what ours do with a model's output fails by that."""
    if owner(frame.f_globals.get("__name__")) == "harness":
        return ""
    return next((path for path, kind in PARTS.items() if isinstance(frame.f_locals.get("self"), kind)), "")
