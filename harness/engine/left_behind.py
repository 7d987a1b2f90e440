"""Tensors of all members that forward passes leave in attributes, for the next one or for whoever looks, when members leave."""

import torch.nn as nn
from torch import Tensor

from harness.engine.attributes import TORCHS
from harness.engine.functions.transforms import is_per_member, of_some
from harness.engine.obstacles import Unbatchable
from harness.engine.reached import reached


def compact_attributes(module: nn.Module, survivors: Tensor) -> None:
    """Have the tensors that layers hold of each member be those of the members at these indices only.

    Raises:
        Unbatchable: something else than a layer holds one.
    """
    left = {
        id(value): value for value in reached(module).values() if isinstance(value, Tensor) and is_per_member(value)
    }
    compacted = {key: of_some(value, survivors) for key, value in left.items()}
    for layer in module.modules():
        for store in (layer._buffers, vars(layer)):
            for key, value in store.items():
                if key not in TORCHS and id(value) in compacted:
                    store[key] = compacted[id(value)]
    kept = {id(value) for value in compacted.values()}
    for name, value in reached(module).items():
        if isinstance(value, Tensor) and is_per_member(value) and id(value) not in kept:
            raise Unbatchable(f"it keeps a tensor of all runs, `{name}`, and some of them end")
