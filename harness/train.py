"""The training loop: one population from its initialisation to a table of runs and a table of curves.

A pure function of its arguments: no storage, no tracking, so that any process can call it and any other can repeat it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from harness import metrics
from harness.feed import Feed
from harness.metrics import Array
from harness.population import Population, Run, per_member
from harness.settings import Component
from harness.tasks.task import Data, Task

LOGGED_POINTS = 100
"""Points of a curve: at most this many steps are logged, evenly spaced, and those at which runs are evaluated."""

LOG = ("loss", "grad_norm", "clipped", "update_ratio")
"""What is kept of every step (the update ratio: of logged steps only)."""

TRAIN_SAMPLE = 256
"""Training examples on which the training loss of a tune run is measured."""


@dataclass(frozen=True)
class Schedule:
    """At which steps, counted from 1, a run is logged and evaluated."""

    steps: int
    evaluations: int

    def evaluated(self) -> list[int]:
        """Steps after which the validation loss is measured; the last is the last step."""
        count = min(self.evaluations, self.steps)
        return [self.steps * (i + 1) // count for i in range(count)]

    def logged(self) -> list[int]:
        """Steps that appear in curves: the first, evenly spaced ones, and the evaluated ones."""
        every = -(-self.steps // LOGGED_POINTS)
        return sorted({1, *range(every, self.steps + 1, every), *self.evaluated()})


def train(
    runs: list[Run],
    *,
    evaluations: int,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    progress: Callable[[int, int], None] = lambda steps, diverged: None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Train a population and measure it.

    Args:
        runs: the members; all with the same `population.companions` key.
        evaluations: how often the validation loss is measured.
        device: where to train.
        dtype: of parameters and activations.
        progress: called after each evaluation with the steps done since the last call, summed over members, and
            the number of members that diverged since.

    Returns:
        The runs (trial, seed, status, steps_done and every metric; one row per run, in order) and their curves (trial,
        seed, step, loss, grad_norm, clipped, update_ratio, validation_loss; one row per run and logged step).
    """
    setup = runs[0].setup
    schedule = Schedule(setup.steps, evaluations)
    data = _examples(runs)
    population = Population(runs, data, device=device, dtype=dtype)
    feed = Feed(runs, data, device=device, dtype=dtype)
    clipping, optimizer = Columns(setup.clipping, runs, device), Columns(setup.optimizer, runs, device)
    history = History(setup.steps, len(runs), device, dtype)
    state = [torch.zeros_like(population.parameters) for _ in setup.optimizer.state_names]
    updates = torch.zeros((), dtype=torch.float64, device=device)
    logged, done = set(schedule.logged()), 0
    for stop in schedule.evaluated():
        batches = feed.indices(stop - done)
        if done == 0:
            population.prepare(feed.gather(batches[0])[0][0])
        for step, batch in enumerate(batches, start=done + 1):
            before = population.parameters.clone() if step in logged else None
            population.draw_dropout()
            losses = population.losses(*feed.gather(batch))
            norms = torch.linalg.vector_norm(population.gradient, dim=1, keepdim=True)
            gradient, clipped = setup.clipping.clip(population.gradient, norms, **clipping.cast(dtype))
            updates += 1
            setup.optimizer.update(population.parameters, gradient, updates, *state, **optimizer.columns)
            history.write(step, losses, norms, clipped)
            if before is not None:
                history.write_update(step, before, population.parameters)
        history.evaluate(stop, mean(*scores(population, feed, "validation")))
        kept = history.surviving(stop, population.parameters)
        progress(len(population) * (stop - done), len(population) - len(kept))
        done = stop
        if len(kept) < len(population):
            state = [tensor[kept] for tensor in state]
            for part in (population, feed, clipping, optimizer, history):
                part.keep(kept)
        if not len(kept):
            break
    final = measure(population, feed) if len(population) else {}
    return run_table(runs, history, final), curve_table(runs, history, schedule.logged())


class Columns:
    """The numeric settings of a clipping rule or optimizer as float64 columns (member, 1)."""

    def __init__(self, component: Component, runs: list[Run], device: torch.device) -> None:
        field = next(n for n, v in runs[0].setup.values().items() if v is component)
        values = [per_member(getattr(run.setup, field)) for run in runs]
        self.columns = {
            name: torch.tensor([[v[name]] for v in values], dtype=torch.float64, device=device) for name in values[0]
        }

    def cast(self, dtype: torch.dtype) -> dict[str, Tensor]:
        """The columns in another floating-point type."""
        return {name: column.to(dtype) for name, column in self.columns.items()}

    def keep(self, kept: Tensor) -> None:
        """Go on with some members only."""
        self.columns = {name: column[kept] for name, column in self.columns.items()}


class History:
    """What is kept of every step, on the device until it is asked for.

    Attributes:
        alive: int64 indices, among all runs, of the members that still train.
        diverged_at: (run,) the step at which a run diverged, 0 where it did not.
        validation: (step, 2, run) loss and error on the validation split, NaN where not measured.
    """

    def __init__(self, steps: int, members: int, device: torch.device, dtype: torch.dtype) -> None:
        self._log = torch.full((steps, 4, members), torch.nan, device=device, dtype=dtype)
        self.validation = np.full((steps, 2, members), np.nan)
        self.alive = torch.arange(members, device=device)
        self.diverged_at = np.zeros(members, dtype=np.int64)

    def write(self, step: int, losses: Tensor, norms: Tensor, clipped: Tensor) -> None:
        """Keep one step: losses (member,), norms and clipped (member, 1)."""
        self._log[step - 1, :3, self.alive] = torch.stack([losses, norms[:, 0], clipped[:, 0].to(losses.dtype)])

    def write_update(self, step: int, before: Tensor, after: Tensor) -> None:
        """Keep ‖Δθ‖ / ‖θ‖ of one step from the parameters around it, (member, parameters)."""
        ratio = torch.linalg.vector_norm(after - before, dim=1) / torch.linalg.vector_norm(before, dim=1)
        self._log[step - 1, 3, self.alive] = ratio

    def evaluate(self, step: int, values: Array) -> None:
        """Keep validation loss and error, (2, member)."""
        self.validation[step - 1][:, self.alive.cpu().numpy()] = values

    def surviving(self, step: int, parameters: Tensor) -> Tensor:
        """Find who diverged up to this step; returns the int64 indices of the members that did not."""
        alive = self.alive.cpu().numpy()
        found = metrics.divergence_step(self._log[:step, 0].double().cpu().numpy()[:, alive])
        finite = parameters.isfinite().all(1).cpu().numpy()
        self.diverged_at[alive] = np.where((found == 0) & ~finite, step, found)
        return (torch.from_numpy(self.diverged_at[alive]).to(self.alive.device) == 0).nonzero()[:, 0]

    def keep(self, kept: Tensor) -> None:
        """Go on with some members only."""
        self.alive = self.alive[kept]

    def arrays(self) -> dict[str, Array]:
        """Every column of the log and the validation loss, (step, run) each, NaN after a run diverged."""
        columns = {name: self._log[:, i].double().cpu().numpy() for i, name in enumerate(LOG)}
        columns["validation_loss"] = self.validation[:, 0].copy()
        step = np.arange(1, len(self._log) + 1)[:, None]
        over = (self.diverged_at > 0) & (step > self.diverged_at)
        for column in columns.values():
            column[over] = np.nan
        return columns


@torch.no_grad()
def scores(population: Population, feed: Feed, split: str, at_most: int | None = None) -> tuple[Array, Array]:
    """Loss and error of every example of a split, dropout off.

    Returns:
        (2, member, example) scores and how many examples of each member count, (member,).
    """
    indices, counts = feed.split(split, at_most)
    chunk = population.runs[0].setup.batch_size  # as large as memory and caches are known to bear
    parts = [population.scores(*feed.gather(part)) for part in torch.split(indices, chunk, dim=1)]
    return torch.cat(parts, 2).double().cpu().numpy(), counts.cpu().numpy()


def mean(values: Array, counts: Array) -> Array:
    """Mean over the first `counts` examples, (…, member) from (…, member, example)."""
    inside = np.arange(values.shape[-1]) < counts[:, None]
    return np.asarray(np.where(inside, values, 0.0).sum(-1) / counts)


def measure(population: Population, feed: Feed) -> dict[str, Array]:
    """Metrics of the trained weights, (member,) each. Test data is touched here, once, for runs of the confirm phase."""
    if not population.runs[0].confirm:
        train_loss, train_error = mean(*scores(population, feed, "train", TRAIN_SAMPLE))
        return {"train_loss": train_loss, "train_error": train_error}
    test, test_counts = scores(population, feed, "test")
    train, train_counts = scores(population, feed, "train", int(test_counts.max()))
    same = np.minimum(test_counts, train_counts)
    (train_loss, train_error), (test_loss, test_error) = mean(train, train_counts), mean(test, test_counts)
    gap = mean(test, same)[0] - mean(train, same)[0]
    found = {
        "train_loss": train_loss,
        "train_error": train_error,
        "test_loss": test_loss,
        "test_error": test_error,
        "gap": gap,
    }
    x, _ = feed.gather(feed.indices(1)[0])
    return found | {f"{mode}_noise": _dropout_noise(population, x, train=mode == "train") for mode in ("train", "eval")}


@torch.no_grad()
def _dropout_noise(population: Population, x: Tensor, *, train: bool) -> Array:
    """Largest change of an output between two draws of dropout, (member,)."""
    outputs = []
    for _ in range(2):
        population.draw_dropout()
        outputs.append(population.outputs(x, train=train))
    return (outputs[0] - outputs[1]).abs().flatten(1).amax(1).double().cpu().numpy()


def run_table(runs: list[Run], history: History, final: dict[str, Array]) -> pd.DataFrame:
    """One row per run: trial, seed, status, steps_done and every metric, in the order of `metrics.METRICS`."""
    diverged = history.diverged_at > 0
    steps = len(history.validation)
    columns = metrics.stability(history.arrays()) | {"diverged": diverged.astype(float)}
    final = final | dict(
        zip(
            ("validation_loss", "validation_error"), history.validation[-1][:, history.alive.cpu().numpy()], strict=True
        )
    )
    for name, metric in metrics.METRICS.items():
        if name not in columns:
            columns[name] = np.full(len(runs), np.nan)
            if name in final:
                columns[name][history.alive.cpu().numpy()] = final[name]
            if metric.group == "generalization" and (metric.tunable or runs[0].confirm):
                columns[name][diverged] = np.inf
    identity = {
        "trial": [run.trial for run in runs],
        "seed": [run.seed for run in runs],
        "status": np.where(diverged, "diverged", "finished"),
        "steps_done": np.where(diverged, history.diverged_at, steps),
    }
    return pd.DataFrame(identity | {name: columns[name] for name in metrics.METRICS})


def curve_table(runs: list[Run], history: History, logged: list[int]) -> pd.DataFrame:
    """One row per run and logged step."""
    rows = np.array(logged) - 1
    columns = {name: values[rows].T.ravel() for name, values in history.arrays().items()}
    identity = {
        "trial": np.repeat([run.trial for run in runs], len(rows)),
        "seed": np.repeat([run.seed for run in runs], len(rows)),
        "step": np.tile(logged, len(runs)),
    }
    return pd.DataFrame(identity | columns)


def _examples(runs: list[Run]) -> list[Data]:
    """Each member's data; members with equal task and seed get the same object."""
    found: dict[tuple[Task, int], Data] = {}
    for run in runs:
        key = (run.setup.task, run.seed)
        if key not in found:
            found[key] = run.setup.task.data(run.seed)
    return [found[run.setup.task, run.seed] for run in runs]
