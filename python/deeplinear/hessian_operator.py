"""The Hessian as an operator of SciPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse.linalg import LinearOperator

from deeplinear._support.checks import FloatArray, real_array, refuse_masked

__all__ = ["HessianOperator"]


class HessianOperator(LinearOperator):  # type: ignore[misc]  # SciPy ships no types
    """The Hessian H of a landscape at fixed weights, of shape (P, P), real and symmetric.

    Made by `Landscape.hessian_operator` from the product of H with a vector (P,). It can be pickled
    if the product can, as that of a landscape can, with the weights.
    """

    # From the left, NumPy's arrays leave the product to this class.
    __array_ufunc__ = None

    def __init__(self, product: Callable[[FloatArray], FloatArray], size: int) -> None:
        super().__init__(np.dtype(np.float64), (size, size))
        self._product = product

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self._product, self.shape[0])

    # SciPy's own uncover masked entries before it calls _matvec.
    def dot(self, x: Any) -> Any:
        """Multiply with a vector, a matrix, an operator or a number, as do ``@`` and ``*``."""
        refuse_masked("x", x)
        return super().dot(x)

    def __rmul__(self, x: Any) -> Any:
        refuse_masked("x", x)
        return super().__rmul__(x)

    def __rmatmul__(self, x: Any) -> Any:
        # x H = (H x^T)^T; SciPy has it from 1.11 on.
        refuse_masked("x", x)
        if np.isscalar(x):
            raise ValueError("x must be a vector or a matrix for '@', and a number for '*'.")
        return self.dot(np.transpose(x)).T

    def matvec(self, x: Any) -> Any:
        """Multiply with a vector (P,) or (P, 1)."""
        refuse_masked("x", x)
        return super().matvec(x)

    def matmat(self, X: Any) -> Any:
        """Multiply with a matrix (P, k)."""
        refuse_masked("X", X)
        return super().matmat(X)

    def rmatvec(self, x: Any) -> Any:
        """Multiply with a vector, as `matvec`: H is symmetric."""
        return self.matvec(x)

    def rmatmat(self, X: Any) -> Any:
        """Multiply with a matrix, as `matmat`: H is symmetric."""
        return self.matmat(X)

    def _matvec(self, x: npt.NDArray[np.number]) -> npt.NDArray[np.number]:
        if np.iscomplexobj(x):
            product: npt.NDArray[np.number] = self._matvec(x.real) + 1j * self._matvec(x.imag)
            return product
        array = real_array("x", "x must be an array of numbers", x)
        with np.errstate(all="ignore"):  # a long double beyond float64 becomes inf
            direction = np.require(array.reshape(-1), np.float64, ("C", "ALIGNED"))
        return self._product(direction)

    def _rmatvec(self, x: npt.NDArray[np.number]) -> npt.NDArray[np.number]:
        return self._matvec(x)

    def _adjoint(self) -> HessianOperator:
        return self

    def _transpose(self) -> HessianOperator:
        return self
