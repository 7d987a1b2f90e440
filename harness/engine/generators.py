"""Generators of random numbers that modules hold, of torch, NumPy and Python, and their states."""

import random
from typing import Any

import numpy as np
import torch

GENERATORS = torch.Generator, np.random.Generator, np.random.RandomState, random.Random
"""Of random numbers, whose state is kept."""


def generator_state(generator: Any) -> Any:
    """The state of one of `GENERATORS`."""
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    if isinstance(generator, random.Random):
        return generator.getstate()
    if isinstance(generator, np.random.RandomState):
        return generator.get_state(legacy=False)
    return generator.bit_generator.state


def set_generator(generator: Any, state: Any) -> None:
    """Put one of `GENERATORS` into a state."""
    if isinstance(generator, torch.Generator):
        generator.set_state(state)
    elif isinstance(generator, random.Random):
        generator.setstate((state[0], tuple(state[1]), state[2]))
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    else:
        generator.bit_generator.state = state
