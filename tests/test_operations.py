"""What torch's own database of operations holds: each gives every member of a population what torch gives that member alone.

Members are the first axis of what an operation is given, the last, or now one and now the other, as a convolution leaves them.
An operation may raise instead: such runs then train apart, and it is said (see `harness.engine.obstacles`).
"""

import itertools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._C import _functorch as functorch
from torch.utils._pytree import tree_flatten, tree_unflatten

from harness.engine.functions.answers import Answers
from harness.engine.functions.batching_rules import put_rules
from harness.engine.functions.transforms import of_all, over_members
from harness.engine.noise import Noise

pytestmark = pytest.mark.slow

MEMBERS, SAMPLES, SHARDS = 3, 12, 8
SHARE = 0.9
"""Of all comparisons that are possible those that are made, at least: elsewhere a run trains apart."""
RANDOM = ("dropout", "attention", "rand", "rrelu", "bernoulli", "multinomial", "normal", "uniform", "cauchy", "exponential",
          "geometric", "lowrank", "fractional")  # fmt: skip
UNFILLED = ("empty", "resize_")  # what they hold is not said
AXES: dict[str, Callable[[int, Tensor], int]] = {
    "first": lambda which, tensor: 0,
    "last": lambda which, tensor: tensor.dim(),
    "mixed": lambda which, tensor: min(1, tensor.dim()) if which % 2 == 0 else 0,
}

Call = Callable[[Sequence[Tensor]], list[Any]]


def calls_of(operation: Any) -> list[tuple[Call, list[Tensor]]]:
    """What it is called with: a function of the floating point tensors among its arguments, and those tensors."""
    found = list[tuple[Call, list[Tensor]]]()
    for sample in itertools.islice(operation.sample_inputs("cpu", torch.float64, requires_grad=False), SAMPLES):
        flat, spec = tree_flatten((sample.input, sample.args, sample.kwargs))
        places = [i for i, leaf in enumerate(flat)
                  if isinstance(leaf, Tensor) and leaf.is_floating_point() and leaf.layout == torch.strided]  # fmt: skip

        def call(
            tensors: Sequence[Tensor], flat: list[Any] = flat, spec: Any = spec, places: list[int] = places
        ) -> list[Any]:
            leaves = list(flat)
            for place, tensor in zip(places, tensors, strict=True):
                leaves[place] = tensor
            given, args, kwargs = tree_unflatten(leaves, spec)
            return tree_flatten(operation.op(given, *args, **kwargs))[0]

        if places:
            found.append((call, [flat[place].detach() for place in places]))
    return found


def of_members(tensor: Tensor) -> list[Tensor]:
    return [(tensor + 0.1 * member * torch.rand_like(tensor)).requires_grad_() for member in range(MEMBERS)]


def numbers(found: list[Any]) -> list[Tensor]:
    return [tensor for tensor in found if isinstance(tensor, Tensor) and tensor.layout == torch.strided]


def gradients(found: list[Tensor], of: Sequence[Tensor]) -> list[Tensor]:
    """Of a weighted sum of all that comes out; [] where nothing of it can be derived."""
    roots = [tensor for tensor in found if tensor.requires_grad]
    if not roots:
        return []
    weights = [torch.linspace(0.5, 1.5, t[0].numel(), dtype=torch.float64).view(t[0].shape) for t in roots]
    total = sum((t * w).real.sum() for t, w in zip(roots, weights, strict=True))
    return list(torch.autograd.grad(total, of, allow_unused=True, materialize_grads=True))  # type: ignore[arg-type]


def alone(call: Call, sets: list[list[Tensor]]) -> tuple[list[Tensor], list[Tensor]]:
    """Results and gradients, (member, …), of one member after the other."""
    each = [numbers(call([of[member] * 1 for of in sets])) for member in range(MEMBERS)]
    found = [torch.stack(of) for of in zip(*each, strict=True)]
    leaves = [tensor for of in sets for tensor in of]
    flat = gradients(found, leaves)
    return found, [torch.stack(flat[i : i + MEMBERS]) for i in range(0, len(flat), MEMBERS)]


def together(
    call: Call, sets: list[list[Tensor]], axis: Callable[[int, Tensor], int]
) -> tuple[list[Tensor], list[Tensor]]:
    """The same of all members at once."""
    leaves = [torch.stack(of).detach().requires_grad_() for of in sets]
    noise = Noise({0: slice(0, MEMBERS)}, steps=1, device=torch.device("cpu"), dtype=torch.float64)
    noise.begin(train=True)
    with over_members(MEMBERS) as ours, Answers(noise, batched=True):
        given = []
        for which, (leaf, of) in enumerate(zip(leaves, sets, strict=True)):
            place = axis(which, of[0])
            given.append(functorch._add_batch_dim(leaf.movedim(0, place).contiguous() * 1, place, ours.level))
        found = [of_all(tensor, ours) for tensor in numbers(call(given))]
    return found, gradients(found, leaves)


def compared(operation: Any) -> tuple[list[str], int, int]:
    """Where an operation disagrees, how often it was compared, and how often it could have been."""
    found, agreed, possible = list[str](), 0, 0
    for number, (call, tensors) in enumerate(calls_of(operation)):
        sets = [of_members(tensor) for tensor in tensors]
        try:
            truth = alone(call, sets)
        except Exception:  # not to be derived by all numbers that it is given
            call = torch.no_grad()(call)
            try:
                truth = alone(call, sets)
            except Exception:  # not of floating point
                continue
        for name, axis in AXES.items():
            possible += 1
            try:
                ours = together(call, sets, axis)
            except Exception:
                continue  # trains apart
            agreed += 1
            for what, mine, theirs in zip(("value", "gradient"), ours, truth, strict=True):
                try:
                    torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-8, equal_nan=True)
                except (AssertionError, ValueError) as error:
                    found.append(f"{operation.full_name}, sample {number}, members {name}: {what}: {error}"[:300])
    return found, agreed, possible


@pytest.mark.parametrize("shard", range(SHARDS))
def test_every_operation_gives_each_member_what_torch_gives_it_alone(shard: int) -> None:
    put_rules()
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_methods_invocations import op_db  # takes seconds

        known = [op for op in op_db if torch.float64 in op.dtypes]
        tried = [op for op in known if not any(word in op.full_name for word in (*RANDOM, *UNFILLED))]
        outcomes = [compared(op) for op in tried[shard::SHARDS]]
    lines = [line for found, _, _ in outcomes for line in found]
    assert not lines, "\n".join(lines)
    assert sum(agreed for _, agreed, _ in outcomes) > SHARE * sum(possible for _, _, possible in outcomes)
