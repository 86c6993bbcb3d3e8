"""The first experiment, in full, and what the literature says of it."""

from functools import cache

import numpy as np
import pytest
import xarray as xr

import deeplinear as dl
from deeplinear.experiments import run as reproduce
from deeplinear.experiments.library import PLAIN
from small import of_rate, quick_of

DATA_SEEDS = (0, 1, 3)
NETWORK = PLAIN.network.network(5, 10, seed=0)
RATES = (0.005, 0.02, 0.07, 0.1, 0.2)


@cache
def full(seed: int) -> xr.Dataset:
    return reproduce.run(PLAIN, seed=seed, progress=False)


def final_sharpness(dataset: xr.Dataset, rate: float) -> np.ndarray:
    """(scales, runs per cell), NaN where a run diverged."""
    runs = of_rate(dataset, rate)
    return runs.sharpness.sel(record="end").values.reshape(len(PLAIN.scales), -1)


def diverged(dataset: xr.Dataset, rate: float) -> np.ndarray:
    runs = of_rate(dataset, rate)
    return (runs.status.values == "diverged").reshape(len(PLAIN.scales), -1)


def bound(dataset: xr.Dataset, name: str) -> float:
    (value,) = np.unique(dataset[name])
    return float(value)


def test_the_data_are_labelled_and_complete():
    dataset = full(0)
    assert dict(dataset.sizes) == {
        "run": 1600, "record": 2, "parameter": 230, "problem": 1, "sample": 50, "input": 5,
    }  # fmt: skip
    assert list(dataset.record.values) == ["start", "end"]
    for training in PLAIN.training:
        runs = of_rate(dataset, training.dynamics.learning_rate)
        assert runs.sizes["run"] == 10 * training.runs
        assert set(runs.steps.values) == {training.steps}
        cells = set(zip(runs.scale.values.tolist(), runs.seed.values.tolist(), strict=True))
        assert len(cells) == runs.sizes["run"]
    done = dataset.status.values != "diverged"
    assert set(dataset.status.values) == {"completed", "diverged"}
    np.testing.assert_array_equal(dataset.last_step.values[done], dataset.steps.values[done])
    for name in ("risk", "distance", "sharpness"):
        assert np.isfinite(dataset[name].sel(record="start")).all()
        np.testing.assert_array_equal(np.isfinite(dataset[name].sel(record="end")), done)
    assert dataset.sharpness.attrs["unconverged"] == 0
    assert dataset.sharpness.attrs["largest_relative_residual"] < 1e-7


def test_rows_belong_to_their_settings():
    dataset = full(1)
    regression = dl.gaussian_regression(50, 5, 1.0, seed=1)
    landscape = dl.Landscape(NETWORK, regression)
    np.testing.assert_array_equal(dataset.X[0], regression.X)
    np.testing.assert_array_equal(dataset.y[0], regression.y)
    np.testing.assert_array_equal(dataset.minimizer[0], regression.minimizer)
    for row in (0, 399, 777, 1100):
        run = dataset.isel(run=row)
        law = dl.init.Gaussian(float(run.scale))
        weights = law.sample(NETWORK, int(run.seed))
        start, end = run.sharpness.values
        assert landscape.sharpness(weights).value == pytest.approx(start, rel=1e-7)
        assert landscape.risk(weights) == pytest.approx(float(run.risk[0]), rel=1e-12)
        single = dl.simulate(
            landscape,
            weights,
            dl.GradientDescent(float(run.learning_rate)),
            steps=int(run.steps),
            every=None,
        )
        np.testing.assert_array_equal(single.weights[0], run.weights)
        if run.status != "diverged":
            layers = NETWORK.unflatten(run.weights.values)
            assert landscape.sharpness(layers).value == pytest.approx(end, rel=1e-7)


@pytest.mark.parametrize("seed", DATA_SEEDS)
def test_from_small_scales_every_learning_rate_ends_at_the_same_sharpness(seed):
    dataset = full(seed)
    lower = bound(dataset, "sharpness_lower_bound")
    upper = bound(dataset, "small_scale_sharpness_bound")
    slowest = final_sharpness(dataset, 0.005)[:2]
    assert slowest.max() < 2 / 0.07 * 1.05
    for rate in (0.005, 0.02, 0.07):
        assert of_rate(dataset, rate).reached.values.reshape(10, -1)[:2].all()
        final = final_sharpness(dataset, rate)[:2]
        assert lower < final.min()
        assert final.max() < upper
        # where the sharpness that the flow ends at leaves the learning rate room
        stable = slowest < 0.95 * 2 / rate
        assert stable.mean() > 0.8
        np.testing.assert_allclose(final[stable], slowest[stable], rtol=0.02)
        np.testing.assert_allclose(np.median(final, axis=1), np.median(slowest, axis=1), rtol=0.01)


@pytest.mark.parametrize("seed", DATA_SEEDS)
def test_the_final_sharpness_rises_with_the_scale_up_to_the_edge_of_stability(seed):
    dataset = full(seed)
    for rate in (0.005, 0.02, 0.07):
        # runs that diverged would take the sharpest out of the sample
        whole = ~diverged(dataset, rate).any(axis=1)
        medians = np.median(final_sharpness(dataset, rate)[whole], axis=1)
        assert len(medians) >= 5
        assert (medians[1:] > medians[:-1] * 0.999).all()
        assert medians[-1] > medians[0] * 1.2
    reached = dataset.isel(run=dataset.reached.values)
    final = reached.sharpness.sel(record="end").values
    # At the edge of stability the approach is slow: the last digits are still on their way.
    assert (final * reached.learning_rate.values).max() < 2 * 1.005
    # 0.07 comes to the plateau at medium scales
    plateau = np.median(final_sharpness(dataset, 0.07)[4])
    assert plateau == pytest.approx(2 / 0.07, rel=0.02)


@pytest.mark.parametrize("seed", DATA_SEEDS)
def test_no_minimizer_is_flatter_than_the_lower_bound(seed):
    dataset = full(seed)
    final = dataset.sharpness.sel(record="end").values[dataset.reached.values]
    assert len(final) > 400
    assert final.min() >= bound(dataset, "sharpness_lower_bound")


@pytest.mark.parametrize("seed", DATA_SEEDS)
def test_above_the_critical_learning_rate_no_run_reaches_a_minimizer(seed):
    dataset = full(seed)
    critical = bound(dataset, "critical_learning_rate")
    assert 0.07 < critical < 0.1
    for rate in RATES:
        reached = of_rate(dataset, rate).reached.values
        assert reached.any() == (rate < critical)


def test_the_largest_learning_rate_is_above_the_critical_one_for_all_data():
    critical = [
        dl.theory.critical_learning_rate(PLAIN.data.regression(seed), 10) for seed in range(50)
    ]
    assert max(critical) < 0.2


def test_just_below_the_critical_rate_few_runs_reach_a_minimizer():
    dataset = full(4)
    assert bound(dataset, "critical_learning_rate") > 0.1
    runs = of_rate(dataset, 0.1)
    assert runs.reached.values.mean() < 0.1
    assert not of_rate(dataset, 0.2).reached.any()


@pytest.mark.parametrize("seed", DATA_SEEDS)
def test_divergence_grows_with_scale_and_learning_rate(seed):
    shares = np.array([diverged(full(seed), rate).mean(axis=1) for rate in RATES])
    assert (shares[:, 0] == 0).all()
    assert (shares[1:, -1] > 0.7).all()
    means = shares.mean(axis=1)
    assert (means[1:] > means[:-1]).all()


def test_the_quick_version_is_a_part_of_the_full_one():
    part, whole = quick_of("plain"), full(0)
    assert part.sizes["run"] == PLAIN.quick().runs == 160
    key = ["learning_rate", "scale", "seed"]
    whole = whole.set_index(run=key).sel(run=part.set_index(run=key).run)
    for name in ("risk", "distance", "sharpness", "weights", "status", "reached"):
        np.testing.assert_array_equal(part[name].values, whole[name].values)
