"""Digests of what a thing depends on: of texts, bytes and files, and of the harness's own code."""

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path


def digest_of(parts: Iterable[str | bytes | Path]) -> str:
    """Of texts, bytes, and files with their names; a file that cannot be read counts by its name."""
    digest = hashlib.sha256()
    for part in parts:
        for content in _contents(part):
            digest.update(len(content).to_bytes(8, "little"))
            digest.update(content)
    return digest.hexdigest()


def digest_of_file(path: Path) -> str:
    """Of a file's bytes, of which never many are in memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _contents(part: str | bytes | Path) -> Iterable[bytes]:
    if isinstance(part, bytes):
        return [part]
    name = str(part).encode()
    if isinstance(part, str):
        return [name]
    try:
        return [name, part.read_bytes()]
    except OSError:
        return [name]


@functools.cache
def own_code() -> str:
    """Of all files of the harness."""
    return digest_of(sorted(Path(__file__).parents[1].rglob("*.py")))
