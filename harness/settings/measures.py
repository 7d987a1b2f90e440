"""`Measure`: a metric of a user's own, a function of a model's outputs or of a run's curves."""

import math
import numbers
from collections.abc import Callable
from typing import Any, Literal

import pandas as pd
import torch
from torch import Tensor

from harness.settings.component import Component
from harness.settings.functions import needed_arguments, said_of, unnamed
from harness.settings.measured_on import TEST, TRAIN, VALIDATION
from harness.settings.metrics import METRICS, RATE, SHARES, Metric
from harness.settings.problems import Problem
from harness.settings.roles import Sweep, Tune
from harness.settings.show import show

EXAMPLES = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
"""Splits that a function of outputs is measured on, and the words for it, see `measured_on`."""

OF_CURVES = f"training, batch by batch, {VALIDATION}"

TAKEN = (
    "trial", "seed", "phase", "status", "steps_done", "predictions", "n_seeds", "n_diverged", "n_collapsed", "n_failed",
)  # fmt: skip
"""Names that mean something else where metrics stand."""


class Measure(Component):
    """A metric of a user's own: its name is the function's, its meaning the first line of the function's docstring.

    A function of two arguments, `(outputs, targets)`, gives a number for each example, in a tensor (batch,). Outputs are what
    the module returns for a batch in evaluation, targets the task's. It makes the metrics `train_NAME` (on the examples of
    `train_loss`), `validation_NAME` and, of runs that are tested, `test_NAME`: means over examples, of the weights that all
    final metrics are of. What it gives an example must not depend on the others of its batch. An example for which it gives NaN
    does not count, such as a negative one in a recall, unless the outputs are not finite; a run none of whose examples has a value has none.

    A function of one argument is given the curve of a run, a table with the columns step, loss, grad_norm, clipped,
    update_ratio and validation_loss and a row for each logged step, and returns one number, the metric `NAME`.

    NaN of a curve is a missing value. A run that became non-finite ranks worst, where one direction is good; but a function of
    the curve whose answer does not depend on the steps from there on, as one of the first step, says of it what it says of any run.

    Args:
        function: the user's.
        unit: of its numbers. "error" and all that begins with "share" lie between 0 and 1; "share of runs" is, of a run, 0 or 1.
        better: which direction is good, if one is.
    """

    function: Callable[..., Any]
    unit: str
    better: Literal["lower", "higher"] | None = None

    def __init__(self, /, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.register()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """As another process made it: its metrics are known in this one too."""
        self.__dict__.update(state)
        self.register()

    def code(self) -> list[Any]:
        """See `Component.code`: with the function."""
        return [*super().code(), self.function]

    @property
    def name(self) -> str:
        """That of the function."""
        return str(getattr(self.function, "__name__", ""))

    @property
    def of_curves(self) -> bool:
        """Whether the function is one of a run's curve, not of outputs."""
        return needed_arguments(self.function) == 1

    def check(self) -> list[Problem]:
        """See `Component.check`: its metrics have names of their own."""
        if message := unnamed(self.function):
            return [Problem("function", message, show(self.function))]
        if needed_arguments(self.function) not in (1, 2):
            message = "must take two arguments, (outputs, targets), or one, the curve of a run"
            return [Problem("function", message, show(self.function))]
        if self.name in TAKEN or any(n in METRICS and not METRICS[n].own for n in (self.name, *self.metrics())):
            return [Problem("function", "has the name of something that every study records; rename it", self.name)]
        if not self.unit.strip():
            return [Problem("unit", "must not be empty", show(self.unit))]
        if self.unit == RATE and not self.of_curves:
            message = (
                "is that of what a run does or does not, and a mean over examples is neither; such as share of examples"
            )
            return [Problem("unit", message, show(self.unit))]
        return []

    def metrics(self) -> dict[str, Metric]:
        """What its metrics mean, by name."""
        meaning = said_of(self.function).partition("\n")[0].removesuffix(".")
        if self.of_curves:
            own = Metric(
                meaning, self.unit, self.better, "stability", tunable=True, examples=OF_CURVES, of_diverged=True
            )
            return {self.name: own}
        return {
            f"{split}_{self.name}": Metric(
                f"{meaning}; mean over examples, dropout off", self.unit, self.better, "generalization",
                tunable=split != "test", examples=examples,
            )
            for split, examples in EXAMPLES.items()
        }  # fmt: skip

    def register(self) -> None:
        """Make its metrics known to all that speaks of metrics, in place of what had their names before."""
        if not self.problems() and not any(isinstance(value, Sweep | Tune) for value in self.values().values()):
            METRICS.update(self.metrics())

    def of_examples(self, outputs: Any, targets: Tensor) -> Tensor:
        """The number of each example, float64 (batch,).

        Args:
            outputs: of one module, for a batch.
            targets: (batch, …).

        Raises:
            ValueError: the function returns anything else.
            Exception: what the function raises.
        """
        found, size = self.function(outputs, targets), len(targets)
        if not isinstance(found, Tensor) or found.shape != (size,) or found.is_complex():
            got = f"{found.dtype} of shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
            raise ValueError(f"`{self.name}` must return a tensor (batch,), here of shape {(size,)}, not {got}")
        values = found.detach().double()
        self._check_numbers(values)
        return values

    def of_curve(self, curve: pd.DataFrame) -> float:
        """The number of a run, given its curve.

        Raises:
            ValueError: the function returns anything else.
            Exception: what the function raises.
        """
        found = self.function(curve)
        if isinstance(found, Tensor) and found.dim() == 0 and not found.is_complex():
            found = found.item()
        if not isinstance(found, numbers.Real):
            raise ValueError(f"`{self.name}` must return one number, not a {type(found).__name__}")
        self._check_numbers(torch.tensor(float(found), dtype=torch.float64))
        return float(found)

    def _check_numbers(self, values: Tensor) -> None:
        """Raises `ValueError` where a number is none of its unit, or infinite where that is not the worst."""
        there = values[~values.isnan()]
        worst = {"lower": math.inf, "higher": -math.inf, None: math.nan}[self.better]
        if self.unit.startswith("share") or self.unit in SHARES:
            bad = (there < 0) | (there > 1)
            words = f"and its unit, {self.unit}, is one from 0 to 1"
            if self.unit == RATE:
                bad, words = (there != 0) & (there != 1), f"and its unit, {self.unit}, is 0 or 1 for a run"
        else:
            bad, words = there.isinf() & (there != worst), "which is not worse than all others; NaN is missing"
        if bool(bad.any()):
            raise ValueError(f"`{self.name}` gives {float(there[bad][0])}, {words}")
