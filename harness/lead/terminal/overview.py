"""What a study consists of, in words, before it runs."""

from collections.abc import Iterator, Sequence
from itertools import chain

from harness.inference.families import prospects_registered
from harness.lead.options import Options
from harness.lead.terminal.events import Began
from harness.ledger.trial_runs import n_runs, n_steps
from harness.settings.levels import in_short, label
from harness.settings.show import counted
from harness.study import Study
from harness.study.registration import Registration, registrations
from harness.study.scope import budget, scope, setups
from harness.study.widening import MOST


def begin(study: Study, options: Options) -> None:
    """Tell what a study is that is about to be run."""
    factors = {path: [label(path, level) for level in sweep.levels] for path, sweep in study.sweeps().items()}
    options.display.tell(Began(study.name, factors, len(study.cells()), n_runs(study), n_steps(study)))
    options.say(overview(study, verbose=options.verbose))
    if options.dry_run:  # a launch says it where it has entered the claims, by how these stand to their record
        for line in power(study, registrations(study, ())):
            options.say(line)


def power(study: Study, claims: Sequence[Registration]) -> Iterator[str]:
    """What the planned seeds can decide of each claim that the study makes, a line each."""
    for one, prospect in zip(claims, prospects_registered(study, claims), strict=True):
        if prospect and not one.withdrawn:
            yield f"  power:   “{one.claim.title}”: {prospect}"


def overview(study: Study, *, verbose: bool) -> str:
    """Cells, phases, runs and notes, a line each; with `verbose` every cell too."""
    cells, tunes = study.cells(), study.tunes()
    swept = "; ".join(f"{path}: {in_short(path, s.levels)}" for path, s in study.sweeps().items()) or "nothing swept"
    lines = [f"{study.name}: {counted(len(cells), 'cell')} ({swept})"]
    if tunes:
        searched = ", ".join(f"{path} in {tune!r}" for path, tune in tunes.items())
        lines.append(f"  tune:    {searched}: {_tuning(study)}")
    seeds, runs = counted(len(study.confirm_seeds()), "seed") + _looks(study), counted(n_runs(study), "run")
    ends = list(zip(setups(study, end="low"), setups(study, end="high"), strict=True))
    least = "at least " * (study.widen or len(study.objectives()) > 1)
    lines.append(f"  seeds:   {seeds} a cell; {least}{runs} in all, of {budget(study, chain(*ends))}")
    lines += [f"  {sentence}" for sentence in scope(study)]
    lines += [f"  note:    {note}" for note in study.notes]
    if verbose:
        lines += [f"  cell {i}: {cell}, {budget(study, ends[i])}" for i, cell in enumerate(cells)]
    return "\n".join(lines)


def _looks(study: Study) -> str:
    return f" (looks at {', '.join(map(str, study.looks))})" if study.looks else ""


def _tuning(study: Study) -> str:
    """What is tried, and who chooses."""
    values = f"{counted(study.tune_trials, 'value')} a cell ({study.sampler})"
    if study.widen:
        values += f" and up to {MOST} beyond each end at which a best one lies"
    if study.tunes_within():
        return f"{values}, all of them in every seed, which takes the best by its own {study.objective}"
    return f"{values} on {counted(study.shared_tune_seeds(), 'seed')} of its own, one for all seeds of a cell"
