"""The proof that a population gives the numbers of the plain loop, on the very runs that are to train.

Two runs of different seeds and levels for each clipping rule take their first steps both ways, and are evaluated between them,
on batches of every size that occurs. Losses, gradients, what clipping and the update make of them, buffers and scores must
agree to rounding; so must attributes that a forward pass changes.
"""

from collections import Counter
from dataclasses import dataclass, field

import torch
from torch import Tensor

from harness.engine.attributes import differing
from harness.engine.feed import Feed
from harness.engine.final_metrics import batch_sizes
from harness.engine.members import Members
from harness.engine.obstacles import measured_costs, reason
from harness.engine.own_components import own_names
from harness.engine.plain_member import PlainMember
from harness.engine.population import Population
from harness.engine.runs import Run, build, examples
from harness.engine.step import Stepper
from harness.settings.modules import owner_of
from harness.settings.randomness import global_generators, stream_seed
from harness.settings.source import Changing
from harness.tasks.task import Data

STEPS = 3
"""Training steps: the first that meets what the one before changed, and one more for what changes then."""

TOLERANCE = {torch.float64: 1e-8, torch.float32: 1e-3}
"""Differences that rounding explains over so many steps, relative to the largest number of a kind."""

OF_ZERO = {torch.float64: 1e-13, torch.float32: 1e-5}
"""What rounding makes of a 0 that modules keep, such as the mean of what was centred, where their numbers are around 1."""

OF_SIZE = "the evaluation of a batch of"
AGAIN, AMONG_OTHERS = "the evaluation of examples again", "the evaluation of examples among others"


@dataclass
class Account:
    """What the first steps of some runs gave, by the name of each number, (member, …)."""

    numbers: dict[str, Tensor] = field(default_factory=dict)
    gradients: list[Tensor] = field(default_factory=list)

    def add(self, name: str, value: Tensor) -> None:
        """Keep a copy of a number."""
        self.numbers[name] = value.detach().clone()


@measured_costs()
def obstacle(runs: list[Run], device: torch.device) -> str:
    """What keeps runs like these from training in one population, in words; "" for nothing.

    Args:
        runs: of two different seeds, ordered by these; all with the same `population_key` key.
        device: where they are to train.

    Raises:
        Exception: whatever the plain loop raises on their modules.
    """
    try:
        return _difference(runs, device, torch.float64)
    except Exception:  # the module may not work in double precision
        return _difference(runs, device, torch.float32)


def _difference(runs: list[Run], device: torch.device, dtype: torch.dtype) -> str:
    data = examples(runs)
    feed = Feed(runs, data, device=device, dtype=dtype)
    batches = feed.indices(STEPS)[:, :, : runs[0].setup.batch_size]
    sizes = sorted({size for own in data for size in batch_sizes(runs[0].setup, own)}, reverse=True)
    truths, accounts = [], []
    for m, run in enumerate(runs):
        with global_generators(stream_seed(run.noise_seed, "module"), device):
            truths.append(PlainMember(run, data[m], device=device, dtype=dtype))
            accounts.append(_account(truths[m], feed, batches, sizes, slice(m, m + 1)))
    if name := next(filter(None, (_of_another_kind(accounts[0], other) for other in accounts[1:])), ""):
        return f"{name} is of another kind in another run"
    truth = Account(
        {name: torch.cat([account.numbers[name] for account in accounts]) for name in accounts[0].numbers},
        [torch.cat(gradients) for gradients in zip(*(account.gradients for account in accounts), strict=True)],
    )
    if _companions_matter(truth, TOLERANCE[dtype]):
        return "in evaluation, what it makes of an example depends on the others in the batch"
    if name := _left_to_others(runs, data):
        return f"its constructor leaves another `{name}` in the class or the file, which is one for all runs"
    try:
        with global_generators(0, device):
            population = Population(runs, data, device=device, dtype=dtype)
            population.learn(feed.gather(batches[0])[0][0])
            found = _account(population, feed, batches, sizes, given=truth.gradients)
            population.check()
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        return reason(error)
    templates = [population.template, *(member.template for member in truths[1:])]
    if name := next(filter(None, (differing(truths[0].template, other) for other in templates)), ""):
        return f"`{name}` changes from call to call, and not for all runs alike"
    if lacking := next((name for name in truth.numbers if name not in found.numbers), ""):
        return f"it keeps a tensor from one call to another: {lacking.partition(' after ')[0]}"
    other = next((name for name in truth.numbers if _apart(truth, found, name, dtype)), "")
    return other and f"in a population {other} would be another"


def _left_to_others(runs: list[Run], data: list[Data]) -> str:
    """The name of what a module's constructor writes besides the module, for each run another one; "" if there is none.

    What is only added to, or made once, such as a table of what was read, is no run's own.
    """
    module = runs[0].setup.model.module
    if owner_of(module) != "user":
        return ""
    code, times = Changing([module]), Counter[str]()
    for i, (run, own) in enumerate(zip([*runs, runs[0]], [*data, data[0]], strict=True)):
        build(run.setup, own, run.init_seed)
        changed = code.since()
        times.update(changed if i else ())
    return next((name for name in sorted(times) if times[name] > 1), "")


def _of_another_kind(a: Account, b: Account) -> str:
    """The name of a number that only one run has, or that has two shapes; "" if there is none."""
    shapes, others = ({name: number.shape for name, number in account.numbers.items()} for account in (a, b))
    return next((name for name in shapes | others if shapes.get(name) != others.get(name)), "")


def _account(
    members: Members, feed: Feed, batches: Tensor, sizes: list[int], rows: slice = slice(None), *,
    given: list[Tensor] | None = None,
) -> Account:  # fmt: skip
    """Take the first steps.

    Args:
        members: all runs, or one of them.
        feed: the examples of all.
        batches: (step, member, batch) indices of all.
        sizes: of the batches that are evaluated in the end.
        rows: which of all runs they are.
        given: gradients, (member, parameters), to clip and update by, so that rounding does not grow; None for the own ones.
    """
    account, stepper = Account(), Stepper(members.runs, members)
    indices, _ = feed.split("validation")
    for step, batch in enumerate(batches):
        members.advance()
        x, y = feed.gather(batch)
        account.add(f"the loss of step {step + 1}", members.losses(x[rows], y[rows]))
        gradient = members.gradient(slice(None)).clone()
        account.gradients.append(gradient.clone())
        for name, of_parameter in members.views(gradient).items():
            account.add(f"the gradient of `{name}` at step {step + 1}", of_parameter)
        used = gradient if given is None else given[step].clone()
        if isinstance(members, Population):
            members.check_draws(members.passing())
        norm, *left = stepper.clip_and_update(used.__getitem__)
        if isinstance(members, Population):
            members.check_draws(own_names(members.runs[0].setup))
        account.add(f"the gradient's norm at step {step + 1}", norm)
        account.add(f"what clipping leaves of the gradient at step {step + 1}", torch.cat(left, 1))
        for name, parameter in members.views(members.parameters).items():
            account.add(f"`{name}` after step {step + 1}", parameter)
        for name, other in members.others().items():
            account.add(f"`{name}` after step {step + 1}", other)
        for name, chosen in _evaluated(indices, batches.shape[2], sizes if step + 1 == STEPS else []).items():
            x, y = feed.gather(chosen)
            try:
                scores = members.scores(x[rows], y[rows])
            except Exception as error:
                error.add_note(f"in {name}")
                raise
            account.add(f"{name} after step {step + 1}", scores.transpose(0, 1))
    return account


def _evaluated(indices: Tensor, size: int, sizes: list[int]) -> dict[str, Tensor]:
    """The batches that are evaluated after a step, as (member, batch) indices by name; few examples are repeated.

    Args:
        indices: of the examples to take, (member, example).
        size: of a training batch.
        sizes: further ones; of the first the examples are evaluated again, and with others in place of the second half.
    """
    columns = torch.arange(max(size, *sizes, 1), device=indices.device) % indices.shape[1]
    found = {"the evaluation of a batch": columns[:size]}
    found |= {f"{OF_SIZE} {count}": columns[:count] for count in sizes}
    if sizes:
        half = sizes[0] // 2
        found[AGAIN] = columns[: sizes[0]]
        found[AMONG_OTHERS] = torch.cat([columns[:half], columns[:1].expand(sizes[0] - half)])
    return {name: indices[:, chosen] for name, chosen in found.items()}


def _companions_matter(truth: Account, tolerance: float) -> bool:
    """Whether an example is evaluated otherwise in another batch, and that by no randomness."""
    after = f" after step {STEPS}"
    again, others = truth.numbers[AGAIN + after], truth.numbers[AMONG_OTHERS + after]
    batches = [n for name, n in truth.numbers.items() if name.startswith(OF_SIZE) and name.endswith(after)]
    if not torch.equal(batches[0], again):
        return False
    batches.append(others[..., : others.shape[-1] // 2])
    return not all(
        torch.allclose(again[..., : batch.shape[-1]], batch, rtol=tolerance, atol=tolerance, equal_nan=True)
        for batch in batches
    )


def least(name: str, dtype: torch.dtype) -> float:
    """By how much rounding may change a number whatever its size: `OF_ZERO` of what modules keep, nothing of all else.

    Whatever else a change of that decides, losses and gradients show.
    """
    return OF_ZERO[dtype] if name.startswith("`") else 0.0


def in_double(numbers: Tensor) -> Tensor:
    """Numbers of any kind as real ones; complex ones in two parts."""
    return (torch.view_as_real(numbers) if numbers.is_complex() else numbers).double()


def _apart(truth: Account, found: Account, name: str, dtype: torch.dtype) -> bool:
    """Whether a number is another one; a gradient is compared in the size of the largest, and what modules keep not below `OF_ZERO`."""
    one, other = in_double(truth.numbers[name]), in_double(found.numbers[name])
    if one.shape != other.shape:
        return True
    finite = one.isfinite()
    if not torch.equal(finite, other.isfinite()):
        return True
    like = truth.gradients[int(name.rpartition(" ")[2]) - 1] if name.startswith("the gradient of") else one
    known = like[like.isfinite()].abs()
    scale = known.max() if known.numel() else 0.0
    return bool(((one - other)[finite].abs() > TOLERANCE[dtype] * scale + least(name, dtype)).any())
