"""`Model`: how a study names a module class and the arguments to build it with."""

import copy
import inspect
import typing
from typing import Annotated, Any

import torch.nn as nn
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from harness.models.kept_schedules import schedules_kept
from harness.settings import Component, Problem, show
from harness.settings.schedules import USUAL, Schedule

FROM_TASK = ("inputs", "outputs")


class Model(Component):
    """A module class and the keyword arguments to build it with; each argument is a factor `model.<name>`.

    Arguments called `inputs` and `outputs` that are not given are taken from the task: the width of its inputs
    (for tokens, the size of the vocabulary) and the number of its outputs. Annotated arguments are checked
    against their annotation; those without one, whose default is a number or a boolean, must be no text.

    Args:
        module: a subclass of `torch.nn.Module`; it may hold `nn.Dropout`, `nn.RNN`, `nn.LSTM` and `nn.GRU` layers.
        **settings: arguments of its constructor; values may be `Sweep` or `Tune`.
    """

    __signature__ = None  # type: ignore[assignment]  # that of its constructor
    stand_ins = (Schedule,)

    def __init__(self, module: type[nn.Module], /, *args: Any, **settings: Any) -> None:
        self.__dict__["_module"] = module
        self.__dict__["_given"] = tuple(settings)
        super().__init__(**settings)
        if not self._names_a_module():
            got = module.__qualname__ if isinstance(module, type) else f"a {type(module).__name__} object"
            problem = Problem("", "needs a torch.nn.Module class, e.g. Model(MyNet, width=32)", got)
            self.__dict__["_problems"] = [problem]
            return
        if not any(name in inspect.signature(module).parameters for name in FROM_TASK):
            way_out = "is required; arguments named inputs and outputs are taken from the task"
            known = [Problem(p.path, way_out) if p.message == "is required" else p for p in self._problems]
            self.__dict__["_problems"] = known
        parameters = inspect.signature(module).parameters.values()
        unnamed = [
            p for p in parameters if p.kind is p.POSITIONAL_ONLY and (p.name in settings or p.default is p.empty)
        ]
        if unnamed:
            message = (
                "is taken by position alone, and a study gives arguments by name: take the `/` out of the constructor"
            )
            other = [problem for problem in self._problems if problem.path not in {p.name for p in unnamed}]
            self.__dict__["_problems"] = other + [Problem(p.name, message) for p in unnamed]
        if args:
            first = next(iter(self.kinds()), "width")
            message = f"takes the arguments of {self.class_name()} by name, e.g. {first}={show(args[0])}"
            self.__dict__["_problems"] = [Problem("", message, show(args)), *self._problems]

    @property
    def module(self) -> type[nn.Module]:
        """The class that `build` calls."""
        return typing.cast(type[nn.Module], self.__dict__["_module"])

    def _names_a_module(self) -> bool:
        return isinstance(self.module, type) and issubclass(self.module, nn.Module)

    def kinds(self) -> dict[str, Any]:
        """The constructor's arguments and their annotations; `inputs` and `outputs` only where given."""
        if "_kinds" not in self.__dict__:
            self.__dict__["_kinds"] = self._annotated()
        return typing.cast(dict[str, Any], self.__dict__["_kinds"])

    def _annotated(self) -> dict[str, Any]:
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
        defaults = self.defaults()
        wanted = [name for name in named if name not in FROM_TASK or name in self.__dict__["_given"]]
        return {name: hints[name] if name in hints else _kind_of(defaults.get(name)) for name in wanted}

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

    def code(self) -> list[Any]:
        """See `Component.code`: that of the module."""
        return [self.module]

    def build(self, sizes: dict[str, int], steps: int = USUAL) -> nn.Module:
        """A new module, initialised from torch's global random state.

        Args:
            sizes: `inputs` and `outputs`, for a module that wants them.
            steps: of its training, for schedules among its arguments.
        """
        wanted = inspect.signature(self.module).parameters
        from_task = {name: sizes[name] for name in FROM_TASK if name in wanted and name in sizes}
        # A module may change a list that it is given, and the next one must get it as it was.
        given = from_task | {name: _own(value, steps) for name, value in self.values().items()}
        with schedules_kept(steps):
            return self.module(**given)


def _own(argument: Any, steps: int) -> Any:
    """An argument for one module: a list that it may change, schedules that know how long training is."""
    if isinstance(argument, Schedule):
        return argument.over(steps)
    if isinstance(argument, list | tuple) and any(isinstance(part, Schedule) for part in argument):
        return type(argument)([_own(part, steps) for part in argument])
    return copy.deepcopy(argument) if isinstance(argument, list | dict | set) else argument


def _kind_of(default: Any) -> Any:
    """What an argument without annotation must be, as far as its default tells."""
    if isinstance(default, bool):
        return _LIKE_BOOLEAN
    return _LIKE_NUMBER if isinstance(default, int | float) else Any


def _no_text(value: Any, wanted: str) -> Any:
    """Refuses a text: it would be true, whatever it says."""
    if isinstance(value, str):
        message = f"must be {wanted}, as its default is; annotate the argument if it may be text"
        raise PydanticCustomError("no_text", message)
    return value


_LIKE_BOOLEAN = Annotated[Any, AfterValidator(lambda value: _no_text(value, "True or False"))]
_LIKE_NUMBER = Annotated[Any, AfterValidator(lambda value: _no_text(value, "a number"))]
