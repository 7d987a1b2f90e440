"""`Experiment`: what is fixed, swept, tuned and claimed, and the cells that follow from it."""

import copy
import itertools
import math
import sys
import typing
from collections.abc import Callable
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from harness.engine.setup import Setup, Steps
from harness.settings import Component, Count, Positive, Sweep, Tune, show
from harness.settings.metrics import METRICS
from harness.study.claims import AnyClaim
from harness.study.contrasts import Levels
from harness.study.published import Published
from harness.study.statement import Estimated
from harness.tasks.split_sizes import split_sizes
from harness.tasks.usable import SPLITS

MOST_SEEDS = 10**6

SEEDS, SEEDS_BY_SIGN = 10, 20
"""Replicates unless the study says otherwise, and where a claim is about a median: a sign test finds less in as many seeds."""

TUNE_SEEDS = 5
"""Replicates of what is tried where tuned values are shared, unless the study says otherwise."""


RATE = "optimizer.lr"
"""The path of the learning rate."""


class Experiment(Setup):
    """Settings in three roles (fixed, `Sweep`, `Tune`) and claims, as they are written; see `Study`, which is checked."""

    steps: Steps | None = None  # type: ignore[assignment]  # that of a setup follows from `epochs` where this is None
    epochs: Positive | None = None
    name: str = ""
    seeds: Annotated[int, Field(ge=1, le=MOST_SEEDS)] | list[int] | tuple[int, ...] | None = None
    looks: list[Count] | tuple[Count, ...] = ()
    claims: list[AnyClaim] | tuple[AnyClaim, ...] = ()
    published: list[Published] | tuple[Published, ...] = ()
    figures: list[Callable[..., Any]] | tuple[Callable[..., Any], ...] = ()
    tune: Literal["within", "shared"] = "within"
    tune_trials: Count = 8
    tune_seeds: Count | None = None
    sampler: Literal["qmc", "tpe", "random"] = "qmc"
    widen: bool = False
    objective: str | list[str] | tuple[str, ...] = "validation_loss"
    evaluations: Count = 10

    later: ClassVar[frozenset[str]] = Setup.later | {"widen"}

    def __init__(self, /, *args: Any, **settings: Any) -> None:
        if settings.get("steps") is None and settings.get("epochs") is None:
            settings["steps"] = Setup.steps
        super().__init__(*args, **settings)

    def sweeps_rates(self) -> bool:
        """Whether each seed trains at a grid of learning rates, and all else is equal along it."""
        return self.tunes_within() and set(self.tunes()) == {RATE}

    def factors(self) -> dict[str, Any]:
        """Every training setting by factor path, in the order of the study; values may be `Sweep` or `Tune`.

        Of `steps` and `epochs` the one that is given.
        """
        if "_factors" not in self.__dict__:
            self.__dict__["_factors"] = self._walked()
        return dict(self.__dict__["_factors"])

    def _walked(self) -> dict[str, Any]:
        training = {name: value for name, value in self.written().items() if name in SETUP_FIELDS}
        training = {n: value for n, value in training.items() if value is not None or n not in ("steps", "epochs")}
        found: dict[str, Any] = {}
        for name, value in training.items():
            found |= dict(value.walk(f"{name}.")) if isinstance(value, Component) else {name: value}
        return found

    def sweeps(self) -> dict[str, Sweep]:
        """The scientific factors by path."""
        return {path: value for path, value in self.factors().items() if isinstance(value, Sweep)}

    def tunes(self) -> dict[str, Tune]:
        """The nuisance factors by path."""
        return {path: value for path, value in self.factors().items() if isinstance(value, Tune)}

    def cells(self) -> list[Levels]:
        """Every combination of swept levels, the last factor varying fastest; one empty cell without sweeps."""
        sweeps = self.sweeps()
        return [
            dict(zip(sweeps, levels, strict=True)) for levels in itertools.product(*(s.levels for s in sweeps.values()))
        ]

    def objectives(self) -> tuple[str, ...]:
        """The metrics that tuning minimises."""
        return (self.objective,) if isinstance(self.objective, str) else tuple(self.objective)

    def planned_seeds(self) -> list[int]:
        """The seeds of the confirm phase, those of every planned look included."""
        if self.seeds is None:
            return list(range(self.looks[-1] if self.looks else self._usual_seeds()))
        return list(range(self.seeds)) if isinstance(self.seeds, int) else list(self.seeds)

    def confirm_seeds(self) -> list[int]:
        """The seeds of the confirm phase, of a study `up_to` a look those until then."""
        until: int | None = self.__dict__.get("_until")
        return self.planned_seeds()[:until]

    def up_to(self, n: int) -> typing.Self:
        """The same study with its first n seeds alone; what is planned stays so."""
        found = copy.copy(self)
        found.__dict__["_until"] = n
        return found

    def _usual_seeds(self) -> int:
        by_sign = any(
            isinstance(claim, Estimated)
            and not claim.problems()
            and claim.metric in METRICS
            and claim.estimated() == "median"
            for claim in (self.claims if isinstance(self.claims, list | tuple) else ())
        )
        return SEEDS_BY_SIGN if by_sign else SEEDS

    def planned_looks(self) -> list[int]:
        """The numbers of seeds after which its claims are judged; all of them where no looks are planned."""
        return list(self.looks) or [len(self.planned_seeds())]

    def tunes_within(self) -> bool:
        """Whether every seed is tuned by itself, on its own training and validation data."""
        return bool(self.tunes()) and self.tune == "within"

    def shared_tune_seeds(self) -> int:
        """Replicates of each tune trial where tuned values are shared by all seeds."""
        return TUNE_SEEDS if self.tune_seeds is None else self.tune_seeds

    def trials_per_cell(self) -> tuple[int, int]:
        """Trials of the tune phase and of the confirm phase (with several objectives: at least)."""
        tune = self.tune_trials if self.tunes() else 0
        return tune, 0 if self.tunes_within() else 1

    def runs_per_cell(self) -> int:
        """Runs of all trials of a cell (with several objectives: at least)."""
        tune, confirm = self.trials_per_cell()
        seeds = len(self.confirm_seeds())
        return tune * (seeds if self.tunes_within() else self.shared_tune_seeds()) + confirm * seeds

    def setup(self, values: Levels) -> Setup:
        """The settings of one trial, with the steps that its epochs are.

        Args:
            values: a level or tuned value for every swept and tuned factor path.
        """
        setup = self._setup({path: value for path, value in values.items() if path != "epochs"})
        epochs = values.get("epochs", self.epochs)
        if epochs is None:
            return setup
        made: dict[Any, Setup] = self.__dict__["_setups"]
        if (setup, epochs) not in made:
            examples = self.examples(setup)
            made[setup, epochs] = setup.replace(steps=steps_of(epochs, examples["train"], setup.examples_a_step))
        return made[setup, epochs]

    def examples(self, setup: Setup) -> dict[str, int]:
        """How many examples seed 0 has in each split, by its name; one where they cannot be had, which a trial run says.

        Args:
            setup: of one of the study's trials.
        """
        try:
            return self._counted(setup.task, [0])[0]
        except Exception:  # of a user's task too
            return dict.fromkeys(SPLITS, 1)

    def examples_of_seeds(self, setup: Setup) -> list[dict[str, int]]:
        """The different numbers of examples that the seeds of the confirm phase have in each split, by its name.

        Args:
            setup: of one of the study's trials, which can be run.
        """
        return self._counted(setup.task, [0] if setup.differ == "noise" else self.confirm_seeds())

    def _counted(self, task: Any, seeds: list[int]) -> list[dict[str, int]]:
        counts: dict[Any, list[dict[str, int]]] = self.__dict__.setdefault("_counts", {})
        key = task, tuple(seeds)
        if key not in counts:
            counts[key] = split_sizes(task, seeds)
        return counts[key]

    def _setup(self, values: Levels) -> Setup:
        made: dict[Any, Setup] = self.__dict__.setdefault("_setups", {})
        key = tuple(sorted((path, show(value)) for path, value in values.items()))
        if key not in made and not values:
            training = {name: value for name, value in self.values().items() if name in Setup.__annotations__}
            made[key] = Setup(**{name: value for name, value in training.items() if value is not None})
        elif key not in made:
            *others, (path, value) = values.items()
            made[key] = self._setup(dict(others)).with_value(path, value)  # cells share all but their last level
        return made[key]


def steps_of(epochs: float, examples: int, examples_a_step: int) -> int:
    """The least number of steps that see every training example so many times on average.

    >>> steps_of(1.1, 100, 10), steps_of(5 / 3, 60, 10), steps_of(0.5, 100, 64)
    (11, 10, 1)
    """
    as_written = Fraction(str(float(epochs)))  # 1.1 · 100 / 10 is 11 in decimals, and more in floats
    steps = as_written * examples / examples_a_step
    whole = round(steps)  # 5 / 3 · 60 / 10 is 10, and more in decimals
    return whole if abs(steps - whole) <= steps * Fraction(sys.float_info.epsilon) else math.ceil(steps)


SETUP_FIELDS = (*(name for name in Setup.__annotations__ if name != "metrics"), "epochs")
"""Settings that decide how a run trains: those that may be swept and tuned."""
