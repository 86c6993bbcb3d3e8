"""Networks with an activation: what they take, refuse and keep in a file."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import deeplinear as dl
from refusal import refused
from strategies import NONLINEAR, bent, make_problem

pytestmark = pytest.mark.core


@pytest.mark.parametrize("activation", NONLINEAR)
def test_what_only_linear_networks_have(activation: str) -> None:
    problem = bent(make_problem((3, 4, 1), "plain", 9, seed=1), activation)
    landscape, weights = problem.landscape, problem.weights
    linear = "linear|identity|activation"
    refused(linear, lambda: landscape.end_to_end(weights))
    refused(linear, lambda: landscape.compressed_hessian(weights))
    minimizer = dl.theory.aligned_minimizer
    refused("network", lambda: minimizer(problem.network, problem.regression))


@pytest.mark.parametrize("activation", NONLINEAR)
@pytest.mark.parametrize(
    "method",
    ["risk", "gradient", "hessian", "sharpness", "hessian_trace"],
)
def test_weights_that_do_not_fit(method: str, activation: str) -> None:
    problem = bent(make_problem((3, 4, 1), "plain", 9, seed=1), activation)
    call, weights = getattr(problem.landscape, method), problem.weights
    nan = [np.where(layer == layer.flat[1], np.nan, layer) for layer in weights]
    for bad in (weights[:1], [*weights, weights[-1]], [layer.T for layer in weights], nan, [], 3.0):
        refused("weights", lambda bad=bad: call(bad))


@pytest.mark.parametrize(
    ("activation", "error"),
    [
        ("sine", ValueError),
        ("GELU", ValueError),
        ("", ValueError),
        (None, TypeError),
        (3, TypeError),
    ],
)
def test_unknown_activations(activation: Any, error: type[Exception]) -> None:
    refused("activation", lambda: dl.Network((3, 4, 1), activation=activation))
    with pytest.raises(error, match=r"'gelu'.*'tanh'.*'relu'"):
        dl.Network((3, 4, 1), activation=activation)


@pytest.mark.parametrize("activation", NONLINEAR)
def test_nonlinear_networks_need_their_samples(activation: str) -> None:
    problem = bent(make_problem((3, 4, 1), "plain", 9, seed=1), activation)
    network, regression = problem.network, problem.regression
    refused("samples", lambda: dl.Landscape(network, regression, samples=False))
    risks = [
        dl.Landscape(network, regression, samples=samples).risk(problem.weights)
        for samples in (None, True)
    ]
    assert risks[0] == risks[1]


@pytest.mark.parametrize("samples", ["yes", 1, 0, 1.0, "auto"])
def test_samples_is_a_truth_value(samples: Any) -> None:
    problem = make_problem((3, 4, 1), "plain", 9, seed=1)
    make = dl.Landscape
    refused(
        "samples",
        lambda: make(problem.network, problem.regression, samples=samples),
    )


@pytest.mark.parametrize("activation", NONLINEAR)
def test_networks_know_their_activation(activation: str) -> None:
    network = dl.Network((3, 4, 1), activation=activation)
    assert network.activation == activation
    assert network == dl.Network((3, 4, 1), activation=activation)
    assert network != dl.Network((3, 4, 1))
    assert hash(network) == hash(dl.Network((3, 4, 1), activation=activation))
    assert activation in repr(network)
    assert pickle.loads(pickle.dumps(network)) == network


@pytest.mark.parametrize(
    ("activation", "samples"), [("gelu", None), ("tanh", True), ("identity", True)]
)
def test_landscapes_come_back_from_a_file(activation: str, samples: bool | None) -> None:
    problem = make_problem((3, 4, 1), "plain", 9, seed=1).with_activation(activation, samples)
    landscape = problem.landscape
    again = pickle.loads(pickle.dumps(landscape))
    assert again.network == landscape.network
    assert again.risk(problem.weights) == landscape.risk(problem.weights)
    for name in ("end_to_end", "compressed_hessian"):
        if name == "end_to_end" and activation == "identity":
            continue
        with pytest.raises(ValueError, match=r"linear|identity|activation|samples"):
            getattr(again, name)(problem.weights)
