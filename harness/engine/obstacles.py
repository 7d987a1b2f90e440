"""What keeps `vmap` from batching a module's forward pass, in plain words."""

import re
import warnings
from collections.abc import Callable

import torch
import torch.nn as nn
from torch import Tensor

WHY = {
    "data-dependent control flow": "its forward pass decides by the values of a tensor (`if`, `while`)",
    ".item()": "its forward pass reads values of a tensor (`.item()`, `float()`, `int()`)",
    "random operation": "its forward pass draws random numbers itself; those of `nn.Dropout` layers can be batched",
}
"""What `torch.func.vmap` complains of, in plain words."""


def obstacle(attempt: Callable[[], None]) -> str:
    """Why an attempt to batch fails; "" if it does not.

    Raises:
        torch.OutOfMemoryError: the attempt ran out of a device's memory, which says nothing of the module.
    """
    try:
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # of operations that `vmap` repeats
            attempt()
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        return reason(error)
    return ""


def reason(error: Exception) -> str:
    """Why a module cannot be batched.

    >>> reason(RuntimeError("vmap: It looks like you're calling .item() on a Tensor. We don't"))
    'its forward pass reads values of a tensor (`.item()`, `float()`, `int()`)'
    """
    text = str(error).strip() or type(error).__name__
    said = re.split(r"[.;:] |\.?$", text.removeprefix("vmap: ").splitlines()[0])[0]
    return next((words for part, words in WHY.items() if part in text), f"torch.func.vmap says: {said}")


def loose_tensor(module: nn.Module, other: nn.Module) -> str:
    """Why a tensor that is neither parameter nor buffer, and differs between two members' modules, is in the way; or ""."""
    tensors = [
        {f"{name}.{key}".lstrip("."): value for name, layer in each.named_modules() for key, value in vars(layer).items()
         if isinstance(value, Tensor)}
        for each in (module, other)
    ]  # fmt: skip
    found = next((name for name, t in tensors[0].items() if not torch.equal(t, tensors[1].get(name, t))), "")
    return found and f"it holds a tensor, `{found}`, that is no parameter or buffer and differs between seeds"
