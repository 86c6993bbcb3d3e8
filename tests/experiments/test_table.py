"""The layout of a result: the same for every experiment."""

import dataclasses

import numpy as np
import pytest

import deeplinear as dl
from deeplinear.experiments import run as reproduce
from deeplinear.experiments.library import PRESETS
from deeplinear.experiments.preset import Architecture, Training
from deeplinear.experiments.toml import parse_preset, to_toml
from small import quick_of


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


def test_all_that_can_be_recorded_is_kept_in_its_dimensions():
    """Also of networks of other depths, and where runs are put together from two tries."""
    preset = dataclasses.replace(
        PRESETS["alignment"],
        network=Architecture(depths=(2, 4)),
        init=dl.init.Gaussian(0.3),
        training=(
            Training(dl.GradientDescent((0.05, 0.1)), 2, steps=12, every=5),
            Training(dl.GradientFlow("rk4", step=0.1), 2, time=1.0),
        ),
        record=("eigenvalues:3", *(name for name in dl.RECORDABLE if name != "eigenvalues")),
        figures=(),
    )
    assert parse_preset(to_toml(preset)) == preset
    dataset = reproduce.run(preset, progress=False)
    assert dataset.sizes["eigenvalue"] == 3
    np.testing.assert_array_equal(dataset.eigenvalue, [1, 2, 3])
    (problem,) = preset.data.problems(0)
    for depth in (2, 4):
        network = preset.network.network(5, depth, 0)
        runs = dataset.isel(run=(dataset.depth.values == depth) & (dataset.part.values == 0))
        single = dl.sweep(
            dl.Landscape(network, problem.regression), preset.init,
            dl.GradientDescent((0.05, 0.1)), seeds=reproduce.initial_seeds(0, 2), steps=12,
            record=preset.record, every=5,
        ).stack(cell=("learning_rate", "seed"))  # fmt: skip
        for name in (*dl.RECORDABLE, "recorded_weights"):
            if name == "weights":
                continue
            values, meaning = runs[name], single[name].transpose("cell", "step", ...)
            assert values.dims[2:] == meaning.dims[2:]
            assert values.attrs["long_name"] == meaning.attrs["long_name"]
            inner = tuple(slice(size) for size in meaning.shape[2:])
            np.testing.assert_array_equal(values.values[(..., *inner)], meaning.values)
            padding = np.ones(values.shape, bool)
            padding[(..., *inner)] = False
            assert np.isnan(values.values[padding]).all()
    again = reproduce.run(preset, progress=False, resume=dataset.isel(run=[0, 3, 5, 10]))
    for name in dataset.variables:
        np.testing.assert_array_equal(again[name], dataset[name])


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


def test_every_bound_of_the_theory_is_a_column(monkeypatch):
    """A bound needs its function and its line in the theory alone."""
    found = {
        **dl.theory.BOUNDS,
        "new": ("a new one", lambda regression, depth: regression.d / depth),
    }
    monkeypatch.setattr(dl.theory, "BOUNDS", found)
    preset = PRESETS["residual-depths"].quick()
    preset = dataclasses.replace(preset, network=Architecture("residual", (2, 5)))
    dataset = reproduce.run(preset, progress=False)
    (problem,) = preset.data.problems(0)
    for name, (long_name, bound) in found.items():
        assert dataset[name].attrs["long_name"] == long_name
        expected = [bound(problem.regression, int(depth)) for depth in dataset.depth]
        np.testing.assert_array_equal(dataset[name], expected)
