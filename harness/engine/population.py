"""Populations: many runs of one architecture as one stacked network.

Third stage of the flow: what `harness.engine.planning` puts together, `harness.engine.train` trains as one batched program.
The states of the members' modules are stacked (`stacking`, `parameter_layout`) and put in the place of the tensors of one of
these modules (`tensor_places`), whose forward pass is `vmap`ped; what it asks of torch is answered for all members
(`functions.answers`). The gradient is taken outside (`gradients`). That this equals the plain loop is shown beforehand
(`proof`).
"""

from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.nn as nn
from torch import Tensor
from torch.utils._pytree import tree_map

from harness.engine.attributes import attributes, differing
from harness.engine.caught import none_caught
from harness.engine.functions.answers import Answers
from harness.engine.functions.cross_entropy import example_losses, smoothed
from harness.engine.functions.postponed import postponed
from harness.engine.functions.transforms import of_all, of_member, only_vmap, over_members
from harness.engine.gradients import Gradients
from harness.engine.left_alone import CHANGES_LATE, LeftAlone
from harness.engine.left_behind import compact_attributes
from harness.engine.measuring import unchanged
from harness.engine.member_float import own_levels, put_levels
from harness.engine.members import Members, Score
from harness.engine.module_state import NotStorable, load_module_state
from harness.engine.obstacles import DRAWS, FORWARD, Unbatchable, batching
from harness.engine.own_components import own_names, own_scores
from harness.engine.plain_member import PlainMember
from harness.engine.precision import module_placed
from harness.engine.runs import Run, build
from harness.engine.stackable import aliased, check_stackable
from harness.engine.stacking import stack_others, stack_parameters
from harness.engine.tensor_places import TensorPlaces, named_tensors
from harness.settings.metrics import DETAIL
from harness.settings.randomness import global_generators, global_states
from harness.tasks.task import Data, Task


class Population(Members):
    """Several runs as one network.

    Args:
        runs: the members, ordered by seed; all with the same `population_key` key.
        data: each member's examples.
        device: where everything lives.
        dtype: of parameters and activations.

    Raises:
        Unbatchable: their modules differ in more than numbers of their own, or run hooks that a stack of weights would not.
    """

    def __init__(self, runs: list[Run], data: list[Data], *, device: torch.device, dtype: torch.dtype) -> None:
        if runs[0].setup.precision != "fp32":
            raise Unbatchable(
                f"it computes in {runs[0].setup.precision}, and the kernels of a population round otherwise"
            )
        modules = [build(run.setup, examples, run.init_seed) for run, examples in zip(runs, data, strict=True)]
        check_stackable(modules)
        super().__init__(runs, modules[0], device, dtype)
        stack_parameters(modules, self.views(self.parameters))
        self._stacked = stack_others(modules, device, dtype)
        self._aliased = aliased(modules[0])
        # After the others are stacked with it: a stack is made of tensors of one place.
        module_placed(self.template, device, dtype)
        self._places = TensorPlaces(self.template)
        self._shared: dict[str, Tensor] = {}
        self._left_alone = LeftAlone()
        self._levels = put_levels(modules)
        smoothing = torch.tensor([run.setup.label_smoothing for run in runs], device=device, dtype=dtype)
        self._smoothing = smoothing if bool(smoothing.any()) else None
        self._data = {id(run): examples for run, examples in zip(runs, data, strict=True)}
        self._first = runs, [level.levels for level in self._levels.values()], self._smoothing
        self._answers = Answers(self._noise, batched=True)
        self._gradients = Gradients(self.parameters, self._layout)
        self.repeats, self._global_state = True, global_states()
        self._trains = _trained(self.template)
        self._scoring = _scoring(self.task)

    def learn(self, x: Tensor) -> None:
        """See `Members.learn`: which buffers are always the same for all members, and need no member axis.

        A module of its own takes the forward passes.
        """
        run = self.runs[0]
        with global_generators(0, self.device):
            member = self._anew(0, self.dtype)
            before = {name: tensor.clone() for name, tensor in member.others().items()}
            numbers = own_levels(member.template)
            tensors = named_tensors(member.template)
            versions = {name: tensor._version for name, tensor in tensors.items()}
            for train in (True, False):
                with torch.set_grad_enabled(train):
                    member.output(x.clone(), train=train)
        now = named_tensors(member.template)
        found = own_levels(member.template)
        changed = differing(member.template, self.template) or next(
            (n for n in numbers if found.get(n) != numbers[n]), ""
        )
        self.changes = bool(changed)
        if changed and run.setup.patience is not None:
            raise Unbatchable(
                f"`{changed}` changes from call to call, and runs that stop early would have each its own"
            )
        self.repeats = not self.changes and all(now.get(n) is t for n, t in tensors.items())
        for name, tensor in member.others().items():
            kept = name in before and now.get(name) is tensors[name]
            # Not by its value alone: that of an average of weights is still theirs.
            same = kept and tensor._version == versions[name] and torch.equal(tensor, before[name])
            if kept and not same and name in self._aliased:
                raise Unbatchable(f"it changes `{name}`, which shares memory with `{self._aliased[name]}`")
            if same and name in self._stacked and bool((self._stacked[name] == self._stacked[name][:1]).all()):
                self._shared[name] = self._stacked.pop(name)[0].clone()
        # The template's own tensors, too: what only they share memory with is written to, and read from, there.
        self._left_alone = LeftAlone([*self._shared.items(), *self._places.own()])
        if self.changes and run.setup.metrics.level != DETAIL[0]:
            self._check_alone(x)

    def _check_alone(self, x: Tensor) -> None:
        """Raises `Unbatchable` where diagnostics could have no member `alone` once it has trained."""
        with torch.no_grad(), unchanged(self):
            self.outputs(x.expand(len(self), *x.shape).clone(), train=True)
            try:
                self.module_state(0)
            except NotStorable as error:
                level = self.runs[0].setup.metrics.level
                raise Unbatchable(f'Diagnostics("{level}") cannot measure a run of it by itself: {error}') from error

    def check(self) -> None:
        """See `Members.check`."""
        self.check_draws([*self.passing(), *own_names(self.runs[0].setup)])
        if _trained(self.template) != self._trains:
            raise Unbatchable("it changes which parameters train (`requires_grad`)")
        self._left_alone.check()

    def check_draws(self, suspects: list[str]) -> None:
        """Raises `Unbatchable` where one of these, named in words, has drawn from the global generators since there are members."""
        if global_states() != self._global_state:
            raise Unbatchable(DRAWS.format(" or ".join(suspects)))

    def passing(self) -> list[str]:
        """What of a user's own a pass of the members goes through, in words."""
        return [FORWARD, *([self._scoring] if self._scoring != FORWARD else [])]

    def others(self) -> dict[str, Tensor]:
        """See `Members.others`."""
        return self._stacked | {name: tensor.expand(len(self), *tensor.shape) for name, tensor in self._shared.items()}

    def containers(self) -> list[Any]:
        """See `Members.containers`."""
        return [self.parameters, self._stacked, self._shared]

    def state(self) -> list[Tensor]:
        """See `Members.state`."""
        return [self.parameters, *self._stacked.values()]

    def forward(self, x: Tensor, y: Tensor, *, train: bool = True) -> Tensor:
        """See `Members.forward`."""
        with postponed(self._gradients.begin()):
            return super().forward(x, y, train=train)

    def _each(self, score: Score, x: Tensor, y: Tensor, *, train: bool) -> Any:
        """See `Members._each`."""
        self.set_mode(train=train)
        self._noise.begin(train=train)
        with batching():
            scores, changed = self._vmapped(score, x, y)
        self._noise.end()
        for name, tensor in changed.items():
            if name in self._shared:
                raise Unbatchable(CHANGES_LATE.format(name))
            self._stacked[name] = tensor
        return scores

    def _vmapped(self, score: Score, x: Tensor, y: Tensor) -> tuple[Any, dict[str, Tensor]]:
        """`score` of every member, and the tensors that the module has put in place of its own."""
        with over_members(len(self)) as vmap:
            own = self._gradients.leaves | self._stacked
            filled = {name: of_member(tensor, vmap) for name, tensor in own.items()} | self._shared
            with self._places.filled(filled):
                with none_caught(), self._answers:
                    output = self.template(of_member(x, vmap))
                changed = self._places.changed(filled)
            with batching(self._scoring):
                found = score(output, of_member(y, vmap))
            taken_out = {name: of_all(tensor, vmap) for name, tensor in changed.items()}
            return tree_map(lambda each: of_all(each, vmap) if isinstance(each, Tensor) else each, found), taken_out

    def _objective(self, output: Any, target: Tensor) -> Tensor:
        loss = self._mean_loss(output, target)
        vmap = only_vmap()
        if self._smoothing is None or vmap is None:
            return loss
        return loss + smoothed(output, target, of_member(self._smoothing, vmap))

    def _example_losses(self, output: Any, target: Tensor) -> Tensor:
        return example_losses(self.task, output, target)

    def backward(self, losses: Tensor) -> None:
        """See `Members.backward`."""
        with batching():
            self._gradients.backward(losses)
        self.unused = self._gradients.unused

    def gradient(self, rows: slice) -> Tensor:
        """See `Members.gradient`."""
        return self._gradients.rows(rows)

    def _probed(self) -> AbstractContextManager[list[Tensor]]:
        return self._answers.recurrent.probed()

    def compact(self, survivors: Tensor) -> None:
        """See `Members.compact`."""
        kept = survivors.tolist()
        self.runs = [self.runs[i] for i in kept]
        self.parameters = self.parameters[survivors]
        self._stacked = {name: tensor[survivors] for name, tensor in self._stacked.items()}
        self._smoothing = None if self._smoothing is None else self._smoothing[survivors]
        for level in self._levels.values():
            level.levels = [level.levels[i] for i in kept]
        compact_attributes(self.template, survivors)
        self._gradients = Gradients(self.parameters, self._layout)
        self.clock.compact(survivors)
        if kept:
            self._noise.compact(self._rows())

    def bring_back(self, members: list[int], steps: Tensor) -> None:
        """See `Members.bring_back`."""
        runs, levels, smoothing = self._first
        self.runs = [runs[i] for i in members]
        self.parameters = self.parameters.new_zeros(len(members), self.parameters.shape[1])
        self._stacked = {
            name: tensor.new_zeros(len(members), *tensor.shape[1:]) for name, tensor in self._stacked.items()
        }
        self._smoothing = None if smoothing is None else smoothing[members]
        for level, first in zip(self._levels.values(), levels, strict=True):
            level.levels = [first[i] for i in members]
        self._gradients = Gradients(self.parameters, self._layout)
        self.clock.set(steps)
        self._noise.restart(self._rows())

    def alone(self, member: int, dtype: torch.dtype | None = None) -> PlainMember:
        """See `Members.alone`."""
        found = self._anew(member, dtype or self.dtype)
        if self.changes:
            load_module_state(found.template, self.module_state(member))
        self._fill(found, member)
        found.clock.rows = self.clock.rows[member : member + 1].clone()
        found._noise.follow(self._noise)
        return found

    def weights(self, member: int) -> dict[str, Tensor]:
        """See `Members.weights`."""
        found = self._anew(member, self.dtype)
        self._fill(found, member)
        return found.weights(0)

    def _anew(self, member: int, dtype: torch.dtype) -> PlainMember:
        run = self.runs[member]
        return PlainMember(run, self._data[id(run)], device=self.device, dtype=dtype)

    def _fill(self, plain: PlainMember, member: int) -> None:
        """Give a plain member the tensors that one of these has now; those that forward passes have made it may have already."""
        tensors = self.views(self.parameters) | self.others()
        with torch.no_grad():
            for name, tensor in named_tensors(plain.template).items():
                if name in tensors:
                    tensor.copy_(tensors[name][member])

    def _built(self) -> nn.Module:
        """See `Members._built`: with the numbers of all members in their places."""
        run = self._first[0][0]
        module = module_placed(build(run.setup, self._data[id(run)], run.init_seed), self.device, self.dtype)
        for name, store, key in attributes(module):
            store[key] = self._levels.get(name, store[key])
        return module

    def state_dict(self) -> dict[str, Any]:
        """See `Members.state_dict`."""
        return super().state_dict() | {"parameters": self.parameters, "stacked": self._stacked}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Members.load_state_dict`."""
        super().load_state_dict(state)
        self.parameters.copy_(state["parameters"])
        for name, tensor in self._stacked.items():
            tensor.copy_(state["stacked"][name])


def _trained(module: nn.Module) -> list[tuple[str, bool]]:
    """Which parameters of a module there are, and whether they train."""
    return [(name, parameter.requires_grad) for name, parameter in module.named_parameters()]


def _scoring(task: Task) -> str:
    """What scores outputs, in words: what a user's task has for that; else the forward pass, whose outputs they are."""
    own = " or ".join(f"`{name}`" for name in own_scores(task))
    return f"{own} of {type(task).__name__}" if own else FORWARD
