"""Does a bound on the gradient norm lower the loss that a vanilla RNN reaches? (Pascanu et al. 2013, arXiv:1211.5063)

A tanh RNN predicts the next character of English prose, trained by SGD with and without clipping and dropout. Every
combination gets the same search for its learning rate, within each seed, so that "clipping helps" is told apart from
"clipping rescues a bad learning rate": no clipping may answer with a smaller one. 300 steps are enough for all of them
to beat the frequencies of the letters (3.27), and few enough that part of any gain is speed; rnn_clip_long asks again
after 1,200 steps. How often training fails cannot be seen in tuned runs; rnn_clip_rates asks that at fixed rates.
Claims are as in a first design, which tried rates above 0.2 alone and so did not test what no clipping can reach.
"""

from math import inf

from harness import Claim, Published, Study, Sweep, Tune
from harness.clipping import GlobalNorm
from harness.models import SimpleRNN
from harness.optimizers import SGD
from harness.tasks import CharLM

study = Study(
    name="rnn_clip",
    task=CharLM(length=50),
    model=SimpleRNN(hidden=64, readout="every", dropout=Sweep(0.0, 0.5)),
    clipping=GlobalNorm(max_norm=Sweep(1.0, inf)),
    optimizer=SGD(lr=Tune(0.05, 10.0, log=True)),
    batch_size=16,
    steps=300,
    seeds=20,
    tune_trials=5,
    claims=[
        Claim(
            "C4: clipping reaches a lower loss than no clipping, each at its own best learning rate",
            metric="test_loss", better="lower", smallest_effect=0.05,
            treatment={"clipping.max_norm": 1.0}, baseline={"clipping.max_norm": inf},
        ),
        Claim(
            "C1: dropout reaches a lower loss on new text than none, each at its own best learning rate",
            metric="test_loss", better="lower", smallest_effect=0.05,
            treatment={"model.dropout": 0.5}, baseline={"model.dropout": 0.0},
        ),
    ],
    published=[
        Published(
            "test loss with clipping less without, a character, in nats",
            metric="test_loss", theirs="−0.055 (1.50 → 1.42 bits)", source="Pascanu et al. 2013, Table 1 (PTB)",
            at={"clipping.max_norm": 1.0, "model.dropout": 0.0}, less={"clipping.max_norm": inf, "model.dropout": 0.0},
            differs="another and longer text, a larger net, trained to the end; how it was tuned is not stated",
        ),
    ],
)  # fmt: skip
