"""One step of every distinct model of a study, with real data, so that what cannot train is known before anything starts."""

import copy
import inspect
import itertools
import re
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.engine.aliasing import overlapping
from harness.engine.culprit import culprit
from harness.engine.plain_member import PlainMember
from harness.engine.reached import reached
from harness.engine.runs import Run, Untrainable
from harness.engine.scheduled import kind_of
from harness.engine.setup import Setup
from harness.engine.step import Stepper
from harness.models.model import FROM_TASK, Model
from harness.models.rnn import SimpleRNN
from harness.settings import InvalidStudy, Note, Problem, first_line, show
from harness.settings.machine import one_thread
from harness.settings.modules import owner_of
from harness.settings.problems import refusals
from harness.settings.randomness import global_generators, stream_seed
from harness.settings.source import Changing
from harness.study.building import building_problem
from harness.study.contrasts import Levels
from harness.study.experiment import Experiment
from harness.study.measures_tried import measure_problems
from harness.study.replicates import trained_alike
from harness.study.scores_tried import score_problem, scores_tried
from harness.study.steps_tried import halves_tried
from harness.tasks.task import Data, Task, fits
from harness.tasks.usable import data_problems

CPU = torch.device("cpu")

OUTLIVES = "{} changes with every step of a run and goes on into the next one, in the class or the file"
KEEP = "keep it in the module's `self`, or in a clipping rule's `initial_state` or an optimizer's `state_names`"


def trial_runs(study: Experiment) -> list[Problem]:
    """What would go wrong in a study whose parts are sound, at both ends of what is tuned; see `problems_at`."""
    ends = ("low", "high") if study.tunes() else ("low",)
    return problems_at(study, [{path: getattr(tune, end) for path, tune in study.tunes().items()} for end in ends])


def problems_at(study: Experiment, tuned: Sequence[Levels]) -> list[Problem]:
    """What would go wrong at these values of what is tuned: each problem once, whatever the number of cells.

    They are tried with a step where shapes may depend on it. Of the problems, `Note`s keep nothing from training.
    """
    found: dict[tuple[str, str], Problem] = {}
    tried = set()
    for cell, values in itertools.product(study.cells(), tuned):
        setup = study.setup(cell | values)
        shape = setup.batch_size, setup.accumulate, setup.precision, setup.label_smoothing > 0
        parts = (setup.clipping, setup.optimizer)
        key = (setup.task, setup.model, setup.differ, shape, *((type(part), kind_of(part)) for part in parts))
        problems = setup.problems() if key in tried else trial_run(setup)
        if key not in tried and study.epochs is not None:
            problems = problems or _epoch_problems(setup)
        tried.add(key)
        for problem in problems:
            found.setdefault((problem.path, problem.message), problem)
    return list(found.values())


def _epoch_problems(setup: Setup) -> list[Problem]:
    """An epoch is as long for every seed, or a study cannot be asked for so many."""
    first, second = (len(setup.task.data(seed).train) for seed in (0, 1))
    if first == second:
        return []
    message = (
        f"needs as many training examples for every seed, and this task has {first} for one and {second} for another"
    )
    return [Problem("epochs", f"{message}; use steps")]


def trial_run(setup: Setup) -> list[Problem]:
    """What would go wrong when the setup trains: builds the data and a population of two, takes one step."""
    if found := setup.problems():
        return found
    try:
        data = setup.task.data(0)
        unusable = data_problems(data, type(setup.task))
    except InvalidStudy as error:
        return [problem.under("task") for problem in error.problems]
    except Exception as error:
        return [Problem("task", f"gives no data: {first_line(error)}", show(setup.task))]
    if unusable:
        return [problem.under("task") for problem in unusable]
    try:
        sizes, examples = setup.task.sizes(data), len(data.train)
    except Exception as error:
        return [Problem("task", f"its `sizes` cannot be used: {first_line(error)}", show(setup.task))]
    if setup.differ == "data" and trained_alike(data, setup.task.data(1)):
        message = "needs a task that gives two seeds other training examples, and this one gives them the same"
        return [Problem("differ", f'{message}; see resample of the task, or use "noise"', show(setup.differ))]
    if setup.batch_size > examples:
        message = f"must not exceed the {examples} training examples"
        return [Problem("batch_size", message, str(setup.batch_size))]
    if wrong := _guess_problem(setup.task, data):
        return [Problem("task", wrong, show(setup.task))]
    if setup.examples_a_step > examples:
        message = f"a step of {setup.accumulate} × {setup.batch_size} must not exceed the {examples} training examples"
        return [Problem("accumulate", message, str(setup.accumulate))]
    if setup.label_smoothing and (type(setup.task).losses is not Task.losses or data.y.is_floating_point()):
        message = "smooths the classes of a cross-entropy, and this task has a loss of another kind; leave it at 0"
        return [Problem("label_smoothing", message, str(setup.label_smoothing))]
    if wrong := building_problem(setup, data):
        return [Problem("model", wrong + _hint(setup, sizes), show(setup.model))]
    found = _step_problems(setup, data, sizes)
    return found if refusals(found) else found + scores_tried(setup, data)


def _guess_problem(task: Task, data: Data) -> str:
    """How a task's own `guess_losses` does not serve; "" if it does."""
    if type(task).guess_losses is Task.guess_losses:
        return ""
    y = data.y[data.train]
    try:
        found = task.guess_losses(y)
        shape, unknown = tuple(found.shape), int((~found.isfinite()).sum())
    except Exception as error:
        return f"its `guess_losses` cannot be used: {first_line(error)}"
    if shape != (len(y),):
        return f"its `guess_losses` must give a loss for each of {len(y)} examples, not shape {shape}"
    if unknown and not found.isnan().all():
        return f"its `guess_losses` is not finite for {unknown} of {len(y)} examples, and so would be their mean; NaN for all says that it is not known"
    return ""


def _step_problems(setup: Setup, data: Data, sizes: dict[str, int]) -> list[Problem]:
    index = data.train[: setup.batch_size]
    x, y = data.x[index], data.y[index]
    with one_thread(), global_generators(stream_seed(Run(0, 0, setup).noise_seed, "module")):
        own = Changing([type(setup.clipping), type(setup.optimizer), setup.model.module, type(setup.task)])
        try:
            member, numbers = _first_pass(setup, data, index, sizes)
        except InvalidStudy as error:
            return error.problems
        if not member.gradient(slice(None)).isfinite().all():
            return [Problem("model", "has a non-finite gradient at its first step", show(setup.model))]
        found, after = _stepped(setup, member, x, y)
        if refusals(found):
            return found
        once = own.since()
        member, again = _first_pass(setup, data, index, sizes)
        if not _same(numbers, again):
            return [Problem("model", _lives_on(setup, data, x, y, member), show(setup.model))]
        same = _same(after, _stepped(setup, member, x, y)[1])
        kept = next(iter(sorted(once & own.since())), "what a clipping rule, an optimizer or a task keeps")
    if not same:
        return [Problem("study", f"{OUTLIVES.format(kept)}: {KEEP}", kept)]
    if kept not in once:
        return found
    return [*found, Note("study", f"{OUTLIVES.format(kept)}: if anything a run computes depends on it, {KEEP}")]


def _stepped(setup: Setup, member: PlainMember, x: Tensor, y: Tensor) -> tuple[list[Problem], Tensor]:
    """What is wrong with clipping and update, or in doubt; and what a step of the run comes to, its weights among it, in a row."""
    run, nothing = Run(0, 0, setup), torch.zeros(0)
    with global_generators(stream_seed(run.noise_seed, "module")):
        found = halves_tried(run, member, member.gradient(slice(None)).clone())
        if refusals(found):
            return found, nothing
        try:
            record = Stepper([run], member).step(x.clone().unsqueeze(0), y.unsqueeze(0))
        except Exception as error:
            return [_no_step(culprit(error) or "model", setup, error, "second ")], nothing
    return found, torch.cat([number.flatten().to(member.dtype) for number in (member.parameters, *record)])


def _no_step(path: str, setup: Setup, error: BaseException, which: str = "") -> Problem:
    return Problem(path, f"cannot take a {which}step: {first_line(error)}", show(setup.values()[path]))


def _same(numbers: Tensor, again: Tensor) -> bool:
    return torch.allclose(numbers, again, rtol=0, atol=0, equal_nan=True)


def _first_pass(
    setup: Setup, data: Data, index: Tensor, sizes: dict[str, int]
) -> tuple[PlainMember, Tensor]:  # fmt: skip
    """A run that was evaluated, passed forward and backward, and evaluated again; all numbers that this gave, in a row.

    Every pass has a copy of the inputs, as in training: a module may change them.

    Raises:
        InvalidStudy: the model does not fit the task.
    """
    run, x, y = Run(0, 0, setup), data.x[index], data.y[index]
    with global_generators(stream_seed(run.noise_seed, "module")):
        try:
            member = PlainMember(run, data, device=CPU, dtype=torch.float32, frozen=True)
            for train in (False, True):
                output = member.output(x.clone(), train=train)
                if found := _output_problem(setup, output, y, sizes):
                    message = f"{'in training ' * train}{found}{_hint(setup, sizes)}"
                    raise InvalidStudy([Problem("model", message, show(setup.model))])
                if wrong := score_problem(setup.task, output, y, index, train=train):
                    raise InvalidStudy([Problem("task", wrong, show(setup.task))])
            if unmeasured := measure_problems(setup, lambda x: member.output(x.clone(), train=False), x, y):
                raise InvalidStudy(unmeasured)
            before = member.output_numbers(x.clone().unsqueeze(0), train=False)
            loss = member.losses(x.clone().unsqueeze(0), y.unsqueeze(0))
            member.check()
            after = member.output_numbers(x.clone().unsqueeze(0), train=False)
        except InvalidStudy:
            raise
        except Untrainable as error:
            raise InvalidStudy([Problem("model", f"does not train: {error}", show(setup.model))]) from error
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a module may raise what it likes, and end the process so
            if path := culprit(error):
                raise InvalidStudy([_no_step(path, setup, error)]) from error
            where = _where(setup.model, error, x, sizes) if _is_users(setup.model) else ""
            message = f"does not train on {show(setup.task)}: {first_line(error)}{where}{_compiling(error)}{_hint(setup, sizes)}"
            raise InvalidStudy([Problem("model", message, show(setup.model))]) from error
    numbers = before.flatten(), loss, member.gradient(slice(None)).flatten(), after.flatten()
    return member, torch.cat([number.detach().to(loss.dtype) for number in numbers])


def _lives_on(setup: Setup, data: Data, x: Tensor, y: Tensor, earlier: PlainMember) -> str:
    """What is wrong with a module that gives other numbers when the same run is trained again.

    Args:
        setup: of the module.
        data: of its task.
        x: a training batch, (batch, …).
        y: its targets.
        earlier: the run, trained before.
    """
    member = PlainMember(Run(0, 0, setup), data, device=CPU, dtype=torch.float32)
    tensors = reached(member.template)
    shared = {name: tensors[name] for name, _ in overlapping(tensors, reached(earlier.template))}
    before = {name: copy.deepcopy(value) for name, value in shared.items()}
    member.losses(x.clone().unsqueeze(0), y.unsqueeze(0))
    if name := next((name for name, value in shared.items() if not bool((value == before[name]).all())), ""):
        return (
            f"`{name}` is one for all runs, and each changes it for the next: copy it in the constructor (`.clone()`)"
        )
    return (
        "gives other numbers when the same run is trained again: what it counts or keeps outlives a run; keep it in `self`, not in "
        "the class or the file, and draw random numbers from the global generators of torch, NumPy and Python"
    )


def _output_problem(setup: Setup, output: Any, y: Tensor, sizes: dict[str, int]) -> str:
    """How a model's output does not fit the targets, where the task's loss or error of it is the usual one; "" if it does."""
    task = type(setup.task)
    if task.losses is not Task.losses and task.errors is not Task.errors:
        return ""
    if not isinstance(output, Tensor):
        kind = type(output).__name__
        return f"must return one tensor, not a {kind}, or its task must have `losses` and `errors` of its own that take a {kind}"
    otherwise = (
        "" if task.losses is Task.losses else "; where outputs are something else, the task needs `errors` of its own"
    )
    shapes = f"its output {tuple(output.shape)} does not fit the targets {tuple(y.shape)}"
    if y.is_floating_point():
        shape = tuple(y.shape) if y.dim() > 1 else (*y.shape, 1)
        return "" if fits(output, y) else f"{shapes}: one number for each is needed, in shape {shape}{otherwise}"
    if output.shape[:-1] != y.shape:
        if issubclass(setup.model.module, SimpleRNN):
            return f"{shapes}: set readout='{'last' if output.dim() > y.dim() + 1 else 'every'}'"
        return (
            f"{shapes}: scores of all classes are needed for each, in shape {(*y.shape, sizes['outputs'])}{otherwise}"
        )
    classes = int(y.max()) + 1
    return "" if output.shape[-1] >= classes else f"has {output.shape[-1]} outputs for {classes} classes{otherwise}"


def _is_users(model: Model) -> bool:
    return owner_of(model.module) != "harness"


def _where(model: Model, error: BaseException, x: Tensor, sizes: dict[str, int]) -> str:
    """Where in a user's module an error arose, what came in there, and which arguments may have to do with it."""
    try:
        file = inspect.getfile(model.module)
    except (OSError, TypeError):
        file = ""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    kind = "of tokens 0 to " + str(sizes["inputs"] - 1) if not x.is_floating_point() else f"of {x.dtype}"
    text = f"{f' (line {lines[-1]})' if lines else ''}; the input has shape {tuple(x.shape)} {kind}"
    named = {number for number in re.findall(r"\d+", str(error)) if int(number) not in x.shape}
    given = [f"{n}={v}" for n, v in model.values().items() if n not in FROM_TASK and show(v) in named]
    if given:
        text += f", and the argument {' and '.join(given)} does not fit"
    accepted = inspect.signature(model.module).parameters
    lacking = [f"{name} ({sizes[name]})" for name in FROM_TASK if name in sizes and name not in accepted]
    return text + (f"; arguments named {' and '.join(lacking)} would be taken from the task" if lacking else "")


def _compiling(error: BaseException) -> str:
    """What to write in place of `torch.cond` and its like where an error arose in one; "" elsewhere."""
    files = [
        frame.filename for frame in traceback.extract_tb(error.__traceback__) if "_higher_order_ops" in frame.filename
    ]
    if len(files) < 2:  # one alone calls a user's own function, and compiles nothing
        return ""
    needs = f"`{Path(files[0]).stem}` of torch needs its compiler, which is off where modules train here"
    return f"; {needs}: write `if`, `for` or torch.where"


def _hint(setup: Setup, sizes: dict[str, int]) -> str:
    """What to leave out: a size that was given and is not what the task says."""
    given = setup.model.values()
    wrong = [name for name in FROM_TASK if name in given and name in sizes and given[name] != sizes[name]]
    return "".join(f"; leave out {name}, which the task gives as {sizes[name]}" for name in wrong)
