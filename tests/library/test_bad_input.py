"""Bad input is refused in one clear sentence that names the argument, before any work starts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import deeplinear as dl
from deeplinear import _core
from refusal import BAD_WEIGHTS, PROBLEM, WEIGHTS, WIDTHS, X_TEST, Y_TEST, X, Y, refused, with_value
from strategies import make_problem


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("X", (X[0], Y)),
        ("X", (X[None], Y)),
        ("X", (np.empty((0, 3)), np.empty(0))),
        ("X", (np.empty((8, 0)), Y)),
        ("X", (with_value(X, np.nan), Y)),
        ("X", (with_value(X, np.inf), Y)),
        ("X", ([["a", "b"]], [1.0])),
        ("X", (X + 1j, Y)),
        ("X", (None, Y)),
        ("y", (X, Y[:-1])),
        ("y", (X, Y[:, None])),
        ("y", (X, 1.0)),
        ("y", (X, with_value(Y, np.nan))),
        ("y", (X, with_value(Y, -np.inf))),
        ("y", (X, ["a"] * 8)),
        ("X_test", (X, Y, X_TEST[:, :2], Y_TEST)),
        ("X_test", (X, Y, with_value(X_TEST, np.nan), Y_TEST)),
        ("X_test|y_test", (X, Y, None, Y_TEST)),
        ("X_test", (X, Y, np.empty((0, 3)), np.empty(0))),
        ("y_test", (X, Y, X_TEST, Y_TEST[:-1])),
        ("y_test", (X, Y, X_TEST, with_value(Y_TEST, np.inf))),
        ("X_test|y_test", (X, Y, X_TEST, None)),
    ],
)
def test_data(name: str, arguments: tuple[Any, ...]) -> None:
    refused(name, lambda: dl.Regression(*arguments))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("n", {"n": 0, "d": 3}),
        ("n", {"n": -2, "d": 3}),
        ("d", {"n": 5, "d": 0}),
        ("noise", {"n": 5, "d": 3, "noise": -1.0}),
        ("noise", {"n": 5, "d": 3, "noise": np.nan}),
    ],
)
def test_generated_data(name: str, options: dict[str, Any]) -> None:
    refused(name, lambda: dl.gaussian_regression(**options))


@pytest.mark.parametrize(
    ("name", "arguments", "options"),
    [
        ("widths", ((3,),), {}),
        ("widths", ((),), {}),
        ("widths", ((3, 0, 1),), {}),
        ("widths", ((3, 2**31, 1),), {}),
        ("widths", ((3, -2, 1),), {}),
        ("widths", ((3, 2.5, 1),), {}),
        ("widths", (("3", "1"),), {}),
        ("widths", (3,), {}),
        ("readout", ((3, 4, 2),), {}),  # several outputs and nothing to read them with
        ("readout", ((3, 4, 2),), {"readout": [1.0]}),
        ("readout", ((3, 4, 2),), {"readout": [1.0, 0.0, 0.0]}),
        ("readout", ((3, 4, 2),), {"readout": [[1.0, 0.0]]}),
        ("readout", ((3, 4, 2),), {"readout": [1.0, np.nan]}),
        ("activation", ((3, 4, 1),), {"activation": "sine"}),
    ],
)
def test_networks(name: str, arguments: Any, options: dict[str, Any]) -> None:
    refused(name, lambda: dl.Network(*arguments, **options))


def test_landscapes() -> None:
    regression = dl.Regression(X, Y)
    refused("widths|network", lambda: dl.Landscape(dl.Network((4, 1)), regression))
    refused("network", lambda: dl.Landscape(WIDTHS, regression))
    refused("regression", lambda: dl.Landscape(dl.Network(WIDTHS), (X, Y)))


@pytest.mark.parametrize("case", BAD_WEIGHTS)
@pytest.mark.parametrize(
    "method",
    [
        "end_to_end",
        "risk",
        "gradient",
        "hessian",
        "compressed_hessian",
        "sharpness",
        "hessian_trace",
    ],
)
def test_weights_of_a_landscape(method: str, case: str) -> None:
    landscape = PROBLEM.landscape
    refused("weights", lambda: getattr(landscape, method)(BAD_WEIGHTS[case]))


@pytest.mark.parametrize("case", BAD_WEIGHTS)
def test_directions(case: str) -> None:
    landscape = PROBLEM.landscape
    bad = BAD_WEIGHTS[case]
    refused("weights", lambda: landscape.hessian_vector_product(bad, WEIGHTS))
    refused("direction", lambda: landscape.hessian_vector_product(WEIGHTS, bad))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("which", {"which": "middle"}),
        ("tolerance", {"tolerance": -1e-8}),
        ("tolerance", {"tolerance": np.nan}),
    ],
)
def test_sharpness_options(name: str, options: dict[str, Any]) -> None:
    refused(name, lambda: PROBLEM.landscape.sharpness(WEIGHTS, **options))


@pytest.mark.parametrize("value", [0, -1, 1.5, "two", True])
def test_threads_of_a_landscape(value: Any) -> None:
    network, regression = PROBLEM.network, PROBLEM.regression
    refused("threads", lambda: dl.Landscape(network, regression, threads=value))


@pytest.mark.parametrize("value", [0, -1, 2.5, "all", None])
def test_counts(value: Any) -> None:
    landscape = PROBLEM.landscape
    refused("k", lambda: landscape.eigenvalues(WEIGHTS, value))
    refused("max_products", lambda: landscape.sharpness(WEIGHTS, max_products=value))
    refused("vectors", lambda: landscape.spectral_density(WEIGHTS, vectors=value))
    refused("steps", lambda: landscape.spectral_density(WEIGHTS, steps=value))
    if value != 0:
        refused("seed", lambda: landscape.spectral_density(WEIGHTS, seed=value))


@pytest.mark.parametrize("name", ["vectors", "steps", "max_products"])
def test_counts_are_refused_without_end(name: str) -> None:
    """Refused with a sentence, or as many as it takes."""
    landscape = PROBLEM.landscape
    if name == "vectors":
        refused("vectors", lambda: landscape.spectral_density(WEIGHTS, vectors=2**70))
    elif name == "steps":
        landscape.spectral_density(WEIGHTS, steps=2**70)
    else:
        landscape.sharpness(WEIGHTS, max_products=2**70)


@pytest.mark.parametrize("case", BAD_WEIGHTS)
def test_first_guesses_that_are_none(case: str) -> None:
    landscape = PROBLEM.landscape
    refused("start", lambda: landscape.sharpness(WEIGHTS, start=BAD_WEIGHTS[case]))
    refused("weights", lambda: landscape.eigenvalues(BAD_WEIGHTS[case]))
    refused("weights", lambda: landscape.spectral_density(BAD_WEIGHTS[case]))
    refused("weights", lambda: landscape.hessian_operator(BAD_WEIGHTS[case]))


def test_first_guesses_of_other_networks() -> None:
    other = make_problem((3, 5, 1), "plain", 8, seed=1)
    found = other.landscape.sharpness(other.weights)
    landscape = PROBLEM.landscape
    for start in (found, found.vector, 3, "largest", found.value):
        refused("start", lambda start=start: landscape.sharpness(WEIGHTS, start=start))


def test_densities() -> None:
    density = PROBLEM.landscape.spectral_density(WEIGHTS)
    for values in (np.nan, [np.nan], [[0.0]], "all", []):
        refused("values", lambda values=values: density.density(values, 0.1))
    for width in (np.nan, np.inf, -0.1, [0.1]):
        refused("width", lambda width=width: density.density([0.0], width))


# The core finds these on its way: a product with what is not finite isn't finite, zero times it
# included.
@pytest.mark.parametrize("entry", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("scale", [0.3, 0.0])
@pytest.mark.parametrize("widths", [(70, 70, 70, 1), (70, 3, 66, 1), (5, 4, 1)])
def test_weights_that_are_not_finite(widths: tuple[int, ...], scale: float, entry: float) -> None:
    regression = dl.gaussian_regression(n=90, d=widths[0], noise=1.0, seed=0)
    network = dl.Network(widths)
    landscape = dl.Landscape(network, regression, threads=2)
    finite = network.unflatten(scale * np.ones(network.parameters))
    functions: list[Callable[..., Any]] = [
        landscape.risk,
        landscape.gradient,
        landscape.end_to_end,
        landscape.hessian_trace,
        landscape.compressed_hessian,
        landscape.sharpness,
        lambda weights: landscape.eigenvalues(weights, 2),
        landscape.spectral_density,
        landscape.hessian_operator,
        lambda weights: landscape.hessian_vector_product(weights, finite),
        lambda weights: landscape.risk(layer for layer in weights),
    ]
    for k in range(network.depth):
        weights = network.unflatten(scale * np.ones(network.parameters))
        weights[k][0, 1] = entry
        for function in functions:
            with pytest.raises(ValueError, match=rf"weights\[{k}\] must be .*finite.*\(0, 1\)"):
                function(weights)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"runs": 0}, "no runs"),
        ({"every": 1.5}, "every is not whole"),
        ({"every": float("nan")}, "every"),
        ({"slots": 2, "every": 1.0}, "slots is too small"),
        ({"slots": 32}, "slots is too large"),
        ({"steps": 0}, "steps is not positive"),
    ],
)
def test_the_core_guards_its_own_buffers(change: dict[str, Any], message: str) -> None:
    """Whoever calls it."""
    setting = {"runs": 1, "every": 100.0, "slots": 31, "steps": 2900} | change
    step = np.full(setting["runs"], 0.01)
    steps = np.full(setting["runs"], setting["steps"], np.int64)
    weights = np.full((setting["runs"], PROBLEM.landscape.network.parameters), 0.1)
    with pytest.raises(ValueError, match=message):
        _core.simulate(
            PROBLEM.landscape._problem,
            weights,
            _core.Plan(
                _core.Fixed("euler", step, step, steps, setting["every"], {}, None, None, False),
                0.0,
                1,
            ),
            "auto",
            [("risk", 1)],
            setting["slots"],
            None,
            None,
        )


def test_arrays_at_odd_addresses() -> None:
    landscape, regression = PROBLEM.landscape, dl.gaussian_regression(n=9, d=3, seed=0)
    weights = dl.init.Gaussian(0.5).sample(landscape.network, 0)
    vector = np.concatenate([layer.ravel() for layer in weights])
    shifted = np.frombuffer(b"x" + vector.tobytes(), offset=1)
    assert not shifted.flags.aligned
    assert landscape.risk(landscape.network.unflatten(shifted)) == landscape.risk(weights)
    y = np.frombuffer(b"x" + regression.y.tobytes(), offset=1)
    np.testing.assert_array_equal(dl.Regression(regression.X, y).minimizer, regression.minimizer)
