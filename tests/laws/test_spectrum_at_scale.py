"""Several eigenvalues, the formula at minimizers, first guesses."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse.linalg import eigsh

import deeplinear as dl
from reference import Weights, sharpness_at_minimizer
from strategies import (
    EXAMPLES,
    PROPERTY,
    Problem,
    flat,
    make_problem,
    minimizing_weights,
    problems,
    random_direction,
)

pytestmark = pytest.mark.core

Array = NDArray[Any]


def dense(problem: Problem, weights: Weights) -> Array:
    """The Hessian in double precision; its columns are Hessian products, tested elsewhere."""
    return np.asarray(problem.landscape.hessian(weights))


def check_several(
    problem: Problem,
    weights: Weights,
    k: int,
    which: str,
    tolerance: float = 1e-8,
    converged: bool = True,
) -> None:
    """Against the dense spectrum, with multiplicities; H v = value v, orthonormal v."""
    H = dense(problem, weights)
    spectrum = np.linalg.eigvalsh(H)
    norm = max(abs(spectrum[0]), abs(spectrum[-1]))
    if which == "largest":
        spectrum = spectrum[::-1]
    found = problem.landscape.eigenvalues(weights, k, tolerance, which=which)
    assert len(found) == min(k, problem.size)
    values = np.array([one.value for one in found])
    assert np.all(np.diff(values) <= 0) if which == "largest" else np.all(np.diff(values) >= 0)
    # Each value is a Rayleigh quotient on the complement of the ones before, whose vectors have
    # residuals of the tolerance: all errors are of second order, but where a gap is small of first.
    np.testing.assert_allclose(values, spectrum[: len(found)], rtol=0, atol=2 * tolerance * norm)
    if converged:
        assert all(one.converged for one in found), [one.products for one in found]
    vectors = np.stack([flat(one.vector) for one in found])
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(len(found)), rtol=0, atol=1e-12)
    for one, vector in zip(found, vectors, strict=True):
        residual = np.linalg.norm(H @ vector - one.value * vector)
        assert abs(residual - one.residual) <= 1e-12 * norm
        assert residual <= 2 * tolerance * norm


def identity_like(problem: Problem) -> list[Array]:
    return [np.eye(*layer.shape) for layer in problem.weights]


def without(problem: Problem, *zeros: int) -> list[Array]:
    return [0 * layer if k in zeros else layer for k, layer in enumerate(problem.weights)]


DEEP = (5,) * 10 + (1,)
BOTH = pytest.mark.parametrize("which", ["largest", "lowest"])


@BOTH
@pytest.mark.parametrize("widths", [DEEP, (12, 3, 9, 7, 1), (7, 40, 1), (1,) * 30, (26, 1)])
def test_several(widths: tuple[int, ...], which: str) -> None:
    problem = make_problem(widths, "plain", 50, seed=3)
    for k in (1, 2, 7):
        check_several(problem, problem.weights, k, which)


def whitened(readout: str) -> Problem:
    """C the identity, so that with layers that are the identity eigenvalues repeat."""
    problem = make_problem((5,) * 10 + (1 if readout == "plain" else 5,), readout, 50, seed=3)
    X = np.sqrt(8) * np.linalg.qr(np.random.default_rng(0).standard_normal((8, 5)))[0]
    return Problem(X, problem.y[:8], problem.widths, problem.readout, problem.weights)


@BOTH
def test_several_at_the_identity(which: str) -> None:
    problem = make_problem((5,) * 10 + (1,), "plain", 50, seed=3)
    check_several(problem, identity_like(problem), 24, which)


def test_repeated_eigenvalues() -> None:
    problem = whitened("unit")
    check_several(problem, identity_like(problem), 24, "largest", converged=False)


@BOTH
@pytest.mark.parametrize("zeros", [(9,), (0, 9), tuple(range(10))])
def test_several_with_zero_layers(zeros: tuple[int, ...], which: str) -> None:
    """Few eigenvalues that are not zero: zeros are among the first, as often as they are there."""
    problem = make_problem(DEEP, "plain", 50, seed=3)
    check_several(problem, without(problem, *zeros), 30, which)


def test_several_with_two_neighbouring_zero_layers() -> None:
    problem = make_problem(DEEP, "plain", 50, seed=3)
    check_several(problem, without(problem, 4, 5), 30, "lowest", converged=False)


@pytest.mark.parametrize("case", ["minimizer", "tight", "zero layer", "all"])
def test_what_is_small_beside_the_first_converges(case: str) -> None:
    problem = make_problem(DEEP, "plain", 50, seed=3)
    if case == "minimizer":  # rank 5
        check_several(problem, minimizing_weights(problem), 7, "largest")
    elif case == "tight":
        check_several(problem, problem.weights, 12, "largest", tolerance=1e-10)
    elif case == "zero layer":
        check_several(problem, without(problem, 4), 30, "lowest")
    else:
        check_several(problem, problem.weights, 1000, "largest")


@BOTH
@pytest.mark.parametrize("widths", [(3, 4, 1), (2, 2, 2, 1), (3, 3), (1, 1), DEEP])
def test_more_than_there_are(widths: tuple[int, ...], which: str) -> None:
    """All P of them, whatever they are said to have converged to."""
    readout = "plain" if widths[-1] == 1 else "any"
    problem = make_problem(widths, readout, 9, seed=3)
    for k in (problem.size, problem.size + 5):
        check_several(problem, problem.weights, k, which, converged=False)


@settings(PROPERTY, max_examples=min(40, EXAMPLES))
@given(
    problems(max_depth=6, max_width=9), st.integers(1, 12), st.sampled_from(["largest", "lowest"])
)
def test_several_of_any_problem(problem: Problem, k: int, which: str) -> None:
    check_several(problem, problem.weights, k, which, converged=False)


def test_the_first_is_the_sharpness() -> None:
    problem = make_problem((12, 3, 9, 7, 1), "plain", 50, seed=3)
    for which in ("largest", "lowest"):
        one = problem.landscape.sharpness(problem.weights, which=which).value
        several = problem.landscape.eigenvalues(problem.weights, 3, which=which)
        assert several[0].value == pytest.approx(one, rel=1e-12)


# Restarts


@pytest.mark.large
def test_restarts() -> None:
    """A basis of at most 2^21 numbers has 21 vectors of the 96,000 numbers of this network."""
    rng = np.random.default_rng(0)
    X = np.sqrt(20) * np.linalg.qr(rng.standard_normal((20, 4)))[0]
    network = dl.Network((4,) * 12_000 + (1,))
    landscape = dl.Landscape(network, dl.Regression(X, X @ rng.standard_normal(4)))
    weights = dl.init.Residual(0.05).sample(network, 0)
    found = landscape.sharpness(weights, 1e-12, which="lowest")
    assert found.converged
    assert found.products > 22  # one of them for the residual
    operator = landscape.hessian_operator(weights)
    theirs = eigsh(operator, 1, which="SA", tol=1e-8, return_eigenvectors=False)[0]
    assert found.value == pytest.approx(theirs, rel=1e-8)
    vector = flat(found.vector)
    residual = np.linalg.norm(operator @ vector - found.value * vector)
    # 12,000 products follow one another: some 1e-13 of rounding beside the 1e-12
    assert residual <= 2e-12 * abs(found.value)


def test_where_to_give_up() -> None:
    """With the best vector of the Krylov space of the start; the last product is for the vector."""
    problem = make_problem(DEEP, "plain", 50, seed=3)
    H = dense(problem, problem.weights)
    norm = np.linalg.norm(H, 2)
    start = flat(problem.landscape.sharpness(problem.weights, max_products=1).vector)
    space = start[:, None]
    for limit in range(1, 10):
        found = problem.landscape.sharpness(problem.weights, 1e-14, max_products=limit)
        assert not found.converged
        assert found.products == limit
        best = np.linalg.eigvalsh(space.T @ H @ space)[-1]
        assert found.value == pytest.approx(best, abs=1e-10 * norm)
        vector = flat(found.vector)
        residual = np.linalg.norm(H @ vector - found.value * vector)
        assert found.residual == pytest.approx(residual, abs=1e-12 * norm)
        assert found.residual > 1e-12 * norm  # so it has not converged, on any machine
        if limit > 1:
            space = np.linalg.qr(np.column_stack([space, H @ space[:, -1]]))[0]


@pytest.mark.parametrize("samples", [False, True])
@pytest.mark.parametrize("which", ["largest", "lowest"])
def test_nothing_converges_after_what_has_not(which: str, samples: bool) -> None:
    """Without a wrong vector there is another operator, with other ends."""
    network = dl.Network((20,) * 20 + (1,))
    landscape = dl.Landscape(
        network, dl.gaussian_regression(n=30, d=20, noise=1.0, seed=0), samples=samples
    )
    weights = dl.init.Residual(0.5).sample(network, 0)
    for limit in (3, 10):
        found = landscape.eigenvalues(weights, 3, which=which, max_products=limit)
        assert all(one.products <= limit for one in found)
        converged = [one.converged for one in found]
        assert converged == sorted(converged, reverse=True)
        assert limit == 10 or not any(converged)


# Minimizers


@pytest.mark.parametrize(
    ("widths", "n"),
    [
        ((5,) * 10 + (1,), 50),
        ((40, 6, 7, 1), 60),
        ((40, 6, 7, 1), 9),  # C is singular: d > n
        ((30, 30, 1), 200),
        ((33, 1), 40),
        ((33, 1), 10),
        ((2, 60, 3, 1), 30),
        ((12, 9, 12, 4), 7),
    ],
)
def test_the_formula_at_minimizers(widths: tuple[int, ...], n: int) -> None:
    """Three ways: the d x d problem, Lanczos on the Hessian by SciPy, and Lanczos of the core."""
    readout = "plain" if widths[-1] == 1 else "unit"
    problem = make_problem(widths, readout, n, seed=5)
    weights = minimizing_weights(problem)
    landscape = problem.landscape
    found = landscape.sharpness(weights, 1e-10)
    expected = sharpness_at_minimizer(problem.reference, weights)
    assert found.converged
    assert found.value == pytest.approx(expected, rel=1e-10)
    assert found.products < 40  # the formula, where it holds, takes seven
    lanczos = landscape.eigenvalues(weights, 2, 1e-10)[0]  # more than one: not by the formula
    assert lanczos.value == pytest.approx(expected, rel=1e-10)
    operator = landscape.hessian_operator(weights)
    if problem.size > 40:
        arpack = eigsh(operator, 1, which="LA", tol=1e-12, return_eigenvectors=False)[0]
        assert arpack == pytest.approx(expected, rel=1e-10)
    vector = flat(found.vector)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-12)
    residual = np.linalg.norm(operator @ vector - found.value * vector)
    assert residual <= 1e-10 * expected * (1 + 1e-6)
    lowest = landscape.sharpness(weights, which="lowest").value
    least = 2 * problem.regression.eigenvalues[0] if len(widths) == 2 else 0.0
    assert abs(lowest - least) <= 1e-12 * expected


@pytest.mark.parametrize("size", [1e-12, 1e-9, 1e-5, 1e-3])
@pytest.mark.parametrize("tolerance", [1e-12, 1e-8, 1e-3])
@pytest.mark.parametrize("widths", [(4, 12, 9, 1), DEEP])
def test_near_a_minimizer(widths: tuple[int, ...], tolerance: float, size: float) -> None:
    """The formula is used where the residual part is below the tolerance, and not where it isn't.

    Off the minimizer the slope is small, and the layers are scaled so that the residual part, which
    goes with products of all layers but two, is large against 2 J^T C J, whose products lack one.
    """
    problem = make_problem(widths, "plain", 12, seed=2)
    weights = minimizing_weights(problem)
    rng = np.random.default_rng(1)
    # w moves by `size` alone, through the first layer
    top = problem.reference.product(weights, problem.depth, 2)[0].astype(float)
    shift = rng.standard_normal(widths[0])
    weights[0] = weights[0] + np.outer(top, size * shift / np.linalg.norm(shift)) / (top @ top)
    # layers of very unequal size with the same product
    weights[0] = weights[0] * 1e3
    weights[1] = weights[1] / 1e3
    found = problem.landscape.sharpness(weights, tolerance)
    spectrum = np.linalg.eigvalsh(dense(problem, weights))
    assert found.converged
    error = max(tolerance * spectrum[-1], 1e-13 * abs(spectrum).max())
    assert abs(found.value - spectrum[-1]) <= error


@pytest.mark.parametrize("scale", [1.0, 1e-2, 1e-4])
def test_a_small_risk_with_a_large_residual_part(scale: float) -> None:
    """w and w* both small: the excess is small, but not beside |w*|, and the slope matters."""
    problem = make_problem(DEEP, "plain", 30, seed=4)
    small = Problem(problem.X, scale * problem.y, problem.widths, None, problem.weights)
    weights = [0.5 * layer for layer in small.weights]
    spectrum = np.linalg.eigvalsh(dense(small, weights))
    for tolerance in (1e-2, 1e-6, 1e-10):
        found = small.landscape.sharpness(weights, tolerance)
        assert found.converged
        assert abs(found.value - spectrum[-1]) <= tolerance * spectrum[-1]


# First guesses


def nearby(problem: Problem) -> list[Array]:
    moves = random_direction(problem, 3)
    return [
        layer + 1e-3 * np.linalg.norm(layer) * move / np.linalg.norm(move)
        for layer, move in zip(problem.weights, moves, strict=True)
    ]


@BOTH
@pytest.mark.parametrize("widths", [DEEP, (30, 20, 40, 1), (4, 3, 1)])
def test_first_guesses(widths: tuple[int, ...], which: str) -> None:
    """A vector from nearby weights saves products where there are any to save; so it does as L
    arrays. The eigenvector itself needs next to none, and any other guess is harmless."""
    problem = make_problem(widths, "plain", 50, seed=3)
    landscape, weights = problem.landscape, problem.weights
    cold = landscape.sharpness(weights, which=which)
    before = landscape.sharpness(nearby(problem), which=which)
    zero = [0 * layer for layer in weights]
    guesses = [before, before.vector, cold, cold.vector, zero, random_direction(problem, 1)]
    for index, guess in enumerate(guesses):
        warm = landscape.sharpness(weights, which=which, start=guess)
        assert warm.converged
        assert warm.value == pytest.approx(cold.value, rel=1e-8)
        assert warm.residual <= 1e-8 * abs(cold.value) * (1 + 1e-6)
        if index < 4 and len(landscape.compressed_hessian(weights)) > 24:
            assert warm.products <= cold.products
            if index < 2:
                assert warm.products < cold.products
    rough = landscape.sharpness(weights, 1e-3, which=which, start=cold)
    assert rough.products <= 8 or len(landscape.compressed_hessian(weights)) <= 24


def test_a_vector_is_of_the_weights_it_was_found_at() -> None:
    """Expanded when it is asked for, though the arrays have changed meanwhile."""
    problem = make_problem((12, 3, 9, 7, 1), "plain", 50, seed=3)
    memory = flat(problem.weights)
    weights = problem.network.unflatten(memory)
    H = dense(problem, weights)
    found = problem.landscape.sharpness(weights)
    several = problem.landscape.eigenvalues(weights, 3)
    memory *= -2
    for one in (found, *several):
        vector = flat(one.vector)
        assert np.linalg.norm(H @ vector - one.value * vector) <= 2e-8 * found.value
        assert one.vector is one.vector


def test_pickling() -> None:
    problem = make_problem((12, 3, 9, 7, 1), "plain", 50, seed=3)
    found = problem.landscape.sharpness(problem.weights)
    again = pickle.loads(pickle.dumps(found))
    assert again == found
    np.testing.assert_array_equal(flat(again.vector), flat(found.vector))
    warm = problem.landscape.sharpness(problem.weights, start=again)
    assert warm.value == pytest.approx(found.value, rel=1e-8)


def overflowed() -> tuple[Problem, dl.Sharpness]:
    problem = make_problem((12, 3, 9, 7, 1), "plain", 50, seed=3)
    found = problem.landscape.sharpness([1e200 * layer for layer in problem.weights])
    assert np.isnan(found.value)
    assert not found.converged
    return problem, found


def test_the_vector_of_what_overflowed() -> None:
    """NaN, as the value."""
    vector = flat(overflowed()[1].vector)
    assert np.all(np.isnan(vector))


def test_what_overflowed_is_no_guess() -> None:
    problem, found = overflowed()
    warm = problem.landscape.sharpness(problem.weights, start=found)
    assert warm.converged
