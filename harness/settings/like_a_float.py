"""`LikeAFloat`: what `isinstance` takes for a number that is none by itself."""

import torch


class LikeAFloat(float, torch.SymFloat):  # type: ignore[misc]
    """The `__class__` of what stands where a number would: a float, and torch's number that is not known yet, which its functions accept.

    It is no float, whose value `math`, `format` and dictionaries read past all operators.
    """
