"""Whether the input noise of `noise_error` is one size for inputs of unlike sizes."""

from torch import Tensor

from harness.engine.diagnostics.predictions import SCALE_SAMPLE, deviation
from harness.tasks.task import Data

APART, SPREAD = 2, 10
"""How much larger the deviation of all numbers together than that of a root mean square input, and the largest than the median, may be."""


def unlike_inputs(data: Data) -> str:
    """That offsets or sizes differ between inputs, "" where they do not.

    Inputs that are constant, or 0 or 1, are not looked at: of such no deviation is the usual one.

    Args:
        data: whose training examples the noise is scaled by.
    """
    sample = data.x[data.train[:SCALE_SAMPLE]]
    if not sample.is_floating_point():
        return ""
    varying = _varying(sample.flatten(1))
    if not varying.numel():
        return ""
    pooled, own = float(deviation(sample)), varying.std(0, correction=0)
    typical, largest = float(own.median()), float(own.max())
    if pooled <= APART * float(own.square().mean().sqrt()) and largest <= SPREAD * typical:
        return ""
    return (
        f"noise_error: noise is as large for every input, in deviations of all numbers together, {pooled:.3g}; those of single inputs are "
        f"{float(own.min()):.3g} to {largest:.3g}, {typical:.3g} the median; standardise the inputs"
    )


def _varying(sample: Tensor) -> Tensor:
    """(example, input), those inputs that are neither constant nor 0 or 1."""
    constant = sample.amin(0) == sample.amax(0)
    binary = ((sample == 0) | (sample == 1)).all(0)
    return sample[:, ~(constant | binary)]
