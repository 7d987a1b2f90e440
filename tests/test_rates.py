"""Spikes, explosions and the way back, on curves of any length, against the definition in plain NumPy; and what clipping did."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from test_train import CPU

from harness import Diagnostics
from harness.clipping import AGC, GlobalNorm, NoClipping, PerTensorNorm
from harness.engine import stability
from harness.engine.runs import Run, build
from harness.engine.setup import Setup
from harness.engine.train import train
from harness.models import DropoutNet
from harness.optimizers import SGD
from harness.settings.schedules import Function
from harness.tasks import Images, Tensors

NAN = math.nan


def direct(losses: np.ndarray, norms: np.ndarray) -> tuple[float, float]:
    """Spike and explosion rate of one run by their definition, a step after another."""
    spikes, explosions = [], []
    for i in range(len(losses)):
        past, past_norms = losses[max(0, i - 100) : i], norms[max(0, i - 100) : i]
        if len(past) >= 20 and not np.isnan(losses[i]):
            middle = np.median(past)
            mad = max(np.median(np.abs(past - middle)), 1e-6 * abs(middle))
            spikes.append(losses[i] > middle + 6 * mad)
            explosions.append(norms[i] > 10 * np.median(past_norms))
    return (float(np.mean(spikes)), float(np.mean(explosions))) if spikes else (NAN, NAN)


def rates(losses: np.ndarray, norms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    logged = dict.fromkeys(("clipped_norm", "clipped", "clipped_units", "update_ratio"), np.ones_like(losses))
    found = stability.stability({"loss": losses, "grad_norm": norms} | logged, (~np.isnan(losses)).sum(0))
    return found["spike_rate"], found["explosion_rate"]


@pytest.mark.parametrize("steps", [1, 20, 21, 60, 100, 101, 350])
@pytest.mark.parametrize("block", [stability.BLOCK, 700])
def test_rates_follow_their_definition_at_any_length(steps: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stability, "BLOCK", block)  # less than a window of all members: a few steps at a time
    random = np.random.default_rng(steps)
    losses, norms = (np.exp(1.5 * random.standard_t(2, (steps, 5))) for _ in range(2))
    losses[steps // 2 :, 1] = norms[steps // 2 :, 1] = NAN  # became non-finite
    losses[:, 2] = 0.7  # a loss that never changes
    losses[-1, 2] *= 1 + 1e-7  # but for rounding
    found = np.array(rates(losses, norms))
    expected = np.array([direct(losses[:, m], norms[:, m]) for m in range(5)]).T
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert np.isnan(found[:, 0]).all() == (steps < 21)
    if steps >= 100:
        assert found[0, 0] > 0 and found[1, 0] > 0 and found[0, 2] == 0


def test_a_spike_counts_from_six_deviations_on() -> None:
    """Of 40 losses 0, 1, 0, 1 … median .5 and MAD .5: beyond 3.5; 5 deviations would say 3."""
    quiet = np.tile([0.0, 1.0], 20)
    for last, expected in ((3.4, 0.0), (3.5, 0.0), (3.6, 1.0)):
        losses = np.append(quiet, last)[:, None]
        assert stability.spikes(losses, stability.trailing_median(losses))[-1, 0] == expected


def test_an_explosion_counts_from_ten_times_the_median_on() -> None:
    for last, expected in ((19.9, 0.0), (20.0, 0.0), (20.1, 1.0)):
        norms = np.append(np.tile([1.0, 2.0, 3.0], 10), last)[:, None]
        assert stability.explosions(norms, stability.trailing_median(norms))[-1, 0] == expected


def test_what_rises_from_nothing_is_no_multiple_of_it() -> None:
    norms = np.zeros((60, 1))
    norms[50] = 1e-12
    assert math.isnan(rates(np.ones((60, 1)), norms)[1][0])


def test_recovery_by_hand() -> None:
    calm = np.tile([1.0, 1.1, 0.9], 10)
    back_after_3 = [*calm, 9.0, 5.0, 2.0, 0.95, *calm]
    once_more = [*back_after_3, 50.0, 1.0, *calm]  # 3 and 1
    never = [*calm, 9.0, 8.0, 8.0]
    none = list(calm)
    for curve, expected in ((back_after_3, 3), (once_more, 2), (never, 3), (none, NAN)):
        losses = np.array(curve)[:, None]
        median = stability.trailing_median(losses)
        found = stability.recovery_steps(losses, stability.spikes(losses, median), median, np.array([len(curve)]))
        np.testing.assert_array_equal(found, [expected])


def test_a_spike_belongs_to_the_one_before_it_until_that_is_recovered_from() -> None:
    """Three spikes that take 3, 1 and 4 steps; the loss is back from the first at the very step at which the second begins."""
    losses = np.array([1.0, 9.0, 8.0, 7.0, 2.0, 1.0, 1.0, 5.0, 4.0, 3.0, 3.0, 1.0, 1.0])[:, None]
    median = np.full_like(losses, 2.0)
    median[4] = 1.5
    events = np.zeros(losses.shape, dtype=bool)
    events[[1, 2, 4, 7, 8, 10]] = True
    all_13 = np.array([13])
    assert stability.recovery_steps(losses, events, median, all_13) == np.median([3, 1, 4])
    np.testing.assert_array_equal(
        stability.recovery_steps(losses[:11], events[:11], median[:11], np.array([11])), [3.0]
    )
    later, ended = (
        events & np.isin(np.arange(13), [7, 8])[:, None],
        np.where(np.arange(13)[:, None] < 10, losses, NAN),
    )
    for end in (10, 11, 13):  # the last steps have losses that are no numbers
        np.testing.assert_array_equal(stability.recovery_steps(ended, later, median, np.array([end])), [end - 7])
    events[7:] = False
    np.testing.assert_array_equal(stability.recovery_steps(losses, events, median, all_13), [2.0])


@pytest.mark.parametrize("alone", [False, True], ids=["population", "plain loop"])
def test_a_spike_at_the_end_counts_the_steps_to_where_patience_ended_the_run_or_to_the_last_where_it_blew_up(
    alone: bool,
) -> None:
    """A run that dies of its spike must not look like one that soon recovers."""
    x = torch.randn(200, 5, generator=torch.Generator().manual_seed(0))
    task = Tensors(x, x @ torch.ones(5, 1))
    rates = {
        "patient": Function(lambda t, steps: 3.0 if t >= 100 else 0.02),
        "wild": Function(lambda t, steps: 1e30 if t >= 100 else 0.02),
    }
    runs = [
        Run(trial, seed, Setup(task=task, model=DropoutNet(hidden=()), optimizer=SGD(rate), clipping=NoClipping(),
                               batch_size=16, steps=1000, patience=2))
        for seed in (0, 1) for trial, rate in enumerate(rates.values())
    ]  # fmt: skip
    parts = [[run] for run in runs] if alone else [runs]
    for part in parts:
        table, _ = train(part, evaluations=100, device=CPU)
        assert (table["steps_done"] < 200).all()
        patient, wild = (table[table["trial"] == trial] for trial in (0, 1))
        assert (patient["recovery_steps"] <= patient["steps_done"] - 99).all()
        assert wild["nonfinite"].eq(1).all()
        assert wild["recovery_steps"].between(890, 901).all()


def test_norms_and_clipping_are_summed_up_over_the_steps_that_a_run_has_taken() -> None:
    """Of 41 steps the 95 % quantile is the 39th smallest number, the 99 % one .6 of the way from the 40th to the 41st; of 21 the 20th
    and .8 of the way from the 20th to the 21st."""
    random = np.random.default_rng(0)
    norms = random.uniform(0.5, 4.0, (41, 2))
    norms[3] = 0.0  # nothing to shrink
    clipped_norms, clipped, units = np.minimum(norms, 2.0), (norms > 2.0).astype(float), random.uniform(0, 1, (41, 2))
    ratios = random.uniform(1e-3, 1e-2, (9, 2))
    for column in (norms, clipped_norms, clipped, units):
        column[21:, 1] = NAN
    ratios[5:, 1] = NAN
    found = stability.stability(
        {"loss": norms + 1, "grad_norm": norms, "clipped_norm": clipped_norms, "clipped": clipped, "clipped_units": units,
         "update_ratio": ratios}, np.array([41, 21]),
    )  # fmt: skip
    for run, (steps, q95, share) in enumerate(((41, 39, 0.6), (21, 20, 0.8))):
        for name, column in (("grad_norm", norms), ("clipped_norm", clipped_norms)):
            ordered = sorted(column[:steps, run])
            values = {
                "mean": sum(ordered) / steps, "median": ordered[steps // 2], "q95": ordered[q95 - 1],
                "q99": ordered[-2] + share * (ordered[-1] - ordered[-2]), "max": ordered[-1],
            }  # fmt: skip
            for kind, value in values.items():
                assert found[f"{name}_{kind}"][run] == pytest.approx(value, rel=1e-12)
        shrinks = [min(1.0, 2.0 / norm) if norm else 1.0 for norm in norms[:steps, run]]
        assert found["mean_shrink"][run] == pytest.approx(sum(shrinks) / steps, rel=1e-12)
        assert found["clip_fraction"][run] == pytest.approx(sum(norms[:steps, run] > 2.0) / steps)
        assert found["clipped_units"][run] == pytest.approx(sum(units[:steps, run]) / steps)
        assert found["update_ratio"][run] == sorted(ratios[: (9, 5)[run], run])[(9, 5)[run] // 2]


def test_short_runs_and_runs_that_end_early_have_the_rates_of_what_they_were_seen_for() -> None:
    setup = Setup(
        task=Images(train_size=300), model=DropoutNet(hidden=(16,)), batch_size=16, optimizer=SGD(0.1), steps=60
    )
    short = setup.replace(steps=15)
    wild = setup.with_value("optimizer.lr", 1e38)
    rows = pd.concat([train([Run(0, 0, each)], evaluations=1, device=CPU)[0] for each in (setup, short, wild)])
    assert rows["spike_rate"].isna().tolist() == [False, True, True]
    assert rows["explosion_rate"].isna().tolist() == [False, True, True]
    assert rows["status"].tolist()[2] == "diverged"


# --- what a number is of -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("train_size", [40, 1000])
def test_the_gap_is_the_difference_of_the_two_columns(train_size: int) -> None:
    setup = Setup(
        task=Images(train_size=train_size), model=DropoutNet(hidden=(16,)), batch_size=16, optimizer=SGD(0.3), steps=40
    )
    runs, _ = train([Run(0, s, setup) for s in (0, 1)], evaluations=4, device=CPU)
    np.testing.assert_array_equal(runs["gap"], runs["test_loss"] - runs["train_loss"])
    np.testing.assert_array_equal(runs["best_gap"], runs["best_test_loss"] - runs["best_train_loss"])


def test_the_training_loss_is_on_as_many_examples_as_its_own_test_split_has() -> None:
    """Whatever its companions have."""
    x = torch.randn(400, 4, generator=torch.Generator().manual_seed(0))
    task = Tensors(x, (x[:, 0] > 0).long())
    setup = Setup(task=task, model=DropoutNet(hidden=(8,)), batch_size=16, steps=5)
    small = setup.with_value("task.train_size", 30)
    together, _ = train([Run(0, 0, setup), Run(1, 0, small)], evaluations=1, device=CPU)
    alone = [train([Run(0, 0, each)], evaluations=1, device=CPU)[0] for each in (setup, small)]
    np.testing.assert_allclose(together["train_loss"], [one["train_loss"][0] for one in alone], rtol=1e-6)


@pytest.mark.parametrize(("train_size", "batches"), [(16, 1), (31, 1), (32, 2), (100, 6), (200, 8)])
def test_the_noise_scale_is_of_different_examples_only(train_size: int, batches: int) -> None:
    task = Images(train_size=train_size)
    setup = Setup(
        task=task,
        model=DropoutNet(hidden=(4,)),
        batch_size=16,
        optimizer=SGD(1e-300),
        steps=1,
        metrics=Diagnostics("full"),
    )
    runs, _ = train([Run(0, s, setup) for s in (0, 1)], evaluations=1, device=CPU, dtype=torch.float64)
    if batches == 1:
        assert runs["gradient_noise_scale"].isna().all()
        return
    data = task.data(1)
    module = build(setup, data, 1).double().eval()
    gradients = []
    for part in data.train[: 16 * batches].split(16):
        loss = torch.nn.functional.cross_entropy(module(data.x[part].double()), data.y[part])
        gradients.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(module.parameters()))]).numpy())
    trace = 16 * np.var(gradients, axis=0, ddof=1).sum()
    square = (np.mean(gradients, axis=0) ** 2).sum() - trace / (16 * batches)
    assert runs["gradient_noise_scale"][1] == pytest.approx(trace / square if square > 0 else math.inf, rel=1e-6)


def test_clipped_steps_units_and_norms_are_told_apart() -> None:
    rules = {"global": GlobalNorm(0.5), "tensors": PerTensorNorm(0.5), "agc": AGC(0.05)}
    rows = {}
    for name, rule in rules.items():
        setup = Setup(
            task=Images(train_size=300),
            model=DropoutNet(hidden=(8,)),
            clipping=rule,
            batch_size=16,
            optimizer=SGD(0.1),
            steps=40,
        )
        runs, curves = train([Run(0, s, setup) for s in (0, 1)], evaluations=1, device=CPU)
        rows[name] = runs.loc[0]
        assert rows[name]["clip_fraction"] == pytest.approx(curves[curves["seed"] == 0]["clipped"].mean())
    assert rows["global"]["clipped_units"] == rows["global"]["clip_fraction"]
    for name in ("tensors", "agc"):
        assert 0 < rows[name]["clipped_units"] < rows[name]["clip_fraction"]
