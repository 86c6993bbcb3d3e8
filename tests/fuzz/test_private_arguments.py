"""The functions of the compiled module look at what they are given, whoever calls them."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from deeplinear import _core
from descriptions import CHANGES
from private_calls import CALLS, call_of
from private_world import CLASSES, FIELDS, OTHER, World, fixed_steps

pytestmark = pytest.mark.core

SETTINGS = {
    "linear": OTHER,  # its risk about the minimizer
    "modes": OTHER | {"seed": 7},  # that and by modes; and adaptive steps
    "bent": OTHER | {"widths": [4, 3, 2], "plain": False, "activation": "gelu", "samples": True},
}
FUNCTIONS = tuple(one for one in dict.fromkeys(CALLS) if one not in ("restore", "train", "pickled"))
#: Arrays whose other sizes are right, too, for a network with other data
OF_ANY_LENGTH = (("all_finite", "vector"), ("Direction", "vector"))
OF_ANY_LENGTH += (("Modes", "factor"), ("SampleSet", "inputs"), ("standard_normals", "out"))


def arguments_of(call: str, setting: str = "linear") -> dict[str, Any]:
    return World(SETTINGS[setting]).arguments(call)


ARGUMENTS = [
    (call, name, setting, value)
    for setting in SETTINGS
    for call in (FUNCTIONS if setting == "linear" else ("TestRisk", "Risk", "Problem"))
    for name, value in arguments_of(call, setting).items()
]
ARRAYS = [one[:3] for one in ARGUMENTS if isinstance(one[3], np.ndarray)]
WIDE = [one[:3] for one in ARGUMENTS if isinstance(one[3], np.ndarray) and one[3].itemsize > 1]
OBJECTS = [
    (call, name, type(value), setting)
    for call, name, setting, value in ARGUMENTS
    if type(value).__name__ in CLASSES
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


@pytest.mark.parametrize(("call", "name", "setting"), WIDE)
def test_memory_that_is_not_aligned(call: str, name: str, setting: str) -> None:
    refused(call, name, CHANGES["shifted"], f"^{name} is not aligned$", ValueError, setting)


@pytest.mark.parametrize(
    ("call", "name", "setting"), [one for one in ARRAYS if one[:2] not in OF_ANY_LENGTH]
)
def test_sizes(call: str, name: str, setting: str) -> None:
    for change in (CHANGES["shorter"], CHANGES["longer"], CHANGES["more axes"]):
        refused(
            call,
            name,
            lambda array, change=change: np.ascontiguousarray(change(array)),
            r"(has a wrong shape|has no runs|is empty)$",
            ValueError,
            setting,
        )


@pytest.mark.parametrize(("call", "name", "setting"), ARRAYS)
def test_types_and_layouts(call: str, name: str, setting: str) -> None:
    changes = ["long double", "float16", "objects", "complex", "list"]
    if arguments_of(call, setting)[name].itemsize > 1:
        changes += ["big-endian"]
    if arguments_of(call, setting)[name].size > 1:  # one number is contiguous in any case
        changes += ["strided"]
    for change in changes:
        refused(call, name, CHANGES[change], "incompatible", TypeError, setting)


@pytest.mark.parametrize(
    ("call", "name", "kind", "setting"),
    [*OBJECTS, ("extreme_eigenvalues", "start", _core.Direction, "linear")],
)
def test_objects_without_init(call: str, name: str, kind: Any, setting: str) -> None:
    empty = kind.__new__(kind)
    refused(call, name, empty, "the __init__ of a .* has not run$", TypeError, setting)


def test_outcomes_without_init() -> None:
    assert len(FIELDS) == 7
    for field in (*FIELDS, "engine"):
        with pytest.raises(TypeError, match="has not run"):
            getattr(_core.Outcome.__new__(_core.Outcome), field)
    with pytest.raises(TypeError, match="No constructor"):
        _core.Outcome()


# Those of object() end the process at the protocols 0 and 1.
@pytest.mark.parametrize("name", [one for one in CLASSES if one != "Direction"])
def test_pickles(name: str) -> None:
    kind = getattr(_core, name)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        for value in (World(OTHER).make(name), kind.__new__(kind)):
            with pytest.raises(TypeError, match=f"^a {name} cannot be pickled; its .* can.$"):
                pickle.dumps(value, protocol)


@pytest.mark.parametrize(
    ("call", "name", "value"),
    [
        ("risk", "threads", 2**31 - 1),
        ("risk", "threads", -(2**31)),
        ("Plan", "threads", 1025),
        ("Plan", "threads", 0),
        ("all_finite", "threads", 10**6),
        ("standard_normals", "threads", 0),
        ("standard_normals", "out", CHANGES["read-only"]),
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
        ("Fixed", "step", CHANGES["nan"]),
        ("Fixed", "step", CHANGES["infinite"]),
        ("Fixed", "step", CHANGES["negative"]),
        ("Fixed", "step", np.zeros(0)),
        ("Fixed", "last_step", CHANGES["nan"]),
        ("Fixed", "steps", lambda steps: -1 - steps),
        ("Fixed", "every", float("inf")),
        ("Fixed", "every", -1.0),
        ("Fixed", "every", 1.5),
        ("Fixed", "method", "dopri5"),
        ("Fixed", "method", "no"),
        ("Fixed", "rules", {"speed": np.ones(3)}),
        ("Fixed", "done", lambda done: done - 1),
        ("Fixed", "done", lambda done: done + 5),
        ("Fixed", "states", [np.zeros(1)]),
        ("Adaptive", "method", "rk4"),
        ("Adaptive", "max_steps", np.zeros_like),
        ("Adaptive", "every", float("nan")),
        ("Plan", "tolerance", float("nan")),
        ("Plan", "tolerance", -1.0),
        ("simulate", "slots", 2**62),
        ("simulate", "slots", -1),
        ("simulate", "slots", 1),
        ("simulate", "record", [("risk", 1), ("alignment", 1), ("risk", 1)]),
        ("simulate", "record", [("risk", 1), ("loss", 1)]),
        ("simulate", "record", [("eigenvalues", 0)]),
        ("simulate", "record", [("eigenvalues", -1)]),
        ("simulate", "record", [("eigenvalues", 10**9)]),
        ("simulate", "record", [("eigenvalues", 2**62)]),
        ("simulate", "weights", CHANGES["read-only"]),
        ("simulate", "engine", "no"),
        ("simulate", "progress", 3),
        ("simulate", "visit", 3),
        ("record_lacks", "name", "no"),
        ("engine_lacks", "name", "no"),
        ("Problem", "widths", [4, 2**31 - 1, 2**31 - 1, 1]),
        ("Problem", "widths", [4]),
        ("Risk", "covariance", None),
        ("TestRisk", "half_gradient", None),
        ("Modes", "target", np.zeros(0)),
        ("SampleSet", "targets", np.zeros(0)),
        ("Samples", "activation", "no"),
        ("Samples", "loss", "no"),
        ("least_squares_modes", "rounding", float("nan")),
        ("least_squares_modes", "start", np.eye(2)),
        ("expand", "widths", [4, 4, 1]),
        ("restore", "d", [1.0]),
    ],
)
def test_values(call: str, name: str, value: Any) -> None:
    message = "record" if call == "record_lacks" else "engine" if call == "engine_lacks" else name
    refused(call, name, value, rf"^(state|{message})\b", ValueError)


THREE = OTHER | {"widths": [3, 5, 1]}


@pytest.mark.parametrize(
    ("call", "name", "setting", "message"),
    [
        ("Risk", "modes", "modes", "^modes are of another dimension$"),
        ("Risk", "test", "linear", "^test is of another dimension$"),
        ("Problem", "risk", "linear", "^risk is of another dimension$"),
        ("Problem", "samples", "bent", "^samples are of another dimension$"),
        ("simulate", "problem", "linear", "^weights has a wrong shape$"),
        ("risk", "problem", "linear", "^weights has a wrong shape$"),
    ],
)
def test_objects_of_another_dimension(call: str, name: str, setting: str, message: str) -> None:
    kind = {"test": "TestRisk"}.get(name, name.capitalize())
    other = World(SETTINGS[setting] | {"widths": [3, *SETTINGS[setting]["widths"][1:]]})
    refused(call, name, other.make(kind), message, ValueError, setting)


@pytest.mark.parametrize("name", ["train", "test"])
def test_samples_of_another_dimension(name: str) -> None:
    bent, other = World(SETTINGS["bent"]), World(THREE)
    samples = _core.Samples(**bent.arguments("Samples") | {name: other.make("SampleSet")})
    with pytest.raises(ValueError, match=r"^samples are of another dimension$"):
        _core.Problem(**bent.arguments("Problem") | {"samples": samples})


def test_forms_of_the_risk_that_do_not_come_together() -> None:
    about, both, by_modes = (World(OTHER | {"seed": seed}) for seed in (6, 7, 8))
    for world in (about, both, by_modes):
        assert _core.Problem(**world.arguments("Problem"))
        for other in (about, both, by_modes):
            right = world.arguments("Risk") | {"test": other.make("TestRisk")}
            if other is world:
                assert _core.Risk(**right)
                continue
            with pytest.raises(ValueError, match=r"^covariance and modes aren't the forms of"):
                _core.Risk(**right)
    with pytest.raises(ValueError, match=r"^covariance and modes are missing$"):
        _core.TestRisk(None, None, 0.5, None, 0.1)
    neither = _core.Risk(np.ones(4), 0.5, None, None, None)
    with pytest.raises(ValueError, match=r"^risk has neither covariance nor modes$"):
        _core.Problem(**about.arguments("Problem") | {"risk": neither})


def test_plans_of_other_runs() -> None:
    right = arguments_of("simulate")
    for runs in (len(right["weights"]) + 1, 2**20):
        one = np.ones(runs)
        plan = _core.Plan(fixed_steps("euler", one, 7), 0.0, 1)
        with pytest.raises(ValueError, match=r"^weights has a wrong shape$"):
            _core.simulate(**right | {"plan": plan})


@pytest.mark.parametrize("name", ["first_step", "rtol", "atol", "time"])
@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, -1.0])
def test_numbers_of_adaptive_steps(name: str, value: float) -> None:
    def wrong(right: Any) -> Any:
        return np.full_like(right, value) if isinstance(right, np.ndarray) else value

    refused("Adaptive", name, wrong, f"^{name} is not positive and finite", ValueError)


@pytest.mark.parametrize("setting", ["linear", "bent"])
def test_records_and_engines_that_a_problem_lacks(setting: str) -> None:
    problem = arguments_of("risk", setting)["problem"]
    right = arguments_of("simulate", setting)
    for name, (_, axes, _) in _core.observables().items():
        reason = _core.record_lacks(problem, name)
        if reason is None:
            found = _core.simulate(**right | {"record": [(name, 1)]}).records[name]
            assert found.ndim == 2 + len(axes)
        else:
            assert setting == "bent"
            with pytest.raises(ValueError, match=r"^record has a name that this problem lacks$"):
                _core.simulate(**right | {"record": [(name, 1)]})
    for engine in _core.engines():
        assert _core.engine_lacks(problem, engine) is None
        _core.simulate(**right | {"engine": engine, "progress": lambda share: None})


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


def endless(world: World, every: float = 0.0, threads: int = 1) -> tuple[_core.Plan, int]:
    """Make a plan that nothing but its functions ends, and its records."""
    runs = len(world.arguments("simulate")["weights"])
    steps = fixed_steps("euler", np.full(runs, 1e-6), 2**40, every)
    plan = _core.Plan(steps, 0.0, threads)
    return plan, 2 if every == 0 else 2**40 // int(every) + 1


def test_sizes_that_no_memory_has() -> None:
    right = World(OTHER).arguments("simulate")
    steps = fixed_steps("euler", np.full(len(right["weights"]), 1e-6), 2**61, 1.0)
    more = {"plan": _core.Plan(steps, 0.0, 1), "slots": 2**61 + 1, "record": [("layer_norm", 1)]}
    with pytest.raises(MemoryError):
        _core.simulate(**right | more)


def test_progress_functions_may_call_the_core() -> None:
    world = World(OTHER | {"widths": [40, 40, 1]})
    inside: list[float] = []

    def progress(share: float) -> None:
        inside.append(_core.risk(world.problem, world.vector(), 2))
        if len(inside) == 3:
            raise KeyError("enough")

    plan, slots = endless(world, threads=2)
    more = {"plan": plan, "slots": slots, "record": [], "progress": progress, "visit": None}
    with pytest.raises(KeyError, match="enough"):
        _core.simulate(**world.arguments("simulate") | more)
    assert np.isfinite(inside).all()


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -0.5])
@pytest.mark.parametrize("name", ["momentum", "nesterov", "weight_decay"])
def test_numbers_of_rules(name: str, wrong: float) -> None:
    one = np.ones(1)
    arguments = ("euler", one, one, np.ones(1, np.int64), 0.0)
    with pytest.raises(ValueError, match=f"^{name} is not zero or above"):
        _core.Fixed(*arguments, {name: wrong * one}, None, None, False)
    with pytest.raises(ValueError, match="method takes no rule"):
        _core.Fixed("rk4", *arguments[1:], {name: one}, None, None, False)
