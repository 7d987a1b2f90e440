"""Width of populations and number of workers: measured once, within a memory bound, cached."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from harness.engine.cost import Cost
from harness.engine.memory_budget import parse_memory
from harness.engine.population_width import bytes_per_member, measure_cost
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.engine.width_cache import cache_file
from harness.models import DropoutNet
from harness.settings import InvalidStudy
from harness.tasks import Images

CPU = torch.device("cpu")
RUNS = [Run(0, seed, Setup(task=Images(), model=DropoutNet(hidden=(16,)))) for seed in range(40)]
PLENTY = 2**34


@pytest.mark.parametrize(
    ("text", "size"), [("4G", 4 * 2**30), ("500M", 500 * 2**20), ("1.5 GiB", 3 * 2**29), ("64k", 65536)]
)
def test_memory_sizes(text: str, size: int) -> None:
    assert parse_memory(text, CPU) == size


@pytest.mark.parametrize("text", ["", "much", "-1G", "0", "4X", "1e9"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidStudy, match="--memory: needs a size"):
        parse_memory(text, CPU)


def test_width_stays_within_the_memory_bound(tmp_path: Path) -> None:
    room = 5 * bytes_per_member(RUNS[0], CPU)
    assert measure_cost(RUNS, CPU, memory_bytes=room, cache=tmp_path / "c").width <= 5
    room = 4 * bytes_per_member(RUNS[0], CPU)  # found in the cache, where more memory was there
    assert measure_cost(RUNS, CPU, memory_bytes=room, cache=tmp_path / "c").width <= 4
    assert measure_cost(RUNS, CPU, memory_bytes=1, cache=tmp_path / "c").width == 2  # at least a population


def test_a_member_is_said_to_take_at_least_its_parameters_gradient_and_state() -> None:
    wide = Setup(task=Images(), model=DropoutNet(hidden=(512,)))
    parameters = sum(p.numel() * 4 for p in wide.model.build({"inputs": 64, "outputs": 10}).parameters())
    assert 4 * parameters <= bytes_per_member(Run(0, 0, wide), CPU) < 100 * parameters


@pytest.mark.slow
def test_a_measurement_is_cached_and_a_damaged_cache_is_done_without(tmp_path: Path) -> None:
    cache = tmp_path / "deep" / "widths.json"
    first = measure_cost(RUNS, CPU, memory_bytes=PLENTY, cache=cache)
    assert first.width >= 16
    assert first.step_s > 0
    known = json.loads(cache.read_text())
    (key,) = known
    cache.write_text(json.dumps({key: {"width": 77, "step_s": 1.0}}))
    assert measure_cost(RUNS, CPU, memory_bytes=PLENTY, cache=cache) == Cost(77, 1.0)
    for damage in ("", "[1]", '{"x": 3}', "{", json.dumps({key: {"width": 0, "step_s": 1.0}})):
        cache.write_text(damage)
        assert measure_cost(RUNS, CPU, memory_bytes=PLENTY, cache=cache).width >= 16


@pytest.mark.slow
def test_another_process_finds_what_was_measured(tmp_path: Path) -> None:
    source = f"""
from pathlib import Path
from harness.models import SimpleRNN
from test_width import *
runs = [Run(0, 0, Setup(task=Images(layout="rows"), model=SimpleRNN(hidden=8)))]
measure_cost(runs, CPU, memory_bytes=PLENTY, cache=Path({str(tmp_path / "c")!r}))
"""
    for _ in range(2):
        subprocess.run([sys.executable, "-c", source], check=True, cwd=Path(__file__).parent)
    assert len(json.loads((tmp_path / "c").read_text())) == 1


def test_workers_are_worth_their_start_in_long_studies_only() -> None:
    cost = Cost(width=16, step_s=1e-3)
    assert cost.workers(steps=10**6, cores=8, populations=20) == 8
    assert cost.workers(steps=10**6, cores=8, populations=3) in (1, 3)
    assert cost.workers(steps=1000, cores=8, populations=20) == 1
    assert cost.workers(steps=10**6, cores=1, populations=20) == 1
    assert cost.training_s(10**6, cores=8, workers=8) < cost.training_s(10**6, cores=8, workers=1)


def test_without_a_cache_nothing_is_read_or_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    cache_file().parent.mkdir(parents=True)
    known = tmp_path / "known.json"
    measure_cost(RUNS, CPU, memory_bytes=PLENTY, cache=known)
    cache_file().write_text(known.read_text().replace('"width": ', '"width": 9'))  # would be seen
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert measure_cost(RUNS, CPU, memory_bytes=PLENTY, cache=None).width < 90
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.skipif(sys.platform != "linux", reason="the place is each system's own")
def test_widths_are_cached_where_the_system_keeps_caches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_file() == tmp_path / "ablation-harness" / "widths.json"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_file() == tmp_path / ".cache" / "ablation-harness" / "widths.json"
