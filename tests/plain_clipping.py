"""The oracle of the clipping rules: each for one model, with torch's own functions or the paper's formula in NumPy.

Shares no code with the rules. `plain(rule)` gives what a textbook loop calls between the backward pass and the optimizer's
step: it changes the gradients of a model's parameters and says whether the step is to be taken.
"""

from collections.abc import Callable
from statistics import fmean, pvariance
from typing import Any

import numpy as np
import torch
import torch.nn as nn

from harness import clipping
from harness.clipping import ClippingRule

Clip = Callable[[nn.Module], bool]


def plain(rule: ClippingRule, v: dict[str, Any] | None = None) -> Clip:
    """The same rule for one model; keeps its memory from call to call.

    `v` are its settings, which may change between two calls; without it they are those of the rule.
    """
    v = rule.values() if v is None else v
    match rule:
        case clipping.NoClipping():
            return lambda model: True
        case clipping.SkipNonfinite():
            return lambda model: all(bool(np.isfinite(p.grad.numpy()).all()) for p in model.parameters())
        case clipping.GlobalNorm():
            return each(lambda model: nn.utils.clip_grad_norm_(model.parameters(), v["max_norm"]))
        case clipping.PerTensorNorm():
            return each(lambda model: [nn.utils.clip_grad_norm_(p, v["max_norm"]) for p in model.parameters()])
        case clipping.Value():
            return each(lambda model: nn.utils.clip_grad_value_(model.parameters(), v["max_value"]))
        case clipping.Normalized():
            return each(lambda model: rescale(model, v["norm"] / norm(model)))
        case clipping.AGC():
            return each(lambda model: agc(model, v["clip_factor"]))
        case clipping.AutoClip():
            return each(autoclip(v))
        case clipping.ZClip():
            return each(zclip(v))
    raise AssertionError(f"no oracle for {rule}")


def each(change: Callable[[nn.Module], object]) -> Clip:
    """A rule that always takes the step."""

    def clip(model: nn.Module) -> bool:
        change(model)
        return True

    return clip


def norm(model: nn.Module) -> float:
    return float(np.sqrt(sum((p.grad.double().numpy() ** 2).sum() for p in model.parameters())))


def rescale(model: nn.Module, factor: float) -> None:
    for p in model.parameters():
        p.grad.mul_(factor)


def agc(model: nn.Module, clip_factor: float) -> None:
    """Brock et al. 2021, Eq. 3, row by row; all layers but the one that holds the last parameter."""
    last = [name for name, _ in model.named_parameters()][-1].rpartition(".")[0]
    for name, p in model.named_parameters():
        if name.rpartition(".")[0] == last or p.grad is None:
            continue
        matrix = p.ndim > 1
        for w, g in zip(p.detach(), p.grad, strict=True) if matrix else [(p.detach(), p.grad)]:
            bound = clip_factor * max(float(np.linalg.norm(w.numpy())), 1e-3)
            length = float(np.linalg.norm(g.numpy()))
            if length > bound:
                g.mul_(bound / length)


def autoclip(v: dict[str, Any]) -> Callable[[nn.Module], object]:
    """Seetharaman et al. 2020."""
    norms: list[float] = []

    def clip(model: nn.Module) -> None:
        norms.append(norm(model))
        nn.utils.clip_grad_norm_(model.parameters(), float(np.percentile(norms, v["percentile"])))

    return clip


def zclip(v: dict[str, Any]) -> Callable[[nn.Module], object]:
    """Kumar et al. 2025, reciprocal clipping, statistics from the norm after clipping."""
    norms: list[float] = []
    mean = variance = 0.0

    def clip(model: nn.Module) -> None:
        nonlocal mean, variance
        threshold, alpha, warmup = v["z"], v["alpha"], v["warmup"]
        current = norm(model)
        if len(norms) < warmup:
            norms.append(current)
            mean, variance = fmean(norms), pvariance(norms)
            return
        z = (current - mean) / (variance**0.5 + 1e-6)
        if z > threshold:
            bound = mean + variance**0.5 * threshold**2 / z
            nn.utils.clip_grad_norm_(model.parameters(), bound)
            current = bound
        mean = alpha * mean + (1 - alpha) * current
        variance = alpha * variance + (1 - alpha) * (current - mean) ** 2

    return clip


def parameters_with_gradients(tensors: dict[str, torch.Tensor], weights: dict[str, torch.Tensor]) -> nn.Module:
    """A module that has these parameters, "layer.name" each, and these gradients."""
    model = nn.ModuleDict()
    for name, weight in weights.items():
        layer, _, own = name.partition(".")
        if layer not in model:
            model[layer] = nn.Module()
        parameter = nn.Parameter(weight.clone())
        parameter.grad = tensors[name].clone()
        model[layer].register_parameter(own, parameter)
    return model
