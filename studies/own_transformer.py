"""Do dropout and clipping each lower the test loss of a user's own small transformer, and does one change what the other does?

The module and the tensors are the user's: an ordinary `nn.Module` around a `nn.TransformerEncoderLayer`, and sequences of
tokens drawn below, of which it is to tell whether token 0 or token 1 occurs more often. One label in five is wrong, and 80
sequences are few, so the net can learn its examples by heart. Both are swept together, on the same seeds, since a net that
does not overfit leaves dropout nothing to gain, and clipping acts on the gradients that dropout makes noisy. The learning
rate is fixed, as it is where a module comes with a rate of its own. The study is called `own_transformer`: `own_module` is
that of the notebook beside this file.
"""

from math import inf

import torch
from torch import nn

from harness import Claim, Interaction, Model, Study, Sweep
from harness.clipping import GlobalNorm
from harness.optimizers import Adam
from harness.tasks import Tensors

generator = torch.Generator().manual_seed(0)  # what a study draws must be the same each time
tokens = torch.randint(0, 6, (2500, 13), generator=generator)
lead = (tokens == 0).sum(1) - (tokens == 1).sum(1)
tokens, lead = tokens[lead != 0], lead[lead != 0]  # no ties
wrong = torch.rand(len(lead), generator=generator) < 0.2
labels = ((lead > 0) ^ wrong).long()


class Transformer(nn.Module):
    def __init__(self, inputs, outputs, width=16, dropout=0.1):
        super().__init__()
        self.tokens = nn.Embedding(inputs, width)
        self.layer = nn.TransformerEncoderLayer(width, 2, 2 * width, dropout, batch_first=True)
        self.readout = nn.Linear(width, outputs)

    def forward(self, x):
        return self.readout(self.layer(self.tokens(x)).mean(1))


study = Study(
    name="own_transformer",
    task=Tensors(tokens, labels, train_size=80, validation_size=200, test_size=1000),
    model=Model(Transformer, dropout=Sweep(0.0, 0.2)),
    clipping=GlobalNorm(Sweep(0.25, inf)),
    optimizer=Adam(lr=0.01),
    batch_size=32, steps=400, seeds=20,
    claims=[
        Claim(
            "Dropout lowers the test loss of a small transformer",
            metric="test_loss", better="lower", smallest_effect=0.02,
            treatment={"model.dropout": 0.2}, baseline={"model.dropout": 0.0},
        ),
        Claim(
            "Clipping lowers the test loss of a small transformer under Adam",
            metric="test_loss", better="lower", smallest_effect=0.02,
            treatment={"clipping.max_norm": 0.25}, baseline={"clipping.max_norm": inf},
        ),
        Interaction(
            "Dropout lowers the test loss more where the gradient is clipped",
            metric="test_loss", better="lower", smallest_effect=0.02,
            treatment={"model.dropout": 0.2}, baseline={"model.dropout": 0.0},
            here={"clipping.max_norm": 0.25}, there={"clipping.max_norm": inf},
        ),
    ],
)  # fmt: skip
