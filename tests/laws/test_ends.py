"""How runs end, each alone: where a plain loop ends, with the records and weights it has there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

import deeplinear as dl
from engines import (
    DTYPES,
    KINKED,
    MODELS,
    NAMES,
    Case,
    assert_same_bits,
    cases,
    gentle_step,
)
from strategies import (
    NONLINEAR,
    Problem,
    bent,
    flat,
    make_problem,
    minimizing_weights,
    one_run,
    random_ensemble,
)

pytestmark = pytest.mark.core

Array = NDArray[Any]

over_engines = pytest.mark.parametrize("engine", NAMES)
DYNAMICS = (dl.GradientDescent(0.01), dl.GradientFlow("rk4", step=0.1), dl.GradientFlow("dopri5"))


def length_of(dynamics: Any, steps: int, time: float) -> dict[str, Any]:
    return {"steps": steps} if isinstance(dynamics, dl.GradientDescent) else {"time": time}


@dataclass(frozen=True)
class Mixture:
    """40 runs of scales from 0.1 on: some diverge at this rate, some converge, some do neither."""

    engine: str
    activation: str
    tolerance: float
    high: float
    steps: int = 40
    rate: float = 0.1

    @property
    def problem(self) -> Problem:
        if self.activation == "identity":
            return make_problem((3, 4, 3, 1), "plain", 10, seed=8)
        return bent(make_problem((3, 4, 1), "plain", 7, seed=8), self.activation)

    @property
    def weights(self) -> list[Array]:
        return random_ensemble(self.problem, 40, seed=5, low=0.1, high=self.high)

    @property
    def least_risk(self) -> float:
        """What is taken off the risk before it is held against the tolerance.

        The least risk of a network that is no linear map is not known.
        """
        return self.problem.regression.minimum_risk if self.problem.linear else 0.0

    def simulate(self, weights: Any = None, **options: Any) -> xr.Dataset:
        arguments: dict[str, Any] = {"record": ("risk", "layer_norm"), "tolerance": self.tolerance}
        return dl.simulate(
            self.problem.landscape,
            self.weights if weights is None else weights,
            dl.GradientDescent(self.rate),
            engine=self.engine,
            **(arguments | {"steps": self.steps} | options),
        )

    @property
    def result(self) -> xr.Dataset:
        return _result(self)

    def __str__(self) -> str:
        return f"{self.engine}, {self.activation}"


@cache
def _result(mixture: Mixture) -> xr.Dataset:
    return mixture.simulate()


MIXTURES = [
    *(Mixture(name, "identity", 1e-4, 3.0) for name in NAMES),
    Mixture("ensemble", "gelu", 0.3, 4.0),
    Mixture("ensemble", "relu", 0.3, 4.0),
]
over_mixtures = pytest.mark.parametrize("mixture", MIXTURES, ids=str)


@cache
def excess_of(activation: str) -> list[Array]:
    """Of the runs of a mixture after every step of a plain loop, in double precision."""
    mixture = next(mixture for mixture in MIXTURES if mixture.activation == activation)
    objective = replace(mixture.problem.objective, dtype=np.float64)
    found = []
    with np.errstate(all="ignore"):
        for run in range(40):
            start = one_run(mixture.weights, run)
            states = objective.gradient_descent(start, mixture.rate, mixture.steps)
            risks = [objective.risk(objective.unflatten(state)) for state in states]
            found.append(np.array(risks) - mixture.least_risk)
    return found


@over_mixtures
def test_statuses_and_last_steps(mixture: Mixture) -> None:
    status, last = mixture.result.status.values, mixture.result.last_step.values
    assert set(status.tolist()) == {"completed", "converged", "diverged"}
    for run, excess in enumerate(excess_of(mixture.activation)):
        end = int(last[run])
        if status[run] == "diverged":
            assert 0 < end <= mixture.steps
            assert not excess[end] < 1e6  # NaN, infinite or enormous
            continue
        # at the first step where it may be said
        assert np.all(excess[:end] > mixture.tolerance * (1 - 1e-6))
        if status[run] == "converged":
            assert excess[end] <= mixture.tolerance * (1 + 1e-6)
        else:
            assert end == mixture.steps
            assert excess[end] > mixture.tolerance * (1 - 1e-6)


@over_mixtures
def test_records_after_the_end_of_a_run(mixture: Mixture) -> None:
    """A diverged run has no values (NaN); a converged one keeps its last to the end."""
    dataset = mixture.result
    steps = dataset["step"].values
    for run, status in enumerate(dataset.status.values):
        end = int(dataset.last_step.values[run])
        for name in ("risk", "layer_norm"):
            values = dataset[name].isel(run=run).transpose("step", ...).values
            if status == "diverged":
                assert np.all(np.isnan(values[steps > end]))
                assert np.all(np.isfinite(values[steps < end]))
            else:
                assert np.all(np.isfinite(values))
            if status == "converged":
                after = values[steps >= end]
                np.testing.assert_array_equal(after, np.broadcast_to(after[0], after.shape))
                risk = dataset["risk"].values[run, -1]
                assert risk - mixture.least_risk <= mixture.tolerance * (1 + 1e-6)


@over_mixtures
def test_converged_runs_keep_the_weights_of_their_last_step(mixture: Mixture) -> None:
    dataset = mixture.result
    for run in np.flatnonzero(dataset.status.values == "converged")[:5]:
        end = int(dataset.last_step.values[run])
        if end == 0:
            continue
        alone = mixture.simulate(one_run(mixture.weights, run), steps=end, tolerance=0.0)
        assert alone.status.item() == "completed"
        np.testing.assert_array_equal(alone["weights"].values[0], dataset["weights"].values[run])


@over_mixtures
def test_a_coarse_grid_does_not_change_how_runs_end(mixture: Mixture) -> None:
    """Convergence is looked for at every step; its record stands for all later grid points."""
    fine = mixture.result
    for every, grid in ((25, [0, 25, 40]), (None, [0, 40])):
        coarse = mixture.simulate(every=every)
        assert coarse["step"].values.tolist() == grid
        assert_same_bits(fine, coarse)
        for name in ("risk", "layer_norm"):
            expected = fine[name].sel(step=coarse["step"])
            np.testing.assert_array_equal(coarse[name].values, expected.values)


@over_engines
def test_without_a_tolerance_runs_complete(engine: str) -> None:
    mixture = next(mixture for mixture in MIXTURES if mixture.engine == engine)
    quiet = [layer[:4] * 0.3 for layer in mixture.weights]
    dataset = dl.simulate(
        mixture.problem.landscape, quiet, dl.GradientDescent(0.02), steps=300, engine=engine
    )
    assert dataset.status.values.tolist() == ["completed"] * 4
    assert dataset.last_step.values.tolist() == [300] * 4


@pytest.mark.parametrize("activation", NONLINEAR)
def test_what_is_not_diverged_is_finite(activation: str) -> None:
    """Weights and risk of every run that is said to be well, even among those that overflow.

    And of a run that diverged, everything until the step before.
    """
    # tanh has features of at most one: a factor per step
    rate = 1.0 if activation == "tanh" else 0.1
    mixture = Mixture("ensemble", activation, 1e-6, 4.0, steps=2000, rate=rate)
    problem, weights = mixture.problem, mixture.weights
    dataset = mixture.simulate(every=400)
    diverged = np.flatnonzero(dataset.status.values == "diverged")
    assert 0 < len(diverged) < 40
    for run in range(40):
        if run in diverged:
            end = int(dataset.last_step.values[run])
            assert np.all(np.isnan(dataset["risk"].values[run, dataset["step"].values > end]))
            if end < 2:
                continue
            before = mixture.simulate(one_run(weights, run), steps=end - 1, every=None)
            assert before.status.item() == "completed"
            assert np.isfinite(before["risk"].values).all()
            assert np.isfinite(before["weights"].values).all()
            continue
        final = dataset["weights"].values[run]
        assert np.isfinite(final).all()
        assert np.isfinite(dataset["risk"].values[run]).all()
        risk = problem.landscape.risk(problem.network.unflatten(final))
        assert dataset["risk"].values[run, -1] == pytest.approx(risk, rel=1e-12)


# At, and on the way to, a least risk


def fitted(activation: str) -> tuple[Problem, list[Array], float]:
    """A problem, weights of its least risk, and a tolerance that rounding there is far below."""
    problem = make_problem((3, 4, 1), "plain", 10, seed=8)
    if activation == "identity":
        return problem, minimizing_weights(problem), 1e-8
    problem = bent(problem, activation)
    made = replace(problem, y=problem.objective.outputs(problem.weights).astype(float))
    return made, list(made.weights), 1e-20


PATHS = [*((name, "identity") for name in NAMES), *(("ensemble", name) for name in NONLINEAR)]
over_paths = pytest.mark.parametrize(("engine", "activation"), PATHS)


@pytest.mark.parametrize("dynamics", DYNAMICS, ids=str)
@over_paths
def test_a_start_at_the_least_risk_has_converged(
    engine: str, activation: str, dynamics: Any
) -> None:
    problem, weights, tolerance = fitted(activation)
    dataset = dl.simulate(
        problem.landscape,
        weights,
        dynamics,
        tolerance=tolerance,
        engine=engine,
        **length_of(dynamics, 7, 2.0),
    )
    assert dataset.status.item() == "converged"
    assert dataset.last_step.item() == 0
    np.testing.assert_array_equal(dataset["weights"].values[0], flat(weights))
    least = problem.regression.minimum_risk if problem.linear else 0.0
    np.testing.assert_allclose(dataset["risk"].values, least, rtol=1e-14, atol=1e-25)
    if problem.linear:
        assert np.all(dataset["distance"].values <= 1e-25)


@pytest.mark.parametrize("method", ["rk4", "dopri5"])
@over_paths
def test_flows_converge(engine: str, activation: str, method: str) -> None:
    """From weights near those of the least risk."""
    problem, weights, _ = fitted(activation)
    tolerance = 1e-6 if problem.linear else 1e-3
    rng = np.random.default_rng(0)
    near = [layer + 0.2 * rng.standard_normal((9, *layer.shape)) for layer in weights]
    flow = dl.GradientFlow(method=method, step=0.01)
    dataset = dl.simulate(
        problem.landscape, near, flow, time=40.0, tolerance=tolerance, every=None, engine=engine
    )
    assert dataset.status.values.tolist() == ["converged"] * 9
    least = problem.regression.minimum_risk if problem.linear else 0.0
    assert np.all(dataset["risk"].values[:, -1] - least <= tolerance * (1 + 1e-3))
    layers = problem.network.unflatten(dataset["weights"].values)
    for run in range(9):
        risk = problem.landscape.risk(one_run(layers, run))
        assert risk == pytest.approx(dataset["risk"].values[run, -1], rel=1e-11)


# A step that is too large turns the neurons of a ReLU off, and it stays where it is.
@pytest.mark.parametrize(
    ("engine", "activation"), [path for path in PATHS if path[1] not in KINKED]
)
def test_a_flow_with_too_large_a_step_diverges(engine: str, activation: str) -> None:
    """Runs that are well have records to the end; the others have none after their last step."""
    problem = bent(make_problem((3, 4, 3, 1), "plain", 10, seed=8), activation)
    weights = random_ensemble(problem, 40, seed=5, low=0.1, high=4.0)
    step = 3.0 if activation == "tanh" else 0.3
    flow = dl.GradientFlow(method="rk4", step=step)
    dataset = dl.simulate(
        problem.landscape, weights, flow, time=100 * step, record="risk", engine=engine
    )
    diverged = np.flatnonzero(dataset.status.values == "diverged")
    assert len(diverged) > 0
    last = dataset.last_step.values
    assert np.all(last[diverged] <= 100)
    for run in diverged:
        risk = dataset["risk"].values[run]
        assert np.all(np.isfinite(risk[: last[run]]))
        assert np.all(np.isnan(risk[last[run] + 1 :]))
        assert last[run] == 100 or np.isnan(risk[-1])
    well = np.flatnonzero(dataset.status.values == "completed")
    assert np.all(np.isfinite(dataset["risk"].values[well]))


# A run that ends changes nothing of the others


# Of one layer no scale is too large, and a step that is turns neurons off.
ENDINGS = [
    (case, end)
    for case in cases([model for model in MODELS if model.small], DTYPES[:1])
    for end in ("diverged", "converged", "out of range")
    if end != "diverged" or (case.model.linear and case.model.problem.depth > 1)
]


@pytest.mark.parametrize(("case", "end"), ENDINGS, ids=str)
def test_a_run_ends_alone(case: Case, end: str) -> None:
    """The third run of five is one that ends, and the others keep the bits they have beside it."""
    problem, five = case.model.problem, case.model.weights(5, low=0.4, high=0.6)
    third = one_run(five, 2)
    tolerance = 0.0
    if end == "converged":
        if problem.linear:
            third, tolerance = minimizing_weights(problem.with_weights(third)), 1e-8
        else:
            outputs = problem.objective.outputs(third)
            problem, tolerance = replace(problem, y=outputs.astype(float)), 1e-20
    elif end == "diverged":
        third = [1e3 * layer for layer in third]
    else:
        third = [1e200 * layer for layer in third]
    ended = [layer.copy() for layer in five]
    for layer, new in zip(ended, third, strict=True):
        layer[2] = new

    def simulate(weights: list[Array]) -> xr.Dataset:
        return dl.simulate(
            problem.landscape,
            weights,
            dl.GradientDescent(gentle_step(problem, five)),
            steps=12,
            every=3,
            record=("risk", "layer_norm"),
            tolerance=tolerance,
            engine=case.engine.name,
            threads=case.engine.threads,
        )

    others = [0, 1, 3, 4]
    alone, beside = simulate([layer[others] for layer in five]), simulate(ended)
    assert alone.status.values.tolist() == ["completed"] * 4
    expected = {end} if end != "out of range" else {"overflowed", "diverged"}
    assert beside.status.values[2] in expected
    assert beside.last_step.values[2] < 12
    assert_same_bits(alone, beside.isel(run=others), ("risk", "layer_norm"))
