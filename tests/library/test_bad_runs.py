"""Bad arguments of simulations and sweeps are refused in one clear sentence that names them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import deeplinear as dl
from refusal import BAD_WEIGHTS, PROBLEM, WEIGHTS, WIDTHS, refused, with_value

STACKED = [np.stack([layer] * 3) for layer in WEIGHTS]
BAD_RUNS: dict[str, Any] = {
    "unequal runs": [STACKED[0], STACKED[1][:2]],
    "one layer without runs": [STACKED[0], WEIGHTS[1]],
    "no runs": [layer[:0] for layer in STACKED],
    "two axes of runs": [layer[None] for layer in STACKED],
    "not a number": [with_value(STACKED[0], np.nan), STACKED[1]],
    "infinite": [STACKED[0], with_value(STACKED[1], np.inf)],
    "text": [np.full((4, 3), "a"), WEIGHTS[1]],
}


def simulate(**changes: Any) -> Any:
    arguments: dict[str, Any] = {
        "weights": WEIGHTS,
        "dynamics": dl.GradientDescent(0.01),
        "steps": 2,
    }
    arguments |= changes
    weights, dynamics = arguments.pop("weights"), arguments.pop("dynamics")
    return dl.simulate(PROBLEM.landscape, weights, dynamics, **arguments)


@pytest.mark.parametrize("case", BAD_WEIGHTS | BAD_RUNS)
def test_weights_of_a_simulation(case: str) -> None:
    refused("weights", lambda: simulate(weights=(BAD_WEIGHTS | BAD_RUNS)[case]))


@pytest.mark.parametrize("value", [0, 0.0, -0.1, np.nan, np.inf, "fast", None])
def test_learning_rates(value: Any) -> None:
    refused("learning_rate", lambda: simulate(dynamics=dl.GradientDescent(value)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("method", "rk45"),
        ("method", None),
        ("step", 0.0),
        ("step", -0.1),
        ("step", np.nan),
        ("step", "small"),
        ("rtol", -1e-6),
        ("rtol", np.nan),
        ("atol", -1e-9),
        ("atol", np.inf),
    ],
)
def test_arguments_of_flows(name: str, value: Any) -> None:
    options: dict[str, Any] = {"method": "dopri5" if name in ("rtol", "atol") else "rk4"}
    options[name] = value
    refused(name, lambda: simulate(dynamics=dl.GradientFlow(**options), steps=None, time=1.0))


FLOW = dl.GradientFlow("rk4", step=0.1)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("steps", {"steps": 0}),
        ("steps", {"steps": -5}),
        ("steps", {"steps": 2.5}),
        ("steps", {"steps": "many"}),
        ("steps", {"steps": None}),
        ("steps|time", {"steps": 2, "time": 1.0}),
        ("steps|time", {"steps": None, "time": 1.0}),
        ("time", {"dynamics": FLOW, "steps": None}),
        ("time|steps", {"dynamics": FLOW, "steps": 5}),
        ("time", {"dynamics": FLOW, "steps": None, "time": 0.0}),
        ("time", {"dynamics": FLOW, "steps": None, "time": -1.0}),
        ("time", {"dynamics": FLOW, "steps": None, "time": np.nan}),
        ("time", {"dynamics": FLOW, "steps": None, "time": np.inf}),
        ("record", {"record": ("risk", "loss")}),
        ("record", {"record": ("risk", 3)}),
        ("record", {"record": 3}),
        ("record", {"record": np.array(2.0)}),
        ("every", {"every": 0}),
        ("every", {"every": -1}),
        ("every", {"every": 1.5}),
        ("every", {"every": "step"}),
        (
            "every",
            {"dynamics": dl.GradientFlow("dopri5"), "steps": None, "time": 1.0, "every": 0.0},
        ),
        ("tolerance", {"tolerance": -1e-9}),
        ("tolerance", {"tolerance": np.nan}),
        ("tolerance", {"tolerance": "small"}),
        ("dtype", {"dtype": "int32"}),
        ("dtype", {"dtype": "float16"}),
        ("dtype", {"dtype": "\ud800"}),
        ("threads", {"threads": 0}),
        ("threads", {"threads": -2}),
        ("threads", {"threads": 1.5}),
        ("dynamics", {"dynamics": 0.01}),
        ("dynamics", {"dynamics": None}),
        ("engine", {"engine": "narrow"}),
        ("engine", {"engine": None}),
        ("engine", {"engine": 1}),
        ("overwrite_weights", {"overwrite_weights": "yes"}),
        ("overwrite_weights", {"overwrite_weights": None}),
        ("overwrite_weights", {"overwrite_weights": 1}),
    ],
)
def test_simulations(name: str, changes: dict[str, Any]) -> None:
    refused(name, lambda: simulate(**changes))


@pytest.mark.parametrize("init", [dl.init.Gaussian, dl.init.Residual, dl.init.Orthogonal])
@pytest.mark.parametrize("scale", [-0.5, np.nan, np.inf, "large", None])
def test_scales(init: Any, scale: Any) -> None:
    refused("scale", lambda: init(scale).sample(dl.Network(WIDTHS), 0))


def sweep(**changes: Any) -> Any:
    arguments: dict[str, Any] = {
        "init": dl.init.Gaussian(0.5),
        "dynamics": dl.GradientDescent(0.01),
        "seeds": 2,
        "steps": 2,
        "progress": False,
    }
    arguments |= changes
    init, dynamics = arguments.pop("init"), arguments.pop("dynamics")
    return dl.sweep(PROBLEM.landscape, init, dynamics, **arguments)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("seeds", {"seeds": 0}),
        ("seeds", {"seeds": -1}),
        ("seeds", {"seeds": []}),
        ("seeds", {"seeds": [0, -1]}),
        ("seeds", {"seeds": 2.5}),
        ("seeds", {"seeds": [0.5]}),
        ("seeds", {"seeds": "all"}),
        ("steps", {"steps": 0}),
        ("steps", {"steps": None}),
        ("time", {"dynamics": FLOW, "steps": None}),
        ("record", {"record": ("loss",)}),
        ("every", {"every": 0}),
        ("tolerance", {"tolerance": -1.0}),
        ("dtype", {"dtype": "int32"}),
        ("init", {"init": 0.5}),
        ("dynamics", {"dynamics": 0.5}),
        ("engine", {"engine": "narrow"}),
        ("engine", {"engine": None}),
    ],
)
def test_sweeps(name: str, changes: dict[str, Any]) -> None:
    refused(name, lambda: sweep(**changes))


def test_swept_fields() -> None:
    """One bad value among good ones, and no values at all; refused before the good ones are run."""
    refused("scale", lambda: sweep(init=dl.init.Gaussian([0.5, -0.5])))
    refused("scale", lambda: sweep(init=dl.init.Gaussian([])))
    refused("learning_rate", lambda: sweep(dynamics=dl.GradientDescent([0.1, 0.0])))
    refused("learning_rate", lambda: sweep(dynamics=dl.GradientDescent([])))
    flow: dict[str, Any] = {"steps": None, "time": 1.0}
    refused("method", lambda: sweep(dynamics=dl.GradientFlow(["rk4", "rk45"]), **flow))
    refused("step", lambda: sweep(dynamics=dl.GradientFlow(step=[0.1, -0.1]), **flow))


@pytest.mark.parametrize("value", ["yes", None, 3, [1]])
def test_progress(value: Any) -> None:
    refused("progress", lambda: simulate(progress=value))


@pytest.mark.parametrize("value", [None, 3, 0.5])
def test_weights_that_are_no_sequence(value: Any) -> None:
    refused("weights", lambda: simulate(weights=value))
