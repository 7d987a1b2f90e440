"""What the training loop works with: a population, its examples, its optimizer's step, and what is recorded of it.

`harness.engine.train` says in which order; here stands how each part of it is prepared, logged, evaluated and compacted.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.engine.capture import Captured
from harness.engine.clip import check_shares
from harness.engine.copies import BestWeights, Copies
from harness.engine.diagnostics.best import best_metrics
from harness.engine.diagnostics.diagnosis import Diagnosis
from harness.engine.early_stopping import EarlyStopping
from harness.engine.evaluation import mean, scores
from harness.engine.feed import Feed
from harness.engine.final_metrics import final_metrics, guess_loss
from harness.engine.history import History, LoggingSteps
from harness.engine.kept_weights import Which
from harness.engine.measuring import unchanged
from harness.engine.members import Members
from harness.engine.own_components import is_own
from harness.engine.own_measures import output_measures
from harness.engine.plain_member import PlainMember
from harness.engine.population import Population
from harness.engine.rows_apart import check_rows
from harness.engine.runs import Run, examples
from harness.engine.spot_check import looked_at, spot_check
from harness.engine.stability import Array
from harness.engine.step import Stepper, StepRecord
from harness.settings import show
from harness.settings.randomness import global_state_dict, load_global_state_dict
from harness.tasks.task import Data


class Training:
    """A population in training.

    Args:
        runs: the members, ordered by seed.
        when: which steps are logged and evaluated.
        device: where to train.
        dtype: of parameters and activations.
        capture: let a CUDA device repeat the step as a graph.
        weights: which weights are kept to the end, see `keeping.Keeping`; changes no number.
        frozen: of a run that trains alone, see `Members`.

    Attributes:
        population: the members that still train.
        history: what is recorded of all members.
        guess_loss: (run,) what each run's training loss is to be below, see `final_metrics.guess_loss`.
    """

    def __init__(
        self, runs: list[Run], when: LoggingSteps, *, device: torch.device, dtype: torch.dtype, capture: bool,
        weights: Which | None = None, frozen: bool = False,
    ) -> None:  # fmt: skip
        data = examples(runs)
        guesses = {(id(own), run.confirm): guess_loss(run, own) for run, own in zip(runs, data, strict=True)}
        self.guess_loss = np.array([guesses[id(own), run.confirm] for run, own in zip(runs, data, strict=True)])
        self.population = members(runs, data, device=device, dtype=dtype, frozen=frozen)
        self._feed = Feed(runs, data, device=device, dtype=dtype)
        self._stepper = Stepper(runs, self.population)
        self.history = History(when, len(runs), device, dtype)
        self._diagnosis = Diagnosis(self.population, self._feed)
        self._stopping = None if runs[0].setup.patience is None else EarlyStopping(self.population)
        self._measures_best = runs[0].confirm or self._stopping is not None
        self._best = BestWeights(self.population) if self._measures_best or weights == "best" else None
        self._last = Copies(self.population) if weights == "last" else None
        self._runs, self._kept = runs, {"best": self._best, "last": self._last, None: None}[weights]
        self._captured: Captured | None = None
        self._unseen = ""
        self.population.learn(self._feed.gather(self._feed.peek())[0][0])
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

    def notes(self) -> list[str]:
        """What the user should know of how it trains."""
        found, model = self._stepper.notes(), show(self._runs[0].setup.model)
        if self._captured is not None and self._captured.failure:
            why = self._captured.failure
            found.append(
                f"model: {model} takes steps operation by operation, which is slower: no CUDA graph repeats them ({why})"
            )
        if self._unseen:
            found.append(
                f"model: {model}: after its first steps it is not looked whether a population still equals the plain loop, since {self._unseen}"
            )
        return found

    def log(self, step: int, record: StepRecord, before: Tensor | None) -> None:
        """Record a step; `before` are the parameters before it, where `parameters_before` gave them."""
        self.history.write(step, record)
        if before is not None:
            self.history.write_update(step, before, self.population.parameters)

    def parameters_before(self, step: int) -> Tensor | None:
        """A copy of the parameters, (member, parameters), if the update of the step to come is to be logged."""
        return self.population.parameters.clone() if self.history.logs(step) else None

    def look(self, step: int, batch: Tensor, done: int) -> None:
        """Compare a step to come with the plain loop's, where it is time for that at the evaluation after it.

        Args:
            step: the evaluated one.
            batch: of the step to come, (member, batch) indices.
            done: the last step before that; 0 for none, whose next one the proof has seen.

        Raises:
            Unbatchable: they are not the same.
        """
        if done and looked_at(self.history.evaluation(step), len(self.history.validation)):
            norms = self.history.norms(done), self.history.norms(1)
            found = spot_check(self.population, *self._feed.gather(batch), *norms)
            self._unseen = self._unseen or found
            check_rows(self._stepper, self.population, *self._feed.gather(batch))

    def evaluate(self, step: int) -> tuple[Tensor, Tensor]:
        """Measure the weights after a step on the validation split.

        Returns:
            The indices of the members that are finite, and of those among them that train on.

        Raises:
            Unbatchable: see `Members.check`.
            Misfit: the clipping rule has called something a share that is none.
        """
        self.population.check()
        rule = self._runs[0].setup.clipping
        if is_own(rule):
            check_shares(rule, self.history.clipped_units(step))
        self.look(step, self._feed.peek(), done=step)
        with unchanged(self.population):
            validation = self._validation()
            self._diagnosis.evaluate()
        self.history.evaluate(step, validation)
        better = None if self._best is None else self._best.see(step, validation[0])
        survivors = self.history.survivors(step, self.population.parameters)
        if self._stopping is None or better is None:
            return survivors, survivors
        stops = self._stopping.see(better)[survivors]
        self.history.stop(step, survivors[stops])
        return survivors, survivors[~stops]

    def _validation(self) -> Array:
        """Loss and error on the validation split, (2, member)."""
        return mean(*scores(self.population, self._feed, "validation"))

    def compact(self, step: int, survivors: Tensor) -> None:
        """Go on from `step` with the members at these indices only; the others stop costing."""
        if self._last is not None:
            leaving = ~np.isin(np.arange(len(self.population)), survivors.cpu().numpy())
            self._last.take(step, leaving | (step == self.history.when.steps))
        if len(survivors) == len(self.population):
            return
        parts = (self.population, self._feed, self._stepper, self.history)
        for part in (*parts, self._diagnosis, self._captured, self._stopping, self._best, self._last):
            if part is not None:
                part.compact(survivors)

    def final_metrics(self) -> dict[str, Any]:
        """What is measured of the runs that stayed finite, once all are trained, (run,) each.

        Of their last weights; with a patience of their best ones, as the step of these left them.
        """
        finite = self.history.finite()
        if not finite:
            return {}
        if self._stopping is not None and self._best is not None:
            self._best.bring_back(finite)
            self._feed.restart(finite)
            self.history.measured_at = self._best.step
        with unchanged(self.population):
            found = final_metrics(self.population, self._feed)
        if self._measures_best and self._best is not None:
            at = self.history.measured_at
            found |= best_metrics(self._best, self.population, self._feed, finite, found, at)
        with unchanged(self.population):
            found |= self._diagnosis.final(finite)
        with unchanged(self.population):
            found |= output_measures(self.population, self._feed)
        return found

    def kept_weights(self) -> Iterator[tuple[Run, int, dict[str, Tensor]]]:
        """Each run, the step of the weights that are kept of it, and these; call it last: all runs are brought back.

        Raises:
            NotStorable: see `Members.weights`.
        """
        if self._kept is None:
            return
        self._kept.bring_back(list(range(len(self._runs))))
        for i, run in enumerate(self._runs):
            yield run, int(self._kept.step[i]), self.population.weights(i)

    def _parts(self) -> dict[str, Any]:
        """What has a state that decides how training goes on, by name; all but history."""
        parts = {"population": self.population, "feed": self._feed, "stepper": self._stepper}
        more = {"diagnosis": self._diagnosis, "stopping": self._stopping, "best": self._best, "last": self._last}
        return parts | {name: part for name, part in more.items() if part is not None}

    def state_dict(self, step: int) -> dict[str, Any]:
        """All that decides what comes after an evaluated step, see `checkpoint`.

        Raises:
            NotStorable: see `Members.state_dict`.
        """
        own = {name: part.state_dict() for name, part in self._parts().items()}
        alive, generators = self.history.alive, global_state_dict(self.population.device)
        return own | {"alive": alive, "history": self.history.state_dict(step), "generators": generators}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there; call it before the first step."""
        survivors = state["alive"].to(self.population.device)
        if len(survivors) < len(self.population):
            for part in (self.population, self._feed, self._stepper, self.history):
                part.compact(survivors)
        self.history.load_state_dict(state["history"])
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        load_global_state_dict(state["generators"], self.population.device)


def members(
    runs: list[Run], data: list[Data], *, device: torch.device, dtype: torch.dtype, frozen: bool = False
) -> Members:  # fmt: skip
    """Several runs as a population; one by the plain loop."""
    if len(runs) == 1:
        return PlainMember(runs[0], data[0], device=device, dtype=dtype, frozen=frozen)
    return Population(runs, data, device=device, dtype=dtype)
