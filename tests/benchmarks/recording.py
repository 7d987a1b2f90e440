"""How many trials a second the leader records and tells, with training replaced by an answer that was made before. Run by hand:

    python tests/benchmarks/recording.py [--cells 500] [--seeds 20] [--width 256] [--services]

One pair of runs trains, and all populations are answered with copies of it. `--services` keeps trials in PostgreSQL and records
on an MLflow server with PostgreSQL, both started here; else journal and SQLite in a folder, as by default. Prints seconds from the
first population to the last record (leading), seconds of the leader's CPU in these, runs and trials a second, and seconds to the report.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Self

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))
from services import MlflowServer, Postgres

from harness import Study, Sweep
from harness.clipping import GlobalNorm
from harness.engine.runs import Run
from harness.execution.trainer import OnPopulation, Trained, Trainer
from harness.lead import flow
from harness.lead.leader import Leader
from harness.lead.placing import placing
from harness.models import DropoutNet
from harness.optimizers import SGD
from harness.tasks import Images


class Answers:
    """An executor that answers every population with rows of a pair of runs that was trained before."""

    def __init__(self, evaluations: int) -> None:
        self._trainer = Trainer(torch.device("cpu"), evaluations)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def train(
        self, populations: list[list[Run]], report: OnPopulation, _stop: Callable[[], bool]
    ) -> Iterator[tuple[int, Trained]]:
        pair = populations[0][:2]
        template = self._trainer.train(pair, lambda steps, diverged: None)
        one = [
            table[(table["trial"] == pair[0].trial) & (table["seed"] == pair[0].seed)]
            for table in (template.runs, template.curves)
        ]
        for index, runs in enumerate(populations):
            rows, curves = (table.iloc[[place for _ in runs for place in range(len(table))]].copy() for table in one)
            for table, each in ((rows, 1), (curves, len(one[1]))):
                table["trial"] = [run.trial for run in runs for _ in range(each)]
                table["seed"] = [run.seed for run in runs for _ in range(each)]
            report(index, sum(run.setup.steps for run in runs), 0)
            yield (
                index,
                replace(template, runs=rows, curves=curves, parts=(tuple((run.trial, run.seed) for run in runs),)),
            )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cells", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--width", type=int, default=256, help="members of a population")
    parser.add_argument("--services", action="store_true")
    chosen = parser.parse_args()
    study = Study(
        name="recording", task=Images("digits"), model=DropoutNet(hidden=(16,), dropout=Sweep(*(i / 21 for i in range(20)))),
        clipping=GlobalNorm(Sweep(*(0.1 * 1.2**i for i in range(chosen.cells // 20)))), optimizer=SGD(0.1), batch_size=16, steps=30,
        seeds=chosen.seeds, evaluations=10,
    )  # fmt: skip
    led: dict[str, float] = {}

    def place(*arguments: object) -> object:
        _, placement = placing(*arguments[:2])()  # type: ignore[arg-type]
        ways = {name: replace(way, width=chosen.width) for name, way in placement.ways.items()}
        return Answers(study.evaluations), replace(placement, ways=ways)

    def lead(self: Leader, lost: object = ()) -> None:
        began, cpu = time.perf_counter(), time.process_time()
        original_lead(self, lost)  # type: ignore[arg-type]
        led.update(wall=time.perf_counter() - began, cpu=time.process_time() - cpu, ended=time.perf_counter())

    original_lead, Leader.lead = Leader.lead, lead  # type: ignore[method-assign]
    flow.place = place  # type: ignore[assignment]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        options = {"results": folder / "results", "devices": "cpu"}
        if chosen.services:
            postgres = Postgres()
            stack.callback(postgres.remove)
            server = MlflowServer(postgres.uri("tracking"), folder / "served").start()
            stack.callback(server.kill)
            options |= {"storage": postgres.uri("trials"), "tracking_uri": server.uri}
        study.run(**options)  # type: ignore[arg-type]
        after_s = time.perf_counter() - led["ended"]
    runs, trials = chosen.cells * chosen.seeds, chosen.cells
    print(
        f"{runs:,} runs, {trials:,} trials: {led['wall']:.1f} s leading ({led['cpu']:.1f} s of CPU), {runs / led['wall']:,.0f} runs and "
        f"{trials / led['wall']:.1f} trials a second; report {after_s:.1f} s"
    )


if __name__ == "__main__":
    main()
