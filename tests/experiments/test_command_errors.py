"""What the commands refuse, in one sentence."""

import dataclasses
import subprocess

import pytest

import deeplinear as dl
from command_line import MAIN, command, deeplinear, few
from deeplinear.experiments.library import PLAIN, PRESETS
from deeplinear.experiments.preset import Training
from deeplinear.experiments.toml import to_toml


def test_all_is_refused_as_a_whole(tmp_path):
    (tmp_path / "tightness-quick.nc").write_text("mine")
    result = few("reproduce", "all", "--out", str(tmp_path))
    assert result.returncode == 2
    assert "tightness-quick.nc holds no data of this program; --replace" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["tightness-quick.nc"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "could not be read: No such file or directory."),
        ("name = 'x", ", line 1: not valid TOML: "),
        (to_toml(PLAIN) + "speed = 3\n", f", line {to_toml(PLAIN).count(chr(10)) + 1}: unknown"),
        (to_toml(PLAIN).replace("n = 50", "n = -50"), ": n must be a positive integer; got -50."),
    ],
)
def test_a_file_that_is_no_preset_gets_one_sentence(text, words, tmp_path):
    file = tmp_path / "mine.toml"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    result = deeplinear("run", str(file), "--out", str(tmp_path / "out"))
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"deeplinear: {file}")
    assert result.stderr.count("\n") == 1
    assert words in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_preset_that_cannot_be_simulated_gets_one_sentence(tmp_path):
    flow = Training(dl.GradientFlow("rk4", step=1e-300), 1, time=1.0)
    preset = dataclasses.replace(PRESETS["plain-curves"], training=(flow,), figures=())
    file = tmp_path / "mine.toml"
    file.write_text(to_toml(preset), encoding="utf-8")
    result = deeplinear("run", str(file), "--out", str(tmp_path))
    assert result.returncode == 2
    assert result.stderr.startswith("deeplinear: plain-curves: step must be at least time / 2^53")
    assert result.stderr.count("\n") == 1


def test_a_preset_that_cannot_fit_the_memory_gets_one_sentence(tmp_path):
    text = to_toml(PRESETS["plain-curves"])
    for small, large in (("d = 5\n", "d = 2000\n"), ("depths = [10]", "depths = [100000]")):
        assert text.count(small) == 1
        text = text.replace(small, large)
    file = tmp_path / "mine.toml"
    file.write_text(text, encoding="utf-8")
    result = deeplinear("run", str(file), "--out", str(tmp_path))
    assert result.returncode == 1
    assert result.stderr.startswith("deeplinear: plain-curves: network must fit the memory: ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--seed", "-1"], "--seed must be a non-negative integer; got -1."),
        (["--threads", "0"], "--threads must be a positive integer; got 0."),
        (["--dtype", "int8"], "--dtype must be one of 'float64', 'float32'; got 'int8'."),
    ],
)
def test_bad_options_get_one_sentence_before_any_work(arguments, text, tmp_path):
    out = tmp_path / "out"
    result = deeplinear("reproduce", "plain", "--out", str(out), *arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr == f"deeplinear: {text}\n"
    assert not out.exists()


def test_an_unknown_experiment(tmp_path):
    result = deeplinear("reproduce", "fancy", "--out", str(tmp_path))
    assert result.returncode == 2
    names = ", ".join(map(repr, (*PRESETS, "all")))
    assert result.stderr == f"deeplinear: NAME must be one of {names}; got 'fancy'.\n"


def test_a_directory_that_cannot_be_written(tmp_path):
    file = tmp_path / "file"
    file.touch()
    for out in (file, file / "below"):
        result = deeplinear("reproduce", "plain", "--out", str(out))
        assert result.returncode == 2
        assert result.stdout == ""
        assert result.stderr.startswith("deeplinear: --out must be a directory that can be written")
        assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--seed", "one"], ["--bogus"]])
def test_what_cannot_be_parsed_has_no_traceback(arguments, tmp_path):
    result = deeplinear("reproduce", "plain", "--out", str(tmp_path), *arguments)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert arguments[0] in result.stderr


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_its_packages_one_sentence_says_what_to_install(missing):
    code = f"import sys; sys.modules[{missing!r}] = None; {MAIN}"
    result = subprocess.run([*command(code), "--help"], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert result.stderr.count("\n") == 1
    assert "pip install 'deeplinear[all]'" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "purpose", "missing"),
    [
        (("show", "plain"), "A preset as TOML", "tomlkit"),
        (("reproduce", "plain", "--quick", "--out"), "An experiment", "jinja2"),
        (("reproduce", "plain", "--quick", "--out"), "An experiment", "tomlkit"),
        (("reproduce", "plain", "--quick", "--out"), "An experiment", "scipy"),
        (("report",), "A report", "jinja2"),
    ],
)
def test_without_a_library_one_sentence_says_what_to_install(arguments, purpose, missing, tmp_path):
    if arguments[0] != "show":
        arguments = (*arguments, str(tmp_path))
    result = deeplinear(*arguments, code=f"import sys; sys.modules[{missing!r}] = None; {MAIN}")
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith(f"deeplinear: {purpose} needs {missing}, ")
    assert result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
