"""Exports: the numbers of a report as files that other tools read, each a function of the same tables: same tables, same bytes."""

from collections.abc import Mapping, Sequence

import pandas as pd

from harness.inference.verdict import Verdict
from harness.reporting.exports.bibliography import bibtex
from harness.reporting.exports.latex import claims_table, macros, table
from harness.reporting.exports.numbers import named_numbers
from harness.reporting.formats import csv, parquet
from harness.reporting.page_tables import KINDS, readable
from harness.reporting.tables import short, short_metrics
from harness.study import Study

FOLDER = "tables"


def exports(
    study: Study, summary: pd.DataFrame, verdicts: Sequence[Verdict], counts: Mapping[str, int]
) -> dict[str, bytes]:
    """File name, relative to `results/<study>`, → content.

    Args:
        study: of the numbers.
        summary: from `tables.summarize`.
        verdicts: on its claims.
        counts: of runs, from `tables.counts`.
    """
    shown = [name for name in short_metrics(study, summary) if name not in KINDS]  # of these there are columns anyway
    texts = {
        "numbers.tex": macros(named_numbers(study, summary, verdicts, counts)),
        "cells.tex": table(readable(study, summary, shown)),
        "claims.tex": claims_table(verdicts),
        "references.bib": bibtex(study),
    }
    files = {f"{FOLDER}/{name}": text.encode() for name, text in texts.items()}
    return {
        "summary.csv": csv(short(study, summary)),
        "summary.parquet": parquet(summary, types_of_arrow=False),
        **files,
    }
