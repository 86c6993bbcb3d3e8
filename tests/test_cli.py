"""The command line, as a person types it."""

import os
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import xarray as xr

import deeplinear as dl
from deeplinear.presets import PLAIN

QUICK_FILES = {
    "plain-quick.nc",
    *(
        f"plain-quick-{name}.{ending}"
        for name in ("sharpness", "distance", "divergence")
        for ending in ("pdf", "png")
    ),
}


def command(code: str = "from deeplinear.cli import main; main()") -> list[str]:
    return [sys.executable, "-W", "error", "-c", code]


def deeplinear(*arguments: str, columns: int | None = None, **environment: str):
    env = {**os.environ, **environment}
    env.pop("COLUMNS", None)
    if columns is not None:
        env["COLUMNS"] = str(columns)
    return subprocess.run(
        [*command(), *arguments], capture_output=True, text=True, encoding="utf-8", env=env,
        timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    out = tmp_path_factory.mktemp("results") / "new" / "folder"
    return out, deeplinear("reproduce", "plain", "--out", str(out), "--quick", "--seed", "2")


def test_version_and_help():
    assert deeplinear("--version").stdout == f"deeplinear {dl.__version__}\n"
    shown = deeplinear("--help")
    assert shown.returncode == 0
    assert "reproduce" in shown.stdout
    for option in ("--out", "--quick", "--seed", "--threads", "--dtype"):
        assert option in deeplinear("reproduce", "--help").stdout


def test_help_loads_no_heavy_packages():
    code = (
        "import sys; from deeplinear import commands; "
        "sys.exit(any(name in sys.modules for name in ('matplotlib', 'h5netcdf', 'scipy')))"
    )
    assert subprocess.run(command(code), check=False).returncode == 0


def test_a_quick_run_leaves_its_files(quick):
    out, result = quick
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert {path.name for path in out.iterdir()} == QUICK_FILES
    for name in QUICK_FILES:
        assert str(out / name) in result.stdout
    dataset = xr.load_dataset(out / "plain-quick.nc", engine="h5netcdf")
    assert dataset.attrs["seed"] == 2
    assert dataset.sizes["run"] == 160


def test_the_table_says_what_the_data_say(quick):
    out, result = quick
    dataset = xr.load_dataset(out / "plain-quick.nc", engine="h5netcdf")
    for name in (
        "sharpness_lower_bound",
        "small_scale_sharpness_bound",
        "critical_learning_rate",
    ):
        assert f"= {dataset.attrs[name]:.4g} " in result.stdout
    assert f"{dataset.attrs['simulation_seconds']:.2f} s of simulation" in result.stdout
    for rate in np.unique(dataset.learning_rate):
        runs = dataset.isel(run=dataset.learning_rate.values == rate)
        alive = runs.isel(run=runs.status.values != "diverged")
        final = alive.sharpness.sel(record="end").values
        expected = [
            f"{rate:g}", f"{2 / rate:.4g}", "32", str(int(runs.reached.sum())),
            str(32 - len(final)), f"{np.median(final):.4g}",
            f"{np.median(final[alive.scale.values == 0.25]):.4g}",
        ]  # fmt: skip
        row = re.search(rf"^ *{re.escape(expected[0])} .*$", result.stdout, re.MULTILINE)
        assert row is not None
        assert row.group().replace("*", " ").split() == expected
        assert ("*" in row.group()) == (rate > dataset.attrs["critical_learning_rate"])


def test_output_is_plain_text_that_fits(quick, tmp_path):
    _, result = quick
    assert "\x1b" not in result.stdout
    narrow = deeplinear("reproduce", "plain", "--out", str(tmp_path), "--quick", columns=40)
    assert narrow.returncode == 0
    table = narrow.stdout.partition("1/(La)")[2].partition("160 runs")[0]
    assert "…" not in table
    assert max(len(line) for line in table.splitlines()[1:]) <= 40
    assert re.search(r"32 runs\n", table)


def test_options_reach_the_simulation(tmp_path):
    arguments = ("--quick", "--dtype", "float32", "--threads", "1")
    result = deeplinear("reproduce", "plain", "--out", str(tmp_path), *arguments)
    assert result.returncode == 0, result.stderr
    dataset = xr.load_dataset(tmp_path / "plain-quick.nc", engine="h5netcdf")
    assert dataset.attrs["dtype"] == "float32"
    assert dataset.attrs["threads"] == 1
    assert dataset.attrs["seed"] == 0


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
    assert result.stderr == "deeplinear: NAME must be 'plain'; got 'fancy'.\n"


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
    code = f"import sys; sys.modules[{missing!r}] = None; from deeplinear.cli import main; main()"
    result = subprocess.run([*command(code), "--help"], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert result.stderr.count("\n") == 1
    assert "pip install 'deeplinear[all]'" in result.stderr


# Two learning rates, the second of which would take hours; it says how far it is.
LONG = """
import contextlib, dataclasses
from deeplinear import cli, presets, reproduce

@contextlib.contextmanager
def progress_bar(enabled, description):
    yield lambda share: print(repr(share), flush=True)

reproduce.progress_bar = progress_bar
presets.PRESETS = {"plain": dataclasses.replace(presets.PLAIN, training=(
    presets.Training(0.02, STEPS, 20), presets.Training(0.05, 10**9, 20)))}
cli.main()
"""


def interrupt(steps: int, out: str) -> tuple[int, float, str]:
    """Press Ctrl-C in the simulation that takes hours; code, seconds until the end, errors."""
    process = subprocess.Popen(
        [*command(LONG.replace("STEPS", str(steps))), "reproduce", "plain", "--out", out],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    first = steps / (steps + 10**9) if steps < 10**9 else 0
    emergency = threading.Timer(60, process.kill)
    emergency.start()
    try:
        assert process.stdout is not None
        reached = (line for line in process.stdout if float(line) >= first * (1 - 1e-9))
        for _ in zip(range(3), reached, strict=False):
            pass
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate()
        return process.returncode, time.monotonic() - start, stderr
    finally:
        emergency.cancel()
        process.kill()
        process.wait()


def test_ctrl_c_stops_at_once_and_keeps_finished_runs(tmp_path):
    code, seconds, stderr = interrupt(300, str(tmp_path))
    assert code == 130
    assert seconds < 10  # about one on a machine that does nothing else
    assert [path.name for path in tmp_path.iterdir()] == ["plain-partial.nc"]
    dataset = xr.load_dataset(tmp_path / "plain-partial.nc", engine="h5netcdf")
    finished = dataset.sizes["run"]
    rates = dataset.learning_rate.values
    assert (rates == 0.02).sum() == 200
    assert (dataset.status.values[rates == 0.05] == "diverged").all()
    assert set(dataset.scale.values[rates == 0.02]) == set(PLAIN.scales)
    assert stderr == (
        f"deeplinear: stopped; the {finished} of 400 runs that had finished are in "
        f"{tmp_path / 'plain-partial.nc'}.\n"
    )


def test_ctrl_c_before_a_run_has_finished_leaves_nothing(tmp_path):
    code, seconds, stderr = interrupt(10**9, str(tmp_path / "out"))
    assert code == 130
    assert seconds < 10
    assert stderr.startswith("deeplinear: stopped")
    assert stderr.count("\n") == 1
    assert "Traceback" not in stderr
