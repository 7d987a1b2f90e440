"""A copy of each run's state, as it was at a step of its own: to be measured, or kept, when training is over."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harness.engine.left_behind import compact_attributes
from harness.engine.measuring import Restore, attributes_kept, kept, unchanged
from harness.engine.members import Members
from harness.engine.plain_member import PlainMember
from harness.engine.stability import Array


class Copies:
    """Copies of weights, and of all else that training changes: running statistics, and what modules count.

    Args:
        population: of all runs.

    Attributes:
        step: int64 (run,), after which a run was copied last; 0 where it never was.
    """

    def __init__(self, population: Members) -> None:
        self._population = population
        self._alive = np.arange(len(population))
        self.step = np.zeros(len(population), dtype=np.int64)
        self._tensors: list[Tensor] = []
        self._modules: dict[int, Restore] = {}  # by step; of several members what their layers hold besides tensors

    def take(self, step: int, chosen: NDArray[np.bool_]) -> None:
        """Copy some members, bool (member,), as they are after `step`, in place of their copies of before."""
        runs = self._alive[chosen]
        self.step[runs] = step
        if len(runs):
            self._keep_module(step)
        if isinstance(self._population, PlainMember):
            return
        device, state = self._population.device, self._population.state()
        if not self._tensors:
            self._tensors = [tensor.new_zeros(len(self.step), *tensor.shape[1:]) for tensor in state]
        into, rows = torch.from_numpy(runs).to(device), torch.from_numpy(np.flatnonzero(chosen)).to(device)
        for copy, tensor in zip(self._tensors, state, strict=True):
            copy[into] = tensor[rows]

    def _keep_module(self, step: int) -> None:
        """Keep the module as it is after a step, as long as any run's copy is of that."""
        if isinstance(self._population, PlainMember):  # whose tensors may come, go and change their shape
            self._modules[step] = kept(self._population)
        elif self._population.changes:
            self._modules[step] = attributes_kept(self._population)
        self._modules = {at: restore for at, restore in self._modules.items() if (self.step == at).any()}

    def compact(self, survivors: Tensor) -> None:
        """Go on with the members at these indices only; the copies of the others stay here."""
        self._alive = self._alive[survivors.cpu().numpy()]
        if isinstance(self._population, PlainMember):
            return
        with unchanged(self._population):
            for step, restore in self._modules.items():
                restore()
                compact_attributes(self._population.template, survivors)
                self._modules[step] = attributes_kept(self._population)

    def put(self, runs: list[int]) -> Iterator[NDArray[np.bool_]]:
        """Put copies in the place of the members that there are, each at the step it was copied.

        Of a module that changes what it holds besides tensors, some at a time: it holds that once for all members.

        Args:
            runs: which these are, by their places in the beginning.

        Yields:
            Which of them are whole now, (run,).
        """
        steps = self.step[runs]
        self._population.clock.set(torch.from_numpy(steps).to(self._population.device))
        rows = torch.tensor(runs, device=self._population.device)
        for tensor, copy in zip(self._population.state() if self._tensors else [], self._tensors, strict=True):
            tensor.copy_(copy[rows])
        if not self._modules:
            yield np.ones(len(runs), dtype=bool)
        for step in np.unique(steps) if self._modules else []:
            self._modules[step]()
            yield steps == step

    def bring_back(self, runs: list[int]) -> None:
        """Have some of the runs be the members, by their places in the beginning, each as and at the step it was copied."""
        steps = torch.from_numpy(self.step[runs]).to(self._population.device)
        self._population.bring_back(runs, steps)
        list(self.put(runs))

    def state_dict(self) -> dict[str, Any]:
        """All copies, see `checkpoint`."""
        modules = []
        with unchanged(self._population):
            for step, restore in self._modules.items():
                restore()
                modules.append({"step": step, "module": self._population.module_state()})
        return {"alive": self._alive, "step": self.step, "tensors": self._tensors, "modules": modules}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Have the copies of before."""
        self._alive, self.step = state["alive"], state["step"]
        self._tensors = [tensor.to(self._population.device) for tensor in state["tensors"]]
        with unchanged(self._population):
            for saved in state["modules"]:
                self._population.load_module_state(saved["module"])
                self._keep_module(saved["step"])


class BestWeights(Copies):
    """Copies of each run at its least validation loss, the first of several: what early stopping chooses (Prechelt 1998).

    Args:
        population: of all runs.

    Attributes:
        loss: (run,), the least validation loss; infinite where there was no number.
    """

    def __init__(self, population: Members) -> None:
        super().__init__(population)
        self.loss = np.full(len(population), np.inf)

    def see(self, step: int, loss: Array) -> NDArray[np.bool_]:
        """Look at the weights after `step`, of validation loss `loss` (member,); returns whose are the best, (member,)."""
        better = np.asarray(
            (loss < self.loss[self._alive]) | (self.step[self._alive] == 0)
        )  # whatever the first one is
        self.loss[self._alive[better]] = np.where(np.isnan(loss), np.inf, loss)[better]
        self.take(step, better)
        return better

    def state_dict(self) -> dict[str, Any]:
        """See `Copies.state_dict`."""
        return super().state_dict() | {"loss": self.loss}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Copies.load_state_dict`."""
        super().load_state_dict(state)
        self.loss = state["loss"]
