"""A readout of the last step of a recurrent layer, `states[:, -1]`, answered by the last states themselves.

Else it would have a gradient with respect to all states that is zero but for the last: written, read and added at every step.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from harness.engine.functions.transforms import version


class LastStates(NamedTuple):
    """The states after the last step, kept with the sequence that they end.

    Attributes:
        states: (B, H).
        place: the index into the sequence that gives them.
        version: of the sequence: one that was written into since has others.
    """

    states: Tensor
    place: tuple[slice, int] | int
    version: int


def keep_last(sequence: Tensor, last: Tensor, *, batch_first: bool) -> None:
    """Keep the states after the last step with a sequence (T, B, H), or (B, T, H) where the batch comes first."""
    place = (slice(None), -1) if batch_first else -1
    sequence.last_states = LastStates(last, place, version(sequence))  # type: ignore[attr-defined]


def last_states(tensor: Tensor, index: Any) -> Any:
    """`tensor[index]` where that is the states after the last step of a recurrent layer; else no answer.

    Nor where no graph is made: the states kept have a gradient.
    """
    if not torch.is_grad_enabled():
        return NotImplemented
    kept = getattr(tensor, "last_states", None)
    kinds = [slice, int] if type(index) is tuple else None  # what is compared below are no tensors
    if kept is None or type(index) is not type(kept.place) or (kinds and list(map(type, index)) != kinds):
        return NotImplemented
    watched = version(tensor) != kept.version or tensor._backward_hooks or tensor.retains_grad
    return kept.states if index == kept.place and not watched else NotImplemented
