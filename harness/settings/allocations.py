"""Tensors that are made within a block, as long as memory lasts: what is too large is refused before the kernel ends the process."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from harness.settings.machine import free_memory

CPU = torch.device("cpu")


class TooLarge(MemoryError):
    """A tensor of `bytes` does not fit the memory that is free."""

    def __init__(self, size: int) -> None:
        self.bytes = size
        super().__init__(f"a tensor of {size:,} bytes does not fit the memory that is free")


class WithinMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within the block an operation that makes a tensor larger than the free memory raises `TooLarge`, before it writes to it.

    How much is free is asked for again only once as much was made as was free: some is counted twice, or is free again.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._left = free_memory(CPU)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """See `TorchDispatchMode`: nothing is compiled within the block, and to have it left out would import the compiler, a second."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """See `TorchDispatchMode`."""
        kwargs = kwargs or {}
        if not any(isinstance(leaf, Tensor) for leaf in tree_leaves((args, kwargs))):
            asked = _asked_for(args, kwargs)
            if asked > self._left and asked > free_memory(CPU):
                raise TooLarge(asked)
        output = func(*args, **kwargs)
        made = (leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor) and leaf.layout == torch.strided)
        self._left -= sum(tensor.untyped_storage().nbytes() for tensor in made)
        if self._left < 0:
            self._left = free_memory(CPU)
        return output


def _asked_for(args: Any, kwargs: dict[str, Any]) -> int:
    """Bytes of the tensor that an operation on none makes, by the shape that it is given."""
    shapes = [arg for arg in args if isinstance(arg, list | tuple) and all(isinstance(size, int) for size in arg)]
    kind = kwargs.get("dtype") or torch.get_default_dtype()
    return kind.itemsize * max(map(math.prod, shapes), default=0)
