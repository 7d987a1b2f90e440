"""Populations: many runs of one architecture as one stacked network.

Third stage of the flow: what `harness.engine.planning` puts together, `harness.engine.train` trains as one batched program. A module
becomes a population by swapping the layers that need member-aware code, stacking the states and `vmap`ping the forward
pass (PyTorch's model ensembling); the gradient is taken outside.
"""

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
import torch.nn as nn
from torch import Tensor
from torch.func import functional_call, vmap

from harness.engine.layers.cross_entropy import example_losses
from harness.engine.layers.dropout import dropouts
from harness.engine.layers.postponed import Postponed, postponed
from harness.engine.one_by_one import loose_tensor, one_by_one, reason
from harness.engine.population_noise import Noise
from harness.engine.runs import Run, build
from harness.settings.machine import one_thread
from harness.settings.randomness import stream
from harness.tasks.task import Data, Task

ALIGNMENT = 16
"""Every member and every parameter starts at a multiple of 64 bytes (16 floats): a member's arithmetic then does not
depend on where in the stack it lies."""


def aliases(module: nn.Module) -> dict[str, str]:
    """Further names of parameters and buffers that have several (tied weights), each with the first.

    `functional_call` ties them too, but leaves its own tensors behind in a layer that has several names.
    """
    found: dict[int, str] = {}
    again: dict[str, str] = {}
    for prefix, layer in module.named_modules():
        for key, tensor in (layer._parameters | layer._buffers).items():
            if tensor is not None:
                name = f"{prefix}.{key}".lstrip(".")
                if found.setdefault(id(tensor), name) != name:
                    again[name] = found[id(tensor)]
    return again


class Population:
    """The stacked parameters, buffers and dropout masks of several runs on one device.

    Args:
        runs: the members, ordered by seed; all with the same `population_key` key.
        data: each member's examples.
        device: where everything lives.
        dtype: of parameters and activations.

    Attributes:
        parameters: (member, parameters), every trainable value of a member in one row; padding stays zero.
        template: the module that stands for all members.
        why_one_by_one: what keeps members from being batched, so that they train one after another; "" for nothing.
    """

    def __init__(self, runs: list[Run], data: list[Data], *, device: torch.device, dtype: torch.dtype) -> None:
        self.runs, self.device, self.dtype = runs, device, dtype
        self.task: Task = runs[0].setup.task
        modules = [build(run.setup, examples, run.seed) for run, examples in zip(runs, data, strict=True)]
        self._modules = modules
        self._loose_tensor = loose_tensor(modules[0], build(runs[0].setup, data[0], runs[0].seed + 1))
        self._slices: dict[str, tuple[slice, torch.Size]] = {}
        start = 0
        for name, parameter in modules[0].named_parameters():
            if parameter.requires_grad:
                self._slices[name] = (slice(start, start + parameter.numel()), parameter.shape)
                start += -(-parameter.numel() // ALIGNMENT) * ALIGNMENT
        self.parameters = torch.zeros(len(runs), start, device=device, dtype=dtype)
        states = [dict(m.named_parameters()) | dict(m.named_buffers()) for m in modules]
        for name, (where, _) in self._slices.items():
            self.parameters[:, where] = torch.stack([s[name].detach().flatten() for s in states]).to(device, dtype)
        self._noise = Noise(modules, steps=runs[0].setup.steps, device=device, dtype=dtype)
        self._shared: dict[str, Tensor] = {}
        self._stacked: dict[str, Tensor] = {}
        for name in states[0].keys() - self._slices.keys() - self._noise.probabilities().keys():
            stack = torch.stack([s[name].detach() for s in states]).to(device)
            self._stacked[name] = stack.to(dtype) if stack.is_floating_point() else stack
        self.template = modules[0].to(device, dtype)
        self._aliases = aliases(self.template)
        self.why_one_by_one = ""
        self._own_noise: dict[int, torch.Generator] = {}
        self._own_seeds: dict[int, int] = {}
        self._bind()

    def __len__(self) -> int:
        return len(self.runs)

    def _bind(self) -> None:
        """Make the leaves of the graph, a view for each parameter of the module, and find each seed's members."""
        self._leaves = {name: view.detach().requires_grad_() for name, view in self.views(self.parameters).items()}
        self._gradients: list[Tensor | None] = []
        self._postponed = Postponed()
        self._flat, self._slots, self._gaps = self.parameters[:0], list[Tensor](), list[Tensor]()
        seeds = [run.seed for run in self.runs]
        first = {seed: seeds.index(seed) for seed in seeds}
        self._rows = {seed: slice(start, start + seeds.count(seed)) for seed, start in first.items()}
        assert all(set(seeds[rows]) == {seed} for seed, rows in self._rows.items()), "members must be ordered by seed"

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """The rows of (member, parameters) seen as the module's parameters, (member, …) each."""
        return {name: flat[:, where].view(len(flat), *shape) for name, (where, shape) in self._slices.items()}

    def state(self) -> list[Tensor]:
        """All that training changes in the members, (member, …) each: what is kept to come back to."""
        return [self.parameters, *self._stacked.values()]

    def prepare(self, x: Tensor) -> None:
        """Learn from one member's training batch: masks that dropout needs, buffers that change, what cannot be batched.

        Args:
            x: (batch, …).

        Raises:
            Exception: whatever the module's own forward or backward pass raises.
        """
        before = {name: buffer.clone() for name, buffer in self.template.named_buffers()}
        self._measure(self.template, x)
        for name, buffer in self.template.named_buffers():
            constant = name in self._stacked and torch.equal(buffer, before[name])
            if constant and bool((self._stacked[name] == self._stacked[name][:1]).all()):
                self._shared[name] = self._stacked.pop(name)[0]
        self._noise.measured(self.template, self._rows)
        self.why_one_by_one = self._obstacle(x)
        if self.why_one_by_one:
            for module in self._modules[1:]:
                self._measure(module.to(self.device, self.dtype), x)
            self._own_noise = {seed: stream(seed, "module") for seed in self._rows}
            self._own_seeds = dict.fromkeys(self._rows, 0)
        else:
            self._modules = [self.template]

    def _measure(self, module: nn.Module, x: Tensor) -> None:
        """Let a module's dropout layers see the shapes of their inputs."""
        self._noise.ready(module)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            module.train()(x)

    def _obstacle(self, x: Tensor) -> str:
        """Why members cannot be batched, found by trying with two of them; "" if they can."""
        if self._loose_tensor:
            return (
                f"it holds a tensor, `{self._loose_tensor}`, that is no parameter or buffer and differs between seeds"
            )
        pair = torch.stack([x] * min(2, len(self)))

        def attempt() -> None:
            for train in (True, False):
                tensors = {name: tensor[: len(pair)].clone() for name, tensor in self._tensors(train=train).items()}
                output = self._forward(lambda output, _: output, tensors, pair, pair, train=train)
                torch.autograd.grad(output.sum(), [tensors[name] for name in self._leaves], materialize_grads=True)

        try:
            with warnings.catch_warnings(action="ignore", category=UserWarning):  # of operations that `vmap` repeats
                attempt()
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            return reason(error)
        return ""

    def keep(self, kept: Tensor) -> None:
        """Go on with some members only; the others stop costing.

        Args:
            kept: int64 indices of the members that stay, in order.
        """
        self.runs = [self.runs[i] for i in kept.tolist()]
        self.parameters = self.parameters[kept]
        self._stacked = {name: tensor[kept] for name, tensor in self._stacked.items()}
        if self.why_one_by_one:
            self._modules = [self._modules[i] for i in kept.tolist()]
        self._bind()
        self._noise.keep(kept, self._rows)

    def draw_dropout(self) -> None:
        """New dropout masks for every member, from its seed's streams, at its p of the next step."""
        self._noise.draw()
        for seed, generator in self._own_noise.items():
            self._own_seeds[seed] = int(torch.randint(2**62, (), generator=generator))

    def generators(self) -> list[torch.Generator]:
        """Where the noise of dropout comes from."""
        return self._noise.generators()

    def masks(self) -> dict[str, Tensor]:
        """The masks of the last `draw_dropout` by the names of the buffers they stand for, (member, …)."""
        return self._noise.masks()

    def outputs(self, x: Tensor, *, train: bool) -> Tensor:
        """Forward pass of every member.

        Args:
            x: (member, batch, …).
            train: whether dropout acts, with the masks of the last `draw_dropout`.

        Returns:
            (member, batch, …) outputs.
        """
        return self._each(lambda output, _: output, x, x, train=train)

    def losses(self, x: Tensor, y: Tensor, *, train: bool = True) -> Tensor:
        """Mean loss of each member's batch, (member,); its gradient is then to be had from `gradient`.

        Args:
            x: (member, batch, …).
            y: (member, batch, …).
            train: whether dropout acts, with the masks of the last `draw_dropout`.
        """
        with self._settled(), postponed() as self._postponed:
            losses = self._each(
                lambda output, target: example_losses(self.task, output, target).mean(), x, y, train=train
            )
            self._gradients = list(torch.autograd.grad(losses.sum(), list(self._leaves.values()), allow_unused=True))
        return losses.detach()

    def gradient(self, rows: slice) -> Tensor:
        """The last gradient of some members, (member, parameters); overwritten by the next call."""
        count = len(self.parameters[rows])
        if len(self._flat) < count:
            self._flat = torch.zeros_like(self.parameters[rows])
            self._slots = list(self.views(self._flat).values())
            ends = [*[where.start for where, _ in self._slices.values()][1:], self._flat.shape[1]]
            self._gaps = [
                self._flat[:, where.stop : end] for (where, _), end in zip(self._slices.values(), ends, strict=True)
            ]
        written, taken, empty = [], [], [*self._gaps]  # an optimizer may have left something in the padding
        for slot, gradient, leaf in zip(self._slots, self._gradients, self._leaves.values(), strict=True):
            if leaf in self._postponed:
                self._postponed.write(leaf, rows, slot[:count])
                if gradient is not None:
                    slot[:count].add_(gradient[rows])
            elif gradient is None:
                empty.append(slot)
            else:
                written.append(slot[:count])
                taken.append(gradient[rows])
        torch._foreach_zero_(empty)
        torch._foreach_copy_(written, taken)
        return self._flat[:count]

    def sensitivity(self, buffer: str, values: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Gradient of each member's mean loss with respect to a buffer of its module, dropout off, shaped as `values`.

        Args:
            buffer: its name.
            values: of the buffer, (member, …).
            x: (member, batch, …).
            y: (member, batch, …).
        """
        own = {buffer: values.detach().requires_grad_()}
        losses = self._forward(
            lambda output, target: example_losses(self.task, output, target).mean(), self._tensors(train=False) | own, x, y,
            train=False,
        )  # fmt: skip
        return torch.autograd.grad(losses.sum(), own[buffer])[0]

    @torch.no_grad()
    def scores(self, x: Tensor, y: Tensor) -> Tensor:
        """Loss and error of each example, dropout off: (2, member, batch)."""
        return self._each(
            lambda output, target: torch.stack([example_losses(self.task, output, target), self.task.errors(output, target)]),
            x, y, train=False,
        ).transpose(0, 1)  # fmt: skip

    def _each(self, score: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor, *, train: bool) -> Tensor:
        """`score` of each member's output and `y`, (member, …)."""
        with self._settled():
            return self._forward(score, self._tensors(train=train), x, y, train=train)

    def _settled(self) -> AbstractContextManager[None]:
        """One by one on a CPU, a member's arithmetic depends on the number of threads: then there is one, always."""
        return one_thread() if self.why_one_by_one else nullcontext()

    def _tensors(self, *, train: bool) -> dict[str, Tensor]:
        """What differs between members, by name, (member, …)."""
        return self._leaves | self._stacked | self._noise.probabilities() | (self.masks() if train else {})

    def _forward(
        self, score: Callable[[Tensor, Tensor], Tensor], tensors: dict[str, Tensor], x: Tensor, y: Tensor,
        *, train: bool,
    ) -> Tensor:  # fmt: skip
        def member(module: nn.Module, own: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
            for layer in layers[module]:
                layer.rewind()
            named = own | self._shared
            tied = {alias: named[name] for alias, name in self._aliases.items()}
            return score(functional_call(module, named | tied, (x,), tie_weights=False), y)

        layers = {module.train(train): dropouts(module).values() for module in self._modules}
        if self.why_one_by_one:
            seeds = [self._own_seeds[run.seed] for run in self.runs]
            return one_by_one(member, self._modules, seeds, tensors, x, y)
        return vmap(partial(member, self.template))(tensors, x, y)
