"""`Setup`: everything that decides how one trial trains, with no sweep or search left in it."""

from typing import Annotated

from pydantic import Field

from harness.clipping import ClippingRule, GlobalNorm
from harness.engine.diagnostics import Diagnostics
from harness.models.model import Model
from harness.optimizers import Adam, Optimizer
from harness.settings import Component, Count
from harness.tasks.task import Task

Steps = Annotated[int, Field(ge=1, le=10**7)]


class Setup(Component):
    """The settings of one trial: a study's training part with every sweep and tuned value filled in.

    Args:
        tf32: let CUDA devices round the factors of matrix products to ten bits: faster, and another result.
    """

    task: Task
    model: Model
    clipping: ClippingRule = GlobalNorm()
    optimizer: Optimizer = Adam()
    batch_size: Count = 64
    steps: Steps = 1000
    tf32: bool = False
    metrics: Diagnostics = Diagnostics()

    @property
    def examples_a_step(self) -> int:
        """Training examples that one step sees."""
        return self.batch_size
