from __future__ import annotations

import pickle
import re
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest
import scipy.stats

from deeplinear._support.checks import sequence_fields
from deeplinear.init import Gaussian, Identity, Initialization, Orthogonal, Residual
from deeplinear.network import Network

NETWORK = Network((3, 4, 2, 2, 1))
LAWS = [Gaussian(0.3), Residual(0.7), Identity(), Orthogonal(1.5)]
SCALED = [Gaussian, Residual, Orthogonal]


@pytest.mark.parametrize("law", LAWS, ids=repr)
def test_sample_gives_layers_that_fit_and_depend_on_the_seed_alone(law: Initialization) -> None:
    weights = law.sample(NETWORK, 5)
    assert [W.shape for W in weights] == NETWORK.shapes
    assert all(W.dtype == np.float64 and W.flags.c_contiguous for W in weights)
    np.random.seed(0)  # noqa: NPY002, the global state must not matter
    again = pickle.loads(pickle.dumps(law)).sample(NETWORK, np.int64(5))
    np.testing.assert_array_equal(NETWORK.flatten(weights), NETWORK.flatten(again))
    other = NETWORK.flatten(law.sample(NETWORK, 6))
    assert np.array_equal(NETWORK.flatten(weights), other) == isinstance(law, Identity)


def test_layers_do_not_share_memory() -> None:
    for law in LAWS:
        first, second = law.sample(Network((2, 2, 2), readout=[1.0, 0.0]), 0)
        before = second.copy()
        first[:] = 7.0
        np.testing.assert_array_equal(second, before)


def test_gaussian_entries_are_independent_normal() -> None:
    network = Network((100, 100, 100, 1))
    vector = network.flatten(Gaussian(0.35).sample(network, 0))
    # the exact law: a fixed seed, and a level that a right one fails once in 10,000 seeds
    assert scipy.stats.kstest(vector / 0.35, "norm").pvalue > 1e-4
    # the sample deviation of N = 20,100 numbers is off by a relative 1 / sqrt(2 N) = 0.5 %; 5 of it
    assert np.std(vector) == pytest.approx(0.35, rel=0.025)
    # correlation of two layers of N = 10,000 entries: 1 / sqrt(N) = 0.01; 5 of it
    first, second = vector[:10_000], vector[10_000:20_000]
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.05


@pytest.mark.parametrize("law", [Gaussian, Orthogonal])
def test_scales_share_the_draws_of_a_seed(law: Any) -> None:
    one, three = law(1.0).sample(NETWORK, 2), law(3.0).sample(NETWORK, 2)
    for small, large in zip(one, three, strict=True):
        np.testing.assert_array_equal(3.0 * small, large)


def test_residual_is_the_identity_plus_scaled_gaussian_draws() -> None:
    normals = Gaussian(1.0).sample(NETWORK, 4)
    for scale in (0.0, 0.25, 1.7):
        for W, N in zip(Residual(scale).sample(NETWORK, 4), normals, strict=True):
            eye = np.array([[float(i == j) for j in range(N.shape[1])] for i in range(N.shape[0])])
            # one multiplication and one addition to rounding; entries are at most about 3
            np.testing.assert_allclose(
                W, eye + scale * N / np.sqrt(4 * N.shape[1]), rtol=0, atol=1e-14
            )


def test_identity() -> None:
    first, second, third, last = Identity().sample(NETWORK, 0)
    assert first.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]]
    assert second.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0]]
    assert third.tolist() == [[1, 0], [0, 1]]
    assert last.tolist() == [[1, 0]]


def test_orthogonal_layers_have_equal_singular_values() -> None:
    for seed in range(20):
        for W in Orthogonal(1.5).sample(NETWORK, seed):
            # to a few eps
            np.testing.assert_allclose(np.linalg.svd(W, compute_uv=False), 1.5, rtol=1e-14)


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (4, 2), (2, 4)])
def test_orthogonal_layers_are_uniform(shape: tuple[int, int]) -> None:
    rows, columns = shape
    network = Network((columns, rows), readout=np.ones(rows))
    law = Orthogonal(1.0)
    draws = np.array([law.sample(network, seed)[0] for seed in range(2000)])
    larger = max(shape)
    # Entries have mean 0 and variance 1 / larger, their squares at most that variance: the means of
    # 2000 draws are within 5 standard errors. Without the fix of signs, diagonal entries are all
    # negative.
    error = 5 / np.sqrt(2000 * larger)
    np.testing.assert_allclose(draws.mean(axis=0), 0.0, atol=error)
    np.testing.assert_allclose((draws**2).mean(axis=0), 1 / larger, atol=error)


def test_square_orthogonal_layers_are_uniform_over_rotations_and_reflections() -> None:
    network = Network((2, 2), readout=[1.0, 0.0])
    draws = np.array([Orthogonal(1.0).sample(network, seed)[0] for seed in range(2000)])
    determinants = np.linalg.det(draws)
    # half of each, within 5 standard errors of 2000 coin tosses
    assert abs(np.mean(determinants > 0) - 0.5) < 5 * 0.5 / np.sqrt(2000)
    for sign in (-1, 1):
        chosen = draws[np.sign(determinants) == sign]
        angles = np.arctan2(chosen[:, 1, 0], chosen[:, 0, 0])
        # a fixed set of seeds, and a level that a right law fails once in 10,000
        uniform = scipy.stats.kstest(angles, "uniform", args=(-np.pi, 2 * np.pi))
        assert uniform.pvalue > 1e-4


@pytest.mark.parametrize("law", SCALED)
def test_a_field_may_hold_a_sequence_for_a_sweep(law: Any) -> None:
    for scales in ([1, 0.5], (1.0, 0.5), np.array([1.0, 0.5])):
        several = law(scales)
        assert several.scale == (1.0, 0.5)
        assert all(type(scale) is float for scale in several.scale)
        assert several == law((1.0, 0.5))
        assert hash(several) == hash(law((1.0, 0.5)))
        assert sequence_fields(several) == {"scale": (1.0, 0.5)}
    message = "scale must be one value here; got a sequence of 2, which only a sweep takes."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        several.sample(NETWORK, 0)
    one = replace(several, scale=0.5)
    assert sequence_fields(one) == {}
    np.testing.assert_array_equal(one.sample(NETWORK, 0)[0], law(0.5).sample(NETWORK, 0)[0])


def test_a_sequence_of_one_is_still_a_sequence() -> None:
    assert Gaussian([0.5]).scale == (0.5,)
    with pytest.raises(ValueError, match="scale must be one value here; got a sequence of 1"):
        Gaussian([0.5]).sample(NETWORK, 0)


@pytest.mark.parametrize("law", SCALED)
@pytest.mark.parametrize(
    ("scale", "error", "message"),
    [
        (-0.1, ValueError, "scale must be a non-negative finite number; got -0.1."),
        (np.nan, ValueError, "scale must be a non-negative finite number; got nan."),
        (np.float64(np.inf), ValueError, "scale must be a non-negative finite number; got inf."),
        (10**400, ValueError, "scale must be a non-negative finite number; got 1000"),
        ("0.1", TypeError, "scale must be a non-negative finite number; got '0.1'."),
        (None, TypeError, "scale must be a non-negative finite number; got None."),
        (True, TypeError, "scale must be a non-negative finite number; got True."),
        (np.True_, TypeError, "scale must be a non-negative finite number; got True."),
        (1j, TypeError, "scale must be a non-negative finite number; got 1j."),
        (np.ones((2, 2)), TypeError, "scale must be a non-negative finite number; got ndarray"),
        ({0.1}, TypeError, "scale must be a non-negative finite number; got an object of type"),
        ([], ValueError, "scale must be one value or a non-empty sequence; got an empty one."),
        (np.ones(0), ValueError, "scale must be one value or a non-empty sequence; got an empty"),
        ([0.1, -1.0], ValueError, "scale[1] must be a non-negative finite number; got -1.0."),
        (["0.1"], TypeError, "scale[0] must be a non-negative finite number; got '0.1'."),
        ([[0.1]], TypeError, "scale[0] must be a non-negative finite number; got list of length 1"),
    ],
)
def test_bad_scale(law: Any, scale: Any, error: type[Exception], message: str) -> None:
    if law is not Residual:
        message = message.replace("a non-negative finite", "a positive finite")
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        law(scale)


@pytest.mark.parametrize("law", LAWS, ids=repr)
@pytest.mark.parametrize(
    ("network", "seed", "error", "message"),
    [
        (NETWORK, -1, ValueError, "seed must be a non-negative integer; got -1."),
        (NETWORK, 1.0, TypeError, "seed must be a non-negative integer; got 1.0."),
        (NETWORK, None, TypeError, "seed must be a non-negative integer; got None."),
        (NETWORK, False, TypeError, "seed must be a non-negative integer; got False."),
        (NETWORK, [1], TypeError, "seed must be a non-negative integer; got list of length 1."),
        ((3, 1), 0, TypeError, "network must be of type Network; got tuple of length 2."),
    ],
)
def test_bad_sample(
    law: Initialization, network: Any, seed: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        law.sample(network, seed)


def test_laws_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        LAWS[0].scale = 1.0  # type: ignore[attr-defined]
    assert Gaussian(0.5) != Orthogonal(0.5)
    assert repr(Gaussian(1)) == "Gaussian(scale=1.0)"


def test_zero_is_a_scale_of_residual_alone() -> None:
    assert Residual(0).scale == 0
    for law in (Gaussian, Orthogonal):
        with pytest.raises(ValueError, match=r"^scale must be a positive finite number; got 0\.$"):
            law(0)
