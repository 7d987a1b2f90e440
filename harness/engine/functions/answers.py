"""What a module asks of torch while its forward pass runs, answered for all members of a population or for one.

So the module stays as it is written: none of its layers is replaced, and `isinstance`, hooks, attributes, `F.dropout` in
`forward` and a `train` of its own mean what they say. Answered are the functions whose noise comes from a seed's streams,
and for a population those that `vmap` batches badly or not at all.
"""

import inspect
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from types import FunctionType
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from harness.engine.caught import note_error
from harness.engine.functions.attention import Attention
from harness.engine.functions.autograd import of_autograd
from harness.engine.functions.batching_rules import put_rules
from harness.engine.functions.dropout import Dropout
from harness.engine.functions.linear import linear
from harness.engine.functions.recurrent import Recurrent
from harness.engine.functions.without_rule import of_others
from harness.engine.member_float import MemberFloat
from harness.engine.noise import Noise
from harness.engine.uncompiled import uncompiled
from harness.models.one_hot import on_tokens, on_vectors

ASKS = "has_torch_function", "has_torch_function_variadic"
"""Functions by which one of torch's asks whether it is answered."""


def opened(torchs: Callable[..., Any]) -> Callable[..., Any]:
    """A function of torch's that does not ask for an answer to itself, so that what it calls can be answered."""
    assert isinstance(torchs, FunctionType)
    names = vars(inspect.getmodule(torchs)) | dict.fromkeys(ASKS, lambda *tensors: False)
    found = FunctionType(torchs.__code__, names, argdefs=torchs.__defaults__)
    found.__kwdefaults__ = torchs.__kwdefaults__
    return found


OPENED: dict[Callable[..., Any], Callable[..., Any]] = {
    F.multi_head_attention_forward: opened(F.multi_head_attention_forward),
    torch.autograd.backward: opened(torch.autograd.backward),
    torch.autograd.grad: opened(torch.autograd.grad),
    on_tokens: on_vectors,
}
"""Functions whose own calls of torch are answered, and what computes the same without asking for an answer to itself."""

if hasattr(F, "linear_cross_entropy"):  # not in every torch; it asks what has a gradient
    OPENED[F.linear_cross_entropy] = opened(F.linear_cross_entropy)


class Answers(TorchFunctionMode):
    """Active around a forward pass, and around its backward pass; what is compiled runs as it is written meanwhile.

    Args:
        noise: of dropout.
        batched: whether forward passes run under `vmap`, and see one of several members.

    Attributes:
        recurrent: answers recurrent layers.
    """

    def __init__(self, noise: Noise, *, batched: bool) -> None:
        super().__init__()
        dropout = Dropout(noise, batched=batched)
        self.recurrent = Recurrent(dropout)
        self._batched = batched
        self._always = dropout.answers() | {F.scaled_dot_product_attention: Attention(dropout)}
        if batched:
            self._always |= {F.linear: linear} | of_autograd() | of_others()
            put_rules()
        self._answers: dict[Callable[..., Any], Callable[..., Any]] = {}
        self._uncompiled: list[AbstractContextManager[object]] = []
        self.use_kernels(batched)

    def __enter__(self) -> Self:
        """Also within itself."""
        self._uncompiled.append(uncompiled())
        self._uncompiled[-1].__enter__()
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *raised: Any) -> None:
        """Leave the last one entered."""
        super().__exit__(*raised)  # type: ignore[no-untyped-call]
        self._uncompiled.pop().__exit__(*raised)

    def use_kernels(self, use: bool) -> None:
        """Answer recurrent layers by the kernels of a population, or by torch's own with the dropout in between."""
        self._answers = self._always | (self.recurrent.kernels() if use else self.recurrent.with_dropout())

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """The answer to `func`, or what torch itself computes; of what fails note is taken."""
        try:
            answer = self._answers.get(func)
            if answer is not None:
                answered = answer(*args, **kwargs) if kwargs else answer(*args)
                if answered is not NotImplemented:
                    return answered
            if func in OPENED:
                with self:
                    return OPENED[func](*args, **(kwargs or {}))
            if self._batched:
                _refuse_levels(args)
                _refuse_levels(kwargs.values() if kwargs else ())
            return func(*args, **kwargs) if kwargs else func(*args)
        except Exception:
            note_error()
            raise


def _refuse_levels(arguments: Iterable[Any]) -> None:
    """Raises `Unbatchable` where torch would take the first member's number for all."""
    for argument in arguments:
        kind = type(argument)
        if kind is MemberFloat:
            argument._refuse()
        if kind is list or kind is tuple:
            _refuse_levels(argument)
