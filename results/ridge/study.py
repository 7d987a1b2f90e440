"""Is linear regression with dropout on its inputs ridge regression, and with which penalty? (Srivastava et al. 2014, section 9.1)

The mean over masks of the squared error of (x⊙m)·w, m keeping an input with probability 1−p, is that of (1−p)·w without masks plus
p(1−p)·Σ diag(XᵀX)w², the penalty of the paper. The harness, as torch, divides by 1−p; in these weights the penalty is
p/(1−p)·diag(XᵀX): ¼ at p = .2 and 1 at p = .5, where the paper's factor is ¼. So one closed form, that with ¼, must be right at
p = .2 and wrong at .5, which tells the two from each other. Inputs have unequal variances and are correlated, so that diag(XᵀX)
matters. Training sees all examples in every step, with fresh masks, until a falling learning rate leaves no noise; the targets
hold the predictions of the closed forms beside y (these differ between seeds, the test inputs do not), from which the measures of
this file take the squared distance. The signal w·x has about the variance 1.6.
"""

import torch
from torch import nn

from harness import Claim, Diagnostics, Linear, Measure, Model, Published, Study, Sweep, Threshold
from harness.optimizers import SGD
from harness.settings.randomness import ALL_SEEDS, stream
from harness.tasks.task import Data, Task

PENALTIES = (0.25, 1.0)


class Line(Task):
    def draw(self, seed: int) -> Data:
        parts = [self.examples(500, stream(ALL_SEEDS, "test")), self.examples(300, stream(seed, "examples"))]
        x, y = (torch.cat(both) for both in zip(*parts, strict=True))
        test, validation, train = torch.arange(len(x)).split([500, 100, 200])
        gram, moment = x[train].double().T @ x[train].double(), x[train].double().T @ y[train].double()
        ridges = [torch.linalg.solve(gram + c * gram.diag().diag(), moment) for c in PENALTIES]
        return Data(x, torch.stack([y, *((x.double() @ w).float() for w in ridges)], 1), train, validation, test)

    def examples(self, n: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        x, noise = torch.randn(n, 8, generator=generator), torch.randn(n, generator=generator)
        x = (x + 0.5 * x.roll(1, 1)) * torch.linspace(0.5, 1.5, 8)  # correlated, of unequal variances
        return x, 0.3 * x.sum(1) - 0.6 * x[:, 2] + 0.5 * noise

    def losses(self, output, y):
        return (output - y[:, 0]).square()

    def errors(self, output, y):
        return (output - y[:, 0]).abs()

    def guess_losses(self, y):
        return (y[:, 0] - y[:, 0].mean()).square()


class DroppedLine(nn.Module):
    def __init__(self, inputs, dropout=0.0):
        super().__init__()
        self.dropout, self.line = nn.Dropout(dropout), nn.Linear(inputs, 1, bias=False)

    def forward(self, x):
        return self.line(self.dropout(x))[:, 0]


def from_quarter(outputs, targets):
    """Squared distance of the prediction from that of ridge with ¼·diag(XᵀX)."""
    return (outputs - targets[:, 1]).square()


def from_one(outputs, targets):
    """Squared distance of the prediction from that of ridge with 1·diag(XᵀX)."""
    return (outputs - targets[:, 2]).square()


study = Study(
    name="ridge",
    task=Line(),
    model=Model(DroppedLine, dropout=Sweep(0.0, 0.2, 0.5)),
    optimizer=SGD(lr=Linear(0.05, 0.0)),
    batch_size=200, steps=2000, seeds=20,
    metrics=Diagnostics(measures=[Measure(f, "squared distance", "lower") for f in (from_quarter, from_one)]),
    claims=[
        Threshold(
            "Dropout of .2 gives ridge with p/(1−p) = ¼: squared distance below .001",
            metric="test_from_quarter", better="lower", value=0.002, smallest_effect=0.001, arm={"model.dropout": 0.2},
        ),
        Threshold(
            "Dropout of .5 gives ridge with p/(1−p) = 1: squared distance below .001",
            metric="test_from_one", better="lower", value=0.002, smallest_effect=0.001, arm={"model.dropout": 0.5},
        ),
        Threshold(
            "Dropout of .5 is not ridge with p(1−p) = ¼ where weights are divided by 1−p: squared distance above .01",
            metric="test_from_quarter", better="higher", value=0.005, smallest_effect=0.005, arm={"model.dropout": 0.5},
        ),
        Claim(
            "It is dropout that does it: without, the same training ends further away",
            metric="test_from_one", better="lower", smallest_effect=0.01,
            treatment={"model.dropout": 0.5}, baseline={"model.dropout": 0.0},
        ),
    ],
    published=[
        Published(
            "Squared distance from the closed form", metric="test_from_one", theirs="0 in expectation, by proof",
            source="Srivastava et al. 2014, section 9.1", at={"model.dropout": 0.5},
            differs="weights divided by 1−p, so p/(1−p) for p(1−p); masks are drawn, not averaged, and steps are finite",
        ),
    ],
)  # fmt: skip
