"""What other libraries hand over is taken as they mean it, or refused in one sentence."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse.linalg
import xarray as xr

import deeplinear as dl
from deeplinear import theory
from deeplinear.experiments.preset import Architecture, GaussianData, SpectralData, Training
from strategies import flat, make_problem

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((8, 3)), RNG.standard_normal(8)
PROBLEM = make_problem((3, 4, 1), "plain", 8, seed=1)
WEIGHTS, LANDSCAPE, NETWORK = PROBLEM.weights, PROBLEM.landscape, PROBLEM.network
DESCENT = dl.GradientDescent(0.01)
EVERYTHING = [name for name in dl.RECORDABLE if name != "test_risk"]
DENSITY = LANDSCAPE.spectral_density(WEIGHTS)


def masked(array: Any, *where: int) -> Any:
    result = np.ma.array(array, mask=False)
    result[where] = np.ma.masked
    return result


def sweep(**changes: Any) -> xr.Dataset:
    arguments: dict[str, Any] = {"init": dl.init.Gaussian(0.5), "dynamics": DESCENT}
    arguments |= {"seeds": 2, "steps": 2, "progress": False} | changes
    return dl.sweep(LANDSCAPE, **arguments)


MASKED_LAYER = [masked(WEIGHTS[0], 2, 1), WEIGHTS[1]]


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("X is masked at index (2, 1)", lambda: dl.Regression(masked(X, 2, 1), Y)),
        ("X is masked at index (1, 2)", lambda: dl.Regression([X[0], masked(X[1], 2), *X[2:]], Y)),
        ("X is masked at index (0, 1)", lambda: dl.Regression([[1.0, np.ma.masked]], [1.0])),
        ("y is masked at index (7,)", lambda: dl.Regression(X, masked(Y, 7))),
        ("X_test is masked at index (0, 0)", lambda: dl.Regression(X, Y, masked(X, 0, 0), Y)),
        ("readout is masked at index (1,)", lambda: dl.Network((3, 2), masked([1.0, 2.0], 1))),
        ("widths is masked at index (1,)", lambda: dl.Network(masked([3, 4, 1], 1))),
        ("weights[0] is masked at index (2, 1)", lambda: LANDSCAPE.risk(MASKED_LAYER)),
        ("weights[0] is masked at index (2, 1)", lambda: LANDSCAPE.hessian_operator(MASKED_LAYER)),
        ("weights[0] is masked", lambda: dl.simulate(LANDSCAPE, MASKED_LAYER, DESCENT, steps=1)),
        (
            "direction[0] is masked",
            lambda: LANDSCAPE.hessian_vector_product(WEIGHTS, MASKED_LAYER),
        ),
        ("start[0] is masked", lambda: LANDSCAPE.sharpness(WEIGHTS, start=MASKED_LAYER)),
        ("vector is masked at index (4,)", lambda: NETWORK.unflatten(masked(np.ones(16), 4))),
        ("w is masked at index (1,)", lambda: LANDSCAPE.regression.risk(masked(np.ones(3), 1))),
        ("values is masked at index (0,)", lambda: DENSITY.density(masked([1.0, 2.0], 0), 0.1)),
        ("scale is masked at index (1,)", lambda: dl.init.Residual(masked([0.5, 1.0], 1))),
        ("seeds is masked at index (1,)", lambda: sweep(seeds=masked([0, 1], 1))),
        ("got a masked entry", lambda: dl.init.Residual(np.ma.masked)),
        ("got a masked entry", lambda: dl.GradientDescent(np.ma.array(0.5, mask=True))),
        ("got a masked entry", lambda: sweep(steps=np.ma.masked)),
    ],
)
def test_masked_entries_are_named(name: str, call: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match="masked") as caught:
        call()
    assert name in str(caught.value)
    if "at index" in name:
        assert str(caught.value).endswith("; fill or drop the masked entries.")


def test_masks_without_entries_are_nothing() -> None:
    """Of views of one vector, too."""
    expected = dl.Regression(X, Y)
    regression = dl.Regression(np.ma.array(X), np.ma.array(Y, mask=False))
    np.testing.assert_array_equal(regression.X, expected.X)
    assert type(regression.X) is np.ndarray
    layers = [layer.view(np.ma.MaskedArray) for layer in NETWORK.unflatten(flat(WEIGHTS))]
    assert LANDSCAPE.risk(layers) == LANDSCAPE.risk(WEIGHTS)
    layers[1][0, 2] = np.ma.masked
    with pytest.raises(ValueError, match=r"weights\[1\] is masked at index \(0, 2\)"):
        LANDSCAPE.risk(layers)


WHOLE = pd.DataFrame(
    {"a": [1.5, -2.0, 0.25, 3.0], "b": [True, False, True, True], "c": [3, 1, 4, 1]}
)


@pytest.mark.parametrize(
    "frame",
    [
        WHOLE,
        WHOLE.convert_dtypes(),
        WHOLE.astype("Float64"),
        WHOLE.astype({"b": "boolean", "c": "Int64"}),
        WHOLE.astype(object),
        WHOLE.astype({"c": "category"}),
        WHOLE[::-1][::-1],
    ],
    ids=lambda frame: ",".join(map(str, frame.dtypes)),
)
def test_data_frames(frame: pd.DataFrame) -> None:
    """As scikit-learn takes them."""
    expected = np.array([[1.5, 1, 3], [-2, 0, 1], [0.25, 1, 4], [3, 1, 1]])
    for target in (frame["b"], frame["c"], frame["a"]):
        regression = dl.Regression(frame, target, frame[:2], target[:2])
        np.testing.assert_array_equal(regression.X, expected)
        assert regression.X.dtype == regression.y.dtype == np.float64
        np.testing.assert_array_equal(regression.y, np.array(target.tolist(), float))
    layer = pd.DataFrame(WEIGHTS[0]).astype("Float64")
    assert LANDSCAPE.risk([layer, WEIGHTS[1]]) == LANDSCAPE.risk(WEIGHTS)


@pytest.mark.parametrize("kind", ["Int64", "Float64", "boolean", "object"])
def test_what_is_missing_in_a_data_frame(kind: str) -> None:
    column = pd.Series([True, None, False, True], dtype=kind)
    message = r"X must be .* finite numbers, shape \(n, d\); got nan at index \(1, 1\)"
    with pytest.raises(ValueError, match=message):
        dl.Regression(pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": column}), [1.0] * 4)
    with pytest.raises(ValueError, match=r"y must be .* got nan at index \(1,\)"):
        dl.Regression(np.ones((4, 2)), column)


@pytest.mark.parametrize("entry", ["1.5", 1j, pd.Timestamp(0), [1.0], {}])
def test_objects_that_are_no_numbers(entry: Any) -> None:
    column = np.array([1.0, None, 2.0], object)
    column[1] = entry
    with pytest.raises(TypeError, match=r"^y must be .* finite numbers.* got .* at index \(1,\)\."):
        dl.Regression(np.ones((3, 2)), column)
    with pytest.raises(TypeError, match=r"^X must be .* got .* at index \(1, 1\)\."):
        dl.Regression(pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": column}), np.ones(3))
    layer = WEIGHTS[0].astype(object)
    layer[1, 2] = entry
    with pytest.raises(TypeError, match=r"^weights\[0\] must be .* at index \(1, 2\)\."):
        LANDSCAPE.risk([layer, WEIGHTS[1]])


def test_exact_numbers() -> None:
    for kind in (Fraction, Decimal):
        layers = [[[kind(float(x)) for x in row] for row in layer] for layer in WEIGHTS]
        assert LANDSCAPE.risk(layers) == LANDSCAPE.risk(WEIGHTS)
        regression = dl.Regression(X, [kind(float(y)) for y in Y])
        np.testing.assert_array_equal(regression.y, Y)
        assert dl.GradientDescent([kind("0.5"), kind(2)]) == dl.GradientDescent([0.5, 2.0])
    assert dl.Regression([[10**30]], [Decimal("0.1")]).X.item() == 1e30
    for huge in (10**400, Fraction(-(10**400)), Decimal("sNaN")):
        with pytest.raises(ValueError, match=r"X must be .* got (-?inf|nan) at index \(0, 0\)"):
            dl.Regression([[huge]], [1.0])


def test_labelled_arrays() -> None:
    labelled = xr.DataArray(X, dims=("n", "d"))
    np.testing.assert_array_equal(dl.Regression(labelled, xr.DataArray(Y)).X, X)
    with pytest.raises(TypeError, match=r"^X must be .*; got an object of type Dataset"):
        dl.Regression(xr.Dataset({"a": labelled}), Y)  # type: ignore[arg-type]


def test_what_a_result_is_labelled_with_is_taken() -> None:
    """The coordinates of one sweep are the arguments of another."""
    flow = dl.GradientFlow(["euler", "rk4"], step=[0.1, 0.2])
    first = sweep(init=dl.init.Gaussian([0.5, 1.0]), dynamics=flow, steps=None, time=1.0, seeds=3)
    again = sweep(
        init=dl.init.Gaussian(first.scale),
        dynamics=dl.GradientFlow(first.method, step=first.step),
        seeds=first.seed,
        steps=None,
        time=first.time[-1],
    )
    assert again.identical(first)
    one = sweep(
        seeds=first.seed[1:2], dynamics=dl.GradientFlow(first.method[0]), steps=None, time=1
    )
    assert one.seed.values.tolist() == [1]


@pytest.mark.parametrize(
    "seeds",
    [
        xr.DataArray([5, 3], dims="seed"),
        pd.Index([5, 3]),
        pd.Series([5, 3], index=[7, 8]),
        pd.Series([5, 3], dtype="Int64"),
        range(5, 1, -2),
        np.array([5, 3], np.uint8),
        np.array([5, 3], object),
        (np.int32(5), np.array(3)),
        ["5", 3],
    ],
    ids=lambda seeds: type(seeds).__name__,
)
def test_seeds_of_any_kind(seeds: Any) -> None:
    assert sweep(seeds=seeds).identical(sweep(seeds=[5, 3]))
    assert sweep(seeds=xr.DataArray(2)).identical(sweep(seeds=2))


@pytest.mark.parametrize("seeds", [["-1"], ["1.0"], ["x"], [b"1"], np.array([[1]]), [None], {1, 2}])
def test_seeds_of_no_kind(seeds: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^seeds"):
        sweep(seeds=seeds)


HUGE = (2**63, 2**64, 10**30, 10**400, 10**5000)


def flow(**changes: Any) -> xr.Dataset:
    arguments = {"time": 1.0, "every": None} | changes
    return dl.simulate(LANDSCAPE, WEIGHTS, dl.GradientFlow("rk4", step=0.5), **arguments)


COUNTS: dict[str, Callable[[int], Any]] = {
    "seeds": lambda n: sweep(seeds=n),
    "seed of a range": lambda n: sweep(seeds=range(n)),
    "steps": lambda n: sweep(steps=n),
    "n": lambda n: dl.gaussian_regression(n=n),
    "d": lambda n: dl.gaussian_regression(d=n),
    "n_test": lambda n: dl.gaussian_regression(n_test=n),
    "widths": lambda n: dl.Network((3, n, 1)),
    "power": lambda n: DENSITY.moment(n),
    "vectors": lambda n: LANDSCAPE.spectral_density(WEIGHTS, vectors=n),
    "depth": lambda n: theory.critical_learning_rate(LANDSCAPE.regression, n),
    "depths": lambda n: Architecture("plain", (n,)),
    "runs": lambda n: Training(DESCENT, runs=n, steps=1),
    "steps of a part": lambda n: Training(DESCENT, runs=1, steps=n),
    "n of spectral": lambda n: SpectralData(n, 3, 2.0, "top"),
    "d of gaussian": lambda n: GaussianData(5, n, 1.0),
}
#: As many as there are, or the last of them.
AS_MANY: dict[str, Callable[[int], Any]] = {
    "every": lambda n: sweep(every=n),
    "every of flow": lambda n: flow(every=n),
    "threads": lambda n: sweep(threads=n),
    "threads of a landscape": lambda n: dl.Landscape(NETWORK, LANDSCAPE.regression, threads=n),
    "k": lambda n: LANDSCAPE.eigenvalues(WEIGHTS, k=n),
    "max_products": lambda n: LANDSCAPE.sharpness(WEIGHTS, max_products=n),
    "steps of a density": lambda n: LANDSCAPE.spectral_density(WEIGHTS, steps=n),
    "seed of a density": lambda n: LANDSCAPE.spectral_density(WEIGHTS, seed=n),
    "seed of data": lambda n: dl.gaussian_regression(seed=n),
    "every of a part": lambda n: Training(DESCENT, runs=1, steps=1, every=n),
}


@pytest.mark.parametrize("number", HUGE, ids=lambda n: f"{n.bit_length()} bits")
@pytest.mark.parametrize("name", COUNTS)
def test_counts_beyond_all(name: str, number: int) -> None:
    with pytest.raises(ValueError, match=rf"\b{name.split()[0]}.* at most [\d,]+; got") as caught:
        COUNTS[name](number)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("number", HUGE, ids=lambda n: f"{n.bit_length()} bits")
@pytest.mark.parametrize("name", AS_MANY)
def test_counts_without_end(name: str, number: int) -> None:
    AS_MANY[name](number)


@pytest.mark.parametrize(
    "call",
    [
        lambda: sweep(seeds=2**50),
        lambda: sweep(seeds=range(3, 2**50, 2)),
        lambda: dl.gaussian_regression(n=2**50),
        lambda: Architecture("residual", (2**50,)).network(5, 2**50, 0),
    ],
)
def test_what_cannot_fit_is_said_before(call: Callable[[], Any]) -> None:
    with pytest.raises(MemoryError, match=r" fit the memory: .* need .*; .* are available\."):
        call()


@pytest.mark.parametrize("seed", [2**64 - 1, 2**64, 10**30, 2**1024 - 1])
def test_large_seeds_of_data_and_runs(seed: int) -> None:
    """Each has draws of its own."""
    data = {dl.gaussian_regression(seed=s).minimum_risk for s in (seed, seed - 1, seed % 2**32)}
    assert len(data) == 3
    dataset = sweep(seeds=[seed, seed - 1, 7])
    assert [int(text) for text in dataset.seed.values] == [seed, seed - 1, 7]
    assert len(np.unique(dataset["weights"], axis=0)) == 3
    assert sweep(seeds=dataset.seed).identical(dataset)


def test_seeds_too_long_to_write() -> None:
    for seed in (2**1024, 10**5000):
        with pytest.raises(ValueError, match=r"seeds\[1\] must be .* of at most .*; got"):
            sweep(seeds=[0, seed])


def test_operands_of_the_hessian() -> None:
    """Of any memory: the core reads none that is not aligned."""
    operator = LANDSCAPE.hessian_operator(WEIGHTS)
    x = np.arange(16.0)
    expected = LANDSCAPE.hessian(WEIGHTS) @ x
    memory = np.zeros(16 * 8 + 1, np.uint8)
    shifted = memory[1:].view(np.float64)
    shifted[:] = x
    assert not shifted.flags.aligned
    for same in (shifted, x.astype(">f8"), x.astype(int), np.repeat(x, 3)[::3], x.astype(object)):
        np.testing.assert_array_equal(operator @ same, operator @ x)
    np.testing.assert_allclose(operator @ x, expected, rtol=1e-12)
    np.testing.assert_allclose(operator @ (x - 2j * x), (1 - 2j) * expected, rtol=1e-12)
    with pytest.raises(ValueError, match=r"x is masked at index \(3,\)"):
        operator.matvec(masked(x, 3))


def test_operators_can_be_sent() -> None:
    operator = LANDSCAPE.hessian_operator(WEIGHTS)
    H = LANDSCAPE.hessian(WEIGHTS)
    columns = RNG.standard_normal((16, 3))
    expected = operator.matmat(columns)
    np.testing.assert_allclose(expected, H @ columns, rtol=1e-11, atol=1e-12)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(operator, protocol))
        np.testing.assert_array_equal(again.matmat(columns), expected)
    for same in (copy.copy(operator), copy.deepcopy(operator), operator.T, operator.H):
        np.testing.assert_array_equal(same.matmat(columns), expected)
        assert same.shape == (16, 16)
        assert same.dtype == np.float64
    np.testing.assert_array_equal(operator.rmatvec(columns[:, 0]), expected[:, 0])
    np.testing.assert_array_equal((2 * operator).T @ columns[:, 0], 2 * expected[:, 0])
    value = scipy.sparse.linalg.eigsh(again, k=1, which="LA", return_eigenvectors=False).item()
    assert value == pytest.approx(LANDSCAPE.sharpness(WEIGHTS).value, rel=1e-7)


TINY, LARGE = dl.init.Gaussian(1e-200).sample(NETWORK, 0), dl.init.Gaussian(1e200)
MIXED = dl.Regression(X * [1.0, 1e-170, 1e-30], Y * np.geomspace(1e-170, 1, 8), X, Y)


@pytest.mark.parametrize(
    "call",
    [
        lambda: DENSITY.density(np.linspace(-1e5, 1e5, 9), 1e-3),
        lambda: DENSITY.density([1e300], 1e-300),
        lambda: DENSITY.moment(2000),
        lambda: dl.gaussian_regression(noise=1e-320).minimum_risk,
        lambda: [getattr(MIXED, name) for name in dir(MIXED) if name[0] != "_"],
        lambda: MIXED.risk(np.array([1e-170, 1.0, 1e170])),
        lambda: MIXED.test_risk(np.array([1e-170, 1e-170, 1.0])),
        lambda: [
            getattr(theory, name)(dl.Regression(X * [1.0, 1e30, 1e-30], Y), 3)
            for name in theory.__all__
            if name not in ("BOUNDS", "aligned_minimizer", "curvature_along_minimizer")
        ],
        lambda: theory.aligned_minimizer(NETWORK, dl.Regression(X * [1.0, 1e30, 1e-30], Y)),
        lambda: dl.init.Residual(1e-320).sample(NETWORK, 0),
        lambda: dl.init.Gaussian(1e308).sample(NETWORK, 0),
        lambda: [
            method(weights)
            for weights in (TINY, LARGE.sample(NETWORK, 0))
            for method in (LANDSCAPE.risk, LANDSCAPE.gradient, LANDSCAPE.sharpness)
        ],
        lambda: LANDSCAPE.spectral_density(TINY).density([0.0], 1e-200),
        lambda: LANDSCAPE.hessian_operator(TINY) @ np.full(16, 1e-300 + 1e-300j),
        lambda: sweep(init=dl.init.Gaussian([1e-200, 1.0]), dtype="float32"),
        lambda: sweep(dynamics=dl.GradientDescent([1e-300, 1e5]), steps=40, record=EVERYTHING),
        lambda: flow(every=1, dtype="float32"),
        lambda: SpectralData(9, 3, 1e100, ["top", "bottom"]).problems(0),
    ],
)
def test_floating_point_errors_of_the_user_are_not_ours(call: Callable[[], Any]) -> None:
    with np.errstate(all="raise"):
        call()
