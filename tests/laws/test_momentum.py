"""Momentum and weight decay: against a plain loop, PyTorch and the edge of stability."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

import deeplinear as dl
from reference import Objective
from strategies import (
    PROPERTY,
    Problem,
    flat,
    make_problem,
    nonlinear_problems,
    one_run,
    problems,
    random_ensemble,
    random_problem,
    relative_error,
)

pytestmark = pytest.mark.core

Array = NDArray[Any]

STEPS = 1_000
FEW = settings(PROPERTY, max_examples=12)
RULES = st.builds(
    dict,
    momentum=st.sampled_from([0.3, 0.5, 0.9, 0.95]),
    nesterov=st.booleans(),
    weight_decay=st.sampled_from([0.0, 0.0, 1e-3, 0.1]),
)
# Shapes of the wide engine: of one slab and many, and no multiple of a register
WIDE = [(40, 130, 70, 33, 1), (65, 64, 129, 1), (130, 100, 97, 1)]
#: Heavy ball, Nesterov's, and both with weight decay, plain descent with it, and none of it
ALL_RULES: list[dict[str, Any]] = [
    {"momentum": 0.9},
    {"momentum": 0.8, "nesterov": True},
    {"momentum": 0.5, "weight_decay": 0.01},
    {"momentum": 0.5, "nesterov": True, "weight_decay": 0.01},
    {"weight_decay": 0.02},
    {},
]


def loop(
    objective: Objective,
    weights: list[Array],
    steps: int,
    learning_rate: float,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
) -> Array:
    """torch.optim.SGD's algorithm line by line, with dampening 0."""
    W, M = objective.flatten(weights), None
    for _ in range(steps):
        g = -objective.descent_direction(W) + weight_decay * W
        M = g if M is None else momentum * M + g
        W = W - learning_rate * (g + momentum * M if nesterov else M)
    return W


def gentle_rate(problem: Problem, weights: list[Array], momentum: float = 0.0) -> float:
    """No deviation grows by much over all steps."""
    norm = float(np.linalg.norm(problem.landscape.hessian(weights), 2))
    return 0.1 * (1 - momentum) / norm if norm > 0 else 1.0


@FEW
@given(problems(max_depth=6, max_width=8), RULES)
@pytest.mark.parametrize("engine", ["ensemble", "wide"])
def test_linear_networks_follow_the_loop(engine: str, problem: Problem, rule: Any) -> None:
    check_against_the_loop(problem, rule, engine)


@FEW
@given(nonlinear_problems(max_depth=4, max_width=6, max_n=9), RULES)
def test_nonlinear_networks_follow_the_loop(problem: Problem, rule: Any) -> None:
    check_against_the_loop(problem.with_activation("gelu"), rule, "ensemble")


@pytest.mark.parametrize("rule", ALL_RULES[:4], ids=str)
@pytest.mark.parametrize("widths", WIDE, ids=str)
def test_wide_layers_follow_the_loop(widths: tuple[int, ...], rule: dict[str, Any]) -> None:
    check_against_the_loop(make_problem(widths, "plain", 50, 3), rule, "wide", steps=15)


def check_against_the_loop(
    problem: Problem, rule: dict[str, Any], engine: str, steps: int = STEPS
) -> None:
    """Alone and among others, in lanes of several registers."""
    if len(problem.weights[0]) <= 8:
        rate = gentle_rate(problem, problem.weights, rule["momentum"])
    else:
        rate = 0.1 * (1 - rule["momentum"]) / problem.landscape.sharpness(problem.weights).value
    objective = replace(problem.objective, dtype=np.float64)  # fast, and exact to some 1e-15
    expected = loop(objective, problem.weights, steps, rate, **rule)
    dynamics = dl.GradientDescent(rate, **rule)
    for runs in (1, 1 if engine == "wide" else 11):
        weights = [np.repeat(layer[None], runs, axis=0) for layer in problem.weights]
        dataset = dl.simulate(
            problem.landscape, weights, dynamics, steps=steps, engine=engine, every=None
        )
        for found in dataset["weights"].values:
            assert relative_error(found, expected) <= 1e-12


@pytest.mark.parametrize("engine", ["ensemble", "wide"])
@pytest.mark.parametrize("rule", ALL_RULES, ids=str)
def test_torch(engine: str, rule: dict[str, Any]) -> None:
    """torch.optim.SGD itself, with gradients of the reference."""
    torch = pytest.importorskip("torch")
    problem = random_problem(5, max_depth=5, max_width=7)
    rate = gentle_rate(problem, problem.weights)
    parameter = torch.nn.Parameter(torch.from_numpy(flat(problem.weights)))
    optimizer = torch.optim.SGD([parameter], lr=rate, **rule)
    reference = problem.reference
    for _ in range(200):
        direction = reference.descent_direction(parameter.detach().numpy())
        parameter.grad = torch.from_numpy(-direction.astype(float))
        optimizer.step()
    dataset = dl.simulate(
        problem.landscape,
        problem.weights,
        dl.GradientDescent(rate, **rule),
        steps=200,
        engine=engine,
        every=None,
    )
    assert relative_error(dataset["weights"].values, parameter.detach().numpy()) <= 1e-12


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("engine", ["ensemble", "wide"])
@pytest.mark.parametrize("activation", ["identity", "gelu"])
def test_bits_depend_on_the_run_alone(activation: str, engine: str, dtype: str) -> None:
    """Not on the threads, the lane, or the rules beside it."""
    problem = make_problem((5, 7, 7, 7, 1), "plain", 9, 1).with_activation(activation)
    values: dict[str, Any] = {"momentum": (0.5, 0.9), "nesterov": (False, True)}
    options: dict[str, Any] = {"steps": 57, "dtype": dtype, "engine": engine, "record": ("risk",)}
    init = dl.init.Gaussian(0.6)
    together = dl.sweep(
        problem.landscape,
        init,
        dl.GradientDescent(2e-4, weight_decay=(0.0, 0.01), **values),
        seeds=5,
        threads=2,
        every=10,
        progress=False,
        **options,
    )
    assert together["risk"].dims == ("momentum", "nesterov", "weight_decay", "seed", "step")
    for seed in range(5):
        for momentum in values["momentum"]:
            for nesterov in values["nesterov"]:
                for decay in (0.0, 0.01):
                    alone = dl.simulate(
                        problem.landscape,
                        init.sample(problem.network, seed),
                        dl.GradientDescent(2e-4, momentum, nesterov, decay),
                        threads=1,
                        every=None,
                        **options,
                    )
                    cell = together.sel(
                        momentum=momentum, nesterov=nesterov, weight_decay=decay, seed=seed
                    )
                    assert alone["status"] == "completed"
                    assert np.array_equal(cell["weights"], alone["weights"][0])
                    assert cell["risk"][-1] == alone["risk"][0, -1]


@pytest.mark.parametrize("engine", ["ensemble", "wide"])
def test_plain_descent_beside_momentum(engine: str) -> None:
    """A run without momentum has the bits of plain descent, whatever else is swept."""
    problem = make_problem((5, 6, 6, 1), "plain", 9, 2)
    options: dict[str, Any] = {"steps": 33, "engine": engine, "every": None, "progress": False}
    init = dl.init.Gaussian(0.9)
    swept = dl.GradientDescent(0.01, momentum=(0.9, 0.0))
    both = dl.sweep(problem.landscape, init, swept, seeds=9, **options)
    plain = dl.sweep(problem.landscape, init, dl.GradientDescent(0.01), seeds=9, **options)
    assert np.array_equal(both.sel(momentum=0.0)["weights"], plain["weights"])
    assert not np.array_equal(both.sel(momentum=0.9)["weights"], plain["weights"])
    assert "momentum" not in plain.attrs


@pytest.mark.parametrize("rule", ALL_RULES, ids=str)
@pytest.mark.parametrize("engine", ["ensemble", "wide"])
def test_records_are_of_the_weights_on_the_way(engine: str, rule: dict[str, Any]) -> None:
    """After any number of steps: a wide network's weights are in two arrays, in turns."""
    problem = make_problem((6, 40, 30, 1), "plain", 9, 4)
    rate = 0.02 / problem.landscape.sharpness(problem.weights).value
    for steps in (6, 7):
        dataset = dl.simulate(
            problem.landscape,
            problem.weights,
            dl.GradientDescent(rate, **rule),
            steps=steps,
            record=("weights", "risk", "sharpness", "layer_norm"),
            engine=engine,
        )
        recorded = dataset["recorded_weights"].values[0]
        assert np.array_equal(recorded[-1], dataset["weights"].values[0])
        for n in range(steps + 1):
            expected = loop(problem.reference, problem.weights, n, rate, **rule)
            assert relative_error(recorded[n], expected) <= 1e-13
            weights = problem.network.unflatten(recorded[n])
            assert dataset["risk"].values[0, n] == pytest.approx(
                problem.landscape.risk(weights), rel=1e-12
            )
            assert dataset["sharpness"].values[0, n] == pytest.approx(
                problem.landscape.sharpness(weights).value, rel=1e-7
            )


@pytest.mark.parametrize("engine", ["ensemble", "wide"])
@pytest.mark.parametrize("rule", ALL_RULES[:4], ids=str)
def test_single_precision(engine: str, rule: dict[str, Any]) -> None:
    problem = make_problem((5, 40, 30, 1), "plain", 9, 4)
    rate = 0.05 / problem.landscape.sharpness(problem.weights).value
    weights = random_ensemble(problem, 3, 1, low=0.8, high=1.1)
    found = dl.simulate(
        problem.landscape,
        weights,
        dl.GradientDescent(rate, **rule),
        steps=100,
        dtype="float32",
        engine=engine,
        every=None,
    )
    for run in range(3):
        expected = loop(problem.reference, one_run(weights, run), 100, rate, **rule)
        assert relative_error(found["weights"].values[run], expected) <= 1e-5


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"momentum": 1.0}, r"momentum must be a number from 0 to below 1; got 1.0\."),
        ({"momentum": -0.1}, r"momentum must be a non-negative finite number; got -0.1\."),
        ({"momentum": [0.5, 2]}, r"momentum\[1\] must be a number from 0 to below 1; got 2\."),
        ({"weight_decay": -1}, r"weight_decay must be a non-negative finite number; got -1\."),
        ({"nesterov": True}, r"momentum must be above zero where nesterov is True; got 0.0\."),
        ({"nesterov": 1, "momentum": 0.5}, r"nesterov must be True or False; got 1\."),
        ({"momentum": (0.5, 0), "nesterov": (True, False)}, r"momentum must be above zero where"),
    ],
    ids=str,
)
def test_refused(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{sentence}"):
        dl.GradientDescent(0.1, **arguments)


@pytest.mark.parametrize("nesterov", [False, True])
def test_edge_of_stability(nesterov: bool) -> None:
    """The sharpness rises to that beyond which a quadratic is not stable, and hovers there.

    It stays for long only where the covariance is spread and w* lies in slow directions.
    """
    momentum, edge, width = 0.5, 4.0, 4
    factor = (2 + 2 * momentum) / (1 + 2 * momentum if nesterov else 1)
    X = np.sqrt(width) * np.diag(np.logspace(0, -2, width))
    y = X @ np.array([0.0, 0.0, 1.0, 3.0])
    network = dl.Network((width, width, width, 1))
    rng = np.random.default_rng(0)
    square = [0.6 * np.eye(width) + 0.05 * rng.standard_normal((width, width)) for _ in range(2)]
    weights = [*square, 0.3 * rng.standard_normal((1, width))]
    landscape = dl.Landscape(network, dl.Regression(X, y))
    dataset = dl.simulate(
        landscape,
        weights,
        dl.GradientDescent(factor / edge, momentum, nesterov),
        steps=20_000,
        every=200,
        record=("sharpness",),
    )
    sharpness = dataset["sharpness"].values[0]
    assert sharpness[0] < 0.5 * edge
    assert np.median(sharpness[len(sharpness) // 2 :]) == pytest.approx(edge, rel=0.01)
