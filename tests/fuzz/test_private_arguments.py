"""The functions of the compiled module look at what they are given, whoever calls them."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from deeplinear import _core
from descriptions import CHANGES
from private_calls import CALLS, OTHER, World, call_of

pytestmark = pytest.mark.core

SETTINGS = {
    "linear": OTHER,
    "bent": OTHER | {"widths": [4, 3, 2], "plain": False, "activation": "gelu", "samples": True},
}
FUNCTIONS = tuple(dict.fromkeys(CALLS))
OF_ANY_LENGTH = ("vector", "targets", "test_targets")


def arguments_of(call: str, setting: str = "linear") -> dict[str, Any]:
    return World(SETTINGS[setting]).arguments(call)


ARRAYS = [
    (call, name, setting)
    for setting in SETTINGS
    for call in (FUNCTIONS if setting == "linear" else ("Problem",))
    if call != "restore"
    for name, value in arguments_of(call, setting).items()
    if isinstance(value, np.ndarray)
]


def refused(
    call: str, name: str, value: Any, message: str, kind: type[Exception], setting: str = "linear"
) -> None:
    """Take the right arguments, and refuse them with another value of one of them."""
    right = arguments_of(call, setting)
    call_of(call)(**right)
    right = arguments_of(call, setting)
    with pytest.raises(kind, match=message):
        call_of(call)(**(right | {name: value(right[name]) if callable(value) else value}))


@pytest.mark.parametrize(("call", "name", "setting"), ARRAYS)
def test_memory_that_is_not_aligned(call: str, name: str, setting: str) -> None:
    refused(call, name, CHANGES["shifted"], f"^{name} is not aligned$", ValueError, setting)


@pytest.mark.parametrize(
    ("call", "name", "setting"), [one for one in ARRAYS if one[1] not in OF_ANY_LENGTH]
)
def test_sizes(call: str, name: str, setting: str) -> None:
    for change in (CHANGES["shorter"], CHANGES["longer"], CHANGES["more axes"]):
        refused(
            call,
            name,
            lambda array, change=change: np.ascontiguousarray(change(array)),
            "has a wrong shape$",
            ValueError,
            setting,
        )


@pytest.mark.parametrize(("call", "name", "setting"), ARRAYS)
def test_types_and_layouts(call: str, name: str, setting: str) -> None:
    changes = ["big-endian", "long double", "float16", "objects", "complex", "list"]
    if arguments_of(call, setting)[name].size > 1:  # one number is contiguous in any case
        changes += ["strided"]
    for change in changes:
        refused(call, name, CHANGES[change], "incompatible", TypeError, setting)


@pytest.mark.parametrize(
    ("call", "name", "kind"),
    [
        *(
            (call, "problem", _core.Problem)
            for call in FUNCTIONS
            if "problem" in arguments_of(call)
        ),
        ("extreme_eigenvalues", "start", _core.Direction),
        ("expand", "self", _core.Direction),
    ],
)
def test_objects_without_init(call: str, name: str, kind: Any) -> None:
    refused(call, name, kind.__new__(kind), "the __init__ of a .* has not run$", TypeError)


def test_directions_without_init() -> None:
    with pytest.raises(TypeError, match="has not run"):
        pickle.dumps(_core.Direction.__new__(_core.Direction))


@pytest.mark.parametrize(
    ("call", "name", "value"),
    [
        ("risk", "threads", 2**31 - 1),
        ("risk", "threads", -(2**31)),
        ("simulate", "threads", 1025),
        ("all_finite", "threads", 10**6),
        ("multiply_add_rate", "threads", 10**6),
        ("multiply_add_rate", "seconds", 1e300),
        ("multiply_add_rate", "seconds", float("nan")),
        ("memory_bandwidth", "threads", 10**6),
        ("extreme_eigenvalues", "count", 2**31 - 1),
        ("extreme_eigenvalues", "tolerance", float("nan")),
        ("extreme_eigenvalues", "tolerance", -1.0),
        ("extreme_eigenvalues", "max_products", -(2**63)),
        ("spectral_density", "vectors", 2**31 - 1),
        ("spectral_density", "steps", -1),
        ("simulate", "step", CHANGES["nan"]),
        ("simulate", "step", CHANGES["infinite"]),
        ("simulate", "step", CHANGES["negative"]),
        ("simulate", "last_step", CHANGES["nan"]),
        ("simulate", "tolerance", float("nan")),
        ("simulate", "tolerance", -1.0),
        ("simulate", "every", float("inf")),
        ("simulate", "every", -1.0),
        ("simulate", "records", 2**62),
        ("simulate", "records", -1),
        ("simulate", "steps", lambda steps: -1 - steps),
        ("simulate", "record", ["risk", "alignment", "risk"]),
        ("simulate", "record", ["risk", "loss"]),
        ("simulate", "weights", CHANGES["read-only"]),
        ("simulate", "progress", 3),
        ("Problem", "widths", [4, 2**31 - 1, 2**31 - 1, 1]),
        ("Problem", "test_half_gradient", None),
        ("Problem", "covariance", None),
        ("least_squares_modes", "rounding", float("nan")),
        ("least_squares_modes", "start", np.eye(2)),
        ("expand", "widths", [4, 4, 1]),
        ("restore", "d", [1.0]),
    ],
)
def test_values(call: str, name: str, value: Any) -> None:
    refused(call, name, value, rf"^(state|{name})\b", ValueError)


@pytest.mark.parametrize("name", ["activation", "inputs", "targets", "test_inputs", "test_targets"])
def test_arguments_that_come_together(name: str) -> None:
    refused("Problem", name, None, "^(activation|test_inputs) .*come", ValueError, "bent")


@pytest.mark.parametrize("name", ["step", "rtol", "atol", "time"])
@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, -1.0])
def test_numbers_of_adaptive_steps(name: str, value: float) -> None:
    arguments = next(
        found
        for seed in range(100)
        if (found := World(OTHER | {"seed": seed}).arguments("simulate"))["method"] == "dopri5"
    )
    _core.simulate(**arguments)
    right = arguments[name]
    wrong = np.full_like(right, value) if isinstance(right, np.ndarray) else value
    with pytest.raises(ValueError, match=f"^{name} is not positive and finite"):
        _core.simulate(**(arguments | {name: wrong}))


def test_maps_of_networks_that_are_none() -> None:
    arguments = arguments_of("end_to_end", "bent")
    with pytest.raises(ValueError, match="problem is not linear"):
        _core.end_to_end(**arguments)


def test_directions_travel_in_buffers_of_any_alignment() -> None:
    world = World(OTHER)
    vector = world.vector()
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(_core.Direction(vector), protocol=5, buffer_callback=buffers.append)
    moved = [memoryview(b"x" + buffer.raw().tobytes())[1:] for buffer in buffers]
    again = pickle.loads(data, buffers=moved)
    np.testing.assert_array_equal(again.expand(OTHER["widths"]), vector)


def test_sizes_that_no_memory_has() -> None:
    arguments = arguments_of("simulate")
    steps = np.full(len(arguments["weights"]), 2**62)
    arguments |= {"steps": steps, "every": 1.0, "records": 2**62 + 1, "record": ["layer_norm"]}
    with pytest.raises(MemoryError):
        _core.simulate(**arguments)


def test_progress_functions_may_call_the_core() -> None:
    world = World({**OTHER, "widths": [40, 40, 1]})
    arguments = world.arguments("simulate")
    inside: list[float] = []

    def progress(share: float) -> None:
        inside.append(_core.risk(world.problem, world.vector(), 2))
        if len(inside) == 3:
            raise KeyError("enough")

    runs = len(arguments["weights"])
    arguments |= {"method": "euler", "steps": np.full(runs, 2**40), "every": 0.0, "records": 2}
    arguments |= {"record": [], "tolerance": 0.0, "threads": 2, "progress": progress}
    with pytest.raises(KeyError, match="enough"):
        _core.simulate(**arguments)
    assert np.isfinite(inside).all()
