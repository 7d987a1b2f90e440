"""The user's file of measured widths: what was measured of populations of some shape on some device."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import platformdirs

from harness.engine.cost import WIDEST, Cost


def cache_file() -> Path:
    """Where measured widths are kept for this user."""
    return platformdirs.user_cache_path("ablation-harness", appauthor=False) / "widths.json"


def read(cache: Path) -> dict[str, Cost]:
    """Key → cost; nothing where the file is absent or damaged."""
    try:
        known = {key: Cost(**cost) for key, cost in json.loads(cache.read_text()).items()}
        return {key: cost for key, cost in known.items() if 1 < cost.width <= WIDEST and cost.step_s > 0}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def write(cache: Path, known: dict[str, Cost]) -> None:
    """Write the file whole; where that cannot be, it is done without."""
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        part = cache.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps({key: asdict(cost) for key, cost in known.items()}, indent=1))
        part.replace(cache)
    except OSError:
        pass  # measured again next time
