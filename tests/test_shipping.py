"""What trains is the study that the leader checked, whatever happens to its files; and a file must give one study."""

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
import torch
from click.testing import CliRunner, Result
from own_study import MINE
from test_executors import never, populations_of, trained_here, whole

from harness import run
from harness.execution.shipping import pack, unpack, users_modules
from harness.execution.workers import Workers
from harness.lead.studies import forget
from harness.settings import InvalidStudy
from harness.study import Study
from harness.study.load import load_study

CPU = torch.device("cpu")

STUDY = """
from __future__ import annotations
import functools
import helpers
import torch
from torch import nn
from harness.settings import Count
from harness import Model, Study, Sweep
from harness.clipping import GlobalNorm, NoClipping
from harness.optimizers import SGD
from harness.tasks import Tensors

class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, grad):
        return 2 * grad * ctx.saved_tensors[0]

@functools.lru_cache(maxsize=3)
def width(outputs):
    return helpers.WIDTH * outputs

class Noisy(Tensors):
    more: Count = 1

class Mine(nn.Module):
    def __init__(self, inputs, outputs, dropout=0.1):
        super().__init__()
        from helpers import Layer  # only now
        self.net = nn.Sequential(Layer(inputs, width(outputs)), nn.Dropout(dropout), nn.Linear(width(outputs), outputs))
        assert isinstance(self.net[0], helpers.Layer)

    def forward(self, x):
        return self.net(x) + 0 * Square.apply(x).sum()

x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
study = Study(name="mine", task=Noisy(x=x, y=(x[:, 0] > 0).long()), model=Model(Mine, dropout=Sweep(0.0, 0.5)),
              clipping=Sweep(NoClipping(), GlobalNorm(0.5)), optimizer=SGD(0.1), steps=20, seeds=2, evaluations=2)
"""

HELPERS = """
import threading
from torch import nn

WIDTH, lock = 4, threading.Lock()

class Layer(nn.Linear):
    pass
"""


@pytest.fixture
def study_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delitem(sys.modules, "helpers", raising=False)
    (tmp_path / "mine.py").write_text(STUDY)
    (tmp_path / "helpers.py").write_text(HELPERS)
    return tmp_path / "mine.py"


@pytest.mark.slow
def test_files_that_change_meanwhile_change_nothing(study_file: Path) -> None:
    """Classes, a cache, an import within a function, a module with a lock: all that workers need was sent to them."""
    populations = populations_of(study_file)
    expected = whole(trained_here(populations, 2))
    study, _ = load_study(study_file)
    workers = Workers([CPU, CPU], study)
    for file in (study_file, study_file.with_name("helpers.py")):
        file.write_text("this is no Python")
    with workers:
        parts = [part for _, part in workers.train(populations, lambda *_: None, never)]
    assert not [error for part in parts for error in part.errors.values()]
    for mine, other in zip(whole(parts), expected, strict=True):
        pd.testing.assert_frame_equal(mine, other, check_exact=True)


@pytest.mark.slow
def test_a_study_defined_in_a_script_trains_in_processes(tmp_path: Path) -> None:
    """Its classes are those of `__main__`, which no other process can import."""
    (tmp_path / "helpers.py").write_text(HELPERS)
    script = tmp_path / "script.py"
    script.write_text(STUDY + '''
from harness.execution.workers import Workers
from harness.lead.studies import forget
from harness.ledger.trials import Trial
from harness.ledger.trial_runs import runs_of

if __name__ == "__main__":
    runs = runs_of(study, Trial(0, 1, True, study.cells()[1]))
    with Workers([torch.device("cpu")], study) as workers:
        for _, part in workers.train([runs], lambda *_: None, lambda: False):
            print(part.errors, list(part.runs["status"]))
''')  # fmt: skip
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.stdout == "{} ['finished', 'finished']\n", done.stderr


@pytest.mark.slow
def test_data_that_changed_meanwhile_are_found_and_nothing_is_trained(tmp_path: Path) -> None:
    table = tmp_path / "data.csv"
    table.write_text("a,y\n" + "1.5,u\n2.5,v\n" * 40)
    (tmp_path / "mine.py").write_text(f"""
from harness import Study
from harness.models import DropoutNet
from harness.tasks import Tabular
study = Study(name="mine", task=Tabular({str(table)!r}, target="y"), model=DropoutNet(hidden=(4,)), steps=5, seeds=2,
              batch_size=8)
""")
    study, _ = load_study(tmp_path / "mine.py")
    workers = Workers([CPU], study)
    table.write_text("a,y\n" + "1.5,u\n3.5,v\n" * 40)
    with (
        workers,
        pytest.raises(InvalidStudy, match=r"data of Tabular.*: is [0-9a-f]+ on a process that trains, [0-9a-f]+"),
    ):
        list(workers.train(populations_of(tmp_path / "mine.py"), lambda *_: None, never))


@pytest.mark.slow
def test_what_cannot_be_unpacked_is_a_sentence_not_a_death(study_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that only the leader has, found where no file of the user's lies."""
    elsewhere = study_file.parent / "site-packages"
    elsewhere.mkdir()
    (elsewhere / "only_here.py").write_text("def relu(x): return x.relu()")
    monkeypatch.syspath_prepend(str(elsewhere))
    study_file.write_text(STUDY.replace("dropout=0.1", "act=None, dropout=0.1").replace("Model(Mine,", "Model(Mine, act=only_here.relu,")
                          .replace("import functools", "import functools, only_here"))  # fmt: skip
    study, populations = load_study(study_file)[0], populations_of(study_file)
    workers = Workers([CPU], study)
    (elsewhere / "only_here.py").unlink()
    with workers, pytest.raises(InvalidStudy) as refused:
        list(workers.train(populations, lambda *_: None, never))
    assert str(refused.value) == (
        "study: cannot be unpacked on a process that trains: ModuleNotFoundError: No module named 'only_here'"
    )


@pytest.mark.slow
def test_a_study_that_cannot_be_sent_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE.replace("class Mine", "import threading\nlock = threading.Lock()\n\nclass Mine")
                                      .replace("return self.net", "lock.locked()\n        return self.net"))  # fmt: skip
    refused = harness_run(tmp_path / "mine.py", tmp_path / "results")
    assert refused.exit_code == 2, refused.output
    assert (
        "study: cannot be sent to the processes that train: TypeError: cannot pickle '_thread.lock'" in refused.output
    )
    assert not (tmp_path / "results").exists()


def test_sent_and_unpacked_a_study_is_the_same(study_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in the folder of the study file, where `torch.ops` claims to be."""
    monkeypatch.chdir(study_file.parent)
    study, _ = load_study(study_file)
    assert {"study mine", "helpers"} <= users_modules().keys()
    assert not any(name.startswith("torch") for name in users_modules())
    again = unpack(pack(study), "here")
    assert isinstance(again, Study)
    assert again.fingerprints() == study.fingerprints()
    assert list(map(repr, again.cells())) == list(map(repr, study.cells()))


# --- Loaded a second time


def harness_run(study_file: Path, results: Path, *options: str) -> Result:
    arguments = [str(study_file), "--devices", "cpu", "--results", str(results), *options]
    return CliRunner().invoke(run.main, arguments)


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--dry-run",), ("--workers", "2")])
def test_a_file_that_draws_other_data_each_time_is_refused_at_the_first_start(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text(MINE.replace(", generator=torch.Generator().manual_seed(0)", ""))
    refused = harness_run(tmp_path / "mine.py", tmp_path / "results", *options)
    assert refused.exit_code == 2, refused.output
    sentence = "study: the study file gives another study each time it is loaded: task.x, task.y; seed what it draws"
    assert sentence in refused.output
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_what_a_file_prints_is_printed_once_and_what_it_holds_by_address_does_not_matter(tmp_path: Path) -> None:
    text = MINE.replace(
        "class Mine", "import os, sys\nos.write(1, b'hello')\nprint('oh', file=sys.stderr)\n\nclass Mine"
    )
    text = text.replace("width=8", "width=8, act=torch.relu").replace("Model(Mine,", "Model(Mine, act=torch.tanh,")
    (tmp_path / "mine.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "harness.run", "mine.py", "--devices", "cpu", "--dry-run"],
        cwd=tmp_path, capture_output=True, text=True, check=False, env=os.environ,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("hello") == 1
    assert done.stderr.count("oh\n") == 1


@pytest.mark.slow
def test_a_file_that_can_be_loaded_once_only_is_refused(tmp_path: Path) -> None:
    text = MINE.replace(
        "class Mine", "from pathlib import Path\nPath(__file__).with_name('once').touch(exist_ok=False)\n\nclass Mine"
    )
    (tmp_path / "mine.py").write_text(text)
    refused = harness_run(tmp_path / "mine.py", tmp_path / "results")
    assert refused.exit_code == 2, refused.output
    assert "study: the study file can be loaded once, and not a second time" in refused.output
    assert "FileExistsError" in refused.output


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_going_on_with_another_kind_of_device_is_refused_and_both_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was begun where there are CUDA devices."""
    (tmp_path / "mine.py").write_text(MINE)
    with monkeypatch.context() as begun:
        begun.setattr("harness.execution.placement.Placement.kind", "cuda")
        assert harness_run(tmp_path / "mine.py", tmp_path / "results", "--quick").exit_code == 0
    refused = harness_run(tmp_path / "mine.py", tmp_path / "results", "--quick")
    assert refused.exit_code == 2, refused.output
    assert (
        "--devices: the study was begun on cuda, and on cpu the same seeds draw other dropout noise" in refused.output
    )
    forget("mine-quick", results=tmp_path / "results", storage=None, tracking_uri=None, unused=False, yes=True)
    assert harness_run(tmp_path / "mine.py", tmp_path / "results", "--quick").exit_code == 0


def test_modules_may_be_imported_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """By another thread, whose turn comes while ours goes over them."""

    class Growing(dict[str, ModuleType]):
        def items(self) -> Any:
            for number, item in enumerate(super().items()):
                self[f"imported_meanwhile_{number}"] = ModuleType("imported_meanwhile")
                yield item

    before = users_modules()
    monkeypatch.setattr(sys, "modules", Growing(sys.modules))
    assert users_modules() == before
