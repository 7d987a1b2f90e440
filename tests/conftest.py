"""What all tests share."""

import os
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from own_study import MINE, harness_run, no_drawing

from harness.settings.metrics import METRICS

# Test processes beside each other, and those that they start, must not fight over the cores: threads that wait spin.
threads = max(1, (os.cpu_count() or 1) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
os.environ.setdefault("OMP_NUM_THREADS", str(threads))
torch.set_num_threads(threads)


@pytest.fixture(scope="session", autouse=True)
def _elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests run in an empty folder: in the project's own they all would be taken for modules of the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("empty"))
        yield


@pytest.fixture(autouse=True)
def _own_metrics_forgotten() -> Iterator[None]:
    """What a test measures of its own, no other test knows."""
    before = dict(METRICS)
    yield
    METRICS.clear()
    METRICS.update(before)


@pytest.fixture
def modules_forgotten(tmp_path: Path) -> Iterator[None]:
    """Modules that a test wrote are none of the user's in a later one, whose processes could not import them."""
    yield
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder of scikit-learn's own, and nowhere to download from."""
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    # urllib's first call in a process keeps that call's proxies for all later ones
    monkeypatch.setattr(urllib.request, "_opener", None)
    return tmp_path


@pytest.fixture
def undrawn() -> Iterator[None]:
    """Reports of this process have empty figures."""
    with no_drawing():
        yield


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of `MINE`, run once and not disturbed; read only. They were moved: copies have their own artifacts only."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "mine.py").write_text(MINE)
    with no_drawing():
        assert harness_run(folder / "mine.py", results=folder / "results").exit_code == 0
    return (folder / "results").rename(folder / "moved")
