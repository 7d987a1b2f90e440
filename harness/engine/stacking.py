"""The states of several modules of one structure as one stack, (member, …): PyTorch's model ensembling."""

from collections.abc import Sequence

import torch
import torch.nn as nn
from torch import Tensor

from harness.engine.parameter_layout import ParameterLayout


def stack_parameters(
    modules: Sequence[nn.Module], layout: ParameterLayout, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """The trainable parameters of all members, (member, parameters), laid out by `layout`."""
    flat = torch.zeros(len(modules), layout.size, device=device, dtype=dtype)
    states = [dict(module.named_parameters()) for module in modules]
    for name, view in layout.views(flat).items():
        view.copy_(torch.stack([state[name].detach() for state in states]).to(device, dtype))
    return flat


def stack_others(
    modules: Sequence[nn.Module], names: Sequence[str], device: torch.device, dtype: torch.dtype
) -> dict[str, Tensor]:
    """Some other parameters and buffers of all members by name, (member, …); integers stay what they are."""
    states = [dict(module.named_parameters()) | dict(module.named_buffers()) for module in modules]
    stacks = {name: torch.stack([state[name].detach() for state in states]).to(device) for name in names}
    return {name: stack.to(dtype) if stack.is_floating_point() else stack for name, stack in stacks.items()}


def aliases(module: nn.Module) -> dict[str, str]:
    """Further names of parameters and buffers that have several (tied weights), each with the first.

    `functional_call` ties them too, but leaves its own tensors behind in a layer that has several names.
    """
    found: dict[int, str] = {}
    again: dict[str, str] = {}
    for prefix, layer in module.named_modules():
        for key, tensor in (layer._parameters | layer._buffers).items():
            if tensor is not None:
                name = f"{prefix}.{key}".lstrip(".")
                if found.setdefault(id(tensor), name) != name:
                    again[name] = found[id(tensor)]
    return again
