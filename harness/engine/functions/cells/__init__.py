"""The recurrences themselves, forward and backward through time, for all members of a population at once.

Arrays here are `(member, time, batch, feature)`, not batch before time: the loop over time takes one slice
`(member, batch, feature)` per step, whose matrices `bmm` multiplies as they lie, and all steps of a member together are
one matrix `(time * batch, feature)` for the products before and after the loop.

M members, T time steps, B samples, H units, G = H, 3 H or 4 H summed inputs of the gates. The formulas and the order of
the gates are those of `nn.RNN`, `nn.LSTM` and `nn.GRU`; `before` is the hidden state of the previous step, `d_a` the
gradient of the loss with respect to a.
"""

from harness.engine.functions.cells.cell import Cell, CellContext, RecurrentNoise, Signals, Trace
from harness.engine.functions.cells.elman import Elman
from harness.engine.functions.cells.gru import GatedUnit
from harness.engine.functions.cells.lstm import LongShortTerm

__all__ = ["CELLS", "Cell", "CellContext", "RecurrentNoise", "Signals", "Trace"]

CELLS: dict[str, Cell] = {
    "RNN_TANH": Elman("tanh"),
    "RNN_RELU": Elman("relu"),
    "LSTM": LongShortTerm(),
    "GRU": GatedUnit(),
}
"""By the `mode` of torch's layer."""
