"""Sweeps in a store: the numbers of those in memory, by whoever works on them."""

from __future__ import annotations

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import deeplinear as dl
from deeplinear.machine import Machine
from deeplinear.store.drive import drive
from deeplinear.store.errors import StoreError
from deeplinear.store.executors import Here, workers_of
from deeplinear.store.opened_store import FAILED, opened
from deeplinear.store.repair import verify
from small_sweeps import NETWORK, RATES, RUNS, SCALES, SETTINGS, digests, landscape, same, sweep

pytestmark = pytest.mark.usefixtures("small_blocks")


def words(stored):
    return np.array(stored["status"].attrs["flag_meanings"].split())[stored["status"].values]


def test_a_store_has_the_numbers_of_memory(tmp_path):
    stored, dataset = sweep(tmp_path / "runs.zarr"), sweep()
    assert opened(tmp_path / "runs.zarr").blocks.count > 8
    assert same(stored, dataset)
    assert np.array_equal(words(stored), dataset["status"].values)
    assert {"completed", "diverged"} <= set(words(stored).flat)
    for name in ("scale", "learning_rate", "seed", "step", "layer"):
        assert np.array_equal(stored[name], dataset[name])
    assert stored["risk"].dims == dataset["risk"].dims


def test_cells_are_those_of_simulate(tmp_path):
    stored = sweep(tmp_path / "runs.zarr", keep_weights=True)
    rng = np.random.default_rng(0)
    for i, j, seed in zip(*(rng.integers(n, size=40) for n in (3, 3, 20)), strict=True):
        weights = dl.init.Gaussian(SCALES[i]).sample(NETWORK, int(seed))
        one = dl.simulate(
            landscape(), weights, dl.GradientDescent(RATES[j]), every=None, **SETTINGS
        )
        cell = stored.isel(scale=i, learning_rate=j, seed=seed)
        for name in ("risk", "layer_norm", "weights"):
            assert np.array_equal(cell[name], one[name].isel(run=0), equal_nan=True)


def test_whoever_works_writes_the_same_bytes(tmp_path):
    sweep(tmp_path / "here.zarr")
    sweep(tmp_path / "processes.zarr", executor="processes")
    with ThreadPoolExecutor(3) as pool:
        sweep(tmp_path / "threads.zarr", executor=pool, threads=1)
    expected = digests(tmp_path / "here.zarr")
    assert digests(tmp_path / "processes.zarr") == expected
    assert digests(tmp_path / "threads.zarr") == expected
    assert {path.name for path in tmp_path.iterdir()} == {
        "here.zarr",
        "processes.zarr",
        "threads.zarr",
    }


def test_every_missing_block_is_finished_and_no_other(tmp_path):
    path = tmp_path / "runs.zarr"
    sweep(path)
    expected, store = digests(path), opened(path)
    blocks = sorted(store.done())
    for index in blocks[::3]:
        store.unmark(index)
    before = {f: f.stat().st_mtime_ns for f in (path / "risk").glob("c.*")}
    assert len(store.done()) == len(blocks) - len(blocks[::3])
    ended = drive(store, Here())
    assert ended.complete
    assert ended.runs == sum(store.blocks.runs(index) for index in blocks[::3])
    written = {f for f in before if f.stat().st_mtime_ns != before[f]}
    assert len(written) == len(blocks[::3])
    assert digests(path) == expected


def test_a_budget_stops_and_the_next_call_goes_on(tmp_path):
    path = tmp_path / "runs.zarr"
    stored = sweep(path, budget=1e-9)
    assert not stored["status"].any()
    assert np.isnan(stored["risk"]).all()
    assert same(sweep(path, budget="2m"), sweep())


def test_another_description_is_refused_with_what_differs(tmp_path):
    path = tmp_path / "runs.zarr"
    sweep(path)
    before = digests(path)
    with pytest.raises(ValueError, match=r"differs in init\.scale\.$"):
        sweep(path, scales=(0.3, 0.5, 0.8999999999999999))
    with pytest.raises(ValueError, match=r"differs in every, record, steps\.$"):
        sweep(path, steps=41, every=1, record=("risk",))
    assert digests(path) == before


def test_it_opens_without_a_warning_during_and_after(tmp_path):
    path = tmp_path / "runs.zarr"
    code = f"import xarray; print(int((xarray.open_zarr({str(path)!r}).status > 0).sum()))"
    counts = []

    def look(progress):
        if len(counts) < 2 and progress.done in (1, progress.blocks):
            found = subprocess.run(
                [sys.executable, "-W", "error", "-c", code],
                capture_output=True,
                text=True,
                check=False,
            )
            assert found.returncode == 0, found.stderr
            counts.append(int(found.stdout))

    sweep(path, budget=1e-9)
    drive(opened(path), Here(), report=look)
    assert 0 < counts[0] < counts[1] == RUNS


def test_a_block_that_fails_is_listed_and_the_others_are_done(tmp_path, monkeypatch):
    from deeplinear.store import drive as driving
    from deeplinear.store import work as working

    path = tmp_path / "runs.zarr"
    sweep(path, budget=1e-9)
    planted = sorted(opened(path).blocks)[3]
    tried = []

    def work(where, index, *arguments):
        tried.append(index)
        if index == planted:
            raise ArithmeticError("planted")
        return working.work(where, index, *arguments)

    monkeypatch.setattr(driving, "work", work)
    with pytest.warns(RuntimeWarning, match=r"1 of \d+ blocks failed.*ArithmeticError: planted"):
        stored = sweep(path)
    store = opened(path)
    assert tried.count(planted) == 3
    assert store.failed() == {planted: "ArithmeticError: planted"}
    assert (stored["status"] == FAILED).sum() == store.blocks.runs(planted)
    assert stored["status"].attrs["flag_meanings"].split()[FAILED] == "failed"
    assert verify(store) == []
    monkeypatch.undo()
    again = sweep(path)
    assert same(again, sweep())
    assert opened(path).failed() == {}


def test_families_of_networks_and_data(tmp_path):
    family = dl.Landscapes(dl.Networks(depth=[2, 4]), dl.data.Gaussian(n=9, d=2, noise=[0.0, 0.5]))
    arguments = (family, dl.init.Gaussian(0.4), dl.GradientDescent([0.05, 0.1]))
    settings = {"seeds": 11, "progress": False, **SETTINGS}
    dataset = dl.sweep(*arguments, **settings)
    stored = dl.sweep(*arguments, **settings, store=tmp_path / "runs.zarr")
    assert stored["risk"].dims[:4] == ("noise", "depth", "learning_rate", "seed")
    assert same(stored, dataset)


def test_own_data_travel_with_the_store(tmp_path):
    path = tmp_path / "runs.zarr"
    sweep(path)
    with xr.open_zarr(path, group="problem", chunks=None) as problem:
        assert np.array_equal(problem["X"], landscape().regression.X)
        assert np.array_equal(problem["y_test"], landscape().regression.y_test)


def test_an_address_is_a_store(tmp_path):
    pytest.importorskip("fsspec")
    address = f"memory://{tmp_path.name}/runs.zarr"
    sweep(address, budget=1e-9)
    assert opened(address).done() == set()
    assert same(sweep(address), sweep())
    assert len(opened(address).done()) == opened(address).blocks.count
    with pytest.raises(ValueError, match="differs in steps"):
        sweep(address, steps=3)


def test_a_store_of_zarr_is_a_store():
    from zarr.storage import MemoryStore

    memory = MemoryStore()
    assert same(sweep(memory), sweep())
    assert verify(opened(memory)) == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"executor": "threads"}, "executor must be None, 'processes'.* got 'threads'"),
        ({"executor": 3}, "executor must be None, 'processes'.* got 3"),
        ({"budget": "3 weeks"}, "budget must be seconds, or a text .* got '3 weeks'"),
        ({"budget": 0}, "budget must be"),
        ({"budget": "0h"}, "budget must be"),
        ({"store": 7}, "store must be a path, an address or a store of zarr; got 7"),
        ({"store": ""}, "store must"),
        ({"record": [lambda weights: 0.0]}, "record must hold functions|record must hold names"),
        ({"store": None, "executor": "processes"}, "executor must be None where no store is given"),
        ({"store": None, "budget": 3}, "budget must be None where no store is given"),
    ],
)
def test_bad_arguments_of_stores(tmp_path, options, sentence):
    with pytest.raises((TypeError, ValueError), match=sentence):
        sweep(**{"store": tmp_path / "runs.zarr", **options})
    assert not list(tmp_path.iterdir())


def test_a_law_of_ones_own_has_no_words(tmp_path):
    class Own(dl.init.Initialization):
        def sample(self, network, seed):
            return dl.init.Gaussian(0.5).sample(network, seed)

    with pytest.raises(TypeError, match=r"init must be one of Gaussian, .* to be written down"):
        dl.sweep(
            landscape(),
            Own(),
            dl.GradientDescent(0.1),
            seeds=2,
            steps=3,
            store=tmp_path / "runs.zarr",
        )
    assert not list(tmp_path.iterdir())


def test_what_is_there_and_no_store(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="store must be a new folder, or that of a sweep"):
        sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(StoreError, match="is none, or not there"):
        opened(tmp_path / "nowhere.zarr")
    assert not Path(tmp_path / "nowhere.zarr").exists()


def test_a_task_is_small_on_its_way(tmp_path):
    sweep(tmp_path / "runs.zarr", budget=1e-9)
    sent = []

    class Noted(ThreadPoolExecutor):
        def submit(self, function, *arguments):
            sent.append(len(pickle.dumps((function, arguments))))
            return super().submit(function, *arguments)

    with Noted(2) as pool:
        sweep(tmp_path / "runs.zarr", executor=pool)
    assert len(sent) > 8
    assert max(sent) < 1024


def test_who_works():
    assert workers_of(None).machine.threads is None
    with ThreadPoolExecutor(3) as pool:
        assert (workers_of(pool).count(), workers_of(pool).machine.threads) == (3, 1)
        machine = Machine(2, "cuda")
        assert workers_of(pool, machine).machine == machine


def test_a_file_travels_with_the_store(tmp_path):
    regression = landscape().regression
    for name in ("here.npz", "there.npz"):
        np.savez(tmp_path / name, X=regression.X, y=regression.y)

    def run(name, **options):
        family = dl.Landscapes(NETWORK, dl.data.File(str(tmp_path / name)))
        law, dynamics = dl.init.Gaussian(list(SCALES)), dl.GradientDescent(list(RATES))
        settings = {"seeds": 20, "progress": False, **SETTINGS, **options}
        return dl.sweep(family, law, dynamics, store=tmp_path / "runs.zarr", **settings)

    run("here.npz", budget=1e-9)
    (tmp_path / "here.npz").unlink()
    assert drive(opened(tmp_path / "runs.zarr"), Here()).complete  # as a worker elsewhere
    assert same(run("there.npz"), sweep())
    np.savez(tmp_path / "there.npz", X=regression.X, y=regression.y + 1)
    with pytest.raises(ValueError, match=r"differs in data\.sha256\.$"):
        run("there.npz")


def test_records_of_steps_that_differ_are_refused_first(tmp_path):
    flows = dl.GradientFlow("rk4", step=[0.01, 0.02])
    law, settings = dl.init.Gaussian(0.5), {"seeds": 2, "time": 1.0, "every": 5}
    with pytest.raises(ValueError, match="every must be None where the runs have different steps"):
        dl.sweep(landscape(), law, flows, store=tmp_path / "runs.zarr", **settings)
    assert not list(tmp_path.iterdir())
