"""Optimizers: one update of every member's parameters, with settings of each member's own. One file per idea."""

from harness.optimizers.adam import Adam, AdamW
from harness.optimizers.lion import Lion
from harness.optimizers.optimizer import Columns, Optimizer
from harness.optimizers.rmsprop import RMSprop
from harness.optimizers.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Columns", "Lion", "Optimizer", "RMSprop"]
