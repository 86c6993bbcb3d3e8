"""Arrays of one shape, where what they hold has several."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["padded"]


def padded(values: npt.NDArray[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Put NaN after the last layer and the like, up to a shape; the values where they have it."""
    if values.shape == shape:
        return values
    whole = np.full(shape, np.nan, values.dtype)
    whole[tuple(map(slice, values.shape))] = values
    return whole
