"""Every technique computes the same thing: the comparison is worth nothing otherwise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deeplinear.bench.baselines import (
    ADAPTIVE_FLOW,
    BENT_NETWORK_DESCENT,
    BENT_NETWORK_SHARPNESS,
    GELU_GRADIENT_DESCENT,
    GELU_SHARPNESS,
    GRADIENT_DESCENT,
    ONE_NETWORK,
    ONE_NETWORK_SHARPNESS,
    RUNGE_KUTTA,
    SHARPNESS,
)
from deeplinear.bench.problems import (
    BATCH,
    DEEP,
    GELU,
    SINGLE,
    SINGLE_GELU,
    SMALL,
    WIDE,
    bent_network,
    one_network,
)

from . import reference
from .conftest import prepare

TOLERANCE = {"float64": 1e-12, "float32": 1e-5}
PROBLEMS = [replace(problem, runs=32, learning_rate=1e-2) for problem in (SMALL, WIDE, DEEP)]


@pytest.mark.parametrize("technique", GRADIENT_DESCENT)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_gradient_descent(problem, dtype, technique):
    job = prepare(GRADIENT_DESCENT[technique], problem, dtype)
    assert_close(job.weights(job.run(3)), reference.gradient_descent(problem, 3), dtype)


@pytest.mark.parametrize("technique", RUNGE_KUTTA)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_runge_kutta(dtype, technique):
    job = prepare(RUNGE_KUTTA[technique], PROBLEMS[0], dtype)
    assert_close(job.weights(job.run(3)), reference.runge_kutta(PROBLEMS[0], 3), dtype)


@pytest.mark.parametrize("technique", ADAPTIVE_FLOW)
def test_adaptive_flow(technique):
    problem = replace(BATCH, runs=8)
    job = prepare(ADAPTIVE_FLOW[technique], problem, 1e-6, 1e-9)
    found, exact = job.weights(job.run(5.0)), reference.flow(problem, 5.0)
    for layer, expected in zip(found, exact, strict=True):
        np.testing.assert_allclose(layer, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("technique", SHARPNESS)
def test_sharpness_of_every_technique(technique):
    found = prepare(SHARPNESS[technique], SINGLE, 1e-6)()
    assert found == pytest.approx(reference.sharpness(SINGLE), rel=1e-6)


@pytest.mark.parametrize("technique", GELU_GRADIENT_DESCENT)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_gelu_gradient_descent(dtype, technique):
    # Large enough weights and steps that a wrong gradient shows in float32 too.
    problem = replace(GELU, runs=32, scale=0.6, learning_rate=1e-2)
    job = prepare(GELU_GRADIENT_DESCENT[technique], problem, dtype)
    assert_close(job.weights(job.run(3)), reference.gelu_gradient_descent(problem, 3), dtype)


@pytest.mark.parametrize("technique", GELU_SHARPNESS)
def test_gelu_sharpness(technique):
    found = prepare(GELU_SHARPNESS[technique], SINGLE_GELU, 1e-6)()
    assert found == pytest.approx(reference.gelu_sharpness(SINGLE_GELU), rel=1e-6)


@pytest.mark.parametrize("technique", ONE_NETWORK)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("size", [(8, 30), (33, 3)], ids=lambda size: "{}x{}".format(*size))
def test_one_network(size, dtype, technique):
    problem = replace(one_network(*size), learning_rate=3e-4)
    job = prepare(ONE_NETWORK[technique], problem, dtype)
    job.run(1)
    assert_close(job.weights(job.run(2)), reference.gradient_descent(problem, 3), dtype)


@pytest.mark.parametrize("technique", ONE_NETWORK_SHARPNESS)
def test_one_network_sharpness(technique):
    problem = one_network(width=6, depth=30)
    found = prepare(ONE_NETWORK_SHARPNESS[technique], problem, 1e-6)()
    assert found == pytest.approx(reference.sharpness(problem), rel=1e-6)


@pytest.mark.parametrize("technique", BENT_NETWORK_DESCENT)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_bent_network(dtype, technique):
    # Steps so large that a wrong gradient shows in float32 too
    problem = replace(bent_network(width=9, samples=21), learning_rate=3e-2)
    job = prepare(BENT_NETWORK_DESCENT[technique], problem, dtype)
    job.run(1)
    assert_close(job.weights(job.run(2)), reference.tanh_gradient_descent(problem, 3), dtype)


@pytest.mark.parametrize("technique", BENT_NETWORK_SHARPNESS)
def test_bent_network_sharpness(technique):
    problem = bent_network(width=6, samples=21)
    found = prepare(BENT_NETWORK_SHARPNESS[technique], problem, 1e-6)()
    assert found == pytest.approx(reference.tanh_sharpness(problem), rel=1e-6)


def assert_close(found, expected, dtype):
    for layer, exact in zip(found, expected, strict=True):
        assert layer.dtype == dtype
        np.testing.assert_allclose(
            layer, exact, rtol=0, atol=TOLERANCE[dtype] * np.abs(exact).max()
        )
