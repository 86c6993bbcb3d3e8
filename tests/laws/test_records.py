"""Records against oracles that know nothing of the core: dense Hessians, NumPy's decompositions."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import deeplinear as dl
from strategies import (
    PROPERTY,
    Problem,
    bent,
    flat,
    make_problem,
    nonlinear_problems,
    problems,
    random_ensemble,
)

pytestmark = pytest.mark.core

TOLERANCE = 1e-10
ENGINES = ("ensemble", "wide")


def recorded(problem: Problem, *record: Any, engine: str = "auto", **options: Any) -> Any:
    """Record a run of one tiny step: its first record is of the problem's weights."""
    return dl.simulate(
        problem.landscape, problem.weights, dl.GradientDescent(1e-9), steps=1, record=record,
        engine=engine, **options,
    ).isel(run=0, step=0)  # fmt: skip


def hessian(problem: Problem) -> np.ndarray:
    return np.asarray(problem.objective.hessian(problem.weights), dtype=float)


def blocks(problem: Problem, H: np.ndarray) -> list[np.ndarray]:
    ends = np.cumsum([layer.size for layer in problem.weights])
    starts = np.concatenate([[0], ends[:-1]])
    return [H[a:b, a:b] for a, b in zip(starts, ends, strict=True)]


def jacobian(problem: Problem) -> np.ndarray:
    """Derivatives of the outputs at the samples in all weights, (n, P), by complex steps."""
    readout = np.ones(1) if problem.readout is None else problem.readout
    functions = {
        "identity": lambda z: z,
        "tanh": np.tanh,
        "gelu": lambda z: 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))),
        "relu": lambda z: np.where(z.real > 0, z, 0),
    }
    vector, step = flat(problem.weights).astype(complex), 1e-30

    def outputs(v: np.ndarray) -> np.ndarray:
        a = problem.X.T.astype(complex)
        *inner, last = problem.network.unflatten(v.real)
        *inner_slope, last_slope = problem.network.unflatten(v.imag)
        for layer, slope in zip(inner, inner_slope, strict=True):
            a = functions[problem.activation]((layer + 1j * slope) @ a)
        return readout @ ((last + 1j * last_slope) @ a)

    columns = []
    for i in range(len(vector)):
        moved = vector.copy()
        moved[i] += 1j * step
        columns.append(outputs(moved).imag / step)
    return np.stack(columns, axis=1)


def check_spectrum(problem: Problem, engine: str) -> None:
    H = hessian(problem)
    values = np.linalg.eigvalsh(H)[::-1]
    scale = np.abs(values).max()
    count = min(4, len(values))
    names = ("hessian_trace", "gauss_newton", "layer_sharpness")
    found = recorded(problem, *names, f"eigenvalues:{count}", engine=engine)
    # Lanczos stops at a residual of 1e-8, whose square over the gap is the error of the value, and
    # the residual itself where eigenvalues lie close.
    assert np.abs(found.eigenvalues.values - values[:count]).max() <= 1e-8 * scale
    assert found.hessian_trace.item() == pytest.approx(np.trace(H), abs=TOLERANCE * scale)
    largest = [np.linalg.eigvalsh(block)[-1] for block in blocks(problem, H)]
    error = 1e-8 if problem.landscape.samples else TOLERANCE
    assert np.abs(found.layer_sharpness.values - largest).max() <= error * scale
    expected = 2 / len(problem.y) * np.linalg.norm(jacobian(problem), 2) ** 2
    assert found.gauss_newton.item() == pytest.approx(expected, rel=TOLERANCE, abs=1e-300)


@pytest.mark.parametrize("engine", ENGINES)
@PROPERTY
@given(problem=problems(max_depth=4, max_width=5))
def test_the_spectrum_of_linear_networks(engine, problem):
    check_spectrum(problem, engine)


@PROPERTY
@given(problem=nonlinear_problems(max_depth=3, max_width=4))
def test_the_spectrum_of_other_networks(problem):
    check_spectrum(problem, "auto")


def check_layers(problem: Problem, engine: str) -> None:
    found = recorded(problem, "singular_values", "gradient_norm", engine=engine)
    for layer, values in zip(problem.weights, found.singular_values.values, strict=True):
        expected = np.linalg.svd(layer, compute_uv=False)
        assert values[: len(expected)] == pytest.approx(expected, abs=1e-13 * expected[0])
        assert np.isnan(values[len(expected) :]).all()
    gradient = flat(problem.objective.gradient(problem.weights)).astype(float)
    # Rounding of each entry's sum is relative to the largest terms, not to a gradient near zero.
    scale = float(np.linalg.norm(gradient)) + 1e-3
    assert found.gradient_norm.item() == pytest.approx(np.linalg.norm(gradient), abs=1e-10 * scale)


@pytest.mark.parametrize("engine", ENGINES)
@PROPERTY
@given(problem=problems())
def test_layers_and_gradients_of_linear_networks(engine, problem):
    check_layers(problem, engine)
    w = recorded(problem, "end_to_end", engine=engine).end_to_end.values
    expected = np.asarray(problem.reference.end_to_end(problem.weights), dtype=float)
    assert w == pytest.approx(expected, abs=1e-12 * (1 + np.abs(expected).max()))


@PROPERTY
@given(problem=nonlinear_problems())
def test_layers_and_gradients_of_other_networks(problem):
    check_layers(problem, "auto")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("engine", "widths", "activation"),
    [
        ("ensemble", (5, 5, 5, 1), "identity"),
        ("ensemble", (4, 7, 3, 1), "gelu"),
        ("wide", (5, 9, 4, 1), "identity"),
        ("wide", (60, 110, 100, 1), "identity"),  # steps wait to be written
        ("wide", (40, 200, 220, 1), "identity"),
    ],
)
def test_recorded_weights_are_those_of_a_run_cut_there(engine, widths, activation, dtype):
    problem = bent(make_problem(widths, "plain", 30, seed=2), activation)
    start = random_ensemble(problem, 3, seed=5, low=0.4, high=0.6)
    descent, landscape = dl.GradientDescent(0.02), problem.landscape
    options: dict[str, Any] = {"engine": engine, "dtype": dtype, "threads": 2}
    path = dl.simulate(
        landscape, start, descent, steps=7, every=1, record=("weights", "risk"), **options
    )
    assert path.recorded_weights.dims == ("run", "step", "parameter")
    for step in range(8):
        kept = path.recorded_weights.isel(step=step).values
        if step == 0:
            assert np.array_equal(kept, flat(start).astype(dtype))
            continue
        cut = dl.simulate(landscape, start, descent, steps=step, record=(), **options)
        assert np.array_equal(kept, cut.weights.values)


def test_flows_record_weights_between_steps():
    problem = make_problem((4, 5, 3, 1), "plain", 20, seed=1)
    flow = dl.GradientFlow("dopri5", rtol=1e-9, atol=1e-11)
    for engine in ENGINES:
        path = dl.simulate(
            problem.landscape, problem.weights, flow, time=1.0, every=0.25, engine=engine,
            record=("weights", "risk", "end_to_end"),
        ).isel(run=0)  # fmt: skip
        for place in range(5):
            weights = problem.network.unflatten(path.recorded_weights.values[place])
            assert problem.landscape.risk(weights) == pytest.approx(path.risk.values[place])
            w = problem.landscape.end_to_end(weights)
            assert path.end_to_end.values[place] == pytest.approx(w, rel=1e-12)
        assert np.array_equal(path.recorded_weights.values[-1], path.weights.values)


def test_a_record_does_not_depend_on_the_others():
    problem = make_problem((30, 40, 35, 1), "plain", 50, seed=1)
    options: dict[str, Any] = {"steps": 4, "every": 1, "engine": "wide"}
    descent, landscape = dl.GradientDescent(0.01), problem.landscape
    names = ("lowest_eigenvalue", "sharpness", "eigenvalues:2")
    beside = dl.simulate(landscape, problem.weights, descent, record=names, **options)
    for name in names:
        alone = dl.simulate(landscape, problem.weights, descent, record=name, **options)
        variable = name.partition(":")[0]
        assert np.array_equal(alone[variable], beside[variable]), name


# ---- How records are asked for -----------------------------------------------------------------


def small() -> Problem:
    return make_problem((4, 3, 1), "plain", 12, seed=4)


def test_a_count_goes_with_the_name_or_in_a_mapping():
    problem = small()
    by_name = recorded(problem, "risk", "eigenvalues:3")
    landscape, weights, descent = problem.landscape, problem.weights, dl.GradientDescent(1e-9)
    mapping = {"risk": True, "eigenvalues": 3, "distance": False}
    by_mapping = dl.simulate(landscape, weights, descent, steps=1, record=mapping)
    assert set(by_mapping.data_vars) == {"risk", "eigenvalues", "weights", "status", "last_step"}
    assert by_mapping.eigenvalues.dims == ("run", "step", "eigenvalue")
    assert by_mapping.eigenvalue.values.tolist() == [1, 2, 3]
    assert np.array_equal(by_name.eigenvalues, by_mapping.eigenvalues[0, 0])
    assert recorded(problem, "eigenvalues").sizes["eigenvalue"] == 5
    swept = dl.sweep(
        landscape, dl.init.Gaussian([0.5, 1.0]), descent, seeds=2, steps=1, progress=False,
        record=("singular_values", "eigenvalues:2"),
    )  # fmt: skip
    assert swept.singular_values.dims == ("scale", "seed", "step", "layer", "value")
    assert swept.eigenvalues.dims == ("scale", "seed", "step", "eigenvalue")


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("eigenvalues:0", r"record\['eigenvalues'\] must be .*; got 0"),
        ("eigenvalues:16", r"record\['eigenvalues'\] must be .*15.*; got 16"),
        ("eigenvalues:few", r"record\['eigenvalues'\] must be .*; got 'few'"),
        ("risk:2", "record must not give 'risk' a count; got 2"),
        ({"risk": 2}, "record must not give 'risk' a count; got 2"),
        (("eigenvalues:2", "eigenvalues:3"), "record must hold 'eigenvalues' once"),
        ("rusk", "record must be one of .*; got 'rusk'"),
        (lambda weights: 0.0, "functions that have a name.*; got '<lambda>'"),
    ],
)
def test_bad_records(record, message):
    problem = small()
    with pytest.raises((ValueError, TypeError), match=message):
        dl.simulate(
            problem.landscape, problem.weights, dl.GradientDescent(0.1), steps=1, record=record
        )


def test_maps_of_networks_that_have_none():
    problem = bent(small(), "tanh")
    with pytest.raises(ValueError, match=r"'end_to_end' where the network is not linear.*'tanh'"):
        recorded(problem, "end_to_end")


# ---- Functions of a person's own ---------------------------------------------------------------


def first_entry(weights):
    return weights[0][0, 0]


def last_layer(weights):
    return weights[-1]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("engine", ENGINES)
def test_own_functions_see_the_weights_of_every_record(engine, threads):
    problem = small()
    start = random_ensemble(problem, 21, seed=1)
    found = dl.simulate(
        problem.landscape, start, dl.GradientDescent(0.05), steps=6, every=2, engine=engine,
        threads=threads, record=("weights", first_entry, last_layer),
    )  # fmt: skip
    assert found.first_entry.dims == ("run", "step")
    assert found.last_layer.dims == ("run", "step", "last_layer_0", "last_layer_1")
    assert np.array_equal(found.first_entry, found.recorded_weights[..., 0])
    assert np.array_equal(found.last_layer[..., 0, :], found.recorded_weights[..., -3:])


def test_own_functions_keep_the_last_value_of_a_run_that_converged():
    problem = small()
    found = dl.simulate(
        problem.landscape, problem.weights, dl.GradientDescent(0.05), steps=4000, every=100,
        tolerance=1e-6, record=("weights", first_entry),
    ).isel(run=0)  # fmt: skip
    assert found.status.item() == "converged"
    assert found.last_step.item() < 4000
    assert np.array_equal(found.first_entry, found.recorded_weights[..., 0])
    sweep = dl.sweep(
        problem.landscape, dl.init.Gaussian([0.5, 1.0]), dl.GradientDescent(0.05), seeds=2,
        steps=4, record=("risk", first_entry), progress=False,
    )  # fmt: skip
    assert sweep.first_entry.dims == ("scale", "seed", "step")


def test_what_own_functions_do_wrong():
    problem, calls = small(), []

    def run(function: Any) -> Any:
        return dl.simulate(
            problem.landscape, problem.weights, dl.GradientDescent(0.05), steps=3, record=function
        )

    def raises(weights):
        raise KeyError("mine")

    def text(weights):
        return "much"

    def grows(weights):
        calls.append(None)
        return np.zeros(len(calls))

    def risk(weights):
        return 0.0

    with pytest.raises(KeyError, match="mine"):
        run(raises)
    with pytest.raises(TypeError, match=r"text must return a number.*; got 'much'"):
        run(text)
    with pytest.raises(ValueError, match="grows must return arrays of one shape"):
        run(grows)
    with pytest.raises(ValueError, match="'risk' is taken"):
        run(risk)


def test_ctrl_c_in_an_own_function_keeps_what_is_finished():
    problem = small()

    def stop(weights):
        raise KeyboardInterrupt

    with pytest.raises(dl.Interrupted):
        dl.simulate(
            problem.landscape, random_ensemble(problem, 5, seed=0), dl.GradientDescent(1e-6),
            steps=10**9, every=None, record=stop,
        )  # fmt: skip


@given(seed=st.integers(0, 10))
@PROPERTY
def test_traces_of_layers_add_up(seed):
    problem = make_problem((3, 4, 2, 1), "plain", 9, seed)
    H = hessian(problem)
    total = sum(np.trace(block) for block in blocks(problem, H))
    assert recorded(problem, "hessian_trace").hessian_trace.item() == pytest.approx(total)
