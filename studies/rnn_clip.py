"""Does the clipping norm decide whether a vanilla RNN trains? (Pascanu et al. 2013, arXiv:1211.5063)

A tanh RNN predicts the next character of English prose. Its gradients grow along time, so without clipping a learning
rate that would train fast makes training spike and diverge. Every combination of dropout and clipping norm gets the
same search for its learning rate, so that "clipping helps" is told apart from "clipping rescues a bad learning rate".
"""

from math import inf

from harness import Claim, Study, Sweep, Tune
from harness.clipping import GlobalNorm
from harness.models import SimpleRNN
from harness.optimizers import SGD
from harness.tasks import CharLM

study = Study(
    name="rnn_clip",
    task=CharLM(length=50),
    model=SimpleRNN(hidden=64, readout="every", dropout=Sweep(0.0, 0.2, 0.5)),
    clipping=GlobalNorm(max_norm=Sweep(0.25, 1.0, 5.0, inf)),
    optimizer=SGD(lr=Tune(0.1, 10.0, log=True)),
    batch_size=32,
    steps=300,
    seeds=10,
    tune_trials=5,
    claims=[
        Claim(
            "C4: clipping reaches a lower loss than no clipping, each at its own best learning rate",
            metric="test_loss", better="lower", smallest_effect=0.05,
            treatment={"clipping.max_norm": 1.0}, baseline={"clipping.max_norm": inf},
        ),
        Claim(
            "C4: clipping prevents the divergence of an RNN",
            metric="diverged", better="lower", smallest_effect=0.10,
            treatment={"clipping.max_norm": 1.0}, baseline={"clipping.max_norm": inf},
        ),
        Claim(
            "C4: clipping prevents loss spikes",
            metric="spike_rate", above=0.01, better="lower", smallest_effect=0.10,
            treatment={"clipping.max_norm": 1.0}, baseline={"clipping.max_norm": inf},
        ),
    ],
)  # fmt: skip
