"""The states of several modules of one structure as one stack, (member, …): PyTorch's model ensembling."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn as nn
from torch import Tensor

from harness.engine.tensor_places import named_tensors, untrained


def stack_parameters(modules: Sequence[nn.Module], stacks: Mapping[str, Tensor]) -> None:
    """Copy parameters of all members by name into stacks of them, (member, …) each."""
    states = [dict(module.named_parameters()) for module in modules]
    for name, stack in stacks.items():
        stack.copy_(torch.stack([state[name].detach() for state in states]).to(stack))


def stack_others(modules: Sequence[nn.Module], device: torch.device, dtype: torch.dtype) -> dict[str, Tensor]:
    """The tensors of all members that do not train by name, (member, …); integers stay what they are."""
    states = [named_tensors(module) for module in modules]
    names = untrained(modules[0])
    stacks = {name: torch.stack([state[name].detach() for state in states]).to(device) for name in names}
    return {name: stack.to(dtype) if stack.is_floating_point() else stack for name, stack in stacks.items()}
