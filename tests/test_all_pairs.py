"""All pairs of levels: exact sign tests, Benjamini and Hochberg's procedure by hand, diverged and missing runs."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from synthetic import FakeStudy, fail, rnn_clip, simulate

from harness.clipping import GlobalNorm, NoClipping
from harness.inference.exploration.all_pairs import all_pairs, sign_test
from harness.inference.exploration.importance import COLUMNS
from harness.reporting.exploration import MOST_PAIRS, explored
from harness.reporting.formats import csv
from harness.reporting.results import PAIRS_FILE, Results
from harness.settings import Sweep

STUDY = rnn_clip()
RUNS = simulate(STUDY, tune_trials=2, every=30)[0]
NOTHING = pd.DataFrame(columns=COLUMNS)


def by_hand(cells: dict[float, list[float]], *, metric: str = "test_loss") -> tuple[FakeStudy, pd.DataFrame]:
    """One swept factor with the values of each seed at each level, diverged where infinite."""
    study = FakeStudy(settings={"model.dropout": Sweep(*cells)})
    rows = [
        {"trial": trial, "seed": seed, "phase": "confirm", "model.dropout": level, metric: value,
         "status": "diverged" if math.isinf(value) else "finished"}
        for trial, (level, values) in enumerate(cells.items()) for seed, value in enumerate(values)
    ]  # fmt: skip
    return study, pd.DataFrame(rows)


def test_the_sign_test_is_scipys_exact_binomial_test():
    for higher in range(8):
        for lower in range(8):
            expected = stats.binomtest(higher, higher + lower).pvalue if higher + lower else 1.0
            assert sign_test([higher], [lower])[0] == pytest.approx(expected)


def test_three_levels_by_hand():
    """Differences 6 of 6, 5 of 6 and 1 of 5 with a tie: p = 1/32, 7/32, 3/8; q = p · 3 / rank, rising."""
    study, runs = by_hand({0.0: [1, 2, 3, 4, 5, 6], 0.2: [2, 3, 4, 5, 6, 7], 0.5: [1.5, 2.5, 3.5, 4.5, 6, 5]})
    table = all_pairs(study, runs, ["test_loss"]).set_index(["a", "b"])
    assert table[["n_higher", "n_lower", "n_ties", "n"]].to_numpy().tolist() == [
        [6, 0, 0, 6],
        [5, 1, 0, 6],
        [0, 5, 1, 6],
    ]
    assert table["difference"].to_list() == [1, 0.5, -0.5]
    assert table["p_value"].to_list() == pytest.approx([2 / 64, 14 / 64, 2 / 32])
    assert table["q_value"].to_list() == pytest.approx([3 * 2 / 64, 14 / 64, 3 / 2 * 2 / 32])


def test_q_values_are_those_of_statsmodels_over_all_pairs_and_metrics():
    table = all_pairs(STUDY, RUNS, ["test_loss", "gap", "spike_rate"])
    assert len(table) == 2 * (3 + 6) + 6  # spike_rate says nothing across dropout
    assert table["q_value"].to_list() == pytest.approx(multipletests(table["p_value"], method="fdr_bh")[1].tolist())
    assert list(table["factor"].unique()) == ["model.dropout", "clipping.max_norm"]


def test_a_difference_is_that_of_a_seed_averaged_over_the_cells_of_the_other_factors():
    table = all_pairs(STUDY, RUNS, ["grad_norm_median"]).set_index(["factor", "a", "b"])
    confirm = RUNS[RUNS["phase"] == "confirm"]
    means = confirm.pivot_table(index="seed", columns="clipping.max_norm", values="grad_norm_median", aggfunc="mean")
    row = table.loc[("clipping.max_norm", 1.0, math.inf)]
    differences = means[math.inf] - means[1.0]
    assert row["difference"] == pytest.approx(differences.median())
    assert (row["n_higher"], row["n_lower"]) == ((differences > 0).sum(), (differences < 0).sum())


def test_a_diverged_run_is_infinitely_worse_and_two_tie():
    study, runs = by_hand({0.0: [1, math.inf, math.inf, 3, 4], 0.5: [math.inf, math.inf, 2, math.inf, math.inf]})
    row = all_pairs(study, runs, ["test_loss"]).iloc[0]
    assert (row["n_higher"], row["n_lower"], row["n_ties"]) == (3, 1, 1)
    assert row["difference"] == math.inf


def test_the_report_counts_seeds_where_diverged_runs_leave_no_finite_difference():
    metrics = pd.DataFrame({"metric": ["test_loss"], "why": "x"}, columns=COLUMNS)
    values = {
        0.0: [1, math.inf, math.inf, 3, 4],
        0.1: [math.inf, math.inf, 2, math.inf, math.inf],
        0.2: [2, 2, 2, 2, 2],
    }
    study, runs = by_hand(values)
    part = explored(study, runs, metrics, all_pairs(study, runs, ["test_loss"]))[-1]
    assert [row[2].partition(" (q")[0] for row in part.table.rows] == ["higher in 3 of 5", "−2", "lower in 4 of 5"]


def test_seeds_without_a_direction_or_a_run_are_left_out_and_counted():
    settings = {"model.dropout": Sweep(0.0, 0.5), "clipping": Sweep("a", "b")}
    rows = [
        {"trial": 2 * i + j, "seed": seed, "phase": "confirm", "model.dropout": p, "clipping": rule, "test_loss": 1.0 + p + seed / 10,
         "status": "finished"}
        for i, p in enumerate((0.0, 0.5)) for j, rule in enumerate("ab") for seed in range(4)
    ]  # fmt: skip
    runs = pd.DataFrame(rows)
    first = (runs["seed"] == 0) & (
        (runs["model.dropout"] == 0.0) == (runs["clipping"] == "a")
    )  # each level in another cell
    runs.loc[first, ["test_loss", "status"]] = math.inf, "diverged"
    runs = fail(runs, runs.index == runs.index[runs["seed"] == 3][0])
    table = all_pairs(FakeStudy(settings=settings), runs, ["test_loss"]).set_index("factor")
    assert table.loc["model.dropout", ["n", "n_higher", "n_left_out"]].to_list() == [2, 2, 2]
    assert table.loc["model.dropout", "difference"] == pytest.approx(0.5)


def test_rounding_is_no_difference():
    exact = [k / 359 for k in range(1, 6)]
    single = [float(np.float32(value)) for value in exact]
    study, runs = by_hand({0.0: exact, 0.5: [*single[:4], exact[4] + 1e-4]})
    assert not set(exact) & set(single)
    row = all_pairs(study, runs, ["test_loss"]).iloc[0]
    assert (row["n_higher"], row["n_lower"], row["n_ties"]) == (1, 0, 4)


def test_a_run_at_no_level_of_the_study_counts_for_none():
    study, runs = by_hand({0.0: [1, 2, 3], 0.5: [2, 3, 5], 0.7: [9, 9, 7]})
    fewer = FakeStudy(settings={"model.dropout": Sweep(0.0, 0.5)})
    table = all_pairs(fewer, runs, ["test_loss"])
    assert table[["a", "b", "difference", "n_higher"]].to_numpy().tolist() == [[0.0, 0.5, 1.0, 3]]
    assert len(all_pairs(study, runs, ["test_loss"])) == 3


def test_copies_of_seeds_do_not_count():
    study, runs = by_hand({0.0: [1, 2, 3], 0.5: [2, 3, 4]})
    more = pd.concat([runs, *(runs[runs["seed"] == 0].assign(seed=seed) for seed in range(3, 50))])
    assert all_pairs(study, more, ["test_loss"])["n"].to_list() == [3]


@pytest.mark.parametrize("case", ["nothing swept", "one seed", "all failed", "nothing ran", "the same in all runs"])
def test_any_ending(case: str):
    study = FakeStudy(
        settings={} if case == "nothing swept" else {"model.dropout": Sweep(0.0, 0.5)},
        seeds=1 if case == "one seed" else 3,
    )
    runs = simulate(study, every=60)[0]
    if case == "all failed":
        runs = fail(runs, runs["seed"] >= 0)
    if case == "the same in all runs":
        runs = runs.assign(test_loss=1.0, status="finished")
    runs = runs.iloc[:0] if case == "nothing ran" else runs
    table = all_pairs(study, runs, ["test_loss"])
    if case == "one seed":
        assert table["p_value"].to_list() == [1.0]
    else:
        assert table.empty
    explored(study, runs, NOTHING, table)


def test_components_as_levels_are_named_and_the_file_is_read_back(tmp_path: Path):
    study = FakeStudy(
        settings={"clipping": Sweep(NoClipping(), GlobalNorm(1.0)), "model.dropout": Sweep(0.0, 0.5), "steps": 40}
    )
    table = all_pairs(study, simulate(study, every=20)[0], ["test_loss"])
    (tmp_path / PAIRS_FILE).write_bytes(csv(table))
    read = Results(tmp_path, pd.DataFrame(), pd.DataFrame(), pd.DataFrame(), {}).pairs
    assert read["a"].to_list() == ["NoClipping()", "0.0"]
    numbers = ["difference", "n", "n_higher", "n_lower", "n_ties", "n_left_out", "p_value", "q_value"]
    np.testing.assert_array_equal(read[numbers], table[numbers])


def test_the_report_says_that_nothing_of_it_is_a_claim_and_which_pairs_it_shows():
    metrics = pd.DataFrame({"metric": ["spike_rate", "test_loss"], "why": "x"}, columns=COLUMNS)
    table = all_pairs(STUDY, RUNS, ["spike_rate", "test_loss"])
    part = explored(STUDY, RUNS, metrics, table)[-1]
    assert part.caption.startswith("Exploratory: not claims.") and f"over all {len(table)} comparisons" in part.caption
    assert part.table.head == ["factor", "levels", "spike_rate", "test_loss"]
    assert len(part.table.rows) == 9 and part.table.rows[0][:3] == ["model.dropout", "0.2 − 0", "–"]
    assert part.table.rows[-1][1] == "∞ (no clipping) − 5"
    many = FakeStudy(settings={"model.dropout": Sweep(*np.arange(10) / 10), "steps": 40}, seeds=3)
    runs = simulate(many, every=20)[0]
    part = explored(many, runs, metrics, all_pairs(many, runs, ["test_loss"]))[-1]
    assert len(part.table.rows) == MOST_PAIRS and "Of 45 pairs the 40 with the least q are shown." in part.caption
