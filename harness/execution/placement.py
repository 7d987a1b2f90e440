"""Where a study trains: on devices of this host or on a Ray cluster, and how it lies there."""

from collections.abc import Callable
from pathlib import Path

from harness.engine.devices import find_devices
from harness.execution.device_layout import Layout, lay_out
from harness.execution.trainer import Executor, InProcess
from harness.execution.workers import Workers
from harness.settings import InvalidStudy, Problem
from harness.study import Study
from harness.study.load import Changes


def on_host(
    study: Study, study_file: Path, changes: Changes, *, devices: str, workers: int | None, memory: str | None
) -> tuple[Executor, Layout]:
    """What trains the study on devices of this host, and how it lies there.

    Raises:
        InvalidStudy: a device or the memory cannot be used.
    """
    found = find_devices(devices)
    layout = lay_out(study, found, workers=workers, memory=memory)
    if len(layout.places) == 1:
        return InProcess(found[0], study.evaluations), layout
    return Workers(layout.places, layout.threads, study_file, changes), layout


def on_cluster(
    study: Study, study_file: Path, changes: Changes, *, address: str, gpus: float | None, memory: str | None,
    say: Callable[[str], None],
) -> tuple[Executor, Layout]:  # fmt: skip
    """What trains the study on a Ray cluster, and how it lies there.

    Raises:
        InvalidStudy: Ray is not installed, or the cluster or the memory cannot be used.
    """
    try:
        from harness.execution.cluster import Ray
    except ModuleNotFoundError:
        raise InvalidStudy([Problem("--ray", "needs the extra: pip install 'ablation-harness[cluster]'")]) from None
    cluster = Ray(address, gpus, study, study_file, changes)
    say("Measuring populations on the cluster, as soon as it has room for one.")
    return cluster, cluster.lay_out(memory)
