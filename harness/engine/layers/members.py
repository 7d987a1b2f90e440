"""Functions of all members at once, for layers that see one member within `vmap`."""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch._C import _functorch as functorch
from torch.autograd import Function


class MemberFunction(Function):
    """A function whose tensors, given and returned, all have M members as their leading axis.

    Layers, which see one member, call it by `of_member`. Subclasses have `forward`, `setup_context` and `backward`.
    """

    @classmethod
    def of_member(cls, *arguments: Any) -> Any:
        """The function where `vmap` goes over the members, or of one alone: tensors lack the leading axis.

        Directly below one `vmap` the members are taken out of it and handed to `forward` at once. That is what
        `torch._functorch.autograd_function` does by the rule below, for any nesting of transforms and any structure of
        arguments; it takes .3 ms a call, half of a small population's step.
        """
        levels = functorch.get_interpreter_stack() or []
        if [level.key() for level in levels] == [functorch.TransformType.Vmap]:
            return cls._below(functorch.CVmapInterpreterPtr(levels[0]), arguments)
        alone = _each(lambda tensor: tensor.unsqueeze(0), arguments)
        return _mapped(lambda tensor: tensor.squeeze(0), cls.apply(*alone))  # type: ignore[no-untyped-call]

    @classmethod
    def _below(cls, vmap: functorch.CVmapInterpreterPtr, arguments: tuple[Any, ...]) -> Any:
        """Call the function beneath the only level of `vmap`."""
        level, members = vmap.level(), vmap.batchSize()

        def stacked(tensor: Tensor) -> Tensor:
            inner, axis = functorch._unwrap_batched(tensor, level)
            if axis is None:
                return inner.expand(members, *inner.shape)
            return inner.movedim(axis, 0) if axis else inner  # not a view of it: `postponed` knows weights by identity

        given = _each(stacked, arguments)
        layer = functorch.pop_dynamic_layer_stack()
        try:
            results = super(Function, cls).apply(*given)  # type: ignore[misc]  # `Function.apply` would inspect signatures
        finally:
            functorch.push_dynamic_layer_stack(layer)
        return _mapped(lambda tensor: functorch._add_batch_dim(tensor, 0, level), results)

    @classmethod
    def vmap(cls, info: Any, in_dims: tuple[int | None, ...], *arguments: Any) -> Any:
        """The rule by torch: members come as a vmapped axis beside one of size 1."""

        def stacked(value: Any, axis: int | None) -> Any:
            if isinstance(value, Tensor):
                return (
                    value.expand(info.batch_size, *value.shape[1:])
                    if axis is None
                    else value.movedim(axis, 0).squeeze(1)
                )
            return value

        results = cls.apply(*map(stacked, arguments, in_dims))  # type: ignore[no-untyped-call]
        return _mapped(lambda tensor: tensor.unsqueeze(1), results), _mapped(lambda tensor: 0, results)


def _each(change: Callable[[Tensor], Any], values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values, tensors among them changed."""
    return tuple(change(value) if isinstance(value, Tensor) else value for value in values)


def _mapped(change: Callable[[Tensor], Any], results: Any) -> Any:
    """What a function returned, a tensor or several, changed."""
    return _each(change, results) if isinstance(results, tuple) else change(results)
