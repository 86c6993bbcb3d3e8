from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from deeplinear import theory
from deeplinear.network import Network
from deeplinear.regression import Regression, gaussian_regression
from reference import Reference, sharpness_at_minimizer
from strategies import minimizing_weights, random_problem

DEPTHS = [1, 2, 3, 7, 10]
FUNCTIONS = [
    theory.sharpness_lower_bound,
    theory.sharpness_upper_bound,
    theory.aligned_sharpness,
    theory.small_scale_sharpness_bound,
    theory.critical_learning_rate,
]


def regression_of(n: int, d: int, seed: int, norm: float) -> Regression:
    """Gaussian data whose minimizer has this norm."""
    data = gaussian_regression(n=n, d=d, seed=seed)
    return Regression(data.X, norm * data.y)


def quantities(regression: Regression) -> tuple[np.ndarray, np.ndarray, float, float, float]:
    """C, v, |w*|, a and Lambda from the data, by other routes than the package's."""
    X, y = regression.X, regression.y
    w = np.linalg.lstsq(X, y, rcond=None)[0]
    norm = float(np.linalg.norm(w))
    v = w / norm
    C = X.T @ X / len(X)
    # a = |X v|^2 / n, Lambda = |X|^2 / n
    return C, v, norm, float(np.mean((X @ v) ** 2)), float(np.linalg.norm(X, 2) ** 2 / len(X))


def test_values_by_hand() -> None:
    # C = diag(4, 1) and w* = (0, 8): |w*| = 8, a = 1, Lambda = 4; at L = 3, |w*|^(4/3) = 16
    regression = Regression(np.sqrt(2) * np.array([[2.0, 0.0], [0.0, 1.0]]), [0.0, 8 * np.sqrt(2)])
    assert theory.curvature_along_minimizer(regression) == pytest.approx(1.0, rel=1e-14)
    assert theory.sharpness_lower_bound(regression, 3) == pytest.approx(96.0, rel=1e-14)
    expected = 32 * np.sqrt(3 * (16 + 2))
    assert theory.sharpness_upper_bound(regression, 3) == pytest.approx(expected, rel=1e-14)
    # diag(4, 1 + 2): the direction away from the minimizer is the sharper one
    assert theory.aligned_sharpness(regression, 3) == pytest.approx(128.0, rel=1e-14)
    # at L = 10, |w*|^(9/5), diag(4, 10)
    expected = 20 * 8**1.8
    assert theory.aligned_sharpness(regression, 10) == pytest.approx(expected, rel=1e-14)
    assert theory.small_scale_sharpness_bound(regression, 3) == pytest.approx(1536.0, rel=1e-14)
    assert theory.critical_learning_rate(regression, 3) == pytest.approx(1 / 48, rel=1e-14)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(("n", "d"), [(50, 5), (5, 12), (9, 1), (1, 3)])
@pytest.mark.parametrize("norm", [1.0, 0.01, 20.0])
def test_formulas(n: int, d: int, norm: float, depth: int) -> None:
    regression = regression_of(n, d, 1, norm)
    C, v, size, a, largest = quantities(regression)
    power = size ** (2 - 2 / depth)
    # The condition number of X on its range is below 10, so all agree to some 100 eps.
    close = {"rel": 1e-12}
    assert theory.curvature_along_minimizer(regression) == pytest.approx(a, **close)
    lower = 2 * depth * a * power
    assert theory.sharpness_lower_bound(regression, depth) == pytest.approx(lower, **close)
    assert theory.critical_learning_rate(regression, depth) == pytest.approx(2 / lower, **close)
    upper = 2 * power * np.sqrt(depth * (largest**2 + (depth - 1) * a**2))
    assert theory.sharpness_upper_bound(regression, depth) == pytest.approx(upper, **close)
    small = 8 * depth * largest * power
    assert theory.small_scale_sharpness_bound(regression, depth) == pytest.approx(small, **close)
    # lambda_max(C + (L-1) g g^T) with g = C^(1/2) v, the square root written out
    values, vectors = np.linalg.eigh(C)
    g = vectors @ (np.sqrt(np.clip(values, 0, None)) * (vectors.T @ v))
    aligned = 2 * power * np.linalg.eigvalsh(C + (depth - 1) * np.outer(g, g))[-1]
    # (where C is singular, the root of a zero that rounded to eps meets v, orthogonal to eps)
    assert theory.aligned_sharpness(regression, depth) == pytest.approx(aligned, **close)


@given(
    st.integers(1, 12),
    st.integers(1, 8),
    st.integers(0, 1000),
    st.integers(1, 200),
    st.floats(1e-3, 1e3),
)
def test_bounds_are_in_order(n: int, d: int, seed: int, depth: int, norm: float) -> None:
    regression = regression_of(n, d, seed, norm)
    lower = theory.sharpness_lower_bound(regression, depth)
    aligned = theory.aligned_sharpness(regression, depth)
    upper = theory.sharpness_upper_bound(regression, depth)
    # A small a, of data near a singular one, is known to eps Lambda only; some 100 eps of Lambda.
    slack = 1e-13 * theory.small_scale_sharpness_bound(regression, depth)
    assert lower <= aligned + slack
    assert aligned <= upper + slack
    assert upper <= theory.small_scale_sharpness_bound(regression, depth)


def test_bounds_meet_at_large_depth() -> None:
    regression = gaussian_regression()
    lower, upper = (
        [bound(regression, depth) for depth in (10, 1000, 100_000)]
        for bound in (theory.sharpness_lower_bound, theory.sharpness_upper_bound)
    )
    ratios = np.array(upper) / np.array(lower)
    # sqrt((Lambda^2 + (L-1) a^2) / (L a^2)) is 1 + ((Lambda / a)^2 - 1) / (2 L) to first order
    excess = (regression.eigenvalues[-1] / theory.curvature_along_minimizer(regression)) ** 2 - 1
    assert np.all(np.diff(ratios) < 0)
    # the next order is a relative excess / (4 L), below 1e-4 at the largest L
    assert ratios[-1] - 1 == pytest.approx(excess / 200_000, rel=1e-4)


@pytest.mark.parametrize("readout", [None, "unit", "long"])
@pytest.mark.parametrize(
    "hidden", [(), (3,), (5, 1, 4), (1, 1, 1), (4,) * 9], ids=["L1", "L2", "L4", "narrow", "L10"]
)
@pytest.mark.parametrize(("n", "d"), [(40, 4), (3, 8)])
def test_aligned_minimizer(n: int, d: int, hidden: tuple[int, ...], readout: str | None) -> None:
    regression = regression_of(n, d, 2, 1.7)
    p = None if readout is None else np.array([0.6, -0.8]) * (1 if readout == "unit" else 5.0)
    network = Network((d, *hidden, 1 if p is None else 2), readout=p)
    weights = theory.aligned_minimizer(network, regression)
    assert [W.shape for W in weights] == network.shapes

    reference = Reference(regression.X, regression.y, network.widths, p)
    # the root of depth L and its power: some 10 L eps
    w = reference.end_to_end(weights).astype(float)
    np.testing.assert_allclose(w, regression.minimizer, rtol=0, atol=1e-13)

    norms = [np.linalg.norm(W) for W in weights]
    np.testing.assert_allclose(norms, norms[0], rtol=1e-14)
    for W in weights:
        s = np.linalg.svd(W, compute_uv=False)
        assert np.all(s[1:] <= 1e-15 * s[0])
    for lower, upper in pairwise(weights):
        left, right = np.linalg.svd(lower)[0][:, 0], np.linalg.svd(upper)[2][0]
        assert abs(left @ right) == pytest.approx(1.0, rel=1e-14)

    if readout != "long":
        # the whole Hessian, entry by entry: a dense eigensolver of up to 160 rows, some 100 eps
        sharpness = reference.spectrum(weights)[-1]
        assert theory.aligned_sharpness(regression, network.depth) == pytest.approx(
            sharpness, rel=1e-12
        )


@pytest.mark.parametrize("seed", range(40))
def test_minimizers_are_no_flatter_than_the_bound(seed: int) -> None:
    problem = random_problem(seed, max_depth=8, max_width=6, readout=("plain", "unit")[seed % 2])
    weights = minimizing_weights(problem)
    sharpness = sharpness_at_minimizer(problem.reference, weights)
    lower = theory.sharpness_lower_bound(Regression(problem.X, problem.y), problem.depth)
    # equality at a balanced chain of width 1; rounding otherwise, with condition numbers to 1e3
    assert sharpness >= lower * (1 - 1e-9)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    ("depth", "error", "got"),
    [
        (0, ValueError, "0"),
        (-2, ValueError, "-2"),
        (2.0, TypeError, "2.0"),
        (True, TypeError, "True"),
        ("3", TypeError, "'3'"),
        (None, TypeError, "None"),
    ],
)
def test_bad_depth(function: Any, depth: Any, error: type[Exception], got: str) -> None:
    message = f"depth must be a positive integer; got {got}."
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        function(gaussian_regression(), depth)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_bad_regression(function: Any) -> None:
    zero = Regression(np.ones((2, 1)), [1.0, -1.0])
    with pytest.raises(ValueError, match=r"^regression must have a minimizer that is not zero"):
        function(zero, 3)
    with pytest.raises(TypeError, match=r"^regression must be of type Regression; got 1\.0\.$"):
        function(1.0, 3)


def test_bad_arguments_of_the_aligned_minimizer() -> None:
    regression = gaussian_regression()
    message = "network must have as many inputs as the regression, 5; got widths (4, 1)."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        theory.aligned_minimizer(Network((4, 1)), regression)
    with pytest.raises(TypeError, match=r"^network must be of type Network; got tuple of length"):
        theory.aligned_minimizer((5, 1), regression)  # type: ignore[arg-type]
    zero = Regression(np.ones((2, 1)), [1.0, -1.0])
    with pytest.raises(ValueError, match=r"^regression must have a minimizer that is not zero"):
        theory.aligned_minimizer(Network((1, 1)), zero)
    with pytest.raises(ValueError, match=r"^regression must have a minimizer that is not zero"):
        theory.curvature_along_minimizer(zero)
