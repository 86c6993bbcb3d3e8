"""Calls of the classes and functions of the compiled module, with right and with broken arguments.

The law: a call returns, or raises a TypeError, ValueError or MemoryError; it changes no array but
what it fills or moves; and a right call returns the same bits again, on any number of threads.
"""

from __future__ import annotations

import contextlib
import pickle
import random
from collections.abc import Callable
from typing import Any

import numpy as np

from deeplinear import _core
from descriptions import NUMBERS, Case, OwnError, build, draw_changes, draw_setting
from descriptions import ODD as ODD_ANYWHERE
from private_world import (
    CLASSES,
    LANDSCAPE,
    OTHER,
    PARTS,
    World,
    outcome,
    pickled,
    restore,
    train,
)

REFUSALS = (TypeError, ValueError, MemoryError)
OWN_ODD = tuple(World(OTHER).odd())
RECORDED = (*_core.observables(), "", "no")

CALLS = (
    *LANDSCAPE,
    *("hessian_vector_product", "extreme_eigenvalues", "spectral_density", "all_finite"),
    *PARTS,
    *("record_lacks", "engine_lacks", "least_squares_modes", "expand", "restore"),
    *("outcome", "pickled", "multiply_add_rate", "memory_bandwidth", "standard_normals"),
    *(["simulate"] * 12),
    *(["train"] * 12),
)
#: Calls whose results do not depend on the threads
THREADED = (*LANDSCAPE, *("hessian_vector_product", "extreme_eigenvalues", "spectral_density"))
THREADED += ("all_finite", "standard_normals", "simulate", "train")
# Long work that nothing interrupts, and more memory or threads than a machine need have
TOO_MUCH: dict[str, Callable[[Any], bool]] = {
    "repetitions": lambda x: x > 10,
    "seconds": lambda x: 0.01 < x <= 3600,
    "bytes": lambda x: 2**20 < x < 2**50,
    "vectors": lambda x: 20 < x <= 1_000_000,
    "threads": lambda x: 3 < x <= 1024,
}


def _too_much(name: str, value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    name = name.split(".")[-1]
    return number and name in TOO_MUCH and TOO_MUCH[name](value)


def _draw_records(rng: random.Random) -> list[Any]:
    counts = (1, 1, 2, 0, -1, 2**31 - 1, 2**62, None, "2")
    return [
        [rng.choice(RECORDED), rng.choice(counts)][: rng.choice((1, 2, 2, 2, 2))]
        for _ in range(rng.randint(0, 3))
    ]


def _draw_value(rng: random.Random, name: str, right: Any) -> Any:
    kind = rng.random()
    if isinstance(right, np.ndarray) and kind < 0.7:
        return draw_changes(rng)
    if name == "record" and kind < 0.8:
        return _draw_records(rng)
    if name.endswith("widths") and kind < 0.5:
        return rng.choice(([], [1], [3, 0, 1], [2**31 - 1] * 3, [2**15] * 4, [3, 4, 1], [1] * 999))
    if kind < 0.4 and not isinstance(right, tuple(getattr(_core, one) for one in CLASSES)):
        return rng.choice(NUMBERS)
    own = OWN_ODD
    if name in ("visit", "progress"):
        own = tuple(one for one in OWN_ODD if one.startswith(name))
    return {"odd": rng.choice(own if rng.random() < 0.7 else tuple(ODD_ANYWHERE))}


def draw(rng: random.Random) -> Case:
    call = rng.choice(CALLS)
    setting = draw_setting(rng, small="hessian" in call)
    right = World(setting).arguments(call)
    arguments: dict[str, Any] = {}
    for name in rng.sample(list(right), min(rng.choice((0, 1, 1, 1, 2, 3)), len(right))):
        value = _draw_value(rng, name, right[name])
        if not _too_much(name, value):
            arguments[name] = value
    if arguments.get("progress", 0) is None:
        del arguments["progress"]  # nothing would end a long run
    return {"call": call, "setting": setting, "arguments": arguments}


OWN_CALLS: dict[str, Callable[..., Any]] = {
    "expand": _core.Direction.expand,
    **{one.__name__: one for one in (restore, outcome, pickled, train)},
}


def call_of(name: str) -> Callable[..., Any]:
    function: Callable[..., Any] = OWN_CALLS.get(name) or getattr(_core, name)
    return function


def _call(case: Case, threads: int = 1) -> tuple[Any, dict[str, Any]]:
    world = World(case["setting"], threads)
    arguments = world.arguments(case["call"])
    for name, description in case["arguments"].items():
        arguments[name] = build(description, arguments[name], world.odd())
    kept = {
        name: (value, value.tobytes())
        for name, value in arguments.items()
        if isinstance(value, np.ndarray) and name != _moved(case["call"])
    }
    try:
        result = call_of(case["call"])(**arguments)
    finally:
        for name, (value, before) in kept.items():
            assert value.tobytes() == before, f"{name} was changed"
    return result, arguments


def _moved(call: str) -> str | None:
    return {"simulate": "weights", "train": "weights", "standard_normals": "out"}.get(call)


def _bits(result: Any, arguments: dict[str, Any]) -> bytes:
    if isinstance(result, _core.Outcome):
        result = outcome(result)
    what = None if isinstance(result, tuple(getattr(_core, one) for one in PARTS)) else result
    visit = arguments.get("visit")
    seen = visit and sorted(visit.seen.items())
    return pickle.dumps((what, arguments.get("weights"), arguments.get("out"), seen))


def check(case: Case) -> None:
    """Raise where the law does not hold."""
    with contextlib.suppress(OwnError):
        _check(case)


def _check(case: Case) -> None:
    right = not case["arguments"]
    try:
        result, arguments = _call(case)
    except REFUSALS as error:
        if right and not _is_refusal(case):
            raise AssertionError("a right call raised") from error
        return
    if not right or case["call"] in ("multiply_add_rate", "memory_bandwidth"):
        return
    first = _bits(result, arguments)
    assert _bits(*_call(case)) == first, "the same call gave other bits"
    if case["call"] in THREADED:
        assert _bits(*_call(case, threads=2)) == first, "two threads gave other bits than one"


def _is_refusal(case: Case) -> bool:
    """Say whether right arguments are refused all the same, since the network has no such thing."""
    setting, call = case["setting"], case["call"]
    linear = setting["activation"] == "identity"
    return (call == "compressed_hessian" and setting["samples"]) or (
        call == "end_to_end" and not linear
    )
