"""What lies in `results/<study>`: every name, and what it holds."""

from fnmatch import fnmatch

FILES = {
    "report.html": "The report: verdicts, figures and tables on one page, which opens without a network.",
    "summary.md": "The report's verdicts and tables as text.",
    "summary.csv": "One row per cell: levels, counts of runs by how they ended, and median (of rates and shares the mean) with 95 % interval of the main metrics and those of claims.",
    "summary.parquet": "The same rows with all metrics: `…_mean`, `…_median`, `…_low`, `…_high` and, of how many runs, `…_n`.",
    "runs.parquet": "One row per run: trial, seed, phase, key, every setting, how it ended, every metric.",
    "runs.csv": "The same table as text, for a spreadsheet.",
    "curves.parquet": "One row per run and logged step: trial, seed, swept factors, step, loss, gradient norm, whether clipping acted, validation loss. A run has no values at steps from where it became non-finite on, and none after the end that `patience` gave it.",
    "trace.parquet": "Loss and gradient norm of every run at its first step, at logged steps that double, and at the last: what `harness verify` compares where curves.parquet is not handed on.",
    "populations.parquet": "Which runs trained together; `harness verify` reads it.",
    "pairs.csv": "All pairs of levels of every factor, by metric, with exact p-values and q-values: exploratory.",
    "claims.json": "The verdict on each claim, with all that is claimed, estimate, interval (`low` or `high` null: no end on that side; both: no interval), every seed's difference and how it stands to the record.",
    "counts.json": "How many runs there are, by phase and how they ended, how many the whole study has, and a digest of every file, by which `harness.load` and `harness verify` know that they belong together.",
    "metrics.json": "What each of the study's own metrics means: unit, good direction, what it is measured on.",
    "claims_registered.json": "The record of claims: when each was made, and what was known then.",
    "figures/*.svg": "Each figure.",
    "figures/*.png": "The same for slides.",
    "figures/*.pdf": "The same for a text.",
    "figures/*.csv": "The numbers that each figure draws.",
    "figures/drawn.json": "Of what each figure was drawn: the next report draws only what is another one.",
    "tables/numbers.tex": "A LaTeX macro for every number and verdict: `\\harness{NAME/claim1/estimate}`.",
    "tables/claims.tex": "The verdicts as a LaTeX table.",
    "tables/cells.tex": "The cells as a LaTeX table, with the metrics of summary.csv.",
    "tables/references.bib": "BibTeX of the works behind the rules, models, tasks and statistics that the study uses.",
    "tables/baseline.csv": "How each cell differs from an earlier result, where `harness report STUDY --baseline OTHER` asked for it.",
    "study.py": "The study file as it was launched; a record, never run by `harness.load`.",
    "study.json": "Every setting that decides the results, as text by path.",
    "changes.json": "The changes that the command line made to the study file.",
    "plan.json": "How runs trained: alone or as populations, and how wide.",
    "environment.json": "What ran where: versions, devices, data by their content.",
    "weights/*": "The weights of each run, by its key, where `--keep-weights` asked for them.",
}
"""File, or pattern of files → a sentence. What begins with a dot belongs to the command: locks and checkpoints."""


def meaning(name: str) -> str | None:
    """What a file holds, by its path relative to the folder; None where it is none of ours.

    >>> meaning("figures/surface.png")
    'The same for slides.'
    """
    return next((sentence for pattern, sentence in FILES.items() if fnmatch(name, pattern)), None)
