"""Is dropout of use where each example is seen once? (Drop Dropout on Single-Epoch Language Model Pretraining 2025,
arXiv:2505.24788)

The same net takes the same number of steps over all of the text, once, or over 5 % of it, twenty times. Dropout is said
to keep a net from fitting its examples too closely, for which one pass gives no occasion; the interaction decides, with
the effect in each of both beside it. Both kinds of runs are judged at their end; the least loss on the way stands in
the tables. A pilot on other seeds, of no dropout alone, showed that the steps suffice: many passes fit their examples
too closely (a gap of 1 to 1.6 nats, the least loss long before the end), and one pass does not (no gap, still improving).
"""

from harness import Claim, Interaction, Published, Study, Sweep
from harness.models import SimpleRNN
from harness.optimizers import Adam
from harness.tasks import CharLM

MANY, ONE = {"task.train_size": 320}, {"task.train_size": 6400}

study = Study(
    name="one_epoch",
    task=CharLM(length=50, train_size=Sweep(320, 6400)),
    model=SimpleRNN(hidden=128, readout="every", cell="gru", dropout=Sweep(0.0, 0.3)),
    optimizer=Adam(lr=0.01),
    batch_size=16,
    steps=400,
    seeds=20,
    claims=[
        Interaction(
            "Dropout lowers the loss on new text more in many passes over 5 % of it than in one over all",
            metric="test_loss", better="lower", smallest_effect=0.05,
            treatment={"model.dropout": 0.3}, baseline={"model.dropout": 0.0}, here=MANY, there=ONE,
        ),
        Claim(
            "In one pass no dropout reaches a lower loss than p = 0.3",
            metric="test_loss", better="lower", smallest_effect=0.02,
            treatment={"model.dropout": 0.0, **ONE}, baseline={"model.dropout": 0.3, **ONE},
        ),
        Claim(
            "In many passes dropout of 0.3 reaches a lower loss than none",
            metric="test_loss", better="lower", smallest_effect=0.02,
            treatment={"model.dropout": 0.3, **MANY}, baseline={"model.dropout": 0.0, **MANY},
        ),
    ],
    published=[
        Published(
            "loss with p = 0.3 less that with none, one pass",
            metric="test_loss", theirs="above 0: none is best (to verify)", source="arXiv:2505.24788",
            at={"model.dropout": 0.3, **ONE}, less={"model.dropout": 0.0, **ONE},
            differs="transformers on words there; a small GRU on characters, dropout before the readout alone, here",
        ),
    ],
)  # fmt: skip
