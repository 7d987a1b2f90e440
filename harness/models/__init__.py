"""Models: ordinary `nn.Module` classes, named in a study through `Model`, the shipped ones as well as a user's own.

model=SimpleRNN(hidden=64, dropout=Sweep(0.0, 0.5))            # shipped
model=Model(MyNet, width=32, dropout=Sweep(0.0, 0.5))          # a user's own class
"""

from functools import partial

from harness.models import mlp, rnn
from harness.models.model import Model

DropoutNet = partial(Model, mlp.DropoutNet)
SimpleRNN = partial(Model, rnn.SimpleRNN)

__all__ = ["DropoutNet", "Model", "SimpleRNN"]
