"""`harness verify RESULTS`: train a sample of the recorded runs again, judge the claims again, and compare.

A run is trained among those with which it was recorded to have trained, cut to blocks of the `NARROWEST` members beside
it: on a CPU that seldom changes a bit. Only a run that then differs is trained once more with all of them, where not a bit
may differ. Where the environment is another one, everything is held to tolerances (see `harness.audit.agreement`).
"""

import random
from dataclasses import dataclass
from pathlib import Path

import click
import pandas as pd
import torch

from harness.audit.agreement import TOLERANCES, Outcome, in_bits, moved, parting, within_tolerances
from harness.audit.claims_again import chain_in_words, chain_problems, claims_that_differ
from harness.audit.recorded import OUTCOME, Key, Recorded, read_results
from harness.engine.devices import cores_of, device_name, find_devices
from harness.engine.planning import NARROWEST
from harness.engine.runs import Run
from harness.execution.trainer import Executor
from harness.execution.workers import Workers
from harness.lead import console
from harness.ledger.claim_record import REGISTERED
from harness.ledger.environment import environment, obstacles
from harness.settings import InvalidStudy, Problem, levels
from harness.settings.metrics import METRICS
from harness.settings.progress import Progress
from harness.settings.show import counted

AGREE, DIFFER = 0, 1


@dataclass(frozen=True)
class Judged:
    """A sampled run, whether it agrees, whether it does so in every bit, and how or where not."""

    run: Run
    agrees: bool
    exactly: bool
    words: str


def verify(folder: Path, sample: int, seed: int | None, devices: str | None, study_file: Path | None) -> int:
    """All of it in order; returns the exit code.

    Raises:
        InvalidStudy: the folder, the study or the devices do not serve.
    """
    recorded = read_results(folder, study_file)
    places = _places(recorded, devices)
    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    chosen = choose(recorded, sample, seed)
    failed = int((recorded.runs["status"] == "failed").sum())
    click.echo(
        f"{recorded.study.name}: {len(chosen)} of {counted(len(recorded.runs), 'run')}, chosen by --seed {seed}"
        + (f"; {failed} failed and are not sampled" if failed else "")
    )
    why = obstacles(recorded.environment, environment(", ".join(map(device_name, places))))
    if why:
        click.echo("Compared within tolerances, since bits need not be equal here:")
        click.echo("\n".join(f"  {line}" for line in why) + f"\nThat is: {TOLERANCES}.")
    else:
        click.echo("Compared bit for bit: versions, platform and processor are those recorded.")
    judged, pairs = train_and_judge(recorded, chosen, places, exactly=not why)
    click.echo("\n".join(table(judged)))
    off = {} if not why else moved(pairs)
    for name, median in off.items():
        click.echo(f"{name}: the median difference is {median:.0%}")
    wrong = claims_that_differ(recorded, folder, exactly=not why)
    click.echo("\n".join(f"claims.json: {line}" for line in wrong or ["every verdict follows from the runs"]))
    broken = chain_problems(recorded, folder)
    click.echo("\n".join(f"{REGISTERED}: {line}" for line in broken or [chain_in_words(folder)]))
    agreeing, bits = sum(found.agrees for found in judged), sum(found.exactly for found in judged)
    good = agreeing == len(judged) and not off and not wrong and not broken
    click.echo(f"{'AGREES' if good else 'DIFFERS'}: {agreeing} of {counted(len(judged), 'run agrees', 'runs agree')}, {bits} of them in every bit"
               + (f"; the medians of {', '.join(off)} do not" if off else "")
               + ("; the record of claims is not sound" if broken else "")
               + (f"; {counted(len(wrong), 'number of claims.json does', 'numbers of claims.json do')} not." if wrong else "."))  # fmt: skip
    return AGREE if good else DIFFER


def _places(recorded: Recorded, devices: str | None) -> list[torch.device]:
    """Where to train: the noise of dropout is that of a kind of device, so it must be the recorded one."""
    kind = "cuda" if "cuda" in recorded.environment.get("devices", "") else "cpu"
    places = find_devices(devices or ("auto" if kind == "cuda" else "cpu"))
    if {place.type for place in places} != {kind}:
        message = f"the runs were trained on {kind}, and another kind of device draws other dropout noise"
        raise InvalidStudy([Problem("--devices", message, ", ".join(map(str, places)))])
    return places


def choose(recorded: Recorded, sample: int, seed: int) -> set[Key]:
    """A random sample of the runs that did not fail.

    Raises:
        InvalidStudy: there are none.
    """
    there = recorded.runs.index[recorded.runs["status"] != "failed"].tolist()
    if not there:
        raise InvalidStudy([Problem("runs.parquet", "all runs failed: there is nothing to train again")])
    return set(random.Random(seed).sample(there, min(sample, len(there))))


def train_and_judge(
    recorded: Recorded, chosen: set[Key], places: list[torch.device], *, exactly: bool
) -> tuple[list[Judged], list[tuple[Outcome, Outcome]]]:
    """Train the parts that the chosen runs were recorded from, as much of them as needed.

    Args:
        recorded: what to compare with.
        chosen: the sampled runs.
        places: devices; a process for each.
        exactly: whether every bit must agree.

    Returns:
        A judgement on each run, and recorded and new outcome of each, ordered by trial and seed.
    """
    inside: dict[int, set[Key]] = {}
    for key in sorted(chosen):
        inside.setdefault(recorded.part_of[key], set()).add(key)
    before = {key: outcome(recorded.runs, recorded.curves, key) for key in chosen}
    progress = Progress(0, 0)
    with executor(recorded, places) as trainer, console.shown(progress, quiet=False):
        blocks = [(block(recorded.parts[part], keys), keys) for part, keys in inside.items()]
        again = train(trainer, blocks, progress)
        if exactly:
            differing = {key for key in chosen if in_bits(before[key], again[key])}
            doubtful = [
                (recorded.parts[part], keys & differing)
                for (trained, keys), part in zip(blocks, inside, strict=True)
                if keys & differing and len(trained) < len(recorded.parts[part])
            ]
            again |= train(trainer, doubtful, progress)
    run_of = {_key(run): run for part in inside for run in recorded.parts[part]}
    judged = [judge(run_of[key], before[key], again[key], exactly=exactly) for key in sorted(chosen)]
    return judged, [(before[key], again[key]) for key in sorted(chosen)]


def judge(run: Run, before: Outcome, again: Outcome, *, exactly: bool) -> Judged:
    """Compare one run with its record."""
    difference = in_bits(before, again)
    if difference is None:
        return Judged(run, True, True, "agrees in every bit")
    if exactly:
        return Judged(run, False, False, str(difference))
    difference = within_tolerances(before, again)
    if difference is not None:
        return Judged(run, False, False, str(difference))
    step = parting(before, again)
    return Judged(run, True, False, "agrees within tolerances" + (f" until it parts at step {step}" if step else ""))


def block(part: list[Run], chosen: set[Key]) -> list[Run]:
    """The chosen members of a part and those beside them, in blocks of `NARROWEST`."""
    wanted = {i // NARROWEST for i, run in enumerate(part) if _key(run) in chosen}
    return [run for i, run in enumerate(part) if i // NARROWEST in wanted]


def executor(recorded: Recorded, places: list[torch.device]) -> Executor:
    """What trains: a process for each device."""
    return Workers(places, max(1, cores_of(places[0]) // len(places)), recorded.study)


def train(trainer: Executor, blocks: list[tuple[list[Run], set[Key]]], progress: Progress) -> dict[Key, Outcome]:
    """Train blocks of runs; the outcome of those runs of each that are asked for."""
    progress.steps += sum(run.setup.steps for runs, _ in blocks for run in runs)
    progress.runs += sum(len(runs) for runs, _ in blocks)
    found: dict[Key, Outcome] = {}
    populations = [runs for runs, _ in blocks]
    for index, trained in trainer.train(populations, lambda steps, _: progress.add(steps=steps), lambda: False):
        for note in trained.notes:
            progress.say(note)
        for key, error in trained.errors.items():
            progress.say(f"trial {key[0]}, seed {key[1]}: {error.strip().splitlines()[-1]}")
        runs, curves = (table.set_index(["trial", "seed"]) for table in (trained.runs, trained.curves))
        found |= {key: outcome(runs, curves, key) for key in runs.index if key in blocks[index][1]}
        progress.diverged += int((runs["status"] == "diverged").sum())
        progress.collapsed += int((runs["status"] == "collapsed").sum())
        progress.add(runs=len(runs))
    return found


def outcome(runs: pd.DataFrame, curves: pd.DataFrame, key: Key) -> Outcome:
    """What two tables, indexed by trial and seed, hold of a run; not what compares it with other seeds."""
    (row,) = runs.loc[[key]].to_dict("records")
    curve = curves.loc[[key]] if key in curves.index else curves[:0]
    own = [name for name, metric in METRICS.items() if not metric.across_runs]
    return Outcome({name: row[name] for name in (*OUTCOME, *own) if name in row}, curve)


def table(judged: list[Judged]) -> list[str]:
    """A line for each run: trial, seed, factors, judgement."""
    rows = [("trial", "seed", "factors", "")]
    rows += [(str(j.run.trial), str(j.run.seed), levels.in_words(j.run.values), j.words) for j in judged]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    return ["  ".join([*map(str.ljust, row[:3], widths), row[3]]).rstrip() for row in rows]


def _key(run: Run) -> Key:
    return run.trial, run.seed
