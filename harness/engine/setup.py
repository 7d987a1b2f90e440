"""`Setup`: everything that decides how one trial trains, with no sweep or search left in it."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from harness.clipping import ClippingRule, GlobalNorm
from harness.engine.diagnostics import Diagnostics
from harness.models.model import Model
from harness.optimizers import Adam, Optimizer
from harness.settings import Component, Count, Fraction, Problem, Sweep, Tune, first_line, show
from harness.settings.checking import check_value
from harness.settings.component import element_kind
from harness.settings.quantities import MayVanish
from harness.settings.schedules import Schedule, extremes
from harness.tasks.task import Differ, Task

Steps = Annotated[int, Field(ge=1, le=10**7)]


class Setup(Component):
    """The settings of one trial: a study's training part with every sweep and tuned value filled in.

    Args:
        batch_size: examples of a forward pass.
        steps: updates of the parameters.
        tf32: let CUDA devices round the factors of matrix products to ten bits: faster, and another result.
        accumulate: batches whose mean gradient makes one step, which so sees `accumulate` × `batch_size` examples.
        precision: of forward and backward passes: `fp32`, or `bf16` as in `torch.autocast`; parameters, gradients, clipping
            and optimizer are single precision in both.
        label_smoothing: share of the uniform distribution in the targets of the training loss, as in
            `torch.nn.functional.cross_entropy` (Szegedy et al. 2016, arXiv:1512.00567). What is evaluated, on any split, is the
            plain loss.
        patience: training ends after so many evaluations in a row without a new least validation loss (Prechelt 1998), and
            all metrics are those of the weights with the least; None: it does not, and they are those of the last step.
        differ: what differs between seeds: `all`; `data`, only the examples, as the task's `resample` has them drawn; or
            `noise`, only what is drawn while a run trains and is measured, above all the masks of dropout. Whatever else is
            drawn is that of seed 0, so that churn under `data`, less that under `noise`, is what the data alone change.
    """

    task: Task
    model: Model
    clipping: ClippingRule = GlobalNorm()
    optimizer: Optimizer = Adam()
    batch_size: Count = 64
    steps: Steps = 1000
    tf32: bool = False
    accumulate: Count = 1
    precision: Literal["fp32", "bf16"] = "fp32"
    label_smoothing: Fraction = 0.0
    patience: Count | None = None
    differ: Differ = "all"
    metrics: Diagnostics = Diagnostics()

    later: ClassVar[frozenset[str]] = frozenset({"differ"})

    @property
    def examples_a_step(self) -> int:
        """Training examples that a step sees."""
        return self.batch_size * self.accumulate

    def check(self) -> list[Problem]:
        """See `Component.check`: the values of schedules, as far as these are known, are what their places ask for."""
        found = []
        for name in ("model", "clipping", "optimizer"):
            part = self.values()[name]
            if isinstance(part, Component) and isinstance(self.steps, int):
                found += [problem.under(name) for problem in _schedule_problems(part, self.steps)]
        return found


def _schedule_problems(part: Component, steps: int) -> Iterator[Problem]:
    """What is wrong with the values of a component's schedules in a training of so many steps."""
    for name, kind in part.kinds().items():
        value = part.values().get(name)
        if isinstance(value, Schedule):
            yield from (problem.under(name) for problem in _value_problems(value, kind, steps))
        elif isinstance(value, list | tuple):
            for i, level in enumerate(value):
                if isinstance(level, Schedule):
                    yield from (p.under(f"{name}.{i}") for p in _value_problems(level, element_kind(kind, i), steps))


def _value_problems(schedule: Schedule, kind: Any, steps: int) -> list[Problem]:
    if schedule.problems() or any(isinstance(value, Sweep | Tune) for _, value in schedule.walk()):
        return []
    try:
        ends = extremes(schedule, steps)
    except Exception as error:  # of a user's own function
        return [Problem("", f"gives no values: {first_line(error)}", show(schedule))]
    may_vanish = any(isinstance(note, MayVanish) for note in getattr(kind, "__metadata__", ()))
    for value, step in ends:
        if not (may_vanish and value == 0) and (wrong := check_value(kind, value, ())[1]):
            return [Problem("", f"{wrong[0].message}, at step {step} of {show(schedule)}", show(value))]
    return []
