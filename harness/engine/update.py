"""The optimizer at work: its state, and the update of a block of members after another.

By the optimizer's formula, with columns of per-member settings, all members of a block change at once; Adam's is one
kernel on a CUDA device (`adam_kernel`). Where torch has a fused kernel, which knows one learning rate, members of equal
settings change together (`FusedUpdate`): on a CPU one pass over memory for several is worth the calls. Weight decay is the
same for all optimizers and stands here.
"""

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from harness.engine.members import Members
from harness.engine.own_components import for_all, is_own, unread
from harness.engine.runs import Run
from harness.engine.scheduled import Level, per_member, settings_of
from harness.optimizers import Adam, AdamW, Columns, Optimizer
from harness.optimizers.optimizer import coefficients_of
from harness.settings import first_line, show
from harness.settings.schedules import Schedule

FUSED: dict[type[Optimizer], Callable[..., None]] = {Adam: torch._fused_adam_, AdamW: torch._fused_adamw_}
"""The kernels of `torch.optim`'s own `fused=True`: one pass over parameters, gradient and state."""


def update_of(runs: list[Run], population: Members) -> "Update":
    """The way to update these members that is the fastest where they are."""
    fused = type(runs[0].setup.optimizer) in FUSED and population.device.type == "cpu"
    return FusedUpdate(runs, population) if fused else Update(runs, population)


@cache
def in_one_pass(device: torch.device) -> tuple[Callable[..., None] | None, str]:
    """Adam's formula as one kernel, for settings that are columns, or None; and why there is none where one is expected."""
    if device.type != "cuda":
        return None, ""
    try:
        from harness.engine.adam_kernel import COEFFICIENTS, adam_update

        column = torch.ones(1, 1, device=device)
        adam_update(*(column.clone() for _ in range(4)), **dict.fromkeys(COEFFICIENTS, column))
    except Exception as error:  # no Triton, or no compiler of C for it
        return None, first_line(error)
    return adam_update, ""


class Update:
    """Updates members by their optimizer's formula.

    Args:
        runs: the members.
        population: their parameters, changed by every update.

    Attributes:
        optimizer: that stands for those of the members.
        note: what the user should know of it; "" for nothing.
    """

    def __init__(self, runs: list[Run], population: Members) -> None:
        self._population, self.optimizer = population, for_all([run.setup.optimizer for run in runs])
        self._own = is_own(self.optimizer)
        self._used = population.used if self._own else slice(None)
        known = type(self.optimizer) in FUSED
        self._in_one_pass, why = in_one_pass(population.device) if known else (None, "")
        self.note = (
            f"optimizer: {show(self.optimizer)} updates operation by operation, which is slower ({why})" if why else ""
        )
        self._rates = settings_of([run.setup.optimizer for run in runs], population.clock)
        self._decayed = population.decayed() if self.optimizer.values().get("decay") == "weights" else [slice(None)]
        self._decay: Tensor | None = None  # this step's, (member, 1)
        self._state = [torch.zeros_like(population.parameters) for _ in self.optimizer.state_names]
        self._step = torch.ones(len(runs), 1, device=population.device)  # number of each member's next update
        self._missed: dict[str, Tensor] = {}  # updates of each member, (member, 1), in which a parameter had no part
        self._coefficients: Columns = {}

    @property
    def bytes_per_member(self) -> int:
        """What an update reads and writes: parameters, gradient and state."""
        parameters = self._population.parameters
        return (2 + len(self._state)) * parameters.shape[1] * parameters.element_size()

    def begin(self, *, apart: bool = False) -> None:
        """Begin a step; then every member is to be updated once. For `apart` see `Stepper.step`."""
        self._count_by_parameter()
        # What is 0 for all members is a column to a user's own: whether it is depends on their companions.
        # What a method of theirs changes in place is a copy: the next step begins with the setting again.
        rates = {
            name: rate.now().clone() if self._own else rate.now() if rate.acts else None
            for name, rate in self._rates.items()
        }
        if self.optimizer.decoupled is not None:
            self._decay = self._decay_of(rates.pop("weight_decay"), rates["lr"])
        with unread(self.optimizer, len(self._step)):
            steps = self._step.to(torch.float64, copy=True)
            if apart:
                each = each_by_itself(len(steps))
                coefficients = joined(
                    [coefficients_of(self.optimizer, steps[one], of_rows(rates, one)) for one in each]
                )
            else:
                coefficients = coefficients_of(self.optimizer, steps, rates)
        self._coefficients = cast(coefficients, self._population.dtype)

    def _decay_of(self, weight_decay: Tensor | None, lr: Tensor | None) -> Tensor | None:
        """λ, to be added times the parameters to the gradient; of a decoupled one 1 − lr·λ, a factor of the parameters."""
        if weight_decay is None or lr is None:
            return None
        return (1 - lr * weight_decay if self.optimizer.decoupled else weight_decay).to(self._population.dtype)

    def __call__(self, rows: slice, gradient: Tensor, skipped: Tensor | None) -> None:
        """Update some members.

        Args:
            rows: those members.
            gradient: theirs, clipped, (member, parameters); may be overwritten.
            skipped: (member, 1), those whose parameters and state stay as they are; None for none.
        """
        changed = [tensor[rows, self._used] for tensor in (self._population.parameters, *self._state)]
        unused = [self._population.views(tensor)[name] for name in self._population.unused for tensor in changed]
        kept = [tensor.clone() for tensor in unused]
        before = [] if skipped is None else [tensor.clone() for tensor in changed]
        self._change(rows, gradient[:, self._used], changed)
        for tensor, old in zip(unused, kept, strict=True):
            tensor.copy_(old)
        if skipped is not None:
            for tensor, old in zip(changed, before, strict=True):
                torch.where(skipped, old, tensor, out=tensor)

    def _count_by_parameter(self) -> None:
        """Once a parameter takes part that had none in some steps, each counts its own updates, as in `torch.optim`."""
        unused = self._population.unused
        if self._step.shape[1] == 1 and any(name not in unused for name in self._missed):
            self._step = self._step.expand(-1, self._population.parameters[:, self._used].shape[1]).clone()
            for name, missed in self._missed.items():
                self._count_less(name, missed)

    def _count_less(self, name: str, updates: Tensor) -> None:
        steps = self._population.views(self._step)[name]
        steps -= updates.view(-1, *[1] * (steps.dim() - 1))

    def _change(self, rows: slice, gradient: Tensor, changed: list[Tensor]) -> None:
        if self._decay is not None:
            self._shrink(changed[0], gradient, self._decay[rows])
        columns = self._step.shape[1] == 1
        formula = (self._in_one_pass if columns else None) or self.optimizer.update
        with unread(self.optimizer, len(self._step)):
            formula(changed[0], gradient, *changed[1:], **of_rows(self._coefficients, rows))

    def _shrink(self, parameters: Tensor, gradient: Tensor, decay: Tensor) -> None:
        """Weight decay of some members: of all their parameters, or of those that the optimizer's `decay` says."""
        for where in self._decayed:
            if self.optimizer.decoupled:
                parameters[:, where].mul_(decay)
            else:
                gradient[:, where].addcmul_(parameters[:, where], decay)

    def end(self, skipped: Tensor | None) -> None:
        """End a step; members that skipped it, (member, 1), do not count it."""
        self._step += 1 if skipped is None else ~skipped
        if not self._population.unused:
            return
        updated = torch.ones_like(self._step[:, :1]) if skipped is None else (~skipped).to(self._step)
        for name in self._population.unused:
            if self._step.shape[1] == 1:
                self._missed[name] = updated + self._missed.get(name, 0)
            else:
                self._count_less(name, updated)

    def compact(self, survivors: Tensor) -> None:
        """Go on with the members at these indices only; call it after the population's own `compact`."""
        self._state = [tensor[survivors] for tensor in self._state]
        self._step = self._step[survivors]
        for rate in self._rates.values():
            rate.compact(survivors)
        self._missed = {name: updates[survivors] for name, updates in self._missed.items()}

    def state(self) -> list[Tensor]:
        """What the optimizer remembers, (member, parameters) each, changed in place."""
        return self._state

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's state and the counts of its updates, see `checkpoint`."""
        return {"state": self._state, "step": self._step, "missed": self._missed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        device = self._population.device
        for own, saved in zip(self._state, state["state"], strict=True):
            own.copy_(saved)
        self._step = state["step"].to(device)
        self._missed = {name: updates.to(device) for name, updates in state["missed"].items()}


class FusedUpdate(Update):
    """Updates members by their optimizer's fused kernel: of a block, those of equal settings in one call.

    Only on a CPU: what a schedule has come to is read by the host.
    """

    def __init__(self, runs: list[Run], population: Members) -> None:
        super().__init__(runs, population)
        self._kernel = FUSED[type(self.optimizer)]
        self._settings = [tuple(per_member(run.setup.optimizer).items()) for run in runs]
        self._calls: dict[tuple[int, int, int], list[Callable[[], None]]] = {}
        self._whole = self._decayed == [slice(None)]

    def begin(self, *, apart: bool = False) -> None:
        """See `Update.begin`: the kernel has the formula, but one count of updates for all parameters."""
        self._count_by_parameter()
        if self._step.shape[1] > 1 or not self._whole:
            super().begin(apart=apart)

    def _change(self, rows: slice, gradient: Tensor, changed: list[Tensor]) -> None:
        if self._step.shape[1] > 1:
            super()._change(rows, gradient, changed)
            return
        if self._decay is not None:
            self._shrink(changed[0], gradient, self._decay[rows])
        key = rows.start, len(gradient), gradient.data_ptr()  # tensors stay where they are from step to step
        if key not in self._calls:
            self._calls[key] = self._prepared(rows, gradient, changed)
        for call in self._calls[key]:
            call()

    def _prepared(self, rows: slice, gradient: Tensor, changed: list[Tensor]) -> list[Callable[[], None]]:
        """The kernel with its arguments, for the members of each setting: lists of their rows, and the setting's numbers."""
        alike: dict[tuple[tuple[str, Level], ...], list[int]] = {}
        for member, setting in enumerate(self._settings[rows]):
            alike.setdefault(setting, []).append(member)
        each = [tensor.unbind() for tensor in (changed[0], gradient, *changed[1:], self._step[rows, 0])]
        calls: list[Callable[[], None]] = []
        for setting, members in alike.items():
            parameters, gradients, means, squares, steps = ([by_member[i] for i in members] for by_member in each)
            arguments: tuple[list[Tensor], ...] = parameters, gradients, means, squares, [], steps
            kernel = partial(self._kernel, *arguments, amsgrad=False, maximize=False)
            numbers = dict(setting) | ({} if self._whole else {"weight_decay": 0.0})
            changing = {name: level for name, level in numbers.items() if isinstance(level, Schedule)}
            fixed = partial(
                kernel, **{n: float(level) for n, level in numbers.items() if not isinstance(level, Schedule)}
            )
            calls.append(self._at_each_step(fixed, changing) if changing else fixed)
        return calls

    def _at_each_step(self, kernel: Callable[..., None], changing: dict[str, Schedule]) -> Callable[[], None]:
        """The kernel with the values that schedules have at the step that training has come to."""
        clock = self._population.clock
        sequences = {name: schedule.sequence(clock.steps).tolist() for name, schedule in changing.items()}

        def call() -> None:
            row = int(clock.rows[0])  # of members in training, all are at one step
            kernel(**{name: sequence[row] for name, sequence in sequences.items()})

        return call

    def compact(self, survivors: Tensor) -> None:
        """See `Update.compact`."""
        super().compact(survivors)
        self._settings, self._calls = [self._settings[i] for i in survivors.tolist()], {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `Update.load_state_dict`."""
        super().load_state_dict(state)
        self._calls = {}


def cast(named: Mapping[str, Tensor | None], dtype: torch.dtype) -> Columns:
    """Columns in another type."""
    return {name: None if column is None else column.to(dtype) for name, column in named.items()}


def of_rows(named: Mapping[str, Tensor | None], rows: slice) -> Columns:
    """Columns of some members."""
    return {name: None if column is None else column[rows] for name, column in named.items()}


def joined(parts: list[Columns]) -> Columns:
    """The columns of several members, one after another."""
    found: Columns = {}
    for name, first in parts[0].items():
        found[name] = None if first is None else torch.cat([t for part in parts if (t := part[name]) is not None])
    return found


def each_by_itself(members: int) -> list[slice]:
    """Rows of so many members, one at a time."""
    return [slice(place, place + 1) for place in range(members)]
