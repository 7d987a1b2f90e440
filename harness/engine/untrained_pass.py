"""A forward pass of a module that no run trains yet."""

from typing import Any

import torch
import torch.nn as nn
from torch import Tensor

from harness.engine.functions.answers import Answers
from harness.engine.noise import Noise


def untrained_pass(module: nn.Module, x: Tensor, *, steps: int, train: bool = False) -> Any:
    """What a module that was just built makes of x, (batch, …), at the first step of its training; its p may be schedules.

    Args:
        module: on the CPU; it stays in the mode that it is put into.
        x: which it may change.
        steps: of its training.
        train: the mode.
    """
    noise = Noise({0: slice(0, 1)}, steps=steps, device=torch.device("cpu"), dtype=torch.float32)
    noise.begin(train=train)
    with Answers(noise, batched=False):
        return module.train(train)(x)
