"""Does dropout lower the chance that a recurrent net's gradients explode? (mlp_stability asks it of nets without recurrence)

A tanh RNN with a spectral radius of 1.2, whose gradients can grow along 50 time steps, reads text under plain SGD without
clipping, at eight rates up to where training without dropout diverges. Dropout is on the states that the readout sees, or
on the recurrence, with new masks at each step. As there, two things are judged: the squared gradient norm at the first
step, where all have the same weights, and the share of runs that diverge at the edge, which a pilot on other seeds, of no
dropout alone, chose: the one rate at which 30 to 90 % of its runs diverged (9 of 16). A share counts from 0.1 on, a
squared norm from a factor of 2 on.
"""

from math import log2

from harness import Claim, Diagnostics, Measure, Study, Sweep
from harness.models import SimpleRNN
from harness.optimizers import SGD
from harness.tasks import CharLM

NONE = SimpleRNN(hidden=32, readout="every", spectral_radius=1.2)
STATES = SimpleRNN(hidden=32, readout="every", spectral_radius=1.2, dropout=0.5)
RECURRENCE = SimpleRNN(hidden=32, readout="every", spectral_radius=1.2, recurrent_dropout=0.5)


def first_square(curve):
    """log2 of the squared gradient norm at the first step, where arms have the same weights."""
    return 2 * log2(max(curve["grad_norm"].iloc[0], 1e-30))


def smaller(where, model):
    """The claim that the first gradient is smaller with dropout there than with none."""
    arms = {"treatment": {"model": model, "optimizer.lr": 0.1}, "baseline": {"model": NONE, "optimizer.lr": 0.1}}
    title = f"C2a: dropout of the {where} makes the first gradient smaller, at equal weights"
    return Claim(title, metric="first_square", better="lower", smallest_effect=1.0, **arms)


def diverges_less(where, model):
    """The claim that fewer runs diverge at the edge with dropout there than with none."""
    arms = {"treatment": {"model": model, "optimizer.lr": 2.0}, "baseline": {"model": NONE, "optimizer.lr": 2.0}}
    title = f"C2a: dropout of the {where} makes an RNN diverge less"
    return Claim(title, metric="diverged", better="lower", smallest_effect=0.1, **arms)


study = Study(
    name="rnn_stability",
    task=CharLM(length=50),
    model=Sweep(NONE, STATES, RECURRENCE),
    optimizer=SGD(lr=Sweep(0.1, 0.2, 0.5, 1.0, 1.4, 2.0, 4.0, 8.0)),
    batch_size=16,
    steps=100,
    evaluations=1,
    seeds=40,
    metrics=Diagnostics(measures=[Measure(first_square, "log2 of a squared norm", "lower")]),
    claims=[
        ask(*where) for ask in (smaller, diverges_less) for where in (("states", STATES), ("recurrence", RECURRENCE))
    ],
)
