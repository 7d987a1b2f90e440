"""Which form of dropout helps a recurrent net most? (Gal & Ghahramani 2016; Merity et al. 2018; Krueger et al. 2017)

An LSTM sees 320 windows of text thirty times, so that it fits them too closely without dropout. Each form acts at a
strength of its paper's order: standard and Gaussian dropout of the outputs (p = .3), the same with dropout of the
recurrence, one mask for a sequence (variational) or a new one at each step, of recurrent weights, and zoneout. Each
paper's own comparison is a claim. A pilot on other seeds, of no dropout alone, showed that it overfits: a gap of .8 to
1.1 nats, and a least loss well before the end.
"""

from harness import Claim, Model, Study, Sweep
from harness.clipping import GlobalNorm
from harness.models import SimpleRNN
from harness.optimizers import Adam
from harness.tasks import CharLM


def net(**dropout: float | bool | str) -> Model:
    """The same net with one form of dropout."""
    return SimpleRNN(hidden=64, readout="every", cell="lstm", **dropout)


NONE, STANDARD, GAUSSIAN = net(), net(dropout=0.3), net(dropout=0.3, noise="gaussian")
VARIATIONAL = net(dropout=0.3, recurrent_dropout=0.3, variational=True)
PER_STEP = net(dropout=0.3, recurrent_dropout=0.3)
WEIGHTS, ZONEOUT = net(weight_dropout=0.3), net(zoneout=0.1, cell_zoneout=0.3)

study = Study(
    name="dropout_forms",
    task=CharLM(length=30, train_size=320),
    model=Sweep(NONE, STANDARD, GAUSSIAN, VARIATIONAL, PER_STEP, WEIGHTS, ZONEOUT),
    clipping=GlobalNorm(1.0),
    optimizer=Adam(lr=0.01),
    batch_size=16,
    steps=600,
    seeds=20,
    claims=[
        Claim(
            "Gal 2016: one mask for a sequence, on the recurrence too, reaches a lower loss than standard dropout",
            metric="test_loss", better="lower", smallest_effect=0.03,
            treatment={"model": VARIATIONAL}, baseline={"model": STANDARD},
        ),
        Claim(
            "Gal 2016: on the recurrence one mask for a sequence reaches a lower loss than a new one at each step",
            metric="test_loss", better="lower", smallest_effect=0.03,
            treatment={"model": VARIATIONAL}, baseline={"model": PER_STEP},
        ),
        Claim(
            "Merity 2018: dropout of recurrent weights reaches a lower loss than none",
            metric="test_loss", better="lower", smallest_effect=0.03,
            treatment={"model": WEIGHTS}, baseline={"model": NONE},
        ),
        Claim(
            "Krueger 2017: zoneout reaches a lower loss than none",
            metric="test_loss", better="lower", smallest_effect=0.03,
            treatment={"model": ZONEOUT}, baseline={"model": NONE},
        ),
    ],
)  # fmt: skip
