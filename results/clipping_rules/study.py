"""Which clipping rule lets a recurrent net train at the largest rate, and which reaches the lowest loss? (Kumar 2025,
ZClip)

All nine rules of the harness with the bounds that their papers give, or 1, on a tanh RNN and an LSTM that predict the
next character, by SGD and by Adam. Each has the same budget: the learning rate is tuned within each seed at the same
four values, which also say for each rule the largest one at which it trains. Adam takes a hundredth of each, so that
one search serves both. Rules that only make steps smaller answer the first question by a trick (the same step needs a
larger rate), so the loss at the best rate is asked beside it. A pilot on other seeds, of no clipping alone, showed that
the range and the steps suffice: its best rate lies inside the range, at 1.3 or 3.1, where it beats the letters'
frequencies, and the largest one, 15, ends training of the RNN. The LSTM trains there, too, so that what a rule adds beyond is not
seen; nor is a change of the largest rate that is smaller than the steps between the four, factors of 10, 2.4 and 4.8.
"""

from typing import Literal

from torch import Tensor

from harness import Claim, Published, Study, Sweep, Tune
from harness import clipping as rules
from harness.models import SimpleRNN
from harness.optimizers import Adam
from harness.optimizers.optimizer import Columns
from harness.tasks import CharLM

RULES = [
    rules.NoClipping(), rules.SkipNonfinite(), rules.GlobalNorm(1.0), rules.PerTensorNorm(1.0), rules.Value(0.1),
    rules.Normalized(1.0), rules.AGC(0.01), rules.AutoClip(10.0), rules.ZClip(2.5),
]  # fmt: skip
NONE, NORM, AUTOCLIP, ZCLIP = ({"clipping": RULES[i]} for i in (0, 2, 7, 8))


class Either(Adam):
    """SGD at the rate `lr`, or Adam at a hundredth of it.

    Args:
        method: which of both.
    """

    method: Literal["SGD", "Adam"] = "SGD"

    def coefficients(self, step: Tensor, *, lr: Tensor, **others: Tensor | None) -> Columns:
        """See `Optimizer.coefficients`."""
        return super().coefficients(step, lr=lr / 100, **others) if self.method == "Adam" else {"minus_lr": -lr}

    def update(self, parameters: Tensor, gradient: Tensor, *state: Tensor, **coefficients: Tensor) -> None:
        """See `Optimizer.update`."""
        if self.method == "Adam":
            super().update(parameters, gradient, *state, **coefficients)
        else:
            parameters.addcmul_(gradient, coefficients["minus_lr"])


SGD, ADAM = {"optimizer.method": "SGD"}, {"optimizer.method": "Adam"}


def lower_loss(title: str, treatment: dict, baseline: dict) -> Claim:
    """Of each at its own best rate."""
    title += ", each at its own best rate"
    return Claim(
        title, metric="test_loss", better="lower", smallest_effect=0.05, treatment=treatment, baseline=baseline
    )


def larger_rates(title: str, treatment: dict, baseline: dict) -> Claim:
    """Of the rates that were tried."""
    return Claim(
        title, metric="largest_lr", better="higher", smallest_effect=0.5, treatment=treatment, baseline=baseline
    )


study = Study(
    name="clipping_rules",
    task=CharLM(length=20),
    model=SimpleRNN(hidden=32, readout="every", cell=Sweep("rnn", "lstm")),
    clipping=Sweep(*RULES),
    optimizer=Either(lr=Tune(0.1, 30.0, log=True), method=Sweep("SGD", "Adam")),
    batch_size=8,
    steps=300,
    seeds=16,
    tune_trials=4,
    claims=[
        lower_loss("By SGD, a bound on the norm reaches a lower loss than no clipping", NORM | SGD, NONE | SGD),
        lower_loss("By Adam, a bound on the norm reaches a lower loss than no clipping", NORM | ADAM, NONE | ADAM),
        lower_loss("ZClip reaches a lower loss than a bound on the norm", ZCLIP, NORM),
        lower_loss("AutoClip reaches a lower loss than a bound on the norm", AUTOCLIP, NORM),
        larger_rates("By SGD, ZClip trains at larger rates than a bound on the norm", ZCLIP | SGD, NORM | SGD),
        larger_rates("By Adam, ZClip trains at larger rates than a bound on the norm", ZCLIP | ADAM, NORM | ADAM),
    ],
    published=[
        Published(
            "largest rate that trains by Adam, in hundredths, with ZClip less that with a bound on the norm",
            metric="largest_lr", theirs="above 0: at high rates only ZClip stays stable",
            source="Kumar et al. 2025, arXiv:2504.02507", at=ZCLIP | ADAM, less=NORM | ADAM,
            differs="they pretrain a transformer on words; small recurrent nets on characters here",
        ),
    ],
)  # fmt: skip
