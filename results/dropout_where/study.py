"""Is a fixed budget of dropout better spent in the first layers of a deep net than evenly? (2026, arXiv:2605.21648)

Six hidden layers, 100 training digits, so that a net without dropout overfits: its test loss at the end is well above its
least. Budgets are equal where the sums of p over layers are: 0.6 for 0.1 everywhere, 0.2 in the first or the last three
layers, 0.3 in the first two. A constant 0.2 spends twice as much: what a search over one p may choose. Placements are
compared at the last step and at the step of the least validation loss, since early stopping may do what placement does.
A loss counts from 0.05 nats on.
"""

from harness import Claim, Cosine, Published, Study, Sweep
from harness.models import DropoutNet
from harness.optimizers import AdamW
from harness.tasks import Images

NONE, EVEN, TWICE = (0.0,) * 6, (0.1,) * 6, (0.2,) * 6
FIRST, FIRST_TWO, LAST = (0.2,) * 3 + (0.0,) * 3, (0.3,) * 2 + (0.0,) * 4, (0.0,) * 3 + (0.2,) * 3
WHERE = "model.dropout"
THEIRS = {  # final and best loss
    NONE: (3.96, 1.80), EVEN: (2.22, 1.68), TWICE: (1.68, 1.67), FIRST: (1.83, 1.65), FIRST_TWO: (1.72, 1.64),
    LAST: (3.66, 1.73),
}  # fmt: skip
NAMES = {
    NONE: "none", TWICE: "0.2 everywhere", FIRST: "0.2 in the first three", FIRST_TWO: "0.3 in the first two",
    LAST: "0.2 in the last three",
}  # fmt: skip


def lower(title, metric, treatment, baseline):
    """The claim that dropout placed so has a lower loss."""
    arms = {"treatment": {WHERE: treatment}, "baseline": {WHERE: baseline}}
    return Claim(title, metric=metric, better="lower", smallest_effect=0.05, **arms)


study = Study(
    name="dropout_where",
    task=Images("digits", train_size=100),
    model=DropoutNet(hidden=(64,) * 6, init="he", dropout=Sweep(NONE, EVEN, TWICE, FIRST, FIRST_TWO, LAST)),
    optimizer=AdamW(lr=Cosine(1e-3)),
    batch_size=50,
    steps=600,
    evaluations=30,
    seeds=20,
    claims=[
        lower("Early placement has a lower final loss than an even one of the same budget", "test_loss", FIRST, EVEN),
        lower("It has so at the best step, too", "best_test_loss", FIRST, EVEN),
        lower("Late placement has a higher final loss than an even one", "test_loss", EVEN, LAST),
        lower("Early placement has a lower final loss than twice the budget everywhere", "test_loss", FIRST, TWICE),
    ],
    published=[
        Published(
            f"{'Best' if best else 'Final'} test loss, {NAMES[where]}, less that of 0.1 everywhere (to verify)",
            metric="best_test_loss" if best else "test_loss", theirs=f"{THEIRS[where][best] - THEIRS[EVEN][best]:+.2f}",
            source="arXiv:2605.21648, means of the authors' arrays", at={WHERE: where}, less={WHERE: EVEN},
            differs="digits, 100 examples, width 64, rate 1e-3, 300 epochs; theirs: CIFAR-10, 5,000, 256, 1e-4, 75"
            + ("; ours at the least validation loss, theirs at the least test loss" if best else ""),
        )
        for best in (0, 1)
        for where in NAMES
    ],
)  # fmt: skip
