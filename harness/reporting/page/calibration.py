"""How often verdicts of each kind err, as `harness calibrate` measured: the table of `harness/inference/README.md`, in sentences."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from harness.inference.verdict import Verdict

BLOWN = "blows up in 10 % of seeds"
HALF_TRAINED = "10 % of the treatment's runs half-trained"


class Measured(NamedTuple):
    """What the simulated studies of a procedure gave.

    Attributes:
        false: percentage of false verdicts, the worst of all worlds and numbers of seeds.
        covered: percentage of intervals that hold what is estimated, likewise.
        worlds: by their names in the table.
    """

    false: float
    covered: float
    worlds: tuple[str, ...]


MEASURED = {
    ("Claim", "median"): Measured(5.1, 94.9, (
        "normal differences", "differences of t with 2 df", "lognormal differences", f"treatment {BLOWN}", f"baseline {BLOWN}",
        "two arms blow up alike, 10 %", "treatment diverges in 15 %, baseline in 5 %, finite gain",
        "baseline diverges in 40 %, treatment never: claim on the loss", "3 % of runs fail at random", "errors (beta)",
        "very skewed errors", f"errors, {HALF_TRAINED}",
    )),
    ("Claim", "rate"): Measured(3.9, 96.1, (
        "binary rates, 40 % and 10 %", "the same, seeds decide both arms in 70 %", "rare ones, 10 % and 0 %",
        "baseline diverges in 40 %, treatment never: claim on the rate", "spike shares, 10 % non-zero, rate above a threshold",
        "rates averaged over 3 cells",
    )),
    ("Claim", "mean"): Measured(10.5, 89.5, (
        "mean of errors (t)", "mean of very skewed errors (t)", f"mean of errors, {HALF_TRAINED} (t)",
    )),
    ("Claim", "hodges_lehmann"): Measured(6.5, 93.5, (
        "Hodges–Lehmann: normal", "Hodges–Lehmann: lognormal", "Hodges–Lehmann: treatment blows up in 10 %",
    )),
    ("Trend", "median"): Measured(4.3, 95.7, (
        "linear trend over 4 levels, skewed", "monotone trend, every step at δ", "monotone trend, one step at δ",
    )),
    ("Interaction", "median"): Measured(5.2, 94.8, ("interaction of two skewed losses",)),
    ("Interaction", "rate"): Measured(0.4, 99.6, ("interaction of two rates (MOVER)",)),
    ("Equivalence", "median"): Measured(4.6, 95.4, ("equivalence, Δ = δ", "equivalence, Δ = −δ")),
    ("Threshold", "median"): Measured(4.6, 95.4, ("an arm against a number, skewed",)),
    ("Threshold", "rate"): Measured(3.5, 96.5, ("a rate against a number",)),
}  # fmt: skip
"""By the kind of a claim and its estimand; a test holds them against the table."""


def how_often_false(verdicts: Iterable[Verdict]) -> Iterator[str]:
    """A sentence for each procedure that gave a verdict; that nothing was measured is said, too."""
    for kind, estimand in dict.fromkeys((verdict.kind, verdict.estimand) for verdict in verdicts if verdict.estimand):
        what = f"{kind}s on a {estimand.replace('_', '–').replace('hodges–lehmann', 'Hodges–Lehmann estimate')}"
        found = MEASURED.get((kind, estimand))
        if found is None:
            yield f"{what}: how often their verdicts are false was not measured."
        else:
            yield (
                f"{what}: of simulated studies whose effect is just δ, so that supported and refuted are both false, at most "
                f"{found.false:g} % had a verdict; intervals covered in {found.covered:g} % at least."
            )
