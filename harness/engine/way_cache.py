"""The user's file of ways: what was proven and measured of populations of some shape on some device."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import platformdirs

from harness.engine.way import WIDEST, Way


def cache_file() -> Path:
    """Where ways are kept for this user."""
    return platformdirs.user_cache_path("ablation-harness", appauthor=False) / "ways.json"


def read(cache: Path) -> dict[str, Way]:
    """Key → way; nothing where the file is absent or damaged."""
    try:
        known = {key: Way(**way) for key, way in json.loads(cache.read_text()).items()}
        return {key: way for key, way in known.items() if 1 <= way.width <= WIDEST and way.step_s > 0}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def write(cache: Path, known: dict[str, Way]) -> None:
    """Write the file whole; where that cannot be, it is done without."""
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        part = cache.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps({key: asdict(way) for key, way in known.items()}, indent=1))
        part.replace(cache)
    except OSError:
        pass  # measured again next time
