"""Rules whose bound follows training: the weights, or the norms of earlier gradients."""

from collections.abc import Iterable, Sequence
from functools import cache
from math import inf
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from harness.clipping import order_statistics
from harness.clipping.rule import ClippingRule, Gradient, shrinkage
from harness.settings import Bound, Count, Fraction, show

SMALLEST_WEIGHTS = 1e-3
"""ε of AGC: units with a smaller norm, such as biases that start at 0, are clipped as if they had this one."""


class AGC(ClippingRule):
    """Adaptive gradient clipping: per output unit, ‖g‖ ≤ λ·max(‖w‖, 1e-3) (Brock et al. 2021, arXiv:2102.06171, Eq. 3).

    A unit is a row along the first axis of a tensor with several axes, else (biases, gains) the whole tensor, as in the
    authors' code. The last layer, the module that holds the last parameter, is not clipped (their Section 4.1): a net of one
    layer, of which nothing would be, is refused, and one whose last parameters have no part in its output.

    Args:
        clip_factor: λ, the largest ratio of the norm of a unit's gradient to that of its weights; `inf` changes nothing.
    """

    clip_factor: Bound = 0.01

    def idle(self, names: Sequence[str], unused: Sequence[str]) -> str:
        """See `ClippingRule.idle`: a net may have no layer but the last, or hold one after it that nothing uses."""
        clipped = _all_but_last_layer(names)
        if not clipped:
            return "has nothing to clip: the net has one layer, the last, which AGC leaves as it is; use another rule, or NoClipping()"
        last = [name for name in names if name not in clipped]
        if set(last) <= set(unused):
            return (
                f"leaves the last layer as it is, and takes for it `{last[0]}`, which has no part in the output: the layer that is the last "
                "would be clipped; make what is not used before the others in the constructor, or not at all"
            )
        return ""

    def clip(self, gradient: Gradient, *, clip_factor: Tensor) -> Tensor:  # type: ignore[override]
        """See `ClippingRule.clip`. The units are those of all layers but the last."""
        gradients, weights = gradient.views(gradient.flat), gradient.views(gradient.parameters)
        clipped, units = torch.zeros_like(gradient.norm), 0
        for name in _all_but_last_layer(gradients):
            entries = _units(gradients[name])
            norm = torch.linalg.vector_norm(entries, dim=2)
            size = torch.linalg.vector_norm(_units(weights[name]), dim=2)
            bound = clip_factor * size.clamp(min=SMALLEST_WEIGHTS)
            over = norm > bound
            entries.mul_((bound / norm).masked_fill(~over, 1.0).unsqueeze(2))
            clipped += over.sum(1, keepdim=True)
            units += over.shape[1]
        return clipped / max(units, 1)


def _all_but_last_layer(names: Iterable[str]) -> list[str]:
    layers = {name: _layer(name) for name in names}
    last = list(layers.values())[-1]
    return [name for name, layer in layers.items() if layer != last]


@cache
def _layer(name: str) -> str:
    """The module that a parameter is of, one that torch computes it from (`torch.nn.utils.parametrizations`) included."""
    module, parametrized, _ = f".{name}".partition(".parametrizations.")
    return module if parametrized else module.rpartition(".")[0]


def _units(tensor: Tensor) -> Tensor:
    """(member, …) as (member, unit, entry)."""
    return tensor.flatten(2) if tensor.dim() > 2 else tensor.view(len(tensor), 1, -1)


class AutoClip(ClippingRule):
    """Global norm clipping to a percentile of all norms so far, the current one included.

    η(t) = percentile of {‖g₁‖, …, ‖g_t‖}, then g·min(1, η / (‖g‖ + 1e-6)) (Seetharaman et al. 2020, arXiv:2007.14469,
    Section 3; linear interpolation as `numpy.percentile`, as in the authors' code).

    Args:
        percentile: from 0 to 100, which clips almost nothing.
    """

    percentile: Annotated[float, Field(ge=0, le=100)] = 10.0

    def initial_state(self, zeros: Tensor, steps: int) -> list[Tensor]:
        """The norms so far, see `order_statistics`, and how many they are, (member, 1)."""
        return [*order_statistics.empty(zeros, steps), zeros.clone()]

    def clip(  # type: ignore[override]
        self, gradient: Gradient, blocks: Tensor, starts: Tensor, count: Tensor, *, percentile: Tensor
    ) -> Tensor:
        """See `ClippingRule.clip`."""
        order_statistics.insert(gradient.norm, blocks, starts)
        count.add_(1).clamp_(max=blocks[0].numel())
        position = 1 + (count - 1) * (percentile / 100)
        below, above = (order_statistics.at(rank - 1, blocks, starts) for rank in (position.floor(), position.ceil()))
        bound = below.lerp(above, position.frac())
        gradient.scale(shrinkage(gradient.norm, bound))
        return gradient.norm > bound


class ZClip(ClippingRule):
    """Clip norms that are far above their moving average, the more the farther (Kumar et al. 2025, arXiv:2504.02507).

    With the mean μ and deviation σ of the norms before, z = (‖g‖ − μ) / (σ + 1e-6). Where z exceeds the threshold z*, the
    norm is bounded by μ + σ·z*²/z ("reciprocal" clipping). Then μ ← α·μ + (1 − α)·n and σ² ← α·σ² + (1 − α)·(n − μ)²,
    with the new μ and the norm n after clipping, as in the authors' code. The first steps are not clipped; μ and σ² start
    as their mean and variance.

    Args:
        z: the threshold z*, in standard deviations; `inf` changes nothing.
        alpha: weight of the past in the moving averages.
        warmup: steps before the first that may be clipped.
    """

    z: Bound = 2.5
    alpha: Fraction = 0.97
    warmup: Count = 25

    def unreached(self, steps: int) -> str:
        """See `ClippingRule.unreached`: that all steps are of the warm-up."""
        if self.warmup < steps or self.z == inf:
            return ""
        return f"in its warm-up of {show(self.warmup)} steps: it clips nothing"

    def initial_state(self, zeros: Tensor, steps: int) -> list[Tensor]:
        """How many norms there were, their mean and their variance, (member, 1) each."""
        return [zeros.clone() for _ in range(3)]

    def clip(  # type: ignore[override]
        self, gradient: Gradient, *state: Tensor, z: Tensor, alpha: Tensor, warmup: Tensor
    ) -> Tensor:
        """See `ClippingRule.clip`."""
        count, mean, variance = state
        count += 1
        warm, deviation = count <= warmup, variance.sqrt()
        score = (gradient.norm - mean) / (deviation + 1e-6)
        spike = (score > z) & ~warm
        bound = (mean + deviation * z.square() / score).masked_fill(~spike, inf)
        norm = torch.minimum(gradient.norm, bound)
        weight, before = torch.where(warm, 1 / count, 1 - alpha), norm - mean
        mean.lerp_(norm, weight)
        after = norm - mean
        variance.lerp_(torch.where(warm, before, after) * after, weight)  # Welford's recursion while warm
        gradient.scale(shrinkage(gradient.norm, bound))
        return spike
