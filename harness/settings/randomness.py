"""Random streams: every number drawn comes from a generator named by seed and purpose.

Runs with one seed share the streams `init`, `order`, `dropout` and `split`, whatever their settings; that pairs every
comparison (common random numbers). Different seeds, and different purposes of one seed, share nothing.
"""

import hashlib

import torch


def stream_seed(seed: int, purpose: str) -> int:
    """A 63-bit seed for torch from a replicate's index and the name of what is drawn."""
    digest = hashlib.sha256(f"{seed}:{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(seed: int, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator on `device` at the start of the stream `purpose` of `seed`."""
    return torch.Generator(device).manual_seed(stream_seed(seed, purpose))
