"""A user's own metrics, each tried on one batch, or on a curve as one looks: what is wrong with them is known before training."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from harness.engine.history import LoggingSteps
from harness.engine.run_tables import CURVE_VALUES
from harness.engine.setup import Setup
from harness.settings import Problem, first_line
from harness.settings.measures import Measure
from harness.settings.randomness import global_generators


def measure_problems(setup: Setup, output: Callable[[Tensor], Any], x: Tensor, y: Tensor) -> list[Problem]:
    """What is wrong with the study's own metrics.

    Args:
        setup: has them.
        output: gives a module's outputs for inputs, in evaluation.
        x: a training batch, (batch, …).
        y: its targets, (batch, …).
    """
    found = []
    for i, measure in enumerate(setup.metrics.measures):
        try:
            with global_generators(0):
                wrong = _try_curve(measure, setup.steps) if measure.of_curves else _try_batch(measure, output, x, y)
        except Exception as error:  # of the user's function
            wrong = f"cannot be measured: {first_line(error)}"
        if wrong:
            found.append(Problem(f"metrics.measures[{i}]", wrong, measure.name))
    return found


@torch.no_grad()
def _try_batch(measure: Measure, output: Callable[[Tensor], Any], x: Tensor, y: Tensor) -> str:
    """Tried on a batch and, as the last one may be short, on its first example; raises what its function does."""
    whole = output(x)
    values = measure.of_examples(tree_map(_copy, whole), y.clone())
    single = whole[:1] if isinstance(whole, Tensor) else output(x[:1])
    alone = measure.of_examples(tree_map(_copy, single), y[:1].clone())
    if isinstance(whole, Tensor) and not torch.allclose(values[:1], alone, rtol=1e-4, atol=1e-6, equal_nan=True):
        return f"gives an example {float(values[0]):.4g} in a batch of {len(y)} and {float(alone[0]):.4g} alone: each must count by itself"
    return ""


def _copy(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else value


def _try_curve(measure: Measure, steps: int) -> str:
    """Tried on a made-up curve of a run that learns; raises what its function does."""
    when = LoggingSteps(steps, 10)
    logged = np.array(when.logged())
    falling = 1 / np.sqrt(logged)
    measured = np.where(np.isin(logged, when.evaluated()), falling, np.nan)
    values = (falling, falling, np.zeros(len(logged)), falling / 1000, measured)
    measure.of_curve(pd.DataFrame({"step": logged} | dict(zip(CURVE_VALUES, values, strict=True))))
    return ""
