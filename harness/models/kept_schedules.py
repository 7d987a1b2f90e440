"""A dropout between recurrent layers that is a schedule: torch would make a float of it, which is one number."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch.nn as nn

from harness.settings.schedules import Schedule, extremes


@contextmanager
def schedules_kept(steps: int) -> Iterator[None]:
    """Within the block `nn.RNN`, `nn.LSTM` and `nn.GRU` keep a schedule that they are given.

    Args:
        steps: of its training; torch looks at the largest value of these.
    """
    torchs = nn.RNNBase.__init__
    signature = inspect.signature(torchs)

    def initialised(layer: nn.RNNBase, *args: Any, **kwargs: Any) -> None:
        given = signature.bind(layer, *args, **kwargs)
        p = given.arguments.get("dropout")
        if not isinstance(p, Schedule):
            return torchs(layer, *args, **kwargs)
        given.arguments["dropout"] = extremes(p, steps)[1][0]
        torchs(*given.args, **given.kwargs)
        layer.dropout = p  # type: ignore[assignment]
        return None

    nn.RNNBase.__init__ = initialised  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        nn.RNNBase.__init__ = torchs  # type: ignore[method-assign]
