"""Claims are registered before their data: the chain of entries, what became of each claim, and which are judged together."""

import copy
import functools
import hashlib
import json
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from small_net import Net, X, Y

from harness import (
    Claim,
    Diagnostics,
    Equivalence,
    Exact,
    Interaction,
    Measure,
    Model,
    Study,
    Sweep,
    Threshold,
    Trend,
    Tune,
)
from harness.clipping import GlobalNorm
from harness.inference.families import judge_registered
from harness.inference.plan import Plan
from harness.inference.verdicts import judge
from harness.lead.terminal.overview import power
from harness.optimizers import SGD
from harness.study.claim_chain import Chain, Declared, as_text, extended, from_text, joined, problems
from harness.study.claim_forms import claim_of, form_of, malformed, obstacle, plain, planned_runs, reads
from harness.study.claim_lines import Planned
from harness.study.registration import Registration, registrations, undeclared
from harness.tasks import Tensors


def clips(delta: float = 0.1, title: str = "clipping helps", metric: str = "test_loss", norm: float = 1.0) -> Claim:
    arms = {"treatment": {"clipping.max_norm": norm}, "baseline": {"clipping.max_norm": math.inf}}
    estimand = "mean" if metric.endswith(("error", "brier")) else None  # which four seeds can decide
    return Claim(title, metric=metric, better="lower", smallest_effect=delta, estimand=estimand, **arms)


def drops(delta: float = 0.1) -> Claim:
    arms = {"treatment": {"model.dropout": 0.5}, "baseline": {"model.dropout": 0.0}}
    return Claim("dropout helps", metric="test_error", better="lower", smallest_effect=delta, **arms)


EXACT = Exact("dropout acts in training only", metric="eval_noise", unless="train_noise")


def make(
    *claims: Claim | Exact, seeds: int | list[int] = 4, dropout: tuple[float, ...] = (0.0, 0.5), level: str = "light"
) -> Study:
    return Study(name="x", task=Tensors(X, Y), model=Model(Net, dropout=Sweep(*dropout)), clipping=GlobalNorm(Sweep(0.5, 1.0, math.inf)),
                 steps=2, batch_size=8, seeds=seeds, claims=list(claims), metrics=Diagnostics(level))  # fmt: skip


def recorded(study: Study, count: int = 0, **levels: float) -> list[tuple[dict[str, Any], int]]:
    """`count` runs in every cell at these levels, by the last part of their path."""
    cells = [{path: plain(level) for path, level in cell.items()} for cell in study.cells()]
    wanted = {
        path: plain(levels[path.rpartition(".")[2]]) for path in study.sweeps() if path.rpartition(".")[2] in levels
    }
    return [(cell, count) for cell in cells if count and all(cell[path] == level for path, level in wanted.items())]


def chain_of(*launches: tuple[Study, int]) -> Chain:
    """Of launches of a study, each with so many runs in every cell."""
    chain: Chain = []
    for study, count in launches:
        chain = extended(chain, Declared.of(study, recorded(study, count), alpha=0.05))
        assert problems(chain) == []
    return chain


def states(study: Study, chain: Chain) -> list[tuple[str, str]]:
    return [(one.state, one.sentence) for one in registrations(study, chain)]


def of(*launches: tuple[Study, int]) -> list[tuple[str, str]]:
    return states(launches[-1][0], chain_of(*launches))


REGISTERED = ("registered", "registered")


# --- what became of a claim ---------------------------------------------------------------------------------------


def test_a_claim_is_registered_before_its_runs_and_stays_so_when_nothing_changes():
    study = make(clips(), drops(), EXACT)
    assert of((study, 0)) == [REGISTERED] * 3
    chain = chain_of((study, 0))
    assert extended(chain, Declared.of(study, recorded(study, 4), alpha=0.05)) is chain
    assert of((study, 0), (study, 4)) == [REGISTERED] * 3
    (entry,) = chain
    assert entry["claims"][0] == {
        "title": "clipping helps", "kind": "Claim", "metric": "test_loss", "better": "lower", "smallest_effect": 0.1,
        "treatment": {"clipping.max_norm": 1.0}, "baseline": {"clipping.max_norm": "inf"},
        "estimand": "median", "above": None, "across": "average", "least_clipped": 0.01,
        "over": {"model.dropout": [0.0, 0.5]}, "seen": 0, "of": 2 * 2 * 4,
    }  # fmt: skip
    assert (entry["seeds"], entry["family"]) == ([0, 1, 2, 3], {"alpha": 0.05, "correction": "Holm"})
    assert pd.Timestamp(entry["at"]).tz is not None


def test_a_claim_that_changes_before_its_data_is_registered_anew():
    first, second = make(clips(0.1)), make(clips(0.2))
    assert of((first, 0), (second, 0), (second, 4)) == [REGISTERED]
    assert of((first, 0), (second, 0), (first, 4)) == [
        ("exploratory", "exploratory: changed after 16 of its runs were seen; was δ = 0.2")
    ], "what stood when the data came counts, not what stood some day"


def test_a_claim_that_changes_after_its_data_is_exploratory_and_its_former_form_is_kept():
    first, second = make(clips(0.1), drops()), make(clips(0.05), drops())
    assert of((first, 0), (second, 3)) == [
        ("exploratory", "exploratory: changed after 12 of its runs were seen; was δ = 0.1"),
        REGISTERED,
    ]
    chain = chain_of((first, 0), (second, 3))
    changed, _ = registrations(second, chain)
    assert changed.registered_at is None
    assert changed.was is not None
    assert changed.was.claim == first.claims[0].replace(estimand="median"), "what it says by default is registered, too"
    assert (changed.was.state, changed.was.sentence) == REGISTERED
    assert changed.was.registered_at == chain[0]["at"]
    assert changed.was.planned_seeds == 4


def test_what_seeds_can_decide_of_a_claim_is_said_at_the_level_of_its_family():
    """By hand: 5 % of the one that was changed, 5 % / 2 of the other, since the changed one counts as it was registered."""
    first, second = make(clips(0.1), drops()), make(clips(0.05), drops())
    found = list(power(second, registrations(second, chain_of((first, 0), (second, 3)))))
    assert [re.search(r"“(.*)”.*with 4 seeds at level ([\d.]+) ?%", line).groups() for line in found] == [
        (second.claims[0].title, "95.0"), (second.claims[1].title, "97.5")
    ]  # fmt: skip


def test_only_runs_that_a_claim_reads_count():
    first, second = make(clips(0.1), drops()), make(clips(0.2), drops(0.2))
    chain = chain_of((first, 0))
    there = recorded(second, 2, max_norm=0.5)  # in both arms of dropout, in no arm of clipping
    chain = extended(chain, Declared.of(second, there, alpha=0.05))
    assert states(second, chain) == [
        REGISTERED,
        ("exploratory", "exploratory: changed after 4 of its runs were seen; was δ = 0.1"),
    ]


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (clips(metric="train_loss"), "was metric = test_loss"),
        (clips(metric="test_error"), "was metric = test_loss, estimand = median"),
        (clips().replace(estimand="hodges_lehmann"), "was estimand = median"),
        (clips().replace(above=3.0), "was estimand = median, above = nothing"),
        (clips().replace(across="each"), "was across = average"),
        (clips().replace(least_clipped=0.5), "was least_clipped = 0.01"),
        (clips(norm=0.5), "was treatment clipping.max_norm = 1"),
        (clips().replace(better="higher"), "was better = lower"),
        (clips(0.25, norm=0.5), "was δ = 0.1, treatment clipping.max_norm = 1"),
    ],
)
def test_every_change_of_a_claim_is_said(now: Claim, words: str):
    (found,) = of((make(clips()), 0), (make(now), 4))
    assert found == ("exploratory", f"exploratory: changed after 16 of its runs were seen; {words}")


def test_an_exact_claim_is_registered_by_its_fields_and_all_runs():
    now = EXACT.replace(equals=0.5)
    assert of((make(EXACT), 0), (make(now), 1)) == [
        ("exploratory", "exploratory: changed after 6 of its runs were seen; was value = 0")
    ]
    assert of((make(EXACT), 0), (make(EXACT.replace(unless=None)), 1)) == [
        ("exploratory", "exploratory: changed after 6 of its runs were seen; was unless = train_noise")
    ]


def test_a_claim_that_is_added_after_its_data_is_exploratory():
    assert of((make(clips()), 0), (make(clips(), drops()), 2)) == [
        REGISTERED,
        ("exploratory", "exploratory: added after 12 of its runs were seen"),
    ]
    assert of((make(), 0), (make(EXACT), 4))[0][0] == "exploratory", "a study without claims has a record too"


def test_a_claim_on_runs_that_are_not_there_yet_is_registered_whenever_it_comes():
    """Both arms at levels that were not trained: it is a new claim, and the one that was dropped for it is withdrawn."""
    first = make(drops().replace(treatment={"model.dropout": 0.5, "clipping.max_norm": 1.0},
                                 baseline={"model.dropout": 0.0, "clipping.max_norm": 1.0}))  # fmt: skip
    second = make(drops().replace(treatment={"model.dropout": 0.5, "clipping.max_norm": 0.5},
                                  baseline={"model.dropout": 0.0, "clipping.max_norm": 0.5}))  # fmt: skip
    chain = extended(chain_of((first, 0)), Declared.of(second, recorded(second, 4, max_norm=1.0), alpha=0.05))
    assert states(second, chain) == [REGISTERED, ("registered", "registered; withdrawn after 8 of its runs were seen")]


def test_a_claim_that_is_dropped_after_its_data_is_withdrawn_with_its_form():
    first, second = make(clips(), drops()), make(clips())
    chain = chain_of((first, 0), (second, 2))
    kept, withdrawn = registrations(second, chain)
    assert not kept.withdrawn and withdrawn.withdrawn
    assert withdrawn.claim == first.claims[1].replace(estimand="median")
    assert (withdrawn.state, withdrawn.sentence) == (
        "registered",
        "registered; withdrawn after 12 of its runs were seen",
    )
    assert of((first, 0), (second, 0), (second, 4)) == [REGISTERED], "dropped before its data: there is nothing to hide"
    assert of((first, 0), (second, 2), (first, 4)) == [REGISTERED] * 2, "taken up again as it was"


def test_an_exploratory_claim_that_is_dropped_is_shown_too():
    none, one = make(clips()), make(clips(), drops())
    assert of((none, 0), (one, 2), (none, 4))[1] == (
        "exploratory", "exploratory: added after 12 of its runs were seen; withdrawn after 24 of its runs were seen",
    )  # fmt: skip


def test_a_title_is_no_substance():
    first, second = make(clips(), drops()), make(clips(title="clipping is good"), drops())
    assert of((first, 0), (second, 2)) == [("registered", "registered; its title was “clipping helps”"), REGISTERED]


def test_the_order_of_claims_is_no_substance():
    first, second = make(clips(), drops(), EXACT), make(EXACT, clips(), drops())
    chain = chain_of((first, 0))
    assert extended(chain, Declared.of(second, recorded(second, 4), alpha=0.05)) is chain
    assert [one.claim.title for one in registrations(second, chain)] == [claim.title for claim in second.claims]
    assert states(second, chain) == [REGISTERED] * 3


def test_a_claim_under_another_title_is_known_by_metric_and_arms():
    first, second = make(clips(0.1)), make(clips(0.2, title="clipping is good"))
    assert of((first, 0), (second, 2)) == [
        ("exploratory", "exploratory: changed after 8 of its runs were seen; was δ = 0.1")
    ]


def test_claims_that_swap_titles_stay_what_they_are():
    first = make(clips(0.1, "a"), clips(0.2, "b"))
    second = make(clips(0.2, "a"), clips(0.1, "b"))
    assert of((first, 0), (second, 2)) == [
        ("registered", "registered; its title was “b”"), ("registered", "registered; its title was “a”"),
    ]  # fmt: skip


def test_a_claim_that_goes_back_to_its_registered_form_is_registered_again_and_says_what_was_tried():
    first, second, third = make(clips(0.1)), make(clips(0.2)), make(clips(0.3))
    assert of((first, 0), (second, 2), (first, 3)) == [("registered", "registered; 1 other form was tried")]
    assert of((first, 0), (second, 2), (third, 2), (second, 3), (first, 3)) == [
        ("registered", "registered; 2 other forms were tried")
    ]
    assert of((first, 0), (second, 2), (third, 2)) == [
        ("exploratory", "exploratory: changed after 8 of its runs were seen; was δ = 0.1; 1 other form was tried")
    ]


def test_a_level_that_a_claim_is_averaged_over_is_part_of_it():
    first, grown = make(clips()), make(clips(), dropout=(0.0, 0.5, 0.8))
    assert of((first, 0), (grown, 2)) == [
        ("exploratory", "exploratory: changed after 12 of its runs were seen; was over model.dropout in 0.0, 0.5")
    ]
    assert of((make(drops()), 0), (make(drops(), dropout=(0.0, 0.5, 0.8)), 2)) == [REGISTERED], (
        "named, so not averaged over"
    )


@pytest.mark.parametrize(
    ("planned", "judged", "seen", "words"),
    [
        (4, 8, 4, "planned 4 seeds; judged on 8 after the result of 4 was seen"),
        (4, 8, 1, "planned 4 seeds; judged on 8 after 4 of its runs were seen"),
        (4, [4, 5], 4, "planned the seeds 0–3; judged on 4, 5 after the result of 4 was seen"),
        (4, 3, 2, "planned the seeds 0–3; judged on 0–2 after 8 of its runs were seen"),
    ],
)
def test_seeds_that_are_planned_anew_after_data_came_are_exploratory(
    planned: int, judged: int | list[int], seen: int, words: str
):
    first, second = make(clips(), seeds=planned), make(clips(), seeds=judged)
    chain = chain_of((first, 0), (second, seen))
    (found,) = registrations(second, chain)
    assert (found.state, found.sentence, found.planned_seeds) == ("exploratory", f"exploratory: {words}", planned)
    assert found.was is not None and found.was.planned is not None
    assert (found.was.state, found.was.planned.seeds) == ("registered", list(range(planned)))
    assert of((first, 0), (second, 0), (second, 4)) == [REGISTERED], "planned anew before any result"
    assert of((first, 0), (second, seen), (first, 8)) == [REGISTERED], "as planned after all"


def test_looks_that_are_planned_anew_after_data_came_are_exploratory():
    """Whoever looks more often than planned errs more often."""
    first, second = make(clips(), seeds=20), make(clips(), seeds=20).replace(looks=(10, 20))
    chain = chain_of((first, 0), (second, 10))
    assert chain[1]["family"] == {"alpha": 0.05, "correction": "Holm", "looks": [10, 20]}
    (found,) = registrations(second, chain)
    words = "planned one look; judged after looks at 10, 20 after 40 of its runs were seen"
    assert (found.state, found.sentence) == ("exploratory", f"exploratory: {words}")
    assert found.was is not None and found.was.planned == Planned(list(range(20)), [], {})
    assert of((first, 0), (second, 0), (second, 4)) == [REGISTERED]


def tuned(claim: Claim, **search: Any) -> Study:
    usual = {"optimizer": SGD(lr=Tune(0.01, 1.0, log=True)), "tune_trials": 7}
    return make(claim).replace(**usual | search)


def late_in(column: str) -> Callable[[pd.DataFrame], float]:
    def late(curve: pd.DataFrame) -> float:
        """The end of a curve."""
        return float(curve[column].iloc[-1])

    return late


LATE = late_in("loss"), late_in("validation_loss")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"tune_trials": 5}, "from 7 to 5 trials"),
        ({"tune_trials": 1}, "from 7 to 1 trial"),
        ({"objective": "validation_error"}, "from objective validation_loss to validation_error"),
        ({"sampler": "random"}, "from sampler qmc to random"),
        ({"tune": "shared"}, "from tune within to shared"),
        ({"tune_trials": 5, "sampler": "random"}, "from 7 to 5 trials, from sampler qmc to random"),
        ({"optimizer": SGD(lr=Tune(0.01, 2.0, log=True))},
         "from optimizer.lr Tune(0.01, 1.0, log=True) to Tune(0.01, 2.0, log=True)"),
    ],
)  # fmt: skip
def test_a_search_that_is_changed_after_results_were_seen_makes_a_claim_exploratory(other: dict[str, Any], words: str):
    first, second = tuned(clips()), tuned(clips(), **other)
    chain = chain_of((first, 0), (second, 4))
    (found,) = registrations(second, chain)
    changed = f"the search was changed {words}"
    assert (found.state, found.sentence) == ("exploratory", f"exploratory: {changed} after 16 of its runs were seen")
    assert found.was is not None
    assert (found.was.state, found.was.sentence, found.was.registered_at) == (*REGISTERED, chain[0]["at"])
    assert found.was.obstacle == f"{changed} since; run it with the former one for its verdict"
    assert undeclared(first, chain)[0].startswith("is of another search than the study's: the search was changed from ")
    assert of((first, 0), (second, 0), (second, 4)) == [REGISTERED], "before any result"
    assert of((first, 0), (second, 4), (first, 4)) == [REGISTERED], "as planned after all"


def test_the_function_of_an_objective_and_the_seeds_of_tuning_are_part_of_the_search():
    first = tuned(clips(), tune="shared", tune_seeds=3)
    assert of((first, 0), (first.replace(tune_seeds=5), 4))[0][1] == (
        "exploratory: the search was changed from 3 to 5 seeds of tuning after 16 of its runs were seen"
    )
    one, other = (
        tuned(clips(), objective="late", metrics=Diagnostics(measures=[Measure(f, unit="loss")])) for f in LATE
    )
    assert of((one, 0), (other, 4))[0][1] == (
        "exploratory: the search was changed from one function of its objective to another after 16 of its runs were seen"
    )


def of_before_searches(chain: Chain) -> Chain:
    """The entries as they were written before they had a search."""
    found: Chain = []
    for entry in chain:
        old = {name: value for name, value in entry.items() if name not in ("search", "sha256")}
        old["previous"] = found[-1]["sha256"] if found else "0" * 64
        text = json.dumps(old, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        found.append(old | {"sha256": hashlib.sha256(text.encode()).hexdigest()})
    return found


def test_entries_that_do_not_say_the_search_are_read_and_it_counts_from_the_first_that_does():
    first, second = tuned(clips()), tuned(clips(), tune_trials=5)
    old = of_before_searches(chain_of((first, 0)))
    assert (problems(old), undeclared(second, old)) == ([], [])
    assert states(second, old) == [REGISTERED], "unknown, so not compared"
    known = extended(old, Declared.of(first, recorded(first, 4), alpha=0.05))
    assert states(first, known) == [REGISTERED]
    later = extended(known, Declared.of(second, recorded(second, 4), alpha=0.05))
    words = "exploratory: the search was changed from 7 to 5 trials after 16 of its runs were seen"
    assert states(second, later) == [("exploratory", words)]


def test_what_was_registered_is_judged_on_its_own_seeds_and_extensions_do_not_count_as_such():
    """Six seeds are against it, twenty more for it. The planned ones decide what is registered."""
    first, second = make(clips(), seeds=6), make(clips(), seeds=26)
    rng = np.random.default_rng(0)
    rows = [
        {"trial": i, "seed": seed, "phase": "confirm", "status": "finished", "model.dropout": cell["model.dropout"],
         "clipping.max_norm": cell["clipping.max_norm"], "clip_fraction": 1.0,
         "test_loss": rng.normal() * 0.01 + (1.0 if cell["clipping.max_norm"] == math.inf and seed >= 6 else 0.1 * (seed % 2))}
        for i, cell in enumerate(second.cells()) for seed in range(26)
    ]  # fmt: skip
    (found,) = judge_registered(second, pd.DataFrame(rows), registrations(second, chain_of((first, 0), (second, 6))))
    assert (found.verdict, found.registered, found.n) == ("supported", False, 26)
    assert found.was is not None
    assert (found.was.verdict, found.was.registered, found.was.n) == ("refuted", True, 6)
    assert found.was.per_seed == {seed: found.per_seed[seed] for seed in range(6)}


def test_of_claims_whose_runs_are_older_than_the_record_nobody_knows():
    first, second = make(clips(0.1), drops()), make(clips(0.2), drops())
    words = "not known whether older than its data: 16 of its runs were seen before claims were registered"
    assert of((first, 4))[0] == ("unknown", words)
    assert of((first, 4), (second, 4))[0] == (
        "exploratory",
        "exploratory: changed after 16 of its runs were seen; was δ = 0.1; which is not known to be older than its data either",
    )
    assert registrations(first, [])[0].state == "unknown"
    assert registrations(first, [])[0].sentence.endswith("nothing is recorded of when it was made")


# --- the chain ----------------------------------------------------------------------------------------------------


@functools.cache
def long_chain() -> Chain:
    return chain_of(
        (make(clips(0.1), drops()), 0), (make(clips(0.2), drops()), 1), (make(clips(0.2)), 2), (make(clips()), 3)
    )


def edited(where: Callable[[Chain], None]) -> Chain:
    chain = copy.deepcopy(long_chain())
    where(chain)
    return chain


TAMPERED: list[tuple[Callable[[Chain], None], str]] = [
    (lambda c: c[0]["claims"][0].update(smallest_effect=0.2), "entry 1 was changed"),
    (lambda c: c[1].update(at="2020-01-01T00:00:00Z"), "entry 2 was changed"),
    (lambda c: c[1]["claims"][0].update(seen=0), "entry 2 was changed"),
    (lambda c: c[2].update(seeds=[0]), "entry 3 was changed"),
    (lambda c: c[0]["family"].update(alpha=0.1), "entry 1 was changed"),
    (lambda c: c.pop(1), "entry 2 does not follow entry 1"),
    (lambda c: c.pop(0), "entry 1 does not follow nothing"),
    (lambda c: c.insert(1, c[2]), "entry 2 does not follow entry 1"),
    (lambda c: c.reverse(), "entry 1 does not follow nothing"),
    (lambda c: c.append(c[-1]), "entry 5 does not follow entry 4"),
    (lambda c: c[3]["dropped"].append(c[0]["claims"][0]), "entry 4 was changed"),
    (lambda c: c[1].pop("sha256"), "is no chain of entries: 1.sha256"),
    (lambda c: c[1].update(claims=[3]), "is no chain of entries: 1.claims"),
]


@pytest.mark.parametrize(("where", "words"), TAMPERED)
def test_what_is_changed_removed_inserted_or_moved_is_found(where: Callable[[Chain], None], words: str):
    assert problems(long_chain()) == []
    damaged = edited(where)
    found = problems(damaged)
    assert found and found[0].startswith(words)
    (one,) = registrations(make(clips()), damaged)
    assert (one.state, words in one.sentence) == ("unknown", True)


def test_an_entry_that_is_written_anew_with_its_hash_breaks_the_next_one():
    other = chain_of((make(clips(0.2), drops()), 0))
    found = problems([*other, *long_chain()[1:]])
    assert found[0] == "entry 2 does not follow entry 1: one was removed, inserted, moved or written anew"


def test_a_chain_goes_through_its_document_and_back():
    chain = long_chain()
    assert from_text(as_text(chain)) == chain
    assert problems(from_text("[1")) == ["is no chain of entries: : Input should be a valid list"]
    assert from_text(None) == []


def test_of_two_copies_the_longer_counts_and_two_that_part_are_none():
    chain = long_chain()
    assert joined(chain[:2], chain) == joined(chain, chain[:2]) == chain
    assert joined(chain[:2], [chain[0], chain[2]]) is None


def test_a_record_of_other_claims_says_so():
    chain = chain_of((make(clips(0.1), seeds=3), 0))
    assert undeclared(make(clips(0.2)), chain) == [
        "has no “clipping helps” as the study makes it", "has “clipping helps”, which the study does not make",
        "plans the seeds [0, 1, 2], the study [0, 1, 2, 3]",
    ]  # fmt: skip


def test_a_form_reads_the_cells_of_its_arms():
    study = make(clips(), drops(), EXACT)
    cells = [{path: plain(level) for path, level in cell.items()} for cell in study.cells()]
    counts = [sum(reads(form_of(claim, study), cell) for cell in cells) for claim in study.claims]
    assert counts == [4, 6, 6]


PLACES = {"here": {"clipping.max_norm": 0.5}, "there": {"clipping.max_norm": math.inf}}
DROPS = {"treatment": {"model.dropout": 0.5}, "baseline": {"model.dropout": 0.0}}
OTHER_KINDS = {
    "equivalence": (Equivalence("same", metric="test_loss", smallest_effect=0.1, estimand="median", **DROPS), 6),
    "trend": (
        Trend("trend", metric="test_error", better="lower", smallest_effect=0.1, factor="clipping.max_norm",
              levels=[0.5, math.inf], estimand="hodges_lehmann", shape="monotone"), 4,
    ),
    "trend at a level": (
        Trend("trend", metric="test_error", better="lower", smallest_effect=0.1, factor="clipping.max_norm",
              levels=[0.5, 1.0, math.inf], at={"model.dropout": 0.5}, estimand="mean"), 3,
    ),
    "interaction": (
        Interaction("more", metric="test_loss", better="lower", smallest_effect=0.1, scale="ratio", estimand="median", **DROPS, **PLACES), 4,
    ),
    "threshold": (
        Threshold("under", metric="test_loss", better="lower", value=2.0, arm={"clipping.max_norm": math.inf}, above=3.0,
                  estimand="rate", across="each"), 2,
    ),
    "threshold of all": (Threshold("under", metric="diverged", better="lower", value=0.1, estimand="rate"), 6),
    "exact": (EXACT, 6),
}  # fmt: skip


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_every_kind_of_claim_is_made_from_its_form_again(kind: str):
    """Through JSON, as a chain keeps it; and it reads the runs of its arms alone."""
    claim, read = OTHER_KINDS[kind]
    study = make(claim)
    form = json.loads(json.dumps(form_of(claim, study), allow_nan=False))
    assert claim_of(claim.title, form, study) == claim
    assert (malformed(form), obstacle(form, study)) == ("", "")
    cells = [{path: plain(level) for path, level in cell.items()} for cell in study.cells()]
    assert sum(reads(form, cell) for cell in cells) == read
    assert planned_runs(form, study) == read * 4
    assert of((study, 0), (study, 4)) == [REGISTERED]


def test_a_trend_over_all_levels_is_registered_with_those_that_were_swept():
    """A level more is another trend: what stood is kept, and cannot be mistaken for it."""
    rises = Trend("t", metric="test_loss", better="lower", smallest_effect=0.1, factor="model.dropout")
    first, grown = make(rises), make(rises, dropout=(0.0, 0.5, 0.8))
    assert form_of(rises, first)["levels"] == [0.0, 0.5]
    (found,) = registrations(grown, chain_of((first, 0), (grown, 4)))
    assert found.sentence == "exploratory: changed after 36 of its runs were seen; was levels = [0.0, 0.5]"
    assert found.was is not None
    assert found.was.claim.along(grown.sweeps()) == [0.0, 0.5]


def test_planned_looks_are_part_of_the_record():
    study = make(clips())
    looked = study.replace(looks=(2, 4))
    (entry,) = chain_of((looked, 0))
    assert entry["family"] == {"alpha": 0.05, "correction": "Holm", "looks": [2, 4]}
    assert len(chain_of((looked, 0), (study, 0))) == 2


# --- families -----------------------------------------------------------------------------------------------------


def runs_of(study: Study, effects: dict[str, list[float]], n: int) -> pd.DataFrame:
    """Runs whose metrics differ by seed as given at clipping 1 from those without clipping; nothing else has an effect."""
    rows = []
    for trial, cell in enumerate(study.cells()):
        for seed in range(n):
            row = {**cell, "seed": seed, "phase": "confirm", "trial": trial, "status": "finished", "clip_fraction": 0.5}
            clipped = cell["clipping.max_norm"] == 1.0
            rows.append(row | {m: 1.0 + 0.01 * seed - clipped * d[seed] for m, d in effects.items()})
    return pd.DataFrame(rows)


def interval(differences: Sequence[float], alpha: float) -> tuple[float, float]:
    mean, error = np.mean(differences), stats.sem(differences)
    return tuple(mean + np.array([-1, 1]) * stats.t.ppf(1 - alpha / 2, len(differences) - 1) * error)


def test_registered_claims_are_corrected_alone_and_exploratory_ones_among_themselves():
    """Two registered claims, both supported, are shown at α/2; three exploratory ones, of which none is, at α/3."""
    effects = {
        "test_error": [0.9, 1.1, 1.0, 0.95],
        "train_error": [0.5, 0.7, 0.6, 0.65],
        "validation_error": [0.3, -0.2, 0.1, 0.0],
    }
    first = make(clips(0.1, "a", "test_error"), clips(0.1, "b", "train_error"))
    second = make(clips(0.1, "a", "test_error"), clips(0.1, "c", "validation_error"), clips(0.1, "b", "train_error"), clips(0.2, "d", "validation_error"), clips(0.3, "e", "validation_error"))  # fmt: skip
    runs = runs_of(second, effects, 4)
    found = judge_registered(second, runs, registrations(second, chain_of((first, 0), (second, 4))))
    assert [v.title for v in found] == ["a", "c", "b", "d", "e"]
    assert [v.registered for v in found] == [True, False, True, False, False]
    p = {
        title: stats.ttest_1samp(effects[metric], 0.1).pvalue
        for title, metric in (("a", "test_error"), ("b", "train_error"))
    }
    assert max(p.values()) < 0.025
    for v in (found[0], found[2]):
        assert v.level == pytest.approx(1 - 0.05 / 2)
        assert (v.low, v.high) == pytest.approx(interval(effects[v.metric], 0.05 / 2))
        assert v.verdict == "supported"
    assert [found[i].level for i in (1, 3, 4)] == pytest.approx([1 - 0.05 / 3] * 3)
    assert (found[1].low, found[1].high) == pytest.approx(interval(effects["validation_error"], 0.05 / 3))
    alone = judge(first.claims, runs, Plan.of(second))
    assert [(v.level, v.low, v.high) for v in alone] == [(v.level, v.low, v.high) for v in (found[0], found[2])]


def test_claims_of_one_plan_are_judged_by_holms_procedure_together():
    """9 of 9 seeds: p = .004; 8 of 9: .039, which is above 5 % / 2, and below the 5 % that the first one leaves."""
    study = make(clips(0.1, "a"), clips(0.1, "b", "train_loss"), seeds=9)
    runs = runs_of(study, {"test_loss": [1.0] * 9, "train_loss": [1.0] * 8 + [-1.0]}, 9)
    found = judge_registered(study, runs, registrations(study, chain_of((study, 0))))
    assert [v.verdict for v in found] == ["supported"] * 2
    assert [v.p_smallest_effect for v in found] == pytest.approx([2 / 2**9, 20 / 2**9])


def test_claims_of_one_family_are_judged_on_the_seeds_and_after_the_looks_that_each_was_planned_for():
    study = make(clips(), seeds=10)
    runs = runs_of(study, {"test_loss": [1.0] * 10}, 10)
    plans = [Planned(list(range(6)), []), None, Planned(list(range(8)), [4, 8]), Planned(list(range(6)), []), None]
    claims = [Registration(clips(title=str(i)), "registered", "", planned=plan) for i, plan in enumerate(plans)]
    found = judge_registered(study, runs, claims)
    assert [(v.title, v.n, v.looks) for v in found] == [
        ("0", 6, (6,)), ("1", 10, (10,)), ("2", 8, (4, 8)), ("3", 6, (6,)), ("4", 10, (10,)),
    ]  # fmt: skip
    assert found[0].level == found[1].level == pytest.approx(1 - 0.05 / 5)


def test_a_changed_and_a_withdrawn_claim_still_count_among_the_registered_ones():
    effects = {
        "test_error": [0.9, 1.1, 1.0, 0.95],
        "validation_error": [0.3, -0.2, 0.1, 0.0],
        "train_error": [0.2, -0.3, 0.1, 0.05],
    }
    first = make(clips(0.1, "a", "test_error"), clips(0.1, "b", "validation_error"), clips(0.1, "c", "train_error"))
    second = make(clips(0.1, "a", "test_error"), clips(0.01, "b", "validation_error"))
    runs = runs_of(second, effects, 4)
    kept, changed, withdrawn = judge_registered(second, runs, registrations(second, chain_of((first, 0), (second, 4))))
    assert kept.level == pytest.approx(1 - 0.05 / 3)
    assert changed.was is not None
    assert (changed.smallest_effect, changed.was.smallest_effect) == (0.01, 0.1)
    assert (changed.registered, changed.was.registered, withdrawn.registered, withdrawn.withdrawn) == (
        False,
        True,
        True,
        True,
    )
    assert changed.level == pytest.approx(0.95), "it is alone among the exploratory ones"
    assert changed.was.level == withdrawn.level == pytest.approx(1 - 0.05 / 3)
    assert (withdrawn.low, withdrawn.high) == pytest.approx(interval(effects["train_error"], 0.05 / 3))
    assert changed.was.estimate == changed.estimate


def test_a_former_form_is_judged_at_the_levels_that_it_averaged_over():
    first, grown = make(clips(metric="test_error")), make(clips(metric="test_error"), dropout=(0.0, 0.5, 0.8))
    runs = runs_of(grown, {"test_error": [0.9, 1.1, 1.0, 0.95]}, 4)
    runs.loc[(runs["model.dropout"] == 0.8) & (runs["clipping.max_norm"] == 1.0), "test_error"] += 3.0
    (found,) = judge_registered(grown, runs, registrations(grown, chain_of((first, 0), (grown, 4))))
    assert found.was is not None
    assert found.was.estimate == pytest.approx(np.mean([0.9, 1.1, 1.0, 0.95]))
    assert found.estimate == pytest.approx(np.mean([0.9, 1.1, 1.0, 0.95]) - 1.0)


def test_a_former_form_has_the_seeds_of_its_own_levels_and_says_which_it_lacks():
    """All its runs are there, in cells of which the study has more now; then a level or seeds of it are left out."""
    first, grown = make(clips(metric="test_error")), make(clips(metric="test_error"), dropout=(0.0, 0.5, 0.8))
    runs = runs_of(grown, {"test_error": [0.9, 1.1, 1.0, 0.95]}, 4)
    (found,) = judge_registered(grown, runs, registrations(grown, chain_of((first, 0), (grown, 4))))
    assert found.was is not None and (found.was.verdict, found.was.n) == ("supported", 4)
    only = runs[runs["model.dropout"].isin([0.0, 0.5])]
    (found,) = judge_registered(first, only, registrations(first, chain_of((grown, 0), (first, 4))))
    assert found.was is not None
    assert found.was.sentence == "Cannot be judged as it was: model.dropout = 0.8 is swept no more."
    fewer = make(clips(metric="test_error"), seeds=3)
    (found,) = judge_registered(fewer, only[only["seed"] < 3], registrations(fewer, chain_of((first, 0), (fewer, 4))))
    assert found.was is not None
    words = "1 of the 4 planned seeds was left out after they were seen"
    assert found.was.sentence == f"Cannot be judged as it was: {words}."


def test_a_former_form_that_the_runs_cannot_speak_to_has_no_numbers_but_counts():
    """Its metric is measured no more; Holm still counts it."""
    first = make(clips(0.1, "a", "test_error"), clips(0.1, "b", "brier"), level="standard")
    second = make(clips(0.1, "a", "test_error"))
    runs = runs_of(second, {"test_error": [0.9, 1.1, 1.0, 0.95]}, 4)
    kept, gone = judge_registered(second, runs, registrations(second, chain_of((first, 0), (second, 4))))
    assert (gone.verdict, gone.sentence, gone.estimate) == (
        "inconclusive",
        "Cannot be judged as it was: brier is measured no more.",
        None,
    )
    assert (gone.n, gone.n_missing, gone.n_copies, gone.n_diverged_treatment, gone.n_diverged_baseline) == (0,) * 5
    assert gone.withdrawn and not gone.is_open, "no later look decides what is withdrawn"
    assert kept.level == pytest.approx(1 - 0.05 / 2)


def test_an_unchanged_study_has_the_verdicts_of_before():
    study = make(clips(), drops(), EXACT)
    runs = runs_of(
        study, {"test_loss": [0.9, 1.1, 1.0, 0.95], "test_error": [0.1, 0.0, 0.2, 0.1], "eval_noise": [0.0] * 4}, 4
    )
    runs["train_noise"] = 1.0
    for chain, registered in ((chain_of((study, 0)), True), ([], None), (chain_of((study, 4)), None)):
        found = judge_registered(study, runs, registrations(study, chain))
        assert [{**vars(v), **BLANK} for v in found] == [vars(v) for v in judge(study.claims, runs, Plan.of(study))]
        assert [v.registered for v in found] == [registered] * 3


def of_before(*claims: dict[str, Any], at: str = "2025-11-03T10:00:00Z") -> Chain:
    """The chain that was written before claims had estimands, by the rules of then."""
    entry = {
        "at": at, "seeds": [0, 1, 2, 3], "family": {"alpha": 0.05, "correction": "Holm"},
        "claims": [claim | {"seen": 0, "of": 16} for claim in claims], "dropped": [], "conflict": "", "previous": "0" * 64,
    }  # fmt: skip
    text = json.dumps(entry, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return [entry | {"sha256": hashlib.sha256(text.encode()).hexdigest()}]


def test_chains_of_before_claims_had_estimands_are_read_and_said_to_be_so():
    """Their forms say in "across" what is averaged over, and have no estimand."""
    study = make(clips(), EXACT)
    old = {
        "title": "clipping helps", "kind": "Claim", "metric": "test_loss", "better": "lower", "smallest_effect": 0.1,
        "treatment": {"clipping.max_norm": 1.0}, "baseline": {"clipping.max_norm": "inf"}, "across": {"model.dropout": [0.0, 0.5]},
    }  # fmt: skip
    exact = {
        "title": EXACT.title, "kind": "Exact", "metric": "eval_noise", "equals": 0.0, "unless": "train_noise",
        "across": {"clipping.max_norm": [0.5, 1.0, "inf"], "model.dropout": [0.0, 0.5]},
    }  # fmt: skip
    chain = of_before(old, exact)
    assert problems(chain) == []
    grown = extended(chain, Declared.of(study, recorded(study, 4), alpha=0.05))
    assert problems(grown) == []
    assert [len(entry["dropped"]) for entry in grown] == [0, 2]
    runs = runs_of(study, {"test_loss": [0.9, 1.1, 1.0, 0.95], "eval_noise": [0.0] * 4}, 4).assign(train_noise=1.0)
    found, noise = judge_registered(study, runs, registrations(study, grown))
    assert (found.registered, found.estimate) == (False, pytest.approx(0.975))
    assert found.was is not None
    assert (found.was.registered, found.was.registered_at, found.was.estimate) == (True, "2025-11-03T10:00:00Z", None)
    assert found.was.sentence == "Cannot be judged as it was: it was registered before claims had estimands."
    assert noise.was is not None
    assert (noise.verdict, noise.was.verdict, noise.was.registered) == ("refuted", "refuted", True)
    assert "over clipping.max_norm in 0.5, 1.0, inf" in found.registration or "estimand" in found.registration


@pytest.mark.parametrize("damage", [{"across": ["model.dropout"]}, {"estimand": "mode"}, {"kind": "Guess"}])
def test_a_form_that_is_none_is_no_chain(damage: dict[str, Any]):
    study = make(clips())
    (form,) = Declared.of(study, recorded(study), alpha=0.05).claims
    damaged = {name: value for name, value in form.items() if name != "over" or "across" not in damage} | damage
    assert "is no chain of entries" in problems(of_before(damaged))[0]


BLANK = {"registered": None, "registration": "", "registered_at": None, "planned_seeds": None, "form": None}
