"""The truth: one run trained by the plain loop on its module as written.

The module is the user's own object, torch's autograd goes through it, its hooks and attributes act. Only the noise of
dropout comes from the seed's streams. Its parameters lie in one row of numbers, so that clipping and the update, which
are those of a population, go over it at once.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from torch.utils._pytree import tree_map

from harness.engine.devices import differentiable_twice
from harness.engine.functions.answers import Answers
from harness.engine.members import Members, Score
from harness.engine.precision import module_placed
from harness.engine.runs import Run, Untrainable, build
from harness.engine.stacking import state_dict_of
from harness.engine.tensor_places import named_tensors, untrained
from harness.tasks.task import Data

TOO_LATE = (
    "comes to be in its forward pass, when no optimizer knows of it any more: make it in the constructor, or let a layer such as "
    "`nn.LazyLinear` find its size"
)
"""Said of a parameter."""


class Unfrozen(Exception):
    """A parameter trains that was frozen when its module was built, and has no place in the member's row."""


class PlainMember(Members):
    """One run as the plain loop trains it; tensors given and returned have a leading axis of size 1.

    Args:
        run: what trains.
        data: its examples.
        device: where everything lives.
        dtype: of parameters and activations.
        frozen: see `Members`.
    """

    def __init__(
        self, run: Run, data: Data, *, device: torch.device, dtype: torch.dtype, frozen: bool = False
    ) -> None:  # fmt: skip
        module = module_placed(build(run.setup, data, run.init_seed), device, dtype)
        super().__init__([run], module, device, dtype, frozen=frozen)
        self._parameters = {name: p for name, p in self.template.named_parameters() if name in self._layout}
        self._built_with = set(self.template.parameters())
        self._rows_of = {name: view[0] for name, view in self.views(self.parameters).items()}
        self._first, self._row = run, self.parameters
        self._gradient = torch.zeros_like(self.parameters)
        self._slots = {name: view[0] for name, view in self.views(self._gradient).items()}
        self._padding = self._layout.padding(self._gradient)
        for name, parameter in self._parameters.items():
            self._rows_of[name].copy_(parameter.detach())
            parameter.data = self._rows_of[name]
        self._others = untrained(self.template)  # what a forward pass leaves behind besides is no state
        self._answers = Answers(self._noise, batched=False)

    def learn(self, x: Tensor) -> None:
        """See `Members.learn`: nothing, of one alone."""

    def check(self) -> None:
        """See `Members.check`: whatever got a gradient is updated."""
        trained = set(self._parameters.values())  # whatever their names are by now
        for name, parameter in self.template.named_parameters():
            if parameter.grad is None or parameter in trained:
                continue
            if parameter in self._built_with:
                raise Unfrozen(f"`{name}` was frozen when it was built")
            raise Untrainable(f"its parameter `{name}` {TOO_LATE}")

    def others(self) -> dict[str, Tensor]:
        """See `Members.others`."""
        now = named_tensors(self.template)
        return {name: now[name].detach().unsqueeze(0) for name in self._others if name in now}

    def containers(self) -> list[Any]:
        """See `Members.containers`."""
        return [
            store
            for layer in self.template.modules()
            for store in (layer._parameters, layer._buffers, layer._forward_pre_hooks, layer._forward_hooks)
        ]

    def _each(self, score: Score, x: Tensor, y: Tensor, *, train: bool) -> Any:
        """See `Members._each`."""
        found = score(self.output(x[0], train=train), y[0])
        return tree_map(lambda each: each.unsqueeze(0) if isinstance(each, Tensor) else each, found)

    def output(self, x: Tensor, *, train: bool) -> Any:
        """What the module returns for `x`, (batch, …); as in the textbook, no gradient is left when it begins."""
        for parameter in self._parameters.values():
            parameter.grad = None
        self.set_mode(train=train)
        self._noise.begin(train=train)
        bf16 = self.runs[0].setup.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16) if bf16 else nullcontext(), self._answers:
            output = self.template(x)
        self._noise.end()
        return tree_map(self._in_full, output) if bf16 else output

    def _in_full(self, value: Any) -> Any:
        """An output of lower precision in that of the loss, as autocast would give it to one."""
        return value.to(self.dtype) if isinstance(value, Tensor) and value.dtype == torch.bfloat16 else value

    def _objective(self, output: Any, target: Tensor) -> Tensor:
        smoothing = self.runs[0].setup.label_smoothing
        if not smoothing:
            return self._mean_loss(output, target)
        return F.cross_entropy(output.flatten(0, -2), target.flatten(), label_smoothing=smoothing)

    def _example_losses(self, output: Any, target: Tensor) -> Tensor:
        return self.task.losses(output, target)

    def backward(self, losses: Tensor) -> None:
        """See `Members.backward`: to gradients that the forward pass has added itself."""
        with self._answers:
            torch.autograd.backward(losses.sum())  # not the tensor's method, during which nothing is answered
        found = {name: parameter.grad for name, parameter in self._parameters.items()}
        self.unused = tuple(name for name, gradient in found.items() if gradient is None)
        # An optimizer may have left something in the padding.
        torch._foreach_zero_([*self._padding, *(self._slots[name] for name in self.unused)])
        used = {name: gradient.to_dense() for name, gradient in found.items() if gradient is not None}
        self._gather()
        if used:
            torch._foreach_copy_([self._slots[name] for name in used], list(used.values()))

    def _gather(self) -> None:
        """Take parameters back into the row that the module has given other data (`parameter.data = …`).

        Raises:
            Untrainable: of another shape.
        """
        for name, parameter in self._parameters.items():
            row = self._rows_of[name]
            if parameter.is_set_to(row):
                continue
            if parameter.shape != row.shape:
                raise Untrainable(
                    f"its parameter `{name}` changes its shape, and an optimizer's state has the one it was built with"
                )
            row.copy_(parameter.detach().clone())  # it may be a view of the row
            parameter.data = row

    def gradient(self, rows: slice) -> Tensor:
        """See `Members.gradient`."""
        return self._gradient

    def hessian_product(self, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
        """The product with v of the Hessian of a batch's mean loss in evaluation, (parameters,): its gradient differentiated again.

        Args:
            x: (batch, …).
            y: (batch, …).
            v: (parameters,).

        Raises:
            RuntimeError: torch has no second derivative of something that the module or the loss does.
        """
        product = torch.zeros_like(self.parameters)
        places, along = self.views(product), self.views(v.unsqueeze(0))
        trained = {name: p for name, p in self._parameters.items() if p.requires_grad}
        with differentiable_twice(), self._answers:
            loss = self._mean_loss(self.output(x.clone(), train=False), y)
            gradients = torch.autograd.grad(loss, list(trained.values()), create_graph=True, materialize_grads=True)
            slope = sum(((g * along[n][0]).sum() for n, g in zip(trained, gradients, strict=True)), loss.new_zeros(()))
            # `grad` would leave out, unsaid, what says that it can be differentiated once only.
            if slope.requires_grad:  # else the gradient is the same everywhere
                torch.autograd.backward(slope)
        for name, parameter in trained.items():
            if parameter.grad is not None:
                places[name][0].copy_(parameter.grad)
        return product[0]

    @contextmanager
    def _probed(self) -> Iterator[list[Tensor]]:
        self._answers.use_kernels(True)
        try:
            with self._answers.recurrent.probed() as probes:
                yield probes
        finally:
            self._answers.use_kernels(False)

    def compact(self, survivors: Tensor) -> None:
        """See `Members.compact`: it stays or goes."""
        self.runs = [self.runs[i] for i in survivors.tolist()]
        self.parameters = self.parameters[survivors]
        self.clock.compact(survivors)

    def bring_back(self, members: list[int], steps: Tensor) -> None:
        """See `Members.bring_back`."""
        self.runs, self.parameters = [self._first], self._row
        self.clock.set(steps)
        self._noise.restart(self._rows())

    def alone(self, member: int, dtype: torch.dtype | None = None) -> "PlainMember":
        """See `Members.alone`."""
        return self

    def weights(self, member: int) -> dict[str, Tensor]:
        """See `Members.weights`."""
        return state_dict_of(self.template)

    def _built(self) -> nn.Module:
        """See `Members._built`."""
        module = build(self._first.setup, self._first.data(), self._first.init_seed)
        return module_placed(module, self.device, self.dtype)

    def module_state(self, member: int | None = None) -> dict[str, Any]:
        """See `Members.module_state`: with its parameters, which nobody else has."""
        return super().module_state() | {"parameters": self._row.clone()}

    def load_module_state(self, state: dict[str, Any]) -> None:
        """See `Members.load_module_state`."""
        super().load_module_state(state)
        self._row.copy_(state["parameters"])
