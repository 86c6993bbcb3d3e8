"""Standard streams that are closed, full or narrow, and the loading of the package."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import h5py
import pytest
import xarray as xr

import deeplinear as dl
from command_line import MAIN, NO_FIGURES
from deeplinear._support import files
from deeplinear.experiments import figures, report
from deeplinear.experiments import run as reproduce
from deeplinear.experiments import toml as preset_files
from deeplinear.experiments.library import PRESETS

BARE = f"{NO_FIGURES}cli.main()"
CURVES = ("reproduce", "plain-curves", "--quick", "--out")
FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")


def shell(redirection: str, *arguments: object, code: str = BARE, **env: str):
    """Run the command line in a shell, which opens and closes what a redirection says."""
    script = f'exec "$0" -W error -c "$CODE" "$@" {redirection}'
    return subprocess.run(
        ["sh", "-c", script, sys.executable, *map(str, arguments)], capture_output=True, text=True,
        env=os.environ | {"CODE": code} | env, timeout=120, check=False,
    )  # fmt: skip


def saved(folder: Path) -> xr.Dataset:
    return xr.load_dataset(folder / "plain-curves-quick.nc", engine="h5netcdf")


@pytest.mark.parametrize(
    ("redirection", "reason"),
    [
        pytest.param(">/dev/full", "No space left on device", marks=FULL),
        (">&-", "it is closed"),
        ("<&- >&-", "it is closed"),
    ],
)
def test_standard_output_that_takes_nothing(redirection, reason, tmp_path):
    result = shell(redirection, *CURVES, tmp_path)
    assert result.stderr == (
        f"deeplinear: standard output could not be written: {reason}; the files are complete.\n"
    )
    assert result.returncode == 1
    assert saved(tmp_path).sizes["run"] == 2
    for arguments in (("--help",), ("--version",), ("show", "plain"), ("verify", tmp_path)):
        result = shell(redirection, *arguments)
        assert result.returncode == 1
        # of files that nobody wrote it says nothing
        assert result.stderr == f"deeplinear: standard output could not be written: {reason}.\n"


def test_a_reader_that_leaves_early_is_no_error():
    result = shell("| true", "show", "plain")
    assert result.stderr == ""


@pytest.mark.parametrize(
    "redirection", ["2>&-", pytest.param("2>/dev/full", marks=FULL), "<&- 2>&-"]
)
def test_standard_error_that_takes_nothing(redirection, tmp_path):
    assert shell(redirection, *CURVES, tmp_path).returncode == 0
    assert saved(tmp_path).sizes["run"] == 2
    refused = shell(redirection, "reproduce", "fancy", "--out", tmp_path)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert shell(redirection, "reproduce", "--bogus").returncode == 2
    assert shell(f"{redirection} >&-", *CURVES, tmp_path).returncode == 1


def test_an_ascii_terminal(tmp_path):
    text = preset_files.to_toml(PRESETS["plain"].quick())
    file = tmp_path / "mine.toml"
    title = text.replace('title = "', 'title = "Lénaïc: ', 1)
    assert title != text
    file.write_text(title, encoding="utf-8")
    narrow = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    result = shell("", "run", file, "--out", tmp_path, **narrow)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("L?na?c: ")
    assert "160 runs" in result.stdout
    for arguments in (("--help",), ("reproduce", "--help"), ("show", "plain")):
        assert shell("", *arguments, **narrow).returncode == 0
    missing = shell("", "run", tmp_path / "é.toml", "--out", tmp_path, **narrow)
    assert missing.returncode == 2
    assert missing.stderr.count("\n") == 1


def test_home_directories(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    result = shell("", *CURVES[:-1], "--out=~/new", HOME=str(home))
    assert result.returncode == 0, result.stderr
    assert str(home / "new" / "plain-curves-quick.nc") in result.stdout
    dataset = saved(home / "new")

    monkeypatch.setenv("HOME", str(home))
    assert reproduce.save(dataset, "~/b") == home / "b" / "plain-curves-quick.nc"
    assert reproduce.finished(PRESETS["plain-curves"].quick(), "~/b") is not None
    assert reproduce.difference(PRESETS["plain-curves"], "~/b/plain-curves-quick.nc") is not None
    assert {path.parent for path in figures.draw(dataset, "~/b")} == {home / "b"}
    assert report.write("~/b") == home / "b" / "index.html"
    (home / "a.toml").write_text(preset_files.to_toml(PRESETS["gelu"]), encoding="utf-8")
    assert preset_files.read_preset("~/a.toml") == PRESETS["gelu"]
    assert files.writable_file("--json", "~/x.json") == home / "x.json"
    reported = shell("", "report", "~/b", code=MAIN, HOME=str(home))
    assert reported.stdout == f"{home / 'b' / 'index.html'}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (3, TypeError, "directory must be a path; got 3."),
        (b"x", TypeError, "directory must be a path; got an object of type bytes."),
        ("a\0b", ValueError, "directory must be a path without null characters; got 'a\\x00b'."),
    ],
)
def test_what_is_no_path(value, error, words):
    with pytest.raises(error) as caught:
        files.writable_directory("directory", value)
    assert str(caught.value) == words


def test_json_is_refused_before_any_work(tmp_path):
    (tmp_path / "file").touch()
    for json in (tmp_path, tmp_path / "none" / "x.json", tmp_path / "file" / "x.json", "/proc/x"):
        result = shell("", "bench", "--quick", f"--json={json}")
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr.startswith("deeplinear: ")
        assert "--json must be " in result.stderr
        assert result.stderr.count("\n") == 1


HOLD = """
import sys, h5py
with h5py.File(sys.argv[1], "r+"):
    print("open", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("more", [(), ("--replace",)])
def test_data_that_another_process_writes(more, tmp_path, monkeypatch):
    monkeypatch.delenv("HDF5_USE_FILE_LOCKING", raising=False)
    file = tmp_path / "plain-curves-quick.nc"
    preset = PRESETS["plain-curves"].quick()
    reproduce.save(reproduce.run(preset, progress=False), tmp_path)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        result = shell("", *CURVES, tmp_path, *more)
        with pytest.raises(ValueError, match="is open in another process"):
            reproduce.finished(preset, tmp_path)
        holder.communicate("")
    assert result.returncode == 2
    assert result.stderr == (f"deeplinear: {file} is open in another process, to be written.\n")
    with h5py.File(file):  # to read is no harm
        assert shell("", *CURVES, tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        (["--version"], ["numpy", "typer", "xarray"]),
        (["--help"], ["h5py", "matplotlib", "pandas", "rich", "scipy", "xarray"]),
    ],
)
def test_what_a_version_and_a_help_load(arguments, heavy):
    code = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print(*set({heavy}) & set(sys.modules), file=sys.stderr))\n{MAIN}"
    )
    result = shell("", *arguments, code=code)
    assert (result.returncode, result.stderr) == (0, "\n")


def test_the_version():
    code = "import sys, deeplinear; print('numpy' in sys.modules, deeplinear.__version__)"
    assert shell("", code=code).stdout == f"False {dl.__version__}\n"
    for arguments in (["--version"], ["--version", "bench"]):
        assert shell("", *arguments).stdout == f"deeplinear {dl.__version__}\n"


def test_names_of_the_package():
    names = set(dl.__all__)
    assert names <= set(dir(dl))
    assert {"spectrum", "landscape", "simulation", "sweeps"} <= set(dir(dl))
    star: dict[str, object] = {}
    exec("from deeplinear import *", star)
    assert {name: star[name] for name in names} == {name: getattr(dl, name) for name in names}
    assert not hasattr(dl, "Netwrok")
    with pytest.raises(ImportError, match="cannot import name 'Netwrok'"):
        exec("from deeplinear import Netwrok")
    code = """
import pickle, deeplinear as dl
network = pickle.loads(pickle.dumps(dl.Network((2, 1))))
assert dl.init.__name__ == "deeplinear.init" and dl.theory.__name__ == "deeplinear.theory"
assert dl.sweeps.sweep is dl.sweep and type(network) is dl.network.Network
print(network == dl.Network((2, 1)))
"""
    assert shell("", code=code).stdout == "True\n"
    assert pickle.loads(pickle.dumps(dl.GradientDescent)) is dl.GradientDescent
