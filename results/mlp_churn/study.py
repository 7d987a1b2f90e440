"""Does dropout make a net more stable to random changes of its data? (the textbook's claim C2b)

Nets differ between seeds in their bootstrap sample of 300 training digits alone: initial weights are those of one seed. Churn
is the share of test images on which two of them disagree. Masks that are drawn anew make nets disagree even on the same
data: how much, measured on nets that differ in masks alone, is the floor, and is taken off. Beside it stands what
noise on the inputs of the test images adds to the error, error(σ) − error(0). Both count from five of the 359 images on.
"""

from dataclasses import replace

import torch

from harness import Claim, Diagnostics, Interaction, Study, Sweep
from harness.models import DropoutNet
from harness.optimizers import Adam
from harness.settings import NonNegative
from harness.settings.randomness import ALL_SEEDS, stream
from harness.tasks import Images

P, DIFFER, SIGMA = "model.dropout", "differ", "task.sigma"


class NoisyTest(Images):
    """Images whose test images carry normal noise, the same for all seeds.

    Args:
        sigma: its standard deviation, in those of the inputs.
    """

    sigma: NonNegative = 0.0

    def draw(self, seed):
        """The images of a seed, noise on those for the test."""
        data = super().draw(seed)
        x, noise = data.x.clone(), torch.randn(data.x[data.test].shape, generator=stream(ALL_SEEDS, "test noise"))
        x[data.test] += self.sigma * data.x.std() * noise
        return replace(data, x=x)


study = Study(
    name="mlp_churn",
    task=NoisyTest(train_size=300, resample="bootstrap", sigma=Sweep(0.0, 1.0)),
    model=DropoutNet(hidden=(128, 64), dropout=Sweep(0.0, 0.5)),
    optimizer=Adam(lr=1e-3),
    batch_size=64,
    steps=600,
    evaluations=6,
    differ=Sweep("data", "noise"),
    seeds=20,
    metrics=Diagnostics("standard"),
    claims=[
        Claim(
            "C2b: with dropout, nets trained on other samples of the data disagree less, masks' part included",
            metric="churn", better="lower", smallest_effect=0.014,
            treatment={P: 0.5, DIFFER: "data", SIGMA: 0.0}, baseline={P: 0.0, DIFFER: "data", SIGMA: 0.0},
        ),
        Interaction(
            "C2b: they disagree less once the floor of masks is taken off",
            metric="churn", better="lower", smallest_effect=0.014, treatment={P: 0.5}, baseline={P: 0.0},
            here={DIFFER: "data", SIGMA: 0.0}, there={DIFFER: "noise", SIGMA: 0.0},
        ),
        Interaction(
            "C2b: with dropout, noise on the inputs adds less to the error",
            metric="test_error", better="lower", smallest_effect=0.014, treatment={P: 0.5}, baseline={P: 0.0},
            here={DIFFER: "data", SIGMA: 1.0}, there={DIFFER: "data", SIGMA: 0.0},
        ),
    ],
)  # fmt: skip
