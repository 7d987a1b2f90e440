"""Capture of a training step as a CUDA graph: the host then launches one graph instead of hundreds of kernels a step.

Small networks leave a GPU waiting for the host's launches. A graph repeats the very same kernels, so that the numbers are
those of the step called as it is.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from harness.engine.members import Members
from harness.settings import first_line

WARM_UP = 3
"""Steps before a capture, in which libraries choose their kernels and allocate what they keep."""


class Captured:
    """A training step that a CUDA device repeats from a graph.

    The step must not wait for the device, nor depend on values of the host that change; where it does, the capture fails
    and the step is called as it is from then on.

    Args:
        step: takes the indices of a batch, of constant shape, changes the population in place and returns tensors.
        population: draws the random numbers of the step.

    Attributes:
        failure: why the step is called as it is; "" where it is not.
    """

    def __init__(self, step: Callable[[Tensor], tuple[Tensor, ...]], population: Members) -> None:
        self._step, self._population, self.failure = step, population, ""
        self._graph: torch.cuda.CUDAGraph | None = None
        self._warm = 0

    def compact(self, survivors: Tensor) -> None:
        """Go on with the members at these indices only: forget the graph, since the population has other tensors now."""
        self._graph, self._warm = None, 0

    def __call__(self, batch: Tensor) -> tuple[Tensor, ...]:
        """What the step returns; a graph's tensors are overwritten by the next call."""
        if self.failure:
            return self._step(batch)
        if self._warm < WARM_UP:
            self._warm += 1
            return self._beside(batch)
        if self._graph is None:
            try:
                self._graph = self._capture(batch)
            except RuntimeError as error:
                self.failure = first_line(error)
                return self._step(batch)
        self._batch.copy_(batch)
        self._graph.replay()
        return self._results

    def _beside(self, batch: Tensor) -> tuple[Tensor, ...]:
        """Take the step on another stream, as a capture will: what it allocates must not be tied to the usual one."""
        stream, usual = torch.cuda.Stream(), torch.cuda.current_stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(usual)
        with torch.cuda.stream(stream):
            results = self._step(batch)
        usual.wait_stream(stream)
        return results

    def _capture(self, batch: Tensor) -> torch.cuda.CUDAGraph:
        """Record the kernels of a step; none of them runs."""
        graph, self._batch = torch.cuda.CUDAGraph(), batch.clone()
        for generator in self._population.generators():
            graph.register_generator_state(generator)
        with torch.cuda.graph(graph):
            self._results = self._step(self._batch)
        return graph
