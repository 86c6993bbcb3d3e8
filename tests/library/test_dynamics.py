from __future__ import annotations

import re
from dataclasses import FrozenInstanceError, fields
from typing import Any

import numpy as np
import pytest

from deeplinear import _core
from deeplinear._support.checks import sequence_fields, single
from deeplinear.dynamics import Dynamics, GradientDescent, GradientFlow


def test_defaults() -> None:
    flow = GradientFlow()
    assert (flow.method, flow.step, flow.rtol, flow.atol) == ("rk4", 1e-2, 1e-6, 1e-9)
    assert flow.max_steps == 10_000_000
    names = ["method", "step", "rtol", "atol", "max_steps"]
    assert [field.name for field in fields(GradientFlow)] == names
    names = ["learning_rate", "momentum", "nesterov", "weight_decay"]
    assert [field.name for field in fields(GradientDescent)] == names
    descent = GradientDescent(0.1)
    assert (descent.momentum, descent.nesterov, descent.weight_decay) == (0.0, False, 0.0)
    assert isinstance(flow, Dynamics)
    assert isinstance(GradientDescent(0.1), Dynamics)


@pytest.mark.parametrize("value", [1, np.float32(1), np.int64(1), np.array(1.0)])
def test_numbers_become_floats(value: Any) -> None:
    assert GradientDescent(value) == GradientDescent(1.0)
    assert type(GradientDescent(value).learning_rate) is float
    assert type(GradientFlow(step=value).step) is float


def test_sequences_become_tuples() -> None:
    descent = GradientDescent(learning_rate=np.array([0.1, 1]))
    assert descent.learning_rate == (0.1, 1.0)
    assert hash(descent) == hash(GradientDescent([0.1, 1.0]))
    assert GradientDescent(range(1, 3)).learning_rate == (1.0, 2.0)
    flow = GradientFlow(method=["euler", "rk4"], step=[1e-2, 1e-3], atol=(1e-3,))
    assert sequence_fields(flow) == {
        "method": ("euler", "rk4"),
        "step": (1e-2, 1e-3),
        "atol": (1e-3,),
    }
    assert GradientFlow(method=np.array(["dopri5", "rk4"])).method == ("dopri5", "rk4")


def test_single_gives_the_one_value_or_an_error() -> None:
    assert single("learning_rate", GradientDescent(0.1).learning_rate) == 0.1
    assert single("method", GradientFlow("dopri5").method) == "dopri5"
    flow = GradientFlow(method=["rk4"], rtol=[1e-3, 1e-4, 1e-5])
    with pytest.raises(ValueError, match=r"^method must be one value here; got a sequence of 1"):
        single("method", flow.method)
    with pytest.raises(ValueError, match=r"^rtol must be one value here; got a sequence of 3"):
        single("rtol", flow.rtol)


METHODS = f"method must be one of {', '.join(map(repr, _core.methods()))}; got "


@pytest.mark.parametrize(
    ("method", "error", "message"),
    [
        ("rk45", ValueError, METHODS + "'rk45'."),
        ("RK4", ValueError, METHODS + "'RK4'."),
        ("", ValueError, METHODS + "''."),
        (None, TypeError, METHODS + "None."),
        (4, TypeError, METHODS + "4."),
        ([], ValueError, "method must be one value or a non-empty sequence; got an empty one."),
        (["rk4", "rk45"], ValueError, METHODS.replace("method", "method[1]") + "'rk45'."),
    ],
)
def test_bad_method(method: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        GradientFlow(method=method)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (GradientDescent, "learning_rate"),
        (GradientFlow, "step"),
        (GradientFlow, "rtol"),
        (GradientFlow, "atol"),
    ],
)
@pytest.mark.parametrize(
    ("value", "error", "got"),
    [
        (0, ValueError, "0."),
        (0.0, ValueError, "0.0."),
        (-1e-3, ValueError, "-0.001."),
        (np.nan, ValueError, "nan."),
        (np.inf, ValueError, "inf."),
        ("0.1", TypeError, "'0.1'."),
        (None, TypeError, "None."),
        (True, TypeError, "True."),
        (0.1 + 0j, TypeError, "(0.1+0j)."),
    ],
)
def test_bad_number(make: Any, name: str, value: Any, error: type[Exception], got: str) -> None:
    message = f"{name} must be a positive finite number; got {got}"
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        make(**{name: value})
    message = f"{name}[1] must be a positive finite number; got {got}"
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        make(**{name: [1.0, value]})


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (0, ValueError, "max_steps must be a positive integer; got 0."),
        (-3, ValueError, "max_steps must be a positive integer; got -3."),
        (1e6, TypeError, "max_steps must be a positive integer; got 1000000.0."),
        (None, TypeError, "max_steps must be a positive integer; got None."),
        (True, TypeError, "max_steps must be a positive integer; got True."),
        (
            2**53 + 1,
            ValueError,
            f"max_steps must be a positive integer of at most {2**53:,}; got {2**53 + 1}.",
        ),
        ([5, 0], ValueError, "max_steps[1] must be a positive integer; got 0."),
    ],
)
def test_bad_max_steps(value: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        GradientFlow("dopri5", max_steps=value)


def test_several_max_steps() -> None:
    flow = GradientFlow("dopri5", max_steps=np.array([10, 2**53]))
    assert sequence_fields(flow) == {"max_steps": (10, 2**53)}
    with pytest.raises(ValueError, match=r"^max_steps must be one value here; got a sequence of 2"):
        single("max_steps", flow.max_steps)
    assert single("max_steps", GradientFlow("dopri5", max_steps=np.int64(7)).max_steps) == 7


def test_dynamics_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        GradientFlow().step = 1.0  # type: ignore[misc]
