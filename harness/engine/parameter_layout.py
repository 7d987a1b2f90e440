"""Where each parameter of a module lies in a member's flat row of numbers.

Clipping and the update read and write all parameters of a member at once: in a population they are one row, (parameters,).
"""

import torch
import torch.nn as nn
from torch import Tensor

ALIGNMENT = 16
"""Every member and every parameter starts at a multiple of 64 bytes (16 floats): a member's arithmetic then does not
depend on where in the stack it lies."""


class ParameterLayout:
    """The places of a module's trainable parameters in a row; padding between them stays zero.

    Args:
        module: of one member; those of all members have the same structure.
        frozen: take in those that do not train as the module is, too: it may unfreeze them.

    Attributes:
        size: numbers in a row, padding included.
    """

    def __init__(self, module: nn.Module, *, frozen: bool = False) -> None:
        self._places: dict[str, tuple[slice, torch.Size]] = {}
        self.size = 0
        for name, parameter in module.named_parameters():
            if parameter.requires_grad or frozen:
                self._places[name] = (slice(self.size, self.size + parameter.numel()), parameter.shape)
                self.size += -(-parameter.numel() // ALIGNMENT) * ALIGNMENT

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
                joined = found and -(-found[-1].stop // ALIGNMENT) * ALIGNMENT == where.start
                found[-1:] = [slice(found[-1].start, where.stop)] if joined else [*found[-1:], where]
        return found

    def padding(self, flat: Tensor) -> list[Tensor]:
        """What lies between the parameters in rows of (member, parameters), a view after each."""
        places = [where for where, _ in self._places.values()]
        ends = [*(where.start for where in places[1:]), self.size]
        return [flat[:, where.stop : end] for where, end in zip(places, ends, strict=True)]
