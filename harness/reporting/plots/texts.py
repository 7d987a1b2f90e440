"""Texts in figures: names of factors and metrics with their units, labels that fit, powers of ten."""

import re
import textwrap

from harness.reporting.page.level_names import compact
from harness.settings.metrics import METRICS

UNITS = {
    "dropout": "probability",
    "max_norm": "gradient norm",
    "max_value": "gradient entry",
    "clip_factor": "gradient norm / weight norm",
    "percentile": "percentile of norms",
    "z": "standard deviations",
    "lr": "learning rate",
    "length": "time steps",
    "train_size": "examples",
    "batch_size": "examples",
    "steps": "training steps",
    "epochs": "passes over the training examples",
}
UNCLIPPED = "∞ (no clipping)"
"""A level whose label is long; axes say once what it is."""

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
NARROW = 18
"""Characters of a line of a tick label."""

BREAK = "\x0b"
"""Where a line may be broken: white space to `textwrap`, and to nobody else here."""

CHARACTER = 0.075
"""Width of a character, in inches."""


def factor_name(path: str) -> str:
    """A factor with its unit, where it has one.

    >>> factor_name("model.dropout"), factor_name("optimizer.momentum")
    ('model.dropout (probability)', 'optimizer.momentum')
    """
    unit = UNITS.get(path.rsplit(".", 1)[-1])
    return f"{path} ({unit})" if unit else path


def metric_name(metric: str) -> str:
    """A metric with its unit, unless the name says it; of the gap also of which examples.

    >>> metric_name("grad_norm_q99"), metric_name("gap"), metric_name("diverged")
    ('grad norm q99', 'gap (test − training loss)', 'diverged (share of runs)')
    """
    if metric == "gap":
        return "gap (test − training loss)"
    unit, name = METRICS[metric].unit, metric.replace("_", " ")
    return name if unit in name.split() else f"{name} ({unit})"


def metric_words(metric: str) -> str:
    """A metric in a sentence.

    >>> metric_words("test_loss"), metric_words("diverged")
    ('test loss', 'the share of runs that diverged')
    """
    name = metric.replace("_", " ")
    return f"the share of runs that {name}" if metric in ("diverged", "collapsed", "solved") else name


def wrapped(text: str, width: int) -> str:
    r"""A label in lines of some characters, at most four; what is too long is first broken at its bracket, a long word behind =, comma or _.

    A `$` in it is no formula.

    >>> wrapped("PerTensorNorm(max_norm=0.5)", 24), wrapped("(recurrent_dropout=0.5)", 20)
    ('PerTensorNorm\n(max_norm=0.5)', '(recurrent_dropout=\n0.5)')
    """
    parts = (text if len(text) <= width else text.replace("(", "\n(", 1)).splitlines()
    parts = [re.sub(rf"\S{{{width + 1},}}", lambda word: re.sub("(?<=[=,_])", BREAK, word[0]), part) for part in parts]
    broken = [line for part in parts for line in textwrap.wrap(part, width, replace_whitespace=False)]
    lines = [line.replace(BREAK, "") for line in broken]
    return "\n".join(lines if len(lines) <= 4 else [*lines[:3], lines[3][: width - 1] + "…"]).replace("$", r"\$")


def tick(text: str, *, flat: bool = False) -> str:
    r"""A level as a narrow tick label: of a long one what stands in brackets goes below, unless it shall be `flat`; no clipping is ∞.

    >>> tick("∞ (no clipping)"), tick("GlobalNorm(max_norm=1)")
    ('∞', 'GlobalNorm\n(max_norm=1)')
    """
    text = "∞" if text == UNCLIPPED else compact(text)
    parts = text.replace("(", "\n(", 1).splitlines() if len(text) > NARROW else [text]
    return text if flat else "\n".join(wrapped(part, NARROW) for part in parts if part)


def text_width(text: str) -> float:
    """About how wide a text is, in inches."""
    return max(map(len, text.split("\n"))) * CHARACTER


def power(value: float) -> str:
    """A positive number of one digit, as short as can be.

    >>> power(0.4), power(20), power(3e5), power(1e-6)
    ('0.4', '20', '3×10⁵', '10⁻⁶')
    """
    digit, exponent = f"{value:.0e}".split("e")
    if -4 < int(exponent) < 4:
        return f"{value:g}"
    raised = "10" + str(int(exponent)).translate(SUPERSCRIPTS)
    return raised if digit == "1" else f"{digit}×{raised}"
