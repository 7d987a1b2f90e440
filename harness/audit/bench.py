"""`python -m harness.bench`: what a training step costs here, against a plain PyTorch loop and against the hardware.

For each workload, in turns: one model trained by a plain loop with all threads; as many plain loops as cores, of one thread
each, with the fused optimizer; the way in which a study trains (on a CPU in each of several processes); and the limit, which
is the same arithmetic as batched matrix products of the same shapes plus the unavoidable memory traffic, in the same
processes. No two contenders ever run at once.
"""

import json
import math
import multiprocessing
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import click
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from harness.audit.workloads import WORKLOADS
from harness.engine.allocator import prepare_process
from harness.engine.devices import cores_of, device_name, find_devices
from harness.engine.memory_budget import parse_memory
from harness.engine.obstacles import measured_costs
from harness.engine.population_width import best_width, bytes_per_member, most_members
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.engine.timing import seconds, steps_of
from harness.execution.processes import huge_pages
from harness.optimizers import SGD

STEPS, WARM_UP, ROUNDS = 5, 2, 9
"""Steps between two looks at the clock, and how often each contender has its turn, unmeasured and measured."""


@dataclass(frozen=True)
class Row:
    """Medians for one workload, in milliseconds per step and model.

    `limit_ms` is NaN where not all products of a step are known. `ratio` is the plain loop over ours, `ratio_per_core` as many plain loops as cores over ours; a width of 1 is the plain loop.
    """

    workload: str
    processes: int
    width: int
    plain_ms: float
    per_core_ms: float
    population_ms: float
    limit_ms: float
    ratio: float
    ratio_per_core: float
    share_of_limit: float


def plain(name: str, device: torch.device, *, fused: bool) -> Callable[[], None]:
    """What a user would write today: one model, `torch.optim`, `clip_grad_norm_`. Runs `STEPS` steps."""
    setup = WORKLOADS[name].setup()
    data = setup.task.data(0)
    model = setup.model.build(setup.task.sizes(data)).to(device)
    kind = torch.optim.SGD if isinstance(setup.optimizer, SGD) else torch.optim.Adam
    optimizer = kind(model.parameters(), lr=dict(setup.optimizer.walk())["lr"], fused=fused)
    x, y = data.x.to(device), data.y.to(device)
    batches = data.train[: 2 * setup.batch_size].view(2, -1).to(device)

    def steps() -> None:
        for i in range(STEPS):
            index = batches[i % 2]
            optimizer.zero_grad()
            output = model(x[index])
            loss: Tensor = F.cross_entropy(output.flatten(0, -2), y[index].flatten())
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()

    return steps


@measured_costs()
def _contend(pipe: Connection, name: str, who: tuple[str, ...], width: int, device: torch.device, threads: int) -> None:
    """What a process does: prepare contenders, run the one that is called, say how many seconds it took."""
    torch.set_num_threads(threads)
    setup = WORKLOADS[name].setup()
    ready: dict[str, Callable[[], None]] = {}
    for contender in who:
        if contender == "plain":
            ready[contender] = plain(name, device, fused=False)
        elif contender == "per core":
            ready[contender] = plain(name, device, fused=True)
        else:
            prepare_process()
            ready[contender] = (population if contender == "population" else limit)(setup, width, device)
    while called := pipe.recv():
        pipe.send(seconds(ready[called], device))


class Team:
    """Processes that run the same contenders at the same time."""

    def __init__(self, size: int, *args: object) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipes, self._processes = [], []
        for _ in range(size):
            ours, theirs = context.Pipe()
            process = context.Process(target=_contend, args=(theirs, *args), daemon=True)
            process.start()
            self._pipes.append(ours)
            self._processes.append(process)

    def turn(self, who: str) -> float:
        """Seconds until the last of them is done with one call of `who`."""
        for pipe in self._pipes:
            pipe.send(who)
        return max(float(pipe.recv()) for pipe in self._pipes)

    def dismiss(self) -> None:
        """End the processes."""
        for pipe, process in zip(self._pipes, self._processes, strict=True):
            pipe.send("")
            process.join()


def workers(name: str, width: int, device: torch.device) -> Team:
    """A workload's population and its limit, in processes such as a study's workers: a core, and huge pages, for each."""
    with huge_pages():
        return Team(cores_of(device), name, ("population", "limit"), width, device, 1)


def members(setup: Setup, width: int) -> list[Run]:
    """Runs of 8 seeds with several learning rates."""
    lr = dict(setup.optimizer.walk())["lr"]
    runs = [Run(i // 8, i % 8, setup.with_value("optimizer.lr", lr * (1 + i // 8) / 8)) for i in range(width)]
    return sorted(runs, key=lambda run: run.seed)


def chosen_width(setup: Setup, device: torch.device) -> int:
    """Members of a population, as a study would choose."""
    memory_bytes = parse_memory(None, device) // cores_of(device)
    runs = members(setup, 512)
    return best_width(runs, device, most_members(bytes_per_member(runs[0], device), memory_bytes))[0]


def population(setup: Setup, width: int, device: torch.device) -> Callable[[], None]:
    """A population. Runs `STEPS` steps."""
    step = steps_of(members(setup, width), device)

    def steps() -> None:
        for _ in range(STEPS):
            step()

    return steps


def has_limit(name: str) -> bool:
    """Whether all products of a workload are those of linear and recurrent layers, which `limit` knows."""
    setup = WORKLOADS[name].setup()
    model = setup.model.build(setup.task.sizes(setup.task.data(0)))
    known = {
        id(p)
        for layer in model.modules()
        if isinstance(layer, nn.Linear | nn.RNNBase | nn.Embedding)
        for p in layer.parameters()
    }
    return all(id(p) in known for p in model.parameters() if p.dim() > 1)


def limit(setup: Setup, width: int, device: torch.device) -> Callable[[], None]:
    """The matrix products of a step, batched over members, and the optimizer's memory traffic. Runs one step."""
    data = setup.task.data(0)
    model = setup.model.build(setup.task.sizes(data))
    products: list[tuple[int, int, int, int]] = []  # times, rows, inner, columns
    first = next(m for m in model.modules() if isinstance(m, nn.Linear | nn.RNNBase))

    def record(layer: nn.Module, inputs: tuple[Tensor, ...], _: object) -> None:
        x = inputs[0]
        rows = x.numel() // x.shape[-1]
        if isinstance(layer, nn.Linear):
            n, m = layer.in_features, layer.out_features
        else:
            assert isinstance(layer, nn.RNNBase)
            gates = {"LSTM": 4, "GRU": 3}.get(layer.mode, 1)
            n, m, h = layer.input_size, gates * layer.hidden_size, layer.hidden_size
            products.extend([(x.shape[1], x.shape[0], h, m), (x.shape[1], x.shape[0], m, h), (1, m, rows, h)])
        products.extend([(1, rows, n, m), (1, m, rows, n)] + ([(1, rows, m, n)] if layer is not first else []))

    hooks = [m.register_forward_hook(record) for m in model.modules() if isinstance(m, nn.Linear | nn.RNNBase)]
    model(data.x[: setup.batch_size])
    for hook in hooks:
        hook.remove()
    size = sum(p.numel() for p in model.parameters())
    state = len(setup.optimizer.state_names)
    # Read parameters, gradient and state, write parameters and state; a copy reads and writes one array each.
    traffic = torch.empty(2, width, math.ceil(size * (3 + 2 * state) / 2), device=device)
    arrays = [(times, *_operands(width, rows, inner, cols, device)) for times, rows, inner, cols in products]

    def step() -> None:
        for times, a, b, out in arrays:
            for _ in range(times):
                torch.bmm(a, b, out=out)
        traffic[0].copy_(traffic[1])

    return step


def _operands(width: int, rows: int, inner: int, columns: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    shapes = (rows, inner), (inner, columns), (rows, columns)
    a, b, out = (torch.randn(width, *shape, device=device) for shape in shapes)
    return a, b, out


def measure(name: str, width: int | None, device: torch.device) -> Row:
    """Medians of one workload, the contenders taking turns."""
    setup = WORKLOADS[name].setup()
    assert not setup.problems(), setup.problems()
    cores = cores_of(device)
    width = width or chosen_width(setup, device)
    alone, ours = Team(1, name, ("plain",), 1, device, cores), workers(name, width, device)
    spread = Team(cores, name, ("per core",), 1, device, 1)
    turns: dict[str, Callable[[], float]] = {
        "plain": lambda: alone.turn("plain") / STEPS,
        "per core": lambda: spread.turn("per core") / STEPS / cores,
        "population": lambda: ours.turn("population") / STEPS / width / cores,
        "limit": lambda: ours.turn("limit") / width / cores,
    }
    for _ in range(WARM_UP):
        for turn in turns.values():
            turn()
    times = [{who: turn() for who, turn in turns.items()} for _ in range(ROUNDS)]
    for team in (alone, spread, ours):
        team.dismiss()
    ms = {who: statistics.median(t[who] for t in times) * 1e3 for who in turns}
    ms["limit"] = ms["limit"] if has_limit(name) else math.nan
    return Row(name, cores, width, ms["plain"], ms["per core"], ms["population"], ms["limit"], ms["plain"] / ms["population"],
               ms["per core"] / ms["population"], ms["limit"] / ms["population"])  # fmt: skip


def _plainly(row: Row) -> dict[str, object]:
    """For JSON, which has no NaN."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value for name, value in asdict(row).items()
    }


def bench(names: Sequence[str], width: int | None, devices: str, json_file: Path | None) -> int:
    """Print a table of the workloads named, and write it to a file; the exit code.

    Args:
        names: of `WORKLOADS`.
        width: members of a population; None as a study would choose.
        devices: see `find_devices`; the first is measured.
        json_file: for the same numbers; None for none.

    Raises:
        InvalidStudy: there is no such device.
    """
    device = find_devices(devices)[0]
    machine = f"{device_name(device)}, torch {torch.__version__}, Python {platform.python_version()}"
    click.echo(f"{machine}; milliseconds per step and model\n")
    click.echo(
        "| workload | processes × width | plain loop | plain loop per core | ours | ratio | ratio per core | limit | share of limit |\n"
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    )
    rows = []
    for name in names:
        row = measure(name, width, device)
        rows.append(row)
        known = "– | – |" if math.isnan(row.limit_ms) else f"{row.limit_ms:.3g} | {row.share_of_limit:.0%} |"
        click.echo(f"| {name} | {row.processes} × {row.width} | {row.plain_ms:.3g} | {row.per_core_ms:.3g} | {row.population_ms:.3g} | "
                   f"{row.ratio:.1f} × | {row.ratio_per_core:.1f} × | {known}")  # fmt: skip
    mean = statistics.geometric_mean(row.ratio for row in rows)
    per_core = statistics.geometric_mean(row.ratio_per_core for row in rows)
    click.echo(f"\nGeometric means of the ratios: {mean:.1f} ×, per core {per_core:.1f} ×")
    if json_file is not None:
        document = {
            "machine": machine,
            "geometric_mean": mean,
            "geometric_mean_per_core": per_core,
            "rows": list(map(_plainly, rows)),
        }
        json_file.write_text(json.dumps(document, indent=1))
    return 0
