"""Where names stand: `harness.metrics()`, and `harness.settings_of(SGD)`, as tables."""

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from harness.settings.metrics import shipped
from harness.settings.show import show

ENTRY = re.compile(r"^ {4}(?P<names>\w+(?:, \w+)*): (?P<text>.*(?:\n {8,}.*)*)", re.MULTILINE)
"""Of a docstring's arguments one, or several with one meaning."""


def metrics() -> pd.DataFrame:
    """Every metric that claims, `objective` and tables may name: what it means, its unit, which direction is good, from which level on."""
    rows = [
        {"metric": name, "meaning": each.meaning, "unit": each.unit, "better": each.better or "–", "level": each.level,
         "group": each.group}
        for name, each in shipped().items()
    ]  # fmt: skip
    return pd.DataFrame(rows).set_index("metric")


def settings_of(piece: Callable[..., Any]) -> pd.DataFrame:
    """Every setting of a task, model, clipping rule, optimizer, schedule, claim or `Study`: its type, default and meaning.

    Args:
        piece: such as `SGD` or `SimpleRNN`.
    """
    meanings = dict(_meanings(piece))
    rows = [
        {"setting": name, "type": inspect.formatannotation(each.annotation).replace("typing.", ""),
         "default": "required" if each.default is each.empty else show(each.default), "meaning": meanings.get(name, "")}
        for name, each in inspect.signature(piece).parameters.items()
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["setting", "type", "default", "meaning"]).set_index("setting")


def _meanings(piece: Callable[..., Any]) -> Iterator[tuple[str, str]]:
    """What docstrings say of each argument, those of bases first."""
    classes = reversed(piece.__mro__) if isinstance(piece, type) else [piece]
    for each in classes:
        _, _, arguments = inspect.cleandoc(each.__doc__ or "").partition("Args:\n")
        for entry in ENTRY.finditer(arguments):
            for name in entry["names"].split(", "):
                yield name, " ".join(entry["text"].split())
