"""What weights tell by themselves: how a recurrent matrix stretches, and how many directions a weight matrix uses."""

import numpy as np

from harness.engine.members import Members
from harness.engine.stability import Array


def matrices(population: Members) -> dict[str, Array]:
    """Every weight matrix by name, (member, rows, columns) in float64."""
    views = population.views(population.parameters)
    return {name: view.double().cpu().numpy() for name, view in views.items() if view.dim() == 3}


def recurrent_matrices(population: Members) -> dict[str, Array]:
    """`recurrent_radius` and `recurrent_gain`: spectral radius and largest singular value of W_hh, (member,) each.

    Of several recurrent layers the largest; NaN without one. The stacked matrices of gated cells are left out: what they
    multiply passes through gates.
    """
    found = [w for name, w in matrices(population).items() if "weight_hh" in name and w.shape[1] == w.shape[2]]
    if not found:
        return dict.fromkeys(("recurrent_radius", "recurrent_gain"), np.full(len(population), np.nan))
    radii = [np.abs(np.linalg.eigvals(w)).max(1) for w in found]
    gains = [np.linalg.svd(w, compute_uv=False)[:, 0] for w in found]
    return {"recurrent_radius": np.max(radii, axis=0), "recurrent_gain": np.max(gains, axis=0)}


def weight_rank(population: Members) -> Array:
    """Effective rank of a weight matrix as a share of its full rank, mean over matrices, (member,); NaN without one.

    exp of the entropy of the singular values, divided by their sum (Roy & Vetterli 2007).
    """
    shares = []
    for w in matrices(population).values():
        values = np.linalg.svd(w, compute_uv=False)
        p = values / values.sum(1, keepdims=True)
        entropy = -(p * np.log(np.where(p > 0, p, 1.0))).sum(1)
        shares.append(np.exp(entropy) / values.shape[1])
    return np.mean(shares, axis=0) if shares else np.full(len(population), np.nan)
