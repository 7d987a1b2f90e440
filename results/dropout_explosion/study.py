"""Does dropout of the recurrence, drawn anew at each step, make training explode, and does clipping prevent it?

Inverted dropout multiplies what passes by 1/(1 − p) where it does not drop, so the expected squared gradient grows by
that at every time step: by 2 for p = .5, over 50 steps beyond any bound, where the recurrence itself neither grows nor
shrinks (orthogonal). Whether this makes training fail is the question: runs that end no better than guessing, at one
rate and without any tuning, with masks for each step, for a sequence and none, clipped and not. A pilot on other seeds
chose the rate, at which no dropout trains, and enough steps that slow training does not count as failed; both arms with
dropout were taken for each other in it: there, as in this study, one mask for a sequence failed, not new ones at each step.
"""

from math import inf

from harness import Claim, Study, Sweep
from harness.clipping import GlobalNorm
from harness.models import SimpleRNN
from harness.optimizers import SGD
from harness.tasks import CharLM

NONE = SimpleRNN(hidden=64, readout="every", init="orthogonal")
PER_STEP = SimpleRNN(hidden=64, readout="every", init="orthogonal", recurrent_dropout=0.5)
PER_SEQUENCE = SimpleRNN(hidden=64, readout="every", init="orthogonal", recurrent_dropout=0.5, variational=True)
GUESSING = 3.25  # nats a character; the frequencies of the letters have 3.27

study = Study(
    name="dropout_explosion",
    task=CharLM(length=50),
    model=Sweep(NONE, PER_STEP, PER_SEQUENCE),
    clipping=GlobalNorm(Sweep(1.0, inf)),
    optimizer=SGD(lr=0.7),
    batch_size=16,
    steps=300,
    seeds=20,
    claims=[
        Claim(
            "Without clipping, masks of the recurrence drawn anew at each step make more runs fail than no dropout",
            metric="train_loss", above=GUESSING, better="higher", smallest_effect=0.1,
            treatment={"model": PER_STEP, "clipping.max_norm": inf},
            baseline={"model": NONE, "clipping.max_norm": inf},
        ),
        Claim(
            "With these masks, fewer clipped runs fail",
            metric="train_loss", above=GUESSING, better="lower", smallest_effect=0.1,
            treatment={"model": PER_STEP, "clipping.max_norm": 1.0},
            baseline={"model": PER_STEP, "clipping.max_norm": inf},
        ),
    ],
)  # fmt: skip
