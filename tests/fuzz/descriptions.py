"""Values of fuzzed calls, made from descriptions that JSON holds.

A case is ``{"call": name, "setting": {...}, "arguments": {name: description}}``. The setting
decides the right value of every argument, and a description what is passed in its place:

    {"changes": [name, ...]}               the right value, after some changes
    {"changes": [name, ...], "layer": k}   the same, with layer k of the weights alone changed
    {"odd": name}                          an object that no argument takes, or one that lies
    anything else                          itself
"""

from __future__ import annotations

import contextlib
import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Case = dict[str, Any]


class OwnError(Exception):
    """What the odd objects raise; a call may let it through."""


class Subclass(np.ndarray):
    pass


class ArrayProtocol:
    def __init__(self, array: Array) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        return self.array if dtype is None else self.array.astype(dtype)


def _strided(x: Array) -> Array:
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    return wide[..., ::2]


def _read_only(x: Array) -> Array:
    copy = x.copy()
    copy.flags.writeable = False
    return copy


def _shifted(x: Array) -> Array:
    """Begin at an odd address."""
    memory = np.zeros(x.nbytes + 1, np.uint8)
    view = memory[1:].view(x.dtype).reshape(x.shape)
    view[...] = x
    return view


def _with(value: float) -> Callable[[Array], Array]:
    def change(x: Array) -> Array:
        copy = np.array(x, np.float64)
        copy.reshape(-1)[copy.size // 2] = value
        return copy

    return change


def _masked(x: Array) -> Array:
    mask = np.zeros(x.shape, bool)
    mask.reshape(-1)[-1] = True
    return np.ma.array(x, mask=mask)


#: The same numbers in another form
SAME: dict[str, Callable[[Array], Any]] = {
    "fortran": np.asfortranarray,
    "strided": _strided,
    "reversed": lambda x: x[..., ::-1].copy()[..., ::-1],
    "read-only": _read_only,
    "shifted": _shifted,
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "long double": lambda x: x.astype(np.longdouble),
    "list": lambda x: x.tolist(),
    "subclass": lambda x: x.view(Subclass),
    "array protocol": ArrayProtocol,
}
#: What no argument that takes an array of real numbers takes
BROKEN: dict[str, Callable[[Array], Any]] = {
    "nan": _with(np.nan),
    "infinite": _with(np.inf),
    "masked": _masked,
    "shorter": lambda x: x[..., :-1],
    "longer": lambda x: np.concatenate([x, x], axis=-1),
    "empty": lambda x: x[..., :0],
    "complex": lambda x: x + 1j,
    "strings": lambda x: x.astype(str),
    "times": lambda x: np.zeros(x.shape, "datetime64[s]"),
    "ragged": lambda x: [[1.0], [1.0, 2.0]],
    "void": lambda x: np.zeros(x.shape, "V8"),
}
#: What some take
ANY: dict[str, Callable[[Array], Any]] = {
    "float32": lambda x: x.astype(np.float32),
    "float16": lambda x: x.astype(np.float16),
    "integers": lambda x: np.rint(x).astype(np.int64),
    "unsigned": lambda x: np.abs(x).astype(np.uint8),
    "bool": lambda x: x > 0,
    "objects": lambda x: x.astype(object),
    "zeros": np.zeros_like,
    "large": lambda x: x * 1e200,
    "small": lambda x: x * 1e-200,
    "negative": lambda x: -x,
    "transposed": np.transpose,
    "more axes": lambda x: x[None],
    "fewer axes": lambda x: x.reshape(-1),
    "no axes": lambda x: x.reshape(-1)[0] if x.size else x,
    "broadcast": lambda x: np.broadcast_to(x, (2, *x.shape)),
    "not a number in bits": lambda x: np.full_like(x, np.nan, dtype=np.float64),
}
CHANGES = SAME | BROKEN | ANY


class _Lying(list[Any]):
    """A list that says it is longer than it is."""

    def __len__(self) -> int:
        return 2**62


class _Sequence:
    def __init__(self, length: Callable[[], int]) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length()

    def __getitem__(self, index: int) -> int:
        if index > 4:
            raise IndexError
        return 3


def _raise(*arguments: Any, **options: Any) -> Any:
    raise OwnError("an object of the caller's raised this")


class _Raises:
    __array__ = __index__ = __float__ = __len__ = __iter__ = __getitem__ = __bool__ = _raise
    __str__ = object.__repr__


class _Index:
    def __index__(self) -> int:
        return 2


class _IndexRaises:
    __index__ = _raise


class _FloatRaises:
    __float__ = _raise


class _ShapeLies:
    shape = (3, 3)
    ndim = 2
    dtype = np.dtype(float)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        return np.zeros(1)


def _recursive() -> list[Any]:
    inside: list[Any] = [1.0]
    inside.append(inside)
    return inside


ODD: dict[str, Callable[[], Any]] = {
    "object": object,
    "lying list": lambda: _Lying([3, 4, 1]),
    "long sequence": lambda: _Sequence(lambda: 2**62),
    "short sequence": lambda: _Sequence(lambda: 1),
    "length below zero": lambda: _Sequence(lambda: -1),
    "length raises": lambda: _Sequence(_raise),
    "raises": _Raises,
    "index": _Index,
    "index raises": _IndexRaises,
    "float raises": _FloatRaises,
    "shape lies": _ShapeLies,
    "recursive list": _recursive,
    "surrogate": lambda: "\ud800",
    "zero byte": lambda: "risk\0",
    "bytes": lambda: b"risk",
    "set": lambda: {1, 2},
    "dictionary": lambda: {"a": 1},
    "generator": lambda: (x for x in (1, 2, 3)),
    "function": lambda: len,
    "class": lambda: np.ndarray,
    "numpy integer": lambda: np.int32(2),
    "numpy float": lambda: np.float32(0.5),
    "numpy bool": lambda: np.bool_(True),
    "numpy time": lambda: np.datetime64(1, "s"),
    "array of no axes": lambda: np.array(2.0),
    "array of objects": lambda: np.array([object()], dtype=object),
    "nested": lambda: [[[[1.0]]]],
    "many digits": lambda: 10**400,
    "many digits below zero": lambda: -(10**400),
}
NUMBERS: list[Any] = [
    *(-(2**63) - 1, -(2**31), -1, 0, 1, 2, 3, 7, 2**31 - 1, 2**31, 2**53 + 1, 2**62),
    *(2**63 - 1, 2**63, 2**64, 10**30, True, False, None, "", "1", "risk", [], [1], [1, 2, 3]),
    *(0.0, -0.0, 0.5, 1.0, 2.5, 1e-320, 1e-300, 1e300, float("nan"), float("inf"), -float("inf")),
]


def change_layers(layers: list[Array], description: dict[str, Any]) -> list[Any]:
    one = description.get("layer")
    return [
        changed(layer, description) if one is None or one == k else layer
        for k, layer in enumerate(layers)
    ]


def changed(array: Any, description: dict[str, Any]) -> Any:
    for name in description["changes"]:
        if not isinstance(array, np.ndarray):
            break
        # A change that this array doesn't allow leaves it.
        with warnings.catch_warnings(), contextlib.suppress(TypeError, ValueError, IndexError):
            warnings.simplefilter("ignore")
            array = CHANGES[name](array)
    return array


def build(description: Any, right: Any, odd: dict[str, Callable[[], Any]] | None = None) -> Any:
    """Make the value of an argument; odd are the odd objects of one fuzzer alone."""
    if isinstance(description, dict) and "odd" in description:
        return ((odd or {}) | ODD)[description["odd"]]()
    if isinstance(description, dict) and "changes" in description:
        if isinstance(right, list):
            return change_layers(right, description)
        return changed(right, description)
    return description


def draw_changes(rng: random.Random, layers: int = 0, most: int = 2) -> dict[str, Any]:
    names = rng.choice((tuple(SAME), tuple(SAME), tuple(BROKEN), tuple(ANY)))
    changes = [rng.choice(names) for _ in range(rng.randint(1, most))]
    if layers and rng.random() < 0.7:
        return {"changes": changes, "layer": rng.randrange(layers)}
    return {"changes": changes}


def draw_setting(rng: random.Random, *, small: bool) -> dict[str, Any]:
    """Draw a network and its data, small ones mostly, or always."""
    depth = rng.choice((1, 2, 2, 3, 3, 5, 12))
    widths = [rng.randint(1, 7) for _ in range(depth)]
    activation = rng.choice(("identity", "identity", "gelu", "tanh", "relu"))
    if not small and rng.random() < 0.05:
        widths, activation = [rng.choice((40, 70)) for _ in range(rng.choice((1, 2)))], "identity"
    plain = rng.random() < 0.6
    return {
        "widths": [*widths, 1 if plain else rng.randint(1, 4)],
        "plain": plain,
        "activation": activation,
        "samples": activation != "identity" or rng.random() < 0.3,
        "n": rng.randint(1, 12),
        "tested": rng.random() < 0.6,
        "scale": rng.choice((0.1, 0.5, 1.0)),
        "seed": rng.randrange(1000),
    }
