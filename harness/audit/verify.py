"""`harness verify RESULTS`: train a sample of the recorded runs again, judge the claims again, and compare.

The sampled runs are trained without the companions with which they were recorded: on a CPU these seldom change a bit (see
`harness.engine.independence`). Only a run that then differs is trained once more with all of them, where not a bit may differ.
Where the environment is another one, everything is held to tolerances (see `harness.audit.agreement`).
"""

import random
from dataclasses import dataclass
from pathlib import Path

import click
import pandas as pd
import torch

from harness.audit.agreement import TOLERANCES, moved, unknown, until, within_tolerances
from harness.audit.claims_again import chain_in_words, chain_problems, claims_that_differ
from harness.audit.recorded import Key, Recorded, altered, read_results
from harness.engine.devices import cores_of, device_name, find_devices
from harness.engine.planning import apart, copy_of, cut, groups
from harness.engine.runs import Run
from harness.execution.costs import Costs
from harness.execution.trainer import Executor
from harness.execution.workers import Workers
from harness.inference.outcomes import Outcome, in_bits
from harness.lead.progress.progress import Progress
from harness.lead.progress.tally import Tally
from harness.lead.terminal.displays import display_for
from harness.lead.terminal.events import Began
from harness.ledger.claim_record import REGISTERED
from harness.ledger.environment import environment, obstacles
from harness.ledger.run_table import OUTCOME
from harness.reporting.trace import traced
from harness.reporting.whole import MARK
from harness.settings import InvalidStudy, Problem, levels
from harness.settings.metrics import METRICS
from harness.settings.show import aligned, counted

AGREE, DIFFER, OPEN = 0, 1, 3
WORDS = {AGREE: "AGREES", DIFFER: "DIFFERS", OPEN: "OPEN"}


@dataclass(frozen=True)
class Judged:
    """A sampled run, whether it agrees, whether it does so in every bit, and how or where not.

    Attributes:
        agrees: None where nobody can say.
        companions: with how many others it had to be trained, all that it was recorded with; 0 where it was trained without.
    """

    run: Run
    agrees: bool | None
    exactly: bool
    words: str
    companions: int = 0


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
    if recorded.curves is None:
        click.echo("curves.parquet is not there: what a run came to is compared, not the way to it.")
    elif not recorded.whole:
        click.echo(
            "curves.parquet is not there: what a run came to is compared, and its first, last and few other steps."
        )
    why = obstacles(recorded.environment, environment(", ".join(map(device_name, places))))
    if why:
        click.echo("Compared within tolerances, since bits need not be equal here:")
        click.echo("\n".join(f"  {line}" for line in why) + f"\nThat is: {TOLERANCES}.")
    else:
        found = "change no bit here, as far as was tried" if recorded.alone else "may change bits here"
        click.echo(
            "Compared bit for bit: versions, platform and processor are those recorded.\n"
            f"Companions {found}: runs are trained without, and again with all of them only where a bit differs."
        )
    judged, pairs = train_and_judge(recorded, chosen, places, exactly=not why)
    click.echo("\n".join(table(judged)))
    off = {} if not why else moved(pairs)
    for name, (higher, several) in off.items():
        click.echo(
            f"{name}: of {counted(several, 'run')} in which it is off {higher} are higher again, which is no chance"
        )
    wrong = claims_that_differ(recorded, folder, exactly=not why)
    click.echo("\n".join(f"claims.json: {line}" for line in wrong or ["every verdict follows from the runs"]))
    broken = chain_problems(recorded, folder)
    click.echo("\n".join(f"{REGISTERED}: {line}" for line in broken or [chain_in_words(folder)]))
    others = altered(folder)
    for name in others:
        click.echo(f"{name}: is not the file that was written with the others, by its digest in {MARK}")
    agreeing, bits = sum(found.agrees is True for found in judged), sum(found.exactly for found in judged)
    unsaid, differing = (sum(found.agrees is agrees for found in judged) for agrees in (None, False))
    code = DIFFER if differing or off or wrong or broken or others else AGREE if agreeing else OPEN
    curves = "a curve" if recorded.curves is None else "whole curves"
    among = sum(found.exactly and found.companions > 0 for found in judged)
    click.echo(f"{WORDS[code]}: {agreeing} of {counted(len(judged), 'run agrees', 'runs agree')}, {bits} of them in every bit"
               + (f", {among} of these only with all companions" if among else "")
               + (f"; of {unsaid} nobody can say without {curves}" if unsaid else "")
               + (f"; {', '.join(off)} moved to one side" if off else "")
               + ("; the record of claims is not sound" if broken else "")
               + (f"; {counted(len(others), 'file was', 'files were')} changed" if others else "")
               + (f"; {counted(len(wrong), 'number of claims.json does', 'numbers of claims.json do')} not." if wrong else "."))  # fmt: skip
    return code


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
    """Train the chosen runs without their companions, and those that then differ in a bit with all of them.

    Args:
        recorded: what to compare with.
        chosen: the sampled runs.
        places: devices.
        exactly: whether every bit must agree.

    Returns:
        A judgement on each run, and recorded and new outcome of each, ordered by trial and seed.
    """
    before = {key: outcome(recorded.runs, recorded.curves, key, whole=recorded.whole) for key in chosen}
    display, companions = display_for(as_lines_of_json=False, quiet=False), dict.fromkeys(chosen, 0)
    progress, costs = Progress(0, 0, tell=display.tell), Costs({}, recorded.study.evaluations)
    undecided: set[Key] = set()  # their companions are no runs of the study any more, so that bits may differ
    populations = without_companions(recorded, chosen)
    with executor(recorded, places, len(populations)) as trainer, display:
        display.tell(Began(recorded.study.name, {}, 1, 0, 0))
        progress.begin("verify")
        again = train(trainer, populations, chosen, costs, progress, whole=recorded.whole)
        if exactly:
            among = {_key(run): population for population in populations for run in population}
            parts = {key: recorded.parts[recorded.part_of[key]] for key in chosen if in_bits(before[key], again[key])}
            undecided |= {key for key, part in parts.items() if not part.whole}
            parts = {key: part for key, part in parts.items() if part.whole and _keys(part.runs) != _keys(among[key])}
            companies = [recorded.parts[i].runs for i in sorted({recorded.part_of[key] for key in parts})]
            again |= train(trainer, companies, set(parts), costs, progress, whole=recorded.whole)
            companions |= {key: len(part.runs) - 1 for key, part in parts.items()}
    judged = [
        judge(
            _run(recorded, key), before[key], again[key], exactly=exactly and key not in undecided,
            companions=companions[key],
        )
        for key in sorted(chosen)
    ]  # fmt: skip
    return judged, [(before[key], again[key]) for key in sorted(chosen)]


def without_companions(recorded: Recorded, chosen: set[Key]) -> list[list[Run]]:
    """The chosen runs in as few populations as can be, none wider than those recorded; a run recorded by the plain loop is one.

    A run that trained in a population and would be the only one of its kind here gets a copy of itself as a companion: alone it
    would be trained by the plain loop.
    """
    part_of = {key: recorded.parts[recorded.part_of[key]] for key in sorted(chosen)}
    runs = {key: _run(recorded, key) for key in part_of}
    plain = {key for key, part in part_of.items() if part.whole and len(part.runs) == 1}
    populations = [part_of[key].runs for key in part_of if key in plain]
    together = [run for key, run in runs.items() if key not in plain]
    phases = [[run for run in together if run.confirm is confirm] for confirm in (False, True)]
    for kind in [kind for phase in phases for kind in groups(phase).values()]:
        mixed = any(
            len(apart(part_of[_key(run)].runs)) > 1 for run in kind
        )  # else it may be that only equal modules share
        for alike in [kind] if mixed else apart(kind):
            most = max(2, *(len(part_of[_key(run)].runs) for run in alike))
            for few in cut(alike, -(-len(alike) // most)):
                filled = few if len(few) > 1 else [*few, copy_of(few[0])]
                populations.append(sorted(filled, key=lambda run: run.seed))
    return populations


def judge(run: Run, before: Outcome, again: Outcome, *, exactly: bool, companions: int) -> Judged:
    """Compare one run with its record; see `Judged`."""
    difference = in_bits(before, again)
    if difference is None:
        among = f" with its {counted(companions, 'companion')}, not without" if companions else ""
        return Judged(run, True, True, f"agrees in every bit{among}", companions)
    if exactly:
        return Judged(run, False, False, str(difference), companions)
    difference = within_tolerances(before, again)
    if difference is not None:
        return Judged(run, False, False, str(difference))
    if (off := unknown(before, again)) is not None:
        return Judged(
            run,
            None,
            False,
            f"may have parted, which nobody can say without its {'whole ' * (before.curve is not None)}curve ({off})",
        )
    return Judged(run, True, False, f"agrees within tolerances{until(before, again)}")


def executor(recorded: Recorded, places: list[torch.device], populations: int) -> Executor:
    """What trains: a process for each device; on a CPU for each core, as far as there are populations."""
    return Workers(places * min(cores_of(places[0]), populations), recorded.study)


def train(
    trainer: Executor, populations: list[list[Run]], wanted: set[Key], costs: Costs, progress: Progress, *, whole: bool
) -> dict[Key, Outcome]:  # fmt: skip
    """Train populations; the outcome of those of their runs that are wanted, their curves whole or as traces."""
    every = [run for runs in populations for run in runs]
    progress.more(runs=len(every), steps=sum(run.setup.steps for run in every), work=sum(map(costs.of, every)))
    tally = Tally(populations, {_key(run) for run in every}, costs, progress)
    found: dict[Key, Outcome] = {}
    for index, trained in trainer.train(populations, tally.report, lambda: False):
        tally.arrived(index, trained)
        for note in trained.notes:
            progress.say(note)
        for key, error in trained.errors.items():
            progress.say(f"trial {key[0]}, seed {key[1]}: {error.strip().splitlines()[-1]}")
        kept = trained.curves if whole else traced(trained.curves)
        runs, curves = (table.set_index(["trial", "seed"]) for table in (trained.runs, kept))
        found |= {key: outcome(runs, curves, key, whole=whole) for key in runs.index if key in wanted}
        progress.diverged += int((runs["status"] == "diverged").sum())
        progress.collapsed += int((runs["status"] == "collapsed").sum())
        progress.there(runs=len(runs), steps=0, work=0)
    return found


def outcome(runs: pd.DataFrame, curves: pd.DataFrame | None, key: Key, *, whole: bool = True) -> Outcome:
    """What two tables, indexed by trial and seed, hold of a run; not what compares it with other seeds."""
    (row,) = runs.loc[[key]].to_dict("records")
    curve = None if curves is None else curves.loc[[key]] if key in curves.index else curves[:0]
    own = [name for name, metric in METRICS.items() if not metric.across_runs]
    return Outcome({name: row[name] for name in (*OUTCOME, *own) if name in row}, curve, whole)


def table(judged: list[Judged]) -> list[str]:
    """A line for each run: trial, seed, factors, judgement."""
    rows = [("trial", "seed", "factors", "")]
    rows += [(str(j.run.trial), str(j.run.seed), levels.in_words(j.run.values), j.words) for j in judged]
    return aligned(rows)


def _key(run: Run) -> Key:
    return run.trial, run.seed


def _keys(runs: list[Run]) -> list[Key]:
    return list(map(_key, runs))


def _run(recorded: Recorded, key: Key) -> Run:
    """The run, as it stands in the part that it was recorded from."""
    return next(run for run in recorded.parts[recorded.part_of[key]].runs if _key(run) == key)
