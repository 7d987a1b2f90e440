"""Functions of all members at once, for a forward pass that sees one member within `vmap`."""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.autograd import Function

from harness.engine.functions.transforms import beneath, of_member, only_vmap, stacked


class MemberFunction(Function):
    """A function whose tensors, given and returned, all have M members as their leading axis.

    A forward pass, which sees one member, calls it by `of_member`. Subclasses have `forward`, `setup_context` and `backward`.
    """

    @classmethod
    def of_member(cls, *arguments: Any) -> Any:
        """The function where `vmap` goes over the members, or of one alone: tensors lack the leading axis.

        Directly below one `vmap` the members are taken out of it and handed to `forward` at once. That is what
        `torch._functorch.autograd_function` does by the rule below, for any nesting of transforms and any structure of
        arguments; it takes .3 ms a call, half of a small population's step.
        """
        vmap = only_vmap()
        if vmap is not None:
            given = _each(lambda tensor: stacked(tensor, vmap), arguments)
            with beneath():
                results = super(Function, cls).apply(*given)  # type: ignore[misc]  # `Function.apply` inspects signatures
            return _mapped(lambda tensor: of_member(tensor, vmap), results)
        alone = _each(lambda tensor: tensor.unsqueeze(0), arguments)
        return _mapped(lambda tensor: tensor.squeeze(0), cls.apply(*alone))  # type: ignore[no-untyped-call]

    @classmethod
    def vmap(cls, info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> Any:
        """The rule by torch: members come as a vmapped axis beside one of size 1."""

        def members(value: Any, axis: int | None) -> Any:
            if isinstance(value, Tensor):
                return (
                    value.expand(info.batch_size, *value.shape[1:])
                    if axis is None
                    else value.movedim(axis, 0).squeeze(1)
                )
            return value

        results = cls.apply(*map(members, arguments, in_dims))  # type: ignore[no-untyped-call]
        return _mapped(lambda tensor: tensor.unsqueeze(1), results), _mapped(lambda tensor: 0, results)


def _each(change: Callable[[Tensor], Any], values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values, tensors among them changed."""
    return tuple(change(value) if isinstance(value, Tensor) else value for value in values)


def _mapped(change: Callable[[Tensor], Any], results: Any) -> Any:
    """What a function returned, a tensor or several, changed."""
    return _each(change, results) if isinstance(results, tuple) else change(results)
