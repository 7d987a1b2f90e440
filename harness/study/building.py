"""A module as it is built, before anything trains: whether it fits memory, and whose its tensors are."""

import inspect
from contextlib import suppress
from typing import Any

import torch.nn as nn
from torch import Tensor

from harness.engine.aliasing import overlapping
from harness.engine.reached import reached
from harness.engine.runs import Untrainable, build
from harness.engine.setup import Setup
from harness.engine.untrained_pass import untrained_pass
from harness.models.model import FROM_TASK
from harness.settings import first_line
from harness.settings.allocations import CPU, TooLarge, WithinMemory
from harness.settings.machine import free_memory
from harness.study.replicates import shared_parameter
from harness.tasks.task import Data

COPIES = 10
"""Of its parameters that a run takes at least: module, stack, gradient and state, of the two members of a trial run."""


def building_problem(setup: Setup, data: Data) -> str:
    """What keeps the setup's module from training as soon as it is built; "" for nothing."""
    free = free_memory(CPU)
    try:
        with WithinMemory():
            one = build(setup, data, 0)
        if (size := sum(p.numel() * p.element_size() for p in one.parameters())) * COPIES > free:
            return _too_large(size, free)
        other = build(setup, data, 0)
    except TooLarge as error:
        return _too_large(error.bytes, free)
    except Untrainable as error:
        return str(error)
    except Exception as error:
        return f"cannot be built: {first_line(error)}{_unnamed(setup, error)}"
    if name := shared_parameter(one, other):
        return f"its parameter `{name}` is one for all runs, which would train each other's: copy it in the constructor"
    return aliasing_problem(one, data.x[data.train[:1]], setup.steps)


def _unnamed(setup: Setup, error: Exception) -> str:
    """What to write where a constructor may have looked for an argument in its `**kwargs` that it was not given; "" elsewhere."""
    key = error.args[0] if isinstance(error, KeyError) and error.args else None
    of_any_name = [p.name for p in inspect.signature(setup.model.module).parameters.values() if p.kind is p.VAR_KEYWORD]
    if key is None or not of_any_name or key in setup.model.values():
        return ""
    if key in FROM_TASK:
        return f"; the task gives `{key}` to an argument of that name alone, not to **{of_any_name[0]}: write it in the constructor"
    return f"; if it is one of **{of_any_name[0]}, give it: Model({setup.model.class_name()}, {key}=…)"


def _too_large(size: int, free: int) -> str:
    return f"needs {COPIES * size / 2**30:,.0f} GiB of memory, {free / 2**30:.0f} GiB are free; make it smaller"


def aliasing_problem(module: nn.Module, x: Tensor, steps: int) -> str:
    """Which tensor of a module shares the memory of one that trains; "" for none.

    It would be cut off in training, as moving a module to another device does. One that the forward pass makes anew does no harm.

    Args:
        module: just built; passes forward.
        x: an example, (1, …).
        steps: of its training.
    """
    before = reached(module)
    parameters = {name: each for name, each in module.named_parameters() if each.requires_grad}
    pairs = [(name, other) for name, other in overlapping(parameters, before) if name != other]
    if not pairs:
        return ""
    after = _after_a_pass(module, x, steps)
    for name, other in pairs:
        if after.get(name) is before[name] and after.get(other) is before[other]:
            return _shares(name, other, both_train=other in parameters)
    return ""


def _after_a_pass(module: nn.Module, x: Tensor, steps: int) -> dict[str, Any]:
    """What a module reaches after it has passed an example forward; as before where it takes none alone."""
    with suppress(Exception):
        untrained_pass(module, x.clone(), steps=steps)
    return reached(module)


def _shares(name: str, other: str, *, both_train: bool) -> str:
    if both_train:
        return (
            f"its parameters `{name}` and `{other}` share memory and are two objects, of which each would train for itself: "
            f"give both places one parameter, as in `self.decoder.weight = self.encoder.weight`, or use it twice in `forward`"
        )
    return (
        f"`{other}` shares the memory of its parameter `{name}`, from which training cuts it off, as `.to(device)` does: "
        f"copy it (`.clone()`), or take it from the parameter in `forward`"
    )
