"""Settings: what every part of a study is written with, and small tools that know nothing of studies.

Ground floor: a component is a frozen record of settings; a setting is fixed, swept (`Sweep`) or tuned (`Tune`).
"""

from harness.settings.component import Component
from harness.settings.problems import InvalidStudy, Note, Problem, first_line, nearest, printable
from harness.settings.quantities import Bound, Count, Fraction, LearningRate, NonNegative, Positive, Probability
from harness.settings.roles import Sweep, Tune
from harness.settings.show import ranges, show

__all__ = [
    "Bound",
    "Component",
    "Count",
    "Fraction",
    "InvalidStudy",
    "LearningRate",
    "NonNegative",
    "Note",
    "Positive",
    "Probability",
    "Problem",
    "Sweep",
    "Tune",
    "first_line",
    "nearest",
    "printable",
    "ranges",
    "show",
]
