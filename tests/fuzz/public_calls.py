"""Calls of the public interface, with right and with broken arguments.

The law: a call returns, or raises a TypeError, ValueError or MemoryError whose message is one line
and names an argument; it changes none of its arrays. A right call returns finite numbers of the
right shapes, the same bits again, on any number of threads, and for the same numbers in any form.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import random
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import deeplinear as dl
from descriptions import (
    BROKEN,
    NUMBERS,
    ODD,
    SAME,
    Case,
    OwnError,
    build,
    draw_changes,
    draw_setting,
)
from public_entries import ENTRIES, World

REFUSALS = (TypeError, ValueError, MemoryError)

#: What else a message may name where it speaks of an argument
ALIASES = {
    "w": "X_test",
    "scale": "weights|init",
    "step": "dynamics",
    "learning_rate": "dynamics",
    "weights": "network|samples",
    "record": "grow|text|complex_number|masked",
    "data_seed": "seed",
    "network_seed": "seed",
}
RECORDED = (*dl.RECORDABLE, "", "no", "risk:2", "eigenvalues:0", "eigenvalues:", "eigenvalues:1")


def _own(name: str, work: Callable[[list[Any]], Any]) -> Callable[[], Any]:
    """Make a function that is recorded."""

    def function(weights: list[Any]) -> Any:
        return work(weights)

    function.__name__ = name
    return lambda: function


def _raise(kind: type[BaseException]) -> Callable[[list[Any]], Any]:
    def work(weights: list[Any]) -> Any:
        raise kind

    return work


def _simulate(weights: list[Any]) -> float:
    landscape = dl.Landscape(dl.Network((2, 3, 1)), dl.gaussian_regression(n=4, d=2))
    start = dl.init.Gaussian(0.5).sample(landscape.network, 0)
    run = dl.simulate(landscape, start, dl.GradientDescent(0.1), steps=2, threads=2)
    return float(run.risk[0, -1])


_sizes = itertools.count()
#: Functions to be recorded
OWN_ODD: dict[str, Callable[[], Any]] = {
    "a function that raises": _own("raises", _raise(OwnError)),
    "a function that is interrupted": _own("interrupted", _raise(KeyboardInterrupt)),
    "a function that simulates": _own("simulates", _simulate),
    "a function of text": _own("text", lambda weights: "1.5"),
    "a function of complex numbers": _own("complex_number", lambda weights: 1j),
    "a function of masked numbers": _own("masked", lambda weights: np.ma.masked),
    "a function that grows": _own("grow", lambda weights: np.ones(next(_sizes))),
    "a function of a taken name": _own("risk", lambda weights: 1.0),
    "a function without a name": lambda: lambda weights: 1.0,
}

#: What Python or SciPy refuses in words of its own
OF_OTHERS = [str({"odd": name}) for name in ("lying list", "long sequence", "length below zero")]

NAMES = tuple(name for name, entry in ENTRIES.items() for _ in range(entry.weight))

# Right, but long work, or more memory than a machine need have
TOO_MUCH: dict[str, Callable[[Any], bool]] = {
    "n": lambda x: 100 < x < 2**60,
    "d": lambda x: 100 < x < 2**60,
    "depth": lambda x: 100 < x < 2**60,
    "width": lambda x: 100 < x < 2**60,
    "n_test": lambda x: 100 < x < 2**60,
    "vectors": lambda x: 20 < x <= 1_000_000,
    "seeds": lambda x: 100 < x < 2**53,
    "scale": lambda x: False,
}


def _too_much(name: str, value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and name in TOO_MUCH and TOO_MUCH[name](value)


def _draw_record(rng: random.Random) -> Any:
    form = rng.random()
    if form < 0.4:
        return {"odd": rng.choice(tuple(OWN_ODD))}
    names = rng.choices(RECORDED, k=rng.randint(0, 3))
    if form < 0.7:
        return names
    return {name: rng.choice((True, False, 1, 2, 0, None, 2**40, "2")) for name in names}


def draw(rng: random.Random) -> Case:
    call = rng.choice(NAMES)
    setting = draw_setting(rng, small="hessian" in call)
    right = ENTRIES[call].right(World(setting))
    arguments: dict[str, Any] = {}
    for name in rng.sample(list(right), min(rng.choice((0, 1, 1, 1, 2)), len(right))):
        array, layers = isinstance(right[name], np.ndarray), isinstance(right[name], list)
        layers = layers and isinstance(right[name][0] if right[name] else None, np.ndarray)
        value: Any
        if (array or layers) and rng.random() < 0.8:
            value = draw_changes(rng, len(right[name]) if layers else 0)
        elif name == "record" and rng.random() < 0.8:
            value = _draw_record(rng)
        elif rng.random() < 0.5:
            value = rng.choice(NUMBERS)
        else:
            value = {"odd": rng.choice(tuple(ODD))}
        if name != "progress" and not _too_much(name, value):
            arguments[name] = value
    return {"call": call, "setting": setting, "arguments": arguments}


def _call(case: Case, threads: int = 1) -> Any:
    entry, world = ENTRIES[case["call"]], World(case["setting"])
    arguments = entry.right(world)
    call = entry.call(world, threads)
    for name, description in case["arguments"].items():
        arguments[name] = build(description, arguments[name], OWN_ODD)
    given = [one for x in arguments.values() for one in (x if type(x) is list else [x])]
    before = [(one, one.tobytes()) for one in given if isinstance(one, np.ndarray)]
    try:
        return call(**arguments)
    finally:
        for array, bits in before:
            assert array.tobytes() == bits, "an argument was changed"


def _shape(value: Any) -> Any:
    return [np.shape(one) for one in value] if isinstance(value, list) else np.shape(value)


def _numbers(result: Any) -> Any:
    """Reduce a result to what pickle writes by its numbers alone."""
    if hasattr(result, "data_vars"):
        names = sorted(map(str, result.variables))
        return [(name, result[name].dims, result[name].values.tolist()) for name in names]
    if isinstance(result, dl.Regression):
        return [result.covariance, result.minimizer, result.minimum_risk, result.eigenvalues]
    if isinstance(result, dl.Sharpness):
        return [result.value, result.residual, result.products, result.converged, *result.vector]
    if isinstance(result, dl.SpectralDensity):
        return [result.nodes, result.weights, result.zeros]
    if isinstance(result, (list, tuple)):
        return [_numbers(one) for one in result]
    return repr(result) if isinstance(result, (dl.Network, dl.Landscape)) else result


def _bits(result: Any) -> bytes:
    found = _numbers(result)
    parts = found if isinstance(found, list) else [found]
    return repr([_plain(part) for part in parts]).encode()


def _plain(part: Any) -> Any:
    """Reduce an array to its numbers, whatever the dtype."""
    if not isinstance(part, np.ndarray):
        return part
    return hashlib.sha256(part.astype(np.float64, order="C").data).hexdigest()


def _is_same(description: Any) -> bool:
    """Say whether the argument holds the right numbers in another form."""
    return isinstance(description, dict) and set(description.get("changes", ["-"])) <= set(SAME)


def _is_broken(name: str, description: Any) -> bool:
    """Say whether no such argument is right; some take any length, and some any numbers."""
    changes = description.get("changes", []) if isinstance(description, dict) else []
    of_any_length = name in ("X", "values") and changes in (["shorter"], ["longer"])
    if of_any_length or name in ("vector", "x"):
        return False
    return len(changes) == 1 and changes[0] in BROKEN


def _check_refusal(case: Case, error: Exception) -> None:
    message = str(error)
    names = list(ENTRIES[case["call"]].right(World(case["setting"])))
    pattern = "|".join([*names, *(ALIASES[name] for name in names if name in ALIASES)])
    if isinstance(error, MemoryError):
        pattern += "|network|landscape"
    if "x" in case["arguments"] or any(str(one) in OF_OTHERS for one in case["arguments"].values()):
        return
    assert message.strip() == message, f"the message is not a sentence: {message!r}"
    assert message, "the message is empty"
    assert "\n" not in message, f"the message has several lines: {message!r}"
    assert re.search(rf"\b({pattern})\b", message), f"no name in: {message!r}"


def check(case: Case) -> None:
    """Raise where the law does not hold; NumPy may warn of overflow where numbers are not right."""
    with contextlib.suppress(OwnError, dl.Interrupted):
        _check(case)


def _check(case: Case) -> None:
    descriptions = list(case["arguments"].values())
    same = all(_is_same(one) for one in descriptions)
    broken = any(_is_broken(name, one) for name, one in case["arguments"].items())
    try:
        with warnings.catch_warnings():
            if not same:
                warnings.simplefilter("ignore", RuntimeWarning)
            result = _call(case)
    except REFUSALS as error:
        _check_refusal(case, error)
        if same and not _is_refusal(case):
            raise AssertionError("a right call raised") from error
        return
    assert not broken, "a broken argument was taken"
    if not same or _is_refusal(case):
        return
    first = _bits(result)
    assert _bits(_call(case)) == first, "the same call gave other bits"
    plain = case | {"arguments": {}}
    assert _bits(_call(plain)) == first, "the same numbers in another form gave other bits"
    entry = ENTRIES[case["call"]]
    if entry.threads:
        assert _bits(_call(plain, threads=2)) == first, "two threads gave other bits than one"
    if entry.shape is not None:
        expected = entry.shape(World(case["setting"]))
        assert _shape(result) == expected, f"shape {_shape(result)}, not {expected}"
        numbers = result if isinstance(result, list) else [result]
        assert all(np.isfinite(one).all() for one in numbers), "a number is not finite"


def _is_refusal(case: Case) -> bool:
    """Say whether right arguments are refused all the same, since there is no such thing."""
    setting, call = case["setting"], case["call"]
    linear = setting["activation"] == "identity"
    return (
        (call == "compressed_hessian" and setting["samples"])
        or (call in ("end_to_end", "aligned_minimizer") and not linear)
        or (call == "regression.test_risk" and not setting["tested"])
        or (call == "Landscape" and not linear and not setting["samples"])
    )
