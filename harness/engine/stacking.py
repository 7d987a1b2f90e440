"""The states of several modules of one structure as one stack, (member, …): PyTorch's model ensembling."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn as nn
from torch import Tensor

from harness.engine.module_state import NotStorable
from harness.engine.precision import placed
from harness.engine.tensor_places import named_tensors, untrained


def stack_parameters(modules: Sequence[nn.Module], stacks: Mapping[str, Tensor]) -> None:
    """Copy parameters of all members by name into stacks of them, (member, …) each."""
    states = [dict(module.named_parameters()) for module in modules]
    for name, stack in stacks.items():
        stack.copy_(torch.stack([state[name].detach() for state in states]).to(stack))


def stack_others(modules: Sequence[nn.Module], device: torch.device, dtype: torch.dtype) -> dict[str, Tensor]:
    """The tensors of all members that do not train by name, (member, …)."""
    states = [named_tensors(module) for module in modules]
    names = untrained(modules[0])
    stacks = {name: torch.stack([state[name].detach() for state in states]) for name in names}
    return {name: placed(stack, device, dtype) for name, stack in stacks.items()}


def state_dict_of(module: nn.Module) -> dict[str, Tensor]:
    """A module's `state_dict`, its tensors copied to the CPU, each with memory of its own.

    Raises:
        NotStorable: it holds what is no tensor.
    """
    state = module.state_dict()
    if other := next((name for name, value in state.items() if not isinstance(value, Tensor)), None):
        raise NotStorable(f"its state_dict holds `{other}`, which is no tensor")
    return {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in state.items()
    }
