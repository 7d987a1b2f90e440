"""What a study consists of, in words, before it runs."""

from harness.ledger.trial_runs import n_runs
from harness.study import Study


def overview(study: Study, *, verbose: bool) -> str:
    """Cells, phases, runs and notes, a line each; with `verbose` every cell too."""
    cells, tunes = study.cells(), study.tunes()
    swept = ", ".join(f"{path} in {sweep!r}" for path, sweep in study.sweeps().items()) or "nothing swept"
    lines = [f"{study.name}: {len(cells)} cells ({swept})"]
    if tunes:
        searched = ", ".join(f"{path} in {tune!r}" for path, tune in tunes.items())
        lines.append(
            f"  tune:    {searched}: {study.tune_trials} trials a cell on {study.tune_seeds} seeds ({study.sampler})"
        )
    lines.append(
        f"  confirm: {len(study.confirm_seeds())} seeds a cell; {n_runs(study)} runs of {study.steps} steps in all"
    )
    lines += [f"  note:    {note}" for note in study.notes]
    if verbose:
        lines += [f"  cell {i}: {cell}" for i, cell in enumerate(cells)]
    return "\n".join(lines)
