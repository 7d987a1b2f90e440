"""What training works with: one or several runs with their weights, whether these train as a population or as written."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import torch
import torch.nn as nn
from torch import Tensor
from torch.utils._pytree import tree_leaves

from harness.engine.module_state import load_module_state, module_state
from harness.engine.noise import Noise
from harness.engine.own_components import is_own
from harness.engine.parameter_layout import ParameterLayout
from harness.engine.runs import Run
from harness.engine.scheduled import Clock
from harness.tasks.task import Task

if TYPE_CHECKING:
    from harness.engine.plain_member import PlainMember

Score = Callable[[Any, Tensor], Any]
"""What is wanted of a member's output, which may be anything that holds tensors, and its share of the targets."""


class Members(ABC):
    """The weights of several runs on one device, or of one, and what can be computed with them.

    Args:
        runs: the members, ordered by seed.
        template: the module that stands for all members, or that of the only one.
        device: where everything lives.
        dtype: of parameters and activations.
        frozen: whether `parameters` hold those, too, that are frozen when the module is built.

    Attributes:
        parameters: (member, parameters), every trainable value of a member in one row; padding stays zero.
        changes: whether, of several members, forward passes change what layers hold besides tensors; it is the same for all.
        repeats: whether a step does the same every time, so that a CUDA device may repeat it from a graph.
        unused: names of the parameters that had no part in the last forward pass: like `torch.optim`, an update leaves them.
        mode: whether the module was last put into training mode; None where it was not put into any.
    """

    unused: tuple[str, ...] = ()
    changes = False
    repeats = False

    def __init__(
        self, runs: list[Run], template: nn.Module, device: torch.device, dtype: torch.dtype, *, frozen: bool = False
    ) -> None:  # fmt: skip
        self.runs, self.template, self.device, self.dtype, self.frozen = runs, template, device, dtype, frozen
        self.task: Task = runs[0].setup.task
        setup = runs[0].setup
        self._layout = ParameterLayout(
            template, frozen=frozen, packed=is_own(setup.clipping) or is_own(setup.optimizer)
        )
        self.mode: bool | None = None
        self.parameters = torch.zeros(len(runs), self._layout.size, device=device, dtype=dtype)
        self._noise = Noise(self._rows(), steps=runs[0].setup.steps, device=device, dtype=dtype)

    def __len__(self) -> int:
        return len(self.runs)

    def _rows(self) -> dict[int, slice]:
        """Seed of the noise → its members."""
        seeds = [run.noise_seed for run in self.runs]
        first = {seed: seeds.index(seed) for seed in seeds}
        rows = {seed: slice(start, start + seeds.count(seed)) for seed, start in first.items()}
        assert all(set(seeds[where]) == {seed} for seed, where in rows.items()), "members must be ordered by seed"
        return rows

    @property
    def used(self) -> slice:
        """See `ParameterLayout`."""
        return self._layout.used

    def views(self, flat: Tensor) -> dict[str, Tensor]:
        """The rows of (member, parameters) seen as the module's parameters, (member, …) each."""
        return self._layout.views(flat)

    def decayed(self) -> list[slice]:
        """Where the weights lie in a row of parameters: the parameters with two axes or more."""
        return self._layout.weights()

    def advance(self) -> None:
        """Go on to the next training step: schedules follow."""
        self.clock.advance()

    @property
    def clock(self) -> Clock:
        """The step that each member has come to."""
        return self._noise.clock

    def set_mode(self, *, train: bool) -> None:
        """Put the module into training or evaluation mode where it is not in it since it was last put into one."""
        if self.mode is not train:
            self.template.train() if train else self.template.eval()
            self.mode = train

    def generators(self) -> list[torch.Generator]:
        """Where the noise of dropout came from so far."""
        return self._noise.generators()

    def noise_kept(self) -> AbstractContextManager[None]:
        """After the block the noise of dropout goes on as before it, and schedules at the step before it."""
        return self._noise.kept()

    @abstractmethod
    def learn(self, x: Tensor) -> None:
        """Learn what is to be known of the forward pass from one member's training batch, (batch, …); leaves no trace."""

    @abstractmethod
    def check(self) -> None:
        """Look whether members still train as written.

        Raises:
            Unbatchable: they do not, since they are several.
            Unfrozen: a parameter trains that was frozen when the module was built, and is not among `parameters`.
            Untrainable: a parameter would train that came to be later.
        """

    @abstractmethod
    def others(self) -> dict[str, Tensor]:
        """The members' buffers, and other tensors that are no parameters, by name, (member, …) each."""

    @abstractmethod
    def containers(self) -> list[Any]:
        """What holds their tensors, parameters and others, besides the attributes of layers."""

    def state(self) -> list[Tensor]:
        """All that training changes in the members, (member, …) each: what is copied to come back to."""
        return [self.parameters, *self.others().values()]

    @abstractmethod
    def _each(self, score: Score, x: Tensor, y: Tensor, *, train: bool) -> Any:
        """`score` of every member's output and targets, (member, …), as a graph; tensors within it, if it is no tensor.

        Args:
            score: see `Score`.
            x: (member, batch, …).
            y: (member, batch, …).
            train: the mode of the modules.
        """

    @abstractmethod
    def _objective(self, output: Any, target: Tensor) -> Tensor:
        """What one member's training minimises on a batch: its mean loss, with the label smoothing asked for."""

    def _mean_loss(self, output: Any, target: Tensor) -> Tensor:
        """Mean loss of one member's batch, as it is evaluated."""
        return self._example_losses(output, target).mean()

    @abstractmethod
    def _example_losses(self, output: Any, target: Tensor) -> Tensor:
        """Loss of each example of one member, (batch,)."""

    def forward(self, x: Tensor, y: Tensor, *, train: bool = True) -> Tensor:
        """Mean loss of each member's batch, (member,), as a graph for `backward`.

        Args:
            x: (member, batch, …).
            y: (member, batch, …).
            train: the mode of the modules: whether dropout acts, with new noise, and label smoothing.
        """
        losses: Tensor = self._each(self._objective if train else self._mean_loss, x, y, train=train)
        return losses

    @abstractmethod
    def backward(self, losses: Tensor) -> None:
        """Gradient of each member's loss, (member,), from the last `forward`; then to be had from `gradient`."""

    @abstractmethod
    def gradient(self, rows: slice) -> Tensor:
        """The last gradient of some members, (member, parameters); overwritten by the next call."""

    def losses(self, x: Tensor, y: Tensor, *, train: bool = True) -> Tensor:
        """`forward` and `backward`: the mean loss of each member's batch, (member,), whose gradient `gradient` then has."""
        losses = self.forward(x, y, train=train)
        self.backward(losses)
        return losses.detach()

    def outputs(self, x: Tensor, *, train: bool) -> Any:
        """Outputs of every member for `x` (member, batch, …): (member, batch, …), or what holds such; for `train` see `forward`."""
        return self._each(lambda output, _: output, x, x, train=train)

    def output_numbers(self, x: Tensor, *, train: bool) -> Tensor:
        """Likewise all floating-point numbers in them, (member, number)."""
        tensors = [
            t for t in tree_leaves(self.outputs(x, train=train)) if isinstance(t, Tensor) and t.is_floating_point()
        ]
        return torch.cat([tensor.reshape(len(tensor), -1) for tensor in tensors], 1)

    @torch.no_grad()
    def scores(self, x: Tensor, y: Tensor) -> Tensor:
        """Loss and error of each example in evaluation: (2, member, batch)."""
        each: Tensor = self._each(
            lambda output, target: torch.stack([self._example_losses(output, target), self.task.errors(output, target)]),
            x, y, train=False,
        )  # fmt: skip
        return each.transpose(0, 1)

    def state_gradients(self, x: Tensor, y: Tensor) -> list[Tensor]:
        """∂L/∂h_t in evaluation, (member, time, batch, units) for each recurrent layer, L each member's mean loss of the last step.

        Of its forward direction, by all effects of a state; layers that run over a whole sequence, in the order of their calls. None
        of them where the loss of the last time step cannot be told from that of others; raises `NoKernel` where no kernel has them.

        Args:
            x: (member, batch, …).
            y: (member, batch, …).
        """

        def last(output: Any, target: Tensor) -> Tensor:
            own = last_step(self.task, output, target, steps=x.shape[2])
            return target.new_zeros((), dtype=self.dtype) if own is None else self._mean_loss(*own)

        with self._probed() as probes:
            losses: Tensor = self._each(last, x, y, train=False)
        if not probes or not losses.requires_grad:
            return []
        return list(torch.autograd.grad(losses.sum(), probes, materialize_grads=True))

    @abstractmethod
    def _probed(self) -> AbstractContextManager[list[Tensor]]:
        """See `functions.recurrent.Recurrent.probed`."""

    @abstractmethod
    def compact(self, survivors: Tensor) -> None:
        """Go on with some members only; the others stop costing.

        Args:
            survivors: int64 indices of the members that stay, in order.
        """

    @abstractmethod
    def bring_back(self, members: list[int], steps: Tensor) -> None:
        """Go on with other ones of the members that there were in the beginning; noise begins anew.

        Their `state` is to be filled in.

        Args:
            members: which, by their places then.
            steps: that they have come to, int64 (member,).
        """

    @abstractmethod
    def alone(self, member: int, dtype: torch.dtype | None = None) -> "PlainMember":
        """One of them as the plain loop has it now, its noise too, in `dtype` if it is one of several; what is asked of it may change it.

        Raises:
            NotStorable: its module changes what nothing can stand for, see `module_state`.
        """

    @abstractmethod
    def weights(self, member: int) -> dict[str, Tensor]:
        """The `state_dict` of a member's module, as that module alone has it; copies on the CPU."""

    def module_state(self, member: int | None = None) -> dict[str, Any]:
        """What the module is besides its trainable parameters, of all or of one, and its mode; see `harness.engine.module_state`.

        Raises:
            NotStorable: it holds what no checkpoint can.
        """
        return module_state(self.template, self._built(), member) | {"mode": self.mode}

    def load_module_state(self, state: dict[str, Any]) -> None:
        """Put the module into a state of before."""
        load_module_state(self.template, state)
        self.mode = state["mode"]

    @abstractmethod
    def _built(self) -> nn.Module:
        """The module as it was before training."""

    def state_dict(self) -> dict[str, Any]:
        """All that decides how the members train on, but for the global generators; see `checkpoint`.

        Raises:
            NotStorable: see `module_state`.
        """
        return {"module": self.module_state(), "noise": self._noise.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there, with the members that there were."""
        self.load_module_state(state["module"])
        self._noise.load_state_dict(state["noise"])


def last_step(task: Task, output: Any, target: Tensor, *, steps: int) -> tuple[Any, Tensor] | None:
    """What of an output and its targets belongs to the last time step alone; None where that cannot be known.

    All of it where there is one target for a whole sequence.

    Args:
        task: what they are for.
        output: of a member's module, (batch, …).
        target: (batch, …).
        steps: of the input.
    """
    by_step = isinstance(output, Tensor) and output.dim() > 2 and target.dim() > 1 and len(target[0]) == output.shape[1]
    if type(task).losses is not Task.losses:
        one_target = isinstance(output, Tensor) and output.dim() <= 2 and target.dim() == 1
        return (output, target) if one_target else None
    if by_step and (not target.is_floating_point() or output.shape[1] == steps):
        return output[:, -1:], target[:, -1:]
    return output, target
