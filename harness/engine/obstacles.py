"""What keeps a module from being batched, in plain words."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

FORWARD = "its forward pass"
"""Whose fault it is where nothing else is said."""

DRAWS = "{} draws random numbers itself"

WHY = {
    "data-dependent control flow": "{} decides by the values of a tensor (`if`, `while`)",
    ".item()": "{} reads values of a tensor (`.item()`, `float()`, `int()`)",
    "may have escaped": "{} keeps tensors for another call, or computes them again in the backward pass",
    "setup_context": "it has a `torch.autograd.Function` without a rule for `vmap`",
    "random operation": f"{DRAWS}; those of torch's dropout can be batched",
}
"""What `torch.func.vmap` complains of, in plain words; of whom is to be filled in."""


OF_BATCHING = ("vmap", "functorch", "torch.func", "BatchedTensor", "Batching rule", "data pointer", "broadcast shape")
"""Words of errors that the tensors of several members raise, and those of one do not."""


COSTS = (
    "There is a performance drop",
    r"torch\.searchsorted\(\): (input value|boundary) tensor is non-contiguous",
    "RNN module weights are not part of single contiguous chunk",
)
"""How torch's warnings of them begin."""


class Unbatchable(Exception):
    """Members cannot train as one population; the text says why, as in `its forward pass …`."""


class NoKernel(Unbatchable):
    """No kernel of a population computes what a recurrent layer does."""


@contextmanager
def measured_costs() -> Iterator[None]:
    """In the block torch does not warn of what our own arrangement of tensors costs, since that is measured.

    Operations that `vmap` repeats for each member, arguments that it makes non-contiguous, and on CUDA weights of a recurrent
    layer that cuDNN gathers at every call.
    """
    with warnings.catch_warnings():
        for beginning in COSTS:
            warnings.filterwarnings("ignore", message=beginning, category=UserWarning)
        yield


def reason(error: Exception, whose: str = FORWARD) -> str:
    """Why a module, or another part `whose` words these are, cannot be batched.

    >>> reason(RuntimeError("vmap: It looks like you're calling .item() on a Tensor. We don't"))
    'its forward pass reads values of a tensor (`.item()`, `float()`, `int()`)'
    """
    if isinstance(error, Unbatchable):
        return str(error)
    text = str(error).strip() or type(error).__name__
    said = re.split(r"[.;:] |\.?$", text.removeprefix("vmap: ").splitlines()[0])[0]
    otherwise = f"{whose} does what torch cannot do for several runs at once: {said}"
    return next((words.format(whose) for part, words in WHY.items() if part in text), otherwise)


@contextmanager
def batching(whose: str = FORWARD) -> Iterator[None]:
    """Raises `Unbatchable` for an error in the block that the tensors of one member do not raise; for `whose` see `reason`."""
    try:
        yield
    except RuntimeError as error:
        if not any(word in str(error) for word in OF_BATCHING):
            raise
        raise Unbatchable(reason(error, whose)) from error
