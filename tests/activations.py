"""Activations s with s' and s'' at z, real or complex.

Where a function has pieces, the real part says which: a complex step then gives the derivative of
the piece that z lies on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def _logistic(x: Array) -> Array:
    """1 / (1 + e^-x), by the form whose exponential is below one."""
    small = np.exp(np.where(x.real > 0, -x, x))
    return np.where(x.real > 0, 1 / (1 + small), small / (1 + small))


def gelu(z: Array) -> Array:
    """z/2 (1 + tanh(u)) = z logistic(2 u), u = sqrt(2/pi) (z + 0.044715 z^3)."""
    return z * _logistic(2 * _gelu_argument(z))


def gelu_slope(z: Array) -> Array:
    """q + 2 z u' q (1 - q), q = logistic(2 u); 1 - q = logistic(-2 u)."""
    u = _gelu_argument(z)
    rise = 2 * _gelu_argument_slope(z) * _logistic(2 * u) * _logistic(-2 * u)
    return _logistic(2 * u) + z * rise


def gelu_curvature(z: Array) -> Array:
    """2 q' + z q'', q' = 2 u' q (1 - q), q'' = 2 u'' q (1 - q) + 2 u' q' (1 - 2 q)."""
    u, slope = _gelu_argument(z), _gelu_argument_slope(z)
    below, above = _logistic(2 * u), _logistic(-2 * u)
    rise = 2 * slope * below * above
    bend = 2 * _gelu_constants(z)[0] * 6 * _gelu_constants(z)[1] * z * below * above
    return 2 * rise + z * (bend + 2 * slope * rise * (above - below))


def _gelu_constants(z: Array) -> tuple[Any, Any]:
    """sqrt(2/pi) and the decimal number 0.044715, in the precision of z."""
    one = z.dtype.type(1)
    return np.sqrt(1 / np.arctan(one) / 2), 44715 * one / 1000000


def _gelu_argument(z: Array) -> Array:
    root, cubic = _gelu_constants(z)
    return root * (z + cubic * z * z * z)


def _gelu_argument_slope(z: Array) -> Array:
    root, cubic = _gelu_constants(z)
    return root * (1 + 3 * cubic * z * z)


def tanh_slope(z: Array) -> Array:
    """1 - tanh^2 = 4 logistic(2 z) logistic(-2 z), which does not cancel."""
    return 4 * _logistic(2 * z) * _logistic(-2 * z)


def tanh_curvature(z: Array) -> Array:
    return -2 * np.tanh(z) * tanh_slope(z)


def relu(z: Array) -> Array:
    return np.where(z.real > 0, z, 0 * z)


def relu_slope(z: Array) -> Array:
    """0 at 0."""
    return (z.real > 0).astype(z.dtype)


ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], ...]] = {
    "gelu": (gelu, gelu_slope, gelu_curvature),
    "tanh": (np.tanh, tanh_slope, tanh_curvature),
    "relu": (relu, relu_slope, np.zeros_like),
    "identity": (lambda z: z, np.ones_like, np.zeros_like),
}


def in_jax(jax: Any, activation: str) -> Any:
    """The same by another hand."""
    return {"gelu": jax.nn.gelu, "tanh": jax.numpy.tanh, "relu": jax.nn.relu}[activation]
