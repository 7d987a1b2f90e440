"""The user's folder for what takes long to find out and can be found out again."""

from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """Where such files are kept for this user; it may not exist yet."""
    return platformdirs.user_cache_path("ablation-harness", appauthor=False)
