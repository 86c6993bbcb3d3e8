"""Checks of arguments: one sentence per error, with the name, what came and what is taken.

A value of the wrong kind (a string, a complex number, an object, a bool where a number is meant)
is a `TypeError`; a value of the right kind that does not fit is a `ValueError`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from typing import Any, TypeVar, overload

import numpy as np
import numpy.typing as npt

from deeplinear import _core

FloatArray = npt.NDArray[np.float64]

#: A field that takes one number, or several of them for a sweep.
Numbers = float | Sequence[float] | npt.NDArray[Any]
#: A field that takes one name, or several of them for a sweep.
Names = str | Sequence[str]

T = TypeVar("T")

_DIMENSIONS = ("zero", "one", "two", "three")


def describe(value: object) -> str:
    """Say in a few words what was given: a scalar by its value, the rest by kind and shape."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (str, bool, int, float, complex)):
        text = repr(value)
        return text if len(text) <= 60 else text[:57] + "..."
    shape = getattr(value, "shape", None)
    kind = type(value).__name__
    if isinstance(shape, tuple):
        return f"{kind} of shape {shape}"
    if isinstance(value, (list, tuple)):
        return f"{kind} of length {len(value)}"
    return f"an object of type {kind}"


def finite_array(name: str, value: object, ndim: int | None, shape: str = "") -> FloatArray:
    """Convert to a C-contiguous float64 array of finite numbers.

    Parameters
    ----------
    name : str
        The argument's name, for the error.
    value : array_like
        Integers, booleans, lists, non-contiguous and read-only arrays are converted. The result
        may share the memory of `value`.
    ndim : int or None
        The number of dimensions, 0 to 3; None takes any.
    shape : str, optional
        The shape in words or symbols, such as ``"(n, d)"``, for the error.

    Raises
    ------
    TypeError
        If the entries are not booleans, integers or real floating-point numbers.
    ValueError
        If the array is ragged, empty, of another number of dimensions, or not finite.
    """
    what = "an array" if ndim is None else f"a {_DIMENSIONS[ndim]}-dimensional array"
    takes = f"{name} must be {what} of finite numbers" + (f", shape {shape}" if shape else "")
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(f"{takes}; got {describe(value)} with rows of unequal shape.") from None
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{takes}; got {describe(value)} with dtype {array.dtype}.")
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{takes}; got shape {array.shape}.")
    if array.size == 0:
        raise ValueError(f"{takes}; got an empty array, shape {array.shape}.")
    with np.errstate(over="ignore"):  # a long double beyond float64 becomes inf, refused below
        array = np.require(array, np.float64, ("C", "ALIGNED"))
    finite = np.isfinite(array)
    if not finite.all():
        where = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise ValueError(f"{takes}; got {array[where]} at index {where}.")
    return array


def all_finite(array: npt.NDArray[Any]) -> bool:
    """Say whether all entries of a C-contiguous float array are finite, at the speed of memory."""
    return _core.all_finite(array, _core.build_config()["threads"])


def read_only(array: FloatArray) -> FloatArray:
    """Copy to a C-contiguous array that cannot be written."""
    array = np.array(array, dtype=np.float64, order="C")
    array.setflags(write=False)
    return array


def _finite_number(takes: str, value: object) -> float:
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, (int, float, np.floating)):
        raise TypeError(f"{takes}; got {describe(value)}.")
    try:
        number = float(value)
    except OverflowError:  # an integer beyond float64
        number = np.inf
    if not np.isfinite(number):
        raise ValueError(f"{takes}; got {describe(value)}.")
    return number


def positive(name: str, value: object) -> float:
    """Take a finite number above zero."""
    takes = f"{name} must be a positive finite number"
    number = _finite_number(takes, value)
    if number <= 0:
        raise ValueError(f"{takes}; got {describe(value)}.")
    return number


def non_negative(name: str, value: object) -> float:
    """Take a finite number that is zero or above."""
    takes = f"{name} must be a non-negative finite number"
    number = _finite_number(takes, value)
    if number < 0:
        raise ValueError(f"{takes}; got {describe(value)}.")
    return number


def _integer(takes: str, value: object, least: int) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        integer = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{takes}; got {describe(value)}.") from None
    if integer < least:
        raise ValueError(f"{takes}; got {describe(value)}.")
    return integer


def positive_integer(name: str, value: object) -> int:
    """Take an integer of 1 or more, NumPy's included; a float is refused, even a whole one."""
    return _integer(f"{name} must be a positive integer", value, 1)


def non_negative_integer(name: str, value: object) -> int:
    """Take an integer of 0 or more, NumPy's included; a float is refused, even a whole one."""
    return _integer(f"{name} must be a non-negative integer", value, 0)


def one_of(name: str, value: object, choices: Sequence[str]) -> str:
    """Take one of the names in `choices`."""
    names = [repr(choice) for choice in choices]
    takes = f"{name} must be " + (f"one of {', '.join(names)}" if len(names) > 1 else names[0])
    if not isinstance(value, str):
        raise TypeError(f"{takes}; got {describe(value)}.")
    if value not in choices:
        raise ValueError(f"{takes}; got {describe(value)}.")
    return str(value)


def truth(name: str, value: object) -> bool:
    """Take True or False, NumPy's included."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False; got {describe(value)}.")
    return bool(value)


def instance_of(name: str, value: object, kind: type[T]) -> T:
    """Take an instance of the class `kind`."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be of type {kind.__name__}; got {describe(value)}.")
    return value


def scalar_or_sequence(
    name: str, value: object, check: Callable[[str, object], T]
) -> T | tuple[T, ...]:
    """Take one value, or a sequence of values, which becomes a tuple.

    Parameters
    ----------
    name : str
        The argument's name, for the error; entry i of a sequence is called ``name[i]``.
    value : object
        One value, or a non-empty list, tuple, range or one-dimensional array.
    check : callable
        Called as ``check(name, value)`` on each value; returns the value to keep.
    """
    if isinstance(value, (list, tuple, range)) or getattr(value, "ndim", None) == 1:
        entries: Iterable[object] = value  # type: ignore[assignment]
        values = tuple(check(f"{name}[{i}]", entry) for i, entry in enumerate(entries))
        if not values:
            raise ValueError(f"{name} must be one value or a non-empty sequence; got an empty one.")
        return values
    return check(name, value)


@overload
def single(name: str, value: Numbers) -> float: ...
@overload
def single(name: str, value: Names) -> str: ...
def single(name: str, value: Numbers | Names) -> float | str:
    """Return the value of a field made by `scalar_or_sequence`, where one value is needed.

    Raises
    ------
    ValueError
        If the field holds a sequence.
    """
    if isinstance(value, (float, str)):
        return value
    raise ValueError(
        f"{name} must be one value here; got a sequence of {len(value)}, which only a sweep takes."
    )


def sequence_fields(configuration: object) -> dict[str, tuple[Any, ...]]:
    """Return the fields of a dataclass that hold a sequence, in the order of the fields."""
    names = [field.name for field in fields(configuration)]  # type: ignore[arg-type]
    values = {name: getattr(configuration, name) for name in names}
    return {name: value for name, value in values.items() if isinstance(value, tuple)}
