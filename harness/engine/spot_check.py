"""Now and then on the way: whether a population still gives the numbers of the plain loop.

The proof sees the first steps. What a module does otherwise later, by a counter, a weight that reaches a bound or an example
that comes up seldom, it cannot see. Evaluations come at round steps, as much of what modules do now and then does: the
step that ends at one is looked at, and the one after it.
"""

import torch
from torch import Tensor

from harness.engine.measuring import unchanged
from harness.engine.members import Members
from harness.engine.module_state import NotStorable
from harness.engine.obstacles import Unbatchable
from harness.engine.population import Population
from harness.engine.proof import in_double, least

TOLERANCE = 0.01
"""A difference worth a closer look, relative to what is compared."""

LEAST = 0.01
"""Of the norm of a member's first gradient: one whose gradient is smaller has learned all or is dead, and rounding is all there is."""

OF_ROUNDING = 30
"""How often the plain loop's own error of rounding a difference may be that comes from rounding."""


def looked_at(evaluation: int, evaluations: int) -> bool:
    """Whether it is time for a look at an evaluation, counted from 1: at the first, second, fourth and so on, and at the last.

    >>> [n for n in range(1, 21) if looked_at(n, 20)]
    [1, 2, 4, 8, 16, 20]
    """
    return evaluation & (evaluation - 1) == 0 or evaluation == evaluations


def spot_check(members: Members, x: Tensor, y: Tensor, norms: Tensor, first_norms: Tensor) -> str:
    """Compare one member's next step, what that leaves behind and how it is evaluated then, with its module alone; leaves no trace.

    Of the member with the smallest gradient of those that still learn: in its steps rounding grows least.

    Args:
        members: at any step; one run that trains alone, or by products that tensor cores round, is not looked at.
        x: (member, example, …) of the next training step, or of its first batch.
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
    apart = [what for what in true if what in found and _differ(found[what], true[what], least(what, members.dtype))]
    if apart:
        with unchanged(members):
            exact = _exact(members, calmest, x[member], y[member])
        for what in apart:
            if what not in exact or not _rounded(found[what], true[what], exact[what]):
                raise Unbatchable(f"in a population its {what} has become another")
    return ""


def _numbers(members: Members, x: Tensor, y: Tensor, member: slice) -> dict[str, Tensor]:
    """By name one member's losses and gradients of a step's batches, its weights and buffers after them, and its scores then."""
    batches = [torch.split(each, members.runs[0].setup.batch_size, 1) for each in (x, y)]
    losses, gradients = [], []
    for batch in zip(*batches, strict=True):
        losses.append(members.losses(*(part.clone() for part in batch))[member].clone())  # it may change its inputs
        gradients.append(members.gradient(member).clone())
    found = {"loss": torch.stack(losses), "gradient": torch.stack(gradients)}
    left = {"set of weights": members.parameters} | {f"`{name}`": other for name, other in members.others().items()}
    found |= {what: tensor[member].clone() for what, tensor in left.items()}
    return found | {"evaluation": members.scores(*(parts[0].clone() for parts in batches))[0, member]}


def _exact(members: Population, member: int, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """The same of its module alone in double precision; nothing where that does not work so."""
    x, y = (each.double() if each.is_floating_point() else each for each in (x, y))
    try:
        return _numbers(members.alone(member, torch.float64), x, y, slice(1))
    except Exception:  # a module of a user's
        return {}


def _differ(number: Tensor, true: Tensor, by_rounding: float) -> bool:
    if number.shape != true.shape:
        return True
    number, true = in_double(number), in_double(true)
    finite = true.isfinite()
    difference = torch.linalg.vector_norm((number - true)[finite])
    return not torch.equal(finite, number.isfinite()) or bool(
        difference > TOLERANCE * torch.linalg.vector_norm(true[finite]) + by_rounding * true[finite].numel() ** 0.5
    )


def _rounded(number: Tensor, true: Tensor, exact: Tensor) -> bool:
    """Whether two numbers differ by no more than their rounding, as far as the exact one tells."""
    if not number.shape == true.shape == exact.shape:
        return False
    ours, theirs = (torch.linalg.vector_norm(in_double(each) - in_double(exact)) for each in (number, true))
    return bool(ours <= OF_ROUNDING * theirs)
