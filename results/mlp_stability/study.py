"""Does dropout lower the chance that gradients explode? (the textbook's claim; ×1/(1 − p) a layer says the contrary)

PyTorch's initial weights let gradients vanish, so nothing could explode: here initial weights are He's times 1.2, nets have
2 or 8 hidden layers, and plain SGD runs at eight rates up to where nets without dropout fail. Two things are judged. The
squared gradient norm at the first step, where both arms have the same weights: dropout scales what it keeps by 1/(1 − p),
which by arithmetic doubles the expected square at each layer for p = 0.5. And the share of runs that fail at a rate near
the edge, which a pilot on other seeds chose: one where nets without dropout fail in 30 to 90 % of the runs. With 8 layers failing is
to diverge; with 2, which do not diverge, to end no better than guessing. A share counts from 0.1 on, a squared norm from a
factor of 2 on.
"""

from math import log2

from harness import Claim, Diagnostics, Measure, Published, Study, Sweep
from harness.models import DropoutNet
from harness.optimizers import SGD
from harness.tasks import Images

SHALLOW, DEEP = (32,) * 2, (32,) * 8
P, LAYERS, RATE, BATCH = "model.dropout", "model.hidden", "optimizer.lr", "batch_size"


def first_square(curve):
    """log2 of the squared gradient norm at the first step, where arms have the same weights."""
    return 2 * log2(max(curve["grad_norm"].iloc[0], 1e-30))


def fails_less(title, layers, batch, rate, **counted):
    """The claim that fewer runs fail with dropout than without, at the edge of one net and batch size."""
    place = {LAYERS: layers, BATCH: batch, RATE: rate}
    arms = {"treatment": {P: 0.5} | place, "baseline": {P: 0.0} | place}
    return Claim(title, better="lower", smallest_effect=0.1, **counted, **arms)


DIVERGES, GUESSES = {"metric": "diverged"}, {"metric": "train_loss", "above": 2.28}  # 1 % below guessing: ln 10

study = Study(
    name="mlp_stability",
    task=Images("digits"),
    model=DropoutNet(hidden=Sweep(SHALLOW, DEEP), dropout=Sweep(0.0, 0.5), init="he", gain=1.2),
    optimizer=SGD(lr=Sweep(0.01, 0.1, 0.2, 0.4, 0.65, 1.0, 1.3, 2.0)),
    batch_size=Sweep(16, 256),
    steps=60,
    evaluations=1,
    seeds=40,
    metrics=Diagnostics(measures=[Measure(first_square, "log2 of a squared norm", "lower")]),
    claims=[
        Claim(
            "C2a: dropout makes the first gradient smaller, at equal weights",
            metric="first_square", better="lower", smallest_effect=1.0,
            treatment={P: 0.5, RATE: 0.01}, baseline={P: 0.0, RATE: 0.01},
        ),
        fails_less("C2a: dropout makes 8 layers diverge less, batch 16", DEEP, 16, 0.65, **DIVERGES),
        fails_less("C2a: dropout makes 8 layers diverge less, batch 256", DEEP, 256, 1.0, **DIVERGES),
        fails_less("C2a: dropout makes 2 layers fail less, batch 16", SHALLOW, 16, 1.3, **GUESSES),
        fails_less("C2a: dropout makes 2 layers fail less, batch 256", SHALLOW, 256, 1.3, **GUESSES),
    ],
    published=[
        Published(
            f"log2 of the first squared gradient norm, p = 0.5 less p = 0, {len(layers)} layers", metric="first_square",
            theirs=f"+{len(layers)}", source="arithmetic: × 1/(1 − p) a layer in the mean", at={P: 0.5, LAYERS: layers, RATE: 0.01},
            less={P: 0.0, LAYERS: layers, RATE: 0.01}, differs="the gradient of the loss at the outputs changes as well",
        )
        for layers in (SHALLOW, DEEP)
    ]
    + [
        Published(
            "The same, after Liu et al.", metric="first_square", theirs="smaller norms early in training",
            source="Liu et al. 2023, arXiv:2303.01500", at={P: 0.5, LAYERS: SHALLOW, RATE: 0.01},
            less={P: 0.0, LAYERS: SHALLOW, RATE: 0.01}, differs="ViT-T, over the first steps; ours at the very first one",
        )
    ],
)  # fmt: skip
