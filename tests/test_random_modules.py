"""Modules made at random of what people write train as the textbook loop does, in a population unless the harness says why not.

By hand, with many more of them: RANDOM_MODULES=500 python -m pytest -n 0 -m slow tests/test_random_modules.py
"""

import os

import pandas as pd
import pytest
import torch
from random_modules import Made, made
from test_as_written import assert_textbook
from test_train import CPU, curves_of

from harness.clipping import AGC, ClippingRule, GlobalNorm, PerTensorNorm
from harness.engine.planning import groups
from harness.engine.proof import obstacle
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.models import Model
from harness.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop
from harness.study.trial_run import trial_run
from harness.tasks import Tensors

pytestmark = pytest.mark.slow

SEEDS = range(int(os.environ.get("RANDOM_MODULES", "48")))
GENERATOR = torch.Generator().manual_seed(0)
EXAMPLES = {
    "rows": torch.randn(60, 6, generator=GENERATOR),
    "sequences": torch.randn(60, 5, 6, generator=GENERATOR),
    "tokens": torch.randint(0, 7, (60, 5), generator=GENERATOR),
    "images": torch.randn(60, 2, 4, 4, generator=GENERATOR),
}
CLIPPING: list[tuple[ClippingRule, ClippingRule]] = [
    (GlobalNorm(0.1), GlobalNorm(1.0)),
    (GlobalNorm(0.3), GlobalNorm(0.05)),
    (PerTensorNorm(0.05), PerTensorNorm(0.2)),
    (AGC(0.01), AGC(0.1)),
]
# What divides a gradient of 0 by its size divides rounding by rounding: the layers above have many, so ε is no smaller.
OPTIMIZERS: list[tuple[Optimizer, Optimizer]] = [
    (SGD(0.05, momentum=0.9), SGD(0.1, momentum=0.5)),
    (Adam(0.01, eps=1e-3, weight_decay=0.1), Adam(0.03, eps=1e-3)),
    (AdamW(0.03, eps=1e-3), AdamW(0.01, eps=1e-3)),
    (RMSprop(0.01, eps=1e-3), RMSprop(0.003, eps=1e-3)),
    (SGD(0.2), SGD(0.02)),
]


def runs_of(case: Made, seed: int) -> list[Run]:
    """Four, of two seeds, which differ in dropout, clipping and learning rate."""
    x = EXAMPLES[case.examples]
    y = (x.flatten(1).double().mean(1) > x.double().mean()).long()
    accumulate = 1 + (seed % 7 == 6)
    clipping, optimizers = CLIPPING[seed % len(CLIPPING)], OPTIMIZERS[seed % len(OPTIMIZERS)]
    module = case.module()
    setups = [
        Setup(
            task=Tensors(x, y), model=Model(module, dropout=p), clipping=rule, optimizer=optimizer, batch_size=6,
            steps=12, accumulate=accumulate,
        )
        for p, rule, optimizer in zip((0.2, 0.5), clipping, optimizers, strict=True)
    ]  # fmt: skip
    return [Run(trial, at, setup) for trial, setup in enumerate(setups) for at in (3, 4)]


@pytest.mark.parametrize("seed", SEEDS)
def test_module_made_at_random_trains_as_the_textbook_loop(seed: int) -> None:
    case = made(seed)
    print(case.source)  # shown when the test fails
    runs = runs_of(case, seed)
    assert trial_run(runs[0].setup) == []
    assert len(groups(runs)) == 1
    why = obstacle([runs[0], runs[-1]], CPU)
    assert any(said in why for said in case.whys) if case.whys else why == ""
    parts = [[run] for run in runs] if why else [runs]
    curves = pd.concat([curves_of(part, dtype=torch.float64) for part in parts])
    for run in runs:
        assert_textbook(curves.loc[run.trial, run.seed], run)
