"""Levels as figures and sentences name them: as short as tells them apart. Tables have them whole."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import groupby

LONGEST = 48
"""Characters of a level's name that a sentence has room for."""

LONG = 24
"""Characters from which on what all levels share is left out."""

SEVERAL = re.compile(r"\(([^()]*,[^()]*)\)")
"""Brackets around several values, none of which has brackets itself."""

Part = tuple[str, list[str]]
"""The class of a component, and its settings, each with its name."""

NAMED = re.compile(r"='?[a-z_]+'?$")
"""A setting whose value is a word."""

WHOLE = re.compile(r"-?\d+\.0")


def brief(text: str) -> str:
    """A name with its middle left out where it is very long: names that differ at either end still do.

    >>> brief("adam"), brief("x" * 100 + "y")
    ('adam', 'xxxxxxxxxxxxxxxxxxxxxxxx…xxxxxxxxxxxxxxxxxxxxxxy')
    """
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[:half]}…{text[-half + 1 :]}"


def compact(text: str) -> str:
    """A level with what it repeats counted.

    >>> compact("(0.2, 0.2, 0.2, 0.0, 0.0, 0.0)"), compact("(32, 32)"), compact("DropoutNet(hidden=(8, 8, 8), dropout=0.2)")
    ('(0.2 ×3, 0 ×3)', '(32, 32)', 'DropoutNet(hidden=(8 ×3), dropout=0.2)')
    """
    return SEVERAL.sub(lambda found: f"({_counted(found[1])})", text)


def _counted(values: str) -> str:
    parts = [part[:-2] if WHOLE.fullmatch(part) else part for part in values.split(", ")]
    runs = [(part, len(list(run))) for part, run in groupby(parts)]
    return ", ".join(f"{part} ×{n}" if n > 2 else ", ".join([part] * n) for part, n in runs)


def told_apart(levels: Sequence[str]) -> list[str]:
    """Each level in short; different ones never read the same.

    >>> told_apart(["SimpleRNN(hidden=64, readout=every)", "SimpleRNN(hidden=64, readout=every, zoneout=0.5)"])
    ['SimpleRNN', 'SimpleRNN(zoneout=0.5)']
    """
    shown = [compact(level) for level in levels]
    if max(map(len, shown), default=0) > LONG:
        shown = _without_shared(shown)
    shown = [brief(text) for text in shown]
    whole = dict(zip(levels, shown, strict=True))
    count = Counter(whole.values())
    numbered = {level: i for i, level in enumerate(whole, start=1)}
    return [
        text if count[text] == 1 else f"{text} #{numbered[level]}" for level, text in zip(levels, shown, strict=True)
    ]


def _without_shared(levels: Sequence[str]) -> list[str]:
    """Components without the settings that all of them have alike; if these are still long, without what is off and without their class.

    As they are where that would not tell them apart.
    """
    parts = [_parts(level) for level in levels]
    if len(set(levels)) < 2 or not all(settings for _, settings in parts):
        return list(levels)
    shared = set.intersection(*(set(settings) for _, settings in parts))
    rest = [(name, [each for each in settings if each not in shared]) for name, settings in parts]
    on = [(name, [_flag(each) for each in settings if not _off(each)]) for name, settings in _without_usual(rest)]
    shown = list(levels)
    for found in (_called(rest), _called(on), _called(on, classes=len({name for name, _ in on}) > 1)):
        if len(set(found)) == len(set(levels)):
            shown = found
            if max(map(len, found)) <= LONGEST:
                break
    return shown


def _without_usual(parts: Sequence[Part]) -> list[Part]:
    """Without the choices by name, no numbers, that most of them made."""
    count = Counter(each for _, settings in parts for each in settings)
    usual = {each for each, n in count.items() if n > len(parts) / 2 and NAMED.search(each)}
    return [(name, [each for each in settings if each not in usual]) for name, settings in parts]


def _called(parts: Sequence[Part], *, classes: bool = True) -> list[str]:
    return [
        name if not settings else f"{name}({', '.join(settings)})" if classes else ", ".join(settings)
        for name, settings in parts
    ]


def _off(setting: str) -> bool:
    return setting.endswith(("=0", "=0.0", "=False", "=None"))


def _flag(setting: str) -> str:
    return setting.removesuffix("=True")


def _parts(level: str) -> Part:
    """The class of a component and its settings, each with its name; no settings of anything else."""
    name, bracket, rest = level.partition("(")
    if not name or not bracket or not rest.endswith(")"):
        return level, []
    settings, depth = [""], 0
    for character in rest[:-1]:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            settings.append("")
        else:
            settings[-1] += character
    return name, [setting.strip() for setting in settings]
