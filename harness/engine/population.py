"""Populations: many runs of one architecture as one stacked network.

Third stage of the flow: what `harness.engine.planning` puts together, `harness.engine.train` trains as one batched program. A module
becomes a population by swapping the layers that need member-aware code (`layers`), stacking the states (`stacking`,
`parameter_layout`) and `vmap`ping the forward pass (`forward`); the gradient is taken outside (`gradients`). Where `vmap`
cannot (`obstacles`), members run one after another (`one_by_one`).
"""

import torch
import torch.nn as nn
from torch import Tensor

from harness.engine.forward import Batched, Forward, Score
from harness.engine.gradients import Gradients
from harness.engine.layers.cross_entropy import example_losses
from harness.engine.layers.postponed import postponed
from harness.engine.obstacles import loose_tensor, obstacle
from harness.engine.one_by_one import OneByOne
from harness.engine.parameter_layout import ParameterLayout
from harness.engine.population_noise import Noise
from harness.engine.runs import Run, build
from harness.engine.stacking import aliases, stack_others, stack_parameters
from harness.tasks.task import Data, Task


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
        self._loose_tensor = loose_tensor(modules[0], build(runs[0].setup, data[0], runs[0].seed + 1))
        self._layout = ParameterLayout(modules[0])
        self.parameters = stack_parameters(modules, self._layout, device, dtype)
        self._noise = Noise(modules, steps=runs[0].setup.steps, device=device, dtype=dtype)
        names = dict(modules[0].named_parameters()) | dict(modules[0].named_buffers())
        drawn = self._noise.probabilities()
        others = [name for name in names if name not in self._layout and name not in drawn]
        self._stacked = stack_others(modules, others, device, dtype)
        self._shared: dict[str, Tensor] = {}
        self.template = modules[0].to(device, dtype)
        self._modules = modules
        self.why_one_by_one = ""
        self._forward: Forward = Batched(self.template, self._shared, aliases(self.template))
        self._bind()

    def __len__(self) -> int:
        return len(self.runs)

    def _bind(self) -> None:
        """Make what belongs to these very members: the leaves of their graph, and where each seed's members lie."""
        self._gradients = Gradients(self.parameters, self._layout)
        seeds = [run.seed for run in self.runs]
        first = {seed: seeds.index(seed) for seed in seeds}
        self._rows = {seed: slice(start, start + seeds.count(seed)) for seed, start in first.items()}
        assert all(set(seeds[rows]) == {seed} for seed, rows in self._rows.items()), "members must be ordered by seed"

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
        self.why_one_by_one = self._loose_tensor or obstacle(lambda: self._try_two(x))
        modules, self._modules = self._modules, []
        if self.why_one_by_one:
            for module in modules[1:]:
                self._measure(module.to(self.device, self.dtype), x)
            seeds = [run.seed for run in self.runs]
            self._forward = OneByOne(modules, seeds, self._shared, aliases(self.template))

    def _measure(self, module: nn.Module, x: Tensor) -> None:
        """Let a module's dropout layers see the shapes of their inputs."""
        self._noise.ready(module)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            module.train()(x)

    def _try_two(self, x: Tensor) -> None:
        """Run two members forward and backward on one batch (batch, …), in both modes, leaving no trace."""
        pair = torch.stack([x] * min(2, len(self)))
        for train in (True, False):
            tensors = {name: tensor[: len(pair)].clone() for name, tensor in self._tensors(train=train).items()}
            output = self._forward(lambda output, _: output, tensors, pair, pair, train=train)
            leaves = [tensors[name] for name in self._gradients.leaves]
            torch.autograd.grad(output.sum(), leaves, materialize_grads=True)

    def forward(self, x: Tensor, y: Tensor, *, train: bool = True) -> Tensor:
        """Mean loss of each member's batch, (member,), as a graph for `backward`.

        Args:
            x: (member, batch, …).
            y: (member, batch, …).
            train: whether dropout acts, with the masks of the last `draw_dropout`.
        """
        with postponed(self._gradients.begin()):
            return self._each(self._mean_loss, x, y, train=train)

    def backward(self, losses: Tensor) -> None:
        """Gradient of each member's loss, (member,), from the last `forward`; then to be had from `gradient`."""
        with self._forward.threads():
            self._gradients.backward(losses)

    def gradient(self, rows: slice) -> Tensor:
        """The last gradient of some members, (member, parameters); overwritten by the next call."""
        return self._gradients.rows(rows)

    def losses(self, x: Tensor, y: Tensor, *, train: bool = True) -> Tensor:
        """`forward` and `backward`: the mean loss of each member's batch, (member,), whose gradient `gradient` then has."""
        losses = self.forward(x, y, train=train)
        self.backward(losses)
        return losses.detach()

    def outputs(self, x: Tensor, *, train: bool) -> Tensor:
        """Outputs of every member, (member, batch, …), for `x` (member, batch, …); for `train` see `forward`."""
        return self._each(lambda output, _: output, x, x, train=train)

    @torch.no_grad()
    def scores(self, x: Tensor, y: Tensor) -> Tensor:
        """Loss and error of each example, dropout off: (2, member, batch)."""
        return self._each(
            lambda output, target: torch.stack([example_losses(self.task, output, target), self.task.errors(output, target)]),
            x, y, train=False,
        ).transpose(0, 1)  # fmt: skip

    def sensitivity(self, buffer: str, values: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Gradient of each member's mean loss with respect to a buffer of its module, dropout off, shaped as `values`.

        Args:
            buffer: its name.
            values: of the buffer, (member, …).
            x: (member, batch, …).
            y: (member, batch, …).
        """
        values = values.detach().requires_grad_()
        losses = self._forward(self._mean_loss, self._tensors(train=False) | {buffer: values}, x, y, train=False)
        return torch.autograd.grad(losses.sum(), values)[0]

    def _mean_loss(self, output: Tensor, target: Tensor) -> Tensor:
        return example_losses(self.task, output, target).mean()

    def _each(self, score: Score, x: Tensor, y: Tensor, *, train: bool) -> Tensor:
        """`score` of each member's output and `y`, (member, …)."""
        with self._forward.threads():
            return self._forward(score, self._tensors(train=train), x, y, train=train)

    def _tensors(self, *, train: bool) -> dict[str, Tensor]:
        """What differs between members, by name, (member, …)."""
        masks = self.masks() if train else {}
        return self._gradients.leaves | self._stacked | self._noise.probabilities() | masks

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """The rows of (member, parameters) seen as the module's parameters, (member, …) each."""
        return self._layout.views(flat)

    def state(self) -> list[Tensor]:
        """All that training changes in the members, (member, …) each: what is copied to come back to."""
        return [self.parameters, *self._stacked.values()]

    def draw_dropout(self) -> None:
        """New dropout masks for every member, from its seed's streams, at its p of the next step."""
        self._noise.draw()
        self._forward.draw()

    def generators(self) -> list[torch.Generator]:
        """Where the noise of dropout comes from."""
        return self._noise.generators()

    def masks(self) -> dict[str, Tensor]:
        """The masks of the last `draw_dropout` by the names of the buffers they stand for, (member, …)."""
        return self._noise.masks()

    def compact(self, survivors: Tensor) -> None:
        """Go on with some members only; the others stop costing.

        Args:
            survivors: int64 indices of the members that stay, in order.
        """
        self.runs = [self.runs[i] for i in survivors.tolist()]
        self.parameters = self.parameters[survivors]
        self._stacked = {name: tensor[survivors] for name, tensor in self._stacked.items()}
        self._forward.compact(survivors)
        self._bind()
        self._noise.compact(survivors, self._rows)
