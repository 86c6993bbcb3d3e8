"""Bounds on the sharpness at minimizers of deep linear networks, and the flattest one known.

The sharpness is the largest eigenvalue of the Hessian of the risk ``R = |y - X w|^2 / n`` over all
entries of all L layers. With ``C = X^T X / n``, whose largest eigenvalue is ``Lambda``, and the
least-squares minimizer ``w*``, the one of smallest norm where C is singular, the bounds depend on
the data through ``Lambda``, ``|w*|`` and ``a = v^T C v``, ``v = w* / |w*|``, only. They hold for
one output, with a unit readout vector.

Every function raises a `TypeError` for arguments of another kind, and a `ValueError` if the
minimizer is zero (then ``a`` is undefined) or the depth is not positive.

Source: Marion and Chizat, "Deep linear networks for regression are implicitly regularized towards
flat minima", NeurIPS 2024.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from deeplinear._support.checks import FloatArray, instance_of, positive_integer
from deeplinear.network import Network
from deeplinear.regression import Regression

__all__ = [
    "BOUNDS",
    "aligned_minimizer",
    "aligned_sharpness",
    "critical_learning_rate",
    "curvature_along_minimizer",
    "sharpness_lower_bound",
    "sharpness_upper_bound",
    "small_scale_sharpness_bound",
]


def _polar(regression: Regression) -> tuple[float, FloatArray]:
    """Norm |w*| and direction v = w* / |w*|, (d,), of the minimizer."""
    w = instance_of("regression", regression, Regression).minimizer
    norm = float(np.linalg.norm(w))
    if norm == 0:
        raise ValueError(
            "regression must have a minimizer that is not zero, since its direction is undefined "
            "otherwise; got the zero vector."
        )
    return norm, w / norm


def _power(norm: float, depth: int) -> float:
    """|w*|^(2 - 2/L)."""
    return float(norm ** (2 - 2 / depth))


@np.errstate(over="ignore", under="ignore")
def curvature_along_minimizer(regression: Regression) -> float:
    """Curvature of the data along the minimizer, ``a = v^T C v`` with ``v = w* / |w*|``.

    It lies between the smallest and the largest eigenvalue of C.

    Parameters
    ----------
    regression : Regression
        The data.

    Returns
    -------
    float
        ``a``, in units of the inputs squared.
    """
    norm, v = _polar(regression)
    if regression._by_modes:
        return regression._excess_of_zero / norm**2  # v^T C v would cancel
    return float(v @ regression.covariance @ v)


@np.errstate(over="ignore", under="ignore")
def sharpness_lower_bound(regression: Regression, depth: int) -> float:
    """Lower bound on the sharpness of every minimizer, ``2 L a |w*|^(2-2/L)``.

    Parameters
    ----------
    regression : Regression
        The data.
    depth : int
        The number L of layers, at least 1.

    Returns
    -------
    float
        No minimizer of a network of this depth has a smaller sharpness.
    """
    depth = positive_integer("depth", depth)
    norm, _ = _polar(regression)
    return 2 * depth * curvature_along_minimizer(regression) * _power(norm, depth)


@np.errstate(over="ignore", under="ignore")
def sharpness_upper_bound(regression: Regression, depth: int) -> float:
    """Upper bound on the sharpness of the flattest minimizer.

    ``2 |w*|^(2-2/L) sqrt(L (Lambda^2 + (L-1) a^2))``. The aligned rank-one minimizer, see
    `aligned_minimizer`, satisfies it; its ratio to the lower bound goes to 1 as L grows.

    Parameters
    ----------
    regression, depth
        As of `sharpness_lower_bound`.

    Returns
    -------
    float
        There is a minimizer whose sharpness is at most this.
    """
    depth = positive_integer("depth", depth)
    norm, _ = _polar(regression)
    a, largest = curvature_along_minimizer(regression), float(regression.eigenvalues[-1])
    return 2 * _power(norm, depth) * math.sqrt(depth * (largest**2 + (depth - 1) * a**2))


@np.errstate(over="ignore", under="ignore")
def aligned_sharpness(regression: Regression, depth: int) -> float:
    """Exact sharpness of the aligned rank-one minimizer.

    ``2 |w*|^(2-2/L) lambda_max(C + (L-1) C^(1/2) v v^T C^(1/2))``, see `aligned_minimizer`.

    Parameters
    ----------
    regression, depth
        As of `sharpness_lower_bound`.

    Returns
    -------
    float
        Between the lower and the upper bound.
    """
    depth = positive_integer("depth", depth)
    norm, v = _polar(regression)
    # C^(1/2) M C^(1/2) with M = I + (L-1) v v^T has the eigenvalues of
    # F M F^T = F F^T + (L-1) (F v) (F v)^T, (r, r), C = F^T F, F v = c / |w*|,
    if regression._by_modes:
        F, c = regression._factor
        M = F @ F.T + (depth - 1) * np.outer(c, c) / norm**2
        return 2 * _power(norm, depth) * float(np.linalg.eigvalsh(M)[-1])
    # and of M^(1/2) C M^(1/2), where M^(1/2) = I + (sqrt(L) - 1) v v^T, (d, d).
    root = np.eye(len(v)) + (math.sqrt(depth) - 1) * np.outer(v, v)
    largest = np.linalg.eigvalsh(root @ regression.covariance @ root)[-1]
    return 2 * _power(norm, depth) * float(largest)


@np.errstate(over="ignore", under="ignore")
def small_scale_sharpness_bound(regression: Regression, depth: int) -> float:
    """Bound on the sharpness that gradient flow ends at, ``8 L Lambda |w*|^(2-2/L)``.

    It holds for gradient flow from a Gaussian initialization of small scale.

    Parameters
    ----------
    regression, depth
        As of `sharpness_lower_bound`.

    Returns
    -------
    float
        The sharpness at the limit of the flow is at most this.
    """
    depth = positive_integer("depth", depth)
    norm, _ = _polar(regression)
    return 8 * depth * float(regression.eigenvalues[-1]) * _power(norm, depth)


def critical_learning_rate(regression: Regression, depth: int) -> float:
    """Learning rate above which gradient descent cannot settle on a minimizer.

    ``1 / (L a |w*|^(2-2/L))``, which is 2 over `sharpness_lower_bound`.

    Parameters
    ----------
    regression, depth
        As of `sharpness_lower_bound`.

    Returns
    -------
    float
        The threshold.
    """
    return 2 / sharpness_lower_bound(regression, depth)


@np.errstate(over="ignore", under="ignore")
def aligned_minimizer(network: Network, regression: Regression) -> list[FloatArray]:
    """Weights of a minimizer whose layers have rank one, equal norm and aligned singular vectors.

    ``W_1 = s e_1 v^T``, ``W_k = s e_1 e_1^T`` in between, ``W_L = s (p/|p|) e_1^T``, with
    ``v = w* / |w*|``, the readout p and ``s = (|w*| / |p|)^(1/L)``, so that the end-to-end map is
    w* for any readout. With a unit readout its sharpness is `aligned_sharpness`.

    Parameters
    ----------
    network : Network
        A linear network that has as many inputs as the data.
    regression : Regression
        The data.

    Returns
    -------
    list of L ndarray, shapes (d_k, d_{k-1})
        The layers, first to last.

    Raises
    ------
    ValueError
        If the network is not linear, its first width is not the number of inputs of the data, or
        the minimizer is zero.
    """
    if not instance_of("network", network, Network).linear:
        raise ValueError(f"network must be linear; got activation {network.activation!r}.")
    norm, v = _polar(regression)
    if network.widths[0] != regression.d:
        raise ValueError(
            f"network must have as many inputs as the regression, {regression.d}; "
            f"got widths {network.widths}."
        )
    p = network.readout_vector
    size = float(np.linalg.norm(p))
    s = (norm / size) ** (1 / network.depth)
    # directions x_0 = v, x_1, ..., x_L = p/|p|, (d_k,); W_k = s x_k x_{k-1}^T
    hidden = [np.eye(width)[0] for width in network.widths[1:-1]]
    directions = [v, *hidden, p / size]
    return [
        s * np.outer(left, right)
        for left, right in zip(directions[1:], directions[:-1], strict=True)
    ]


#: What the theory says of data at a depth: name -> (what it is, function of regression and depth).
#: Every run of an experiment has all of these.
BOUNDS: Mapping[str, tuple[str, Callable[[Regression, int], float]]] = MappingProxyType(
    {
        "sharpness_lower_bound": (
            "lower bound on the sharpness of every minimizer",
            sharpness_lower_bound,
        ),
        "aligned_sharpness": ("sharpness of the aligned rank-one minimizer", aligned_sharpness),
        "sharpness_upper_bound": (
            "upper bound on the sharpness of the flattest minimizer",
            sharpness_upper_bound,
        ),
        "small_scale_sharpness_bound": (
            "bound on the sharpness that the flow from small weights ends at",
            small_scale_sharpness_bound,
        ),
        "critical_learning_rate": (
            "learning rate above which no descent settles on a minimizer",
            critical_learning_rate,
        ),
    }
)
