"""The work that a study is: the runs of each trial, and how many runs and steps there are in all."""

from collections.abc import Collection

from harness.engine.runs import Run
from harness.engine.way import WIDEST
from harness.ledger.trials import Trial, tune_batches
from harness.settings import Sweep, Tune, show
from harness.settings.levels import tabled
from harness.study import Study

TUNE_SEEDS = 1_000_000
"""First seed of those that shared values are tuned on; the confirm phase has smaller ones, so that the two never meet."""


def seeds_of(study: Study, trial: Trial) -> tuple[int, ...]:
    """The seeds of a trial: where it is not tested, some that no trial is tested on."""
    return tuple(
        study.confirm_seeds() if trial.tested(study) else (TUNE_SEEDS + i for i in range(study.shared_tune_seeds()))
    )


def runs_of(study: Study, trial: Trial, seeds: Collection[int] | None = None) -> list[Run]:
    """The runs of one trial, a seed each; all of them, or those of some seeds."""
    setup, tested = study.setup(trial.values), trial.tested(study)
    wanted = seeds_of(study, trial) if seeds is None else seeds
    return [Run(trial.number, seed, setup, trial.values, tested) for seed in wanted]


def sample_runs(study: Study) -> list[Run]:
    """As many runs as the largest round has: what populations may be cut from.

    What is tuned is at its lowest and its highest in turns; of rounds that are larger than any population only so many.
    """
    tunes, runs = study.tunes(), []
    for i, cell in enumerate(study.cells()):
        ends = ({path: getattr(tune, end) for path, tune in tunes.items()} for end in ("low", "high"))
        low, high = (runs_of(study, Trial(i, i, True, cell | tuned)) for tuned in ends)
        runs += [low[k] if k % 2 == 0 else high[k] for k in range(len(low))]
    return runs * max(1, min(_trials_at_once(study), WIDEST // len(runs)))


def _trials_at_once(study: Study) -> int:
    """How many trials of all seeds a cell has in the largest round, about."""
    if not study.tunes():
        return 1
    tried = max(last - first for first, last in tune_batches(study))
    return tried if study.tunes_within() else tried * study.shared_tune_seeds() // len(study.confirm_seeds())


def n_steps(study: Study) -> int:
    """Training steps of the whole study, summed over its runs (with several objectives: at least).

    Where what is tuned decides how many a run takes, about: the mean of both ends of what is searched.
    """
    ends = [{path: getattr(t, end) for path, t in study.tunes().items()} for end in ("low", "high")]
    steps = [study.setup(cell | tuned).steps for cell in study.cells() for tuned in ends]
    return sum(steps) * study.runs_per_cell() // len(ends)


def n_runs(study: Study, *, beyond: int = 0) -> int:
    """Runs of the whole study (with several objectives: at least), and those of so many values beyond its range."""
    seeds = len(study.confirm_seeds()) if study.tunes_within() else study.shared_tune_seeds()
    return len(study.cells()) * (study.runs_per_cell() + beyond * seeds)


Plain = float | int | str | bool
"""A setting as it appears in tables."""


def factor_values(study: Study, trial: Trial) -> dict[str, Plain]:
    """Every setting of a trial by factor path, and every level of a sweep, whole; what is not a plain value as text."""
    swept = {
        path: trial.values[path] for path in study.sweeps() | study.tunes()
    }  # may be components, which `walk` enters
    fixed = {path: value for path, value in study.factors().items() if not isinstance(value, Sweep | Tune)}
    values = dict(study.setup(trial.values).walk()) | fixed
    if study.epochs is not None:
        values["epochs"] = trial.values.get("epochs", study.epochs)
    plain = {path: v if isinstance(v, bool | int | float | str) else show(v) for path, v in values.items()}
    return plain | {path: tabled(value) for path, value in swept.items()}


def swept_values(study: Study, trial: Trial) -> dict[str, Plain]:
    """Of these the levels of what is swept."""
    return {path: tabled(trial.values[path]) for path in study.sweeps()}
