"""What trains a study: processes of this host, or a Ray cluster."""

from collections.abc import Callable

from harness.engine.devices import find_devices
from harness.engine.keeping import NOTHING, Keeping
from harness.execution import placement
from harness.execution.placement import Placement
from harness.execution.trainer import Executor
from harness.execution.workers import Workers
from harness.settings import InvalidStudy, Problem
from harness.study import Study


def on_host(
    study: Study, *, devices: str, workers: int | None, memory: str | None, remember: bool, keeping: Keeping = NOTHING
) -> tuple[Executor, Placement]:
    """What trains the study on devices of this host, and how it does; arguments as of `place_on_host`, and what is kept of training.

    Raises:
        InvalidStudy: a device or the memory cannot be used, or the study cannot be sent to a process.
    """
    placed = placement.place_on_host(study, find_devices(devices), workers=workers, memory=memory, remember=remember)
    return Workers(placed.places, study, keeping), placed


def on_cluster(
    study: Study, *, address: str, gpus: float | None, memory: str | None, say: Callable[[str], None],
    keeping: Keeping = NOTHING,
) -> tuple[Executor, Placement]:  # fmt: skip
    """What trains the study on a Ray cluster, and how it does.

    Raises:
        InvalidStudy: Ray is not installed, or the cluster or the memory cannot be used.
    """
    try:
        from harness.execution.cluster import Ray
    except ModuleNotFoundError:
        raise InvalidStudy([Problem("--ray", "needs the extra: pip install 'ablation-harness[cluster]'")]) from None
    cluster = Ray(address, gpus, study, keeping)
    say("Measuring populations on the cluster, as soon as it has room for one.")
    try:
        placed = cluster.placement(memory)
    except BaseException:
        cluster.__exit__()
        raise
    for note in cluster.notes():
        say(note)
    return cluster, placed
