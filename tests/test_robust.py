"""Estimates that a few seeds do not decide, against SciPy."""

import numpy as np
import pytest
from scipy import stats

from harness.inference.intervals.resampling import bootstrap
from harness.inference.intervals.robust import interquartile_mean


@pytest.mark.parametrize("n", [1, 4, 7, 20, 50])
def test_interquartile_mean_is_scipys_trimmed_mean_along_the_last_axis(n):
    values = np.random.default_rng(0).standard_t(2, (3, 5, n))
    assert interquartile_mean(values) == pytest.approx(stats.trim_mean(values, 0.25, axis=-1))


def test_bootstrap_is_the_percentiles_of_the_statistic_of_each_resample():
    values = np.random.default_rng(0).lognormal(size=20)
    picks = np.random.default_rng(0).integers(20, size=(2000, 20))
    draws = [stats.trim_mean(values[pick], 0.25) for pick in picks]
    found = bootstrap(interquartile_mean, values)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(draws, [0.025, 0.975])))
    assert found.value == pytest.approx(stats.trim_mean(values, 0.25))
