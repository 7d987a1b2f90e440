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


def spot_check(members: Members, x: Tensor, y: Tensor, first_norms: Tensor) -> None:
    """Compare how one member is evaluated, and its next step's loss and gradient, with its module alone; leaves no trace.

    Of the member with the smallest gradient, in whose steps rounding grows least.

    Args:
        members: at any step; one run that trains alone, or by products that tensor cores round, is not looked at.
        x: (member, batch, …) of the next training batch.
        y: likewise.
        first_norms: (member,) of their gradients at the first step.

    Raises:
        Unbatchable: they are no longer the same.
    """
    if not isinstance(members, Population) or members.runs[0].setup.tf32:
        return
    with unchanged(members):
        evaluated, losses, gradients = _numbers(members, x, y)
        norms = torch.linalg.vector_norm(gradients, dim=1)
        calmest = int((norms + 0 * losses).nan_to_num(torch.inf).argmin())
        found = [each[calmest].clone() for each in (evaluated, losses, gradients)]
    if not (norms[calmest] + losses[calmest]).isfinite():
        return
    rows = slice(calmest, calmest + 1)
    with unchanged(members):
        try:
            alone = members.alone(calmest)
        except NotStorable:  # what it counts cannot be given to a module of its own
            return
        true = [each[0] for each in _numbers(alone, x[rows], y[rows])]
    least = LEAST * first_norms[calmest].nan_to_num()  # none before the first step
    for what, number, one in zip(("evaluation", "loss", "gradient"), found, true, strict=True):
        if _apart(number, one, least):
            raise Unbatchable(f"in a population its {what} has become another")


def _numbers(members: Members, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The loss of each example in evaluation, (member, batch), and of the next step loss, (member,), and gradient."""
    evaluated = members.scores(x.clone(), y)[0]
    losses = members.losses(x.clone(), y, train=True)
    return evaluated, losses, members.gradient(slice(None))


def _apart(number: Tensor, true: Tensor, least: Tensor) -> bool:
    """Whether numbers differ by more than rounding; `least` is what they are compared by where they are smaller."""
    finite = true.isfinite()
    size = torch.maximum(torch.linalg.vector_norm(true[finite]), least)
    difference = torch.linalg.vector_norm((number - true)[finite])
    return not torch.equal(finite, number.isfinite()) or bool(difference > TOLERANCE * size)
