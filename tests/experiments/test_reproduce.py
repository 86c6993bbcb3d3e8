"""The first experiment, in full, and what the literature says of it."""

import dataclasses
from functools import cache

import numpy as np
import pytest
import xarray as xr

import deeplinear as dl
from deeplinear.experiments import run as reproduce
from deeplinear.experiments.library import PLAIN, PRESETS
from deeplinear.experiments.preset import Architecture, GaussianData, Training
from deeplinear.experiments.toml import parse_preset, to_toml

DATA_SEEDS = (0, 1, 3)
NETWORK = PLAIN.network.network(5, 10, seed=0)
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
        PLAIN,
        init=dl.init.Gaussian(0.25),
        training=(Training(dl.GradientDescent(0.02), 4, steps=1_000_000),),
    )
    shares: list[float] = []
    reproduce.run(long, progress=shares.append, threads=1)
    assert any(0 < share < 1 for share in shares)


def test_the_file_holds_every_setting_and_every_number(tmp_path):
    dataset = full(0)
    path = reproduce.save(dataset, tmp_path / "new")
    assert [p.name for p in path.parent.iterdir()] == ["plain.nc"]
    read = xr.load_dataset(path, engine="h5netcdf")
    xr.testing.assert_equal(read, dataset)
    assert set(read.attrs) == set(dataset.attrs)
    for name, value in dataset.attrs.items():
        np.testing.assert_array_equal(read.attrs[name], np.squeeze(value), err_msg=name)
    for name in dataset.variables:
        assert read[name].attrs == dataset[name].attrs
    assert parse_preset(read.attrs["preset"]) == PLAIN
    for name in ("n", "d", "seed", "dtype", "threads", "figures", "deeplinear_version", "simd"):
        assert name in read.attrs


def test_ctrl_c_keeps_what_is_finished():
    work = [t.runs * t.steps for t in PLAIN.quick().training]  # all have one depth
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
        data=GaussianData(n=20, d=3, noise=0.0),
        network=Architecture(depths=(2,)),
        init=dl.init.Gaussian(0.1),
        training=(Training(dl.GradientDescent(0.05), 3, steps=2000),),
        seed=5,
    )
    dataset = reproduce.run(small, progress=False)
    assert dataset.attrs["experiment"] == "mine"
    assert dataset.attrs["seed"] == 5
    assert dataset.sizes["run"] == 3
    assert dataset.reached.all()


@cache
def quick_of(name: str) -> xr.Dataset:
    return reproduce.run(PRESETS[name].quick(), progress=False)


@pytest.mark.parametrize("name", PRESETS)
def test_the_layout_is_the_same_for_every_preset(name):
    preset, dataset = PRESETS[name].quick(), quick_of(name)
    runs, records = dataset.sizes["run"], dataset.sizes["record"]
    assert runs == preset.runs
    assert dataset.attrs["experiment"] == preset.name == f"{name}-quick"
    assert parse_preset(dataset.attrs["preset"]) == preset
    if all(part.every is None for part in preset.training):
        assert list(dataset.record.values) == ["start", "end"]
    else:
        np.testing.assert_array_equal(dataset.record, np.arange(records))
    for key in ("part", "problem", "depth", "scale", "learning_rate", "dynamics", "seed"):
        assert dataset.coords[key].dims == ("run",)
    rows = zip(*(dataset[key].values.tolist() for key in ("part", "problem", "depth", "scale",
               "learning_rate", "seed")), strict=True)  # fmt: skip
    assert len({str(row) for row in rows}) == runs
    for key in ("status", "reached", "steps", "last_step", "risk_before_end", "aligned_sharpness",
                "curvature_along_minimizer", "largest_curvature", "sharpness_lower_bound",
                "sharpness_upper_bound", "small_scale_sharpness_bound", "critical_learning_rate",
                "minimum_risk"):  # fmt: skip
        assert dataset[key].dims == ("run",)
    assert dataset.reached.dtype == bool
    deepest = max(preset.network.depths)
    extras = {"layer_norm": ("layer",), "rank_one_gap": ("layer",), "alignment": ("pair",)}
    for key in (*preset.record, "time", "step"):
        assert dataset[key].dims == ("run", "record", *extras.get(key, ()))
        assert "long_name" in dataset[key].attrs
    if "layer" in dataset.dims:
        np.testing.assert_array_equal(dataset.layer, np.arange(1, deepest + 1))
        np.testing.assert_array_equal(dataset.pair, np.arange(1, deepest))
    problems = preset.data.problems(preset.seed)
    assert dataset.X.shape == (len(problems), preset.data.n, preset.data.d)
    assert dataset.y.dims == ("problem", "sample")
    assert dataset.minimizer.dims == ("problem", "input")
    alive = dataset.status.values != "diverged"
    assert np.isfinite(dataset.risk.values[:, 0]).all()
    assert np.isfinite(dataset.risk.values[alive, -1]).all()
    assert ("weights" in dataset) == (len(preset.network.depths) == 1)


@pytest.mark.parametrize("name", PRESETS)
def test_the_coordinates_belong_to_the_parts(name):
    preset, dataset = PRESETS[name].quick(), quick_of(name)
    problems = preset.data.problems(preset.seed)
    for i, part in enumerate(preset.training):
        runs = dataset.isel(run=dataset.part.values == i)
        scales = preset.scales if part.scales is None else part.scales
        assert set(runs.scale.values) == set(scales)
        assert set(runs.depth.values) == set(preset.network.depths)
        assert set(runs.seed.values) == set(reproduce.initial_seeds(preset.seed, part.runs))
        time, step = runs.time.values, runs.step.values
        assert (time[:, 0] == 0).all()
        if part.steps is None:
            assert set(runs.dynamics.values) == {part.dynamics.method}
            for key in ("learning_rate", "step", "steps", "risk_before_end"):
                assert np.isnan(runs[key]).all()
            assert (time[:, -1] == part.time).all()
        else:
            assert set(runs.dynamics.values) == {"gradient descent"}
            assert set(runs.learning_rate.values) == set(part.learning_rates)
            assert (step[:, -1] == runs.steps).all()
            assert (runs.steps == part.steps).all()
            np.testing.assert_array_equal(time, runs.learning_rate.values[:, None] * step)
        if part.every is not None:
            count = int(np.ceil((part.steps or part.time) / part.every)) + 1
            np.testing.assert_array_equal(np.isfinite(time).sum(axis=1), count)
    for j, problem in enumerate(problems):
        runs = dataset.isel(run=dataset.problem.values == j)
        np.testing.assert_array_equal(dataset.X[j], problem.regression.X)
        for key, value in problem.labels.items():
            assert set(runs[key].values.tolist()) == {value}
        for depth in preset.network.depths:
            value = dl.theory.aligned_sharpness(problem.regression, depth)
            assert set(runs.aligned_sharpness.values[runs.depth.values == depth]) == {value}


def test_depth_and_problem_reach_the_simulation():
    preset, dataset = PRESETS["residual-depths"].quick(), quick_of("residual-depths")
    (problem,) = preset.data.problems(0)
    for row in (0, 100, 287):
        run = dataset.isel(run=row)
        network = preset.network.network(5, int(run.depth), 0)
        weights = dl.init.Residual(float(run.scale)).sample(network, int(run.seed))
        risk = dl.Landscape(network, problem.regression).risk(weights)
        assert risk == pytest.approx(float(run.risk[0]), rel=1e-12)
    np.testing.assert_array_equal(dataset.attrs["readout"], network.readout)


def test_parts_of_fewer_records_have_nothing_in_between():
    dataset = quick_of("alignment")
    short = dataset.isel(run=dataset.part.values == 2)
    for key in ("time", "sharpness", "alignment", "rank_one_gap"):
        values = short[key].values
        assert np.isnan(values[:, 1:-1]).all()
        assert np.isfinite(values[:, [0, -1]]).all()
    assert short.time.dims == ("run", "record")
    long = dataset.isel(run=dataset.part.values < 2)
    np.testing.assert_allclose(long.time, np.tile(np.arange(201.0), (16, 1)), rtol=1e-12)


def test_flow_and_descent_start_together_and_share_their_times():
    dataset = quick_of("flow-and-descent")
    flow = dataset.isel(run=dataset.part.values == 0)
    assert flow.reached.all()
    for part in range(1, 11):
        descent = dataset.isel(run=dataset.part.values == part)
        np.testing.assert_array_equal(descent.seed, flow.seed)
        np.testing.assert_array_equal(descent.risk[:, 0], flow.risk[:, 0])
        np.testing.assert_allclose(descent.time, flow.time, rtol=1e-12)
    smallest = np.argmin(np.nan_to_num(dataset.learning_rate, nan=np.inf))
    slow = dataset.isel(run=dataset.learning_rate.values == dataset.learning_rate.values[smallest])
    assert abs(slow.sharpness / flow.sharpness.values - 1).max() < 0.05


def test_theory_runs_reach_minimizers_above_the_lower_bound():
    for name in ("alignment", "residual-theory", "tightness"):
        dataset = quick_of(name)
        assert dataset.reached.all()
        assert (dataset.sharpness[:, -1] >= dataset.sharpness_lower_bound * (1 - 1e-6)).all()


def test_layers_of_other_depths_are_missing():
    preset = dataclasses.replace(
        PRESETS["alignment"],
        name="depths",
        network=Architecture(depths=(2, 4)),
        init=dl.init.Gaussian(0.3),
        training=(
            Training(dl.GradientDescent((0.05, 0.1)), 2, steps=12, every=5),
            Training(dl.GradientFlow("rk4", step=0.1), 2, time=1.0, scale=(0.2, 0.4)),
        ),
        figures=(),
    )
    dataset = reproduce.run(preset, progress=False)
    assert dataset.sizes["record"] == 4
    shallow = dataset.isel(run=dataset.depth.values == 2)
    ends = shallow.rank_one_gap.values[:, [0, -1]]
    assert np.isfinite(ends[..., :2]).all()
    assert np.isnan(ends[..., 2:]).all()
    np.testing.assert_array_equal(dataset.step.values[0], [0, 5, 10, 12])
    assert "weights" not in dataset


@pytest.mark.parametrize("law", [dl.init.Identity(), dl.init.Orthogonal((0.8, 0.9))])
def test_every_law_of_initial_weights_runs(law):
    preset = dataclasses.replace(
        PLAIN,
        network=Architecture("residual", depths=(3,)),
        init=law,
        training=(Training(dl.GradientDescent(0.05), 2, steps=2000),),
    )
    dataset = reproduce.run(preset, progress=False)
    assert dataset.reached.all()
    assert set(dataset.scale.values) == set(preset.scales)


def test_what_is_finished_is_found_again(tmp_path):
    preset = PRESETS["tightness"].quick()
    assert reproduce.finished(preset, tmp_path) is None
    path = reproduce.save(quick_of("tightness"), tmp_path)
    found = reproduce.finished(preset, tmp_path)
    assert found is not None
    xr.testing.assert_equal(found, quick_of("tightness"))
    assert reproduce.difference(preset, path) is None
    for other, words in (
        ({"seed": 1}, "seed 0, not 1"),
        ({"dtype": "float32"}, "dtype float64, not float32"),
        ({"preset": dataclasses.replace(preset, title="x")}, "an experiment of other settings"),
    ):
        changed = {"preset": preset, **other}
        assert reproduce.difference(path=path, **changed) == words
        assert reproduce.finished(directory=tmp_path, **changed) is None
    path.write_bytes(b"something else")
    assert reproduce.difference(preset, path) == "no data of this program"


def test_data_of_another_version_are_not_taken_for_these(tmp_path):
    preset = PRESETS["plain-curves"].quick()
    dataset = quick_of("plain-curves").assign_attrs(deeplinear_version="0.0.1")
    path = reproduce.save(dataset, tmp_path)
    assert reproduce.finished(preset, tmp_path) is None
    assert reproduce.difference(preset, path).startswith("deeplinear version 0.0.1, not ")


def test_the_text_of_the_preset_has_the_seed_of_the_run():
    preset = PRESETS["plain-curves"].quick()
    dataset = reproduce.run(preset, seed=4, progress=False)
    assert dataset.attrs["preset"] == to_toml(dataclasses.replace(preset, seed=4))
