"""Tasks: what networks are asked to learn, and from which examples. One file per kind; a user's own subclass `Task`."""

from harness.tasks.images import Images
from harness.tasks.synthetic import AddingProblem, TemporalOrder
from harness.tasks.task import Data, Task
from harness.tasks.tensors import Tensors
from harness.tasks.text import CharLM

__all__ = ["AddingProblem", "CharLM", "Data", "Images", "Task", "TemporalOrder", "Tensors"]
