"""Calls of the functions of the compiled module, with right and with broken arguments.

The law: a call returns, or raises a TypeError, ValueError or MemoryError; it changes no array but
the weights of a simulation; and a right call returns the same bits again, on any number of threads.
"""

from __future__ import annotations

import contextlib
import pickle
import random
import re
from collections.abc import Callable
from typing import Any

import numpy as np

import public_entries
from deeplinear import _core
from descriptions import NUMBERS, Case, OwnError, build, draw_changes, draw_setting
from descriptions import ODD as ODD_ANYWHERE
from public_entries import Progress

REFUSALS = (TypeError, ValueError, MemoryError)
LANDSCAPE = ("end_to_end", "risk", "gradient", "hessian", "compressed_hessian", "hessian_trace")


class Captured(Exception):
    def __init__(self, arguments: dict[str, Any]) -> None:
        super().__init__()
        self.arguments = arguments


def capture(name: str, call: Callable[[], Any]) -> dict[str, Any]:
    """Return by name what a public call passes to a function of the core, which is not called."""
    function = getattr(_core, name)
    signature = str((_core.Problem.__init__ if name == "Problem" else function).__doc__)
    names = [one for one in re.findall(r"(\w+): ", signature.split("->")[0]) if one != "self"]

    def stand_in(*arguments: Any) -> None:
        raise Captured(dict(zip(names, arguments, strict=True)))

    setattr(_core, name, stand_in)
    try:
        call()
    except Captured as captured:
        return captured.arguments
    finally:
        setattr(_core, name, function)
    raise AssertionError(f"{name} was not called")


class World(public_entries.World):
    """The right arguments of every function, in a setting."""

    def __init__(self, setting: dict[str, Any]) -> None:
        super().__init__(setting)
        self.problem = self.landscape()._problem
        self.parameters = self.network.parameters

    def vector(self) -> Any:
        return self.setting["scale"] * self.rng.standard_normal(self.parameters)

    def arguments(self, call: str) -> dict[str, Any]:
        if call in LANDSCAPE:
            return {"problem": self.problem, "weights": self.vector(), "threads": 1}
        right: dict[str, Any] = getattr(self, f"_{call}")()
        return right

    def _Problem(self) -> dict[str, Any]:
        return capture("Problem", self.landscape)

    def _simulate(self) -> dict[str, Any]:
        entry = public_entries.ENTRIES["simulate"]
        right = entry.right(self)
        return capture("simulate", lambda: entry.call(self, 1)(**right)) | {"progress": Progress()}

    def _least_squares_modes(self) -> dict[str, Any]:
        columns = self.rng.standard_normal((3, 7))
        right = {"columns": columns, "y": self.rng.standard_normal(7), "start": np.eye(3)}
        return right | {"tall": True, "rounding": 1e-15}

    def _hessian_vector_product(self) -> dict[str, Any]:
        return self.arguments("risk") | {"direction": self.vector()}

    def _extreme_eigenvalues(self) -> dict[str, Any]:
        rest = {"largest": True, "tolerance": 1e-8, "max_products": 300, "start": None}
        return self.arguments("risk") | {"count": min(2, self.parameters)} | rest

    def _spectral_density(self) -> dict[str, Any]:
        return self.arguments("risk") | {"vectors": 2, "steps": 5, "seed": 3}

    def _all_finite(self) -> dict[str, Any]:
        return {"vector": self.vector(), "threads": 1}

    def _Direction(self) -> dict[str, Any]:
        return {"vector": self.vector()}

    def _expand(self) -> dict[str, Any]:
        return {"self": _core.Direction(self.vector()), "widths": self.setting["widths"]}

    def _restore(self) -> dict[str, Any]:
        none = np.zeros(0)
        return {"a": none, "b": none, "c": none, "d": self.vector()}

    def _multiply_add_rate(self) -> dict[str, Any]:
        return {"dtype": "float64", "threads": 1, "seconds": 1e-4}

    def _memory_bandwidth(self) -> dict[str, Any]:
        return {"threads": 1, "bytes": 10_000, "repetitions": 2}

    def odd(self) -> dict[str, Callable[[], Any]]:
        """Objects of the core's own classes, and progress functions."""
        other = World(OTHER) if self.setting is not OTHER else self
        again = other.arguments("simulate") if other is not self else {}

        def found() -> Any:
            world = World(self.setting)
            return _core.extreme_eigenvalues(
                world.problem, world.vector(), 1, True, 1e-8, 300, None, 1
            )[0][-1]

        return {
            "problem without init": lambda: _core.Problem.__new__(_core.Problem),
            "direction without init": lambda: _core.Direction.__new__(_core.Direction),
            "another problem": lambda: other.problem,
            "another direction": lambda: _core.Direction(other.vector()),
            "a direction": lambda: _core.Direction(self.vector()),
            "a found direction": found,
            "an empty direction": lambda: _core.Direction(np.zeros(0)),
            "progress that raises": lambda: Progress(_fail),
            "progress that is interrupted": lambda: Progress(_interrupt),
            "progress that simulates": lambda: Progress(
                lambda: _core.simulate(**(again | {"weights": again["weights"].copy()}))
            ),
        }


def _fail() -> None:
    raise OwnError("on purpose")


def _interrupt() -> None:
    raise KeyboardInterrupt


OTHER = {
    "widths": [4, 3, 5, 1],
    "plain": True,
    "activation": "identity",
    "samples": False,
    "n": 9,
    "tested": True,
    "scale": 0.5,
    "seed": 6,
}
OWN_ODD = tuple(World(OTHER).odd())

CALLS = (
    *LANDSCAPE,
    *("hessian_vector_product", "extreme_eigenvalues", "spectral_density", "all_finite"),
    *(
        "Problem",
        "least_squares_modes",
        "Direction",
        "expand",
        "restore",
        "multiply_add_rate",
        "memory_bandwidth",
    ),
    *(["simulate"] * 12),
)
# Long work that nothing interrupts, and more memory or threads than a machine need have
TOO_MUCH: dict[str, Callable[[Any], bool]] = {
    "repetitions": lambda x: x > 10,
    "seconds": lambda x: 0.01 < x <= 3600,
    "bytes": lambda x: 2**20 < x < 2**50,
    "vectors": lambda x: 20 < x <= 1_000_000,
    "steps": lambda x: False,
    "threads": lambda x: 3 < x <= 1024,
}


def _too_much(name: str, value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and name in TOO_MUCH and TOO_MUCH[name](value)


def draw(rng: random.Random) -> Case:
    call = rng.choice(CALLS)
    setting = draw_setting(rng, small="hessian" in call)
    right = World(setting).arguments(call)
    arguments: dict[str, Any] = {}
    for name in rng.sample(list(right), min(rng.choice((0, 1, 1, 1, 2, 3)), len(right))):
        kind = rng.random()
        value: Any
        if isinstance(right[name], np.ndarray) and kind < 0.7:
            value = draw_changes(rng)
        elif kind < 0.4:
            value = rng.choice(NUMBERS)
        elif name == "record" and kind < 0.7:
            value = rng.choices(("risk", "distance", "test_risk", "alignment", "", "no"), k=3)
        elif name == "widths" and kind < 0.7:
            value = rng.choice(
                ([], [1], [3, 0, 1], [2**31 - 1] * 3, [2**15] * 4, [3, 4, 1], [1] * 999)
            )
        else:
            value = {"odd": rng.choice((*OWN_ODD, *ODD_ANYWHERE))}
        if not _too_much(name, value):
            arguments[name] = value
    if arguments.get("progress", 0) is None:
        del arguments["progress"]  # nothing would end a long run
    return {"call": call, "setting": setting, "arguments": arguments}


def call_of(name: str) -> Callable[..., Any]:
    own: dict[str, Any] = {"expand": _core.Direction.expand, "restore": _restore}
    function: Callable[..., Any] = own[name] if name in own else getattr(_core, name)
    return function


def _call(case: Case, **other: Any) -> tuple[Any, dict[str, Any]]:
    world = World(case["setting"])
    arguments = world.arguments(case["call"]) | other
    for name, description in case["arguments"].items():
        arguments[name] = build(description, arguments[name], world.odd())
    kept = {
        name: (value, value.tobytes())
        for name, value in arguments.items()
        if isinstance(value, np.ndarray) and not (case["call"] == "simulate" and name == "weights")
    }
    try:
        result = call_of(case["call"])(**arguments)
    finally:
        for name, (value, before) in kept.items():
            assert value.tobytes() == before, f"{name} was changed"
    return result, arguments


def _restore(**parts: Any) -> Any:
    direction = _core.Direction.__new__(_core.Direction)
    direction.__setstate__(tuple(parts.values()))  # type: ignore[attr-defined]
    return direction


def _bits(result: Any, arguments: dict[str, Any]) -> bytes:
    what = None if isinstance(result, _core.Problem) else result
    return pickle.dumps((what, arguments.get("weights")))


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
    if "threads" in arguments:
        assert _bits(*_call(case, threads=2)) == first, "two threads gave other bits than one"


def _is_refusal(case: Case) -> bool:
    """Say whether right arguments are refused all the same, since the network has no such thing."""
    setting, call = case["setting"], case["call"]
    linear = setting["activation"] == "identity"
    return (call == "compressed_hessian" and setting["samples"]) or (
        call == "end_to_end" and not linear
    )
