"""What weights tell by themselves: how a recurrent matrix stretches, and how many directions a weight matrix uses."""

from collections.abc import Iterator

import numpy as np
import torch.nn as nn
from torch import Tensor
from torch.nn.utils.parametrize import ParametrizationList, is_parametrized

from harness.engine.feed import Feed
from harness.engine.members import Members
from harness.engine.stability import Array

RAW = ("_g", "_v", "_orig", "_raw")
"""Ends of the names of parameters from which a hook makes the weight that a layer uses, as `torch.nn.utils.weight_norm` does."""


def matrices(population: Members, feed: Feed) -> dict[str, Array]:
    """Every weight matrix that layers compute with, by name, (member, rows, columns) in float64.

    Of one that is made of other parameters what is made, not these.

    Args:
        population: at the weights to be looked at; a member by itself may be changed.
        feed: has examples, which a forward pass makes weights for.
    """
    x, _ = feed.gather(feed.split("train", population.runs[0].setup.batch_size)[0])
    found = []
    for i, own in enumerate(x):
        member = population.alone(i)
        member.output(own.clone(), train=False)  # a hook makes them in a forward pass
        tensors = {id(tensor): (name, tensor) for name, tensor in _weights(member.template) if tensor.dim() == 2}
        found.append({name: tensor.detach().double().cpu().numpy() for name, tensor in tensors.values()})
    return {name: np.stack([own[name] for own in found]) for name in found[0]}


def _weights(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The weights that layers compute with, by name; what several share has several names."""
    within = {part for layer in module.modules() if isinstance(layer, ParametrizationList) for part in layer.modules()}
    for prefix, layer in module.named_modules():
        if layer in within:
            continue
        keys = [key for key, parameter in layer._parameters.items() if parameter is not None]
        hooked = {key: [raw for raw in keys if raw in [key + end for end in RAW]] for key in vars(layer)}
        raw = {name for names in hooked.values() for name in names}
        made = list(layer.parametrizations) if is_parametrized(layer) else []
        for key in [*made, *(key for key in keys if key not in raw), *(key for key in hooked if hooked[key])]:
            if isinstance(weight := getattr(layer, key), Tensor):
                yield f"{prefix}.{key}".lstrip("."), weight


def recurrent_matrices(weights: dict[str, Array], members: int) -> dict[str, Array]:
    """`recurrent_radius` and `recurrent_gain`: spectral radius and largest singular value of W_hh, (member,) each.

    Of several recurrent layers the largest; NaN without one. The stacked matrices of gated cells are left out: what they
    multiply passes through gates.

    Args:
        weights: see `matrices`.
        members: how many there are.
    """
    found = [w for name, w in weights.items() if "weight_hh" in name and w.shape[1] == w.shape[2]]
    if not found:
        return dict.fromkeys(("recurrent_radius", "recurrent_gain"), np.full(members, np.nan))
    radii = [np.abs(np.linalg.eigvals(w)).max(1) for w in found]
    gains = [np.linalg.svd(w, compute_uv=False)[:, 0] for w in found]
    return {"recurrent_radius": np.max(radii, axis=0), "recurrent_gain": np.max(gains, axis=0)}


def weight_rank(weights: dict[str, Array], members: int) -> Array:
    """Effective rank of a weight matrix as a share of its full rank, mean over matrices, (member,); NaN without one.

    exp of the entropy of the singular values, divided by their sum (Roy & Vetterli 2007).

    Args:
        weights: see `matrices`.
        members: how many there are.
    """
    shares = []
    for w in weights.values():
        values = np.linalg.svd(w, compute_uv=False)
        p = values / values.sum(1, keepdims=True)
        entropy = -(p * np.log(np.where(p > 0, p, 1.0))).sum(1)
        shares.append(np.exp(entropy) / values.shape[1])
    return np.mean(shares, axis=0) if shares else np.full(members, np.nan)
