"""Every number and verdict of a report under a name that a text can cite: `rnn_clip/claim1/estimate`."""

from collections.abc import Mapping, Sequence

import pandas as pd

from harness.inference.verdict import Verdict
from harness.reporting.page.words import ends, interval, metric_of, number, word
from harness.reporting.tables import tuned_columns
from harness.settings.levels import Labels
from harness.settings.show import level_text
from harness.study import Study


def named_numbers(
    study: Study, summary: pd.DataFrame, verdicts: Sequence[Verdict], counts: Mapping[str, int]
) -> dict[str, str]:
    """Name → text, formatted as in the report.

    Names are `study/claim1/…`, in the order of the verdicts, with the fields of `claim_numbers`; `study/cell1/…`, in the order of
    `summary.parquet` and with its columns; and `study/runs/…`.

    Args:
        study: of the numbers.
        summary: one row per cell.
        verdicts: on its claims.
        counts: of runs, by kind.
    """
    found = {f"runs/{kind.removesuffix(' runs')}": str(count) for kind, count in counts.items()}
    for i, verdict in enumerate(verdicts, 1):
        found |= {f"claim{i}/{name}": text for name, text in claim_numbers(verdict).items()}
    levels = {*study.sweeps(), *(name for path in study.tunes() for name in tuned_columns(study, path))}
    named = Labels(study.sweeps())
    for i, row in enumerate(summary.to_dict("records"), 1):
        found |= {
            f"cell{i}/{name}": named(str(name), value) if name in levels else number(value)
            for name, value in row.items()
        }
    return {f"{study.name}/{name}": text for name, text in found.items()}


def claim_numbers(verdict: Verdict) -> dict[str, str]:
    """What can be cited of a claim; a number that there is none of is "–", and a side of an interval without bound infinite."""
    low, high = interval_ends(verdict)
    return {
        "title": verdict.title,
        "verdict": verdict.verdict,
        "label": verdict.label,
        "result": word(verdict),
        "metric": metric_of(verdict),
        "estimand": verdict.estimand.replace("_", "–") or "–",
        "estimate": number(verdict.estimate),
        "low": low,
        "high": high,
        "interval": interval(verdict),
        "level": "–" if verdict.level is None else f"{level_text(verdict.level)} %",
        "delta": number(verdict.smallest_effect),
        "p": number(verdict.p_smallest_effect),
        "n": str(verdict.n),
        "registration": verdict.registration or "–",
    }


def interval_ends(verdict: Verdict) -> tuple[str, str]:
    """As `html.interval` shows them."""
    if verdict.estimate is None or verdict.label == "exact":
        return "–", "–"
    low, high = ends(verdict)
    return number(low), number(high)
