from __future__ import annotations

import pickle
import re
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import xarray as xr
from hypothesis import given

from deeplinear.network import Network

widths_and_axes = st.tuples(
    st.lists(st.integers(1, 6), min_size=2, max_size=7),
    st.lists(st.integers(1, 3), max_size=2),
)


def make_network(widths: list[int]) -> Network:
    return Network(widths, readout=np.ones(widths[-1]))


def test_shape_of_the_network() -> None:
    network = Network(widths=(5, 7, 3, 1))
    assert network.depth == 3
    assert network.shapes == [(7, 5), (3, 7), (1, 3)]
    assert network.parameters == 35 + 21 + 3
    assert network.readout is None
    assert network.readout_vector.tolist() == [1.0]
    assert network.activation == "identity"
    assert repr(network) == "Network(widths=(5, 7, 3, 1), readout=None, activation='identity')"


@pytest.mark.parametrize("widths", [[4, 2, 1], np.array([4, 2, 1]), (np.int8(4), 2, np.int64(1))])
def test_widths_become_a_tuple_of_ints(widths: Any) -> None:
    network = Network(widths)
    assert network.widths == (4, 2, 1)
    assert all(type(width) is int for width in network.widths)


def test_readout_is_a_read_only_copy() -> None:
    p = np.array([3, 4])
    network = Network((2, 2), readout=p)
    p[0] = 0
    assert network.readout is not None
    assert network.readout.tolist() == network.readout_vector.tolist() == [3.0, 4.0]
    with pytest.raises(ValueError, match="read-only"):
        network.readout[0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        Network((2, 1)).readout_vector[0] = 2.0


@pytest.mark.parametrize("name", ["widths", "readout", "activation", "readout_vector", "other"])
def test_networks_do_not_change(name: str) -> None:
    with pytest.raises(AttributeError, match=name):
        setattr(Network((2, 1)), name, (3, 1))


def test_equality_and_hash() -> None:
    network = Network((2, 2), readout=[1.0, 0.0])
    same = [Network([2, 2], readout=(1, 0)), Network((2, 2), readout=[1.0, -0.0])]
    same.append(pickle.loads(pickle.dumps(network)))
    for other in same:
        assert other == network
        assert hash(other) == hash(network)
    assert Network((2, 1)) == Network((2, 1), readout=[1.0])
    others = [Network((2, 2), readout=[0.0, 1.0]), Network((2, 2, 2), readout=[1.0, 0.0]), (2, 2)]
    assert all(other != network for other in others)


def test_pickled_networks_are_read_only() -> None:
    again = pickle.loads(pickle.dumps(Network((2, 2), readout=[1.0, 0.0])))
    assert not again.readout.flags.writeable


@given(widths_and_axes)
def test_flatten_puts_layers_in_order_row_by_row(case: tuple[list[int], list[int]]) -> None:
    widths, axes = case
    network = make_network(widths)
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal((*axes, *shape)) for shape in network.shapes]
    vector = network.flatten(weights)
    assert vector.shape == (*axes, network.parameters)
    assert vector.dtype == np.float64
    assert vector.flags.c_contiguous
    start = 0
    for W, (rows, columns) in zip(weights, network.shapes, strict=True):
        for i in range(rows):
            for j in range(columns):
                np.testing.assert_array_equal(vector[..., start + i * columns + j], W[..., i, j])
        start += rows * columns
    assert start == network.parameters

    for W, layer in zip(weights, network.unflatten(vector), strict=True):
        np.testing.assert_array_equal(W, layer)


def test_flatten_copies_and_converts() -> None:
    network = Network((2, 2, 1))
    weights: list[Any] = [np.asfortranarray([[1, 2], [3, 4]]), [[5, 6]]]
    vector = network.flatten(weights)
    assert vector.tolist() == [1, 2, 3, 4, 5, 6]
    assert vector.dtype == np.float64
    single = np.ones((1, 2))
    flat = Network((2, 1)).flatten([single])
    flat[0] = 7
    assert single[0, 0] == 1


def test_flatten_takes_any_sequence_of_layers() -> None:
    network = Network((2, 2, 2), readout=[1.0, 0.0])
    stacked = np.arange(8.0).reshape(2, 2, 2)
    for weights in (stacked, list(stacked), tuple(stacked), iter(stacked)):
        np.testing.assert_array_equal(network.flatten(weights), np.arange(8.0))


def test_unflatten_takes_labelled_arrays_and_keeps_the_type() -> None:
    network = Network((2, 2, 1))
    array = xr.DataArray(
        np.arange(18, dtype=np.float32).reshape(3, 6), dims=("run", "parameter"), name="weights"
    )
    array[1, 0] = np.nan  # a diverged run
    first, second = network.unflatten(array)
    assert first.shape == (3, 2, 2)
    assert second.shape == (3, 1, 2)
    assert first.dtype == second.dtype == np.float32
    assert first[2].tolist() == [[12, 13], [14, 15]]
    assert second[2].tolist() == [[16, 17]]
    assert np.isnan(first[1, 0, 0])
    assert network.unflatten([0, 1, 2, 3, 4, 5])[1].tolist() == [[4, 5]]


WIDTHS_TAKE = "widths must be a sequence of at least two positive integers, d_0 to d_L; got "


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"widths": (5,)}, ValueError, WIDTHS_TAKE + "1."),
        ({"widths": ()}, ValueError, WIDTHS_TAKE + "0."),
        ({"widths": 5}, TypeError, WIDTHS_TAKE + "5."),
        ({"widths": "51"}, TypeError, WIDTHS_TAKE + "'51'."),
        ({"widths": None}, TypeError, WIDTHS_TAKE + "None."),
        ({"widths": (5, 0, 1)}, ValueError, "widths[1] must be a positive integer; got 0."),
        ({"widths": (-5, 1)}, ValueError, "widths[0] must be a positive integer; got -5."),
        ({"widths": (5, 1.0)}, TypeError, "widths[1] must be a positive integer; got 1.0."),
        ({"widths": (5, True)}, TypeError, "widths[1] must be a positive integer; got True."),
        (
            {"widths": (5, 3)},
            ValueError,
            "readout must be a vector of 3 entries where the last width is 3; got None.",
        ),
        (
            {"widths": (5, 3), "readout": [1.0, 2.0]},
            ValueError,
            "readout must have as many entries as the last width, 3; got 2.",
        ),
        (
            {"widths": (5, 1), "readout": [1.0, 2.0]},
            ValueError,
            "readout must have as many entries as the last width, 1; got 2.",
        ),
        (
            {"widths": (5, 2), "readout": [0.0, 0.0]},
            ValueError,
            "readout must not be the zero vector; got only zeros.",
        ),
        (
            {"widths": (5, 2), "readout": [1.0, np.nan]},
            ValueError,
            "readout must be a one-dimensional array of finite numbers, shape (2,); "
            "got nan at index (1,).",
        ),
        (
            {"widths": (5, 2), "readout": [[1.0, 2.0]]},
            ValueError,
            "readout must be a one-dimensional array of finite numbers, shape (2,); "
            "got shape (1, 2).",
        ),
        (
            {"widths": (5, 1), "readout": "p"},
            TypeError,
            "readout must be a one-dimensional array of finite numbers, shape (1,); "
            "got 'p' with dtype <U1.",
        ),
        (
            {"widths": (5, 1), "activation": "swish"},
            ValueError,
            "activation must be one of 'identity', 'gelu', 'tanh', 'relu'; got 'swish'.",
        ),
        (
            {"widths": (5, 1), "activation": None},
            TypeError,
            "activation must be one of 'identity', 'gelu', 'tanh', 'relu'; got None.",
        ),
    ],
)
def test_bad_network(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        Network(**arguments)


TAKES = "weights must be a sequence of 2 arrays, one per layer; got "


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        ([np.ones((3, 2))], ValueError, TAKES + "1."),
        ([np.ones((3, 2)), np.ones((1, 3)), np.ones((1, 1))], ValueError, TAKES + "3."),
        ("ab", TypeError, TAKES + "'ab'."),
        (None, TypeError, TAKES + "None."),
        (np.array(1.0), TypeError, TAKES + "ndarray of shape ()."),
        (
            [np.ones((2, 3)), np.ones((1, 3))],
            ValueError,
            "weights[0] must have shape (..., 3, 2); got shape (2, 3).",
        ),
        (
            [np.ones((3, 2)), np.ones(3)],
            ValueError,
            "weights[1] must have shape (..., 1, 3); got shape (3,).",
        ),
        (
            [np.ones((4, 3, 2)), np.ones((1, 3))],
            ValueError,
            "weights[1] must have the leading axes of weights[0], (4,); got shape (1, 3).",
        ),
        (
            [np.ones((4, 3, 2)), np.ones((5, 1, 3))],
            ValueError,
            "weights[1] must have the leading axes of weights[0], (4,); got shape (5, 1, 3).",
        ),
        (
            [np.ones((3, 2)), [[1.0, np.nan, 2.0]]],
            ValueError,
            "weights[1] must be an array of finite numbers, shape (..., 1, 3); "
            "got nan at index (0, 1).",
        ),
        (
            [np.ones((0, 3, 2)), np.ones((0, 1, 3))],
            ValueError,
            "weights[0] must be an array of finite numbers, shape (..., 3, 2); "
            "got an empty array, shape (0, 3, 2).",
        ),
        (
            [np.ones((3, 2)), np.ones((1, 3), dtype=complex)],
            TypeError,
            "weights[1] must be an array of finite numbers, shape (..., 1, 3); "
            "got ndarray of shape (1, 3) with dtype complex128.",
        ),
    ],
)
def test_bad_weights(weights: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        Network((2, 3, 1)).flatten(weights)


def test_errors_use_the_given_name() -> None:
    with pytest.raises(ValueError, match=r"^direction\[0\] must have shape \(\.\.\., 1, 2\); got"):
        Network((2, 1)).flatten([np.ones((2, 1))], name="direction")


@pytest.mark.parametrize(
    ("vector", "error", "got"),
    [
        (np.ones(5), ValueError, "got shape (5,)."),
        (np.ones((9, 2)), ValueError, "got shape (9, 2)."),
        (1.0, ValueError, "got shape ()."),
        ([[1.0], [1.0, 2.0]], ValueError, "got list of length 2 with rows of unequal shape."),
        (np.ones(9, dtype=bool), TypeError, "got ndarray of shape (9,) with dtype bool."),
        ("weights", TypeError, "got 'weights' with dtype <U7."),
    ],
)
def test_bad_vector(vector: Any, error: type[Exception], got: str) -> None:
    message = "vector must be an array of numbers, shape (..., 9); " + got
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        Network((2, 3, 1)).unflatten(vector)
