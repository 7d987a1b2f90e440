"""The worlds that verdicts are tried in: where Δ = δ, so that "supported" and "refuted" are both false, but for arms equal in law.

The δ of easier claims is chosen for a power that is neither 0 nor 1.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from scipy import special  # type: ignore[import-untyped]

from harness.audit.calibration import laws, tuned
from harness.audit.calibration.laws import Draw, Sweeps, lognormal, normal, of_losses, student
from harness.audit.calibration.world import Tested, World
from harness.settings import Sweep
from harness.study import Claim, Equivalence, Interaction, Threshold, Trend
from harness.study.contrasts import Levels

ARM, PLACE = "model.hidden", "task.length"
TWO: Sweeps = {ARM: Sweep(64, 128)}
FOUR: Sweeps = {ARM: Sweep(64, 128, 256, 512)}
FIVE: Sweeps = {ARM: Sweep(32, 64, 128, 256, 512)}
TWO_BY_TWO: Sweeps = {ARM: Sweep(64, 128), PLACE: Sweep(10, 20)}
TWO_BY_THREE: Sweeps = {ARM: Sweep(64, 128), PLACE: Sweep(10, 20, 30)}
BASELINE: Levels = {ARM: 64}
TREATMENT: Levels = {ARM: 128}
PLACES: dict[str, Levels] = {"here": {PLACE: 10}, "there": {PLACE: 20}}
LOOKS = (10, 20, 40)


def _claim(metric: str, delta: float, **more: Any) -> Claim:
    arms: dict[str, Any] = {"treatment": TREATMENT, "baseline": BASELINE}
    return Claim(title="simulated", metric=metric, better="lower", smallest_effect=delta, **(arms | more))


def _world(
    name: str, says: str, claim: Tested, draw: Draw, easier: float | None, *, sweeps: Sweeps = TWO, **more: Any
) -> World:
    """A world with one claim, made at Δ = δ unless `truths` says otherwise; `easier`: its δ where it is true."""
    weaker = [] if easier is None else [claim.replace(smallest_effect=easier)]
    return World(name, says, sweeps, [claim], more.pop("truths", [claim.smallest_effect]), weaker, draw, **more)


def _losses() -> Iterator[World]:
    loss = "test_loss"
    yield _world("normal", "normal differences", _claim(loss, 2.0), of_losses(TWO, normal(2.0)), 1.0)
    yield _world("t2", "differences of t with 2 df", _claim(loss, 2.0), of_losses(TWO, student(2.0)), 1.0)
    yield _world("lognormal", "lognormal differences", _claim(loss, 1.0), of_losses(TWO, lognormal(1.0)), math.exp(-1))
    for name, says, baseline, treatment in (
        ("treatment-blows-up", "treatment blows up in 10 % of seeds", 0.0, 0.1),
        ("baseline-blows-up", "baseline blows up in 10 % of seeds", 0.1, 0.0),
        ("both-blow-up", "two arms blow up alike, 10 %", 0.1, 0.1),
    ):
        centre = laws.median_where_bad(baseline * (1 - treatment), treatment * (1 - baseline))
        draw = laws.blowing_up(TWO, baseline, treatment, diverging=False)
        yield _world(name, says, _claim(loss, centre), draw, centre - 1)
    for name, says, baseline, treatment in (
        ("treatment-diverges", "treatment diverges in 15 %, baseline in 5 %, finite gain", 0.05, 0.15),
        ("baseline-diverges", "baseline diverges in 40 %, treatment never: claim on the loss", 0.4, 0.0),
    ):
        both = baseline * treatment
        centre = laws.median_where_bad(baseline - both, treatment - both, both)
        draw = laws.blowing_up(TWO, baseline, treatment, diverging=True)
        yield _world(name, says, _claim(loss, centre), draw, centre - 1)
    failing = of_losses(TWO, normal(2.0), failing=0.03)
    yield _world("failures", "3 % of runs fail at random", _claim(loss, 2.0), failing, 1.0)


def _hodges_lehmann() -> Iterator[World]:
    """A declared option; it holds where differences are symmetric, and says so."""
    why = "a declared option, valid for symmetric differences"
    down = 2 + special.ndtri((0.5 - 0.19) / 0.81) / math.sqrt(2)  # of averages of two, 19 % hold one that blew up
    for name, says, centre, draw, easier in (
        ("hl-normal", "Hodges–Lehmann: normal", 2.0, of_losses(TWO, normal(2.0)), 1.0),
        ("hl-lognormal", "Hodges–Lehmann: lognormal", laws.median_of_combined(0.5, 0.5), of_losses(TWO, lognormal(1.0)), 0.5),
        ("hl-treatment-blows-up", "Hodges–Lehmann: treatment blows up in 10 %", down,
         laws.blowing_up(TWO, 0.0, 0.1, diverging=False), 1.0),
    ):  # fmt: skip
        claim = _claim("test_loss", centre, estimand="hodges_lehmann")
        yield _world(name, says, claim, draw, easier, exempt="" if name == "hl-normal" else why)


def _rates() -> Iterator[World]:
    bad = "diverged"
    yield _world("rates", "binary rates, 40 % and 10 %", _claim(bad, 0.3), laws.of_rates(TWO, (0.4, 0.1)), 0.05)
    paired = laws.of_rates(TWO, (0.4, 0.1), shared=0.7)
    yield _world("rates-paired", "the same, seeds decide both arms in 70 %", _claim(bad, 0.3), paired, 0.05)
    yield _world("rates-rare", "rare ones, 10 % and 0 %", _claim(bad, 0.1), laws.of_rates(TWO, (0.1, 0.0)), 0.01)
    draw = laws.blowing_up(TWO, 0.4, 0.0, diverging=True)
    yield _world("baseline-diverges-rate", "baseline diverges in 40 %, treatment never: claim on the rate",
                 _claim(bad, 0.4), draw, 0.05)  # fmt: skip
    spikes = _claim("spike_rate", 0.1, above=0.01)
    yield _world(
        "spikes", "spike shares, 10 % non-zero, rate above a threshold", spikes, laws.of_spikes(TWO, (0.15, 0.05)), 0.01
    )
    cells = laws.of_rates(TWO_BY_THREE, (0.2, 0.4, 0.6, 0.1, 0.2, 0.3))
    yield _world("rates-averaged", "rates averaged over 3 cells", _claim(bad, 0.2), cells, 0.02, sweeps=TWO_BY_THREE)


BETAS: tuple[laws.Shape, laws.Shape] = (8.0, 32.0), (4.0, 36.0)
"""Errors of a baseline, .2 on average, and of a treatment, .1."""

SKEWED: tuple[laws.Shape, laws.Shape] = (1.0, 9.0), (1.0, 19.0)
"""Errors of .1 and .05 on average."""


def _errors() -> Iterator[World]:
    one_arm, both = (0.0, 0.1), (0.1, 0.1)
    at_chance = {"bad": laws.CHANCE}
    for name, says, shapes, draw, centre, easier in (
        ("errors", "errors (beta)", BETAS, laws.of_errors(TWO, BETAS), {}, 0.03),
        ("errors-collapse", "the same, 10 % of runs at chance", BETAS, laws.of_errors(TWO, BETAS, both),
         {"shares": both, **at_chance}, 0.03),
        ("errors-treatment-collapses", "the same, 5 % of the treatment's runs", BETAS,
         laws.of_errors(TWO, BETAS, (0.0, 0.05)), {"shares": (0.0, 0.05), **at_chance}, 0.03),
        ("errors-skewed", "very skewed errors", SKEWED, laws.of_errors(TWO, SKEWED), {}, 0.005),
        ("errors-rarely-bad", "errors, 10 % of the treatment's runs half-trained", BETAS,
         laws.of_errors(TWO, BETAS, bad=one_arm), {"shares": one_arm}, 0.02),
    ):  # fmt: skip
        yield _world(name, says, _claim("test_error", laws.median_of_errors(*shapes, **centre)), draw, easier)
    counts = laws.of_counts(TWO, 359, (2, 5, 8), (0.3, 0.4, 0.3))
    yield _world(
        "errors-counted", "errors of 359 examples, δ five of them", _claim("test_error", 5 / 359), counts, 2 / 359
    )


def _means() -> Iterator[World]:
    """A declared option of errors; where they are neither very skewed nor rarely bad."""
    why = "a declared option, for errors that are neither very skewed nor rarely bad"
    for name, says, gap, draw, easier, exempt in (
        ("mean", "mean of errors (t)", 0.1, laws.of_errors(TWO, BETAS), 0.02, ""),
        ("mean-collapse", "the same, 10 % of runs at chance", 0.1, laws.of_errors(TWO, BETAS, (0.1, 0.1)), 0.02, ""),
        ("mean-treatment-collapses", "the same, 5 % of the treatment's runs", 0.1,
         laws.of_errors(TWO, BETAS, (0.0, 0.05)), 0.02, ""),
        ("mean-skewed", "mean of very skewed errors (t)", 0.05, laws.of_errors(TWO, SKEWED), 0.01, why),
        ("mean-rarely-bad", "mean of errors, 10 % of the treatment's runs half-trained (t)", 0.06,
         laws.of_errors(TWO, BETAS, bad=(0.0, 0.1)), 0.01, why),
    ):  # fmt: skip
        yield _world(name, says, _claim("test_error", gap, estimand="mean"), draw, easier, exempt=exempt)


def _tuned() -> Iterator[World]:
    sweeps = {tuned.FACTOR: Sweep(*tuned.ARMS)}
    arms: dict[str, Any] = {"treatment": {tuned.FACTOR: 0.5}, "baseline": {tuned.FACTOR: 0.0}}
    more: dict[str, Any] = {"sweeps": sweeps, "truths": [0.0], "rates": [tuned.RATE]}
    claim = _claim("test_loss", 0.01, **arms)
    yield _world("tuned-within", "tuned within the replicate, arms equal in law", claim, tuned.within, None, **more)
    for seeds, word in ((1, "one seed"), (5, "five seeds")):
        at_rates = tuned.once(seeds, conditional=True)
        yield _world(f"tuned-on-{seeds}", f"tuned once on {word}, Δ at the tuned values", claim, at_rates, None, **more)
        why = "claims of studies that share tuned values are conditional on them, and say so"
        of_arms = tuned.once(seeds, conditional=False)
        yield _world(f"tuned-on-{seeds}-arms", f"tuned once on {word}, Δ of arms equal in law", claim, of_arms, None,
                     exempt=why, **more)  # fmt: skip


def _kinds() -> Iterator[World]:
    """Claims other than plain differences."""
    trend: dict[str, Any] = {"title": "simulated", "metric": "test_loss", "better": "lower", "factor": ARM}
    falling = laws.of_levels(FOUR, (6.0, 5.0, 4.0, 3.0), lognormal(1.0, 0.5))
    yield _world(
        "trend", "linear trend over 4 levels, skewed", Trend(**trend, smallest_effect=3.0), falling, 1.5, sweeps=FOUR
    )
    step = Trend(**trend, smallest_effect=1.0, shape="monotone")
    yield _world("monotone", "monotone trend, every step at δ", step, falling, 0.1, sweeps=FOUR)
    one = laws.of_levels(FOUR, (14.0, 10.0, 9.0, 5.0), lognormal(1.0, 0.5))
    yield _world("monotone-one-step", "monotone trend, one step at δ", step, one, 0.1, sweeps=FOUR)
    arms: dict[str, Any] = {
        "title": "simulated",
        "better": "lower",
        "treatment": TREATMENT,
        "baseline": BASELINE,
        **PLACES,
    }
    centre = laws.median_of_combined(2.0, -1.0, 1.0, 0.5)
    effects = laws.of_effects(TWO_BY_TWO, lognormal(2.0), lognormal(1.0, 0.5))
    yield _world("interaction", "interaction of two skewed losses", Interaction(**arms, metric="test_loss", smallest_effect=centre),
                 effects, 0.1, sweeps=TWO_BY_TWO)  # fmt: skip
    rates = laws.of_rates(TWO_BY_TWO, (0.6, 0.3, 0.2, 0.2))
    yield _world("interaction-rates", "interaction of two rates (MOVER)", Interaction(**arms, metric="diverged", smallest_effect=0.3),
                 rates, 0.02, sweeps=TWO_BY_TWO)  # fmt: skip
    same = Equivalence(
        title="simulated", metric="test_loss", smallest_effect=1.0, treatment=TREATMENT, baseline=BASELINE
    )
    for name, says, centre in (
        ("equivalence-above", "equivalence, Δ = δ", -1.0),
        ("equivalence-below", "equivalence, Δ = −δ", 1.0),
    ):
        yield _world(name, says, same, of_losses(TWO, normal(centre)), 2.0, truths=[-centre])
    number: dict[str, Any] = {"title": "simulated", "better": "lower", "arm": TREATMENT}
    yield _world("threshold", "an arm against a number, skewed", Threshold(**number, metric="test_loss", value=2.0, smallest_effect=1.0),
                 laws.of_levels(TWO, (0.0, 0.0), lognormal(1.0)), 0.2)  # fmt: skip
    yield _world("threshold-rate", "a rate against a number", Threshold(**number, metric="diverged", value=0.5, smallest_effect=0.3),
                 laws.of_rates(TWO, (0.5, 0.2)), 0.05)  # fmt: skip
    each = laws.of_effects(TWO_BY_THREE, lognormal(1.0), lognormal(8.0), lognormal(8.0))
    yield _world(
        "each", "in each of 3 cells, one at δ", _claim("test_loss", 1.0, across="each"), each, 0.2, sweeps=TWO_BY_THREE
    )


def _family(name: str, says: str, claims: Sequence[Claim], draw: Draw, easier: float, **more: Any) -> World:
    """Several claims on arms beside one baseline."""
    truths = [claim.smallest_effect for claim in claims]
    return World(
        name, says, FIVE, claims, truths, [claim.replace(smallest_effect=easier) for claim in claims], draw, **more
    )


def _families() -> Iterator[World]:
    arms: list[dict[str, Any]] = [{"treatment": {ARM: level}, "baseline": {ARM: 32}} for level in (64, 128, 256, 512)]
    skewed = of_losses(FIVE, *[lognormal(1.0)] * 4)
    claims = [_claim("test_loss", 1.0, **each) for each in arms]
    shapes = laws.of_errors(FIVE, [BETAS[0], *[BETAS[1]] * 4])
    yield _family("four", "four claims, lognormal differences", claims, skewed, math.exp(-1))
    at_looks: dict[str, Any] = {"sizes": LOOKS[-1:], "looks": LOOKS}
    yield _world("looks", "looks at 10, 20, 40, lognormal", _claim("test_loss", 1.0), of_losses(TWO, lognormal(1.0)), math.exp(-1),
                 **at_looks)  # fmt: skip
    yield _family("looks-four", "looks at 10, 20, 40, four claims, lognormal", claims, skewed, math.exp(-1), **at_looks)
    means = [_claim("test_error", 0.1, estimand="mean", **each) for each in arms]
    yield _world("looks-means", "looks at 10, 20, 40, means (t)", _claim("test_error", 0.1, estimand="mean"),
                 laws.of_errors(TWO, BETAS), 0.05, **at_looks)  # fmt: skip
    yield _family("looks-four-means", "looks at 10, 20, 40, four claims, means (t)", means, shapes, 0.05, **at_looks)


def worlds() -> dict[str, World]:
    """All of them by name."""
    found = [*_losses(), *_rates(), *_errors(), *_tuned(), *_kinds(), *_families(), *_hodges_lehmann(), *_means()]
    return {world.name: world for world in found}
