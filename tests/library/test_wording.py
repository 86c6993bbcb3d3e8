"""Sweeps in words: what is written is read back, and what cannot be has one sentence."""

import copy
import json
import sys
from dataclasses import dataclass

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import deeplinear as dl
from deeplinear import wording
from strategies import PROPERTY

positive = st.floats(min_value=1e-300, max_value=1e300)
counts = st.integers(1, 10**6)


def several(values, most=4):
    return values | st.lists(values, min_size=1, max_size=most, unique=True).map(tuple)


gaussian = st.builds(
    dl.data.Gaussian,
    several(st.integers(4, 9)),
    several(st.integers(3, 5)),
    several(st.floats(0, 1e3)),
    several(st.integers(0, 2**70)),
)
spectral = st.builds(
    dl.data.Spectral,
    st.integers(6, 9),
    several(st.integers(3, 5)),
    several(st.floats(1, 1e6)),
    several(st.sampled_from(["top", "bottom"])),
    several(st.integers(0, 99)),
)
given_data = st.integers(0, 5).map(lambda seed: dl.gaussian_regression(6, 4, seed=seed))
plain = st.builds(
    dl.Networks,
    several(st.integers(1, 6)),
    st.none() | several(st.integers(1, 6)),
    activation=several(st.sampled_from(["identity", "gelu", "tanh"])),
    seed=several(st.integers(0, 99)),
)
either = st.builds(
    dl.Networks, several(st.integers(1, 6)), kind=several(st.sampled_from(["plain", "residual"]))
)
given_networks = st.sampled_from(
    [
        dl.Network((4, 3, 1)),
        dl.Network((4, 2), readout=[0.1, 1 / 3]),
        dl.Network((4, 5, 1), activation="gelu"),
    ]
)
laws = st.one_of(
    st.builds(dl.init.Gaussian, several(positive)),
    st.builds(dl.init.Residual, several(st.floats(0, 9))),
    st.builds(dl.init.Orthogonal, several(positive)),
    st.just(dl.init.Identity()),
)
seeds = st.one_of(
    counts,
    st.builds(lambda first, n: range(first, first + n), st.integers(0, 2**65), counts),
    st.builds(
        lambda first, n, by: range(first, first + n * by, by), counts, st.just(9), st.just(3)
    ),
    st.lists(st.integers(0, 2**80), min_size=1, max_size=5, unique=True),
    st.lists(st.integers(0, 2**62), min_size=1, max_size=5, unique=True).map(np.array),
)
records = st.none() | st.lists(
    st.sampled_from(["risk", "sharpness", "layer_norm", "lowest_eigenvalue", "eigenvalues:3"]),
    min_size=1,
    unique=True,
)


@st.composite
def sweeps(draw):
    data = draw(gaussian | spectral | given_data)
    network = draw(plain | either)
    if isinstance(data, dl.Regression):
        network = draw(plain | either | given_networks)
    landscape = dl.Landscapes(network, data, samples=draw(st.sampled_from([None, True])))
    options = {
        "tolerance": draw(st.floats(0, 1)),
        "dtype": draw(st.sampled_from(["float64", "float32", np.float32])),
        "engine": draw(st.sampled_from(["auto", "ensemble"])),
        "keep_weights": draw(st.sampled_from([None, True, False])),
        "keep_state": draw(st.sampled_from([None, True, False])),
        "record": draw(records),
    }
    if draw(st.booleans()):
        rule = dl.GradientDescent(
            draw(several(positive)),
            draw(several(st.floats(0.1, 0.9))),
            draw(several(st.booleans(), 2)),
            draw(several(st.floats(0, 1))),
        )
        options |= {"steps": draw(counts), "every": draw(st.none() | counts)}
    else:
        methods = several(st.sampled_from(["euler", "rk4", "dopri5"]), 3)
        rule = dl.GradientFlow(
            draw(methods),
            draw(several(st.floats(1e-3, 1e-1))),
            draw(several(positive)),
            max_steps=draw(several(counts)),
        )
        options |= {"time": draw(counts | st.floats(1, 9))}
    return dl.Sweep(landscape, draw(laws), rule, draw(seeds), **options)


@PROPERTY
@given(sweeps())
def test_words_make_the_same_sweep(sweep):
    words = wording.words_of(sweep)
    text = wording.canonical(words)
    own = sweep.landscape.data
    again = wording.sweep_of(json.loads(text), own if isinstance(own, dl.Regression) else None)
    assert wording.words_of(again) == words
    assert wording.canonical(wording.words_of(again)) == text
    assert wording.digest_of(words) == wording.digest_of(json.loads(text))
    assert {name: list(values) for name, values in again.axes.items() if name != "seed"} == {
        name: list(values) for name, values in sweep.axes.items() if name != "seed"
    }
    assert len(again.axes["seed"]) == len(sweep.axes["seed"])
    assert [int(again.axes["seed"][i]) for i in (0, -1)] == [
        int(sweep.axes["seed"][i]) for i in (0, -1)
    ]
    for name in ("init", "dynamics", "steps", "time", "every", "tolerance", "dtype", "engine"):
        assert getattr(again, name) == getattr(sweep, name)
    assert (again.keep_weights, again.keep_state) == (sweep.keep_weights, sweep.keep_state)


WORDS = {
    "data": {"kind": "gaussian", "n": 9, "d": 3, "noise": [0.0, 1.0]},
    "network": {"kind": "plain", "depth": [2, 3], "width": 4},
    "init": {"kind": "gaussian", "scale": [0.2, 0.3]},
    "dynamics": {"kind": "gradient descent", "learning_rate": [0.01, 0.02]},
    "seeds": 3,
    "steps": 5,
    "record": ["risk"],
}


def test_the_words_are_plain():
    sweep = dl.Sweep(
        dl.Landscapes(
            dl.Networks(np.array([2, 3]), width=np.int64(4)),
            dl.data.Gaussian(9, 3, np.array([0.0, 1.0])),
        ),
        dl.init.Gaussian(np.array([0.2, 0.3])),
        dl.GradientDescent(np.array([0.01, 0.02])),
        np.arange(3),
        steps=np.int64(5),
        record="risk",
    )
    assert wording.words_of(sweep) == WORDS
    assert wording.canonical(WORDS) == (
        '{"data":{"d":3,"kind":"gaussian","n":9,"noise":[0.0,1.0]},'
        '"dynamics":{"kind":"gradient descent","learning_rate":[0.01,0.02]},'
        '"init":{"kind":"gaussian","scale":[0.2,0.3]},'
        '"network":{"depth":[2,3],"kind":"plain","width":4},'
        '"record":["risk"],"seeds":3,"steps":5}'
    )


def test_python_and_toml_say_the_same():
    text = """
        seeds = {first = 7, count = 3}
        steps = 5
        record = ["risk", "eigenvalues:3"]
        [data]
        kind = "spectral"
        n = 9
        d = 3
        condition = [1, 10]
        along = "bottom"
        [network]
        depth = [2, 3]
        [init]
        kind = "residual"
        scale = 0.5
        [dynamics]
        kind = "gradient descent"
        learning_rate = 0.02
        momentum = [0.0, 0.9]
    """
    sweep = dl.Sweep(
        dl.Landscapes(dl.Networks([2, 3]), dl.data.Spectral(9, 3, [1, 10], "bottom")),
        dl.init.Residual(0.5),
        dl.GradientDescent(0.02, momentum=[0.0, 0.9]),
        range(7, 10),
        steps=5,
        record=("risk", "eigenvalues:3"),
    )
    toml = pytest.importorskip("tomllib" if sys.version_info >= (3, 11) else "tomli")
    told = wording.sweep_of(toml.loads(text))
    assert wording.words_of(told) == wording.words_of(sweep)


def test_equal_seeds_have_equal_words():
    def words(seeds):
        sweep = wording.sweep_of(WORDS | {"seeds": seeds})
        return wording.words_of(sweep)["seeds"]

    assert words(3) == words([0, 1, 2]) == words(range(3)) == 3
    assert words([5, 6]) == words(np.array([5, 6])) == {"first": 5, "count": 2}
    assert words(range(0, 6, 2)) == words([0, 2, 4]) == [0, 2, 4]
    assert words([2**64, 1]) == [2**64, 1]
    assert words(["18446744073709551616"]) == {"first": 2**64, "count": 1}


def test_a_landscape_and_the_family_of_it_alone_have_equal_words():
    regression = dl.gaussian_regression(9, 3)
    for network in (dl.Network((3, 3, 1)), dl.Network((3, 3, 1), activation="gelu")):
        pair = [
            dl.Sweep(one, dl.init.Gaussian(0.3), dl.GradientDescent(0.01), 2, steps=3)
            for one in (dl.Landscape(network, regression), dl.Landscapes(network, regression))
        ]
        first, second = map(wording.words_of, pair)
        assert first == second
        assert wording.words_of(wording.sweep_of(first, regression)) == first
    assert first["data"]["kind"] == first["network"]["kind"] == "given"
    samples = dl.Landscape(dl.Network((3, 1)), regression, samples=True)
    sweep = dl.Sweep(samples, dl.init.Gaussian(0.3), dl.GradientDescent(0.01), 2, steps=3)
    assert wording.words_of(sweep)["samples"] is True


def test_given_data_are_told_by_their_numbers():
    regression = dl.gaussian_regression(9, 3)
    family = dl.Landscapes(dl.Networks(2), regression)
    words = wording.words_of(
        dl.Sweep(family, dl.init.Gaussian(0.3), dl.GradientDescent(0.01), 2, steps=3)
    )
    y = regression.y.copy()
    y[3] = np.nextafter(y[3], 9)
    tests = (regression.X_test, regression.y_test)
    for other in (
        dl.Regression(regression.X, y, *tests),
        dl.Regression(regression.X, regression.y),
        dl.gaussian_regression(9, 3, seed=1),
    ):
        with pytest.raises(
            ValueError, match=r"^data must be those of the description; got others\.$"
        ):
            wording.sweep_of(words, other)
    again = dl.Regression(regression.X.copy(order="F"), regression.y, *tests)
    assert wording.sweep_of(words, again).landscape.data is again
    with pytest.raises(
        ValueError, match=r"^data must be a law or a file; got data that were given"
    ):
        wording.sweep_of(words)


def changed(*path, value=None, drop=False):
    words = copy.deepcopy(WORDS)
    inner = words
    for name in path[:-1]:
        inner = inner[name]
    if drop:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return words


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (3, "the sweep must be a mapping of names to values; got 3"),
        ({}, "the sweep must have 'data'; got nothing"),
        (changed("init", drop=True), "the sweep must have 'init'; got data, network, "),
        (changed("seeds", drop=True), "the sweep must have 'seeds'; got "),
        (changed("speed", value=3), "the sweep must have names out of data, .*; got 'speed'"),
        (changed("data", value=3), "data must be a table; got 3"),
        (changed("network", value=[3]), r"network must be a table; got list of length 1"),
        (changed("data", "kind", drop=True), "data must have 'kind'; got n, d, noise"),
        (changed("data", "kind", value="cubic"), r"data\.kind must be one of 'gaussian', "),
        (changed("init", "kind", value=3), r"init\.kind must be one of .*; got 3"),
        (changed("data", "m", value=3), "data must have names out of kind, n, d, .*; got 'm'"),
        (changed("data", "n", drop=True), "data must have 'n'; got d, noise"),
        (changed("data", "n", value=0), r"data\.n must be a positive integer; got 0"),
        (changed("data", "noise", value=[]), r"data\.noise must be one value or a non-empty"),
        (changed("network", "depth", drop=True), "network must have 'depth'; got "),
        (changed("network", "kind", value="wide"), r"network\.kind must be one of 'plain', "),
        (changed("network", "deep", value=3), "network must have names .*; got 'deep'"),
        (changed("dynamics", "momentum", value=2), r"dynamics\.momentum must be a number from 0"),
        (changed("seeds", value={"first": 3}), "seeds must have 'count'; got first"),
        (changed("seeds", value={"first": 3, "count": 0}), "seeds must be a positive integer"),
        (changed("seeds", value={"first": -3, "count": 2}), "seeds must be a non-negative integer"),
        (changed("seeds", value={"first": 0.5, "count": 2}), "seeds must have integers"),
        (changed("seeds", value="many"), "seeds must be a positive integer or a non-empty"),
        (changed("steps", value="long"), "steps must be a positive integer; got 'long'"),
        (changed("dtype", value="int8"), "dtype must be one of 'float64', 'float32'"),
        (changed("loss", value="cubic"), "loss must be 'squared'; got 'cubic'"),
    ],
)  # fmt: skip
def test_words_that_make_no_sweep(words, sentence):
    with pytest.raises((ValueError, TypeError), match=f"^{sentence}") as caught:
        wording.sweep_of(words)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


def test_differences_name_the_fields():
    assert wording.differences(WORDS, copy.deepcopy(WORDS)) == []
    for path, value in (
        (("data", "n"), 10),
        (("dynamics", "learning_rate"), [0.01, 0.03]),
        (("dynamics", "momentum"), 0.5),
        (("seeds",), {"first": 1, "count": 3}),
        (("tolerance",), 1e-3),
    ):
        other = changed(*path, value=value)
        for pair in ((WORDS, other), (other, WORDS)):
            assert wording.differences(*pair) == [".".join(path)]
        assert wording.digest_of(other) != wording.digest_of(WORDS)
    assert wording.differences(changed("steps", value=6), changed("data", "d", value=4)) == [
        "data.d", "steps",
    ]  # fmt: skip


@dataclass(frozen=True)
class Own(dl.data.Data):
    slope: float

    def regression(self):
        return dl.gaussian_regression(9, 3)


class OwnLaw(dl.init.Identity):
    pass


def norm(weights):
    return np.linalg.norm(weights[0])


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"init": OwnLaw()}, "init must be one of Gaussian, .*, to be written down; got "),
        ({"init": dl.init.FromWeights(np.ones((1, 12)))}, "init must be one of Gaussian, .*; got "),
        ({"record": ("risk", norm)}, "record must hold names alone, to be written down; got the"),
        (
            {"landscape": dl.Landscapes(dl.Networks(2), Own(1.0))},
            "data must be one of Gaussian, Spectral, File, to be written down; got ",
        ),
    ],
)
def test_what_words_cannot_hold(fields, sentence):
    own = {
        "landscape": dl.Landscapes(dl.Networks(2), dl.data.Gaussian(9, 3)),
        "init": dl.init.Gaussian(0.3),
        "dynamics": dl.GradientDescent(0.1),
        "seeds": 2,
        "steps": 3,
    }
    with pytest.raises(TypeError, match=f"^{sentence}"):
        wording.words_of(dl.Sweep(**(own | fields)))
