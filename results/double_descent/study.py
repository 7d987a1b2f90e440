"""Does dropout remove the peak of the test loss at n = p of a linear model? (Yang & Suzuki 2023, arXiv:2305.16179, Fig. 1)

Least squares with p features has its worst test error where it just interpolates n = p noisy examples, so more examples can
hurt. As in the paper x ~ N(0, I), y = β·x + noise of variance ¼, ‖β‖ = 1; here p is 40, so that gradient descent with momentum
can interpolate, and n goes from p/2 to 4p at three rates of dropout on the inputs. The learning rate falls to 0, so that no
noise of the masks is left. A step sees all n examples: `train` holds each as often as 160 has it, with other masks each time.
The peak, and what takes it away, count from ¼ on, the variance of the noise; that more examples help, from a fifth of that.
Nothing is claimed of the way from n = 80 to 160: the penalty that dropout is grows with n, so there a large rate levels off.
"""

import torch
from torch import nn

from harness import Claim, Linear, Model, Published, Study, Sweep
from harness.optimizers import SGD
from harness.settings import Count
from harness.settings.randomness import ALL_SEEDS, stream
from harness.tasks.task import Data, Task

FEATURES = 40


class Noisy(Task):
    """Linear targets with noise.

    Args:
        samples: the n different examples of the training set, a divisor of 160.
    """

    samples: Count = 40
    choice_of_examples = Task.choice_of_examples | {"samples"}

    def draw(self, seed):
        sets = [self.examples(1000, stream(ALL_SEEDS, "test")), self.examples(260, stream(seed, "examples"))]
        test, validation, train = torch.arange(1260).split([1000, 100, 160])
        x, y = (torch.cat(parts) for parts in zip(*sets, strict=True))
        return Data(x, y, train[: self.samples].repeat(160 // self.samples), validation, test)

    def examples(self, n, generator):
        beta = torch.rand(FEATURES, generator=stream(ALL_SEEDS, "beta"))
        x = torch.randn(n, FEATURES, generator=generator)
        return x, x @ (beta / beta.norm()) + 0.5 * torch.randn(n, generator=generator)


class LinearNet(nn.Module):
    def __init__(self, inputs, dropout=0.0):
        super().__init__()
        self.dropout, self.line = nn.Dropout(dropout), nn.Linear(inputs, 1, bias=False)
        nn.init.zeros_(self.line.weight)  # from 0 gradient descent finds the interpolation of least norm

    def forward(self, x):
        return self.line(self.dropout(x))[:, 0]


study = Study(
    name="double_descent",
    task=Noisy(samples=Sweep(20, 40, 80, 160)),
    model=Model(LinearNet, dropout=Sweep(0.0, 0.2, 0.5)),
    optimizer=SGD(lr=Linear(0.1, 0.0), momentum=0.9),
    batch_size=160, steps=5000, seeds=20,
    claims=[
        Claim(
            "Without dropout there is a peak: 20 examples give a lower test loss than 40, as many as features",
            metric="test_loss", better="lower", smallest_effect=0.25,
            treatment={"model.dropout": 0.0, "task.samples": 20}, baseline={"model.dropout": 0.0, "task.samples": 40},
        ),
        Claim(
            "Dropout of .5 lowers the test loss at the peak",
            metric="test_loss", better="lower", smallest_effect=0.25,
            treatment={"model.dropout": 0.5, "task.samples": 40}, baseline={"model.dropout": 0.0, "task.samples": 40},
        ),
        *(
            Claim(
                f"With dropout of {p} there is none: 40 examples give a lower test loss than 20",
                metric="test_loss", better="lower", smallest_effect=0.05,
                treatment={"model.dropout": p, "task.samples": 40}, baseline={"model.dropout": p, "task.samples": 20},
            )
            for p in (0.2, 0.5)
        ),
    ],
    published=[
        Published(
            "Test loss at n = p less that at n = p/2, with dropout .5", metric="test_loss",
            theirs="no peak: below 0 (a figure)", source="Yang & Suzuki 2023, Fig. 1",
            at={"model.dropout": 0.5, "task.samples": 40}, less={"model.dropout": 0.5, "task.samples": 20},
            differs="40 features for 500; rates of dropout, and training by gradient descent, are ours",
        ),
    ],
)  # fmt: skip
