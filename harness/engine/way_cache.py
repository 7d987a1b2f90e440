"""The user's file of ways: what was proven and measured of populations of some shape on some device."""

import json
import os
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock

from harness.engine.way import WIDEST, Way
from harness.settings.cache import cache_folder


def cache_file() -> Path:
    """Where ways are kept for this user."""
    return cache_folder() / "ways.json"


def read(cache: Path) -> dict[str, Way]:
    """Key → way; nothing where the file is absent or damaged."""
    try:
        known = {key: Way(**way) for key, way in json.loads(cache.read_text()).items()}
        return {key: way for key, way in known.items() if 1 <= way.width <= WIDEST and way.step_s > 0}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def remember(cache: Path, key: str, way: Way) -> Way:
    """Keep a way that was found; returns the one to go by, which another process may have kept meanwhile.

    So all that start at the same time train in the same way, to the last bit. Where the file cannot be written, it is done without.
    """
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(cache.with_suffix(".lock")):
            known = read(cache)
            if key not in known:
                known[key] = way
                part = cache.with_suffix(f".{os.getpid()}")
                part.write_text(json.dumps({key: asdict(way) for key, way in known.items()}, indent=1))
                part.replace(cache)
            return known[key]
    except OSError:
        return way  # measured again next time
