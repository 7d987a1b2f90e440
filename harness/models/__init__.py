"""Models: ordinary `nn.Module` classes, named in a study through `Model`, the shipped ones as well as a user's own.

model=SimpleRNN(hidden=64, dropout=Sweep(0.0, 0.5))            # shipped
model=Model(MyNet, width=32, dropout=Sweep(0.0, 0.5))          # a user's own class
"""

import inspect
import typing
from collections.abc import Callable
from functools import partial
from typing import Concatenate, ParamSpec

import torch.nn as nn

from harness.models import mlp, rnn
from harness.models.model import FROM_TASK, Model
from harness.settings import Count

P = ParamSpec("P")


def shipped(module: Callable[Concatenate[Count, Count, P], nn.Module]) -> Callable[P, Model]:
    """A module class of the harness under its own name, with the arguments that its constructor takes after `inputs` and `outputs`."""
    named = partial(Model, module)  # type: ignore[arg-type]  # a class, of which its signature is wanted
    hints = typing.get_type_hints(module.__init__)
    own = [parameter for name, parameter in inspect.signature(module).parameters.items() if name not in FROM_TASK]
    by_name = [p.replace(kind=p.KEYWORD_ONLY, annotation=hints[p.name]) for p in own]
    named.__signature__ = inspect.Signature(by_name, return_annotation=Model)  # type: ignore[attr-defined]
    named.__doc__ = module.__doc__
    return named


DropoutNet = shipped(mlp.DropoutNet)
SimpleRNN = shipped(rnn.SimpleRNN)

__all__ = ["DropoutNet", "Model", "SimpleRNN"]
