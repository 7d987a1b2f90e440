"""The second half of a training step, tried: what is wrong with a clipping rule and an optimizer is known before training."""

from collections.abc import Callable
from itertools import cycle, islice

import torch
from torch import Tensor

from harness.clipping import ClippingRule
from harness.engine.clip import Clip, check_shares, initial_state
from harness.engine.members import Members
from harness.engine.misfit import Misfit
from harness.engine.own_components import is_own
from harness.engine.runs import Run
from harness.engine.scheduled import Scheduled, settings_of
from harness.engine.update import Update, update_of
from harness.optimizers import Optimizer
from harness.settings import Note, Problem, first_line, show
from harness.settings.show import counted
from harness.settings.source import content

ALL = slice(None)

TRIED = 100
"""Steps, at most, in which a part of a user's own has to do something: it may begin with none."""

SIZES = (1.0, *(10.0**power for power in (-6, 6, -3, 3, -1, 1)))
"""Of the gradients that a clipping rule is tried with, relative to the first one: it may let none pass that is longer than a bound."""

ROUNDING = 1e-5
"""What rounding changes, relative to the largest entry of a gradient."""


def halves_tried(run: Run, member: Members, gradient: Tensor) -> list[Problem]:
    """What is wrong with the run's clipping rule, or else with its optimizer, each of which takes the gradient as it came; or notes.

    Args:
        run: at its first step.
        member: which it is alone; its parameters change.
        gradient: of that step, (1, parameters).
    """
    halves: dict[str, Callable[[Run, Members, Tensor], str]] = {"clipping": _clip, "optimizer": _update}
    notes: list[Problem] = []
    for path, half in halves.items():
        try:
            if doubt := half(run, member, gradient.clone()):
                notes.append(Note(path, doubt, show(run.setup.values()[path])))
        except Misfit as error:
            return [Problem(path, str(error), show(run.setup.values()[path]))]
        except Exception as error:
            return [Problem(path, f"cannot take a step: {first_line(error)}", show(run.setup.values()[path]))]
    return notes


def _clip(run: Run, member: Members, gradient: Tensor) -> str:
    """What is in doubt of the rule.

    Raises:
        Misfit: it clips nothing, calls something a share that is none, or would remember one thing of two members.
    """
    rule, left = run.setup.clipping, gradient.clone()
    if said := rule.idle(list(member.views(gradient)), member.unused):
        raise Misfit(said)
    initial_state(rule, torch.zeros(2, 1), run.setup.steps)
    clip = Clip([run], member)
    clip.begin()
    check_shares(rule, clip(ALL, left).units)
    if is_own(rule) and gradient.any():
        if not left.isfinite().all():
            raise Misfit("leaves a gradient that is not finite of one that is")
        _clip_some(run, member, gradient)
        anew = Clip([run], member)
        return _remembers(run, anew.rules()[0], anew.state(), "initial_state", lambda: _bound(anew, gradient))
    return ""


def _bound(clip: Clip, gradient: Tensor) -> None:
    clip.begin()
    clip(ALL, gradient.clone())


def _remembers(
    run: Run, part: ClippingRule | Optimizer, state: list[Tensor], named: str, step: Callable[[], None]
) -> str:
    """What is in doubt of the memory of a part of a user's own: whether it ever changes.

    Args:
        run: whose part it is.
        part: at work, before its first step.
        state: what it remembers.
        named: what of its class says so.
        step: takes a step.

    Raises:
        Misfit: it remembers something elsewhere, which nobody keeps for it.
    """
    before, tried = [tensor.clone() for tensor in state], min(run.setup.steps, TRIED)
    step()
    held = content(part.__getstate__())
    for _ in range(1, tried):
        step()
        if content(part.__getstate__()) != held:
            raise Misfit(
                "keeps in itself what changes from step to step, where no checkpoint has it and the runs of a population share it: what it "
                f"remembers is its state, see `{named}`"
            )
        if not state or not all(torch.equal(now, was) for now, was in zip(state, before, strict=True)):
            return ""
    if tried == 1:
        return ""
    return (
        f"what it has by `{named}` does not change, in none of {counted(tried, 'step')}: if it is to, change it in place, such as "
        "`mean.copy_(…)` for `mean = …`"
    )


def _clip_some(run: Run, member: Members, gradient: Tensor) -> None:
    """Raises `Misfit` where a user's rule lets nothing pass, or does not what it says; tried until there is nothing to suspect."""
    rule = run.setup.clipping
    clip, numbers = Clip([run], member), settings_of([rule], member.clock)
    leaves = says = alters = changes = False
    for size in islice(cycle(SIZES), min(run.setup.steps, TRIED)):
        given = gradient * size
        left = given.clone()
        clip.begin()
        found = clip(ALL, left)
        check_shares(rule, found.units)
        leaves |= bool(left.any()) or _at_rest(numbers)
        says |= bool(found.units.any())
        alters |= rule.skips or not torch.equal(left, given)
        changes |= not torch.allclose(left, given, rtol=0, atol=ROUNDING * float(given.abs().max()))
        if leaves and (alters or not says) and (says or not changes):
            return
    if not leaves:
        raise Misfit("leaves nothing of any gradient, however long: nothing would train")
    if says and not alters:
        raise Misfit("says that it changed gradients, and changed none: `scale` them, change `flat` in place or set it")
    raise Misfit("changes gradients, and says of each that it did not: `clip` returns for each member whether it did")


def _update(run: Run, member: Members, gradient: Tensor) -> str:
    """What is in doubt of the optimizer.

    Raises:
        Misfit: one of a user's own trains nothing, or makes numbers into none.
    """
    optimizer, before = run.setup.optimizer, member.parameters.clone()
    update = update_of([run], member)
    _take(update, gradient)
    if is_own(optimizer) and gradient.any():
        if torch.equal(member.parameters, before) and not _moves(run, member, update, gradient):
            raise Misfit(
                f"changes no parameter, in none of {counted(min(run.setup.steps, TRIED), 'step')}: change `parameters` in place"
            )
        if not member.parameters.isfinite().all():
            raise Misfit("gives parameters that are not finite, by a gradient that is")
        anew = update_of([run], member)
        return _remembers(run, anew.optimizer, anew.state(), "state_names", lambda: _take(anew, gradient))
    return ""


def _moves(run: Run, member: Members, update: Update, gradient: Tensor) -> bool:
    """Whether an update that changed nothing at first does later, or is never asked to.

    Parameters get ever smaller meanwhile: what a step adds to them is not lost to rounding.
    """
    numbers = settings_of([run.setup.optimizer], member.clock)
    rests = _at_rest(numbers)
    for _ in range(1, min(run.setup.steps, TRIED)):
        member.advance()
        before = member.parameters.div_(2).clone()
        _take(update, gradient)
        if not torch.equal(member.parameters, before):
            return True
        rests &= _at_rest(numbers)
    return rests


def _take(update: Update, gradient: Tensor) -> None:
    update.begin()
    update(ALL, gradient.clone(), None)
    update.end(None)


def _at_rest(numbers: dict[str, Scheduled]) -> bool:
    """Whether a part is asked to do nothing now: its learning rate is 0, or where it has none any of its numbers."""
    rates = [numbers["lr"]] if "lr" in numbers else list(numbers.values())
    return not all(rate.now().any() for rate in rates)
