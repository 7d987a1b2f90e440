"""Does dropout in the first part of training lower the final training loss of an underfitting net? (Liu et al. 2023)

arXiv:2303.01500 reports that dropout, which costs a net that underfits, helps it if it acts in the first part of training
alone: gradients of different batches would then agree more. Two hidden layers of six units cannot fit the digits, which is
itself claimed. Early dropout acts in the first sixth of the steps; beside it stand none, dropout throughout, and late
dropout. Every cell has the same search for its learning rate in every seed, by training loss, since that is what is asked.
A loss counts from 0.02 nats on.
"""

from harness import Claim, Cosine, Early, Late, Published, Study, Sweep, Threshold, Tune
from harness.models import DropoutNet
from harness.optimizers import AdamW
from harness.tasks import Images

STEPS = 600
EARLY, EARLY_MORE = Early(0.1, until=STEPS // 6), Early(0.3, until=STEPS // 6)
P = "model.dropout"

study = Study(
    name="early_dropout",
    task=Images("digits"),
    model=DropoutNet(hidden=(6, 6), dropout=Sweep(0.0, 0.1, EARLY, EARLY_MORE, Late(0.1, after=STEPS - STEPS // 6))),
    optimizer=AdamW(lr=Cosine(Tune(0.003, 0.3, log=True))),
    tune_trials=5,
    objective="train_loss",
    batch_size=64,
    steps=STEPS,
    evaluations=6,
    seeds=80,
    claims=[
        Claim(
            "Early dropout lowers the final training loss of an underfitting net",
            metric="train_loss", better="lower", smallest_effect=0.02, treatment={P: EARLY}, baseline={P: 0.0},
        ),
        Claim(
            "It lowers the test loss, too",
            metric="test_loss", better="lower", smallest_effect=0.02, treatment={P: EARLY}, baseline={P: 0.0},
        ),
        Claim(
            "Dropout throughout raises the training loss of such a net",
            metric="train_loss", better="higher", smallest_effect=0.02, treatment={P: 0.1}, baseline={P: 0.0},
        ),
        Threshold(
            "Check: the net underfits: 3 % of its training examples or more are wrong without dropout",
            metric="train_error", better="higher", value=0.02, smallest_effect=0.01, arm={P: 0.0},
        ),
    ],
    published=[
        Published(
            f"What {name} dropout of 0.1 changes in the test error", metric="test_error", theirs=theirs,
            source="Liu et al. 2023, ViT-T and Mixer-S on ImageNet", at={P: level}, less={P: 0.0},
            differs="digits and a tiny perceptron; the learning rate tuned in every arm, by training loss",
        )
        for name, level, theirs in (("early", EARLY, "−0.004; −0.003"), ("standard", 0.1, "+0.060; +0.039"))
    ],
)  # fmt: skip
