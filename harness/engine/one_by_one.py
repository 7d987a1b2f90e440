"""Members trained one after another: what is left where `vmap` cannot batch a module's forward pass.

Everything else stays as in a batched population: the stack, the dropout masks, clipping, optimizer, tables. A module that
draws random numbers of its own finds torch's global generator seeded from its seed's stream.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager

import torch
import torch.nn as nn
from torch import Tensor

from harness.engine.forward import Score, call
from harness.settings.machine import one_thread
from harness.settings.randomness import stream

COST = "Its runs train one after another: a population takes about as many times longer as it has members."


class OneByOne:
    """A `Forward` that runs each member's own module.

    Args:
        modules: of the members.
        seeds: of the members.
        shared: see `Batched`.
        aliases: see `Batched`.
    """

    def __init__(
        self, modules: Sequence[nn.Module], seeds: Sequence[int], shared: dict[str, Tensor], aliases: dict[str, str]
    ) -> None:
        self._modules, self._seeds, self._shared, self._aliases = list(modules), list(seeds), shared, aliases
        self._streams = {seed: stream(seed, "module") for seed in dict.fromkeys(seeds)}
        self._drawn = dict.fromkeys(self._streams, 0)

    def __call__(self, score: Score, tensors: dict[str, Tensor], x: Tensor, y: Tensor, *, train: bool) -> Tensor:
        """See `Forward`."""
        by_member = zip(
            *(tensor.unbind() for tensor in tensors.values()), strict=True
        )  # a tensor's gradient is one stack
        scores = []
        with torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
            for module, seed, values, x_, y_ in zip(self._modules, self._seeds, by_member, x, y, strict=True):
                torch.manual_seed(self._drawn[seed])
                named = dict(zip(tensors, values, strict=True)) | self._shared
                scores.append(score(call(module.train(train), named, self._aliases, x_), y_))
        return torch.stack(scores)

    def draw(self) -> None:
        """See `Forward`: where torch's global generator starts, for each seed."""
        for seed, generator in self._streams.items():
            self._drawn[seed] = int(torch.randint(2**62, (), generator=generator))

    def threads(self) -> AbstractContextManager[None]:
        """See `Forward`: one, always, since a single member's arithmetic on a CPU depends on their number."""
        return one_thread()

    def compact(self, survivors: Tensor) -> None:
        """See `Forward`."""
        self._modules = [self._modules[i] for i in survivors.tolist()]
        self._seeds = [self._seeds[i] for i in survivors.tolist()]
