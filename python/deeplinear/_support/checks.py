"""Checks of arguments: one sentence per error, with the name, what came and what is taken.

A value of the wrong kind (a string, a complex number, an object, a bool where a number is meant)
is a `TypeError`; a value of the right kind that does not fit is a `ValueError`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from decimal import Decimal
from numbers import Real
from typing import Any, TypeVar, overload

import numpy as np
import numpy.typing as npt

from deeplinear import _core

FloatArray = npt.NDArray[np.float64]

#: A field that takes one number, or several of them for a sweep.
Numbers = float | Sequence[float] | npt.NDArray[Any]
#: A field that takes one integer, or several of them for a sweep.
Counts = int | Sequence[int] | npt.NDArray[Any]
#: A field that takes one name, or several of them for a sweep.
Names = str | Sequence[str]
#: A field that is true or false, or a sequence of such.
Truths = bool | Sequence[bool] | npt.NDArray[Any]

#: Whole numbers up to here are exact in float64; no count goes beyond.
LARGEST_COUNT = 2**53

T = TypeVar("T")

_DIMENSIONS = ("zero", "one", "two", "three")


def describe(value: object) -> str:
    """Say in a few words what was given: a scalar by its value, the rest by kind and shape."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (str, bool, int, float, complex)):
        try:
            text = repr(value)
        except ValueError:  # Python writes no integer of thousands of digits
            return f"an integer of {int(value).bit_length():,} bits"  # type: ignore[arg-type]
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
        What `real_array` takes. The result may share the memory of `value`.
    ndim : int or None
        The number of dimensions, 0 to 3; None takes any.
    shape : str, optional
        The shape in words or symbols, such as ``"(n, d)"``, for the error.

    Raises
    ------
    TypeError
        If the entries are not booleans, integers or real floating-point numbers.
    ValueError
        If the array is ragged, empty, masked, of another number of dimensions, or not finite.
    """
    what = "an array" if ndim is None else f"a {_DIMENSIONS[ndim]}-dimensional array"
    takes = f"{name} must be {what} of finite numbers" + (f", shape {shape}" if shape else "")
    array = real_array(name, takes, value)
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{takes}; got shape {array.shape}.")
    if array.size == 0:
        raise ValueError(f"{takes}; got an empty array, shape {array.shape}.")
    with np.errstate(all="ignore"):  # a long double beyond float64 becomes inf, refused below
        array = np.require(array, np.float64, ("C", "ALIGNED"))
    finite = np.isfinite(array)
    if not finite.all():
        where = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise ValueError(f"{takes}; got {array[where]} at index {where}.")
    return array


def real_array(name: str, takes: str, value: object) -> npt.NDArray[Any]:
    """Convert to an array of booleans, integers or real floating-point numbers of NumPy.

    Parameters
    ----------
    name : str
        The argument's name, for the error.
    takes : str
        What it must be, the beginning of the error's sentence.
    value : array_like
        Arrays of any layout, lists, data frames and series; objects that are real numbers, such as
        fractions, become float64. What is missing there, None or pandas' NA, becomes NaN.

    Raises
    ------
    TypeError
        If an entry is something else.
    ValueError
        If the rows are of unequal length, or an entry is masked.
    """
    refuse_masked(name, value)
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(f"{takes}; got {describe(value)} with rows of unequal shape.") from None
    except TypeError:
        raise TypeError(f"{takes}; got {describe(value)}.") from None
    if array.dtype.kind == "O":
        array = _from_objects(takes, value, array)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{takes}; got {describe(value)} with dtype {array.dtype}.")
    return array


def refuse_masked(name: str, value: object) -> None:
    """Raise a ValueError where an entry is masked: `numpy.asarray` would uncover it."""
    where = _first_masked(value)
    if where is not None:
        place = f" at index {where}" if where else ""
        raise ValueError(f"{name} is masked{place}; fill or drop the masked entries.")


def _first_masked(value: object, depth: int = 0) -> tuple[int, ...] | None:
    if isinstance(value, np.ma.MaskedArray):
        masked = np.argwhere(np.ma.getmaskarray(value))
        return tuple(masked[0].tolist()) if len(masked) else None
    # no array has more axes, but a list may hold itself
    if isinstance(value, (list, tuple)) and depth < 64:
        for i, entry in enumerate(value):
            nested = isinstance(entry, (list, tuple, np.ma.MaskedArray))
            within = _first_masked(entry, depth + 1) if nested else None
            if within is not None:
                return (i, *within)
    return None


def _from_objects(takes: str, value: object, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Convert an array of objects, which `value` became, to float64."""
    if hasattr(value, "to_numpy"):
        with suppress(TypeError):  # not every frame has this form
            array = np.asarray(value.to_numpy(dtype=object, na_value=np.nan))
    entries = array.ravel()
    strange = {
        kind
        for kind in set(map(type, entries))
        if not issubclass(kind, (Real, Decimal, np.bool_, type(None)))
    }
    if strange or (array.ndim == 0 and array[()] is None):
        if array.ndim == 0:
            raise TypeError(f"{takes}; got {describe(value)} with dtype object.")
        place = next(i for i, entry in enumerate(entries) if type(entry) in strange)
        where = tuple(int(i) for i in np.unravel_index(place, array.shape))
        raise TypeError(f"{takes}; got {describe(entries[place])} at index {where}.")
    numbers = np.empty(array.shape)
    numbers.ravel()[:] = [_to_float(entry) for entry in entries]
    return numbers


def _to_float(entry: Any) -> float:
    try:
        return float("nan") if entry is None else float(entry)
    except OverflowError:
        return float("inf") if entry > 0 else float("-inf")
    except ValueError:  # a signalling NaN
        return float("nan")


def all_finite(array: npt.NDArray[Any], threads: int | None = None) -> bool:
    """Say whether all entries of a C-contiguous float array are finite, at the speed of memory.

    None stands for as many threads as there are processors; small arrays take one.
    """
    return _core.all_finite(array, _core.build_config()["threads"] if threads is None else threads)


def read_only(array: FloatArray) -> FloatArray:
    """Copy to a C-contiguous array that cannot be written."""
    array = np.array(array, dtype=np.float64, order="C")
    array.setflags(write=False)
    return array


def _scalar(takes: str, value: object) -> object:
    """Take an array without dimensions as the one value that it holds."""
    if isinstance(value, np.ma.MaskedArray) and value.ndim == 0 and np.ma.is_masked(value):
        raise ValueError(f"{takes}; got a masked entry.")
    if getattr(value, "ndim", None) != 0 or not hasattr(value, "item"):
        return value
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    return value if kind in ("m", "M") else value.item()  # a time is no number


def _finite_number(takes: str, value: object) -> float:
    value = _scalar(takes, value)
    if isinstance(value, bool) or not isinstance(value, (Real, Decimal)):
        raise TypeError(f"{takes}; got {describe(value)}.")
    number = _to_float(value)
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


def _integer(takes: str, value: object, least: int, most: int | None) -> int:
    value = _scalar(takes, value)
    try:
        if isinstance(value, bool):
            raise TypeError
        integer = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{takes}; got {describe(value)}.") from None
    if integer < least:
        raise ValueError(f"{takes}; got {describe(value)}.")
    if most is not None and integer > most:
        raise ValueError(f"{takes} of at most {most:,}; got {describe(value)}.")
    return integer


def positive_integer(name: str, value: object, most: int | None = LARGEST_COUNT) -> int:
    """Take an integer from 1 to `most`, NumPy's included; a float is refused, even a whole one."""
    return _integer(f"{name} must be a positive integer", value, 1, most)


def non_negative_integer(name: str, value: object, most: int | None = None) -> int:
    """Take an integer from 0 to `most`, NumPy's included; a float is refused, even a whole one."""
    return _integer(f"{name} must be a non-negative integer", value, 0, most)


def number_of_threads(threads: object) -> int:
    """Check a number of threads; None stands for as many as there are processors."""
    if threads is None:
        return _core.build_config()["threads"]
    return min(positive_integer("threads", threads, None), 1024)


def one_of(name: str, value: object, choices: Sequence[str]) -> str:
    """Take one of the names in `choices`."""
    names = [repr(choice) for choice in choices]
    takes = f"{name} must be " + (f"one of {', '.join(names)}" if len(names) > 1 else names[0])
    value = _scalar(takes, value)
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


def is_sequence(value: object) -> bool:
    """Say whether a field holds several values: a list, tuple, range or one-dimensional array."""
    return isinstance(value, (list, tuple, range)) or getattr(value, "ndim", None) == 1


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
    if is_sequence(value):
        refuse_masked(name, value)
        entries: Iterable[object] = value  # type: ignore[assignment]
        values = tuple(check(f"{name}[{i}]", entry) for i, entry in enumerate(entries))
        if not values:
            raise ValueError(f"{name} must be one value or a non-empty sequence; got an empty one.")
        return values
    return check(name, value)


def check_fields(settings: object, /, **checks: Callable[[str, object], Any]) -> None:
    """Check fields of a frozen dataclass, which hold one value or a sequence, and keep them.

    Parameters
    ----------
    settings : object
        The dataclass.
    **checks : callable
        What `scalar_or_sequence` takes as `check`, by the name of the field.
    """
    for name, check in checks.items():
        value = scalar_or_sequence(name, getattr(settings, name), check)
        object.__setattr__(settings, name, value)


@overload
def single(name: str, value: Numbers) -> float: ...
@overload
def single(name: str, value: Names) -> str: ...
def single(name: str, value: Numbers | Counts | Names) -> float | str:
    """Return the value of a field made by `scalar_or_sequence`, where one value is needed.

    Raises
    ------
    ValueError
        If the field holds a sequence.
    """
    if isinstance(value, (float, int, str)):
        return value
    raise ValueError(
        f"{name} must be one value here; got a sequence of {len(value)}, which only a sweep takes."
    )


def sequence_fields(configuration: object) -> dict[str, tuple[Any, ...]]:
    """Return the fields of a dataclass that hold a sequence, in the order of the fields.

    What is no dataclass has none.

    Raises
    ------
    TypeError
        If an entry is neither a number nor a text.
    ValueError
        If a sequence is empty, or an entry is masked.
    """
    if not is_dataclass(configuration):
        return {}
    names = [field.name for field in fields(configuration) if field.init]
    values = {name: getattr(configuration, name) for name in names}
    return {
        name: scalar_or_sequence(name, value, number_or_text)
        for name, value in values.items()
        if is_sequence(value)
    }


def number_or_text(name: str, value: object) -> Any:
    """Take a number or a text, which can label a dimension."""
    takes = f"{name} must be a number or a text, since it labels a dimension"
    entry = _scalar(takes, value)
    if not isinstance(entry, (bool, int, float, str)):
        raise TypeError(f"{takes}; got {describe(value)}.")
    return entry
