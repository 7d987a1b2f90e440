"""The work that a study is: the runs of each trial, and how many runs and steps there are in all."""

from harness.engine.runs import Run
from harness.ledger.design import Trial
from harness.settings import Sweep, Tune, show
from harness.study import Study

TUNE_SEEDS = 1_000_000
"""First seed of the tune phase; the confirm phase has smaller ones, so that the two never meet."""


def runs_of(study: Study, trial: Trial) -> list[Run]:
    """The runs of one trial, a seed each."""
    seeds = study.confirm_seeds() if trial.confirm else [TUNE_SEEDS + i for i in range(study.tune_seeds)]
    setup = study.setup(trial.values)
    return [Run(trial.number, seed, setup, trial.values, trial.confirm) for seed in seeds]


def sample_runs(study: Study) -> list[Run]:
    """The runs of a round: what populations may be cut from. What is tuned is at its lowest and its highest in turns."""
    tunes, runs = study.tunes(), []
    for i, cell in enumerate(study.cells()):
        ends = ({path: getattr(tune, end) for path, tune in tunes.items()} for end in ("low", "high"))
        low, high = (runs_of(study, Trial(i, i, True, cell | tuned, told=False)) for tuned in ends)
        runs += [low[k] if k % 2 == 0 else high[k] for k in range(len(low))]
    return runs


def n_steps(study: Study) -> int:
    """Training steps of the whole study, summed over its runs (with several objectives: at least)."""
    tune = study.tune_trials * study.tune_seeds if study.tunes() else 0
    steps = [study.setup(cell | {path: t.low for path, t in study.tunes().items()}).steps for cell in study.cells()]
    return sum(steps) * (tune + len(study.confirm_seeds()))


def n_runs(study: Study) -> int:
    """Runs of the whole study (with several objectives: at least)."""
    tune = study.tune_trials * study.tune_seeds if study.tunes() else 0
    return len(study.cells()) * (tune + len(study.confirm_seeds()))


Plain = float | int | str | bool
"""A setting as it appears in tables."""


def factor_values(study: Study, trial: Trial) -> dict[str, Plain]:
    """Every setting of a trial by factor path, and every level of a sweep; what is not a plain value as text."""
    levels = {
        path: trial.values[path] for path in study.sweeps() | study.tunes()
    }  # may be components, which `walk` enters
    fixed = {path: value for path, value in study.factors().items() if not isinstance(value, Sweep | Tune)}
    values = dict(study.setup(trial.values).walk()) | fixed | levels
    return {path: v if isinstance(v, bool | int | float | str) else show(v) for path, v in values.items()}
