"""A captured step on a CUDA device: the numbers of the step called as it is."""

from math import inf

import pandas as pd
import pytest
import torch

from harness.clipping import GlobalNorm
from harness.models import DropoutNet, SimpleRNN
from harness.optimizers import SGD, Adam
from harness.planning import Run
from harness.settings import Component
from harness.setup import Setup
from harness.tasks import AddingProblem, Images
from harness.train import train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.mark.parametrize(
    ("task", "model", "optimizer"),
    [
        (Images(), DropoutNet(hidden=(32,), dropout=0.5), Adam(1e-3)),
        (AddingProblem(length=20), SimpleRNN(hidden=16), SGD(0.1)),
    ],
)
def test_a_graph_gives_the_same_bits(task: Component, model: Component, optimizer: Component) -> None:
    rates = (optimizer.lr, 1e6)  # some members diverge, and the population is compacted
    setups = [Setup(task, model, GlobalNorm(c), optimizer.replace(lr=lr), 16, 40) for c in (1.0, inf) for lr in rates]
    runs = [Run(i, seed, setup) for i, setup in enumerate(setups) for seed in (0, 1)]
    kinds = [train(runs, evaluations=4, device=torch.device("cuda"), capture=capture) for capture in (True, False)]
    for captured, plain in zip(*kinds, strict=True):
        pd.testing.assert_frame_equal(captured, plain, check_exact=True)


def test_new_noise_is_drawn_at_every_step() -> None:
    runs = [Run(0, 0, Setup(Images(), DropoutNet(hidden=(32,), dropout=0.9), GlobalNorm(), SGD(1e-30), 1797, 20))]
    _, curves = train(runs, evaluations=1, device=torch.device("cuda"))
    assert curves["loss"].nunique() > 15
