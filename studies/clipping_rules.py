"""Which clipping rule lets a recurrent net train at the largest rate, and which reaches the lowest loss? (Kumar 2025,
ZClip)

All rules of the harness with the bounds that their papers give, or 1, on a tanh RNN and an LSTM that predict the next
character by SGD. Each has the same budget: the learning rate is tuned within each seed at the same four values, which
also say for each rule the largest one at which it trains. Rules that only make steps smaller answer the first question
by a trick (the same step needs a larger rate), so the loss at the best rate is asked beside it.
"""

from harness import Claim, Published, Study, Sweep, Tune
from harness import clipping as rules
from harness.models import SimpleRNN
from harness.optimizers import SGD
from harness.tasks import CharLM

RULES = [
    rules.NoClipping(), rules.SkipNonfinite(), rules.GlobalNorm(1.0), rules.PerTensorNorm(1.0), rules.Value(0.1),
    rules.Normalized(1.0), rules.AGC(0.01), rules.AutoClip(10.0), rules.ZClip(2.5),
]  # fmt: skip
NONE, NORM, AUTOCLIP, ZCLIP = ({"clipping": RULES[i]} for i in (0, 2, 7, 8))

study = Study(
    name="clipping_rules",
    task=CharLM(length=30),
    model=SimpleRNN(hidden=32, readout="every", cell=Sweep("rnn", "lstm")),
    clipping=Sweep(*RULES),
    optimizer=SGD(lr=Tune(0.1, 30.0, log=True)),
    batch_size=16,
    steps=200,
    seeds=10,
    tune_trials=4,
    claims=[
        Claim(
            "Clipping the global norm reaches a lower loss than no clipping, each at its own best rate",
            metric="test_loss", better="lower", smallest_effect=0.05, treatment=NORM, baseline=NONE,
        ),
        Claim(
            "ZClip trains at larger rates than a bound on the norm",
            metric="largest_lr", better="higher", smallest_effect=0.5, treatment=ZCLIP, baseline=NORM,
        ),
        Claim(
            "ZClip reaches a lower loss than a bound on the norm, each at its own best rate",
            metric="test_loss", better="lower", smallest_effect=0.05, treatment=ZCLIP, baseline=NORM,
        ),
        Claim(
            "AutoClip reaches a lower loss than a bound on the norm, each at its own best rate",
            metric="test_loss", better="lower", smallest_effect=0.05, treatment=AUTOCLIP, baseline=NORM,
        ),
    ],
    published=[
        Published(
            "largest rate that trains, with ZClip less that with a bound on the norm",
            metric="largest_lr", theirs="above 0: at high rates only ZClip stays stable",
            source="Kumar et al. 2025, arXiv:2504.02507", at=ZCLIP, less=NORM,
            differs="they pretrain a transformer by Adam, on words; a small recurrent net, SGD and characters here",
        ),
    ],
)  # fmt: skip
