"""`harness new`: a study to start from."""

from pathlib import Path

import click

from harness.lead.ending import DONE
from harness.settings import InvalidStudy, Problem
from harness.settings.modules import is_taken
from harness.study.rules import name_problems

TEMPLATE = '''\
"""Does dropout help a small network on few, noisy examples?

    harness doctor FILE        checks all of this in seconds
    harness run FILE --quick   a small version of it
    harness run FILE           all of it, with a report
"""

import torch
from torch import nn

from harness import Claim, Model, Study, Sweep, Tune
from harness.clipping import GlobalNorm
from harness.optimizers import SGD
from harness.tasks import Tensors

# The data: put yours in their place. Inputs are float32 numbers; targets int64 classes from 0, or float32 numbers.
# What is drawn must be the same whenever this file is loaded: hence a generator with a seed.
generator = torch.Generator().manual_seed(0)
x = torch.randn(1000, 8, generator=generator)
noise = 0.5 * torch.randn(1000, generator=generator)
y = (x[:, 0] * x[:, 1] + x[:, 2] + noise > 0).long()


# The model: put yours in its place, any module. `inputs` and `outputs` are filled in from the data, the others are settings.
class Net(nn.Module):
    def __init__(self, inputs, outputs, width=32, dropout=0.0):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, outputs)
        )

    def forward(self, x):
        return self.net(x)


study = Study(
    name="NAME",
    task=Tensors(x, y),
    model=Model(Net, dropout=Sweep(0.0, 0.2, 0.5)),  # swept: every level is trained, on every seed
    clipping=GlobalNorm(1.0),  # fixed; math.inf does not clip
    optimizer=SGD(lr=Tune(0.01, 1.0, log=True)),  # tuned: by the same search at every level
    batch_size=32,
    steps=300,
    seeds=10,
    claims=[  # what is asked; it is judged as it stood before its data came
        Claim(
            "Dropout lowers the test loss",
            metric="test_loss",
            better="lower",
            smallest_effect=0.01,  # δ: what is smaller is not worth having
            treatment={"model.dropout": 0.5},
            baseline={"model.dropout": 0.0},
        ),
    ],
)
'''


def write_study(name: str) -> int:
    """Write a study to start from; the exit code.

    Args:
        name: of the study, or its file: NAME.py, in a folder that there is.

    Raises:
        InvalidStudy: it can be no study's name, or the file is there already or cannot be written.
    """
    path = Path(name if name.endswith(".py") else f"{name}.py")
    if problems := name_problems(path.stem):
        raise InvalidStudy([Problem("NAME", problem.message, problem.got) for problem in problems])
    if is_taken(path.stem):
        message = "is the name of a module of Python, or of what is installed: who imports that beside the file would get the file"
        raise InvalidStudy([Problem("NAME", message, path.stem)], "choose another name")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(TEMPLATE.replace("FILE", str(path)).replace("NAME", path.stem))
    except FileExistsError:
        raise InvalidStudy([Problem(str(path), "is there already")], "choose another name") from None
    except OSError as error:
        raise InvalidStudy([Problem(str(path), f"cannot be written: {error.strerror}")]) from None
    click.echo(
        f"{path} is a study that runs: put your data, your model and your question in it.\n  harness doctor {path}\n  harness run {path} --quick"
    )
    return DONE
