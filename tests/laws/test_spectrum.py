"""Extreme eigenvalues of the Hessian against a dense eigensolver on the reference's Hessian."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray

import deeplinear as dl
from reference import Weights, minimizer, sharpness_at_minimizer
from strategies import (
    PROPERTY,
    Problem,
    flat,
    make_problem,
    minimizing_weights,
    problems,
    random_problem,
)

pytestmark = pytest.mark.core

ACCURACY = 1e-9  # of an eigenvalue, relative to the spectral norm of H
EXTREMES = {"largest": -1, "lowest": 0}


def extreme(landscape: dl.Landscape, weights: Weights, which: str, tolerance: float) -> Any:
    if which == "largest":
        return landscape.sharpness(weights, tolerance=tolerance)
    return landscape.sharpness(weights, which=which, tolerance=tolerance)


def double_spectrum(problem: Problem, weights: Weights) -> NDArray[Any]:
    """The reference's in double precision throughout, for larger networks: it is much faster."""
    return replace(problem.reference, dtype=np.float64).spectrum(weights)


def check(problem: Problem, spectrum: NDArray[Any] | None = None) -> None:
    """Both extremes: the value, and everything that is said about it."""
    landscape, weights = problem.landscape, problem.weights
    if spectrum is None:
        spectrum = problem.reference.spectrum(weights)
    norm = max(abs(spectrum[0]), abs(spectrum[-1]))
    for which, index in EXTREMES.items():
        # An eigenvalue lies within the residual of the value, so a residual of 1e-10 |H| is enough.
        found = extreme(landscape, weights, which, tolerance=1e-10)
        case = f"{which}, widths {problem.widths}: {found.value} for {spectrum[index]}"
        assert found.converged, case
        assert abs(found.value - spectrum[index]) <= ACCURACY * norm, case
        # |v| = 1 and |H v - value v| = residual, up to the rounding of the product
        vector = flat(found.vector)
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-12), case
        product = flat(landscape.hessian_vector_product(weights, found.vector))
        residual = np.linalg.norm(product - found.value * vector)
        assert residual <= found.residual + 1e-12 * norm, case
        assert 0 <= found.residual <= 1e-10 * norm * (1 + 1e-6) + 1e-13 * norm, case
        assert found.products >= 0, case


@pytest.mark.parametrize("block", range(10))
def test_random_weights(block: int) -> None:
    """200 random shapes."""
    for seed in range(20 * block, 20 * (block + 1)):
        check(random_problem(seed, max_depth=8, max_width=7))


@pytest.mark.parametrize("seed", range(30))
def test_minimizers(seed: int) -> None:
    """H = 2 J^T C J there: its lowest eigenvalue is 0, its largest that of a d x d problem."""
    problem = random_problem(seed, max_depth=6, max_width=6)
    at = problem.with_weights(minimizing_weights(problem))
    check(at)
    sharpness = at.landscape.sharpness(at.weights, tolerance=1e-11).value
    expected = sharpness_at_minimizer(at.reference, at.weights)
    assert sharpness == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("readout", ["plain", "unit"])
@pytest.mark.parametrize("depth", [1, 2, 3, 10])
def test_aligned_minimizers(readout: str, depth: int) -> None:
    """Rank-one layers: products of them are singular to working precision."""
    widths = (4, *(3 + k % 3 for k in range(depth - 1)), 1 if readout == "plain" else 2)
    problem = make_problem(widths, readout, 9, seed=depth)
    weights = dl.theory.aligned_minimizer(problem.network, problem.regression)
    w = problem.reference.end_to_end(weights).astype(float)
    np.testing.assert_allclose(w, minimizer(problem.X, problem.y), rtol=0, atol=1e-13)
    check(problem.with_weights(weights))


@pytest.mark.parametrize(
    "widths", [(3, 1), (3, 2, 1), (3, 4, 1), (3, 2, 4, 1), (2, 2, 2, 2, 1), (1, 1, 1)]
)
def test_zero_weights(widths: tuple[int, ...]) -> None:
    """One layer: 2 C. Two: the pairs W_1[i, j], W_2[0, i] alone, eigenvalues +-|g|. More: zero."""
    problem = make_problem(widths, "plain", 7, seed=4)
    zero = problem.with_weights([np.zeros_like(layer) for layer in problem.weights])
    check(zero)
    landscape = zero.landscape
    largest = landscape.sharpness(zero.weights).value
    lowest = landscape.sharpness(zero.weights, which="lowest").value
    slope = float(np.linalg.norm(2 * problem.X.T @ problem.y / 7))
    if len(widths) == 3:
        assert largest == pytest.approx(slope, rel=1e-9)
        assert lowest == pytest.approx(-slope, rel=1e-9)
    if len(widths) > 3:
        assert largest == 0
        assert lowest == 0


@pytest.mark.parametrize("zeros", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 2)])
@pytest.mark.parametrize("readout", ["plain", "any"])
def test_some_layers_zero(zeros: tuple[int, ...], readout: str) -> None:
    """Some of the products of the layers above and of those below vanish."""
    problem = make_problem((3, 4, 2, 1 if readout == "plain" else 3), readout, 6, seed=6)
    weights = [
        np.zeros_like(layer) if k in zeros else layer for k, layer in enumerate(problem.weights)
    ]
    check(problem.with_weights(weights))


@pytest.mark.parametrize("depth", range(1, 13))
def test_width_one_everywhere(depth: int) -> None:
    check(make_problem((1,) * (depth + 1), "plain", 4, seed=depth))


@pytest.mark.parametrize("widths", [(1, 1), (5, 1), (9, 1), (5, 3), (3, 5), (1, 4)])
@pytest.mark.parametrize("n", [3, 20])
def test_single_layer(widths: tuple[int, ...], n: int) -> None:
    """H = 2 p p^T (x) C: without a readout its lowest eigenvalue is 2 lambda_min(C), not 0."""
    problem = make_problem(widths, "plain" if widths[1] == 1 else "any", n, seed=1)
    check(problem)
    # no slope: with a readout, 0 is the lowest although 2 |p|^2 C may have no eigenvalue 0
    check(problem.with_weights(minimizing_weights(problem)))
    if widths == (5, 1) and n == 20:
        lowest = problem.landscape.sharpness(problem.weights, which="lowest").value
        assert lowest == pytest.approx(2 * problem.regression.eigenvalues[0], rel=1e-9)


@PROPERTY
@given(problems(max_depth=5, max_width=6))
def test_extremes_of_any_problem(problem: Problem) -> None:
    check(problem)


@pytest.mark.parametrize(
    "widths", [(3,) * 80 + (1,), (40, 25, 1), (12,) * 7 + (1,), (2, 40, 3, 30, 1)]
)
def test_larger_networks(widths: tuple[int, ...]) -> None:
    """Hundreds of compressed dimensions, so that an iterative method has something to do.

    The layers are close to the identity (or to part of it): deep products stay of order one.
    """
    problem = make_problem(widths, "plain", 2 * widths[0], seed=8)
    rng = np.random.default_rng(8)
    weights = [
        np.eye(*layer.shape) + 0.3 * rng.standard_normal(layer.shape) / np.sqrt(layer.size)
        for layer in problem.weights
    ]
    check(problem.with_weights(weights), double_spectrum(problem, weights))


@pytest.mark.parametrize("seed", range(3))
def test_a_loose_tolerance_keeps_its_word(seed: int) -> None:
    """The value is within the residual of an eigenvalue, and the residual within the tolerance."""
    problem = make_problem((20, 20, 20, 20, 1), "plain", 30, seed=seed)
    spectrum = double_spectrum(problem, problem.weights)
    norm = max(abs(spectrum[0]), abs(spectrum[-1]))
    for which in EXTREMES:
        found = extreme(problem.landscape, problem.weights, which, tolerance=1e-4)
        assert found.converged
        assert found.residual <= 1e-4 * norm * (1 + 1e-6)
        assert np.min(np.abs(spectrum - found.value)) <= found.residual + 1e-12 * norm


def compare_compressed(problem: Problem) -> NDArray[Any]:
    """The nonzero eigenvalues of both; either may have more zeros than the other."""
    compressed = problem.landscape.compressed_hessian(problem.weights)
    np.testing.assert_allclose(
        compressed, compressed.T, rtol=0, atol=1e-13 * max(1e-300, np.linalg.norm(compressed))
    )
    dense = problem.reference.spectrum(problem.weights)
    size = max(len(dense), len(compressed))
    few = np.linalg.eigvalsh(compressed)
    few = np.sort(np.concatenate([few, np.zeros(size - len(few))]))
    dense = np.sort(np.concatenate([dense, np.zeros(size - len(dense))]))
    # isometric coordinates: eigenvalues are those of H up to the rounding of the two matrices
    np.testing.assert_allclose(few, dense, rtol=0, atol=1e-12 * np.linalg.norm(dense))
    return np.asarray(compressed)


@pytest.mark.parametrize("seed", range(60))
def test_the_compressed_hessian_has_the_nonzero_spectrum(seed: int) -> None:
    problem = random_problem(seed, max_depth=7, max_width=7)
    compressed = compare_compressed(problem)
    layers = zip(problem.widths[1:], problem.widths[:-1], strict=True)
    assert len(compressed) == sum(rows - 1 + columns for rows, columns in layers)


def test_the_compressed_hessian_of_a_known_shape() -> None:
    """110 parameters, 45 numbers alpha_k, beta_k; 4 say the same: 41 nonzero eigenvalues."""
    problem = make_problem((6, 7, 4, 8, 1), "plain", 20, seed=0)
    assert problem.size == 110
    compressed = compare_compressed(problem)
    assert compressed.shape == (41, 41)
    values = np.abs(np.linalg.eigvalsh(compressed))
    assert np.sum(values > 1e-10 * values.max()) == 41


@pytest.mark.parametrize("kind", ["minimizer", "aligned", "zero", "last zero", "first zero"])
@pytest.mark.parametrize("widths", [(3, 1), (4, 3, 1), (3, 4, 2, 5, 1)])
def test_the_compressed_hessian_at_special_points(kind: str, widths: tuple[int, ...]) -> None:
    problem = make_problem(widths, "plain", 9, seed=7)
    weights = [layer.copy() for layer in problem.weights]
    if kind == "minimizer":
        weights = minimizing_weights(problem)
    elif kind == "aligned":
        weights = dl.theory.aligned_minimizer(problem.network, problem.regression)
    elif kind == "zero":
        weights = [np.zeros_like(layer) for layer in weights]
    else:
        weights[-1 if kind == "last zero" else 0][:] = 0
    compare_compressed(problem.with_weights(weights))


# Sizes far from one


@pytest.mark.parametrize("widths", [(12, 12, 12, 1), (3, 2, 2, 1)])
@pytest.mark.parametrize("power", [-150, -60, 60, 150])
def test_hessians_of_any_size(widths: tuple[int, ...], power: int) -> None:
    """With targets of zero the risk is homogeneous: H(c W) = c^(2 L - 2) H(W), here 2^(4 power).

    Squares of its entries are out of range; a power of two rounds nothing.
    """
    network = dl.Network(widths)
    X = np.random.default_rng(0).standard_normal((20, widths[0]))
    landscape = dl.Landscape(network, dl.Regression(X, np.zeros(20)))
    weights = dl.init.Gaussian(0.5).sample(network, 0)
    scaled = [layer * 2.0**power for layer in weights]
    unit = 2.0 ** (4 * power)
    for which in EXTREMES:
        for one, other in zip(
            landscape.eigenvalues(weights, 3, which=which),
            landscape.eigenvalues(scaled, 3, which=which),
            strict=True,
        ):
            assert other.converged
            assert other.value == pytest.approx(unit * one.value, rel=1e-7)
            assert other.residual <= 1e-7 * abs(other.value)
        assert landscape.sharpness(scaled, which=which).converged
    densities = [landscape.spectral_density(at, vectors=2, steps=9) for at in (weights, scaled)]
    np.testing.assert_allclose(
        densities[1].moment(1), unit * densities[0].moment(1), rtol=1e-10, atol=0
    )


def test_runs_whose_hessian_grows_out_of_range_end() -> None:
    """Their risk is finite far longer than the squares of what Lanczos adds up."""
    network = dl.Network((5,) * 10 + (1,))
    landscape = dl.Landscape(network, dl.gaussian_regression(n=50, d=5, seed=0))
    runs = dl.sweep(
        landscape,
        dl.init.Gaussian(0.5),
        dl.GradientDescent(0.2),
        seeds=8,
        steps=300,
        every=1,
        record=("risk", "sharpness"),
        progress=False,
    )
    diverged = runs.status == "diverged"
    assert diverged.any()
    # NaN from the step on at which the Hessian overflows
    risk, sharpness = runs.risk.values, runs.sharpness.values
    assert not np.isfinite(sharpness[~np.isfinite(risk)]).any()
    assert np.isfinite(sharpness[risk < 1e150]).all()


def test_a_hessian_that_overflows_where_the_risk_does_not() -> None:
    network = dl.Network((2, 3, 1))
    landscape = dl.Landscape(network, dl.gaussian_regression(n=50, d=2, seed=0))
    first, last = dl.init.Gaussian(0.5).sample(network, 0)
    weights = [first / 1e160, last * 1e160]
    assert np.isfinite(landscape.risk(weights))
    for which in EXTREMES:
        found = landscape.sharpness(weights, which=which)
        assert np.isnan(found.value)
        assert not found.converged
