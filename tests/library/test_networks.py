"""Families of networks: what each member is, and what is refused."""

import numpy as np
import pytest

import deeplinear as dl


@pytest.mark.parametrize(
    ("family", "d", "widths"),
    [
        (dl.Networks(3), 4, (4, 4, 4, 1)),
        (dl.Networks(1), 4, (4, 1)),
        (dl.Networks(1, width=9), 4, (4, 1)),
        (dl.Networks(4, width=2), 5, (5, 2, 2, 2, 1)),
        (dl.Networks(3, kind="residual"), 4, (4, 4, 4, 4)),
    ],
)
def test_the_layers_are_as_said(family, d, widths):
    network = family.network(d)
    assert network.widths == widths
    assert (network.readout is None) == (family.kind == "plain")


def test_the_activation_reaches_the_network():
    for name in ("identity", "gelu", "tanh"):
        assert dl.Networks(2, activation=name).network(3).activation == name
        assert dl.Networks(2, kind="residual", activation=name).network(3).activation == name


def test_the_readout_is_a_unit_vector_of_the_seed_alone():
    readouts = [dl.Networks(depth, kind="residual", seed=5).network(4).readout for depth in (1, 9)]
    np.testing.assert_array_equal(*readouts)
    # the child (1,) of the seed's stream, normalized
    stream = np.random.default_rng(np.random.SeedSequence(5, spawn_key=(1,)))
    normal = stream.standard_normal(4)
    np.testing.assert_array_equal(readouts[0], normal / np.linalg.norm(normal))
    assert (dl.Networks(1, kind="residual", seed=6).network(4).readout != readouts[0]).all()
    weights = np.random.default_rng(np.random.SeedSequence(5, spawn_key=(0,))).standard_normal(4)
    assert (weights != normal).all()


def test_equal_settings_are_equal():
    assert dl.Networks([2, 5]) == dl.Networks((2, 5)) == dl.Networks(np.array([2, 5]))
    assert hash(dl.Networks([2, 5])) == hash(dl.Networks((2, 5)))
    assert dl.Networks(range(2, 4)).depth == (2, 3)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: dl.Networks(0), "depth must be a positive integer; got 0"),
        (lambda: dl.Networks(2.5), "depth must be a positive integer; got 2.5"),
        (lambda: dl.Networks([2, True]), r"depth\[1\] must be a positive integer; got True"),
        (lambda: dl.Networks([]), "depth must be one value or a non-empty sequence"),
        (lambda: dl.Networks(2, width=0), "width must be a positive integer; got 0"),
        (lambda: dl.Networks(2, width=[3, "4"]), r"width\[1\] must be a positive integer; got '4'"),
        (
            lambda: dl.Networks(2, kind="wide"),
            "kind must be one of 'plain', 'residual'; got 'wide'",
        ),
        (lambda: dl.Networks(2, activation="sine"), "activation must be one of .*; got 'sine'"),
        (lambda: dl.Networks(2, seed=-1), "seed must be a non-negative integer; got -1"),
        (lambda: dl.Networks(2, 3, "residual"), "width must be None where kind is 'residual'"),
        (
            lambda: dl.Networks(2, [3, 4], ["plain", "residual"]),
            "width must be None where kind is 'residual'",
        ),
        (lambda: dl.Networks([2, 3]).network(4), "depth must be one value here; got a sequence"),
        (lambda: dl.Networks(2).network(0), "d must be a positive integer; got 0"),
        (lambda: dl.Networks(2).network(2.0), "d must be a positive integer; got 2.0"),
    ],
)
def test_networks_that_cannot_be(make, words):
    with pytest.raises((ValueError, TypeError), match=f"^{words}"):
        make()


def test_networks_beyond_the_memory_are_refused():
    with pytest.raises(MemoryError, match=r"^network must fit the memory: 1,000,000,000 layers of"):
        dl.Networks(10**9, width=10**6).network(3)
