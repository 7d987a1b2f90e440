"""Random streams: every number drawn comes from a generator named by seed and purpose.

Runs with one seed share the streams `init`, `order`, `dropout` and `split`, whatever their settings; that pairs every
comparison (common random numbers). Different seeds, and different purposes of one seed, share nothing, unless a study says
that they differ in some of these alone (`differ`). What all seeds are to share, above all their test examples, comes from a
stream of `ALL_SEEDS`.
"""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

ALL_SEEDS = -1
"""In the place of a seed: for what is drawn once and no seed changes."""


def stream_seed(seed: int, purpose: str) -> int:
    """A 63-bit seed for torch from a replicate's index and the name of what is drawn."""
    digest = hashlib.sha256(f"{seed}:{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(seed: int, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator on `device` at the start of the stream `purpose` of `seed`."""
    return torch.Generator(device).manual_seed(stream_seed(seed, purpose))


@contextmanager
def global_generators(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """The block's draws from the global generators of torch, NumPy and Python start at `seed`; afterwards these are as before.

    Args:
        seed: below 2**63.
        device: whose generator of torch's is seeded, besides that of the CPU.
    """
    with global_generators_kept(device):
        torch.default_generator.manual_seed(seed)  # `torch.manual_seed` would format the whole stack
        if torch.device(device).type == "cuda":
            torch.cuda.manual_seed(seed)
        np.random.seed(seed % 2**32)
        random.seed(seed)
        yield


@contextmanager
def global_generators_kept(device: torch.device | str = "cpu") -> Iterator[None]:
    """After the block the global generators of torch, NumPy and Python are where they were.

    Args:
        device: whose generator of torch's is kept, besides that of the CPU.
    """
    device = torch.device(device)
    others = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            random.setstate(others[0])
            np.random.set_state(others[1])


def global_states() -> list[object]:
    """Where the global generators of NumPy, Python and torch are."""
    numpys = np.random.get_state(legacy=False)
    of_numpy = numpys["state"]["key"].tobytes(), numpys["state"]["pos"], numpys["has_gauss"], numpys["gauss"]
    return [random.getstate(), of_numpy, torch.get_rng_state().numpy().tobytes()]


def global_state_dict(device: torch.device | str = "cpu") -> dict[str, Any]:
    """Where the global generators of NumPy, Python and torch are, the last one's of `device` too: tensors, numbers, lists."""
    numpys = np.random.get_state(legacy=False)
    state = {"numpy": numpys, "python": random.getstate(), "torch": torch.get_rng_state()}
    return state | ({"cuda": torch.cuda.get_rng_state(device)} if torch.device(device).type == "cuda" else {})


def load_global_state_dict(state: dict[str, Any], device: torch.device | str = "cpu") -> None:
    """Put them there."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    if torch.device(device).type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)
