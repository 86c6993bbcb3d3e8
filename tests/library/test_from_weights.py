"""Runs from starts that are given."""

from __future__ import annotations

import copy
import dataclasses
import doctest
import pickle
import re
from typing import Any

import numpy as np
import pytest
import xarray as xr

import deeplinear as dl
from deeplinear import init
from deeplinear.init import FromWeights

NETWORK = dl.Network((3, 4, 1))
LANDSCAPE = dl.Landscape(NETWORK, dl.gaussian_regression(n=12, d=3, noise=1.0, seed=1))
RNG = np.random.default_rng(0)
LAYERS = [0.4 * RNG.standard_normal((5, *shape)) for shape in NETWORK.shapes]
VECTORS = NETWORK.flatten(LAYERS)
DESCENT = dl.GradientDescent([0.01, 0.1])
OPTIONS: dict[str, Any] = {"steps": 8, "every": None}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_each_run_starts_where_it_is_told(dtype: str) -> None:
    law = FromWeights(LAYERS)
    seeds = [4, 0, 2]
    swept = dl.sweep(LANDSCAPE, law, DESCENT, seeds=seeds, dtype=dtype, progress=False, **OPTIONS)
    assert swept["risk"].dims == ("learning_rate", "seed", "step")
    for rate in (0.01, 0.1):
        alone = dl.simulate(
            LANDSCAPE,
            [layer[seeds] for layer in LAYERS],
            dl.GradientDescent(rate),
            dtype=dtype,
            **OPTIONS,
        )
        cell = swept.sel(learning_rate=rate)
        for name in ("risk", "distance", "weights", "status"):
            np.testing.assert_array_equal(cell[name], alone[name], err_msg=name)
    assert swept.attrs["initialization"] == repr(law)


@pytest.mark.parametrize(
    "given",
    [
        LAYERS,
        tuple(layer.tolist() for layer in LAYERS),
        NETWORK.unflatten(VECTORS),
        VECTORS,
        np.asfortranarray(VECTORS),
        xr.DataArray(VECTORS, dims=("run", "parameter")),
        xr.DataArray(VECTORS, dims=("seed", "parameter"), coords={"seed": range(5)}),
    ],
)
def test_starts_of_any_form(given: Any) -> None:
    law = FromWeights(given)
    assert law.starts == 5
    for seed in range(5):
        for layer, expected in zip(law.sample(NETWORK, seed), LAYERS, strict=True):
            assert layer.flags.writeable
            np.testing.assert_array_equal(layer, expected[seed])
    last = law.sample(NETWORK, np.int64(4))
    last[0][:] = 7
    np.testing.assert_array_equal(law.sample(NETWORK, 4)[0], LAYERS[0][4])


@pytest.mark.parametrize(
    "given",
    [
        [layer[3] for layer in LAYERS],
        [layer[3:4] for layer in LAYERS],
        VECTORS[3],
        VECTORS[3:4],
        xr.DataArray(VECTORS[3], dims="parameter"),
    ],
)
def test_one_start_is_every_seeds(given: Any) -> None:
    law = FromWeights(given)
    assert law.starts == 1
    runs = {"seed": [0, 2**70], "learning_rate": [0.01, 0.1]}
    dataset = dl.sweep_runs(LANDSCAPE, law, DESCENT, runs=runs, progress=False, **OPTIONS)
    for i, rate in enumerate(runs["learning_rate"]):
        start = [layer[3] for layer in LAYERS]
        alone = dl.simulate(LANDSCAPE, start, dl.GradientDescent(rate), **OPTIONS)
        np.testing.assert_array_equal(dataset["weights"][i], alone["weights"][0])


def test_a_sweep_goes_on_from_the_weights_of_another() -> None:
    first = dl.sweep(
        LANDSCAPE,
        dl.init.Gaussian([0.2, 0.4]),
        dl.GradientDescent(0.01),
        seeds=3,
        progress=False,
        **OPTIONS,
    )
    with pytest.raises(ValueError, match=r"stack and transpose make it; got \('scale', 'seed', "):
        FromWeights(first["weights"])
    starts = first["weights"].stack(run=("scale", "seed")).transpose("run", "parameter")
    law = FromWeights(starts)
    second = dl.sweep(
        LANDSCAPE, law, dl.GradientDescent(0.01), seeds=law.starts, progress=False, **OPTIONS
    )
    whole = dl.sweep(
        LANDSCAPE,
        dl.init.Gaussian([0.2, 0.4]),
        dl.GradientDescent(0.01),
        seeds=3,
        progress=False,
        **(OPTIONS | {"steps": 16}),
    )
    np.testing.assert_array_equal(second["weights"].values, whole["weights"].values.reshape(6, -1))


def test_what_is_given_is_copied() -> None:
    layers = [layer.copy() for layer in LAYERS]
    law = FromWeights(layers)
    layers[0][:] = 0
    np.testing.assert_array_equal(NETWORK.flatten(law.sample(NETWORK, 1)), VECTORS[1])
    with pytest.raises(AttributeError, match="a FromWeights does not change"):
        law.starts = 3


@pytest.mark.parametrize("given", [LAYERS, VECTORS, [layer[0] for layer in LAYERS], VECTORS[0]])
def test_they_compare_by_their_bits(given: Any) -> None:
    law = FromWeights(given)
    text = repr(law)
    assert re.fullmatch(
        rf"FromWeights\(starts={law.starts}, parameters=16, sha256='[0-9a-f]{{12}}'\)", text
    )
    for again in (
        FromWeights(copy.deepcopy(given)),
        copy.copy(law),
        copy.deepcopy(law),
        pickle.loads(pickle.dumps(law)),
    ):
        assert again == law
        assert hash(again) == hash(law)
        assert repr(again) == text
        np.testing.assert_array_equal(again.sample(NETWORK, 0)[1], law.sample(NETWORK, 0)[1])
    moved = copy.deepcopy(given)
    last = moved if isinstance(moved, np.ndarray) else moved[-1]
    last.flat[-1] = np.nextafter(last.flat[-1], 1)
    assert FromWeights(moved) != law
    assert repr(FromWeights(moved)) != text
    assert law != dl.init.Gaussian(1.0)
    assert len({law, FromWeights(given), FromWeights(moved)}) == 2


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (3, TypeError, "weights must be a sequence of arrays, one per layer, or an array of shape "
         "(starts, P) or (P,); got 3."),
        ("weights", TypeError, "weights must be a sequence of arrays, one per layer, or an array "
         "of shape (starts, P) or (P,); got 'weights'."),
        ([], ValueError, "weights must be a sequence of arrays, one per layer, or an array of "
         "shape (starts, P) or (P,); got an empty one."),
        ([[1.0, 2.0]], ValueError, "weights[0] must have shape (starts, d_1, d_0) or (d_1, d_0); "
         "got shape (2,)."),
        ([LAYERS[0], LAYERS[1][:3]], ValueError, "weights[1] must have the leading axes of "
         "weights[0], (5,); got shape (3, 1, 4)."),
        ([LAYERS[0], LAYERS[1][0]], ValueError, "weights[1] must have the leading axes of "
         "weights[0], (5,); got shape (1, 4)."),
        ([LAYERS[0] * 1j], TypeError, "weights[0] must be an array of finite numbers, shape "
         "(starts, d_1, d_0) or (d_1, d_0); got ndarray of shape (5, 4, 3) with dtype complex128."),
        (np.full((2, 3), np.nan), ValueError, "weights must be an array of finite numbers, shape "
         "(starts, P) or (P,); got nan at index (0, 0)."),
        (np.ma.masked_equal([1.0, 2.0], 2.0), ValueError, "weights is masked at index (1,); fill "
         "or drop the masked entries."),
        (xr.DataArray(VECTORS.T, dims=("parameter", "run")), ValueError, "weights must have the "
         "dimension 'parameter' last, after one of starts at most, as stack and transpose make "
         "it; got ('parameter', 'run')."),
    ],
)  # fmt: skip
def test_starts_that_are_no_weights(given: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        FromWeights(given)


@pytest.mark.parametrize(
    ("given", "network", "seed", "error", "message"),
    [
        (LAYERS, NETWORK, 5, ValueError, "seed must be below the number of starts, 5; got 5."),
        (LAYERS, NETWORK, -1, ValueError, "seed must be a non-negative integer; got -1."),
        (VECTORS[0], NETWORK, 1.0, TypeError, "seed must be a non-negative integer; got 1.0."),
        (LAYERS, (3, 1), 0, TypeError, "network must be of type Network; got tuple of length 2."),
        (LAYERS, dl.Network((3, 4, 4, 1)), 0, ValueError, "network must have as many layers as "
         "the weights, 2; got 3."),
        (LAYERS, dl.Network((4, 3, 1)), 0, ValueError, "network must have layers of the shapes of "
         "the weights, which is (4, 3) for layer 1; got (3, 4)."),
        (VECTORS, dl.Network((4, 4, 1)), 0, ValueError, "network must have as many parameters as "
         "the weights, 16; got 20."),
    ],
)  # fmt: skip
def test_what_does_not_fit(
    given: Any, network: Any, seed: Any, error: type[Exception], message: str
) -> None:
    law = FromWeights(given)
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        law.sample(network, seed)


def test_a_sweep_of_more_seeds_than_starts() -> None:
    calls: list[float] = []
    with pytest.raises(ValueError, match=r"^seed must be below the number of starts, 5; got 5"):
        dl.sweep(LANDSCAPE, FromWeights(LAYERS), DESCENT, seeds=6, progress=calls.append, **OPTIONS)
    assert calls == []


def test_no_file_of_an_experiment_holds_them() -> None:
    from deeplinear.experiments.library import PLAIN
    from deeplinear.experiments.toml import to_toml

    preset = dataclasses.replace(PLAIN, init=FromWeights(VECTORS))
    with pytest.raises(TypeError, match=r"^init must be one of .*; got an object of type FromW.*"):
        to_toml(preset)


def test_the_example_of_from_weights() -> None:
    finder = doctest.DocTestFinder()
    for test in finder.find(FromWeights, "FromWeights", globs=vars(init).copy()):
        assert doctest.DocTestRunner().run(test).failed == 0
