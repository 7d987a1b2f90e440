"""Which works a study rests on: one table of what uses what, keyed by the classes and settings of the study."""

from collections.abc import Iterator
from typing import Any

from harness.reporting.exports.references import REFERENCES, entry
from harness.settings import Component
from harness.settings.modules import owner_of
from harness.study import Estimated, Study

TOOLS = ("paszke2019", "akiba2019", "zaharia2018")
"""What every study trains, searches and is recorded with."""

CLASSES = {
    "GlobalNorm": ["pascanu2013"], "AGC": ["brock2021"], "AutoClip": ["seetharaman2020"], "ZClip": ["kumar2025"],
    "Normalized": ["hazan2015"],
    "Adam": ["kingma2015"], "AdamW": ["loshchilov2019"], "Lion": ["chen2023"], "RMSprop": ["hinton2012"],
    "Early": ["liu2023"], "Late": ["liu2023"], "Cosine": ["loshchilov2017"],
    "CharLM": ["graves2013"], "AddingProblem": ["hochreiter1997", "arjovsky2016"], "TemporalOrder": ["hochreiter1997", "pascanu2013"],
    "CopyMemory": ["hochreiter1997", "arjovsky2016"], "Friedman": ["friedman1991"],
}  # fmt: skip
"""Class of the harness → the works that say what it does; they are those of its subclasses, too."""

SETTINGS: dict[tuple[str, str], list[str]] = {
    ("DropoutNet", "dropout"): ["srivastava2014"], ("DropoutNet", "input_dropout"): ["srivastava2014"],
    ("SimpleRNN", "dropout"): ["srivastava2014", "zaremba2014"], ("SimpleRNN", "input_dropout"): ["srivastava2014"],
    ("SimpleRNN", "recurrent_dropout"): ["gal2016"], ("SimpleRNN", "variational"): ["gal2016"],
    ("SimpleRNN", "weight_dropout"): ["merity2018"], ("SimpleRNN", "zoneout"): ["krueger2017"],
    ("SimpleRNN", "cell_zoneout"): ["krueger2017"], ("SimpleRNN", "spectral_radius"): ["pascanu2013"],
    ("SGD", "nesterov"): ["sutskever2013"], ("RMSprop", "centered"): ["graves2013"],
    ("Task", "label_noise"): ["vanrooyen2015"], ("Setup", "label_smoothing"): ["szegedy2016"], ("Setup", "patience"): ["prechelt1998"],
}  # fmt: skip
"""Class and setting → works, where the setting is not 0, False or None at some level."""

CHOICES = {
    ("SimpleRNN", "cell", "rnn"): ["elman1990"], ("SimpleRNN", "cell", "lstm"): ["hochreiter1997"], ("SimpleRNN", "cell", "gru"): ["cho2014"],
    ("DropoutNet", "init", "he"): ["he2015"], ("DropoutNet", "init", "orthogonal"): ["saxe2014"], ("SimpleRNN", "init", "orthogonal"): ["saxe2014"],
    ("Images", "source", "digits"): ["alpaydin1998"], ("Images", "source", "openml:mnist_784"): ["lecun1998"],
    ("Images", "source", "openml:Fashion-MNIST"): ["xiao2017"], ("Images", "layout", "pixels"): ["le2015"],
    ("Tabular", "source", "diabetes"): ["efron2004"], ("Task", "resample", "bootstrap"): ["efron1979"],
    ("Diagnostics", "level", "standard"): ["guo2017", "arpit2017"],
    ("Diagnostics", "level", "full"): ["guo2017", "arpit2017", "cohen2021", "mccandlish2018"],
}  # fmt: skip
"""Class, setting and its value → works."""

ESTIMANDS = {
    "median": ["thompson1936"], "hodges_lehmann": ["hodges1963"], "mean": ["student1908"], "rate": ["tango1998", "clopper1934"],
}  # fmt: skip
"""What a claim is about → the sources of its estimate and interval."""

CELLS = ("thompson1936", "clopper1934")
"""Of the intervals in the tables of cells."""


def bibtex(study: Study) -> str:
    """A .bib file of what a study uses: rules, models, tasks, optimizers, statistics and tools, in the order of years."""
    parts = _parts(study)
    keys = sorted({key for part in parts for key in _of_part(part)} | _of_statistics(study), key=_by_year)
    own = sorted({part.class_name() for part in parts if _is_own(part)})
    unknown = f"% Not among them, since they are your own: the sources of {', '.join(own)}.\n" if own else ""
    head = f"% Works that this study rests on. Written by the report, which overwrites it.\n{unknown}\n"
    return head + "\n".join(map(entry, keys))


def _by_year(key: str) -> tuple[int, str]:
    return REFERENCES[key].year, key


def _parts(study: Study) -> list[Component]:
    """The settings of each cell and all components in them."""
    lowest = {path: tune.low for path, tune in study.tunes().items()}
    setups = [study.setup(cell | lowest) for cell in study.cells()]
    parts = (part for setup in setups for part in (setup, *(part for _, part in setup.components())))
    return list({id(part): part for part in parts}.values())  # a task with its data is one for all cells


def _is_own(part: Component) -> bool:
    return any(owner_of(code) == "user" for code in part.code())


def _of_part(part: Component) -> Iterator[str]:
    """The works behind a component's class and settings; of a user's own class nothing is known."""
    if _is_own(part):
        return
    for name in dict.fromkeys([part.class_name(), *(base.__name__ for base in type(part).__mro__)]):
        yield from CLASSES.get(name, [])
        for setting, value in part.values().items():
            if _is_on(value):
                yield from SETTINGS.get((name, setting), [])
            if isinstance(value, str):
                yield from CHOICES.get((name, setting, value), [])


def _is_on(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_is_on, value))
    return isinstance(value, Component) or (isinstance(value, bool | int | float) and value != 0)


def _of_statistics(study: Study) -> set[str]:
    claims = [claim for claim in study.claims if isinstance(claim, Estimated)]
    keys = {*TOOLS, *CELLS, *(key for claim in claims for key in ESTIMANDS[claim.estimated()])}
    keys |= {"holm1979", "student1908"} if claims else set()
    keys |= {"kim1987", "maurer2013"} if len(study.planned_looks()) > 1 else set()
    return keys | ({"benjamini1995"} if study.sweeps() else set())
