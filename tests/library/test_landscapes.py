"""Families of landscapes: their dimensions, their members, and what is refused."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import deeplinear as dl

DATA = dl.data.Gaussian(n=[10, 20], d=3, noise=[0.0, 1.0], seed=[4, 5])
NETWORKS = dl.Networks(depth=[2, 5], width=[3, 6], activation=["identity", "gelu"], seed=[1, 2])


def test_dimensions_are_the_fields_that_hold_a_sequence():
    family = dl.Landscapes(NETWORKS, DATA)
    assert family.axes == {
        "n": (10, 20), "noise": (0.0, 1.0), "data_seed": (4, 5),
        "depth": (2, 5), "width": (3, 6), "activation": ("identity", "gelu"),
        "network_seed": (1, 2),
    }  # fmt: skip
    assert list(family.axes) == [
        "n", "noise", "data_seed", "depth", "width", "activation", "network_seed",
    ]  # fmt: skip
    assert dl.Landscapes(dl.Networks(2), dl.data.Gaussian(9, 3)).axes == {}
    given = dl.Landscapes(dl.Network((3, 3, 1)), dl.gaussian_regression(9, 3))
    assert given.axes == {}


def test_a_member_has_the_values_asked_for():
    family = dl.Landscapes(NETWORKS, DATA)
    one = family.at(
        n=20, noise=1.0, data_seed=5, depth=5, width=6, activation="gelu", network_seed=2
    )
    assert one.network == dl.Network((3, 6, 6, 6, 6, 1), activation="gelu")
    np.testing.assert_array_equal(one.regression.X, dl.gaussian_regression(20, 3, 1.0, 5).X)
    np.testing.assert_array_equal(one.regression.y, dl.gaussian_regression(20, 3, 1.0, 5).y)
    residual = dl.Landscapes(dl.Networks([2, 3], kind="residual", seed=7), dl.data.Gaussian(9, 4))
    assert residual.at(depth=3).network == dl.Networks(3, kind="residual", seed=7).network(4)


def test_the_width_follows_the_data():
    family = dl.Landscapes(dl.Networks(2), dl.data.Gaussian(9, [2, 4]))
    assert [family.at(d=d).network.widths for d in (2, 4)] == [(2, 2, 1), (4, 4, 1)]


def test_either_may_be_given():
    regression, network = dl.gaussian_regression(9, 3, seed=2), dl.Network((3, 4, 1))
    family = dl.Landscapes(dl.Networks([2, 3]), regression)
    assert family.at(depth=2).regression is regression
    family = dl.Landscapes(network, dl.data.Gaussian(9, 3, [0.0, 1.0]))
    assert family.at(noise=0.0).network is network
    assert dl.Landscapes(network, regression).at().network is network


def test_samples_reach_the_members():
    family = dl.Landscapes(dl.Networks([1, 2]), dl.data.Gaussian(9, 3), samples=True)
    assert family.at(depth=2).samples
    assert not dl.Landscapes(dl.Networks([1, 2]), dl.data.Gaussian(9, 3)).at(depth=1).samples


def test_replacing_leaves_what_is_no_dimension_of_it():
    family = dl.Landscapes(dl.Networks([2, 3]), dl.data.Gaussian(9, 3, [0.0, 1.0]))
    part = family.replace({"depth": (3,), "scale": (1.0,), "noise": (0.0, 1.0)})
    assert part.axes == {"noise": (0.0, 1.0), "depth": (3,)}
    assert family.replace({"scale": 1.0}) == family


@dataclass(frozen=True)
class Line(dl.data.Data):
    """A law of a person's own: points on a line."""

    slope: Any
    step: Any = 1.0
    depth: Any = 0
    points: Any = None

    def regression(self) -> dl.Regression:
        x = np.linspace(0.0, 1.0, 5)[:, None]
        return dl.Regression(x, self.slope * x[:, 0])


def test_a_law_of_data_of_ones_own():
    family = dl.Landscapes(dl.Networks(2), Line([1.0, 3.0]))
    assert family.axes == {"slope": (1.0, 3.0)}
    assert family.at(slope=3.0).regression.y[-1] == 3
    dataset = dl.sweep(
        family,
        dl.init.Gaussian(0.5),
        dl.GradientDescent(0.01),
        seeds=2,
        steps=3,
        progress=False,
    )
    assert dataset.risk.sizes == {"slope": 2, "seed": 2, "step": 2}
    # what it holds need not have a hash
    unhashable = dl.Landscapes(dl.Networks(2), Line(2.0, points={"a": 1}))
    assert unhashable.at().regression.y[-1] == 2


class Nothing(dl.data.Data):
    def regression(self) -> dl.Regression:
        return 3  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: dl.Landscapes("plain", DATA), "network must be of type Network or Networks; got"),
        (lambda: dl.Landscapes(NETWORKS, 3), "data must be of type Regression, or a law of deep"),
        (
            lambda: dl.Landscapes(NETWORKS, DATA, loss="cubic"),
            "loss must be 'squared'; got 'cubic'",
        ),
        (lambda: dl.Landscapes(NETWORKS, DATA, samples=2), "samples must be True or False; got 2"),
        (
            lambda: dl.Landscapes(dl.Networks([2, 3]), Line(1.0, depth=[1, 2])),
            "data must not sweep a field of the name 'depth', which network sweeps too",
        ),
        (lambda: dl.Landscapes(dl.Networks([2, 3]), DATA).at(depth=2), "values must be of all dim"),
        (
            lambda: dl.Landscapes(dl.Networks([2, 3]), Line(1.0)).at(depth=2, width=3),
            "values must be of all dimensions, 'depth'; got 'depth', 'width'",
        ),
        (
            lambda: dl.Landscapes(dl.Network((2, 1)), dl.data.Gaussian(9, [3])).at(d=3),
            r"network must have as many inputs, widths\[0\], as the data have dimensions, 3; got 2",
        ),
        (
            lambda: dl.Landscapes(dl.Networks(2), Nothing()).at(),
            "the data of the law must be of type Regression; got 3",
        ),
    ],
)
def test_families_that_cannot_be(make, words):
    with pytest.raises((ValueError, TypeError), match=f"^{words}"):
        make()
