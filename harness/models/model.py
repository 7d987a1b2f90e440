"""`Model`: how a study names a module class and the arguments to build it with."""

import hashlib
import inspect
import typing
from typing import Any

import torch.nn as nn

from harness.settings import Component, Problem
from harness.settings.schedules import Schedule

FROM_TASK = ("inputs", "outputs")


class Model(Component):
    """A module class and the keyword arguments to build it with; each argument is a factor `model.<name>`.

    Arguments called `inputs` and `outputs` that are not given are taken from the task: the width of its inputs
    (for tokens, the size of the vocabulary) and the number of its outputs. Annotated arguments are checked
    against their annotation.

    Args:
        module: a subclass of `torch.nn.Module`; it may hold `nn.Dropout`, `nn.RNN`, `nn.LSTM` and `nn.GRU` layers.
        **settings: arguments of its constructor; values may be `Sweep` or `Tune`.
    """

    stand_ins = (Schedule,)

    def __init__(self, module: type[nn.Module], /, **settings: Any) -> None:
        self.__dict__["_module"] = module
        self.__dict__["_given"] = tuple(settings)
        super().__init__(**settings)
        if not self._names_a_module():
            got = module.__qualname__ if isinstance(module, type) else f"a {type(module).__name__} object"
            problem = Problem("", "needs a torch.nn.Module class, e.g. Model(MyNet, width=32)", got)
            self.__dict__["_problems"] = [problem]

    @property
    def module(self) -> type[nn.Module]:
        """The class that `build` calls."""
        return typing.cast(type[nn.Module], self.__dict__["_module"])

    def _names_a_module(self) -> bool:
        return isinstance(self.module, type) and issubclass(self.module, nn.Module)

    def kinds(self) -> dict[str, Any]:
        """The constructor's arguments and their annotations; `inputs` and `outputs` only where given."""
        if not self._names_a_module():
            return {}
        signature = inspect.signature(self.module).parameters
        try:
            hints = typing.get_type_hints(self.module.__init__, include_extras=True)
        except Exception:  # annotations that were never meant to be evaluated: their arguments go unchecked
            hints = {}
        named = [p.name for p in signature.values() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        if any(p.kind is p.VAR_KEYWORD for p in signature.values()):
            named += [name for name in self.__dict__["_given"] if name not in named and name.isidentifier()]
        return {n: hints.get(n, Any) for n in named if n not in FROM_TASK or n in self.__dict__["_given"]}

    def defaults(self) -> dict[str, Any]:
        """The constructor's own defaults."""
        parameters = inspect.signature(self.module).parameters.values() if self._names_a_module() else ()
        return {p.name: p.default for p in parameters if p.default is not p.empty}

    def replace(self, /, **settings: Any) -> "Model":
        """A copy with some arguments changed."""
        return Model(self.module, **(self.values() | settings))

    def class_name(self) -> str:
        """The name of the module class."""
        return str(getattr(self.module, "__qualname__", "Model"))

    def identity(self) -> str:
        """Name of the class and, where its source can be read, a digest of it."""
        try:
            digest = hashlib.sha256(inspect.getsource(self.module).encode()).hexdigest()[:16]
        except OSError:
            digest = "source not found"
        return f"{self.module.__qualname__} ({digest})"

    def build(self, sizes: dict[str, int]) -> nn.Module:
        """A new module, initialised from torch's global random state; `inputs`/`outputs` from `sizes` if it wants them."""
        wanted = inspect.signature(self.module).parameters
        from_task = {name: sizes[name] for name in FROM_TASK if name in wanted and name in sizes}
        return self.module(**(from_task | self.values()))
