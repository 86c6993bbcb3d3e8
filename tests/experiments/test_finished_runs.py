"""Experiments that were stopped go on where they were, and lose nothing."""

import dataclasses
import errno
import fcntl
import signal
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import deeplinear as dl
from deeplinear.experiments import run as reproduce
from deeplinear.experiments.data import SpectralData
from deeplinear.experiments.library import PLAIN, PRESETS
from deeplinear.experiments.preset import Architecture, GaussianData, Preset, Training
from deeplinear.experiments.results import netcdf
from deeplinear.experiments.toml import to_toml

DESCENT = Training(dl.GradientDescent((0.01, 0.05)), runs=3, steps=60, every=20)
FLOW = Training(dl.GradientFlow("rk4", step=0.05), runs=2, time=2.0, scale=(0.3, 0.1))
# Weights of one depth are kept; records of several depths and parts are padded.
ONE_DEPTH = Preset(
    name="mine",
    title="one depth",
    data=GaussianData(n=20, d=3, noise=1.0),
    network=Architecture(depths=(4,)),
    init=dl.init.Gaussian((0.2, 0.4, 0.3)),
    training=(DESCENT, FLOW),
)
DEPTHS = dataclasses.replace(
    ONE_DEPTH,
    name="deep",
    data=SpectralData(n=20, d=3, condition=(1, 5), along=("top",)),
    network=Architecture("residual", depths=(3, 2)),
    init=dl.init.Residual((0.25, 0.0)),
    training=(FLOW, DESCENT),
    record=("risk", "layer_norm", "alignment"),
)
BOTH = [ONE_DEPTH, DEPTHS]


@cache
def whole(preset: Preset) -> xr.Dataset:
    return reproduce.run(preset, progress=False)


def stopped(preset: Preset, share: float, resume: xr.Dataset | None = None) -> xr.Dataset:
    """Run until a share of all work is done."""

    def stop(done: float) -> None:
        if done >= share:
            raise KeyboardInterrupt

    with pytest.raises(dl.Interrupted) as caught:
        reproduce.run(preset, progress=stop, resume=resume, threads=1)
    return caught.value.dataset


def assert_same_bits(one: xr.Dataset, other: xr.Dataset) -> None:
    assert one.variables.keys() == other.variables.keys()
    for name, variable in one.variables.items():
        assert variable.dims == other[name].dims
        assert variable.dtype == other[name].dtype
        assert variable.values.tobytes() == other[name].values.tobytes(), name
        assert variable.attrs == other[name].attrs
    assert one.attrs.keys() == other.attrs.keys()
    for name in one.attrs.keys() - {"simulation_seconds", "threads"}:
        np.testing.assert_array_equal(one.attrs[name], other.attrs[name])


@pytest.mark.parametrize("preset", BOTH, ids=lambda preset: preset.name)
@pytest.mark.parametrize("shares", [(0.1,), (0.8,), (0.1, 0.3, 0.35, 0.6)])
def test_the_runs_of_several_tries_are_those_of_one_to_the_bit(preset, shares, tmp_path):
    resume, count = None, -1
    for share in shares:
        part = stopped(preset, share, resume)
        assert part.sizes["run"] >= max(count, 0)
        count = part.sizes["run"]
        path = reproduce.keep(part, tmp_path)
        assert path.name == f"{preset.name}-partial.nc"
        resume = reproduce.unfinished(preset, tmp_path)
        assert resume is not None
        assert resume.sizes["run"] == count
    assert list(tmp_path.iterdir()) == [path]
    assert 0 < count <= preset.runs
    seconds = float(resume.attrs["simulation_seconds"])
    shown: list[float] = []
    dataset = reproduce.run(preset, progress=shown.append, resume=resume)
    assert_same_bits(dataset, whole(preset))
    assert dataset.attrs["simulation_seconds"] > seconds > 0
    assert shown == sorted(shown)
    assert shown[0] == 0 < shown[1]
    assert shown[-1] == 1


def test_runs_inside_a_block_are_not_run_again(monkeypatch):
    part = whole(ONE_DEPTH).isel(run=[0, 4, 17, 19])
    asked: list[dict[str, float]] = []
    sweep_runs = dl.sweep_runs

    def note(*arguments, runs, **options):
        asked.extend(runs)
        return sweep_runs(*arguments, runs=runs, **options)

    monkeypatch.setattr(dl, "sweep_runs", note)
    dataset = reproduce.run(ONE_DEPTH, progress=False, resume=part)
    assert len(asked) == ONE_DEPTH.runs - 4
    assert_same_bits(dataset, whole(ONE_DEPTH))
    asked.clear()
    assert_same_bits(reproduce.run(ONE_DEPTH, progress=False, resume=dataset), whole(ONE_DEPTH))
    assert asked == []


def test_eigenvalues_that_did_not_converge_count_once(monkeypatch, tmp_path):
    """Also those of runs that had not finished, which the core counts too."""
    sweep_runs = dl.sweep_runs

    def one_per_run(*arguments, runs, **options):
        try:
            dataset = sweep_runs(*arguments, runs=runs, **options)
        except dl.Interrupted as reason:
            reason.dataset["sharpness"].attrs["unconverged"] = len(runs)
            raise
        dataset["sharpness"].attrs["unconverged"] = len(runs)
        return dataset

    monkeypatch.setattr(dl, "sweep_runs", one_per_run)
    undisturbed = reproduce.run(ONE_DEPTH, progress=False)
    assert undisturbed["sharpness"].attrs["unconverged"] == ONE_DEPTH.runs
    resume, counts = None, [0]
    # The second stop comes before the runs of the first one are all there again.
    for share in (0.5, 0.05, 0.95):
        path = reproduce.keep(stopped(ONE_DEPTH, share, resume), tmp_path)
        resume = netcdf.load(path)
        counts.append(resume.sizes["run"])
    assert counts == sorted(counts)
    assert path.name == "mine-partial.nc"
    assert_same_bits(reproduce.run(ONE_DEPTH, progress=False, resume=resume), undisturbed)


def test_finished_runs_are_never_overwritten_by_fewer_or_by_others(tmp_path):
    large = whole(ONE_DEPTH).isel(run=slice(10))
    small = large.isel(run=[1, 3])
    other = dataclasses.replace(ONE_DEPTH, seed=5)
    names, files = [], []
    for dataset in (large, stopped(other, 0.5), small, large):
        files.append(reproduce.keep(dataset, tmp_path))
        names.append(files[-1].name)
    assert names == [
        "mine-partial.nc", "mine-partial-2.nc", "mine-partial-3.nc", "mine-partial.nc",
    ]  # fmt: skip
    found = reproduce.unfinished(ONE_DEPTH, tmp_path)
    assert found is not None
    assert found.sizes["run"] == large.sizes["run"]
    found = reproduce.unfinished(ONE_DEPTH, tmp_path, seed=5)
    assert found is not None
    assert found.attrs["seed"] == 5
    # What is damaged is left as it is too.
    content = bytearray(files[0].read_bytes())
    content[3000] ^= 4
    files[0].write_bytes(content)
    assert reproduce.keep(large, tmp_path) == files[2]
    assert files[0].read_bytes() == content
    found = reproduce.unfinished(ONE_DEPTH, tmp_path)
    assert found is not None
    assert found.sizes["run"] == large.sizes["run"]


def test_experiments_that_stop_at_once_keep_the_runs_of_each(tmp_path):
    """Four of other settings, and one that holds the runs of a file that is there."""
    large = whole(ONE_DEPTH).isel(run=slice(10))
    pieces = [large.assign_attrs(seed=seed) for seed in (5, 6, 7, 8)]
    for attempt in range(10):
        folder = tmp_path / str(attempt)
        reproduce.keep(large.isel(run=[1, 3]), folder)
        barrier = threading.Barrier(5)

        def keep(dataset, folder=folder, barrier=barrier):
            barrier.wait()
            reproduce.keep(dataset, folder)

        threads = [threading.Thread(target=keep, args=(piece,)) for piece in (*pieces, large)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = [netcdf.load(path) for path in folder.iterdir()]
        assert sorted(int(data.attrs["seed"]) for data in found) == [0, 5, 6, 7, 8]
        assert {data.sizes["run"] for data in found} == {10}


def test_where_a_directory_has_no_lock_no_file_is_replaced(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fail)
    large = whole(ONE_DEPTH).isel(run=slice(10))
    names = [reproduce.keep(large, tmp_path).name for _ in range(3)]
    assert names == ["mine-partial.nc", "mine-partial-2.nc", "mine-partial-3.nc"]


# Data of another seed take the name while the experiment runs, as argument 1 says.
OVERTAKEN = """
import sys
from deeplinear.experiments.cli import entry as cli
from deeplinear.experiments import figures
from deeplinear.experiments import report
from deeplinear.experiments import run as reproduce
figures.draw = lambda dataset, directory: []
report.write = lambda directory: directory
run, seed = reproduce.run, int(sys.argv.pop(1))

def overtaken(preset, **options):
    dataset = run(preset, **options)
    reproduce.save(run(preset, seed=seed, progress=False), sys.argv[-1])
    return dataset

if seed >= 0:
    reproduce.run = overtaken
cli.main()
"""


def test_data_that_came_meanwhile_are_replaced_on_demand_alone(tmp_path):
    preset = PRESETS["plain-curves"].quick()
    path, beside = (tmp_path / f"{preset.name}{end}.nc" for end in ("", "-partial"))

    def seeds():
        return {file.name: int(netcdf.load(file).attrs["seed"]) for file in tmp_path.iterdir()}

    def reproduced(seed, *options):
        arguments = ("reproduce", "plain-curves", "--quick", *options, "--out", str(tmp_path))
        line = [sys.executable, "-W", "error", "-c", OVERTAKEN, str(seed), *arguments]
        return subprocess.run(line, capture_output=True, text=True, check=False, timeout=120)

    result = reproduced(3)
    assert result.returncode == 1
    assert result.stderr == (
        f"deeplinear: --out is in use: {path} holds data of other settings, which came while "
        f"{preset.name} ran; its own are in {beside}, and with --replace they go there.\n"
    )
    assert seeds() == {path.name: 3, beside.name: 0}
    result = reproduced(-1, "--replace")
    assert result.returncode == 0, result.stderr
    assert seeds() == {path.name: 0}
    # of the same settings
    path.unlink()
    result = reproduced(0)
    assert result.returncode == 0, result.stderr
    assert seeds() == {path.name: 0}


def test_resume_must_hold_what_is_recorded(tmp_path):
    part = whole(ONE_DEPTH).isel(run=slice(4))
    for bad, words in (
        (part.drop_vars(["status", "sharpness"]), "status, sharpness"),
        (part.isel(run=0), "dimension run"),
        (part.isel(record=0), "time, step"),
    ):
        words = f"resume must hold what an experiment records; got no {words}"
        with pytest.raises(ValueError, match=words):
            reproduce.run(ONE_DEPTH, progress=False, resume=bad)
        reproduce.save(bad, tmp_path, "mine-partial")
        assert reproduce.unfinished(ONE_DEPTH, tmp_path) is None


@pytest.mark.parametrize("name", ["simd", "compiler", "deeplinear_version", "dtype", "preset"])
def test_runs_that_may_differ_in_a_bit_are_not_joined(name, tmp_path):
    part = stopped(ONE_DEPTH, 0.5).assign_attrs({name: "another"})
    reproduce.keep(part, tmp_path)
    assert reproduce.unfinished(ONE_DEPTH, tmp_path) is None
    with pytest.raises(ValueError, match="resume must hold runs of the same settings; got others"):
        reproduce.run(ONE_DEPTH, progress=False, resume=part)


def test_resume_takes_a_dataset():
    with pytest.raises(TypeError, match="resume must be of type Dataset; got 3"):
        reproduce.run(ONE_DEPTH, progress=False, resume=3)


def test_of_a_large_network_what_is_unfinished_is_kept_and_run_again(tmp_path):
    """Its weights after the last whole step are of use, but are no result."""
    preset = dataclasses.replace(
        ONE_DEPTH,
        data=GaussianData(n=20, d=100, noise=1.0),
        network=Architecture("residual", depths=(8,)),
        init=dl.init.Residual(0.1),
        training=(Training(dl.GradientDescent(1e-4), 2, steps=20_000, every=1000),),
        record=("risk",),
    )
    part = stopped(preset, 0.7)
    assert part.status.values.tolist() == ["completed", "unfinished"]
    reproduce.keep(part, tmp_path)
    again = stopped(preset, 0.5, reproduce.unfinished(preset, tmp_path))
    assert again.status.values.tolist() == ["completed", "unfinished"]
    assert again.last_step[1] == part.last_step[1] > 0
    assert_same_bits(
        reproduce.run(preset, progress=False, resume=reproduce.unfinished(preset, tmp_path)),
        reproduce.run(preset, progress=False),
    )


@pytest.mark.parametrize("name", ["long-partial", "long-Partial", "long-partial-2"])
def test_no_experiment_has_the_name_of_a_part_of_another(name):
    with pytest.raises(ValueError, match="name must not end with '-partial'"):
        dataclasses.replace(PLAIN, name=name)
    dataclasses.replace(PLAIN, name="partial-2-more")


# A signal comes at the share that argument 1 says, and again while the runs are saved where
# argument 2 says so; argument 3 is which.
STOPPING = """
import contextlib, functools, os, signal, sys
from deeplinear.experiments.cli import entry as cli
from deeplinear.experiments import figures
from deeplinear.experiments import report
from deeplinear.experiments import run as reproduce
stop, twice = float(sys.argv.pop(1)), sys.argv.pop(1) == "twice"
number = int(sys.argv.pop(1))
figures.draw = lambda dataset, directory: []
report.write = lambda directory: directory
replace, link = os.replace, os.link

@contextlib.contextmanager
def progress_bar(enabled, description):
    def update(share):
        if share >= stop:
            os.kill(os.getpid(), number)
    yield update

def interrupted(give_name, *names):
    global twice
    if twice:
        twice = False
        os.kill(os.getpid(), number)
    give_name(*names)

reproduce.progress_bar = progress_bar
os.replace = functools.partial(interrupted, replace)
os.link = functools.partial(interrupted, link)
cli.main()
"""


def command(
    folder: Path, stop: float, presses: str, number: int = signal.SIGINT, preset: str = "plain"
) -> subprocess.CompletedProcess[str]:
    what = ("run", preset) if preset.endswith(".toml") else ("reproduce", preset)
    arguments = (*what, "--quick", "--threads", "1", "--out", str(folder))
    code = [sys.executable, "-W", "error", "-c", STOPPING, str(stop), presses, str(int(number))]
    return subprocess.run(
        [*code, *arguments], capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.parametrize(
    ("presses", "number", "command_name"),
    [
        ("once", signal.SIGINT, "reproduce"),
        ("twice", signal.SIGINT, "reproduce"),
        ("once", signal.SIGTERM, "reproduce"),
        ("once", signal.SIGINT, "run"),
        ("once", signal.SIGTERM, "run"),
    ],
)
def test_the_next_run_goes_on_where_the_last_one_was(presses, number, command_name, tmp_path):
    preset, out = "plain", tmp_path / "out"
    if command_name == "run":
        preset = str(tmp_path / "mine.toml")
        Path(preset).write_text(to_toml(PLAIN), encoding="utf-8")
    path = out / "plain-quick-partial.nc"
    first = command(out, 0.3, presses, number, preset)
    assert first.returncode == 128 + number
    assert first.stderr.splitlines()[-1].startswith("deeplinear: stopped")
    assert list(out.iterdir()) == [path], first.stderr
    count = netcdf.load(path).sizes["run"]
    assert 0 < count < 160
    last = command(out, 2, "once", number, preset)
    assert (last.returncode, last.stderr) == (0, "")
    assert last.stdout.startswith(f"{count} of 160 runs of plain-quick had finished when it was ")
    assert [file.name for file in out.iterdir()] == ["plain-quick.nc"]
    dataset = netcdf.load(out / "plain-quick.nc")
    undisturbed = reproduce.run(PLAIN.quick(), progress=False)
    for name in ("weights", "sharpness", "status", "scale", "seed"):
        np.testing.assert_array_equal(dataset[name], undisturbed[name])


def test_a_run_that_completes_keeps_what_it_saved_through_ctrl_c(tmp_path):
    result = command(tmp_path, 2, "twice")
    assert result.returncode == 130
    assert result.stderr.count("\n") == 1
    assert netcdf.verify(tmp_path) == {"plain-quick.nc": "ok"}
