"""The right arguments of the classes and functions of the compiled module, in a setting."""

from __future__ import annotations

import pickle
import random
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import public_entries
from deeplinear import _core
from descriptions import OwnError
from public_entries import Progress

LANDSCAPE = ("end_to_end", "risk", "gradient", "hessian", "compressed_hessian", "hessian_trace")
#: The classes that calls make, and the arguments of each that are objects of others
PARTS: dict[str, dict[str, tuple[str, ...]]] = {
    "Modes": {},
    "TestRisk": {"modes": ("Modes",)},
    "Risk": {"modes": ("Modes",), "test": ("TestRisk",)},
    "SampleSet": {},
    "Samples": {"train": ("SampleSet",), "test": ("SampleSet",)},
    "Problem": {"risk": ("Risk",), "samples": ("Samples",)},
    "Fixed": {},
    "Adaptive": {},
    "Plan": {"steps": ("Fixed", "Adaptive")},
    "Direction": {},
}
CLASSES = (*PARTS, "Outcome")
FIELDS = ("status", "last_step", "out_of_range_layer", "records", "accuracy", "interrupted")
FIELDS += ("states",)


class Captured(Exception):
    def __init__(self, arguments: dict[str, Any]) -> None:
        super().__init__()
        self.arguments = arguments


def capture_simulate(call: Callable[[], Any]) -> dict[str, Any]:
    """Return by name what a public call passes to `simulate` of the core, which is not called."""
    function = _core.simulate
    names = re.findall(r"(\w+): ", str(function.__doc__).split("->")[0])

    def stand_in(*arguments: Any) -> None:
        raise Captured(dict(zip(names, arguments, strict=True)))

    _core.simulate = stand_in  # type: ignore[assignment]
    try:
        call()
    except Captured as captured:
        return captured.arguments
    finally:
        _core.simulate = function
    raise AssertionError("simulate was not called")


class Visit:
    """Keeps the weights that it is called with, spoils its copy, and does as it is told."""

    def __init__(self, work: Callable[[], Any] | None = None) -> None:
        self.work = work
        self.seen: dict[tuple[int, int], bytes] = {}
        self.inside = threading.Lock()

    def __call__(self, run: int, slot: int, weights: Any) -> None:
        assert self.inside.acquire(blocking=False), "called from two threads at once"
        try:
            assert (run, slot) not in self.seen
            self.seen[run, slot] = weights.tobytes()
            weights[:] = np.nan
            time.sleep(0)  # other threads may go on
            if self.work is not None:
                self.work()
        finally:
            self.inside.release()


class World(public_entries.World):
    """Makes the right arguments of every call."""

    def __init__(self, setting: dict[str, Any], threads: int = 1) -> None:
        super().__init__(setting)
        self.threads = threads
        self.problem = self.landscape()._problem
        self.parameters = self.network.parameters
        # The risk about its minimizer, by modes, or both
        self.about, self.by_modes = setting["seed"] % 3 != 2, setting["seed"] % 3 != 0
        self.adaptive = setting["seed"] % 4 == 3

    def vector(self) -> Any:
        return self.setting["scale"] * self.rng.standard_normal(self.parameters)

    def arguments(self, call: str) -> dict[str, Any]:
        if call in LANDSCAPE:
            return {"problem": self.problem, "weights": self.vector(), "threads": self.threads}
        right: dict[str, Any] = getattr(self, f"_{call}")()
        return right

    def make(self, name: str) -> Any:
        """Make an object of a class, with the right arguments."""
        if name == "Outcome":  # of one step: right arguments may ask for long work
            right = self.arguments("simulate") | {"visit": None, "progress": None, "slots": 2}
            right |= {"record": [("risk", 1)]}
            steps = fixed_steps("euler", np.full(len(right["weights"]), 1e-6), 1)
            return _core.simulate(**right | {"plan": _core.Plan(steps, 0.0, self.threads)})
        return getattr(_core, name)(**self.arguments(name))

    def _Modes(self) -> dict[str, Any]:
        d = self.setting["widths"][0]
        return {"factor": self.rng.standard_normal((3, d)), "target": self.rng.standard_normal(3)}

    def _forms(self) -> dict[str, Any]:
        factor = self.rng.standard_normal((3, self.setting["widths"][0]))
        return {
            "covariance": factor.T @ factor if self.about else None,
            "modes": self.make("Modes") if self.by_modes else None,
        }

    def _TestRisk(self) -> dict[str, Any]:
        half = self.rng.standard_normal(self.setting["widths"][0]) if self.about else None
        return self._forms() | {"half_gradient": half, "at_minimizer": 0.5, "rest": 0.1}

    def _Risk(self) -> dict[str, Any]:
        test = self.make("TestRisk") if self.setting["tested"] else None
        minimizer = self.rng.standard_normal(self.setting["widths"][0])
        return self._forms() | {"minimizer": minimizer, "minimum": 0.5, "test": test}

    def _SampleSet(self) -> dict[str, Any]:
        return {"inputs": self.data["X"], "targets": self.data["y"]}

    def _Samples(self) -> dict[str, Any]:
        test = self.make("SampleSet") if self.setting["tested"] else None
        names = {"activation": self.setting["activation"], "loss": "squared"}
        return names | {"train": self.make("SampleSet"), "test": test}

    def _Problem(self) -> dict[str, Any]:
        samples = self.make("Samples") if self.setting["samples"] else None
        sizes = {"widths": self.setting["widths"], "readout": self.network.readout_vector}
        return sizes | {"risk": self.make("Risk"), "samples": samples}

    def _Fixed(self) -> dict[str, Any]:
        method = random.Random(self.setting["seed"]).choice(("euler", "rk4"))
        sizes = {"step": np.full(3, 0.01), "last_step": np.full(3, 0.02)}
        rules = {"momentum": np.array([0.0, 0.5, 0.9]), "weight_decay": np.full(3, 0.1)}
        rules |= {"nesterov": np.array([0.0, 1.0, 0.0])}
        rest = {"done": np.zeros(3, np.int64), "states": None, "keep_states": True}
        rest |= {"rules": rules if method == "euler" else {}}
        return {"method": method, **sizes, "steps": np.array([7, 5, 7]), "every": 2.0} | rest

    def _Adaptive(self) -> dict[str, Any]:
        tolerances = {"rtol": np.full(3, 1e-6), "atol": np.full(3, 1e-9)}
        first = {"first_step": np.full(3, 0.01), "max_steps": np.full(3, 1000)}
        return {"method": "dopri5", "time": 0.07, "every": 0.02} | first | tolerances

    def _Plan(self) -> dict[str, Any]:
        steps = self.make("Adaptive" if self.adaptive else "Fixed")
        return {"steps": steps, "tolerance": 0.0, "threads": self.threads}

    def _simulate(self) -> dict[str, Any]:
        entry = public_entries.ENTRIES["simulate"]
        right = entry.right(self)
        found = capture_simulate(lambda: entry.call(self, self.threads)(**right))
        visit = Visit() if self.setting["seed"] % 2 else None
        return found | {"progress": Progress(), "visit": visit}

    def _train(self) -> dict[str, Any]:
        """All numbers of a simulation: those of every class as ``Class.argument``."""
        used = ["Risk", "Problem", "Plan", "Adaptive" if self.adaptive else "Fixed"]
        used += ["Modes"] * self.by_modes + ["TestRisk"] * self.setting["tested"]
        used += ["Samples", "SampleSet"] * self.setting["samples"]
        leaves = {
            f"{one}.{name}": value
            for one in used
            for name, value in self.arguments(one).items()
            if name not in PARTS[one]
        }
        return leaves | {
            "weights": self.setting["scale"] * self.rng.standard_normal((3, self.parameters)),
            "engine": "auto",
            "record": self.records(),
            "slots": 5,
            "visit": Visit() if self.setting["seed"] % 2 else None,
            "progress": Progress(),
        }

    def records(self) -> list[tuple[str, int]]:
        """Draw some of what can be recorded of the problem."""
        rng, problem = random.Random(self.setting["seed"]), self.make("Problem")
        there = [name for name in _core.observables() if _core.record_lacks(problem, name) is None]
        return [(name, min(2, self.parameters)) for name in there if rng.random() < 0.4]

    def _record_lacks(self) -> dict[str, Any]:
        return {"problem": self.problem, "name": "distance"}

    def _engine_lacks(self) -> dict[str, Any]:
        return {"problem": self.problem, "name": "wide"}

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
        return {"vector": self.vector(), "threads": self.threads}

    def _Direction(self) -> dict[str, Any]:
        return {"vector": self.vector()}

    def _expand(self) -> dict[str, Any]:
        return {"self": _core.Direction(self.vector()), "widths": self.setting["widths"]}

    def _restore(self) -> dict[str, Any]:
        none = np.zeros(0)
        return {"a": none, "b": none, "c": none, "d": self.vector()}

    def _outcome(self) -> dict[str, Any]:
        return {"self": self.make("Outcome")}

    def _pickled(self) -> dict[str, Any]:
        return {"value": _core.Direction(self.vector()), "protocol": 0}

    def _standard_normals(self) -> dict[str, Any]:
        seeds = np.array([0, self.setting["seed"], 1000], np.uint64)
        return {"seeds": seeds, "out": np.zeros((3, self.parameters)), "threads": self.threads}

    def _multiply_add_rate(self) -> dict[str, Any]:
        return {"dtype": "float64", "threads": 1, "seconds": 1e-4}

    def _memory_bandwidth(self) -> dict[str, Any]:
        return {"threads": 1, "bytes": 10_000, "repetitions": 2}

    def odd(self) -> dict[str, Callable[[], Any]]:
        """Objects of the core's own classes, and functions to be called."""
        other = World(OTHER) if self.setting is not OTHER else self
        again = other.arguments("simulate") if other is not self else {}

        def found() -> Any:
            world = World(self.setting)
            return _core.extreme_eigenvalues(
                world.problem, world.vector(), 1, True, 1e-8, 300, None, 1
            )[0][-1]

        def simulate() -> Any:
            return _core.simulate(
                **again | {"weights": again["weights"].copy(), "visit": None, "progress": None}
            )

        objects: dict[str, Callable[[], Any]] = {}
        for name in CLASSES:
            kind = getattr(_core, name)
            objects[f"{name} without init"] = lambda kind=kind: kind.__new__(kind)
            objects[f"another {name}"] = lambda name=name: other.make(name)
            objects[f"a {name}"] = lambda name=name: World(self.setting).make(name)
        return objects | {
            "a found direction": found,
            "an empty direction": lambda: _core.Direction(np.zeros(0)),
            **{
                f"{name} that {what}": lambda kind=kind, work=work: kind(work)
                for name, kind in (("progress", Progress), ("visit", Visit))
                for what, work in (
                    ("raises", _fail),
                    ("is interrupted", _interrupt),
                    ("is slow", lambda: time.sleep(0.02)),
                    ("simulates", simulate),
                )
            },
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


def fixed_steps(method: str, step: Any, steps: int, every: float = 0.0) -> _core.Fixed:
    """Make steps of runs that have the same number of them."""
    counts = np.full(len(step), steps)
    return _core.Fixed(method, step, step, counts, every, {}, None, None, False)


# ---- Calls that are no function of the module --------------------------------------------------


def restore(**parts: Any) -> Any:
    """Make a direction of its state."""
    direction = _core.Direction.__new__(_core.Direction)
    direction.__setstate__(tuple(parts.values()))
    return direction


def outcome(self: Any) -> Any:
    """Read all fields of an outcome."""
    if not isinstance(self, _core.Outcome):
        raise TypeError("self is no outcome")
    return [getattr(self, field) for field in (*FIELDS, "engine")]


def pickled(value: Any, protocol: Any) -> Any:
    """Pickle what is of the module."""
    if type(value).__name__ not in CLASSES or protocol not in range(pickle.HIGHEST_PROTOCOL + 1):
        return None
    return pickle.dumps(value, protocol)


def train(**numbers: Any) -> Any:
    """Make all objects of a simulation of their numbers, and run it."""

    def make(*names: str) -> Any:
        for name in names:
            own = {key.split(".")[1]: x for key, x in numbers.items() if key.startswith(f"{name}.")}
            if own:
                parts = {part: make(*kinds) for part, kinds in PARTS[name].items()}
                return getattr(_core, name)(**own, **parts)
        return None

    rest = {name: value for name, value in numbers.items() if "." not in name}
    return _core.simulate(make("Problem"), plan=make("Plan"), **rest)
