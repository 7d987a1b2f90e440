"""Members trained one after another: what is left where `vmap` cannot batch a module's forward pass.

Everything else stays as in a batched population: the stack, the dropout masks, clipping, optimizer, tables. A module that
draws random numbers of its own finds torch's global generator seeded from its seed's stream.
"""

import re
from collections.abc import Callable, Sequence

import torch
import torch.nn as nn
from torch import Tensor

WHY = {
    "data-dependent control flow": "its forward pass decides by the values of a tensor (`if`, `while`)",
    ".item()": "its forward pass reads values of a tensor (`.item()`, `float()`, `int()`)",
    "random operation": "its forward pass draws random numbers itself; those of `nn.Dropout` layers can be batched",
}
"""What `torch.func.vmap` complains of, in plain words."""

COST = "Its runs train one after another: a population takes about as many times longer as it has members."


def reason(error: Exception) -> str:
    """Why a module cannot be batched.

    >>> reason(RuntimeError("vmap: It looks like you're calling .item() on a Tensor. We don't"))
    'its forward pass reads values of a tensor (`.item()`, `float()`, `int()`)'
    """
    text = str(error).strip() or type(error).__name__
    said = re.split(r"[.;:] |\.?$", text.removeprefix("vmap: ").splitlines()[0])[0]
    return next((words for part, words in WHY.items() if part in text), f"torch.func.vmap says: {said}")


def loose_tensor(module: nn.Module, other: nn.Module) -> str:
    """Name of a tensor that is neither parameter nor buffer and differs between two modules; "" where there is none."""
    tensors = [
        {f"{name}.{key}".lstrip("."): value for name, layer in each.named_modules() for key, value in vars(layer).items()
         if isinstance(value, Tensor)}
        for each in (module, other)
    ]  # fmt: skip
    return next((name for name, t in tensors[0].items() if not torch.equal(t, tensors[1].get(name, t))), "")


def one_by_one(
    member: Callable[..., Tensor], modules: Sequence[nn.Module], seeds: Sequence[int],
    tensors: dict[str, Tensor], *batch: Tensor,
) -> Tensor:  # fmt: skip
    """What `vmap` of `member` over the members would return.

    Args:
        member: takes a module, its own tensors by name and its share of the batch.
        modules: of the members.
        seeds: for torch's global generator, of each member.
        tensors: parameters and buffers, (member, …) each.
        *batch: (member, …) each.
    """
    own = [tensor.unbind() for tensor in tensors.values()]  # its gradient is one stack
    outputs = []
    with torch.random.fork_rng(devices=[t.device for t in batch[:1] if t.is_cuda]):
        for module, seed, values, *share in zip(modules, seeds, zip(*own, strict=True), *batch, strict=True):
            torch.manual_seed(seed)
            outputs.append(member(module, dict(zip(tensors, values, strict=True)), *share))
    return torch.stack(outputs)
