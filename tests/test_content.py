"""What a run is known by: what changes its numbers changes its key and nothing else does, and a change of our numbers is noticed."""

import dataclasses
import importlib.util
import itertools
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from test_source import MODULES
from torch import nn

from harness.clipping import AGC, ClippingRule, GlobalNorm, NoClipping
from harness.engine.content import RESULTS_VERSION, content, run_key
from harness.engine.diagnostics import Diagnostics
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.engine.train import train
from harness.models import DropoutNet, Model, SimpleRNN
from harness.optimizers import SGD, Adam
from harness.settings import Component, Sweep, Tune
from harness.settings.measures import Measure
from harness.settings.schedules import Cosine, Function, Linear, Schedule
from harness.study import Claim, Study
from harness.study.load import load_study
from harness.tasks import AddingProblem, CopyMemory, Friedman, Images, Tensors
from harness.tasks.task import Data, Task

# --- The numbers of our engine

SMALL: dict[str, Any] = {"train_size": 200, "validation_size": 50, "test_size": 100}

TRAININGS = {
    "mlp": Setup(task=Friedman(**SMALL), model=DropoutNet(hidden=(16, 16), dropout=0.2), clipping=GlobalNorm(5.0), optimizer=SGD(0.01, momentum=0.9), batch_size=20, steps=20),
    "smoothed": Setup(task=Images(train_size=200, label_noise=0.2), model=DropoutNet(hidden=(16,), dropout=0.5), clipping=AGC(0.05), optimizer=Adam(0.01), batch_size=20, steps=20, label_smoothing=0.1),
    "rnn": Setup(task=AddingProblem(length=10, **SMALL), model=SimpleRNN(hidden=8), clipping=GlobalNorm(0.5), optimizer=SGD(Linear(0.1, 0.01)), batch_size=20, steps=20),
    "lstm": Setup(task=CopyMemory(delay=3, **SMALL), model=SimpleRNN(hidden=8, cell="lstm", readout="every", embedding=8, dropout=0.2), clipping=GlobalNorm(1.0), optimizer=Adam(0.02), batch_size=20, steps=20, accumulate=2),
    "gru": Setup(task=AddingProblem(length=10, **SMALL), model=SimpleRNN(hidden=8, cell="gru", recurrent_dropout=0.2, variational=True), optimizer=Adam(Cosine(0.02, warmup=5), weight_decay=0.1), batch_size=20, steps=20),
}  # fmt: skip

METRICS = ("train_loss", "validation_loss", "test_loss", "grad_norm_q99")

NUMBERS: dict[str, list[float]] = {}


def trained(name: str) -> list[float]:
    """Two seeds together, of which the second counts."""
    found = train([Run(0, seed, TRAININGS[name]) for seed in (0, 1)], evaluations=4)
    return [round(float(found.runs[metric].iloc[1]), 5) for metric in METRICS]


@pytest.mark.parametrize("name", TRAININGS)
def test_the_numbers_of_the_engine_are_those_of_its_version(name: str) -> None:
    assert RESULTS_VERSION == 1
    assert trained(name) == pytest.approx(NUMBERS[name], rel=1e-3), (
        "the engine gives other numbers than before: raise RESULTS_VERSION in harness/engine/content.py, so that runs of before"
        " are not taken for runs of now, and write the new numbers here"
    )
