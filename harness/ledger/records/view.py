"""The view of a study that MLflow's page of runs opens with: cells as rows, what varies and what was measured as columns, charts.

MLflow keeps views as tags of an experiment: a name, when it was made, and the state of the page in JSON (`savedViewEnvelope.ts`
and `ExperimentPageUIState.tsx` of its sources). A link that names the tag opens the page in that state, and its menu "Views"
lists it. What a version of MLflow does not know of the state it leaves out.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.ledger.records.experiment import IDENTITY, KIND
from harness.ledger.records.naming import OVER_SEEDS

TAG = "mlflow.sharedViewState."

FEW_CELLS = 20
"""So many at most are all drawn in the charts; of more, MLflow's first so many."""

CARDS_ABREAST = 2
"""Charts beside each other: three leave no room for their axes."""

LETTER_PX, MARGIN_PX = 6.5, 34
"""What a letter of a column's head takes, and what is left beside it."""


@dataclass(frozen=True)
class View:
    """What the page shows.

    Attributes:
        params: columns of what varies.
        metrics: columns of what was measured, each a bar chart too.
        curves: metrics that are drawn by step; of `on_logs`, those with a logarithmic axis.
        on_logs: see there.
        cells: how many there are.
    """

    params: Sequence[str]
    metrics: Sequence[str]
    curves: Sequence[str]
    on_logs: Sequence[str]
    cells: int

    def state(self, identity: str) -> dict[str, Any]:
        """The page's, for a study of this identity: its cells, each above its trials."""
        widths = {f"params.`{name}`": _width(name) for name in self.params}
        widths |= {f"metrics.`{name}`": _width(name) for name in self.metrics}
        columns = [*widths, "attributes.`Duration`"]
        sections = dict.fromkeys([OVER_SEEDS, *(name.rpartition("/")[0] for name in self.metrics)])
        return {
            "searchFilter": f"tags.`{IDENTITY}` = '{identity}' and tags.`{KIND}` != 'launch'",
            "orderByKey": "attributes.start_time",  # by any other key MLflow lists all runs side by side
            "orderByAsc": True, "startTime": "ALL", "lifecycleFilter": "Active", "modelVersionFilter": "All Runs",
            "datasetsFilter": [],
            "selectedColumns": columns, "columnOrder": columns, "columnWidths": widths,
            "runsHiddenMode": "SHOW_ALL" if self.cells <= FEW_CELLS else "FIRST_20_RUNS",
            "compareRunCharts": [*map(self._curve, self.curves), *map(_bars, self.metrics)],
            "compareRunSections": [_section(name) for name in sections],
            "isAccordionReordered": True, "hideEmptyCharts": True, "viewMaximized": False, "runListHidden": False,
            "groupBy": None, "groupsExpanded": {}, "useGroupedValuesInCharts": True, "chartsSearchFilter": "",
            "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
        }  # fmt: skip

    def _curve(self, name: str) -> dict[str, Any]:
        return _card(name, "LINE") | {
            "selectedMetricKeys": [name], "scaleType": "log" if name in self.on_logs else "linear", "xAxisKey": "step",
            "xAxisScaleType": "linear", "lineSmoothness": 0, "selectedXAxisMetricKey": "", "yAxisKey": "metric",
            "yAxisExpressions": [], "range": {}, "ignoreOutliers": False, "useGlobalXaxisKey": True,
            "useGlobalLineSmoothing": True,
        }  # fmt: skip


def _width(head: str) -> int:
    """Of a column whose head is to be read as a whole."""
    return round(LETTER_PX * len(head)) + MARGIN_PX


def _bars(name: str) -> dict[str, Any]:
    return _card(name, "BAR")


def _card(name: str, kind: str) -> dict[str, Any]:
    return {
        "type": kind, "uuid": name, "metricKey": name, "metricSectionId": name.rpartition("/")[0], "deleted": False,
        "isGenerated": False, "runsCountToCompare": FEW_CELLS,
    }  # fmt: skip


def _section(name: str) -> dict[str, Any]:
    return {
        "uuid": name, "name": name, "display": True, "isReordered": True, "deleted": False, "isGenerated": False,
        "columns": CARDS_ABREAST,
    }  # fmt: skip


def view_key(identity: str) -> str:
    """Of a study's view, in its experiment and in the address."""
    return f"harness-{identity[:16]}"


def as_tag(view: View, identity: str, *, name: str, made_at_ms: int) -> Mapping[str, str]:
    """The tag of the experiment that keeps a view."""
    state = json.dumps(view.state(identity), separators=(",", ":"))
    return {TAG + view_key(identity): json.dumps({"name": name, "createdAt": made_at_ms, "state": state})}
