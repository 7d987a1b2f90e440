"""Member-aware stand-ins for layers that stack badly or not at all: dropout, recurrences, linear layers."""

import torch.nn as nn

from harness.layers.dropout import NOISY_AXES, MemberDropout
from harness.layers.linear import MemberLinear
from harness.layers.one_hot import OneHot
from harness.layers.recurrent import MemberRecurrent


def swap(module: nn.Module) -> nn.Module:
    """The module with such layers replaced, parameters and their names kept.

    A layer used in several places stays one layer. The module is changed in place, unless it is itself such a layer.
    Layers of a class derived from torch's are left alone: they may compute something else.

    Raises:
        ValueError: a layer has settings that a population cannot have; the message says which.
    """
    return _swap(module, {})


def _swap(module: nn.Module, done: dict[nn.Module, nn.Module]) -> nn.Module:
    if module not in done:
        done[module] = module
        for name, child in module._modules.items():
            if child is not None:
                module._modules[name] = _swap(child, done)
        done[module] = _stand_in(module)
    return done[module]


def _stand_in(layer: nn.Module) -> nn.Module:
    kind = type(layer)
    if kind in NOISY_AXES:
        return MemberDropout(layer.p, NOISY_AXES[kind])  # type: ignore[arg-type]
    if kind in (nn.RNN, nn.LSTM, nn.GRU):
        return MemberRecurrent(layer, MemberDropout)  # type: ignore[arg-type]
    if kind is OneHot:
        return nn.Identity()
    return MemberLinear(layer) if kind is nn.Linear else layer  # type: ignore[arg-type]
