"""Sweeps as TOML: Python and the file say the same, and errors name the file, line and key."""

import re
from math import prod

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import deeplinear as dl
from deeplinear.sweep_files import parse_sweep, read_sweep, to_toml
from deeplinear.wording import digest_of, words_of

numbers = st.floats(min_value=1e-300, max_value=1e300)
seed_of_data = st.integers(0, 2**70)


def several(values):
    return values | st.lists(values, min_size=1, max_size=2, unique=True)


gaussian_data = st.builds(
    dl.data.Gaussian, several(st.integers(2, 9)), several(st.integers(1, 4)),
    several(st.floats(0, 1e10)), several(seed_of_data),
)  # fmt: skip
spectral_data = st.builds(
    dl.data.Spectral, several(st.integers(5, 9)), several(st.integers(2, 5)),
    several(st.floats(1, 1e10)), several(st.sampled_from(["top", "bottom"])), st.integers(0, 9),
)  # fmt: skip
plain = st.builds(
    dl.Networks, several(st.integers(1, 4)), st.none() | several(st.integers(1, 4)),
    activation=several(st.sampled_from(["identity", "tanh", "gelu"])),
)  # fmt: skip
families = plain | st.builds(
    dl.Networks, several(st.integers(1, 4)), kind=several(st.sampled_from(["plain", "residual"])),
    seed=several(seed_of_data),
)  # fmt: skip
laws = st.one_of(
    st.builds(dl.init.Gaussian, several(numbers)),
    st.builds(dl.init.Residual, several(numbers)),
    st.builds(dl.init.Orthogonal, several(numbers)),
    st.just(dl.init.Identity()),
)
descents = st.builds(
    dl.GradientDescent, several(numbers), momentum=several(st.floats(0, 0.9)),
    weight_decay=several(st.floats(0, 1)),
)  # fmt: skip
flows = st.builds(
    dl.GradientFlow, method=several(st.sampled_from(["euler", "rk4"])), step=several(st.just(0.5))
) | st.builds(dl.GradientFlow, method=st.just("dopri5"), rtol=several(st.floats(1e-12, 1e-3)))
seeds = st.one_of(
    st.integers(1, 10**9),
    st.lists(st.integers(0, 2**64), min_size=1, max_size=30, unique=True),
    st.builds(lambda first, count: range(first, first + count), seed_of_data, st.integers(1, 99)),
)


@st.composite
def sweeps(draw):
    data, network = draw(gaussian_data | spectral_data), draw(families)
    options = {
        "tolerance": draw(st.floats(0, 1)),
        "dtype": draw(st.sampled_from(["float64", "float32"])),
        "engine": draw(st.sampled_from(["auto", "ensemble"])),
        "keep_weights": draw(st.sampled_from([None, True, False])),
    }
    record = st.sampled_from(
        [None, ("risk",), ["risk", "sharpness", "eigenvalues:1", "layer_norm"]]
    )
    if draw(st.booleans()):
        dynamics = draw(descents)
        options |= {"steps": draw(st.integers(1, 9)), "every": draw(st.none() | st.integers(1, 5))}
    else:
        dynamics = draw(flows)
        options |= {"time": 1.0, "every": draw(st.sampled_from([None, 1]))}
    landscape = dl.Landscapes(network, data, samples=draw(st.sampled_from([None, True])))
    assume(prod(map(len, landscape.axes.values())) <= 16)  # each is made, to be checked
    return dl.Sweep(landscape, draw(laws), dynamics, draw(seeds), record=draw(record), **options)


@settings(max_examples=60)
@given(sweeps())
def test_python_and_the_file_say_the_same(sweep):
    again = parse_sweep(to_toml(sweep))
    assert words_of(again) == words_of(sweep)
    assert digest_of(words_of(again)) == digest_of(words_of(sweep))
    assert again.sizes == sweep.sizes
    assert [tuple(again.axes[name][:3]) for name in sweep.axes] == [
        tuple(values[:3]) for values in sweep.axes.values()
    ]
    assert to_toml(again) == to_toml(sweep)


TEXT = """\
seeds = 20
steps = 40
record = ["risk", "sharpness"]

[data]
kind = "gaussian"
n = 12
d = 3
noise = [0.0, 1.0]

[network]
kind = "plain"
depth = [2, 3]

[init]
kind = "gaussian"
scale = [0.25, 0.5]

[dynamics]
kind = "gradient descent"
learning_rate = [0.01, 0.1]
"""


def in_python():
    family = dl.Landscapes(dl.Networks(depth=[2, 3]), dl.data.Gaussian(12, 3, noise=[0, 1]))
    descent = dl.GradientDescent([0.01, 0.1])
    record = ("risk", "sharpness")
    return dl.Sweep(family, dl.init.Gaussian([0.25, 0.5]), descent, 20, steps=40, record=record)


def test_a_file_runs_as_python_does(tmp_path):
    assert to_toml(in_python()) == TEXT
    (tmp_path / "my sweep.toml").write_text(TEXT, encoding="utf-8")
    sweep = in_python()
    runs = dl.run_sweep(dl.read_sweep(tmp_path / "my sweep.toml"), progress=False)
    same = dl.sweep(
        sweep.landscape, sweep.init, sweep.dynamics, seeds=20, steps=40, record=sweep.record,
        progress=False,
    )  # fmt: skip
    assert runs.sizes["noise"] == 2
    for name in ("risk", "sharpness"):
        np.testing.assert_array_equal(runs[name], same[name])


def test_ones_own_data_and_networks(tmp_path):
    rows = np.random.default_rng(0).standard_normal((9, 3))
    np.savetxt(tmp_path / "own.csv", rows, delimiter=",", header="a,b,y", comments="")
    data = dl.data.File(str(tmp_path / "own.csv"))
    network = dl.Network((2, 3, 2), readout=[0.6, -0.8], activation="tanh")
    sweep = dl.Sweep(
        dl.Landscapes(network, data), dl.init.Gaussian(0.5), dl.GradientDescent(0.1), 3, steps=2
    )
    text = to_toml(sweep)
    assert f'sha256 = "{data.sha256}"' in text
    assert words_of(parse_sweep(text)) == words_of(sweep)
    file = tmp_path / "sweep.toml"
    file.write_text(re.sub(r'path = ".*"', 'path = "own.csv"', text), encoding="utf-8")
    assert words_of(read_sweep(file)) == words_of(sweep)
    (tmp_path / "own.csv").write_text("y,a,b\n1,2,3\n4,5,7\n")
    assert "data.sha256 must be that of " in failure(text)


def failure(text: str) -> str:
    with pytest.raises(ValueError, match=r"^my\.toml") as caught:
        parse_sweep(text, "my.toml")
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message


def line_of(start: str) -> int:
    return next(i for i, line in enumerate(TEXT.split("\n"), 1) if line.startswith(start))


WRONG = [
    ("seeds", "0", "seeds must be a positive integer; got 0."),
    ("seeds", "{first = 3}", "seeds must have 'count'; got first."),
    ("steps", "2.5", "steps must be a positive integer; got 2.5."),
    ("record", '["risk", "speed"]', "record must be one of 'risk', "),
    ("n", "-20", "data.n must be a positive integer; got -20."),
    ("noise", '[0, "x"]', "data.noise[1] must be a non-negative finite number; got 'x'."),
    ("depth", "[]", "network.depth must be one value or a non-empty sequence; got an empty one."),
    ("scale", "0", "init.scale must be a positive finite number; got 0."),
    ("learning_rate", "[0.1, 0.1]", "learning_rate must be different values; got 0.1 twice."),
]


@pytest.mark.parametrize(("key", "value", "words"), WRONG)
def test_a_wrong_value_of_a_sweep_has_its_line(key, value, words):
    text = re.sub(rf"^{key} = .*$", f"{key} = {value}", TEXT, count=1, flags=re.M)
    assert failure(text).startswith(f"my.toml, line {line_of(f'{key} =')}: {words}")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("depth", "deep", "line 13: unknown key 'deep'; [network] takes depth, width, kind, "),
        ("[init]", "[unit]", "line 15: unknown key 'unit'; a sweep takes data, network, init, "),
        ('"gaussian"\nscale', '"uniform"\nscale', "line 16: kind must be one of 'gaussian', "),
        ("n = 12\n", "", "line 5: [data] lacks the key 'n'."),
        ('kind = "gradient descent"\n', "", "line 19: [dynamics] lacks the key 'kind'."),
        ("seeds = 20\n", "", " a sweep lacks the key 'seeds'."),
        ("steps = 40", "time = 4.0", "line 2: time must be None for gradient descent"),
        ("steps = 40\n", "", " steps must be a positive integer; got None."),
        ("steps = 40", "steps = ", "line 2: not valid TOML: "),
        ("[init]", "[[init]]", "line 15: init must be a table [init]; got "),
    ],
)
def test_what_a_sweep_lacks_or_has_too_much(old, new, words):
    assert TEXT.count(old) == 1
    assert words in failure(TEXT.replace(old, new))


def test_what_has_no_words_is_no_file():
    landscape = dl.Landscape(dl.Network((3, 1)), dl.gaussian_regression(n=5, d=3))
    arrays = dl.Sweep(landscape, dl.init.Identity(), dl.GradientDescent(0.1), 1, steps=1)
    with pytest.raises(TypeError, match=r"^data must be a law of deeplinear\.data, to be written"):
        to_toml(arrays)
    given_words = TEXT.replace('kind = "gaussian"\nn', 'kind = "given"\nn', 1)
    assert "line 6: kind must be one of 'gaussian', 'spectral', 'file'" in failure(given_words)


def test_files_of_sweeps_that_cannot_be_read(tmp_path):
    with pytest.raises(ValueError, match=r"none\.toml could not be read: No such file"):
        read_sweep(tmp_path / "none.toml")
