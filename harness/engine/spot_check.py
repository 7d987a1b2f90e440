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
"""A difference that rounding does not explain, relative to the gradient's norm or the loss."""

LEAST = 0.01
"""The same is relative to this share of what they were at first where they are smaller: near a minimum rounding is all there is."""


def looked_at(evaluation: int, evaluations: int) -> bool:
    """Whether it is time for a look at an evaluation, counted from 1: at the first, second, fourth and so on, and at the last.

    >>> [n for n in range(1, 21) if looked_at(n, 20)]
    [1, 2, 4, 8, 16, 20]
    """
    return evaluation & (evaluation - 1) == 0 or evaluation == evaluations


def spot_check(members: Members, x: Tensor, y: Tensor, first_norms: Tensor) -> None:
    """Compare the gradient and loss of one member's next step with those of its module alone; leaves no trace.

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
        losses = members.losses(x.clone(), y, train=True)
        gradients = members.gradient(slice(None))
        norms = torch.linalg.vector_norm(gradients, dim=1)
        calmest = int((norms + 0 * losses).nan_to_num(torch.inf).argmin())
        gradient, loss = gradients[calmest].clone(), losses[calmest]
    if not (norms[calmest] + loss).isfinite():
        return
    rows = slice(calmest, calmest + 1)
    with unchanged(members):
        try:
            alone = members.alone(calmest)
        except NotStorable:  # what it counts cannot be given to a module of its own
            return
        true_loss = alone.losses(x[rows].clone(), y[rows], train=True)[0]
        true = alone.gradient(slice(None))[0]
    size = torch.maximum(torch.linalg.vector_norm(true), LEAST * first_norms[calmest])
    if not bool(torch.linalg.vector_norm(gradient - true) <= TOLERANCE * size):
        raise Unbatchable("in a population its gradient has become another")
    if not bool((loss - true_loss).abs() <= TOLERANCE * torch.maximum(true_loss.abs(), size)):
        raise Unbatchable("in a population its loss has become another")
