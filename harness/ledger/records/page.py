"""What MLflow's page of a study is to show, made from its results: cells, the view that lists them, and what was found."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.ledger.records.cells import Cell
from harness.ledger.records.view import View


@dataclass(frozen=True)
class Page:
    """A study's page.

    Attributes:
        title: of its view.
        cells: of the study, in its order.
        view: which columns and charts it opens with.
        note: the question and what came of it, in Markdown.
    """

    title: str
    cells: Sequence[Cell]
    view: View
    note: str
