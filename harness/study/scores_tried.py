"""A task's own `losses` and `errors`, tried with initial weights: each gives every example a finite number, and changes nothing."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from harness.engine.evaluation import at_once
from harness.engine.final_metrics import batch_sizes
from harness.engine.left_alone import same_numbers
from harness.engine.own_components import own_scores
from harness.engine.plain_member import PlainMember
from harness.engine.runs import Run
from harness.engine.setup import Setup
from harness.settings import Note, Problem, first_line, show
from harness.settings.machine import one_thread
from harness.settings.randomness import global_generators, stream_seed
from harness.tasks.task import Data, Task
from harness.tasks.usable import MOST_SHOWN, SPLITS

MOST = 256
"""Examples of one kind that are tried."""


def score_problem(task: Task, output: Any, y: Tensor, examples: Tensor, *, train: bool) -> str:
    """How a task's own `losses` or `errors` of a batch do not serve; "" if they do. They are given copies.

    Args:
        task: whose they are.
        output: of a module, for the batch.
        y: its targets, (batch, …).
        examples: int64 indices of the data, (batch,), to be named.
        train: whether it is trained on, by its losses alone; else it is evaluated, without a gradient.
    """
    for name in own_scores(task):
        if name == "losses" or not train:
            with torch.set_grad_enabled(train):
                if wrong := _problem(name, task, output, y, examples):
                    return f"its `{name}` {wrong}"
    return ""


def scores_tried(setup: Setup, data: Data) -> list[Problem]:
    """What is wrong with a task's own `losses` and `errors` of examples of all splits whose targets are unlike; see `unlike`.

    Tried in evaluation, in batches as large as the largest and as the smallest one that comes up.

    Args:
        setup: that takes a step.
        data: of its task.
    """
    task, run = setup.task, Run(0, 0, setup)
    if not own_scores(task):
        return []
    all_examples = torch.cat([getattr(data, split) for split in SPLITS])
    examples = all_examples[unlike(data.y[all_examples])]
    with torch.no_grad(), one_thread(), global_generators(stream_seed(run.noise_seed, "module")):
        member = PlainMember(run, data, device=torch.device("cpu"), dtype=torch.float32)
        parts = examples[: min(batch_sizes(setup, data))], *torch.split(examples, at_once(setup))
        for part in parts:
            try:
                output = member.output(data.x[part], train=False)
            except Exception:  # of a user's module that wants another batch: who examines its steps says so
                return []
            if wrong := score_problem(task, output, data.y[part], part, train=False):
                return [Problem("task", wrong, show(task))]
            if said := _mixed(task, output, data.y[part]):
                return [Note("task", said)]
    return []


def unlike(y: Tensor) -> Tensor:
    """Places of the first examples, and of such as differ in how many of their targets count or in the smallest or largest of them.

    Of one target, a class, these are examples of all classes; up to `MOST` of each kind.

    Args:
        y: (examples, …) targets, of which negative classes and NaN may mark what does not count.
    """
    rows = y.reshape(len(y), -1)
    found = np.arange(min(MOST, len(y)))
    if rows.shape[1]:
        count, rows = (~rows.isnan(), rows.nan_to_num()) if y.is_floating_point() else (rows >= 0, rows)
        for kind in (count.sum(1), rows.amin(1), rows.amax(1), rows.abs().amin(1)):
            _, first = np.unique(kind.double().numpy(), return_index=True)
            found = np.union1d(found, first[np.linspace(0, len(first) - 1, min(MOST, len(first))).astype(int)])
    return torch.from_numpy(found)


def _problem(name: str, task: Task, output: Any, y: Tensor, examples: Tensor) -> str:
    given, targets = tree_map(_copy, output), y.clone()
    try:
        found = getattr(task, name)(given, targets)
    except Exception as error:  # of the user's method
        kind = f"outputs {tuple(output.shape)}" if isinstance(output, Tensor) else f"a {type(output).__name__}"
        return f"cannot be used on {kind} and targets {tuple(y.shape)}: {first_line(error)}"
    for argument, before, after in (("output", output, given), ("y", y, targets)):
        if _changed(before, after):
            return f"changes {argument} in place, which others are given after it: use `{argument}.clone()`"
    if not isinstance(found, Tensor) or found.shape != y.shape[:1]:
        return f"must give one number for each of {len(y)} examples, in shape {(len(y),)}, not {_got(found, len(y))}"
    if found.is_complex():
        return f"must give real numbers, not {str(found.dtype).removeprefix('torch.')}"
    if not found.requires_grad and any(isinstance(each, Tensor) and each.requires_grad for each in tree_leaves(given)):
        return "has no gradient: compute it by differentiable operations of torch, without `.detach()`, `.item()` and `argmax`"
    bad = ~found.isfinite() & _finite(output, len(y))
    if not bad.any():
        return ""
    first = int(bad.nonzero()[0])
    target = f", whose target is {y[first].tolist()}" if y[0].numel() <= MOST_SHOWN else ""
    return (
        f"is {float(found[first])} for {int(bad.sum())} of {len(y)} examples though the outputs are finite, first for example "
        f"{int(examples[first])}{target}: a mean with it is no number; leave out targets that do not count, and examples without any other"
    )


def _got(found: Any, examples: int) -> str:
    """What was given in place of a number for each example, and what to do about it."""
    if not isinstance(found, Tensor):
        return f"a {type(found).__name__}"
    shape = f"shape {tuple(found.shape)}"
    if found.numel() == 1:
        once = "nor lose its axis by `.squeeze()`, " if examples == 1 else ""
        return f'{shape}: it must not be averaged over the batch, {once}e.g. `reduction="none"`'
    return f"{shape}: e.g. `.reshape(len(y), -1).mean(1)`" if found.numel() % examples == 0 else shape


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


def _changed(before: Any, after: Any) -> bool:
    """Whether a copy of tensors was written to, also where that left its numbers as they were."""
    pairs = zip(tree_leaves(before), tree_leaves(after), strict=True)
    return any(isinstance(b, Tensor) and (b._version > 0 or not same_numbers(a, b)) for a, b in pairs)


def _finite(output: Any, examples: int) -> Tensor:
    """Of which examples all outputs are finite, (example,)."""
    found = torch.ones(examples, dtype=torch.bool)
    for each in tree_leaves(output):
        if isinstance(each, Tensor) and each.shape[:1] == found.shape:
            found &= each.isfinite().reshape(examples, -1).all(1)
    return found


def _mixed(task: Task, output: Any, y: Tensor) -> str:
    """That a score of an example depends on the others of its batch; "" where it does not, or nobody knows, as where it is random."""
    if not isinstance(output, Tensor) or output.shape[:1] != y.shape[:1]:
        return ""
    for name in own_scores(task):
        score = getattr(task, name)
        try:
            together, again, alone = (float(score(output[:n].clone(), y[:n].clone())[0]) for n in (len(y), len(y), 1))
        except Exception:  # that takes no batch of one
            return ""
        if together == again and not np.isclose(together, alone, rtol=1e-4, atol=1e-6):
            return (
                f"its `{name}` gives an example {together:.4g} in a batch of {len(y)} and {alone:.4g} alone: what is recorded of a run "
                "depends on which examples are evaluated together; do shapes broadcast that should not?"
            )
    return ""
