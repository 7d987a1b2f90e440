"""Does gradient clipping help a net whose training labels are partly wrong? (Menon et al. 2020)

Of a share of the training examples the class is replaced by another one; validation and test keep theirs. Clipping at 0.1,
as in the paper, bounds how far one batch moves the weights, so it might keep wrong labels from being learned by heart. It
also slows training down, which is a remedy by itself: so every seed is trained at the same six learning rates in every cell
and takes the one best on its own validation data, by SGD, as Adam would undo a bound that always acts. Dropout, which is
said to help against memorising, is crossed with it. Errors count from five of the 359 test images on (0.014).
"""

from math import inf

from harness import Claim, Diagnostics, Interaction, Published, Study, Sweep, Tune
from harness.clipping import GlobalNorm
from harness.models import DropoutNet
from harness.optimizers import SGD
from harness.tasks import Images

CLIPPED, FREE = {"clipping.max_norm": 0.1}, {"clipping.max_norm": inf}
DROPPED, KEPT = {"model.dropout": 0.5}, {"model.dropout": 0.0}
NOISE = "task.label_noise"
DIFFERS = "digits, 500 examples, one hidden layer, SGD at a tuned rate for 400 steps; theirs: one fixed recipe"

study = Study(
    name="label_noise",
    task=Images("digits", train_size=500, label_noise=Sweep(0.0, 0.2, 0.4, 0.6)),
    model=DropoutNet(hidden=(128,), dropout=Sweep(0.0, 0.5)),
    clipping=GlobalNorm(Sweep(0.1, inf)),
    optimizer=SGD(lr=Tune(0.03, 30.0, log=True)),
    tune_trials=6,
    batch_size=64,
    steps=400,
    evaluations=4,
    seeds=20,
    metrics=Diagnostics("standard"),
    claims=[
        Claim(
            "Clipping lowers the test error where 40 % of the labels are wrong",
            metric="test_error", better="lower", smallest_effect=0.014,
            treatment=CLIPPED | {NOISE: 0.4}, baseline=FREE | {NOISE: 0.4},
        ),
        Interaction(
            "Clipping helps more where 60 % of the labels are wrong than where none is",
            metric="test_error", better="lower", smallest_effect=0.014,
            treatment=CLIPPED, baseline=FREE, here={NOISE: 0.6}, there={NOISE: 0.0},
        ),
        Claim(
            "Clipping keeps wrong labels from being learned by heart: 40 % wrong",
            metric="memorization", better="lower", smallest_effect=0.05,
            treatment=CLIPPED | {NOISE: 0.4}, baseline=FREE | {NOISE: 0.4},
        ),
        Claim(
            "Dropout lowers the test error where 40 % of the labels are wrong",
            metric="test_error", better="lower", smallest_effect=0.014,
            treatment=DROPPED | {NOISE: 0.4}, baseline=KEPT | {NOISE: 0.4},
        ),
        Interaction(
            "Dropout helps more where 60 % of the labels are wrong than where none is",
            metric="test_error", better="lower", smallest_effect=0.014,
            treatment=DROPPED, baseline=KEPT, here={NOISE: 0.6}, there={NOISE: 0.0},
        ),
    ],
    published=[
        Published(
            f"What clipping changes in the test error, {noise:.0%} of the labels wrong", metric="test_error",
            theirs=theirs, source="Menon et al. 2020; its reproduction dmizr/phuber", differs=DIFFERS,
            at=CLIPPED | KEPT | {NOISE: noise}, less=FREE | KEPT | {NOISE: noise},
        )
        for noise, theirs in (
            (0.0, "MNIST +0.001; reproduced +0.021; CIFAR-10 +0.065"),
            (0.2, "MNIST +0.002; reproduced +0.023; CIFAR-10 +0.014"),
            (0.4, "MNIST −0.004; reproduced +0.029; CIFAR-10 −0.109"),
            (0.6, "MNIST +0.022; reproduced +0.033; CIFAR-10 −0.236"),
        )
    ],
)  # fmt: skip
