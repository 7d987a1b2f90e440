"""Now and then on the way: whether a population still gives the numbers of the plain loop.

The proof sees the first steps. What a module does otherwise later, by a counter, a weight that reaches a bound or an example
that comes up seldom, it cannot see.
"""

import torch
from torch import Tensor

from harness.engine.measuring import unchanged
from harness.engine.members import Members
from harness.engine.module_state import NotStorable
from harness.engine.obstacles import Unbatchable
from harness.engine.population import Population

TOLERANCE = 0.01
"""A difference worth a closer look, relative to what is compared."""

LEAST = 0.01
"""Of the norm of a member's first gradient: one whose gradient is smaller has learned all or is dead, and rounding is all there is."""

OF_ROUNDING = 30
"""How often the plain loop's own error of rounding a difference may be that comes from rounding."""

NAMES = "evaluation", "loss", "gradient"
"""What is compared."""


def looked_at(evaluation: int, evaluations: int) -> bool:
    """Whether it is time for a look at an evaluation, counted from 1: at the first, second, fourth and so on, and at the last.

    >>> [n for n in range(1, 21) if looked_at(n, 20)]
    [1, 2, 4, 8, 16, 20]
    """
    return evaluation & (evaluation - 1) == 0 or evaluation == evaluations


def spot_check(members: Members, x: Tensor, y: Tensor, norms: Tensor, first_norms: Tensor) -> str:
    """Compare how one member is evaluated, and its next step's loss and gradient, with its module alone; leaves no trace.

    Of the member with the smallest gradient of those that still learn: in its steps rounding grows least.

    Args:
        members: at any step; one run that trains alone, or by products that tensor cores round, is not looked at.
        x: (member, batch, …) of the next training batch.
        y: likewise.
        norms: (member,) of their last gradients.
        first_norms: (member,) of their first ones.

    Returns:
        Why it cannot be compared, "" if it can.

    Raises:
        Unbatchable: they are no longer the same.
    """
    if not isinstance(members, Population) or members.runs[0].setup.tf32:
        return ""
    learning = torch.where((norms > 0) & (norms >= LEAST * first_norms), norms, torch.inf)
    calmest = int(learning.argmin())
    if not learning[calmest].isfinite():
        return ""
    member = slice(calmest, calmest + 1)
    with unchanged(members):
        try:
            true = _numbers(members.alone(calmest), x[member], y[member], slice(1))
        except NotStorable as error:  # what its module holds cannot be given to a module of its own
            return str(error)
    with unchanged(members):
        found = _numbers(members, x, y, member)
    apart = [what for what, number, one in zip(NAMES, found, true, strict=True) if _differ(number, one)]
    if apart:
        with unchanged(members):
            exact = _exact(members, calmest, x[member], y[member])
        for what, number, one, most in zip(NAMES, found, true, exact or true, strict=True):
            if what in apart and not _rounded(number, one, most):
                raise Unbatchable(f"in a population its {what} has become another")
    return ""


def _numbers(members: Members, x: Tensor, y: Tensor, member: slice) -> list[Tensor]:
    """One member's losses of examples in evaluation, and its loss and gradient of the next step."""
    evaluated = members.scores(x.clone(), y)[0, member].clone()
    losses = members.losses(x.clone(), y, train=True)[member].clone()
    return [evaluated, losses, members.gradient(member).clone()]


def _exact(members: Population, member: int, x: Tensor, y: Tensor) -> list[Tensor] | None:
    """The same of its module alone in double precision; None where that does not work so."""
    x, y = (each.double() if each.is_floating_point() else each for each in (x, y))
    try:
        return _numbers(members.alone(member, torch.float64), x, y, slice(1))
    except Exception:  # a module of a user's
        return None


def _differ(number: Tensor, true: Tensor) -> bool:
    finite = true.isfinite()
    difference = torch.linalg.vector_norm((number - true)[finite])
    return not torch.equal(finite, number.isfinite()) or bool(
        difference > TOLERANCE * torch.linalg.vector_norm(true[finite])
    )


def _rounded(number: Tensor, true: Tensor, exact: Tensor) -> bool:
    """Whether two numbers differ by no more than their rounding, as far as the exact one tells."""
    ours, theirs = (torch.linalg.vector_norm(each.double() - exact) for each in (number, true))
    return bool(ours <= OF_ROUNDING * theirs)
