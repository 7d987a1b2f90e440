"""Clipping rules: what happens to each member's gradient between the backward pass and the optimizer.

A rule is a component whose fields are factors. It acts on flat gradients (member, parameters), each row on its own,
never over the stack. A new rule is a class and its line here.
"""

from harness.clipping.adaptive import AGC, AutoClip, ZClip
from harness.clipping.fixed import GlobalNorm, Normalized, PerTensorNorm, Value
from harness.clipping.none import NoClipping, SkipNonfinite
from harness.clipping.rule import ClippingRule, Gradient

__all__ = [
    "AGC", "AutoClip", "ClippingRule", "GlobalNorm", "Gradient", "NoClipping", "Normalized", "PerTensorNorm",
    "SkipNonfinite", "Value", "ZClip",
]  # fmt: skip
