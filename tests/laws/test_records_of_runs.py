"""What is recorded is what the weights at that place have, by the reference, on every engine."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import deeplinear as dl
from deeplinear import _core
from engines import (
    DESCENT,
    DTYPES,
    EPSILON,
    MODELS,
    MOMENTUM,
    RK4,
    Case,
    Method,
    Model,
    assert_same_bits,
    cases,
    gentle_step,
    one_of_each,
    over,
    over_methods,
    variable,
)
from meaning import ITERATIVE, MEANING, At, meaning
from strategies import make_problem, one_run, with_test_data

pytestmark = pytest.mark.core

Array = NDArray[Any]

SMALL = [model for model in MODELS if model.small]


def test_every_record_has_a_meaning() -> None:
    assert set(MEANING) == set(dl.RECORDABLE)


@cache
def step_of(model: Model) -> float:
    return gentle_step(model.problem, model.weights(3))


CURVATURES = (*ITERATIVE, "hessian_trace", "gauss_newton", "layer_sharpness")


def size_of(name: str, at: At) -> float:
    """What rounding is relative to.

    Risks and distances are sums of squares of differences of numbers about the size of the targets
    and of w; eigenvalues are found within their tolerance of |H|, and the trace is a sum of as many
    as there are weights; singular vectors move by eps over the gaps, which are of order one here.
    """
    if name in CURVATURES:
        return float(np.sum(np.abs(at.spectrum)))
    norms = [float(np.linalg.norm(layer, 2)) for layer in at.weights]
    return max(1.0, *norms) ** 2 * max(1.0, float(np.mean(at.problem.y**2)))


@over_methods((DESCENT, MOMENTUM, RK4))
@over(cases(SMALL))
def test_records_are_of_the_weights_at_their_step(case: Case, method: Method) -> None:
    """Records at a step are those of the weights of a run cut there, up to 8 of them.

    The last run of an ensemble is looked at, among up to three. Singular vectors are determined to
    eps over a gap, some 1000 eps here.
    """
    step, runs = step_of(case.model), min(3, case.engine.runs)
    weights = case.model.weights(runs)
    options = {"every": 4, "record": case.model.records}
    result = case.simulate(weights, method.dynamics(step), **method.length(step, 8), **options)
    assert result[method.axis].size == 3
    problem, tests = case.model.problem, with_test_data(case.model.problem)[1]
    for slot, steps in enumerate((0, 4, 8)):
        states = [layer.astype(case.dtype) for layer in weights]
        if steps:
            length = method.length(step, steps)
            cut = case.simulate(weights, method.dynamics(step), record=(), **length)
            states = problem.network.unflatten(cut.weights.values)
        layers = [layer.astype(float) for layer in one_run(states, runs - 1)]
        at = At(problem, tests, layers)
        for name in case.model.records:
            share = max(2e-8 if name in ITERATIVE else 0.0, 1e3 * EPSILON[case.dtype])
            np.testing.assert_allclose(
                result[variable(name)].values[runs - 1, slot],
                meaning(name, at),
                rtol=share,
                atol=share * size_of(name, at),
                err_msg=f"{name} after {steps} steps",
            )


@pytest.mark.parametrize(("rtol", "atol"), [(1e-5, 1e-7), (1e-8, 1e-10)])
@over(one_of_each([model for model in SMALL if model.smooth]))
def test_adaptive_steps_and_what_lies_between_them(case: Case, rtol: float, atol: float) -> None:
    """The continuous solution is as good as the steps, up to a factor for its lower order.

    Its error is C h^5 where h^6 C' was held at the tolerance, so a factor of tolerance^(-1/6) at
    most, some 20 at 1e-8, on top of a few for the growth of errors along the flow.
    """
    problem, tests = case.model.problem, with_test_data(case.model.problem)[1]
    weights = case.model.weights(2)
    time = min(1.0, 20 * step_of(case.model))
    names = [name for name in ("risk", "test_risk", "layer_norm") if name in case.model.records]
    flow = dl.GradientFlow("dopri5", rtol=rtol, atol=atol)
    result = case.simulate(weights, flow, time=time, record=names, every=time / 4)
    times = list(result.time.values)
    assert len(times) == 5
    for index, state in enumerate(flow_of(case.model, tuple(times))):
        layers = problem.network.unflatten(state)
        for name in names:
            values = result[name].isel(run=1)
            exact = meaning(name, At(problem, tests, layers))
            error = np.max(np.abs(values.isel(time=index).values - exact))
            assert error <= 200 * rtol * np.max(np.abs(values.values)), (name, times[index])


@cache
def flow_of(model: Model, times: tuple[float, ...]) -> Array:
    """Of the second run."""
    return model.problem.objective.flow(one_run(model.weights(2), 1), times)


# By default, and what is refused


@pytest.mark.parametrize("samples", [None, True])
@pytest.mark.parametrize("activation", _core.activations())
def test_what_is_recorded_by_default(activation: str, samples: bool | None) -> None:
    """The distance is one of linear maps."""
    problem = make_problem((3, 4, 1), "plain", 7, seed=1).with_activation(activation, samples)
    always = {"weights", "status", "last_step"}
    default = {"risk", "distance"} if problem.linear else {"risk"}
    descent = dl.GradientDescent(0.01)
    dataset = dl.simulate(problem.landscape, problem.weights, descent, steps=2)
    assert set(dataset.data_vars) == always | default
    assert dataset["step"].values.tolist() == [0, 1, 2]
    assert json.loads(dataset.network.item())["activation"] == activation
    swept = dl.sweep(problem.landscape, dl.init.Gaussian(0.5), descent, seeds=2, steps=2)
    assert set(swept.data_vars) == always | default
    for record in (("risk",), ("alignment", "sharpness"), ()):
        some = dl.simulate(problem.landscape, problem.weights, descent, steps=2, record=record)
        assert set(some.data_vars) == always | set(record)


@pytest.mark.parametrize("record", [("distance",), ("risk", "distance"), "distance"])
def test_the_distance_is_one_of_linear_networks(record: Any) -> None:
    problem = make_problem((3, 4, 1), "plain", 7, seed=1).with_activation("gelu")
    descent, law = dl.GradientDescent(0.01), dl.init.Gaussian(0.5)
    with pytest.raises(ValueError, match=r"\brecord\b.*distance"):
        dl.simulate(problem.landscape, problem.weights, descent, steps=2, record=record)
    with pytest.raises(ValueError, match=r"\brecord\b.*distance"):
        dl.sweep(problem.landscape, law, descent, seeds=2, steps=2, record=record)


@pytest.mark.parametrize("model", [MODELS[0], MODELS[-1]], ids=str)
def test_the_test_risk_needs_test_data(model: Model) -> None:
    descent, weights = dl.GradientDescent(0.01), model.weights(1)
    landscape = model.problem.landscape
    with pytest.raises(ValueError, match=r"\brecord\b.*test"):
        dl.simulate(landscape, weights, descent, steps=2, record=("test_risk",))


@over([case for case in cases(dtypes=DTYPES[:1]) if case.engine.runs <= 3])
def test_the_test_data_are_only_looked_at(case: Case) -> None:
    descent, weights = dl.GradientDescent(0.01), case.weights()
    without = replace(case.model.problem).landscape
    options = {"engine": case.engine.name, "steps": 9, "record": ("risk",)}
    one = dl.simulate(without, weights, descent, **options)
    other = case.simulate(weights, descent, **(options | {"record": ("test_risk", "risk")}))
    assert_same_bits(one, other, ("risk",))
