"""Free memory: what the operating system has left, and the tighter bound of a container or a cluster's job."""

from pathlib import Path

import psutil
import pytest
import torch

from harness.engine.memory_budget import parse_memory
from harness.settings import cgroups
from harness.settings.machine import free_memory

GIB = 2**30
V2_MOUNT = "30 23 0:26 {inside} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1_MOUNT = "35 31 0:32 {inside} /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
OTHER_MOUNTS = (
    "23 1 0:1 / / rw - ext4 /dev/vda rw\n32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"
)


def process(root: Path, groups: str, mounts: str) -> Path:
    """A machine whose process lies in these groups."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups)
    (root / "proc/self/mountinfo").write_text(OTHER_MOUNTS + mounts)
    return root


def group_v2(root: Path, path: str, limit: str, used: int, inactive: int = 0) -> None:
    folder = root / "sys/fs/cgroup" / path
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 1\nactive_file 5\ninactive_file {inactive}\n")


def group_v1(root: Path, path: str, limit: int, used: int, inactive: int = 0) -> None:
    folder = root / "sys/fs/cgroup/memory" / path
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.limit_in_bytes").write_text(f"{limit}\n")
    (folder / "memory.usage_in_bytes").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"inactive_file 7\ntotal_inactive_file {inactive}\n")


def test_a_containers_limit_leaves_what_is_not_used_and_the_file_cache_nobody_uses(tmp_path: Path) -> None:
    root = process(tmp_path, "0::/\n", V2_MOUNT.format(inside="/"))
    group_v2(root, ".", limit=str(8 * GIB), used=3 * GIB, inactive=1 * GIB)
    assert cgroups.memory_left(root) == 6 * GIB


def test_the_tightest_of_nested_limits_binds_wherever_it_lies(tmp_path: Path) -> None:
    root = process(tmp_path, "0::/slurm/job_7/step_0\n", V2_MOUNT.format(inside="/"))
    group_v2(root, "slurm/job_7/step_0", limit="max", used=1 * GIB)
    group_v2(root, "slurm/job_7", limit=str(4 * GIB), used=3 * GIB)
    group_v2(root, "slurm", limit=str(64 * GIB), used=20 * GIB)
    assert cgroups.memory_left(root) == 1 * GIB
    group_v2(root, "slurm", limit=str(64 * GIB), used=64 * GIB)
    assert cgroups.memory_left(root) == 0
    group_v2(root, "slurm", limit="max", used=64 * GIB)
    group_v2(root, "slurm/job_7/step_0", limit=str(2 * GIB), used=2 * GIB + 1)  # for a moment more than allowed
    assert cgroups.memory_left(root) == 0


def test_no_limit_is_no_bound(tmp_path: Path) -> None:
    root = process(tmp_path, "0::/user.slice\n", V2_MOUNT.format(inside="/"))
    group_v2(root, "user.slice", limit="max", used=3 * GIB)
    assert cgroups.memory_left(root) is None


def test_the_first_version_of_control_groups_binds_as_well(tmp_path: Path) -> None:
    groups = "9:name=systemd:/\n4:memory:/slurm/uid_0/job_1\n1:cpu,cpuacct:/\n0::/\n"
    mounts = V1_MOUNT.format(inside="/") + V2_MOUNT.format(inside="/").replace("cgroup rw", "cgroup/unified rw", 1)
    root = process(tmp_path, groups, mounts)
    unlimited = 9223372036854771712
    group_v1(root, "slurm/uid_0/job_1", limit=10 * GIB, used=6 * GIB, inactive=2 * GIB)
    group_v1(root, "slurm/uid_0", limit=unlimited, used=6 * GIB)
    group_v1(root, ".", limit=unlimited, used=6 * GIB)
    assert cgroups.memory_left(root) == 6 * GIB


@pytest.mark.parametrize("below", ["", "/below"])
def test_a_container_that_sees_its_group_as_the_root_finds_it(tmp_path: Path, below: str) -> None:
    """Docker with the first version: the path is the host's, the mount begins at the container's own group."""
    root = process(tmp_path, f"4:memory:/docker/a1b2{below}\n", V1_MOUNT.format(inside="/docker/a1b2"))
    group_v1(root, ".", limit=3 * GIB, used=1 * GIB)
    assert cgroups.memory_left(root) == 2 * GIB
    group_v1(root, below.lstrip("/") or ".", limit=2 * GIB, used=1 * GIB)
    assert cgroups.memory_left(root) == 1 * GIB


def test_where_there_are_no_control_groups_nothing_is_read(tmp_path: Path) -> None:
    assert cgroups.memory_left(tmp_path) is None


def test_free_memory_is_the_smaller_of_what_machine_and_groups_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    monkeypatch.setattr(cgroups, "memory_left", lambda: 12345)
    assert free_memory(cpu) == 12345
    assert parse_memory(None, cpu) == 6172  # half of it
    monkeypatch.setattr(cgroups, "memory_left", lambda: None)
    total = psutil.virtual_memory().total
    assert 0 < free_memory(cpu) <= total
    monkeypatch.setattr(cgroups, "memory_left", lambda: 2 * total)
    assert 0 < free_memory(cpu) <= total
