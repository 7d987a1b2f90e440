"""How often does training an RNN fail with and without clipping, at one and the same rate? (Pascanu 2013,
arXiv:1211.5063)

The net and the text of rnn_clip, on a fixed grid of learning rates and without any tuning, since tuned runs hardly ever
fail. A run fails if it ends with a training loss above 3.2: the frequencies of the letters alone have 3.27. A pilot on
other seeds chose the rate of the claims, 1: there two of three unclipped runs failed. The remedy beside clipping is
half the rate, so the second claim sets clipping at 1 beside no clipping at 0.5. A bound that always acts only makes the
rate smaller (.25 at all rates here), which is why all bounds are shown at all rates.
"""

from math import inf

from harness import Claim, Study, Sweep
from harness.clipping import GlobalNorm
from harness.models import SimpleRNN
from harness.optimizers import SGD
from harness.tasks import CharLM

WORSE_THAN_GUESSING = 3.2  # nats a character; the frequencies of the letters alone have 3.27

study = Study(
    name="rnn_clip_rates",
    task=CharLM(length=50),
    model=SimpleRNN(hidden=64, readout="every"),
    clipping=GlobalNorm(max_norm=Sweep(0.25, 1.0, inf)),
    optimizer=SGD(lr=Sweep(0.5, 1.0, 2.0, 4.0)),
    batch_size=16,
    steps=300,
    seeds=20,
    claims=[
        Claim(
            "C4: at rate 1, fewer clipped runs end no better than guessing",
            metric="train_loss", above=WORSE_THAN_GUESSING, better="lower", smallest_effect=0.1,
            treatment={"clipping.max_norm": 1.0, "optimizer.lr": 1.0},
            baseline={"clipping.max_norm": inf, "optimizer.lr": 1.0},
        ),
        Claim(
            "C4: clipping at rate 1 reaches a lower loss than no clipping at half the rate",
            metric="test_loss", better="lower", smallest_effect=0.05,
            treatment={"clipping.max_norm": 1.0, "optimizer.lr": 1.0},
            baseline={"clipping.max_norm": inf, "optimizer.lr": 0.5},
        ),
    ],
)  # fmt: skip
