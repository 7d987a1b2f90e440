"""Bad input of every kind ends with exit code 2 and `path: message`: no traceback, no password, nothing written."""

import gzip
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn as nn
from click.testing import CliRunner
from optuna.storages import BaseStorage
from own_study import harness_run

from harness import Claim, InvalidStudy, Model, Study, Sweep, Tune, report, run
from harness.__main__ import main as harness
from harness.clipping import ClippingRule, GlobalNorm
from harness.lead.terminal.overview import overview
from harness.lead.terminal.reading import Command
from harness.ledger import peek
from harness.ledger.design import Design
from harness.ledger.storage import open_storage
from harness.models import DropoutNet, SimpleRNN
from harness.optimizers import SGD, Optimizer
from harness.tasks import AddingProblem, CharLM, Images, Task, Tensors

SOUND = """
import torch
from harness import Study, Sweep
from harness.models import DropoutNet
from harness.tasks import CharLM, Images, Tensors
study = Study(name="sound", task=Images(), model=DropoutNet(hidden=(4,)), steps=2, seeds=2)
"""


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    (tmp_path / "sound.py").write_text(SOUND)
    return tmp_path / "sound.py"


def refused(file: Path, *options: str, results: Path | None = None, message: str = "") -> str:
    """What the command says of input that it refuses; afterwards no results are there."""
    results = results or file.parent / "results"
    done = harness_run(file, *options, results=results)
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output
    assert "secret" not in done.output
    assert message in done.output
    return done.output


def problems(**settings: Any) -> list[str]:
    with pytest.raises(InvalidStudy) as caught:
        Study(**({"name": "x", "task": Images(), "model": DropoutNet(hidden=(4,)), "steps": 2} | settings))
    assert all(problem.path and problem.message for problem in caught.value.problems)
    return list(map(str, caught.value.problems))


# --- Study files

FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "must define `study = Study(…)` (got nothing of that name)"),
    "another study": (b"study = 3", "must define `study = Study(…)` (got a int)"),
    "prints": (b"print('hello')", "must define `study = Study(…)`"),
    "binary": (bytes(range(256)), "study.py:"),
    "not UTF-8": (b"x = '\xff'", "study.py:"),
    "syntax error": (b"x = 1\ny = (\n", "study.py:2: SyntaxError"),
    "raises": (b"x = 1\n1 / 0", "study.py:2: ZeroDivisionError"),
    "exits": (b"import sys\nsys.exit('stop')", "study.py:2: SystemExit: stop"),
    "recursion": (b"def f(): f()\nf()", "study.py:1: RecursionError"),
    "a password in an error": (b"open('http://me:secret@host/x')", "study.py:1: FileNotFoundError"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_study_file_that_defines_no_study_is_refused(kind: str, tmp_path: Path) -> None:
    content, message = FILES[kind]
    (tmp_path / "study.py").write_bytes(content)
    refused(tmp_path / "study.py", message=message)
    assert not (tmp_path / "results").exists()


def test_what_is_no_study_file_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "nothing.py", message="nothing.py: no such study file")
    refused(tmp_path, message="is a folder, not a study file")
    for nameless in (".", "/"):
        done = CliRunner().invoke(harness, ["run", nameless])
        assert done.exit_code == 2 and f"{nameless}: is a folder, not a study file" in done.output
    (tmp_path / "study.txt").write_text(SOUND)
    refused(tmp_path / "study.txt", message="study.txt: is not a Python file")


def test_a_study_file_may_have_the_name_of_a_module(tmp_path: Path) -> None:
    """It does not take the module's place."""
    import json

    (tmp_path / "json.py").write_text(SOUND)
    refused(tmp_path / "json.py", "--set", "steps=0", message="steps: ")
    assert sys.modules["json"] is json


# --- The command line

OPTIONS = [
    (["--devices", "gpu7"], "--devices: no such device here"),
    (["--devices", ""], "--devices: is empty; give a value"),
    (["--devices", "cpu,,cpu"], "--devices: no such device here"),
    (["--devices", "cpu, cpu"], "--devices: is named twice; name it once, and --workers says how many processes"),
    *(
        (["--memory", size], "--memory: needs a size")
        for size in ("x", "-1G", "0", "1e3", "9" * 400, "4 elephants", "nan")
    ),
    (["--workers", "0"], "--workers"),
    (["--timeout", "-1"], "--timeout"),
    (["--seeds", "0-999999999999"], "seeds: needs a number of seeds"),
    (["--seeds", "1,1"], "seeds: must be different"),
    (["--seeds", "0,5-3"], "seeds: 5-3 ends before it begins; write 3-5 (got '0,5-3')"),
    (["--seeds", "5-"], "seeds: needs a number of seeds, or seeds below 1000000 such as 0,3,7 or 5-9 (got '5-')"),
    (["--seeds", "5--3"], "seeds: needs a number of seeds"),
    (["--set", "steps=" + "(" * 5000], "steps: input should be a valid integer"),
    (["--set", "steps=" + "-" * 9000 + "1"], "steps: input should be a valid integer"),
    (["--set", "steps=(1"], "steps: input should be a valid integer"),
    (["--set", "steps=" + "9" * 5000], "steps: input should be a valid integer"),
    (["--set", "steps=1\0"], "steps: must hold no control characters"),
    (["--set", "task.source=\ud800"], "task.source: must hold no control characters or lone surrogates"),
    (["--set", "model.hidden=(10000000000,)"], "model.hidden: input should be less than or equal to 1000000000"),
    (["--set", "model.hidden=(1000000, 1000000)"], "GiB of memory"),
    (["--set", "model.dropout=1"], "model.dropout: input should be less than 1; p = 1 would drop everything"),
    (["--set", "clipping.max_norm=0"], "clipping.max_norm: input should be greater than 0; inf means no bound"),
    (["--set", "=1"], "--set: needs the form path=value"),
    (["--set", "tune_trials=x", "--quick"], "tune_trials: input should be a valid integer"),
    (["--set", "seeds=2.5", "--quick"], "seeds: input should be a valid integer"),
    (["--set", "name=a/b"], "name: 1 to 64 letters"),
    (["--set", "task.source=idx:/no/such/folder"], "task.source: idx:FOLDER needs a folder that exists"),
]


@pytest.mark.parametrize(("options", "message"), OPTIONS, ids=lambda value: ascii(value)[:40])
def test_bad_options_are_refused(options: list[str], message: str, sound: Path) -> None:
    refused(sound, *options, message=message)
    assert not (sound.parent / "results").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("run x.py --seeds 5 --seeds 4", "--seeds: given as 5 and as 4; give one of them"),
        ("run x.py --memory=4G --workers 2 --memory 5G", "--memory: given as 4G and as 5G"),
        (
            "run x.py --storage postgresql://me:secret@h/x --storage y",
            "--storage: given as postgresql://***@h/x and as y",
        ),
        ("run x.py -q -v", "--verbose and --quiet contradict each other; give one of them"),
        ("run x.py --json --quiet", "--quiet and --json contradict each other"),
        ("report x.py --baseline a --baseline b", "--baseline: given as a and as b"),
        ("verify x --sample 3 --sample 4", "--sample: given as 3 and as 4"),
        ("bench --json a --json b", "--json: given as a and as b"),
    ],
)
def test_options_that_contradict_each_other_are_refused_by_every_command(line: str, message: str) -> None:
    done = CliRunner().invoke(harness, line.split())
    assert done.exit_code == 2
    assert message in done.output and "secret" not in done.output


@pytest.mark.parametrize(
    "line",
    ["run x.py --results", "run x.py --storage", "report x.py --tracking-uri", "list --storage", "forget x --results"],
)
def test_an_empty_value_as_of_a_variable_that_is_not_set_is_refused(line: str) -> None:
    done = CliRunner().invoke(harness, [*line.split(), ""])
    assert done.exit_code == 2 and f"{line.split()[-1]}: is empty; give a value, or leave the option out" in done.output


@pytest.mark.parametrize("name", ["storage", "tracking_uri"])
def test_an_empty_address_in_python_is_refused(name: str, tmp_path: Path) -> None:
    study = Study(name="x", task=Images(), model=DropoutNet(hidden=(4,)), steps=2)
    with pytest.raises(InvalidStudy, match=f"--{name.replace('_', '-')}: is empty"):
        study.run(results=tmp_path, dry_run=True, **{name: ""})


def test_a_report_of_records_that_are_not_there_makes_no_database(sound: Path) -> None:
    there = sorted(sound.parent.iterdir())
    elsewhere = sound.parent / "elsewhere"
    for option, value in (("--results", str(elsewhere)), ("--tracking-uri", f"sqlite:///{elsewhere}/mlflow.db")):
        done = CliRunner().invoke(report.main, [str(sound), option, value])
        assert done.exit_code == 2 and f"{option}: there is no {elsewhere}/mlflow.db" in done.output.replace("\n", "")
        assert sorted(sound.parent.iterdir()) == there


def test_every_command_reads_its_line_so() -> None:
    assert all(isinstance(command, Command) for command in harness.commands.values())
    settings = ["--metric", "a", "--metric", "b", "--json", "c", "--json", "c"]
    done = CliRunner().invoke(harness, ["compare", "nosuch", "other", *settings])
    assert "nosuch" in done.output and "given as" not in done.output  # what may be given again, and the same twice


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_an_address_of_a_kind_that_mlflow_does_not_know_is_refused_in_a_line(
    options: tuple[str, ...], sound: Path
) -> None:
    said = refused(sound, "--tracking-uri", "ftp://me:secret@host", *options)
    line = (
        "--tracking-uri: MLflow keeps no records at ftp://; give a database such as sqlite:///FILE, or a server such as"
    )
    assert line in said and "registry" not in said
    assert not list((sound.parent / "results").glob("*"))


def test_what_is_not_there_is_not_listed_as_empty(tmp_path: Path) -> None:
    folder, journal, database = tmp_path / "none", tmp_path / "none.journal", f"sqlite:///{tmp_path}/none.db"
    for line, message in (
        ([str(folder)], f"{folder}: no such folder"),
        ([str(tmp_path), "--storage", str(journal)], f"--storage: no such file (got {journal})"),
        ([str(tmp_path), "--storage", database], f"--storage: no such file (got {database})"),
    ):
        done = CliRunner().invoke(harness, ["list", *line])
        assert done.exit_code == 2 and message in done.output
    done = CliRunner().invoke(harness, ["list", str(tmp_path)])
    assert done.exit_code == 0 and done.output == f"No studies in {tmp_path}.\n"
    assert list(tmp_path.iterdir()) == []


def test_studies_in_a_folder_that_is_read_only_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = Study(name="kept", task=Images(), model=DropoutNet(hidden=(4,)), steps=2)
    Design(study, str(tmp_path / "optuna.journal")).close()
    (tmp_path / "optuna.journal").chmod(0o444)
    modes: list[int] = []

    def opened(place: str) -> BaseStorage:
        modes.append(Path(place).stat().st_mode)  # root may write to it whatever that says
        return open_storage(place)

    monkeypatch.setattr(peek, "open_storage", opened)
    done = CliRunner().invoke(harness, ["list", str(tmp_path)])
    assert done.exit_code == 0 and "kept" in done.output
    assert modes and all(mode & stat.S_IWUSR for mode in modes)


def test_a_study_that_is_not_there_cannot_be_forgotten_and_those_that_are_are_named(tmp_path: Path) -> None:
    line = ["forget", "mien", "--yes", "--results", str(tmp_path / "results")]
    done = CliRunner().invoke(harness, line)
    assert done.exit_code == 2 and "; there are none" in done.output
    assert not (tmp_path / "results").exists()
    study = Study(name="mine", task=Images(), model=DropoutNet(hidden=(4,)), steps=2)
    Design(study, str(tmp_path / "results" / "optuna.journal")).close()
    done = CliRunner().invoke(harness, line)
    assert done.exit_code == 2
    assert done.output.startswith("mien cannot be forgotten: give the name of a study that is there")
    assert f"mien: no study of this name in {tmp_path}/results/optuna.journal; there are mine" in done.output


@pytest.mark.slow
def test_results_that_cannot_be_a_folder_are_refused(sound: Path) -> None:
    refused(sound, results=sound, message="--results")
    refused(sound, results=sound / "inside", message="cannot be written")
    refused(sound, results=Path("/proc/nothing"), message="cannot be written")


@pytest.mark.parametrize("option", ["--storage", "--tracking-uri"])
@pytest.mark.parametrize(
    "uri",
    ["postgresql://user:secret@127.0.0.1:1/x", "http://user:secret@127.0.0.1:1", "mysql://user:secret@127.0.0.1:1/x",
     "nonsense://user:secret@host", "postgresql://user:secret@127.0.0.1:port/x", "sqlite:////proc/no/x?password=secret",
     "://user:secret@host"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Query string argument")
def test_databases_and_servers_out_of_reach_are_refused_without_their_password(
    option: str, uri: str, sound: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sound.parent)
    refused(sound, option, uri, message=f"{option}: ")
    assert "secret" not in caplog.text
    assert list(sound.parent.iterdir()) == [sound]


@pytest.mark.parametrize("name", ["is it?", "50%20off"])
def test_a_results_folder_that_no_address_of_a_database_can_name_is_refused(
    name: str, sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sound.parent)
    for options in ([], ["--dry-run"]):
        refused(
            sound, *options, results=Path(name) / "results", message="--results: MLflow's database cannot be kept in"
        )
    for line in (["report", "sound.py"], ["forget", "sound"]):
        done = CliRunner().invoke(harness, [*line, "--results", name])
        assert done.exit_code == 2
    assert list(sound.parent.iterdir()) == [sound]


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--storage", "--tracking-uri"])
def test_a_password_with_an_at_is_to_be_written_otherwise(option: str, sound: Path) -> None:
    refused(sound, option, "postgresql://user:p@secret@127.0.0.1:1/x", message=f"{option}: has several @")
    assert not list((sound.parent / "results").glob("*"))


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--storage", "--tracking-uri"])
@pytest.mark.parametrize("scheme", ["postgresql", "http"])
def test_a_host_that_says_nothing_is_given_up(
    option: str, scheme: str, sound: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if (option, scheme) == ("--storage", "http"):
        pytest.skip("Optuna has no storage of this kind")
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        uri = f"{scheme}://user:secret@127.0.0.1:{silent.getsockname()[1]}/x"
        refused(sound, option, uri, message=f"{option}: ")
    assert not list((sound.parent / "results").glob("*"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlflow.db", "optuna.journal"])
def test_damaged_databases_are_refused(name: str, sound: Path) -> None:
    (sound.parent / "results").mkdir()
    (sound.parent / "results" / name).write_bytes(b"\x80 no database\n" * 50)
    refused(sound, message="--tracking-uri: " if name == "mlflow.db" else "--storage: ")


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_a_damaged_record_is_named_by_the_report(sound: Path) -> None:
    results = sound.parent / "results"
    assert CliRunner().invoke(run.main, [str(sound), "--devices", "cpu", "--results", str(results)]).exit_code == 0
    for table, content in (("runs", b""), ("curves", b"PAR1"), ("runs", b"\0" * 100)):
        path = next(results.rglob(f"artifacts/{table}.parquet"))
        before = path.read_bytes()
        path.write_bytes(content)
        done = CliRunner().invoke(report.main, [str(sound), "--results", str(results)])
        assert done.exit_code == 2, done.output
        assert "1 record is missing or damaged" in done.output
        path.write_bytes(before)
    next(results.rglob("artifacts/study/environment.json")).write_text("{")
    done = CliRunner().invoke(report.main, [str(sound), "--results", str(results)])
    assert done.exit_code == 2
    assert "environment.json, recorded with the study, is damaged" in done.output


@pytest.mark.slow
def test_a_model_beyond_memory_is_refused_by_a_process_that_lives(sound: Path) -> None:
    """In a process of its own: the kernel would kill one that asks for so much."""
    done = subprocess.run(
        [sys.executable, "-m", "harness.run", str(sound), "--set", "model.hidden=(200000, 200000)", "--results",
         str(sound.parent / "results")],
        capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "model: needs 1,49" in done.stderr
    assert "make it smaller" in done.stderr


# --- Files of data

IDX = bytes([0, 0, 8, 3, 0, 0, 0, 5, 0, 0, 0, 2, 0, 0, 0, 2]) + bytes(20)
LABELS = bytes([0, 0, 8, 1, 0, 0, 0, 5, 0, 1, 2, 3, 4])


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (b"", LABELS, "the file is empty"),
        (IDX[:-1], LABELS, "is damaged"),
        (IDX[:3], LABELS, "is not an IDX file"),
        (b"\1" + IDX[1:], LABELS, "is not an IDX file"),
        (IDX, IDX, "is not an IDX file"),
        (IDX, LABELS[:-1], "is damaged"),
        (gzip.compress(IDX, mtime=0)[:-9], LABELS, "is not a whole gzip file"),
        (IDX[:7] + b"\4" + IDX[8:-4], LABELS, "4 images"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)} bytes",
)
def test_damaged_images_are_refused(images: bytes, labels: bytes, message: str, sound: Path) -> None:
    (sound.parent / "train-images-idx3-ubyte").write_bytes(images)
    (sound.parent / "train-labels-idx1-ubyte").write_bytes(labels)
    refused(sound, "--set", f"task.source=idx:{sound.parent}", message="task.source: ")
    assert message in refused(sound, "--set", f"task.source=idx:{sound.parent}")


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "the file is empty"), (b"ab\xff", "must be UTF-8"), (b"ab", "must be less than"), (None, "folder")],
)
def test_damaged_text_is_refused(content: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path
    if content is not None:
        path = tmp_path / "text.txt"
        path.write_bytes(content)
    found = problems(task=CharLM(text=path), model=SimpleRNN(hidden=4, readout="every"))
    assert message in found[0]


# --- Users' tensors, tasks, models and rules

X, Y = torch.randn(60, 4), torch.arange(60) % 3


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X.to(torch.complex64), Y, "task.x: must be float32 or int64"),
        (X > 0, Y, "task.x: must be float32 or int64"),
        (X.double(), Y, "use x.float()"),
        (X, Y.to(torch.uint8), "y.long() for classes"),
        (X, Y[:7], "task.y: needs as many examples as x, 60"),
        (X[:0], Y[:0], "must hold at least one example"),
        (X[:, :0], Y, "must hold at least one example"),
        (torch.tensor(1.0), Y, "task.x: must hold at least one example"),
        (X[:, 0], Y, "use x.unsqueeze(1)"),
        (X.masked_fill(X > 1, torch.nan), Y, "task.x: all 240 values must be finite"),
        (X.masked_fill(X > 1, torch.inf), Y, "infinite"),
        (X, Y - 1, "task.y: classes must be ≥ 0"),
        (X, Y * 10**12, "of memory"),
        (X, Y.view(30, 2), "as many examples"),
        (X.to_sparse(), Y, "task.x: must not be sparse; use x.to_dense()"),
        (torch.empty(60, 4, device="meta"), Y, "task.x: must be on the CPU"),
        (X.clone().requires_grad_(), Y, "use x.detach()"),
        (X[:2], Y[:2], "at least one"),
        (X.tolist(), Y, "task.x: input should be an instance of Tensor"),
    ],
)
def test_unusable_tensors_are_refused(x: Any, y: Any, message: str) -> None:
    found = problems(task=Tensors(x, y), batch_size=4)
    assert any(message in line for line in found), found


def test_float_labels_need_one_output_each() -> None:
    found = problems(task=Tensors(X, Y.float()), model=DropoutNet(hidden=(4,), outputs=3), batch_size=4)
    assert "model: its output (4, 3) does not fit the targets (4,)" in found[0]
    assert "leave out outputs, which the task gives as 1" in found[0]


class Unfit(nn.Module):
    def __init__(self, inputs: int, outputs: int, fault: str = "") -> None:
        super().__init__()
        self.net, self.fault = nn.Linear(inputs, outputs), fault
        if fault == "constructor":
            raise RuntimeError("cannot be made")

    def forward(self, x: torch.Tensor) -> Any:
        output = self.net(x)
        return {"forward": output[:, :, :, 0] if self.fault == "forward" else None, "tuple": (output, output),
                "nan": output * torch.nan, "constant": x.new_zeros(len(x), 10), "flat": output.flatten()}[self.fault]  # fmt: skip


class AnyArguments(nn.Module):
    """Looks up its arguments by name."""

    def __init__(self, inputs: int, **arguments: Any) -> None:
        super().__init__()
        self.net = nn.Linear(inputs, arguments["outputs"] + arguments["width"])


class NoData(Task):
    def data(self, seed: int) -> Any:
        return None


class Hidden:
    """Cannot be shown."""

    def __repr__(self) -> str:
        raise RuntimeError


def deep() -> Any:
    nested: Any = 1
    for _ in range(5000):
        nested = [nested]
    return nested


COMBINATIONS: list[tuple[Callable[[], dict[str, Any]], str]] = [
    (lambda: {"task": Images(layout="rows")}, "an example of shape (8, 8) has 64 numbers, and inputs is 8; set inputs=64, or give images with layout='flat'"),
    (lambda: {"model": SimpleRNN(hidden=4)}, "images are sequences with layout='rows'"),
    (lambda: {"model": SimpleRNN(hidden=4, readout="every"), "task": Images(layout="rows")}, "does not fit the targets (64,): set readout='last'"),
    (lambda: {"model": SimpleRNN(hidden=4), "task": CharLM(length=9)}, "does not fit the targets (64, 9): set readout='every'"),
    (lambda: {"model": DropoutNet(outputs=3)}, "model: has 3 outputs for 10 classes; leave out outputs"),
    (lambda: {"model": DropoutNet(inputs=3)}, "leave out inputs, which the task gives as 64"),
    (lambda: {"batch_size": 1080}, "batch_size: must not exceed the 1079 training examples"),
    (lambda: {"batch_size": Tune(1, 1080)}, "batch_size: must not exceed the 1079 training examples"),
    (lambda: {"task": Images(train_size=Tune(100, 1080))}, "task.train_size: at most 1079"),
    (lambda: {"task": Images(validation_size=1797)}, "task.validation_size: "),
    (lambda: {"task": AddingProblem(length=10**9)}, "task.length: so large, 8,000 examples need"),
    (lambda: {"steps": 10**8}, "steps: input should be less than or equal to 10000000"),
    (lambda: {"seeds": 10**9}, "seeds: input should be less than or equal to 1000000"),
    (lambda: {"seeds": 10**6, "optimizer": SGD(Sweep(0.1, 0.2))}, "study: has 2,000,000 runs, more than 1,000,000"),
    (lambda: {"optimizer": SGD(Tune(0.1, 1.0)), "tune_trials": 10**9}, "take fewer levels, seeds or tune trials"),
    (lambda: {"objective": ()}, "objective: needs one metric"),
    (lambda: {"objective": ["train_loss", "train_loss"]}, "objective: needs one metric, or several different ones"),
    (lambda: {"optimizer": Sweep(SGD(Tune(0.1, 1.0)), SGD())}, "optimizer: a level of a Sweep cannot hold a Sweep or Tune"),
    (lambda: {"clipping": GlobalNorm(Sweep(1, 1.0))}, "clipping.max_norm: the levels of a Sweep must differ"),
    (lambda: {"optimizer": SGD(float("inf"))}, "optimizer.lr: input should be a finite number"),
    (lambda: {"optimizer": SGD(Tune(1, 10**400))}, "optimizer.lr: Tune needs two finite numbers"),
    (lambda: {"objective": Sweep("train_loss")}, "objective: cannot be swept or tuned"),
    (lambda: {"name": Sweep("a", "b")}, "name: cannot be swept or tuned"),
    (lambda: {"clipping": ClippingRule()}, "clipping: cannot take a step: NotImplementedError"),
    (lambda: {"optimizer": Optimizer()}, "optimizer: cannot take a step: NotImplementedError"),
    (lambda: {"task": Task()}, "task: gives no data: NotImplementedError"),
    (lambda: {"task": NoData()}, "task: gives no data: AttributeError"),
    (lambda: {"model": int}, "model: needs a torch.nn.Module class"),
    (lambda: {"model": nn.Module}, "model: does not train"),
    *((lambda fault=fault: {"model": Model(Unfit, fault=fault)}, message) for fault, message in [
        ("constructor", "model: cannot be built: RuntimeError: cannot be made"), ("forward", "model: does not train"),
        ("tuple", "model: must return one tensor, not a tuple"), ("nan", "model: has a non-finite gradient"),
        ("flat", "model: its output (640,) does not fit the targets (64,)")]),
    (lambda: {"model": AnyArguments}, "the task gives `outputs` to an argument of that name alone, not to **arguments: write it in the constructor"),
    (lambda: {"model": Model(AnyArguments, outputs=10)}, "if it is one of **arguments, give it: Model(AnyArguments, width=…)"),
    (lambda: {"steps": Hidden()}, "steps: input should be a valid integer (got a Hidden that cannot be shown: RuntimeError)"),
    (lambda: {"steps": deep()}, "steps: input should be a valid integer; several levels are Sweep(a list that cannot be shown: RecursionError) (got"),
    (lambda: {"": 3}, "'': unknown setting"),
    (lambda: {"\x1b[31m": 3}, "\\x1b[31m: unknown setting"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "message"), COMBINATIONS, ids=[message[:50] for _, message in COMBINATIONS])
def test_what_cannot_train_is_refused_with_the_way_out(settings: Callable[[], dict[str, Any]], message: str) -> None:
    found = problems(**settings())
    assert any(message in line for line in found), found


# --- What a newcomer gets wrong: one problem each, that names the thing to change


class OwnSizes(nn.Module):
    """Knows its sizes by itself."""

    def __init__(self, features: int = 784, classes: int = 10, dropout: float = 0.5) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(features, 8), nn.Dropout(dropout), nn.Linear(8, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


class OwnVocabulary(nn.Module):
    def __init__(self, vocabulary: int = 10, dropout: float = 0.5) -> None:
        super().__init__()
        self.table, self.drop, self.out = nn.Embedding(vocabulary, 4), nn.Dropout(dropout), nn.Linear(4, vocabulary)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.drop(self.table(x)))


class OneScore(OwnSizes):
    """Gives the first class's score alone."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)[:, 0]


class Required(nn.Module):
    def __init__(self, n_in: int, width: int) -> None:
        super().__init__()


SWEPT = DropoutNet(hidden=(4,), dropout=Sweep(0.0, 0.5))


def claim(**changes: Any) -> Claim:
    settings = {"metric": "test_error", "better": "lower", "smallest_effect": 0.1,
                "treatment": {"model.dropout": 0.5}, "baseline": {"model.dropout": 0.0}}  # fmt: skip
    return Claim("t", **(settings | changes))


MISTAKES: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "typo in a claim's treatment": (
        lambda: {"model": SWEPT, "claims": [claim(treatment={"model.droput": 0.5})]},
        "claims[0].treatment.model.droput: is not a swept factor; did you mean model.dropout?"),
    "arms of different factors": (
        lambda: {"model": SWEPT, "clipping": GlobalNorm(Sweep(1.0, 2.0)),
                 "claims": [claim(treatment={"model.dropout": 0.5, "clipping.max_norm": 1.0})]},
        "claims[0].baseline: must name the factors of treatment"),
    "typo in a constructor, with a claim on the factor": (
        lambda: {"model": DropoutNet(hidden=(4,), droput=Sweep(0.0, 0.5)), "claims": [claim()]},
        "model.droput: unknown setting; did you mean dropout?"),
    "typo in a required argument": (
        lambda: {"model": Model(Required, n_in=64, widht=3)}, "model.widht: unknown setting; did you mean width?"),
    "typo in a claim's field": (
        lambda: {"model": SWEPT, "claims": [Claim("t", metrc="test_error", better="lower", smallest_effect=0.1,
                 treatment={"model.dropout": 0.5}, baseline={"model.dropout": 0.0})]},
        "claims[0].metrc: unknown setting; did you mean metric?"),
    "a factor that is not swept": (
        lambda: {"model": SWEPT, "claims": [claim(treatment={"model.dropout": 0.5, "steps": 2})]},
        "claims[0].treatment.steps: is not a swept factor, but the same in all cells; swept: model.dropout (got 2)"),
    "a module of another input size, at two levels": (
        lambda: {"model": Model(OwnSizes, dropout=Sweep(0.0, 0.5))}, "the argument features=784 does not fit"),
    "a module of another vocabulary, at two levels": (
        lambda: {"task": CharLM(length=9), "model": Model(OwnVocabulary, dropout=Sweep(0.0, 0.5))},
        "the input has shape (64, 9) of tokens 0 to 102"),
    "a module of another output shape, at two levels": (
        lambda: {"model": Model(OneScore, features=64, dropout=Sweep(0.0, 0.5))},
        "its output (64,) does not fit the targets (64,): scores of all classes are needed for each, in shape (64, 10)"),
    "numbers where one is needed": (
        lambda: {"model": Model(OwnSizes, features=64, dropout=Sweep(0.0, 0.5)), "task": Tensors(X, Y.float()), "batch_size": 4},
        "the input has shape (4, 4) of torch.float32, and the argument features=64 does not fit"),
    "a recurrent network of another readout, at two levels": (
        lambda: {"model": SimpleRNN(hidden=4, readout="every", dropout=Sweep(0.0, 0.5)), "task": Images(layout="rows")},
        "model: its output (64, 8, 10) does not fit the targets (64,): set readout='last'"),
    "a class in place of a rule": (lambda: {"clipping": GlobalNorm}, "this is the class: write GlobalNorm(…)"),
    "a rule by its name": (lambda: {"optimizer": "adam"}, "such as SGD(…), Adam(…), AdamW(…), Lion(…), RMSprop(…) of harness.optimizers"),
    "a task by its name": (lambda: {"task": "mnist"}, "such as AddingProblem(…), CharLM(…)"),
    "arguments by position": (lambda: {"model": SimpleRNN(64)}, "takes the arguments of SimpleRNN by name, e.g. hidden=64"),
    "a module, not its class": (lambda: {"model": nn.Linear(3, 3)}, "model: needs a torch.nn.Module class"),
    "a list of levels": (lambda: {"model": DropoutNet(dropout=[0.0, 0.5])}, "several levels are Sweep(0.0, 0.5), one for each is (0.0, 0.5)"),
    "a number of seeds at a look": (lambda: {"looks": (2.0, 20)}, "looks: input should be a valid integer in element 0; write 2 (got 2.0)"),
    "half a seed at a look": (lambda: {"looks": (2.5, 20)}, "looks: input should be a valid integer in element 0 (got 2.5)"),
    "one width": (lambda: {"model": DropoutNet(hidden=64)}, "model.hidden: input should be a valid tuple; a single one is (…,)"),
    "one claim": (lambda: {"model": SWEPT, "claims": claim()}, "claims: input should be a valid list; a single one is […]"),
    "a number in quotes": (lambda: {"optimizer": SGD("1e-3")}, "optimizer.lr: input should be a valid number; leave out the quotes"),
    "a number with a point": (lambda: {"steps": 1e3}, "steps: input should be a valid integer; write 1000"),
    "a text for a number without annotation": (
        lambda: {"model": Model(Unannotated, width="abc")}, "model.width: must be a number, as its default is"),
    "a text for a boolean without annotation": (
        lambda: {"model": Model(Unannotated, flag="no")}, "model.flag: must be True or False, as its default is"),
}  # fmt: skip


class Unannotated(nn.Module):
    def __init__(self, inputs, outputs, width=32, flag=False) -> None:  # type: ignore[no-untyped-def]
        super().__init__()
        self.net = nn.Linear(inputs, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_newcomers_mistake_is_one_problem_that_names_what_to_change(mistake: str) -> None:
    settings, message = MISTAKES[mistake]
    found = problems(**settings())
    assert len(found) == 1, found
    assert message in found[0], found
    assert "readout" not in found[0] or "recurrent" in mistake


class Conditional(Unannotated):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(torch.cond(self.decided(x), lambda x: x * 2, lambda x: x * 1.0, (self.net.weight[:1] * x,)))

    def decided(self, x: torch.Tensor) -> torch.Tensor:
        return x.sum() > 0


class OfAShape(Conditional):
    def decided(self, x: torch.Tensor) -> bool:  # type: ignore[override]
        return x.dim() == 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # which the import of a compiler says too
def test_what_only_a_compiler_can_do_is_refused_with_what_to_write_instead() -> None:
    (found,) = problems(model=Conditional)
    assert (
        "`cond` of torch needs its compiler, which is off where modules train here: write `if`, `for` or torch.where"
        in found
    )
    assert Study(name="x", task=Images(), model=OfAShape, steps=2).notes == []  # torch.cond is an `if` there
    wrong = Model(
        type("Wrong", (OfAShape,), {"forward": lambda self, x: torch.cond(True, self.net, self.net, (x[:, 1:],))})
    )
    assert "compiler" not in problems(model=wrong)[0]


def test_the_problems_of_one_claim_hide_none_of_another() -> None:
    claims = [claim(metric="tst_error"), claim(treatment={"model.dropout": 0.3}), claim(tretment={})]
    assert [line.partition(":")[0] for line in problems(model=SWEPT, claims=claims)] == [
        "claims[2].tretment", "claims[0].metric", "claims[1].treatment.model.dropout"]  # fmt: skip


def test_a_missing_argument_says_which_ones_the_task_gives() -> None:
    found = problems(model=Model(Required))
    assert found[0] == "model.n_in: is required; arguments named inputs and outputs are taken from the task"


def test_a_class_needs_no_brackets_also_as_a_level() -> None:
    study = Study(name="x", task=Images(), model=Sweep(DropoutNet, Unannotated), steps=2)
    assert [study.setup(cell).model.class_name() for cell in study.cells()] == ["DropoutNet", "Unannotated"]


def test_one_is_written_in_the_singular() -> None:
    one = Study(
        name="x",
        task=Images(),
        model=DropoutNet(hidden=(4,)),
        steps=1,
        seeds=1,
        tune="shared",
        tune_seeds=1,
        tune_trials=1,
        optimizer=SGD(Tune(0.1, 1.0)),
    )
    text = overview(one, verbose=False)
    assert "x: 1 cell (" in text
    assert "1 value a cell (qmc) on 1 seed of its own" in text
    assert "seeds:   1 seed a cell; 2 runs in all, of 1 step, 0.0593 epochs" in text
    two = overview(one.replace(seeds=2, tune_seeds=2, tune_trials=2), verbose=False)
    assert "2 values a cell (qmc) on 2 seeds of its own" in two
    assert "seeds:   2 seeds a cell; 6 runs in all, of 1 step, 0.0593 epochs" in two


def test_a_password_inside_a_list_or_dictionary_is_refused() -> None:
    for value in (["http://me:secret@h"], {"a": ("http://me:secret@h",)}, {"http://me:secret@h": 1}):
        (found,) = problems(model=Model(Unannotated, width=value))
        assert found.startswith("model.width: must hold no password")
        assert "secret" not in found


@pytest.mark.parametrize("what", ["raise SystemExit(0)", "raise BaseException('mine')"])
def test_a_module_that_ends_its_process_is_refused(what: str, sound: Path) -> None:
    source = SOUND.replace("model=DropoutNet(hidden=(4,))", "model=Model(Mine)").replace(
        "import Study", "import Model, Study"
    )
    module = (
        f"class Mine(torch.nn.Linear):\n    def __init__(self, inputs, outputs):\n"
        f"        super().__init__(inputs, outputs)\n\n    def forward(self, x):\n        {what}\n"
    )
    sound.write_text(source.replace("study =", f"{module}study ="))
    refused(sound, message="does not train on Images")


@pytest.mark.parametrize(
    ("arguments", "paths"),
    [
        (
            ["--set", "stepss=10", "--seeds", "0", "--devices", "gpu", "--memory", "x"],
            ["stepss", "seeds", "--devices", "--memory"],
        ),
        (
            ["--until-decided", "--memory", "x", "--storage", "nonsense://x", "--tracking-uri", "foo://bar"],
            ["--until-decided", "--memory", "--storage", "--tracking-uri"],
        ),
        (["--storage", "postgresql+none://me:secret@h/x", "--tracking-uri", "a://b@c@d"], ["--storage", "--tracking-uri"]),
    ],
)  # fmt: skip
def test_problems_of_every_kind_are_named_at_once(arguments: list[str], paths: list[str], sound: Path) -> None:
    refused = CliRunner().invoke(run.main, [str(sound), *arguments, "--results", str(sound.parent / "results")])
    first, *problems = refused.output.splitlines()
    assert refused.exit_code == 2 and f"these {len(paths)} " in first and "secret" not in refused.output
    assert [problem.split(": ")[0].strip() for problem in problems] == paths
    assert not (sound.parent / "results").exists()


def test_a_place_given_in_place_of_another_is_told_from_it(sound: Path, tmp_path: Path) -> None:
    (tmp_path / "results" / "mine").mkdir(parents=True)
    (tmp_path / "results" / "mine" / "claims.json").write_text("[]")
    for arguments, said in (
        (["verify", str(tmp_path / "results")], "is the folder of all results; give that of one study in it: mine"),
        (["verify", str(sound)], "is a file; give the folder results/<study>"),
        (["list", str(tmp_path / "results" / "mine")], "is the folder of one study; give that of all results"),
        (["run", str(sound.with_suffix(""))], "no such study file; did you mean"),
        (["doctor", str(sound.with_suffix(""))], f"did you mean {sound}?"),
    ):
        refused = CliRunner().invoke(harness, arguments)
        assert refused.exit_code == 2 and said in refused.output, refused.output
