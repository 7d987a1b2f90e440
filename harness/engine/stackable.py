"""Whether a stack of several modules' tensors can stand for them."""

from collections.abc import Sequence

import torch.nn as nn

from harness.engine.aliasing import overlapping
from harness.engine.attributes import attributes, comparable, differing, same
from harness.engine.obstacles import Unbatchable
from harness.engine.reached import reached
from harness.engine.tensor_places import named_tensors, untrained


def check_stackable(modules: Sequence[nn.Module]) -> None:
    """Look at modules of one structure, one of each run.

    Raises:
        Unbatchable: they differ in more than numbers of their own, or run what a stack of weights would not.
    """
    for name, parameter in modules[0].named_parameters():
        if parameter._backward_hooks or getattr(parameter, "_post_accumulate_grad_hooks", None):
            raise Unbatchable(f"it has a hook on the gradient of a parameter, `{name}`")
    for name, layer in modules[0].named_modules():
        if "_torchdynamo_orig_callable" in vars(layer):
            raise Unbatchable(f"its layer `{name}` is compiled (`torch.compile`), and trains as it is written instead")
        if layer._backward_hooks or layer._backward_pre_hooks:
            raise Unbatchable(f"it has a hook on the gradient of a layer, `{name}`")
    for module in modules[1:]:
        if name := differing(modules[0], module):
            held = {key: store[own] for key, store, own in attributes(modules[0])}
            told = "is not the same in all runs" if comparable(held.get(name)) else "cannot be compared between runs"
            raise Unbatchable(f"`{name}` {told}")
        others = named_tensors(module)
        for name, tensor in named_tensors(modules[0]).items():
            if not same(vars(tensor), vars(others.get(name, tensor)), {}):
                raise Unbatchable(f"what is noted on `{name}` as an attribute is not the same in all runs")


def aliased(module: nn.Module) -> dict[str, str]:
    """Of the tensors of a module that do not train those that share memory with another one, and the name of that."""
    tensors, everything = named_tensors(module), reached(module)
    others = {name: tensors[name] for name in untrained(module)}
    return {name: other for name, other in overlapping(others, everything) if others[name] is not everything[other]}
