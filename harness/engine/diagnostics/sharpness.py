"""Sharpness: the largest eigenvalue of the Hessian of the training loss (Cohen et al. 2021, arXiv:2103.00065).

By the Lanczos method (Golub & Van Loan 2013, section 10.1) on products of the Hessian with vectors that are exact: gradients are
differentiated again. Differences of gradients would cross the kinks of ReLU, at which a gradient jumps. A population's kernels have
no second derivatives, so each member is measured by the plain loop.
"""

import numpy as np
import torch
from torch import Tensor

from harness.engine.feed import Feed
from harness.engine.members import Members
from harness.engine.plain_member import PlainMember
from harness.engine.stability import Array
from harness.settings import first_line
from harness.settings.randomness import stream

SAMPLE = 256
"""Training examples, the first ones, on which it is measured; all where they are fewer."""

ACCURACY = 1e-3
"""The error of the eigenvalue, at most, as a share of the largest magnitude of an eigenvalue."""

PRODUCTS = 200
"""Products of the Hessian with a vector, at most: ten or twenty find what stands out among the eigenvalues."""


class NoHessian(Exception):
    """Torch gives no Hessian of a loss; the text says why."""


def sharpness(population: Members, feed: Feed) -> Array:
    """The Hessian's largest eigenvalue, (member,); NaN without one, see `largest_eigenvalue`."""
    indices, counts = feed.split("train", SAMPLE)
    found = []
    for i, (x, y, count) in enumerate(zip(*feed.gather(indices), counts.tolist(), strict=True)):
        try:
            found.append(largest_eigenvalue(population.alone(i), x[:count], y[:count]))
        except NoHessian:  # which was said before training
            found.append(np.nan)
    return np.array(found)


def largest_eigenvalue(member: PlainMember, x: Tensor, y: Tensor) -> float:
    """Of the Hessian of a member's mean loss on x and y, (example, …); NaN where it is not finite, or `PRODUCTS` are too few.

    Without orthogonalising anew: rounding lets eigenvalues that were found appear again, but no other ones (Paige 1980).

    Raises:
        NoHessian: torch has no second derivative of something, or one that is not symmetric.
    """
    v = _direction(member)
    before, beta = torch.zeros_like(v), 0.0
    diagonal, beside = list[float](), list[float]()
    for _ in range(PRODUCTS):
        w = _product(member, x, y, v)
        diagonal.append(float(w @ v))
        asymmetry = abs(float(w @ before) - beta)
        w.sub_(before, alpha=beta).sub_(v, alpha=diagonal[-1])
        previous, beta = beta, float(torch.linalg.vector_norm(w))
        if not np.isfinite([diagonal[-1], beta]).all():
            return np.nan
        values, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1))
        largest = np.abs(values).max()
        if asymmetry > ACCURACY * max(largest, previous):
            raise NoHessian("the second derivative that it gives is not symmetric, as a Hessian is")
        if beta * abs(vectors[-1, -1]) <= ACCURACY * largest:  # the norm of the residual bounds the error
            return float(values[-1])
        before, v = v, w / beta
        beside.append(beta)
    return np.nan


def _product(member: PlainMember, x: Tensor, y: Tensor, v: Tensor) -> Tensor:
    """Of the Hessian of the mean loss on x and y, (example, …), with v, (parameters,); a batch of training at a time."""
    size = member.runs[0].setup.batch_size
    product = torch.zeros_like(v)
    for part_x, part_y in zip(torch.split(x, size), torch.split(y, size), strict=True):
        try:
            product.add_(member.hessian_product(part_x, part_y, v), alpha=len(part_x) / len(x))
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise NoHessian(first_line(error)) from error
    return product


def _direction(member: PlainMember) -> Tensor:
    """A random unit vector, (parameters,), from the stream of the member's noise, "sharpness"; zero between parameters."""
    like = member.parameters
    drawn = torch.randn(like.shape, generator=stream(member.runs[0].noise_seed, "sharpness")).to(like)
    found = torch.zeros_like(like)
    for direction, values in zip(member.views(found).values(), member.views(drawn).values(), strict=True):
        direction.copy_(values)
    unit: Tensor = found[0] / torch.linalg.vector_norm(found)
    return unit
