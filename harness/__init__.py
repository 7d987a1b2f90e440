"""Ablations of dropout and gradient clipping that can be trusted, in about the time one run takes elsewhere.

What a study file imports, and `load`, which reads the results of one. Each name is imported when it is used (PEP 562): a
command can then answer, or start processes, before torch is there.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.engine.diagnostics import Diagnostics
    from harness.lead.interruption import Interrupted
    from harness.models import Model
    from harness.reporting.names import metrics, settings_of
    from harness.reporting.results import Results, load
    from harness.settings import InvalidStudy, roles, schedules
    from harness.settings.measures import Measure
    from harness.settings.schedules import Schedule
    from harness.settings.signatures import anywhere
    from harness.study import Claim, Equivalence, Exact, Interaction, Published, Study, Threshold, Trend

    # In place of a number or a component of any type
    Sweep, Tune = anywhere(roles.Sweep), anywhere(roles.Tune)
    Cosine, Early, Function = anywhere(schedules.Cosine), anywhere(schedules.Early), anywhere(schedules.Function)
    Late, Linear, Step = anywhere(schedules.Late), anywhere(schedules.Linear), anywhere(schedules.Step)

# Intel's library then multiplies matrices by the same sums wherever in memory they begin, and a member's numbers do not depend on
# its place in a population. It is read before a process's first product; the kernels stay those of the processor (AUTO).
os.environ.setdefault("MKL_CBWR", "AUTO")

__all__ = [
    "Claim",
    "Cosine",
    "Diagnostics",
    "Early",
    "Equivalence",
    "Exact",
    "Function",
    "Interaction",
    "Interrupted",
    "InvalidStudy",
    "Late",
    "Linear",
    "Measure",
    "Model",
    "Published",
    "Results",
    "Schedule",
    "Step",
    "Study",
    "Sweep",
    "Threshold",
    "Trend",
    "Tune",
    "load",
    "metrics",
    "settings_of",
]

_ROOMS = {
    "Claim": "harness.study",
    "Cosine": "harness.settings.schedules",
    "Diagnostics": "harness.engine.diagnostics",
    "Early": "harness.settings.schedules",
    "Equivalence": "harness.study",
    "Exact": "harness.study",
    "Function": "harness.settings.schedules",
    "Interaction": "harness.study",
    "Interrupted": "harness.lead.interruption",
    "InvalidStudy": "harness.settings",
    "Late": "harness.settings.schedules",
    "Linear": "harness.settings.schedules",
    "Measure": "harness.settings.measures",
    "Model": "harness.models",
    "Published": "harness.study",
    "Results": "harness.reporting.results",
    "Schedule": "harness.settings.schedules",
    "Step": "harness.settings.schedules",
    "Study": "harness.study",
    "Sweep": "harness.settings",
    "Threshold": "harness.study",
    "Trend": "harness.study",
    "Tune": "harness.settings",
    "load": "harness.reporting.results",
    "metrics": "harness.reporting.names",
    "settings_of": "harness.reporting.names",
}


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_ROOMS[name]), name)
    return found


def __dir__() -> list[str]:
    return [*__all__]
