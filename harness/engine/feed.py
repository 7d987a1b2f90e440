"""Batches for a population: each seed's own order of its own examples, gathered for all members at once."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from harness.engine.runs import Run
from harness.settings.randomness import stream
from harness.tasks.task import Data


class Order:
    """An endless stream of training batches: one random permutation of the examples after another.

    Args:
        examples: int64 indices of the training examples.
        batch_size: examples of a step.
        generator: the seed's `order` stream.
    """

    def __init__(self, examples: Tensor, batch_size: int, generator: torch.Generator) -> None:
        self._examples, self._batch_size, self._generator = examples, batch_size, generator
        self._left = examples[:0]

    def take(self, steps: int) -> Tensor:
        """The next batches, (step, batch) indices."""
        needed = steps * self._batch_size
        parts = [self._left]
        while sum(map(len, parts)) < needed:
            parts.append(self._examples[torch.randperm(len(self._examples), generator=self._generator)])
        indices = torch.cat(parts)
        self._left = indices[needed:]
        return indices[:needed].view(steps, self._batch_size)

    def peek(self) -> Tensor:
        """The next batch, (batch,) indices, which stays the next one."""
        batch: Tensor = self.take(1)[0]
        self._left = torch.cat([batch, self._left])
        return batch

    def state_dict(self) -> dict[str, Tensor]:
        """Where the stream has come to, see `checkpoint`."""
        return {"left": self._left, "generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from there."""
        self._left = state["left"]
        self._generator.set_state(state["generator"])


class Feed:
    """What the members see: training batches in each seed's order, and its evaluation splits.

    Args:
        runs: the members.
        data: each member's examples. Members with the same `Data` object and seed of the order get the same batches; a tensor is stored once.
        device: where batches are wanted.
        dtype: of floating-point inputs and targets.
    """

    def __init__(self, runs: list[Run], data: list[Data], *, device: torch.device, dtype: torch.dtype) -> None:
        self._device, self._dtype = device, dtype
        x, self._offsets = _pool([d.x for d in data])
        y, y_offsets = _pool([d.y for d in data])
        self._x, self._y, self._data = x.to(device), y.to(device), data
        shifts = [there - here for here, there in zip(self._offsets, y_offsets, strict=True)]
        # From an example's place in _x to that in _y.
        self._all_shifts = torch.tensor(shifts, device=device).unsqueeze(1)
        keys = [(id(d), run.order_seed) for d, run in zip(data, runs, strict=True)]
        sources = {key: i for i, key in enumerate(dict.fromkeys(keys))}
        self._source = [sources[key] for key in keys]
        self._runs = [runs[self._source.index(i)] for i in range(len(sources))]
        self._train = [data[i].train + self._offsets[i] for i in map(self._source.index, range(len(sources)))]
        self.restart(list(range(len(runs))))

    def restart(self, members: list[int]) -> None:
        """Begin anew, with some members of the beginning, by their places then."""
        self._members, self._shifts = members, self._all_shifts[members]
        self._orders = [
            Order(train, run.setup.examples_a_step, stream(run.order_seed, "order"))
            for train, run in zip(self._train, self._runs, strict=True)
        ]

    def compact(self, survivors: Tensor) -> None:
        """Go on with some members only; `survivors` are their indices among the present ones."""
        self._members = [self._members[i] for i in survivors.tolist()]
        self._shifts = self._shifts[survivors]

    def state_dict(self) -> list[dict[str, Tensor]]:
        """Where the orders of batches have come to, see `checkpoint`."""
        return [order.state_dict() for order in self._orders]

    def load_state_dict(self, state: list[dict[str, Tensor]]) -> None:
        """Go on from there."""
        for order, saved in zip(self._orders, state, strict=True):
            order.load_state_dict(saved)

    def indices(self, steps: int) -> Tensor:
        """The next training batches as (step, member, batch) indices for `gather`."""
        taken = torch.stack([order.take(steps) for order in self._orders], 1)
        return taken[:, [self._source[m] for m in self._members]].to(self._device)

    def peek(self) -> Tensor:
        """The first batch of the next training step as (member, batch) indices; it stays the next one."""
        coming = torch.stack([order.peek() for order in self._orders])[:, : self._runs[0].setup.batch_size]
        return coming[[self._source[m] for m in self._members]].to(self._device)

    def split(self, name: str, at_most: int | Sequence[int] | None = None) -> tuple[Tensor, Tensor]:
        """One of the splits for every member, as (member, example) indices and how many of them count, (member,).

        Members with fewer examples are given training examples in place of those they lack; these do not count.

        Args:
            name: "train", "validation", "test", or "flipped", the training examples whose classes label noise replaced.
            at_most: so many, the first ones, of every member or of each.
        """
        most = at_most if isinstance(at_most, Sequence) else [at_most] * len(self._members)
        chosen = [
            getattr(self._data[m], name)[:count] + self._offsets[m]
            for m, count in zip(self._members, most, strict=True)
        ]
        fillers = [self._data[m].train[:1] + self._offsets[m] for m in self._members]
        counts = torch.tensor([len(c) for c in chosen])
        longest = int(counts.max())
        padded = torch.stack([torch.cat([c, f.expand(longest - len(c))]) for c, f in zip(chosen, fillers, strict=True)])
        return padded.to(self._device), counts.to(self._device)

    def gather(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """The examples at (member, batch) indices: x and y, (member, batch, …)."""
        return self._at(self._x, indices), self._at(self._y, indices + self._shifts)

    def _at(self, pool: Tensor, indices: Tensor) -> Tensor:
        values = pool.index_select(0, indices.flatten()).view(*indices.shape, *pool.shape[1:])
        return values.to(self._dtype) if values.is_floating_point() else values


def _pool(tensors: list[Tensor]) -> tuple[Tensor, list[int]]:
    """All different tensors one after another (a single one itself, uncopied), and where each of `tensors` starts."""
    different = {id(tensor): tensor for tensor in tensors}
    ends = itertools.accumulate(map(len, different.values()))
    starts = dict(zip(different, [0, *ends], strict=False))
    whole = next(iter(different.values())) if len(different) == 1 else torch.cat(list(different.values()))
    return whole, [starts[id(tensor)] for tensor in tensors]
