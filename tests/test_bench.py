"""`harness bench`: its table, its file, and what it calls slower. No test asserts a time."""

import json
import math
from dataclasses import asdict
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.audit.bench import Row, slower
from harness.bench import main


def row(workload: str, low: float, high: float) -> Row:
    """Of which only the ratios matter."""
    return Row(workload, 2, 16, 1.0, 1.0, 0.5, math.nan, (low + high) / 2, low, high, math.nan)


def test_slower_is_only_what_lies_wholly_below_what_it_was():
    before = [asdict(row("lstm", 1.7, 1.9)), asdict(row("gru", 2.4, 2.6))]
    now = [row("lstm", 1.5, 1.72), row("gru", 2.0, 2.3), row("cnn", 0.1, 0.2)]
    assert slower(now, before) == ["gru: 2.15 × (2.00–2.30), was 2.50 × (2.40–2.60)"]


@pytest.mark.parametrize(
    "content", [None, "no JSON", "[]", '{"rows": [{"workload": "lstm", "ratio": 1.0}]}', '{"rows": 3}']
)
def test_a_file_to_check_against_that_is_none_is_refused_before_anything_is_measured(
    content: str | None, tmp_path: Path
):
    file = tmp_path / "base.json"
    if content is not None:
        file.write_text(content)
    outcome = CliRunner().invoke(main, ["lstm", "--check", str(file)])
    assert (
        outcome.exit_code == 2
        and "--check: must be a file that `harness bench --json` of this version wrote" in outcome.output
    )


@pytest.mark.slow
def test_a_bench_writes_a_table_that_the_next_one_can_be_checked_against(tmp_path: Path):
    file = tmp_path / "base.json"
    options = ["mlp-tiny", "--width", "8", "--devices", "cpu"]
    first = CliRunner().invoke(main, [*options, "--json", str(file)], catch_exceptions=False)
    assert first.exit_code == 0 and "| mlp-tiny |" in first.output
    (found,) = json.loads(file.read_text())["rows"]
    assert found["ratio"] == pytest.approx(min(found["plain_ms"], found["per_core_ms"]) / found["population_ms"])
    assert found["low"] <= found["high"] and found["width"] == 8
    was = {**found, "low": 1e6, "high": 2e6}
    file.write_text(json.dumps({"rows": [was]}))
    second = CliRunner().invoke(main, [*options, "--check", str(file)], catch_exceptions=False)
    assert second.exit_code == 1 and "Slower: mlp-tiny:" in second.output
