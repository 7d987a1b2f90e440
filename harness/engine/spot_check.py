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
"""A difference that rounding does not explain, relative to what is compared."""

LEAST = 0.01
"""Of the norm of the first gradient: what is smaller is compared by this, since near a minimum rounding is all there is."""


def looked_at(evaluation: int, evaluations: int) -> bool:
    """Whether it is time for a look at an evaluation, counted from 1: at the first, second, fourth and so on, and at the last.

    >>> [n for n in range(1, 21) if looked_at(n, 20)]
    [1, 2, 4, 8, 16, 20]
    """
    return evaluation & (evaluation - 1) == 0 or evaluation == evaluations


def spot_check(members: Members, x: Tensor, y: Tensor, norms: Tensor, first_norms: Tensor) -> None:
    """Compare how one member is evaluated, and its next step's loss and gradient, with its module alone; leaves no trace.

    Of the member with the smallest gradient, in whose steps rounding grows least.

    Args:
        members: at any step; one run that trains alone, or by products that tensor cores round, is not looked at.
        x: (member, batch, …) of the next training batch.
        y: likewise.
        norms: (member,) of their last gradients.
        first_norms: (member,) of their first ones.

    Raises:
        Unbatchable: they are no longer the same.
    """
    if not isinstance(members, Population) or members.runs[0].setup.tf32:
        return
    calmest = int(norms.nan_to_num(torch.inf).argmin())
    if not norms[calmest].isfinite():
        return
    member = slice(calmest, calmest + 1)
    with unchanged(members):
        found = _numbers(members, x, y, member)
    with unchanged(members):
        try:
            alone = members.alone(calmest)
        except NotStorable:  # what it counts cannot be given to a module of its own
            return
        true = _numbers(alone, x[member], y[member], slice(1))
    for what, number, one in zip(("evaluation", "loss", "gradient"), found, true, strict=True):
        if _apart(number, one, LEAST * first_norms[member]):
            raise Unbatchable(f"in a population its {what} has become another")


def _numbers(members: Members, x: Tensor, y: Tensor, member: slice) -> list[Tensor]:
    """One member's losses of examples in evaluation, and its loss and gradient of the next step."""
    evaluated = members.scores(x.clone(), y)[0, member].clone()
    losses = members.losses(x.clone(), y, train=True)[member].clone()
    return [evaluated, losses, members.gradient(member).clone()]


def _apart(number: Tensor, true: Tensor, least: Tensor) -> bool:
    """Whether numbers differ by more than rounding; `least` is what they are compared by where they are smaller."""
    finite = true.isfinite()
    size = torch.maximum(torch.linalg.vector_norm(true[finite]), least)
    difference = torch.linalg.vector_norm((number - true)[finite])
    return not torch.equal(finite, number.isfinite()) or bool(difference > TOLERANCE * size)
