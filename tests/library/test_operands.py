"""Operands of the Hessian as an operator of SciPy: masked entries are not uncovered."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from strategies import make_problem

PROBLEM = make_problem((3, 4, 1), "plain", 8, seed=1)
OPERATOR = PROBLEM.landscape.hessian_operator(PROBLEM.weights)


def ones(*shape: int, masked: Any = np.ma.nomask) -> Any:
    array = np.ma.array(np.ones(shape), mask=False)
    if masked is not np.ma.nomask:
        array[masked] = np.ma.masked
    return array


@pytest.mark.parametrize(
    ("product", "shape", "where"),
    [
        (lambda x: OPERATOR @ x, (16,), (3,)),
        (lambda x: OPERATOR * x, (16,), (3,)),
        (lambda x: OPERATOR(x), (16,), (3,)),
        (lambda x: x @ OPERATOR, (16,), (3,)),
        (lambda x: OPERATOR.T @ x, (16,), (3,)),
        (lambda x: OPERATOR @ x, (16, 2), (3, 1)),
        (lambda x: x @ OPERATOR, (2, 16), (1, 3)),
        (OPERATOR.dot, (16,), (3,)),
        (OPERATOR.matvec, (16,), (3,)),
        (OPERATOR.rmatvec, (16,), (3,)),
        (OPERATOR.matmat, (16, 2), (3, 1)),
        (OPERATOR.rmatmat, (16, 2), (3, 1)),
        (lambda x: OPERATOR @ list(x), (16, 2), (3, 1)),
        (lambda x: OPERATOR.matmat(list(x)), (16, 2), (3, 1)),
    ],
)
def test_masked_operands(
    product: Callable[[Any], Any], shape: tuple[int, ...], where: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match=rf"^[xX] is masked at index {re.escape(str(where))}; "):
        product(ones(*shape, masked=where))
    np.testing.assert_array_equal(product(ones(*shape)), product(np.ones(shape)))
