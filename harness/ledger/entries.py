"""Entries: what the ledger has of runs, each the seeds of one trial that were asked for at a time.

A trial has one entry at first. Where seeds join, where runs failed and are tried again, or where more is to be measured, it
gets another one, and the older stays as it is. An entry is one trial in Optuna and one run in MLflow, and says whose runs it
holds by their key, see `harness.engine.content`: whatever study now has a trial of this key has them.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.engine.content import seed_key
from harness.engine.diagnostics.setting import Diagnostics
from harness.ledger.trial_runs import n_runs, seeds_of
from harness.ledger.trials import Outcomes, Trial, Trials
from harness.settings.metrics import DETAIL, shipped
from harness.study import Study

MACHINE, RUN = "machine", "run"
"""Why a run failed: it was killed or memory ran out, or it raised an error of its own."""


@dataclass(frozen=True)
class Entry:
    """Some runs of one trial.

    Attributes:
        number: of the entry.
        key: of the trial, see `content.trial_key`.
        seeds: of the runs.
        level: of `Diagnostics` that was measured.
        measures: what each metric was that is measured in several ways, by name: of a user's own, and see `changed_since`.
        wave: entries that were asked for at the same time have one number; they train together.
        told: whether the results are committed.
        outcomes: metric → its value of each seed, in their order, for what may be an objective.
        failed: seed → why, of the runs that failed.
    """

    number: int
    key: str
    seeds: tuple[int, ...]
    level: str = DETAIL[0]
    measures: Mapping[str, str] = field(default_factory=dict)
    wave: int = 0
    told: bool = True
    outcomes: Mapping[str, list[float]] = field(default_factory=dict)
    failed: Mapping[int, str] = field(default_factory=dict)

    def run_keys(self) -> set[str]:
        """The keys of its runs."""
        return {seed_key(self.key, seed) for seed in self.seeds}


@dataclass(frozen=True)
class Wanted:
    """What a study wants of a trial.

    Attributes:
        trial: the trial.
        key: of it.
        seeds: of its runs.
        level, measures: what is to be measured, see `Entry`; not what follows from recorded curves.
        objectives: that tuning is to know by seed; none where the choice is made from the recorded runs.
    """

    trial: Trial
    key: str
    seeds: tuple[int, ...]
    level: str
    measures: Mapping[str, str]
    objectives: tuple[str, ...]

    def served(self, entry: Entry) -> bool:
        """Whether an entry has all that is wanted of its runs."""
        return (
            entry.key == self.key
            and DETAIL.index(entry.level) >= DETAIL.index(self.level)
            and self.measures.items() <= entry.measures.items()
            and (not entry.told or set(self.objectives) <= entry.outcomes.keys())
        )


def wanted(study: Study, trial: Trial) -> Wanted:
    """What the study wants of one of its trials."""
    tested = trial.tested(study)
    decides = not trial.confirm and (study.widen or not study.tunes_within())
    objectives = study.objectives() if decides else ()
    level = study.metrics.level if tested else DETAIL[0]
    measures = measured(study.metrics, () if tested else objectives) | changed_since(level)
    return Wanted(trial, trial.key(study), seeds_of(study, trial), level, measures, objectives)


def measured(metrics: Diagnostics, objectives: Collection[str]) -> dict[str, str]:
    """What each of a user's own measures is, by name: those of outputs, and those of curves that tuning goes by."""
    kept = (each for each in metrics.measures if not each.of_curves or each.name in objectives)
    return {each.name: f"{each.identity()} {each!r}" for each in kept}


def changed_since(level: str) -> dict[str, str]:
    """The versions of the metrics of a level that were once measured otherwise, by name: runs of before have another one, or none."""
    within = DETAIL[: DETAIL.index(level) + 1]
    return {
        name: f"version {metric.version}"
        for name, metric in shipped().items() if metric.level in within and metric.version > 1
    }  # fmt: skip


class Entries:
    """The entries of a study, found by what a trial wants.

    Args:
        entries: all of them; of several that have a run the newest counts, one where it failed after all others.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._of_key: dict[str, list[Entry]] = {}
        for entry in sorted(entries, key=lambda entry: entry.number):
            self._of_key.setdefault(entry.key, []).append(entry)

    def holders(self, trial: Wanted, *, counts: Callable[[Entry], bool] = lambda entry: entry.told) -> dict[int, Entry]:
        """Seed → the entry that counts for it; seeds that have none are left out.

        Args:
            trial: whose seeds.
            counts: which entries are asked.
        """
        found: dict[int, Entry] = {}
        for entry in self._of_key.get(trial.key, ()):
            if counts(entry) and trial.served(entry):
                better = [seed for seed in entry.seeds if seed not in entry.failed or seed not in found]
                found |= dict.fromkeys(set(better) & set(trial.seeds), entry)
        return {seed: found[seed] for seed in trial.seeds if seed in found}

    def outcomes(self, trial: Wanted, objectives: Iterable[str]) -> Outcomes | None:
        """What each objective was, by seed; None where a seed has none."""
        holders, names = self.holders(trial), list(objectives)
        if len(holders) < len(trial.seeds) or not all(set(names) <= e.outcomes.keys() for e in holders.values()):
            return None
        return {
            seed: [entry.outcomes[name][entry.seeds.index(seed)] for name in names] for seed, entry in holders.items()
        }


def trials_of(study: Study, entries: Entries) -> Trials:
    """The trials of a study, as far as these results decide them."""
    return Trials(study, lambda trial: entries.outcomes(wanted(study, trial), study.objectives()))


def held(study: Study, entries: Entries) -> list[tuple[Wanted, dict[int, Entry]]]:
    """What the study wants, trial by trial, and who holds it; of the trials that are known by now."""
    found = [wanted(study, trial) for trial in trials_of(study, entries).all()]
    return [(trial, entries.holders(trial)) for trial in found]


def n_wanted(study: Study, holdings: Iterable[tuple[Wanted, Mapping[int, Entry]]]) -> int:
    """Runs of the study, those included that `held` knows of beyond a range and by several objectives; where results decide how many, at least."""
    known = [(len(each.seeds), each.trial.widened(study)) for each, _ in holdings]
    beyond = sum(runs for runs, widened in known if widened)
    return max(n_runs(study) + beyond, sum(runs for runs, _ in known))


@dataclass(frozen=True)
class There:
    """How much of a study is there before it goes on.

    Attributes:
        wanted: runs of the study (where results decide how many, at least).
        done: of these, the runs that are recorded and stay.
        tried_again: of these, the runs that failed and are trained again.
        others: recorded runs that this study has no use for, such as those of other settings.
    """

    wanted: int
    done: int
    tried_again: int
    others: int

    @property
    def complete(self) -> bool:
        """Whether nothing is to be trained."""
        return self.done >= self.wanted


def there(
    study: Study, entries: Iterable[Entry], retried: Callable[[int, Entry], bool] = lambda seed, entry: False
) -> There:
    """How much of a study these entries are.

    Args:
        study: as it is now.
        entries: all that there are.
        retried: whether a run that an entry has, by its seed, is trained again.
    """
    entries = list(entries)
    holdings = held(study, Entries(entries))
    again = sum(retried(seed, entry) for _, holders in holdings for seed, entry in holders.items())
    count = sum(len(holders) for _, holders in holdings)
    used = {(entry.number, seed) for _, holders in holdings for seed, entry in holders.items()}
    recorded = {
        (entry.number, seed) for entry in entries if entry.told for seed in entry.seeds if seed not in entry.failed
    }
    return There(n_wanted(study, holdings), count - again, again, len(recorded - used))


def attributes(entry: Entry) -> dict[str, Any]:
    """An entry as Optuna keeps it from the start; its results follow, see `spaces.Space.tell`."""
    return {
        "key": entry.key, "seeds": list(entry.seeds), "level": entry.level, "measures": dict(entry.measures),
        "wave": entry.wave,
    }  # fmt: skip


def entry_of(number: int, stored: Mapping[str, Any], *, told: bool) -> Entry:
    """The entry with these attributes."""
    failed = {int(seed): why for seed, why in stored.get("failed", {}).items()}
    return Entry(
        number, stored["key"], tuple(stored["seeds"]), stored["level"], stored["measures"], stored["wave"], told,
        stored.get("outcomes", {}), failed,
    )  # fmt: skip
