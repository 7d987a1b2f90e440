"""What the training loop works with: a population, its examples, its optimizer's step, and what is recorded of it.

`harness.engine.train` says in which order; here stands how each part of it is prepared, logged, evaluated and compacted.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.engine.capture import Captured
from harness.engine.diagnostics.diagnosis import Diagnosis
from harness.engine.early_stopping import EarlyStopping
from harness.engine.evaluation import mean, scores
from harness.engine.feed import Feed
from harness.engine.final_metrics import final_metrics, guess_loss
from harness.engine.history import History, LoggingSteps
from harness.engine.measuring import unchanged
from harness.engine.members import Members
from harness.engine.own_measures import output_measures
from harness.engine.plain_member import PlainMember
from harness.engine.population import Population
from harness.engine.runs import Run, examples
from harness.engine.stability import Array
from harness.engine.step import Stepper, StepRecord
from harness.tasks.task import Data


class Training:
    """A population in training.

    Args:
        runs: the members, ordered by seed.
        when: which steps are logged and evaluated.
        device: where to train.
        dtype: of parameters and activations.
        capture: let a CUDA device repeat the step as a graph.

    Attributes:
        population: the members that still train.
        history: what is recorded of all members.
        guess_loss: (run,) what each run's training loss is to be below, see `final_metrics.guess_loss`.
    """

    def __init__(
        self, runs: list[Run], when: LoggingSteps, *, device: torch.device, dtype: torch.dtype, capture: bool
    ) -> None:
        data = examples(runs)
        guesses = {(id(own), run.confirm): guess_loss(run, own) for run, own in zip(runs, data, strict=True)}
        self.guess_loss = np.array([guesses[id(own), run.confirm] for run, own in zip(runs, data, strict=True)])
        self.population = members(runs, data, device=device, dtype=dtype)
        self._feed = Feed(runs, data, device=device, dtype=dtype)
        self._stepper = Stepper(runs, self.population)
        self.history = History(when, len(runs), device, dtype)
        self._diagnosis = Diagnosis(self.population, self._feed)
        self._stopping = None if runs[0].setup.patience is None else EarlyStopping(self.population)
        self._captured: Captured | None = None
        self._limit_threads()
        self.population.learn(self._feed.gather(self._feed.peek()[:, : runs[0].setup.batch_size])[0][0])
        with unchanged(self.population):
            self.history.at_start = self._validation()[0]
        if capture and device.type == "cuda" and self.population.repeats:
            self._captured = Captured(self._step, self.population)

    def draw_batches(self, steps: int) -> Tensor:
        """The next training batches, (step, member, batch) indices of examples."""
        return self._feed.indices(steps)

    def step(self, batch: Tensor) -> StepRecord:
        """Take a training step on the examples at (member, batch) indices."""
        return self._step(batch) if self._captured is None else StepRecord(*self._captured(batch))

    def _step(self, batch: Tensor) -> StepRecord:
        return self._stepper.step(*self._feed.gather(batch))

    def log(self, step: int, record: StepRecord, before: Tensor | None) -> None:
        """Record a step; `before` are the parameters before it, where `parameters_before` gave them."""
        self.history.write(step, record)
        if before is not None:
            self.history.write_update(step, before, self.population.parameters)

    def parameters_before(self, step: int) -> Tensor | None:
        """A copy of the parameters, (member, parameters), if the update of the step to come is to be logged."""
        return self.population.parameters.clone() if self.history.logs(step) else None

    def evaluate(self, step: int) -> tuple[Tensor, Tensor]:
        """Measure the weights after a step on the validation split.

        Returns:
            The indices of the members that are finite, and of those among them that train on.

        Raises:
            Unbatchable: see `Members.check`.
        """
        self.population.check()
        with unchanged(self.population):
            validation = self._validation()
            self._diagnosis.evaluate(step, validation[0])
        self.history.evaluate(step, validation)
        survivors = self.history.survivors(step, self.population.parameters)
        if self._stopping is None:
            return survivors, survivors
        stops = self._stopping.see(step, validation[0])[survivors]
        self.history.stop(step, survivors[stops])
        return survivors, survivors[~stops]

    def _validation(self) -> Array:
        """Loss and error on the validation split, (2, member)."""
        return mean(*scores(self.population, self._feed, "validation"))

    def compact(self, survivors: Tensor) -> None:
        """Go on with the members at these indices only; the others stop costing."""
        if len(survivors) == len(self.population):
            return
        parts = (
            self.population,
            self._feed,
            self._stepper,
            self.history,
            self._diagnosis,
            self._captured,
            self._stopping,
        )
        for part in parts:
            if part is not None:
                part.compact(survivors)
        self._limit_threads()

    def _limit_threads(self) -> None:
        """Never more threads than members: which thread sums what would then decide the last bit."""
        torch.set_num_threads(min(torch.get_num_threads(), max(1, len(self.population))))

    def final_metrics(self) -> dict[str, Any]:
        """What is measured of the runs that stayed finite, once all are trained, (run,) each.

        Of their last weights; with a patience of their best ones, as the step of these left them.
        """
        finite = self.history.finite()
        if not finite:
            return {}
        if self._stopping is not None:
            self._stopping.restore(finite)
            self._feed.restart(finite)
            self.history.measured_at = self._stopping.best_step
        with unchanged(self.population):
            found = final_metrics(self.population, self._feed)
        with unchanged(self.population):
            found |= self._diagnosis.final(finite, found)
        with unchanged(self.population):
            found |= output_measures(self.population, self._feed)
        return found if self._stopping is None else found | self._stopping.metrics(finite, found)


def members(runs: list[Run], data: list[Data], *, device: torch.device, dtype: torch.dtype) -> Members:
    """Several runs as a population; one by the plain loop."""
    if len(runs) == 1:
        return PlainMember(runs[0], data[0], device=device, dtype=dtype)
    return Population(runs, data, device=device, dtype=dtype)
