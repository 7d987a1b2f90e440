"""Member-aware stand-ins for layers that stack badly or not at all: dropout, recurrences, linear layers."""

import torch.nn as nn

from harness.engine.layers.dropout import STAND_INS, MemberDropout
from harness.engine.layers.linear import MemberLinear
from harness.engine.layers.noisy_recurrent import MemberNoisyRecurrent
from harness.engine.layers.recurrent import MemberRecurrent
from harness.models.noisy_recurrent import NoisyRecurrent
from harness.models.one_hot import OneHot


def swap(module: nn.Module) -> nn.Module:
    """The module with such layers replaced, with the same parameters under the same names.

    A layer used in several places stays one layer. The module is changed in place, unless it is itself such a layer.
    Layers of a class derived from torch's, and layers with hooks, are left alone: they may compute something else. So are
    LSTMs with projections.

    Raises:
        ValueError: a dropout probability is 1.
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
    if layer._forward_hooks or layer._forward_pre_hooks:
        return layer
    if kind in STAND_INS:
        return STAND_INS[kind](layer)
    if isinstance(layer, nn.RNNBase) and kind in (nn.RNN, nn.LSTM, nn.GRU) and not layer.proj_size:
        return MemberRecurrent(layer, MemberDropout)
    if isinstance(layer, NoisyRecurrent):
        return MemberNoisyRecurrent(layer)
    if kind is OneHot:
        return nn.Identity()
    return MemberLinear(layer) if kind is nn.Linear else layer  # type: ignore[arg-type]
