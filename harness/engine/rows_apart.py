"""Now and then on the way: whether a user's own rule and optimizer do to a member by itself what they do to it among others.

What depends on the companions of a run, such as a mean over the rows, need not act in the steps that the proof sees.
"""

import torch
from torch import Tensor

from harness.engine.measuring import object_kept, unchanged
from harness.engine.members import Members
from harness.engine.obstacles import Unbatchable
from harness.engine.own_components import own_names
from harness.engine.population import Population
from harness.engine.step import Stepper

TOLERANCE = 0.01
"""Of what is compared: a user's own is no kernel that rounds one member otherwise than several."""

ULPS = 4
"""Of the weights: what rounding makes of their change."""


def check_rows(stepper: Stepper, members: Members, x: Tensor, y: Tensor) -> None:
    """Take the next step twice, with all members clipped and updated together and each by itself; leaves no trace.

    Args:
        stepper: of these members.
        members: at any step; one that trains alone, or none of whose rule and optimizer is a user's, is not looked at.
        x: (member, example, …) of the step.
        y: likewise.

    Raises:
        Unbatchable: a member's share is another among others.
    """
    own = own_names(members.runs[0].setup)
    if not own or not isinstance(members, Population):
        return
    together, alone = (_left(stepper, members, x, y, apart=apart) for apart in (False, True))
    weights = torch.linalg.vector_norm(members.parameters, dim=1)
    rounding = ULPS * torch.finfo(members.dtype).eps * weights.nan_to_num(0.0, 0.0, 0.0)
    if any(_differ(one, other, rounding) for one, other in zip(together, alone, strict=True)):
        raise Unbatchable(f"what {' or '.join(own)} makes of a run depends on the others")


def _left(stepper: Stepper, members: Members, x: Tensor, y: Tensor, *, apart: bool) -> list[Tensor]:
    """What a step makes of each member, (member, …): the norm that clipping leaves, the share that it changed, and how weights change."""
    restore = object_kept(stepper, [members, members.clock])
    with unchanged(members):
        before = members.parameters.clone()
        record = stepper.step(x.clone(), y.clone(), apart=apart)
        found = [record.clipped_norm.clone(), record.clipped_units.clone(), members.parameters - before]
    restore()
    return found


def _differ(one: Tensor, other: Tensor, rounding: Tensor) -> bool:
    finite = other.isfinite()
    if not torch.equal(finite, one.isfinite()):
        return True
    difference, size = (torch.linalg.vector_norm(n.masked_fill(~finite, 0.0), dim=1) for n in (one - other, other))
    return bool((difference > TOLERANCE * size + rounding).any())
