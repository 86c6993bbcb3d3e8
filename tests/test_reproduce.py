"""The first experiment, in full, and what the literature says of it."""

import dataclasses
from functools import cache

import numpy as np
import pytest
import xarray as xr

import deeplinear as dl
from deeplinear import presets, reproduce
from deeplinear.presets import PLAIN, Training

DATA_SEEDS = (0, 1, 3)
RATES = (0.005, 0.02, 0.07, 0.1, 0.2)


@cache
def full(seed: int) -> xr.Dataset:
    return reproduce.run(PLAIN, seed=seed, progress=False)


@cache
def quick() -> xr.Dataset:
    return reproduce.run(PLAIN.quick(), progress=False)


def of_rate(dataset: xr.Dataset, rate: float) -> xr.Dataset:
    return dataset.isel(run=dataset.learning_rate.values == rate)


def final_sharpness(dataset: xr.Dataset, rate: float) -> np.ndarray:
    """(scales, runs per cell), NaN where a run diverged."""
    runs = of_rate(dataset, rate)
    return runs.sharpness.sel(record="end").values.reshape(len(PLAIN.scales), -1)


def diverged(dataset: xr.Dataset, rate: float) -> np.ndarray:
    runs = of_rate(dataset, rate)
    return (runs.status.values == "diverged").reshape(len(PLAIN.scales), -1)


def test_the_preset_has_the_settings_of_the_paper():
    assert (PLAIN.data.n, PLAIN.data.d, PLAIN.data.noise) == (50, 5, 1.0)
    assert PLAIN.network.widths == (5,) * 10 + (1,)
    assert isinstance(PLAIN.init, dl.init.Gaussian)
    np.testing.assert_allclose(PLAIN.scales, np.linspace(0.25, 0.6, 10))
    assert [(t.learning_rate, t.steps, t.runs) for t in PLAIN.training] == [
        (0.005, 40_000, 20),
        (0.02, 10_000, 20),
        (0.07, 4_000, 20),
        (0.1, 4_000, 20),
        (0.2, 2_000, 80),
    ]
    assert (PLAIN.runs, PLAIN.steps) == (1_600, 13_200_000)
    with pytest.raises(dataclasses.FrozenInstanceError):
        PLAIN.depth = 3  # type: ignore[misc]


def test_the_data_are_labelled_and_complete():
    dataset = full(0)
    assert dict(dataset.sizes) == {
        "run": 1600, "record": 2, "parameter": 230, "sample": 50, "input": 5,
    }  # fmt: skip
    assert list(dataset.record.values) == ["start", "end"]
    for training in PLAIN.training:
        runs = of_rate(dataset, training.learning_rate)
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
    landscape = dl.Landscape(PLAIN.network, regression)
    np.testing.assert_array_equal(dataset.X, regression.X)
    np.testing.assert_array_equal(dataset.minimizer, regression.minimizer)
    for row in (0, 399, 777, 1100):
        run = dataset.isel(run=row)
        law = dl.init.Gaussian(float(run.scale))
        weights = law.sample(PLAIN.network, int(run.seed))
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
            layers = PLAIN.network.unflatten(run.weights.values)
            assert landscape.sharpness(layers).value == pytest.approx(end, rel=1e-7)


@pytest.mark.parametrize("seed", DATA_SEEDS)
def test_from_small_scales_every_learning_rate_ends_at_the_same_sharpness(seed):
    dataset = full(seed)
    lower = dataset.attrs["sharpness_lower_bound"]
    upper = dataset.attrs["small_scale_sharpness_bound"]
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
    assert final.min() >= dataset.attrs["sharpness_lower_bound"]


@pytest.mark.parametrize("seed", DATA_SEEDS)
def test_above_the_critical_learning_rate_no_run_reaches_a_minimizer(seed):
    dataset = full(seed)
    critical = dataset.attrs["critical_learning_rate"]
    assert 0.07 < critical < 0.1
    for rate in RATES:
        reached = of_rate(dataset, rate).reached.values
        assert reached.any() == (rate < critical)


def test_the_largest_learning_rate_is_above_the_critical_one_for_all_data():
    critical = [
        dl.theory.critical_learning_rate(PLAIN.data.regression(seed), PLAIN.depth)
        for seed in range(50)
    ]
    assert max(critical) < 0.2


def test_just_below_the_critical_rate_few_runs_reach_a_minimizer():
    dataset = full(4)
    assert dataset.attrs["critical_learning_rate"] > 0.1
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


def test_another_seed_gives_other_data_and_other_runs():
    first, second = full(0), full(1)
    assert not set(first.seed.values) & set(second.seed.values)
    assert not np.isin(first.attrs["seed"], first.seed)
    assert (first.X.values != second.X.values).all()
    assert reproduce.initial_seeds(2, 3) == range(3_000_000, 3_000_003)


def test_the_quick_version_is_a_part_of_the_full_one():
    part, whole = quick(), full(0)
    assert part.sizes["run"] == PLAIN.quick().runs == 160
    key = ["learning_rate", "scale", "seed"]
    whole = whole.set_index(run=key).sel(run=part.set_index(run=key).run)
    for name in ("risk", "distance", "sharpness", "weights", "status", "reached"):
        np.testing.assert_array_equal(part[name].values, whole[name].values)


def test_results_do_not_depend_on_threads():
    one = reproduce.run(PLAIN.quick(), threads=1, progress=False)
    two = reproduce.run(PLAIN.quick(), threads=2, progress=False)
    assert (one.attrs.pop("threads"), two.attrs.pop("threads")) == (1, 2)
    for dataset in (one, two):
        assert dataset.attrs.pop("simulation_seconds") > 0
    xr.testing.assert_identical(one, two)


def test_float32_shows_the_same():
    single = reproduce.run(PLAIN.quick(), dtype="float32", progress=False)
    assert single.weights.dtype == np.float32
    assert single.attrs["dtype"] == "float32"
    small = (single.scale == 0.25) & (single.learning_rate < 0.05)
    assert single.reached.values[small].all()
    end = [x.sharpness.sel(record="end").values[small] for x in (single, quick())]
    np.testing.assert_allclose(*end, rtol=0.01)


def test_progress_is_one_share_of_all_steps():
    shares: list[float] = []
    reproduce.run(PLAIN.quick(), progress=shares.append)
    assert len(shares) >= len(PLAIN.training)
    assert all(0 <= share <= 1 + 1e-12 for share in shares)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)


def test_progress_moves_while_runs_are_under_way():
    long = dataclasses.replace(
        PLAIN, init=dl.init.Gaussian(0.25), training=(Training(0.02, 1_000_000, 4),)
    )
    shares: list[float] = []
    reproduce.run(long, progress=shares.append, threads=1)
    assert any(0 < share < 1 for share in shares)


def test_the_file_holds_every_setting_and_every_number(tmp_path):
    dataset = full(0)
    path = reproduce.save(dataset, tmp_path / "new")
    assert [p.name for p in path.parent.iterdir()] == ["plain.nc"]
    read = xr.load_dataset(path, engine="h5netcdf")
    xr.testing.assert_identical(read.drop_attrs(), dataset.drop_attrs())
    assert set(read.attrs) == set(dataset.attrs)
    for name, value in dataset.attrs.items():
        np.testing.assert_array_equal(read.attrs[name], np.squeeze(value), err_msg=name)
    for name in dataset.variables:
        assert read[name].attrs == dataset[name].attrs
    for name in ("n", "d", "noise", "seed", "scales", "learning_rates", "steps", "runs_per_cell",
                 "dtype", "threads", "aligned_sharpness", "deeplinear_version"):  # fmt: skip
        assert name in read.attrs


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = reproduce.save(quick(), tmp_path)
    before = path.read_bytes()

    def fail(self, temporary, **options):
        temporary.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", fail)
    with pytest.raises(OSError, match="disk full"):
        reproduce.save(quick(), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["plain-quick.nc"]
    assert path.read_bytes() == before


def test_ctrl_c_keeps_what_is_finished():
    work = [t.runs * t.steps for t in PLAIN.quick().training]
    first = work[0] / sum(work)

    def stop(share: float) -> None:
        if share >= first:
            raise KeyboardInterrupt

    with pytest.raises(dl.Interrupted) as caught:
        reproduce.run(PLAIN.quick(), progress=stop)
    kept = caught.value.dataset
    assert 32 <= kept.sizes["run"] < 160
    whole = of_rate(quick(), 0.005)
    np.testing.assert_array_equal(of_rate(kept, 0.005).weights, whole.weights)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"seed": -1}, ValueError, "seed must be a non-negative integer; got -1"),
        ({"seed": 2**32}, ValueError, "seed must be at most 4294967295"),
        ({"seed": 0.5}, TypeError, "seed must be a non-negative integer"),
        ({"threads": 0}, ValueError, "threads must be a positive integer; got 0"),
        ({"dtype": "int8"}, ValueError, "dtype must be one of 'float64', 'float32'"),
    ],
)
def test_bad_arguments_get_one_sentence(arguments, error, text):
    with pytest.raises(error, match=text):
        reproduce.run(PLAIN.quick(), progress=False, **arguments)


def test_a_preset_is_data():
    small = dataclasses.replace(
        PLAIN,
        name="mine",
        data=presets.GaussianData(n=20, d=3, noise=0.0),
        depth=2,
        init=dl.init.Gaussian(0.1),
        training=(Training(0.05, 2000, 3),),
        seed=5,
    )
    dataset = reproduce.run(small, progress=False)
    assert dataset.attrs["experiment"] == "mine"
    assert dataset.attrs["seed"] == 5
    assert dataset.sizes["run"] == 3
    assert dataset.reached.all()
