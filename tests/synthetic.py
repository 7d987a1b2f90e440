"""Runs and curves as a study would leave them, without training anything."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from harness.engine.diagnostics import Diagnostics
from harness.engine.setup import Setup
from harness.inference.exploration.importance import importance
from harness.models import DropoutNet
from harness.reporting.page_tables import explored_metrics
from harness.reporting.plots.factors import Roles
from harness.settings import Sweep, Tune
from harness.settings.levels import stored
from harness.settings.metrics import METRICS
from harness.study import Claim, Exact, Study
from harness.tasks import Images

DIGITS = Images()
CHECKS = ("train_noise", "eval_noise")


@dataclass(frozen=True)
class FakeStudy:
    """What the report needs of a `Study`."""

    name: str = "rnn_clip"
    settings: Mapping[str, Any] = field(default_factory=dict)
    claims: tuple[Claim | Exact, ...] = ()
    published: tuple[Any, ...] = ()
    figures: tuple[Any, ...] = ()
    metrics: Diagnostics = field(default_factory=Diagnostics)
    seeds: int = 10
    objective: tuple[str, ...] = ("validation_loss",)
    within: bool = False
    tune_trials: int = 8
    sampler: str = "qmc"
    widen: bool = False
    evaluations: int = 10
    notes: tuple[str, ...] = ()

    def shared_tune_seeds(self) -> int:
        return 5

    def factors(self) -> dict[str, Any]:
        return dict(self.settings)

    def sweeps(self) -> dict[str, Sweep]:
        return {path: value for path, value in self.settings.items() if isinstance(value, Sweep)}

    def tunes(self) -> dict[str, Tune]:
        return {path: value for path, value in self.settings.items() if isinstance(value, Tune)}

    def sweeps_rates(self) -> bool:
        return Study.sweeps_rates(self)

    def tunes_within(self) -> bool:
        return self.within and bool(self.tunes())

    def confirm_seeds(self) -> list[int]:
        return list(range(self.seeds))

    def planned_seeds(self) -> list[int]:
        return list(range(self.seeds))

    def planned_looks(self) -> list[int]:
        return [self.seeds]

    def cells(self) -> list[dict[str, Any]]:
        sweeps = self.sweeps()
        return [dict(zip(sweeps, ls, strict=True)) for ls in itertools.product(*(s.levels for s in sweeps.values()))]

    def objectives(self) -> tuple[str, ...]:
        return self.objective

    def setup(self, values: Mapping[str, Any]) -> Setup:
        found = self.settings | values
        return Setup(
            task=DIGITS, model=DropoutNet(), **{name: found[name] for name in ("steps", "batch_size") if name in found}
        )

    def examples_of_seeds(self, setup: Setup) -> list[dict[str, int]]:
        return [{"train": 1079, "validation": 359, "test": 359}]


def rnn_clip(**changes: Any) -> FakeStudy:
    """The study of the design: dropout × clipping norm, learning rate tuned."""
    settings = {
        "task.length": 50,
        "model.hidden": 64,
        "model.dropout": Sweep(0.0, 0.2, 0.5),
        "clipping.max_norm": Sweep(0.25, 1.0, 5.0, math.inf),
        "optimizer.lr": Tune(0.1, 10.0, log=True),
        "batch_size": 32,
        "steps": 120,
    }
    claims = (
        Claim("Clipping prevents divergence of an RNN", metric="diverged", better="lower", smallest_effect=0.1,
              treatment={"clipping.max_norm": 1.0, "model.dropout": 0.0},
              baseline={"clipping.max_norm": math.inf, "model.dropout": 0.0}),
        Claim("Dropout <generalizes> better", metric="test_loss", better="lower", smallest_effect=0.02,
              treatment={"model.dropout": 0.2}, baseline={"model.dropout": 0.0}),
        Claim("A bound of 5 tames the gradient", metric="grad_norm_q99", better="lower", smallest_effect=0.5,
              treatment={"clipping.max_norm": 1.0}, baseline={"clipping.max_norm": 5.0}),
        Exact("Dropout acts in training only", metric="eval_noise", unless="train_noise"),
    )  # fmt: skip
    return FakeStudy(**({"settings": settings, "claims": claims} | changes))


def simulate(study: FakeStudy, *, tune_trials: int = 6, every: int = 2) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Runs and curves of a study, the same for the same study."""
    random = np.random.default_rng(7)
    runs: list[dict[str, Any]] = []
    curves: list[pd.DataFrame] = []
    steps = int(study.settings.get("steps", 120))
    tunes, trials = study.tunes(), itertools.count()
    points = [
        {path: _tuned(tune, (k + 0.5) / tune_trials) for path, tune in tunes.items()}
        for k in range(tune_trials if tunes else 0)
    ]
    for cell in study.cells():
        plan = [("tune", point, [1000]) for point in points]
        plan.append(("confirm", points[len(points) // 2] if points else {}, list(range(study.seeds))))
        for phase, point, seeds in plan:
            trial = next(trials)
            values = study.settings | cell | point
            for seed in seeds:
                run, curve = _run(values, phase, seed, steps, every, random)
                shown = {path: stored(value) for path, value in values.items()}
                runs.append({"trial": trial, "seed": seed, "phase": phase} | shown | run)
                curves.append(curve.assign(trial=trial, seed=seed))
    simulated = [name for name in METRICS if name in runs[0]]
    columns = ["trial", "seed", "phase", *study.settings, "status", "steps_done", *simulated]
    names = ["trial", "seed", "step", "loss", "grad_norm", "clipped", "update_ratio", "validation_loss"]
    return pd.DataFrame(runs)[columns], pd.concat(curves, ignore_index=True)[names]


def _tuned(tune: Tune, share: float) -> float:
    if tune.log:
        return float(tune.low * (tune.high / tune.low) ** share)
    return tune.low + (tune.high - tune.low) * share


def _number(value: Any, default: float) -> float:
    return float(value) if isinstance(value, int | float) else default


def _run(
    values: Mapping[str, Any], phase: str, seed: int, steps: int, every: int, random: np.random.Generator
) -> tuple[dict[str, Any], pd.DataFrame]:
    p = _number(values.get("model.dropout"), 0.1)
    bound = _number(values.get("clipping.max_norm"), 1.0)
    lr = _number(values.get("optimizer.lr"), 1.0)
    luck = np.random.default_rng(seed).normal()  # shared by all cells: pairs correlate
    risk = 0.75 * min(bound / 20, 1) * min(lr, 3) + 0.02 * p
    diverged = bool(random.random() < risk)
    at = np.arange(0, steps, every)
    ends = int(random.integers(steps // 6, steps)) if diverged else steps
    floor = 1.6 + 0.1 * luck * 0.5 + 0.3 * abs(np.log10(lr)) + 0.05 * (bound < 0.5)
    loss = floor + 2.2 * np.exp(-at / (steps / 4)) + 0.05 * random.normal(size=len(at)) + 0.2 * p
    norm = np.exp(random.normal(np.log(1.5 + 1.0 * (bound > 4)), 0.5, len(at))) * (1 + 2 * np.exp(-at / 20))
    evaluation = np.full(len(at), np.nan)
    marks = np.unique(np.linspace(0, len(at) - 1, 10).astype(int))
    evaluation[marks] = loss[marks] + 0.25 - 0.3 * p
    curve = pd.DataFrame(
        {
            "step": at, "loss": loss, "grad_norm": norm, "clipped": (norm > bound).astype(float),
            "update_ratio": 0.01 * lr * np.minimum(norm, bound), "validation_loss": evaluation,
        }
    )  # fmt: skip
    alive = at < ends
    curve.loc[~alive, ["loss", "grad_norm", "clipped", "update_ratio", "validation_loss"]] = np.nan
    train = floor + 0.2 * p + 0.02 * random.normal()
    gap = 0.35 - 0.5 * p + 0.6 * p * p + 0.03 * random.normal()
    metrics: dict[str, float] = {
        "train_loss": train, "validation_loss": train + gap, "test_loss": train + gap + 0.02 * random.normal(),
        "train_error": train / 4, "validation_error": (train + gap) / 4, "test_error": (train + gap) / 4 + 0.005,
        "gap": gap,
    }  # fmt: skip
    if diverged:
        metrics = dict.fromkeys(metrics, math.inf)
    if phase == "tune":
        metrics |= dict.fromkeys(("test_loss", "test_error", "gap"), math.nan)
    alive_norm = norm[alive]
    metrics |= {
        "grad_norm_median": float(np.median(alive_norm)),
        "grad_norm_q99": float(np.quantile(alive_norm, 0.99)) * (8 if diverged else 1),
        "grad_norm_max": float(alive_norm.max()) * (30 if diverged else 1),
        "clip_fraction": float((alive_norm > bound).mean()),
        "update_ratio": 0.01 * lr,
        "spike_rate": float(np.clip(0.01 * min(bound, 20) / (1 + min(bound, 20)) + 0.004 * random.normal(), 0, 1)),
        "explosion_rate": 0.0,
        "diverged": float(diverged),
        "nonfinite": float(diverged),
        "train_noise": math.nan if phase == "tune" else float(p),
        "eval_noise": math.nan if phase == "tune" else 0.0,
    }
    return {"status": "diverged" if diverged else "finished", "steps_done": ends} | metrics, curve


def roles_of(study: FakeStudy, runs: pd.DataFrame) -> Roles:
    """What figures show of a study."""
    return Roles.of(study, runs, importance(study, runs, explored_metrics(study, runs)))


def fail(runs: pd.DataFrame, chosen: "pd.Series[bool]") -> pd.DataFrame:
    """The same table with some runs failed."""
    runs = runs.copy()
    runs.loc[chosen, "status"] = "failed"
    runs.loc[chosen, [name for name in METRICS if name in runs]] = math.nan
    return runs
