"""Layers and parameters that a module holds where torch does not look for them, as in a plain list."""

import torch.nn as nn

from harness.engine.reached import hidden
from harness.settings.show import the_first

WAY_OUT = "unless that is meant so, hold layers in nn.ModuleList or nn.ModuleDict and parameters in nn.ParameterList"


def unregistered(module: nn.Module) -> str:
    """What is said of them, without the subject of the sentence; "" where there are none to which it matters.

    It does to what would train or has buffers, and to what does otherwise in training than in evaluation, such as dropout.
    """
    names = [f"`{name}`" for name, found in hidden(module).items() if _matters(found)]
    if not names:
        return ""
    return (
        f"holds {the_first(names)} where torch does not look, in a list, a dictionary or another object: "
        "what is there does not train, nor does it follow train() and eval()"
    )


def _matters(found: nn.Module | nn.Parameter) -> bool:
    if isinstance(found, nn.Parameter):
        return True
    held = (*found.parameters(), *found.buffers())
    return bool(held) or any("training" in _names(type(layer)) for layer in found.modules())


def _names(layer: type[nn.Module]) -> tuple[str, ...]:
    """The attributes that a layer's forward pass reads."""
    code = getattr(layer.forward, "__code__", None)
    return () if code is None else code.co_names
