"""The commands: what they run, leave and print."""

import dataclasses
import re
import subprocess

import numpy as np
import pytest
import xarray as xr

import deeplinear as dl
from command_line import bare, command, deeplinear, few
from deeplinear.experiments import run as reproduce
from deeplinear.experiments.library import PRESETS
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


CURVES = ("reproduce", "plain-curves", "--quick")


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
        "heavy = ('matplotlib', 'h5netcdf', 'scipy', 'jinja2', 'tomlkit'); "
        "sys.exit(any(name in sys.modules for name in heavy))"
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
