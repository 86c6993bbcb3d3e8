"""Arguments to change one by one, and what a refusal says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from strategies import make_problem

WRONG = (ValueError, TypeError)
RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((8, 3)), RNG.standard_normal(8)
X_TEST, Y_TEST = RNG.standard_normal((5, 3)), RNG.standard_normal(5)
WIDTHS = (3, 4, 1)
PROBLEM = make_problem(WIDTHS, "plain", 8, seed=1)
WEIGHTS = PROBLEM.weights


def with_value(array: Any, value: float) -> Any:
    changed = np.array(array, dtype=float)
    changed.flat[1] = value
    return changed


def refused(name: str, call: Callable[[], Any]) -> None:
    """An error of the right kind whose message names the argument and is one line."""
    with pytest.raises(WRONG, match=rf"\b({name})\b") as caught:
        call()
    message = str(caught.value)
    assert message == message.strip()
    assert "\n" not in message
    assert len(message) > len(name) + 10  # a sentence, not the name alone


BAD_WEIGHTS: dict[str, Any] = {
    "too few": WEIGHTS[:1],
    "too many": [*WEIGHTS, WEIGHTS[-1]],
    "none": [],
    "transposed": [layer.T for layer in WEIGHTS],
    "a vector": [WEIGHTS[0], WEIGHTS[1][0]],
    "another width": [WEIGHTS[0][:3], WEIGHTS[1][:, :3]],
}
