"""What a forward pass asks of autograd, answered for one of several members.

The gradient of a population is taken outside of `vmap`, within which torch says of every tensor that it has none: a guard
such as `if h.requires_grad:` would skip what the plain loop does. So what only reads is answered as it is there; what takes part
in a backward pass (hooks, gradients of one's own) acts on each member's tensors, which a population does not have.
"""

from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor

from harness.engine.functions.transforms import behind, only_vmap
from harness.engine.obstacles import Unbatchable

_PROPERTIES: Any = Tensor
"""The class as what has descriptors, which torch's annotations call values."""

HOOKS = Tensor.register_hook, Tensor.register_post_accumulate_grad_hook, Tensor.retain_grad
BACKWARD = Tensor.backward, torch.autograd.backward, torch.autograd.grad


def of_autograd() -> dict[Callable[..., Any], Callable[..., Any]]:
    """What is answered in place of which function or property."""
    reads: dict[Callable[..., Any], Callable[..., Any]] = {
        _PROPERTIES.requires_grad.__get__: _requires_grad,
        _PROPERTIES.is_leaf.__get__: _is_leaf,
        _PROPERTIES.grad_fn.__get__: _grad_fn,
        _PROPERTIES.requires_grad.__set__: _set_requires_grad,
        Tensor.requires_grad_: _set_requires_grad,
    }
    refused: dict[Any, Callable[..., Any]] = dict.fromkeys(HOOKS, _hooks) | dict.fromkeys(BACKWARD, _backward)
    return {torchs: _within_ours(answer) for torchs, answer in (reads | refused).items()}


def _within_ours(answer: Callable[..., Any]) -> Callable[..., Any]:
    """An answer where only `vmap` over the members is active; within transforms of the module's own torch answers as in the plain loop."""

    def answered(*args: Any, **kwargs: Any) -> Any:
        return NotImplemented if only_vmap() is None else answer(*args, **kwargs)

    return answered


def _itself(tensor: Tensor) -> Tensor:
    vmap = only_vmap()
    assert vmap is not None
    return behind(tensor, vmap)


def _requires_grad(tensor: Tensor, *_: object) -> bool:
    return _itself(tensor).requires_grad


def _is_leaf(tensor: Tensor, *_: object) -> bool:
    return _itself(tensor).is_leaf


def _grad_fn(tensor: Tensor, *_: object) -> None:
    if _itself(tensor).grad_fn is not None:
        raise Unbatchable("its forward pass looks into the graph of the backward pass (`grad_fn`)")


def _set_requires_grad(tensor: Tensor, requires_grad: bool = True) -> Tensor:
    if _itself(tensor).requires_grad is not requires_grad:
        raise Unbatchable("its forward pass changes what has a gradient (`requires_grad`)")
    return tensor


def _hooks(*_: object, **__: object) -> NoReturn:
    raise Unbatchable("its forward pass puts a hook on a gradient, or keeps it (`register_hook`, `retain_grad`)")


def _backward(*_: object, **__: object) -> NoReturn:
    raise Unbatchable("its forward pass takes gradients itself (`backward`, `torch.autograd.grad`)")
