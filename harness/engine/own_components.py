"""A user's own clipping rules and optimizers at work on several runs at once: what would be one run's is refused or held apart."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from harness.engine.member_float import MemberFloat
from harness.engine.obstacles import Unbatchable
from harness.engine.scheduled import per_member
from harness.engine.setup import Setup
from harness.settings import Component
from harness.settings.modules import class_with, owner_of
from harness.tasks.task import Task

C = TypeVar("C", bound=Component)

READS: set[Any] = {
    Tensor.item, Tensor.tolist, Tensor.numpy, Tensor.__array__, Tensor.__bool__, Tensor.__float__, Tensor.__int__,
    Tensor.__index__, Tensor.__complex__, Tensor.__contains__, Tensor.is_nonzero, torch.is_nonzero, Tensor.equal, torch.equal,
    Tensor.allclose, torch.allclose, Tensor.nonzero, torch.nonzero, torch.argwhere, Tensor.argwhere,
}  # fmt: skip
"""By which a program decides by the values of a tensor, or by how many of them are such."""


def is_own(component: Component) -> bool:
    """Whether a clipping rule or optimizer is a user's."""
    return owner_of(type(component)) != "harness"


def own_names(setup: Setup) -> list[str]:
    """The names of a setup's clipping rule and optimizer, of those that are a user's."""
    return [type(part).__name__ for part in (setup.clipping, setup.optimizer) if is_own(part)]


def own_scores(task: Task) -> list[str]:
    """Which of a task's `losses` and `errors` are a user's."""
    return [name for name in ("losses", "errors") if owner_of(class_with(name, type(task))) != "harness"]


def for_all(components: Sequence[C]) -> C:
    """One component that stands for several of a kind: a number in which a user's own differ is none that can be read off it.

    They are given as columns to its methods.
    """
    first = components[0]
    if not is_own(first):
        return first
    levels = {name: [per_member(each)[name] for each in components] for name in per_member(first)}
    differing = {
        name: MemberFloat(
            own,
            f"{type(first).__name__} reads `self.{name}`, which differs between runs, in place of the argument `{name}`",
        )
        for name, own in levels.items()
        if any(level != own[0] for level in own)
    }
    found: C = object.__new__(type(first))
    vars(found).update(vars(first) | differing)
    return found


def unread(component: Component, members: int) -> AbstractContextManager[Any]:
    """Around what a user's own component does for several members: it may not decide for all by the values of some."""
    return _Unread(type(component).__name__) if members > 1 and is_own(component) else nullcontext()


class _Unread(TorchFunctionMode):
    """Refuses `READS`.

    Args:
        name: of the component.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """What torch gives, unless that is a number for the program.

        Raises:
            Unbatchable: it is.
        """
        if func in READS:
            raise Unbatchable(
                f"{self._name} reads values of a tensor (`.item()`, `if`), where those of several runs are"
            )
        return func(*args, **(kwargs or {}))
