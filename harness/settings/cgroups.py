"""The memory that a process's control groups leave it: the bound of containers and of clusters such as Slurm.

Linux only, and by its files alone: elsewhere, and where they cannot be read, there is no such bound. Both versions are read,
https://docs.kernel.org/admin-guide/cgroup-v2.html and https://docs.kernel.org/admin-guide/cgroup-v1/memory.html.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class Files:
    """What the files of a group are called in one version of control groups."""

    limit: str
    used: str
    inactive: str  # the line of memory.stat with the file cache that the kernel drops first


V1 = Files("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
V2 = Files("memory.max", "memory.current", "inactive_file")


def memory_left(root: Path = Path("/")) -> int | None:
    """Bytes that this process may still take by the limits of its groups, the tightest of them; None without a limit.

    A group's limit binds all groups within it, so that every group up to the root of the hierarchy counts. File cache that
    nobody has used for a while is part of what a group uses, but makes room when memory is needed: it counts as free.

    Args:
        root: the folder that holds `proc` and `sys`.
    """
    left = [bytes_left for folder, files in _groups(root) if (bytes_left := _left(folder, files)) is not None]
    return min(left, default=None)


def _left(group: Path, files: Files) -> int | None:
    """What one group's limit leaves; None if it has none or is not to be read."""
    try:
        limit, used = (int((group / name).read_text()) for name in (files.limit, files.used))
    except (OSError, ValueError):  # "max" is no limit; the root of version 2 has no such files
        return None
    statistics = dict(line.split(" ", 1) for line in _lines(group / "memory.stat"))
    return max(0, limit - max(0, used - int(statistics.get(files.inactive, 0))))


def _groups(root: Path) -> Iterator[tuple[Path, Files]]:
    """The folders of this process's groups that may limit memory, from its own one up to the root of the hierarchy."""
    own = _own_groups(root)
    for files, inside, mount in _mounts(root):
        path = own.get(files, PurePosixPath("/"))
        # A container sees its own group as the root of the mount, while the path may be that of the host.
        within = path.relative_to(inside) if path.is_relative_to(inside) else PurePosixPath(str(path).lstrip("/"))
        for part in (within, *within.parents):
            yield mount / part, files


def _own_groups(root: Path) -> dict[Files, PurePosixPath]:
    """The path of this process's group in the hierarchy of each version."""
    found = {}
    for line in _lines(root / "proc/self/cgroup"):
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            found[V2] = PurePosixPath(path)
        elif "memory" in controllers.split(","):
            found[V1] = PurePosixPath(path)
    return found


def _mounts(root: Path) -> Iterator[tuple[Files, PurePosixPath, Path]]:
    """Where hierarchies are mounted: their version, the group that is the mount's root, and the mount's folder."""
    for line in _lines(root / "proc/self/mountinfo"):
        mount, _, filesystem = line.partition(" - ")
        kind, _, options = filesystem.split(" ", 2)
        inside, folder = mount.split()[3:5]
        if kind == "cgroup2":
            yield V2, PurePosixPath(inside), root / folder.lstrip("/")
        elif kind == "cgroup" and "memory" in options.split(","):
            yield V1, PurePosixPath(inside), root / folder.lstrip("/")


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:
        return []
