"""Does dropout reduce overfitting, and does it depend on how much data there is? (Srivastava et al. 2014, Fig. 9, 10)

The textbook's DropoutNet, with the textbook's Adam at a learning rate of 1e-3. The training set is swept with p, because
dropout is said to help where a network can memorise its examples. Nets train until the one without dropout fits its
examples wholly, which is itself claimed, so that what p = 0 lacks is not time. The last step is judged and, beside it,
the step of the least validation loss, since stopping there is the cheaper remedy.

By default these are handwritten digits, and errors count from five of their 359 test images on (0.014): fewer tell
nothing. On Fashion-MNIST, with its own 10,000 test images, they count from 0.005 on. There a pilot on other seeds chose
the steps, by p = 0 alone: it fits up to 2,000 examples, and of 10,000 its least validation loss has passed. With a FOLDER
that holds its files: `harness run studies/mlp_dropout.py --set name=mlp_dropout_fashion --set task.source=idx:FOLDER
--set 'task.train_size=Sweep(100, 500, 2000, 10000)' --set steps=3200 --set seeds=12 --set claims=FASHION --set
published=FASHION_PUBLISHED`.
"""

from harness import Claim, Exact, Published, Study, Sweep, Threshold
from harness.models import DropoutNet
from harness.optimizers import Adam
from harness.tasks import Images

HALF, NONE = {"model.dropout": 0.5}, {"model.dropout": 0.0}


def claims(smallest: float, sizes: tuple[int, ...], fitted: dict[str, int], of: str) -> list[Claim | Threshold | Exact]:
    """C1, with these numbers of examples by an error of so much at least, and over all; that p = 0 fits; C3."""
    return [
        *(
            Claim(
                f"C1: dropout generalizes better to new data: lower test error with {n:,} examples",
                metric="test_error", better="lower", smallest_effect=smallest,
                treatment={**HALF, "task.train_size": n}, baseline={**NONE, "task.train_size": n},
            )
            for n in sizes
        ),
        Claim(
            "C1: dropout reduces overfitting: smaller gap between test and training loss",
            metric="gap", better="lower", smallest_effect=0.01, treatment=HALF, baseline=NONE,
        ),
        Claim(
            "C1 against early stopping: lower test loss with dropout, each net at its best step",
            metric="best_test_loss", better="lower", smallest_effect=0.01, treatment=HALF, baseline=NONE,
        ),
        Threshold(
            f"Check: without dropout a net fits its training set, {of}",
            metric="train_loss", better="lower", value=0.02, smallest_effect=0.01, arm={**NONE, **fitted}, across="each",
        ),
        Exact(
            "C3: dropout acts in training only: evaluation does not depend on its noise",
            metric="eval_noise", equals=0.0, unless="train_noise",
        ),
    ]  # fmt: skip


def published(differs: str, sizes: tuple[int, ...]) -> list[Published]:
    """Figure 10 of Srivastava et al. beside what dropout changes at each of these numbers of examples."""
    return [
        Published(
            f"What dropout changes in the test error with {n} examples", metric="test_error",
            theirs="no gain" if n <= 500 else "a gain: it grows from 500 examples on, then shrinks",
            source="Srivastava et al. 2014, Figure 10", differs=differs,
            at={**HALF, "task.train_size": n}, less={**NONE, "task.train_size": n},
        )
        for n in sizes
    ]  # fmt: skip


FASHION = claims(0.005, (100, 500, 2000, 10000), fitted={"task.train_size": 2000}, of="of 2,000 examples")
FASHION_PUBLISHED = published("Fashion-MNIST, not MNIST; a smaller net; Adam for 3,200 steps", (100, 500, 2000, 10000))
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
    claims=claims(0.014, (300, 1000), fitted={}, of="of every size"),
    published=published(DIFFERS, (100, 1000)),
)
