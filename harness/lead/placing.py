"""How a study is going to train, found out by another process while this one does something else."""

from collections.abc import Callable

from harness.execution.placement import Placement
from harness.execution.selection import on_cluster, on_host
from harness.execution.trainer import Executor
from harness.lead.options import Options
from harness.settings import InvalidStudy, Problem
from harness.settings.beforehand import Beforehand
from harness.study import Study

Placing = Callable[[], tuple[Executor, Placement]]
"""What trains a study and how it does, once that is known."""


def placing(study: Study, options: Options) -> Placing:
    """Begin to find out for `place`, in another process, how the study trains.

    A cluster is connected by who asks for the result: Linux ends what Ray starts on this host with the thread that started it.
    """
    if options.ray is not None:
        return lambda: _placed(study, options)
    return Beforehand(lambda: _placed(study, options)).result


def _placed(study: Study, options: Options) -> tuple[Executor, Placement]:
    if options.ray is None:
        if options.gpus_per_population is not None:
            raise InvalidStudy([Problem("--gpus-per-population", "needs --ray")])
        return on_host(
            study, devices=options.devices, workers=options.workers, memory=options.memory,
            remember=not options.dry_run, keeping=options.keeping(study.name),
        )  # fmt: skip
    given = {"--devices": options.devices != "auto", "--workers": options.workers is not None}
    if any(given.values()):
        message = "is for this host; with --ray, --gpus-per-population says what a population gets"
        raise InvalidStudy([Problem(option, message) for option, is_given in given.items() if is_given])
    return on_cluster(
        study, address=options.ray, gpus=options.gpus_per_population, memory=options.memory, say=options.say,
        keeping=options.keeping(study.name),
    )  # fmt: skip
