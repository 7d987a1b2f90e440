"""Member-aware stand-ins for the layers that cannot simply be stacked: dropout and recurrences."""

import torch.nn as nn

from harness.layers.dropout import SWAPPED, MemberDropout

RECURRENT = (nn.RNN, nn.LSTM, nn.GRU)


def swap(module: nn.Module) -> nn.Module:
    """The module with its dropout and recurrent layers replaced, parameters and their names kept.

    A layer used in several places stays one layer. The module is changed in place, unless it is itself such a layer.

    Raises:
        ValueError: a layer has settings that a population cannot have; the message says which.
    """
    return _swap(module, {})


def _swap(module: nn.Module, done: dict[nn.Module, nn.Module]) -> nn.Module:
    if module in done:
        return done[module]
    done[module] = module
    if type(module) in SWAPPED:
        done[module] = MemberDropout(module.p, SWAPPED[type(module)])  # type: ignore[arg-type, index]
    elif type(module) in RECURRENT:
        from harness.layers.recurrent import member_layer

        done[module] = member_layer(module, MemberDropout)
    else:
        for name, child in module.named_children():
            setattr(module, name, _swap(child, done))
    return done[module]
