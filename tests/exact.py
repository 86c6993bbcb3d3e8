"""Least squares in fifty digits: what data hold exactly, to their numerical rank."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mpmath as mp
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
DIGITS = 50


def to_matrix(array: Array) -> mp.matrix:
    return mp.matrix(np.asarray(array, dtype=np.float64).tolist())


class Exact:
    """X = U diag(s) V^T of entries that are taken as they are, cut as `numpy.linalg.pinv` does."""

    def __init__(self, X: Array, y: Array) -> None:
        with mp.workdps(DIGITS):
            self.n, self.d = X.shape
            self.X, self.y = to_matrix(X), to_matrix(y)
            left, s, right = mp.svd_r(self.X)
            cut = max(X.shape) * mp.mpf(2) ** -52 * s[0]
            self.rank = sum(1 for value in s if value > cut)
            self.s = [s[i] for i in range(self.rank)]
            self.right = right[: self.rank, :]
            self.c = [mp.fdot(left[:, i], self.y) for i in range(self.rank)]
            scaled = mp.matrix([c / s for c, s in zip(self.c, self.s, strict=True)])
            self.minimizer = self.right.T * scaled
            self.norm = mp.norm(self.minimizer)
            self.minimum_risk = (mp.fdot(self.y, self.y) - mp.fdot(self.c, self.c)) / self.n
            self.curvature = mp.fdot(self.c, self.c) / self.n / self.norm**2  # a
            self.largest = self.s[0] ** 2 / self.n  # Lambda

    def risk(self, w: Sequence[Any]) -> mp.mpf:
        """|y - X w|^2 / n, from X itself."""
        with mp.workdps(DIGITS):
            residual = self.y - self.X * mp.matrix(w)
            return mp.fdot(residual, residual) / self.n

    def excess(self, w: Sequence[Any]) -> mp.mpf:
        with mp.workdps(DIGITS):
            return self.risk(w) - self.minimum_risk

    def bounds(self, depth: int) -> dict[str, mp.mpf]:
        """What `deeplinear.theory` says, by name."""
        with mp.workdps(DIGITS):
            size = self.norm ** (2 - mp.mpf(2) / depth)
            # diag(s^2 / n) + (L - 1) F v (F v)^T, F v = c / (sqrt(n) |w*|)
            M = mp.matrix(self.rank, self.rank)
            for i in range(self.rank):
                for j in range(self.rank):
                    M[i, j] = (depth - 1) * self.c[i] * self.c[j] / self.n / self.norm**2
                M[i, i] += self.s[i] ** 2 / self.n
            lower = 2 * depth * self.curvature * size
            flattest = depth * (self.largest**2 + (depth - 1) * self.curvature**2)
            return {
                "sharpness_lower_bound": lower,
                "sharpness_upper_bound": 2 * size * mp.sqrt(flattest),
                "aligned_sharpness": 2 * size * max(mp.eigsy(M, eigvals_only=True)),
                "small_scale_sharpness_bound": 8 * depth * self.largest * size,
                "critical_learning_rate": 2 / lower,
            }


def end_to_end(weights: Sequence[Array]) -> list[mp.mpf]:
    """W_1^T .. W_L^T p with p = 1, of weights in either precision."""
    with mp.workdps(DIGITS):
        w = mp.matrix([1])
        for layer in reversed(weights):
            w = to_matrix(layer).T * w
        return list(w)
