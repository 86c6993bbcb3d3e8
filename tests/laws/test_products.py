"""How many Hessian products eigenvalues take: never more than the Hessian has dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import deeplinear as dl
from strategies import Problem, flat, make_problem

pytestmark = pytest.mark.core

Array = NDArray[Any]
DEEP = (5,) * 10 + (1,)
BOTH = pytest.mark.parametrize("which", ["largest", "lowest"])

CASES: dict[str, tuple[tuple[int, ...], str]] = {
    "of 24": ((3, 4, 2, 1), "identity"),
    "of 90": ((9, 9, 1), "identity"),
    "deep": (DEEP, "identity"),
    "wide": ((16, 12, 20, 1), "identity"),
    "gelu of 90": ((9, 9, 1), "gelu"),
    "gelu of 280": ((12, 13, 9, 1), "gelu"),
    "through the samples": ((5, 5, 5, 5, 1), "samples"),
}


def landscape_of(case: str) -> tuple[dl.Landscape, list[Array]]:
    widths, kind = CASES[case]
    problem = make_problem(widths, "plain", 50, seed=3)
    activation = "identity" if kind == "samples" else kind
    landscape = dl.Landscape(
        dl.Network(widths, activation=activation), problem.regression, samples=kind != "identity"
    )
    return landscape, [np.asarray(layer, dtype=float) for layer in problem.weights]


def dimension(landscape: dl.Landscape, weights: list[Array]) -> int:
    """Of the space that the Hessian acts on, which the rest of the weights does not reach."""
    if landscape.samples:
        return landscape.network.parameters
    return len(landscape.compressed_hessian(weights))


def check(landscape: dl.Landscape, weights: list[Array], k: int, which: str) -> int:
    """Against the dense spectrum, repeated values included; returns the products."""
    H = landscape.hessian(weights)
    spectrum = np.linalg.eigvalsh(H)
    norm = np.abs(spectrum).max()
    if which == "largest":
        spectrum = spectrum[::-1]
    found = landscape.eigenvalues(weights, k, which=which)
    assert len(found) == min(k, len(H))
    assert all(one.converged for one in found)
    values = np.array([one.value for one in found])
    # A Ritz value is off by the square of its residual, or where a gap is small by the residual.
    np.testing.assert_allclose(values, spectrum[: len(found)], rtol=0, atol=1e-8 * norm)
    vectors = np.stack([flat(one.vector) for one in found])
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(len(found)), rtol=0, atol=1e-12)
    residuals = np.linalg.norm(vectors @ H - values[:, None] * vectors, axis=1)
    np.testing.assert_allclose(residuals, [one.residual for one in found], atol=1e-12 * norm)
    assert np.all(residuals <= np.maximum(1e-8 * np.abs(values), 1e-12 * norm) * (1 + 1e-6))
    return sum(one.products for one in found)


@BOTH
@pytest.mark.parametrize("case", CASES)
def test_never_more_than_the_dimension(case: str, which: str) -> None:
    landscape, weights = landscape_of(case)
    most = dimension(landscape, weights)
    for k in (2, 6, 50, landscape.network.parameters):
        assert check(landscape, weights, k, which) <= most
    one = landscape.sharpness(weights, which=which)
    assert one.products <= most + 1  # the residual has a product of its own


@BOTH
def test_one_basis_for_all(which: str) -> None:
    """Far below the dimension too: eigenvalues that follow take less than the first."""
    network = dl.Network((20,) * 9 + (1,))
    landscape = dl.Landscape(network, dl.gaussian_regression(n=30, d=20, noise=1.0, seed=0))
    weights = dl.init.Residual(0.5).sample(network, 0)
    operator = landscape.compressed_hessian(weights)
    spectrum = np.linalg.eigvalsh(operator)
    found = landscape.eigenvalues(weights, 6, which=which)
    values = [one.value for one in found]
    expected = spectrum[::-1][:6] if which == "largest" else spectrum[:6]
    np.testing.assert_allclose(values, expected, rtol=1e-10)
    assert all(one.converged for one in found)
    alone = landscape.sharpness(weights, which=which).products
    assert sum(one.products for one in found) < 6 * alone


@pytest.mark.parametrize("k", [3, 11, 40])
def test_repeated_eigenvalues_take_no_more_products(k: int) -> None:
    """Layers that are the identity, whitened data, 12 outputs: each comes up to 12 times."""
    d, depth = 12, 8
    rng = np.random.default_rng(0)
    X = np.sqrt(20) * np.linalg.qr(rng.standard_normal((20, d)))[0]
    readout = rng.standard_normal(d)
    network = dl.Network((d,) * (depth + 1), readout=readout / np.linalg.norm(readout))
    landscape = dl.Landscape(network, dl.Regression(X, rng.standard_normal(20)))
    weights = [np.eye(d) for _ in range(depth)]
    spectrum = np.linalg.eigvalsh(landscape.compressed_hessian(weights))[::-1]
    assert np.sum(np.abs(spectrum - spectrum[1]) < 1e-10) > 2
    for which in ("largest", "lowest"):
        assert check(landscape, weights, k, which) <= len(spectrum)


def test_zeros_take_no_products_of_their_own() -> None:
    problem = make_problem(DEEP, "plain", 50, seed=3)
    weights = [0 * layer if k == 9 else layer for k, layer in enumerate(problem.weights)]
    most = dimension(problem.landscape, weights)
    for k in (10, 30, 100, problem.size):
        found = problem.landscape.eigenvalues(weights, k)
        assert sum(one.products for one in found) <= most


@pytest.mark.parametrize("case", CASES)
def test_the_limit_is_for_each(case: str) -> None:
    landscape, weights = landscape_of(case)
    for limit in (1, 2, 5):
        one = landscape.sharpness(weights, 1e-14, max_products=limit)
        assert one.products <= limit
        assert not one.converged
        found = landscape.eigenvalues(weights, 4, 1e-14, max_products=limit)
        assert len(found) == 4
        assert all(one.products <= limit for one in found)


def test_without_convergence_the_whole_space() -> None:
    """A tolerance that no residual meets: Lanczos ends with the space, at a dimension above 256."""
    landscape, weights = landscape_of("gelu of 280")
    spectrum = np.linalg.eigvalsh(landscape.hessian(weights))
    for which, expected in (("largest", spectrum[-1]), ("lowest", spectrum[0])):
        one = landscape.sharpness(weights, 1e-300, which=which)
        assert one.products <= landscape.network.parameters + 1
        assert one.value == pytest.approx(expected, rel=1e-12)


def test_any_size_of_the_risk() -> None:
    """Products far from one are computed with in another unit."""
    problem = make_problem((9, 9, 1), "plain", 50, seed=3)
    for scale in (1e-50, 1e50):
        scaled = Problem(
            scale * problem.X, scale * problem.y, problem.widths, None, problem.weights
        )
        for samples in (False, True):
            landscape = dl.Landscape(scaled.network, scaled.regression, samples=samples)
            assert check(landscape, list(problem.weights), 4, "largest") <= 90


def test_not_finite() -> None:
    landscape = dl.Landscape(
        dl.Network((9, 9, 1), activation="gelu"), dl.gaussian_regression(n=20, d=9, seed=0)
    )
    weights = [1e200 * layer for layer in dl.init.Gaussian(1.0).sample(landscape.network, 0)]
    for one in landscape.eigenvalues(weights, 3):
        assert np.isnan(one.value)
        assert not one.converged
