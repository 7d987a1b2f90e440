"""Tasks: what networks are asked to learn, and from which examples. One file per kind; a user's own subclass `Task`."""

from harness.tasks.dataset import from_dataset
from harness.tasks.images import Images
from harness.tasks.synthetic import AddingProblem, CopyMemory, Friedman, TemporalOrder
from harness.tasks.tabular import Tabular
from harness.tasks.task import Data, Task
from harness.tasks.tensors import Tensors
from harness.tasks.text import CharLM

__all__ = [
    "AddingProblem",
    "CharLM",
    "CopyMemory",
    "Data",
    "Friedman",
    "Images",
    "Tabular",
    "Task",
    "TemporalOrder",
    "Tensors",
    "from_dataset",
]
