"""Running an experiment: its arguments, and what of a preset reaches the simulation."""

import dataclasses

import numpy as np
import pytest
import xarray as xr

import deeplinear as dl
from deeplinear.experiments import run as reproduce
from deeplinear.experiments.library import PLAIN, PRESETS
from deeplinear.experiments.preset import Architecture, GaussianData, Training
from deeplinear.experiments.toml import to_toml
from small import of_rate, quick_of


def test_another_seed_gives_other_data_and_other_runs():
    first, second = (reproduce.run(PLAIN.quick(), seed=seed, progress=False) for seed in (0, 1))
    assert not set(first.seed.values) & set(second.seed.values)
    assert not np.isin(first.attrs["seed"], first.seed)
    assert (first.X.values != second.X.values).all()
    assert reproduce.initial_seeds(2, 3) == range(3_000_000, 3_000_003)


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
    end = [x.sharpness.sel(record="end").values[small] for x in (single, quick_of("plain"))]
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
    whole = of_rate(quick_of("plain"), 0.005)
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


def test_the_text_of_the_preset_has_the_seed_of_the_run():
    preset = PRESETS["plain-curves"].quick()
    dataset = reproduce.run(preset, seed=4, progress=False)
    assert dataset.attrs["preset"] == to_toml(dataclasses.replace(preset, seed=4))
