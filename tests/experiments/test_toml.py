"""Presets as text: what is written is read back, and errors name the file, the line and the key."""

import re
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import deeplinear as dl
from deeplinear import init
from deeplinear.experiments.figures import FIGURES
from deeplinear.experiments.library import PLAIN, PRESETS
from deeplinear.experiments.preset import (
    Architecture,
    GaussianData,
    Preset,
    SpectralData,
    Training,
)
from deeplinear.experiments.toml import parse_preset, read_preset, to_toml

counts = st.integers(1, 10**6)
numbers = st.floats(min_value=1e-300, max_value=1e300)
scales = numbers | st.lists(numbers, min_size=1, max_size=30, unique=True).map(tuple)
texts = st.text(st.characters(codec="utf-8"), max_size=20).filter(str.isprintable)


def several(values):
    return values | st.lists(values, min_size=1, max_size=5, unique=True).map(tuple)


gaussian_data = st.builds(GaussianData, counts, counts, several(st.floats(0, 1e10)))
spectral_data = st.builds(
    SpectralData,
    st.integers(10, 100),
    st.integers(2, 10),
    several(st.floats(1, 1e10)),
    several(st.sampled_from(["top", "bottom"])),
)
depths = st.lists(counts, min_size=1, max_size=5, unique=True).map(tuple)
activations = st.sampled_from(["identity", "gelu", "tanh", "relu"])
architectures = st.one_of(
    st.builds(Architecture, st.just("plain"), depths, activations, st.none() | counts),
    st.builds(Architecture, st.just("residual"), depths, activations),
)
laws = st.one_of(
    st.builds(init.Gaussian, scales),
    st.builds(init.Residual, scales),
    st.builds(init.Orthogonal, scales),
    st.just(init.Identity()),
)
flows = st.builds(
    dl.GradientFlow, st.sampled_from(["euler", "rk4", "dopri5"]), numbers, numbers, numbers, counts
)


@st.composite
def parts(draw, scaled: bool):
    options = {
        "runs": draw(counts),
        "scale": draw(st.none() | scales) if scaled else None,
        "tolerance": draw(st.floats(0, 1)),
    }
    if draw(st.booleans()):
        descent = dl.GradientDescent(draw(scales))
        return Training(descent, steps=draw(counts), every=draw(st.none() | counts), **options)
    flow = draw(flows)
    every = draw(st.none() | (numbers if flow.method == "dopri5" else counts))
    return Training(flow, time=draw(numbers), every=every, **options)


@st.composite
def presets(draw):
    network, data, law = draw(architectures), draw(gaussian_data | spectral_data), draw(laws)
    names = set(dl.RECORDABLE) - {"risk"}
    names -= set() if network.linear else {"distance"}
    names -= set() if data.tested else {"test_risk"}
    record = ("risk", *draw(st.lists(st.sampled_from(sorted(names)), unique=True)))
    training = tuple(draw(st.lists(parts(hasattr(law, "scale")), min_size=1, max_size=4)))
    possible = [
        name for name, drawing in FIGURES.items() if not drawing.lacking(record, data, training)
    ]
    return Preset(
        name=draw(st.from_regex(r"\w[\w.-]{0,20}", fullmatch=True, alphabet="ab_Z09.-")),
        title=draw(texts),
        data=data,
        network=network,
        init=law,
        training=training,
        record=record,
        figures=tuple(draw(st.lists(st.sampled_from(possible), unique=True))),
        seed=draw(st.integers(0, 2**32 - 1)),
    )


@given(presets())
def test_what_is_written_is_read_back(preset):
    text = to_toml(preset)
    assert parse_preset(text) == preset
    assert to_toml(parse_preset(text)) == text


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda p: p.name)
def test_the_presets_are_read_back_from_files(preset, tmp_path):
    for version in (preset, preset.quick()):
        path = tmp_path / "my preset.toml"
        path.write_text(to_toml(version), encoding="utf-8")
        assert read_preset(path) == version


def test_the_text_is_for_people():
    text = to_toml(PRESETS["alignment"])
    assert max(map(len, text.splitlines())) <= 100
    assert text.startswith('name = "alignment"\ntitle = "')
    for line in (
        "[data]", 'kind = "gaussian"', "n = 50", "noise = 1.0", "[network]", "depths = [10]",
        'activation = "identity"', "[init]", "[[training]]", 'dynamics = "gradient flow"',
        'method = "dopri5"', "rtol = 1e-08", "time = 200.0", 'dynamics = "gradient descent"',
        "learning_rate = 0.005", "steps = 40000", "runs = 10", "every = 200", "scale = 0.2",
    ):  # fmt: skip
        assert line in text.splitlines()


def test_what_has_a_default_may_be_left_out():
    text = """
        name = "mine"
        record = ["risk"]
        data = {kind = "gaussian", n = 9, d = 2, noise = 0}
        network.kind = "residual"
        init.kind = "identity"
        [[training]]
        dynamics = "gradient flow"
        time = 1
        runs = 1
    """
    preset = parse_preset(text)
    assert preset.title == "mine"
    assert preset.network == Architecture("residual")
    assert preset.training == (Training(dl.GradientFlow(), 1, time=1.0),)
    assert (preset.seed, preset.figures) == (0, ())


TEXT = to_toml(PLAIN)


def failure(text: str) -> str:
    with pytest.raises(ValueError, match=r"^my\.toml") as caught:
        parse_preset(text, "my.toml")
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message


def line_of(text: str, start: str, number: int = 0) -> int:
    return [i for i, line in enumerate(text.split("\n"), 1) if line.startswith(start)][number]


@given(
    key=st.from_regex(r"[a-z_]{1,8}", fullmatch=True),
    where=st.integers(0, TEXT.count("\n") - 1),
    value=st.sampled_from(["1", '"x"', "[1,\n2]", "{a = 1}", '"""\n\n"""', "1979-05-27"]),
)
def test_an_unknown_key_is_named_with_its_line(key, where, value):
    known = {"name", "title", "seed", "record", "figures", "data", "network", "init", "training",
             "kind", "n", "d", "noise", "depths", "activation", "scale", "dynamics",
             "learning_rate", "steps", "time", "runs", "every", "tolerance"}  # fmt: skip
    assume(key not in known)
    lines = TEXT.split("\n")
    # inside of an array of several lines no key can stand
    assume(not any(line.startswith("    ") or line == "]" for line in lines[where : where + 1]))
    text = "\n".join([*lines[:where], f"{key} = {value} # odd", *lines[where:]])
    assert f"my.toml, line {where + 1}: unknown key '{key}'; " in failure(text)


WRONG = [
    ("seed", '"one"', "seed must be a non-negative integer; got 'one'."),
    ("title", "7", "title must be a text; got 7."),
    ("record", '"risk"', "record must be a sequence of names; got 'risk'."),
    ("record", '["risk", "speed"]', "record[1] must be one of 'risk', "),
    ("figures", '["sharpness", "pie"]', "figures[1] must be one of 'sharpness', "),
    ("n", "5.5", "n must be a positive integer; got 5.5."),
    ("noise", "true", "noise must be a non-negative finite number; got True."),
    ("noise", "-1", "noise must be a non-negative finite number; got -1."),
    ("noise", "nan", "noise must be a non-negative finite number; got nan."),
    ("kind", '"uniform"', "kind must be one of 'gaussian', 'spectral', 'file'; got 'uniform'."),
    ("depths", "[3, -1]", "depths[1] must be a positive integer; got -1."),
    ("depths", "[]", "depths must be one value or a non-empty sequence; got an empty one."),
    ("activation", '"gelu"', "record must not hold 'distance' where the network is not linear"),
    ("learning_rate", "[0.1, 'x']", "learning_rate[1] must be a positive finite number; got 'x'."),
    ("steps", "1e3", "steps must be a positive integer; got 1000.0."),
    ("runs", "0", "runs must be a positive integer; got 0."),
    ("dynamics", '"adam"', "dynamics must be one of 'gradient descent', 'gradient flow'; got"),
    ("dynamics", "3", "dynamics must be one of 'gradient descent', 'gradient flow'; got 3."),
]


@pytest.mark.parametrize(("key", "value", "words"), WRONG)
def test_a_wrong_value_is_named_with_its_line(key, value, words):
    text = re.sub(rf"^{key} = (\[[^]]*\]|.*)$", f"{key} = {value}", TEXT, count=1, flags=re.M)
    key = words.partition(" ")[0].partition("[")[0]
    line = line_of(text, f"{key} =")
    assert failure(text).startswith(f"my.toml, line {line}: {words}")


def test_wrong_values_in_later_tables():
    text = TEXT.replace("runs = 80", "runs = -80")
    assert failure(text) == (
        f"my.toml, line {line_of(text, 'runs =', 4)}: runs must be a positive integer; got -80."
    )
    text = re.sub(r"^scale = \[[^]]*\]", "scale = [0.5,\n0,\n1]", TEXT, flags=re.M)
    assert failure(text) == (
        f"my.toml, line {line_of(text, 'scale =')}: "
        "scale[1] must be a positive finite number; got 0."
    )
    text = TEXT.replace("runs = 80", "runs = 80\nscale = 0")
    assert failure(text) == (
        f"my.toml, line {line_of(text, 'scale = 0')}: "
        "training[4].scale[0] must be a positive finite number; got 0.0."
    )


@pytest.mark.parametrize("key", ["n", "noise", "kind", "runs", "steps", "learning_rate"])
def test_a_missing_key_is_named_with_its_table(key):
    text = re.sub(rf"^{key} = .*\n", "", TEXT, count=1, flags=re.M)
    table = "[data]" if key in ("n", "noise", "kind") else "[[training]]"
    assert failure(text) == (
        f"my.toml, line {line_of(text, table)}: {table} lacks the key {key!r}."
    )


def test_missing_tables():
    assert failure("") == "my.toml: preset lacks the key 'name'."
    text = TEXT.partition("[[training]]")[0]
    assert failure(text) == "my.toml: preset lacks the key 'training'."
    assert "training must be tables [[training]]; got 3." in failure(f"training = 3\n{text}")
    text = text.partition("[data]")[0]
    rest = 'network.kind = "plain"\ninit.kind = "identity"\n[[training]]\nruns = 1\n'
    assert "data must be a table [data]; got 3." in failure(f"data = 3\n{text}{rest}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = ", "line 1: not valid TOML: Invalid value"),
        ('\n\nname = "x', "line 3: not valid TOML: "),
        ("name = 1\nname = 2", "line 2: not valid TOML: Cannot overwrite a value"),
        ("x = [1,\n", "line 1: not valid TOML: "),
        ("x = " + "[" * 10_000, "not valid TOML: "),
        ("seed = " + "9" * 5000, "not valid TOML: an integer has too many digits"),
    ],
)
def test_what_is_no_toml_is_named_with_its_line(text, words):
    assert words in failure(text)


def test_files_that_cannot_be_read(tmp_path):
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(ValueError, match=rf"^{re.escape(str(path))} could not be read: "):
            read_preset(path)
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="it is no UTF-8 text"):
        read_preset(path)


def test_laws_of_other_packages_have_no_text():
    class Mine(init.Identity):
        pass

    with pytest.raises(TypeError, match="init must be one of Gaussian, "):
        to_toml(replace(PLAIN, init=Mine()))


def test_integers_of_thousands_of_digits():
    text = to_toml(PLAIN).replace("seed = 0", "") + "\nx = " + "9" * 5000
    with pytest.raises(ValueError, match=r"^the preset: not valid TOML: an integer has too many"):
        parse_preset(text)
