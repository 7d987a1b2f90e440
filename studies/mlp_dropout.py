"""Does dropout reduce overfitting, and does it depend on how much data there is? (Srivastava et al. 2014, Fig. 9, 10)

The textbook's DropoutNet on handwritten digits, with the textbook's Adam at a learning rate of 1e-3. The training set
is swept with p, because dropout is said to help where a network can memorise its examples.
"""

from harness import Claim, Exact, Study, Sweep
from harness.models import DropoutNet
from harness.optimizers import Adam
from harness.tasks import Images

study = Study(
    name="mlp_dropout",
    task=Images("digits", train_size=Sweep(100, 300, 1000)),
    model=DropoutNet(dropout=Sweep(0.0, 0.2, 0.5, 0.8)),
    optimizer=Adam(lr=1e-3),
    batch_size=64,
    steps=1000,
    seeds=20,
    claims=[
        Claim(
            "C1: dropout generalizes better to new data: lower test error with 300 examples",
            metric="test_error", better="lower", smallest_effect=0.005,
            treatment={"model.dropout": 0.5, "task.train_size": 300},
            baseline={"model.dropout": 0.0, "task.train_size": 300},
        ),
        Claim(
            "C1: dropout reduces overfitting: smaller gap between test and training loss",
            metric="gap", better="lower", smallest_effect=0.01,
            treatment={"model.dropout": 0.5}, baseline={"model.dropout": 0.0},
        ),
        Exact(
            "C3: dropout acts in training only: evaluation does not depend on its noise",
            metric="eval_noise", equals=0.0, unless="train_noise",
        ),
    ],
)  # fmt: skip
