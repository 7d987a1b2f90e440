"""Does dropout reduce overfitting, and does it depend on how much data there is? (Srivastava et al. 2014, Fig. 9, 10)

The textbook's DropoutNet on handwritten digits, with the textbook's Adam at a learning rate of 1e-3. The training set is
swept with p, because dropout is said to help where a network can memorise its examples. All nets train until the one
without dropout fits its examples wholly, which is itself claimed, so that what p = 0 lacks is not time. Errors count from
five of the 359 test images on (0.014): fewer tell nothing. The last step is judged and, beside it, the step of the least
validation loss, since stopping there is the cheaper remedy.
"""

from harness import Claim, Exact, Published, Study, Sweep, Threshold
from harness.models import DropoutNet
from harness.optimizers import Adam
from harness.tasks import Images

DIFFERS = "8 × 8 digits, not MNIST; 359 test images, not 10,000; a smaller net; Adam for 1,600 steps"

study = Study(
    name="mlp_dropout",
    task=Images("digits", train_size=Sweep(100, 300, 1000)),
    model=DropoutNet(dropout=Sweep(0.0, 0.2, 0.5)),
    optimizer=Adam(lr=1e-3),
    batch_size=64,
    steps=1600,
    evaluations=16,
    seeds=20,
    claims=[
        Claim(
            "C1: dropout generalizes better to new data: lower test error with 300 examples",
            metric="test_error", better="lower", smallest_effect=0.014,
            treatment={"model.dropout": 0.5, "task.train_size": 300},
            baseline={"model.dropout": 0.0, "task.train_size": 300},
        ),
        Claim(
            "C1: dropout generalizes better to new data: lower test error with 1,000 examples",
            metric="test_error", better="lower", smallest_effect=0.014,
            treatment={"model.dropout": 0.5, "task.train_size": 1000},
            baseline={"model.dropout": 0.0, "task.train_size": 1000},
        ),
        Claim(
            "C1: dropout reduces overfitting: smaller gap between test and training loss",
            metric="gap", better="lower", smallest_effect=0.01,
            treatment={"model.dropout": 0.5}, baseline={"model.dropout": 0.0},
        ),
        Claim(
            "C1 against early stopping: lower test loss with dropout, each net at its best step",
            metric="best_test_loss", better="lower", smallest_effect=0.01,
            treatment={"model.dropout": 0.5}, baseline={"model.dropout": 0.0},
        ),
        Threshold(
            "Check: without dropout a net fits its training set, of every size",
            metric="train_loss", better="lower", value=0.02, smallest_effect=0.01, arm={"model.dropout": 0.0}, across="each",
        ),
        Exact(
            "C3: dropout acts in training only: evaluation does not depend on its noise",
            metric="eval_noise", equals=0.0, unless="train_noise",
        ),
    ],
    published=[
        Published(
            f"What dropout changes in the test error with {n} examples", metric="test_error", theirs=theirs,
            source="Srivastava et al. 2014, Figure 10", differs=DIFFERS,
            at={"model.dropout": 0.5, "task.train_size": n}, less={"model.dropout": 0.0, "task.train_size": n},
        )
        for n, theirs in ((100, "no gain"), (1000, "a gain: it grows from 500 examples on, then shrinks"))
    ],
)  # fmt: skip
