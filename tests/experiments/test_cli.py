"""The command line, as a person types it."""

import dataclasses
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
from deeplinear.experiments import run as reproduce
from deeplinear.experiments.library import PLAIN, PRESETS
from deeplinear.experiments.preset import Training
from deeplinear.experiments.toml import parse_preset, to_toml

QUICK_FILES = {
    "plain-quick.nc",
    *(
        f"plain-quick-{name}.{ending}"
        for name in ("sharpness", "distance", "divergence")
        for ending in ("pdf", "png", "svg")
    ),
    "index.html",
}


MAIN = "from deeplinear.experiments.cli.entry import main; main()"


def command(code: str = MAIN) -> list[str]:
    return [sys.executable, "-W", "error", "-c", code]


def deeplinear(*arguments: str, columns: int | None = None, code: str = MAIN):
    env = dict(os.environ)
    env.pop("COLUMNS", None)
    if columns is not None:
        env["COLUMNS"] = str(columns)
    return subprocess.run(
        [*command(code), *arguments], capture_output=True, text=True, encoding="utf-8", env=env,
        timeout=120, check=False,
    )  # fmt: skip


# Figures take long and are tested elsewhere.
NO_FIGURES = """
from deeplinear.experiments.cli import entry as cli
from deeplinear.experiments import figures
from deeplinear.experiments import library as presets
from deeplinear.experiments import report
figures.draw = lambda dataset, directory: []
report.write = lambda directory: directory
"""
FEW = """
presets.PRESETS = {name: presets.PRESETS[name].quick()
                   for name in ("plain-curves", "residual-curves", "tightness")}
"""


def bare(*arguments: str, columns: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run without figures."""
    return deeplinear(*arguments, columns=columns, code=f"{NO_FIGURES}cli.main()")


def few(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run with three small presets, and without figures."""
    return deeplinear(*arguments, code=f"{NO_FIGURES}{FEW}cli.main()")


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    out = tmp_path_factory.mktemp("results") / "new" / "folder"
    return out, deeplinear("reproduce", "plain", "--out", str(out), "--quick", "--seed", "2")


def test_version_and_help():
    assert deeplinear("--version").stdout == f"deeplinear {dl.__version__}\n"
    shown = deeplinear("--help")
    assert shown.returncode == 0
    for name in ("reproduce", "run", "show"):
        assert name in shown.stdout
    for name in ("reproduce", "run"):
        text = deeplinear(name, "--help").stdout
        for option in ("--out", "--quick", "--seed", "--threads", "--dtype", "--replace"):
            assert option in text


def test_help_loads_no_heavy_packages():
    code = (
        "import sys; from deeplinear.experiments.cli import commands; "
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
        assert f"= {float(dataset[name][0]):.4g} " in result.stdout
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
        assert ("*" in row.group()) == (rate > float(dataset.critical_learning_rate[0]))


def test_output_is_plain_text_that_fits(quick, tmp_path):
    _, result = quick
    assert "\x1b" not in result.stdout
    narrow = bare("reproduce", "plain", "--out", str(tmp_path), "--quick", columns=40)
    assert narrow.returncode == 0
    table = narrow.stdout.partition("1/(La)")[2].partition("160 runs")[0]
    assert "…" not in table
    assert max(len(line) for line in table.splitlines()[1:]) <= 40
    assert re.search(r"32 runs\n", table)


def test_options_reach_the_simulation(tmp_path):
    arguments = ("--quick", "--dtype", "float32", "--threads", "1")
    result = bare("reproduce", "plain", "--out", str(tmp_path), *arguments)
    assert result.returncode == 0, result.stderr
    dataset = xr.load_dataset(tmp_path / "plain-quick.nc", engine="h5netcdf")
    assert dataset.attrs["dtype"] == "float32"
    assert dataset.attrs["threads"] == 1
    assert dataset.attrs["seed"] == 0


def test_what_is_there_is_not_run_again(quick):
    out, first = quick
    file = out / "plain-quick.nc"
    before = file.stat().st_mtime_ns
    arguments = ("reproduce", "plain", "--out", str(out), "--quick", "--seed", "2")
    again = deeplinear(*arguments)
    assert again.returncode == 0, again.stderr
    head, _, rest = again.stdout.partition("\n")
    assert head == f"plain-quick is in {file} with these settings, and is not run again."
    assert rest == first.stdout
    assert file.stat().st_mtime_ns == before
    assert {path.name for path in out.iterdir()} == QUICK_FILES


def test_data_of_other_settings_are_replaced_on_demand_alone(tmp_path):
    preset = dataclasses.replace(PRESETS["plain-curves"].quick(), seed=3)
    file = reproduce.save(reproduce.run(preset, progress=False), tmp_path)
    before = file.read_bytes()
    arguments = ("reproduce", "plain-curves", "--out", str(tmp_path), "--quick")
    refused = bare(*arguments)
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert refused.stderr == (
        f"deeplinear: --out is in use: {file} holds seed 3, not 0; --replace replaces it.\n"
    )
    assert file.read_bytes() == before
    replaced = bare(*arguments, "--replace")
    assert replaced.returncode == 0, replaced.stderr
    assert f"{file}, of other settings, was replaced." in replaced.stdout
    assert xr.load_dataset(file, engine="h5netcdf").attrs["seed"] == 0


def test_runs_that_a_stop_had_saved_go_when_the_experiment_is_complete(tmp_path):
    preset = PRESETS["plain-curves"].quick()
    part = reproduce.run(preset, progress=False).isel(run=[0])
    mine = reproduce.save(part, tmp_path, "plain-curves-quick-partial")
    assert bare(*CURVES, "--out", str(tmp_path)).returncode == 0
    assert not mine.exists()
    other = reproduce.save(part.assign_attrs(seed=7), tmp_path, "plain-curves-quick-partial")
    assert bare(*CURVES, "--out", str(tmp_path), "--replace").returncode == 0
    assert other.exists()


CURVES = ("reproduce", "plain-curves", "--quick")


def test_all_continues_where_it_was_stopped_and_ends_with_a_table(tmp_path):
    assert few("reproduce", "plain-curves", "--out", str(tmp_path)).returncode == 0
    result = few("reproduce", "all", "--out", str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("is not run again") == 1
    names = ["plain-curves-quick", "residual-curves-quick", "tightness-quick"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{name}.nc" for name in names]
    table = result.stdout.rpartition("experiment ")[2].splitlines()
    rows = [line.split() for line in table if line.strip() and "─" not in line][1:]
    assert [row[0] for row in rows] == [*names, "3"]
    assert [row[-3] for row in rows] == ["2", "2", "48", "52"]
    seconds = [float(row[-1]) for row in rows]
    assert seconds[-1] == pytest.approx(sum(seconds[:-1]), abs=0.02)


def test_all_is_refused_as_a_whole(tmp_path):
    (tmp_path / "tightness-quick.nc").write_text("mine")
    result = few("reproduce", "all", "--out", str(tmp_path))
    assert result.returncode == 2
    assert "tightness-quick.nc holds no data of this program; --replace" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["tightness-quick.nc"]


def test_a_preset_that_was_shown_and_changed_runs(tmp_path):
    shown = deeplinear("show", "residual")
    assert shown.returncode == 0
    assert parse_preset(shown.stdout) == PRESETS["residual"]
    preset = dataclasses.replace(
        PRESETS["residual"].quick(), name="mine", title="my title", figures=("distance",)
    )
    file = tmp_path / "mine.toml"
    file.write_text(to_toml(preset), encoding="utf-8")
    out = tmp_path / "out"
    result = deeplinear("run", str(file), "--out", str(out), "--seed", "5")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("my title: n = 50, d = 5, L = 10, seed 5\n")
    dataset = xr.load_dataset(out / "mine.nc", engine="h5netcdf")
    assert parse_preset(dataset.attrs["preset"]) == dataclasses.replace(preset, seed=5)
    assert {"mine.nc", "mine-distance.pdf"} <= {path.name for path in out.iterdir()}
    assert not (out / "mine-sharpness.pdf").exists()


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


# Two learning rates, the second of which would take hours; it says how far it is.
LONG = """
import contextlib, dataclasses
from deeplinear import GradientDescent
from deeplinear.experiments.cli import entry as cli
from deeplinear.experiments import library as presets
from deeplinear.experiments import run as reproduce
from deeplinear.experiments.preset import Training

@contextlib.contextmanager
def progress_bar(enabled, description):
    yield lambda share: print(repr(share), flush=True)

reproduce.progress_bar = progress_bar
presets.PRESETS = {"plain": dataclasses.replace(presets.PLAIN, training=(
    Training(GradientDescent(0.02), 20, steps=STEPS),
    Training(GradientDescent(0.05), 20, steps=10**9)))}
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
