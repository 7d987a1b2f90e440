"""What `harness bench` measures: plain loops, populations and their limit, each in processes that run a few steps when called."""

import math
import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from harness.audit.workloads import WORKLOADS
from harness.engine.allocator import prepare_process
from harness.engine.devices import cores_of, use
from harness.engine.memory_budget import parse_memory
from harness.engine.obstacles import measured_costs
from harness.engine.population_width import best_width, bytes_per_member, most_members
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.engine.timing import seconds, steps_of
from harness.execution.processes import huge_pages
from harness.optimizers import SGD

STEPS = 5
"""Between two looks at the clock."""


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
    use(device)
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
