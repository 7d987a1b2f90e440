"""Does dropout generalize better where each net has its own best learning rate? (mlp_dropout asks it at the text's 1e-3)

A rate that suits no dropout may be too small for dropout, whose gradients are noisier, and a small one is early stopping
by another name. So the rate is searched within each seed, by the validation loss at the last step, with the same budget
for every p and every number of examples. A pilot on other seeds, of no dropout alone, chose the range: its best rates lay
between 1e-4 and 1e-3. The rest is mlp_dropout's, smallest effects included: errors count from five of 359 test images on.
"""

from harness import Claim, Study, Sweep, Tune
from harness.models import DropoutNet
from harness.optimizers import Adam
from harness.tasks import Images

HALF, NONE = {"model.dropout": 0.5}, {"model.dropout": 0.0}

study = Study(
    name="mlp_dropout_tuned",
    task=Images("digits", train_size=Sweep(100, 300, 1000)),
    model=DropoutNet(dropout=Sweep(0.0, 0.5)),
    optimizer=Adam(lr=Tune(3e-5, 1e-2, log=True)),
    batch_size=64,
    steps=1600,
    evaluations=16,
    seeds=20,
    tune_trials=5,
    claims=[
        *(
            Claim(
                f"C1, tuned: lower test error with dropout, {n:,} examples",
                metric="test_error", better="lower", smallest_effect=0.014,
                treatment={**HALF, "task.train_size": n}, baseline={**NONE, "task.train_size": n},
            )
            for n in (300, 1000)
        ),
        Claim(
            "C1, tuned: lower test loss with dropout",
            metric="test_loss", better="lower", smallest_effect=0.01, treatment=HALF, baseline=NONE,
        ),
        Claim(
            "C1, tuned: smaller gap between test and training loss with dropout",
            metric="gap", better="lower", smallest_effect=0.01, treatment=HALF, baseline=NONE,
        ),
    ],
)  # fmt: skip
