"""Whether the companions of a run change its bits: the same two runs take a few steps as a narrow population and in a wider one.

On a CPU they seldom do: every parameter begins at a multiple of 64 bytes (`parameter_layout`), training has one thread, and
Intel's library multiplies matrices by the same sums wherever these begin (`harness.__init__`). Known to depend on
them: convolutions of one channel in populations narrower than 8, for which torch has another kernel; and, of odd sizes, the last
few numbers of a whole population, which some functions (such as `tanh` and `gelu` of a user's, or the
gates of an LSTM) compute by another implementation than the others.
"""

from dataclasses import replace

import torch
from torch import Tensor

from harness.engine.feed import Feed
from harness.engine.obstacles import measured_costs
from harness.engine.population import Population
from harness.engine.runs import Run, examples
from harness.engine.step import Stepper
from harness.settings.bits import same_bits
from harness.settings.machine import one_thread
from harness.settings.randomness import global_generators

STEPS = 8
WIDTH = 11
"""Members of the wider population: odd, and more than those for which torch has kernels of their own."""


@measured_costs()
def independent(pair: list[Run], device: torch.device, width: int) -> bool:
    """Whether two runs give the same bits in a population of their own and, at other places, in a wider one.

    That is shown for so many steps; on a GPU it is never said.

    Args:
        pair: two runs of different seeds, ordered by these, whose settings differ as much as those of any.
        device: where they train.
        width: members of a population of the study, at least 2; the wider one has no more, but for a third.
    """
    if device.type != "cpu":
        return False
    first, second = pair
    others = max(1, min(width, WIDTH) - len(pair))
    before = [replace(second, seed=first.seed) for _ in range(-(-others // 2))]
    between = [replace(first, seed=second.seed) for _ in range(others // 2)]
    half = len(between) // 2
    wide = [*before, first, *between[:half], second, *between[half:]]
    places = [len(before), len(before) + 1 + half]
    with one_thread():
        narrow, among = _numbers(pair, [0, 1], device), _numbers(wide, places, device)
    return all(bool(same_bits(*both).all()) for both in zip(narrow, among, strict=True))


def _numbers(runs: list[Run], rows: list[int], device: torch.device) -> list[Tensor]:
    """What the first steps leave of some members: losses, parameters, buffers and scores on validation examples."""
    data = examples(runs)
    with global_generators(0, device):
        population = Population(runs, data, device=device, dtype=torch.float32)
        feed = Feed(runs, data, device=device, dtype=torch.float32)
        stepper, batches = Stepper(runs, population), feed.indices(STEPS)
        population.learn(feed.gather(batches[0][:, : runs[0].setup.batch_size])[0][0])
        losses = [stepper.step(*feed.gather(batch)).losses for batch in batches]
        indices, _ = feed.split("validation")
        scores = population.scores(*feed.gather(indices[:, : batches.shape[2]])).transpose(0, 1)
    return [numbers[rows] for numbers in (*losses, population.parameters, *population.others().values(), scores)]
