"""The doctor finds each kind of broken piece, and nothing wrong with sound ones."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn as nn
from click.testing import CliRunner, Result

from harness import Model, Study, Sweep, Tune
from harness import doctor as command
from harness.audit import checks, data_checks, doctor
from harness.clipping import ClippingRule, Gradient
from harness.engine.setup import Setup
from harness.models import DropoutNet, SimpleRNN
from harness.optimizers import SGD, Adam
from harness.tasks import Data, Images, Tabular, Task, Tensors

STUDY = '''"""Sound."""
import torch
from torch import nn
from harness import Model, Study, Sweep, Tune
from harness import doctor as command
from harness.optimizers import SGD
from harness.tasks import Tensors

x = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))

class Net(nn.Module):
    def __init__(self, outputs, dropout=0.5):
        super().__init__()
        self.hidden, self.drop, self.readout = nn.Linear(4, 8), nn.Dropout(dropout), nn.Linear(8, outputs)
        self.spare = nn.Linear(2, 2)

    def forward(self, x):
        return self.readout(self.drop(self.hidden(x).relu()))

study = Study(name="mine", task=Tensors(x, (x.sum(1) > 0).long()), model=Model(Net, dropout=Sweep(0.0, 0.5)),
              optimizer=SGD(lr=Tune(0.01, 1.0, log=True)), batch_size=16, steps=20)
'''


def examined(source: str, folder: Path) -> Result:
    (folder / "mine.py").write_text(source)
    return CliRunner().invoke(command.main, [str(folder / "mine.py")])


def test_a_sound_study_passes_every_check(tmp_path: Path) -> None:
    result = examined(STUDY.replace("        self.spare = nn.Linear(2, 2)\n", ""), tmp_path)
    lines = result.output.splitlines()
    assert result.exit_code == 0, result.output
    assert len(lines) == 16
    assert all(line.startswith("ok ") for line in lines)


def test_a_failed_check_names_what_is_wrong_and_the_exit_code_is_1(tmp_path: Path) -> None:
    result = examined(STUDY, tmp_path)
    (failed,) = [line for line in result.output.splitlines() if line.startswith("failed")]
    assert "spare.weight, spare.bias" in failed
    assert "readout" not in failed
    assert result.exit_code == 1


def test_an_invalid_study_is_refused_with_exit_code_2(tmp_path: Path) -> None:
    result = examined(STUDY.replace("dropout=Sweep(0.0, 0.5)", "dropout=1.5"), tmp_path)
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert CliRunner().invoke(command.main, [str(tmp_path / "none.py")]).exit_code == 2


X = torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
Y = (X.sum(1) > 0).long()


class Net(nn.Module):
    """Sound; the broken ones below change one thing each."""

    def __init__(self, inputs: int, outputs: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.hidden, self.drop, self.readout = nn.Linear(inputs, 8), nn.Dropout(dropout), nn.Linear(8, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.readout(self.noise(self.hidden(x).relu()))

    def noise(self, x: torch.Tensor) -> torch.Tensor:
        return self.drop(x)


class OwnNoise(Net):
    """Dropout from a generator of its own."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.generator = self.made()

    def noise(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return x
        return x * torch.from_numpy(self.generator.random(x.shape) >= 0.5).to(x.dtype) * 2


class SharedNoise(OwnNoise):
    """The same for all seeds."""

    def made(self) -> np.random.Generator:
        return np.random.default_rng(0)


class UnseededNoise(OwnNoise):
    """Other masks at the next training."""

    def made(self) -> np.random.Generator:
        return np.random.default_rng()


class NumPysNoise(Net):
    """From NumPy's global generator, which a run's seed has set."""

    def noise(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return x
        return x * torch.from_numpy(np.random.rand(*x.shape) >= 0.5).to(x.dtype) * 2


class AlwaysNoisy(Net):
    def noise(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.from_numpy(np.random.rand(*x.shape) >= 0.5).to(x.dtype) * 2


class Forgetful(Net):
    """Takes dropout and makes no use of it."""

    def noise(self, x: torch.Tensor) -> torch.Tensor:
        return x


class Detached(Net):
    def noise(self, x: torch.Tensor) -> torch.Tensor:
        return x.detach()


class Blind(Net):
    """Its output does not depend on the input."""

    def noise(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(x)


class Huge(Net):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        nn.init.normal_(self.readout.weight, std=100.0)


class Counting(Net):
    """Keeps a count between calls: what it computes depends on how often it was called."""

    calls = 0

    def noise(self, x: torch.Tensor) -> torch.Tensor:
        type(self).calls += 1
        return x * (1 + 0.1 * type(self).calls)


class OwnLinear(nn.Linear):
    """Its forward pass knows when it runs for a whole population, and then does something else."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) * (2.0 if torch._C._functorch.is_batchedtensor(x) else 1.0)


class Deviating(Net):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.readout = OwnLinear(8, outputs)


class OverTheStack(ClippingRule):
    """Clips the population's gradient as if it were one."""

    def clip(self, gradient: Gradient) -> torch.Tensor:  # type: ignore[override]
        gradient.flat.div_(torch.linalg.vector_norm(gradient.flat))
        return gradient.norm > 0


class RandomStep(SGD):
    def update(self, parameters: torch.Tensor, *rest: torch.Tensor, **coefficients: torch.Tensor | None) -> None:
        super().update(parameters, *rest, **coefficients)  # type: ignore[arg-type]
        parameters.add_(1e-3 * np.random.default_rng().random())


def setup(model: type[nn.Module] | Model = Net, task: Task | None = None, **changes: object) -> Setup:
    made = Setup(
        task=task or Tensors(X, Y),
        model=model if isinstance(model, Model) else Model(model),
        optimizer=SGD(0.1),
        batch_size=16,
        steps=20,
    )
    return made.replace(**changes)


BROKEN_MODELS = [
    (checks.dropout, SharedNoise, "share their dropout noise"),
    (checks.repeats, UnseededNoise, "two trainings of the same runs differ"),
    (checks.repeats, Counting, "two trainings of the same runs differ"),
    (checks.reach, Detached, "does not reach hidden.weight, hidden.bias"),
    (checks.learns, Blind, "by heart brought the loss from"),
]
GROUPED = (checks.dropout, checks.repeats)


@pytest.mark.parametrize(("check", "model", "sentence"), BROKEN_MODELS, ids=lambda v: getattr(v, "__name__", ""))
def test_a_broken_model_fails_the_check(check: object, model: type[nn.Module], sentence: str) -> None:
    subject = [setup(model)] if check in GROUPED else setup(model)
    finding = check(subject)  # type: ignore[operator]
    assert finding.level == "failed"
    assert sentence in finding.sentence
    assert finding.way_out


def test_an_optimizer_of_random_steps_fails_the_check() -> None:
    finding = checks.repeats([setup(optimizer=RandomStep(0.1))])
    assert finding.level == "failed"
    assert "two trainings of the same runs differ" in finding.sentence


@pytest.mark.parametrize(
    ("subject", "why"),
    [
        (setup(Counting), "the loss of step 1"),
        (setup(Deviating), "the loss of step 1"),
        (setup(NumPysNoise), "draws random numbers itself"),
        (setup(clipping=OverTheStack()), "what clipping leaves of the gradient at step 1"),
    ],
    ids=["counting", "deviating", "noise of numpy", "clipping over the stack"],
)
def test_what_a_population_would_train_otherwise_is_found_to_train_as_written(subject: Setup, why: str) -> None:
    finding = checks.as_written([subject])
    assert finding.level == "ok"
    assert "runs train by the plain loop" in finding.sentence
    assert why in finding.sentence


def test_noise_from_numpys_generator_is_each_seeds_own_and_repeats() -> None:
    subject = [setup(NumPysNoise)]
    assert checks.dropout(subject).level == checks.repeats(subject).level == "ok"


class OverBatch(nn.Module):
    """Recurrent over examples instead of steps: `batch_first` is what is missing."""

    def __init__(self, inputs: int, outputs: int, batch_first: bool = False, cell: type[nn.Module] = nn.LSTM) -> None:
        super().__init__()
        self.rnn, self.readout = cell(inputs, 8, batch_first=batch_first), nn.Linear(8, outputs)  # type: ignore[call-arg]
        nn.init.zeros_(self.readout.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.readout(self.rnn(x)[0][:, -1])  # type: ignore[no-any-return]


class Normalised(Net):
    """Batch norm uses the statistics of training in evaluation, or those of the batch at hand."""

    def __init__(self, inputs: int, outputs: int, track: bool = True) -> None:
        super().__init__(inputs, outputs)
        self.norm = nn.BatchNorm1d(8, track_running_stats=track)

    def noise(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(x)  # type: ignore[no-any-return]


class Centred(Net):
    def noise(self, x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(0)


class OneNumber(Net):
    """One number for each example, without an axis of its own."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x)[:, 0]


NUMBERS = Tensors(torch.randn(200, 6, generator=torch.Generator().manual_seed(1)), Y.float())
SEQUENCES = Tensors(torch.randn(200, 5, 6, generator=torch.Generator().manual_seed(1)), Y)


@pytest.mark.parametrize(
    ("model", "task", "level"),
    [
        (Model(OverBatch), SEQUENCES, "warning"),
        (Model(OverBatch, cell=nn.GRU), SEQUENCES, "warning"),
        (Model(OverBatch, batch_first=True), SEQUENCES, "ok"),
        (Model(Normalised, track=False), None, "warning"),
        (Model(Normalised), None, "ok"),
        (Model(Centred), None, "warning"),
        (Model(AlwaysNoisy), None, "ok"),  # another check says what is wrong
        (Model(Net), None, "ok"),
        (Model(OneNumber), NUMBERS, "ok"),
        (DropoutNet(hidden=(8,), dropout=0.5), None, "ok"),
        (SimpleRNN(hidden=8), SEQUENCES, "ok"),
    ],
)  # fmt: skip
def test_examples_of_a_batch_that_mix_are_a_warning_and_a_note(model: Model, task: Task | None, level: str) -> None:
    subject = setup(model, task)
    assert checks.apart_in_batch(subject).level == level
    notes = Study(name="x", **{name: subject.values()[name] for name in ("task", "model", "batch_size", "steps")}).notes
    assert any("in eval mode an example's output depends on the others" in note for note in notes) == (
        level == "warning"
    )


def test_what_may_be_meant_so_is_a_warning() -> None:
    forgetful = setup(Model(Forgetful, dropout=0.5))
    assert checks.dropout([forgetful]).level == "warning"
    assert "model.dropout is 0.5" in checks.dropout([forgetful]).sentence
    assert checks.first_loss(setup(Huge)).level == "warning"
    noisy = checks.dropout([setup(AlwaysNoisy)])
    assert noisy.level == "warning"
    assert "evaluation is random" in noisy.sentence


class Fixed(Task):
    """Whatever data a test wants."""

    made: object

    def data(self, seed: int) -> Data:
        return self.made(seed)  # type: ignore[operator,no-any-return]


def parts(x: torch.Tensor = X, y: torch.Tensor = Y, train: slice = slice(120), test: slice = slice(160, 200)) -> Fixed:
    index = torch.arange(len(x))
    return Fixed(lambda seed: Data(x, y, index[train], index[120:160], index[test]))


ALL_DATA_CHECKS = (
    data_checks.as_read, data_checks.same_data, data_checks.test_set, data_checks.splits, data_checks.text, data_checks.sane,
    data_checks.answer, data_checks.classes,
)  # fmt: skip

BROKEN_DATA = [
    (
        data_checks.same_data,
        Fixed(lambda seed: Data(torch.rand(9, 2), Y[:9], Y[:3], Y[3:6], Y[6:9])),
        "failed",
        "other",
    ),
    (data_checks.splits, parts(train=slice(130)), "failed", "validation: must share no example with train"),
    (data_checks.splits, parts(test=slice(0)), "failed", "test: must hold at least one example"),
    (data_checks.splits, parts(x=torch.cat([X[:160], X[:40]])), "warning", "40 of 40 test examples"),
    (
        data_checks.splits,
        parts(x=torch.cat([X[:180], X[160:180]]), y=torch.cat([Y[:180], Y[160:180]])),
        "warning",
        "each of 20 test examples is there 2 times",
    ),
    (data_checks.sane, parts(x=torch.where(X > 3, torch.nan, X)), "failed", "in x are NaN or infinite"),
    (data_checks.sane, parts(y=torch.ones(200, dtype=torch.int64)), "failed", "y is the same"),
    (data_checks.sane, parts(x=torch.ones(200, 6)), "failed", "x is the same"),
    (data_checks.sane, parts(y=(X[:, 0] > 2).long()), "warning", "of the training targets are class 0"),
    (data_checks.sane, parts(y=Y + 2 * (torch.arange(200) > 150)), "warning", "never trained on"),
    (data_checks.sane, parts(x=X * torch.tensor([1, 0, 0, 0, 0, 1])), "warning", "4 of 6 inputs are the same"),
    (data_checks.sane, parts(x=X * torch.tensor([1, 1, 1, 1, 1, 1e4])), "warning", "a thousand times"),
    (data_checks.sane, parts(y=Y - 1), "failed", "classes must be ≥ 0"),
    (data_checks.sane, parts(y=torch.where(X > 3, torch.nan, X).sum(1)), "failed", "all targets must be finite"),
    (data_checks.answer, parts(y=(X[:, 4] > 0).long()), "warning", "input 4 alone tells the target"),
    (data_checks.classes, parts(y=Y + 1), "warning", "of the 3 classes, 0 … 2, 0 never occurs"),
]


@pytest.mark.parametrize(
    ("check", "task", "level", "sentence"), BROKEN_DATA, ids=lambda v: str(v) if isinstance(v, str) else ""
)
def test_broken_data_are_found(check: object, task: Task, level: str, sentence: str) -> None:
    finding = check(task)  # type: ignore[operator]
    assert (finding.level, sentence in finding.sentence) == (level, True), finding


def test_sound_data_pass() -> None:
    for task in (parts(), Images(), Tensors(X, X.sum(1))):
        assert all(check(task).level == "ok" for check in ALL_DATA_CHECKS)


def test_what_had_to_be_decided_when_a_table_was_read_is_a_warning(tmp_path: Path) -> None:
    rows = [f"{'?' if i % 20 == 0 else i / 7:},{'ab'[i % 2]}" for i in range(100)]
    (tmp_path / "t.csv").write_text("\n".join(["size,y", *rows]))
    finding = data_checks.as_read(Tabular(tmp_path / "t.csv", target="y"))
    assert finding.level == "warning" and finding.sentence.startswith("100 examples; ")
    assert "column 'size': 5 of 100 values are '?'" in finding.sentence


def test_categories_that_are_never_trained_on_are_a_warning(tmp_path: Path) -> None:
    for name, kinds in (("t.csv", "ab"), ("test.csv", "cd")):
        rows = [f"{i * 7919 % 97},{kinds[i % 2]},{'uv'[i % 3 % 2]}" for i in range(100)]
        (tmp_path / name).write_text("\n".join(["size,kind,y", *rows]))
    finding = data_checks.sane(Tabular(tmp_path / "t.csv", target="y", test=tmp_path / "test.csv"))
    assert finding.level == "warning" and "100 of 100 test examples have in column 'kind'" in finding.sentence


def test_a_check_that_raises_has_failed() -> None:
    def raises(task: Task) -> checks.Finding:
        raise RuntimeError("no data today\nmore")

    finding = doctor._worst(raises, [Images()])
    assert (finding.level, finding.sentence) == ("failed", "raised RuntimeError: no data today")


def test_cells_are_grouped_as_they_train_together() -> None:
    study = Study(
        name="x", task=Images(), model=DropoutNet(hidden=Sweep((8,), (16,)), dropout=Sweep(0.0, 0.1, 0.2, 0.3, 0.5)),
        optimizer=Adam(lr=Tune(1e-3, 1e-1, log=True)),
    )  # fmt: skip
    found = list(doctor.groups(study))
    assert [[s.model.values()["dropout"] for s in group] for group in found] == [[0.0, 0.1, 0.2, 0.5]] * 2
    assert found[0][0].optimizer.values()["lr"] == pytest.approx(1e-2)
