"""Where each parameter of a module lies in a member's flat row of numbers.

Clipping and the update read and write all parameters of a member at once: in a population they are one row, (parameters,).
"""

import torch
import torch.nn as nn
from torch import Tensor

ALIGNMENT = 16
"""Every member, and every parameter unless they are packed, starts at a multiple of 64 bytes (16 floats): a member's
arithmetic then does not depend on where in the stack it lies."""


class ParameterLayout:
    """The places of a module's trainable parameters in a row; padding between them stays zero.

    Args:
        module: of one member; those of all members have the same structure.
        frozen: take in those that do not train as the module is, too: it may unfreeze them.
        packed: leave no padding between them, only after the last: for code of a user's, to which a row is all parameters.

    Attributes:
        size: numbers in a row, padding included.
        used: where in a row a user's code may look: packed, at the parameters alone.
    """

    def __init__(self, module: nn.Module, *, frozen: bool = False, packed: bool = False) -> None:
        self._places: dict[str, tuple[slice, torch.Size]] = {}
        self._apart = 1 if packed else ALIGNMENT
        end = 0
        for name, parameter in module.named_parameters():
            if parameter.requires_grad or frozen:
                self._places[name] = (slice(end, end + parameter.numel()), parameter.shape)
                end = _up_to(end + parameter.numel(), self._apart)
        self.size, self.used = _up_to(end, ALIGNMENT), slice(end) if packed else slice(None)

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """The rows of (member, parameters) seen as the module's parameters by name, (member, …) each."""
        return {name: flat[:, where].view(len(flat), *shape) for name, (where, shape) in self._places.items()}

    def weights(self) -> list[slice]:
        """The places of parameters with two axes or more, neighbours as one."""
        found: list[slice] = []
        for where, shape in self._places.values():
            if len(shape) > 1:
                joined = found and _up_to(found[-1].stop, self._apart) == where.start
                found[-1:] = [slice(found[-1].start, where.stop)] if joined else [*found[-1:], where]
        return found

    def padding(self, flat: Tensor) -> list[Tensor]:
        """What lies between the parameters in rows of (member, parameters), a view after each."""
        places = [where for where, _ in self._places.values()]
        ends = [*(where.start for where in places[1:]), self.size]
        return [flat[:, where.stop : end] for where, end in zip(places, ends, strict=True)]


def _up_to(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
