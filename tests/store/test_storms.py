"""Sweeps whose drivers and workers are killed, and workers that all go away."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import deeplinear as dl
import storm_driver
from deeplinear.store.opened_store import opened
from small_sweeps import digests

#: Kills of drivers, and as many of workers; and seeds, which say how long a storm lasts.
KILLS = int(os.environ.get("DEEPLINEAR_STORM", "2"))
SEEDS = 100 * KILLS
FOLDER = Path(__file__).parent


def start(store, executor):
    paths = [str(FOLDER), *(path for path in sys.path if path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    line = [sys.executable, str(FOLDER / "storm_driver.py"), str(store), executor, str(SEEDS)]
    with errors_of(store).open("a") as errors:
        return subprocess.Popen(line, env=environment, stderr=errors)


def errors_of(store) -> Path:
    """What drivers write to standard error."""
    return Path(f"{store}.errors")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    store = tmp_path_factory.mktemp("undisturbed") / "runs.zarr"
    assert start(store, "processes").wait() == 0
    return digests(store)


@pytest.fixture
def cluster(monkeypatch):
    """A Dask cluster of two workers, which import what the tests do."""
    distributed = pytest.importorskip("distributed")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FOLDER), *filter(None, sys.path)]))
    options = {"processes": True, "dashboard_address": ":0", "silence_logs": "CRITICAL"}
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, **options) as cluster:
        yield cluster


def processes_of(cluster):
    found = (getattr(nanny.process, "pid", None) for nanny in cluster.workers.values())
    return [pid for pid in found if pid]


def kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def executions(store) -> int:
    return len(Path(f"{store}.executions").read_text().splitlines())


@pytest.mark.filterwarnings("ignore")  # Dask's, about workers that are gone
@pytest.mark.parametrize(("number", "drivers"), [(signal.SIGKILL, 1), (signal.SIGTERM, 2)])
def test_a_storm_leaves_the_same_bytes(tmp_path, undisturbed, cluster, number, drivers):
    store, rng = tmp_path / "runs.zarr", random.Random(1)
    address = cluster.scheduler_address
    running = [start(store, address) for _ in range(drivers)]
    killed, dead, begun = 0, 0, time.monotonic()
    while running:
        time.sleep(rng.uniform(0.2, 0.8))
        ended = [driver for driver in running if driver.poll() is not None]
        assert [driver.returncode for driver in ended] == [0] * len(ended), errors_of(
            store
        ).read_text()
        running = [driver for driver in running if driver not in ended]
        working = store.exists() and time.monotonic() - begun > 1.5
        if running and working and killed < KILLS:
            running[0].send_signal(number)
            running[0].wait(10)
            killed, begun = killed + 1, time.monotonic()
            running = [*running[1:], start(store, address)]
        if working and dead < KILLS:
            dead += kill(rng.choice(processes_of(cluster) or [2**22 + 1]))
    assert min(killed, dead) >= max(KILLS // 2, 1)  # a fast machine may be done before the last
    assert digests(store) == undisturbed
    count = opened(store).blocks.count
    assert count >= 50
    # Two drivers may begin a block each that the other is at, at the end.
    assert executions(store) <= count + killed + dead + 4 * (drivers - 1)
    _check_cells(store, rng)


def _check_cells(store, rng):
    dataset = dl.sweeps.run_sweep(opened(store).sweep, store=store)
    for _ in range(20 * KILLS // 2):
        i, j, seed = rng.randrange(5), rng.randrange(10), rng.randrange(SEEDS)
        weights = dl.init.Gaussian(storm_driver.SCALES[i]).sample(storm_driver.NETWORK, seed)
        one = dl.simulate(
            storm_driver.landscape(),
            weights,
            dl.GradientDescent(storm_driver.RATES[j]),
            steps=storm_driver.STEPS,
            record="risk",
            every=None,
        )
        cell = dataset.isel(scale=i, learning_rate=j, seed=seed)
        for name in ("risk", "weights"):
            assert np.array_equal(cell[name], one[name].isel(run=0), equal_nan=True)


def test_processes_that_are_killed_are_replaced(tmp_path, undisturbed):
    psutil = pytest.importorskip("psutil")
    store = tmp_path / "runs.zarr"
    driver = start(store, "processes")
    killed = 0
    while driver.poll() is None:
        time.sleep(0.3)
        if killed < KILLS and store.exists() and opened(store).done():
            workers = [
                child.pid
                for child in psutil.Process(driver.pid).children()
                if "spawn_main" in " ".join(child.cmdline())
            ]
            killed += any(map(kill, workers[-1:]))
    assert driver.returncode == 0, errors_of(store).read_text()
    assert killed
    assert digests(store) == undisturbed


@pytest.mark.parametrize(
    ("executor", "number"),
    [("here", signal.SIGTERM), ("processes", signal.SIGINT), ("processes", signal.SIGKILL)],
)
def test_a_driver_that_stops_leaves_no_process_and_a_store_to_go_on_with(
    tmp_path, undisturbed, executor, number
):
    psutil = pytest.importorskip("psutil")
    store = tmp_path / "runs.zarr"
    driver = start(store, executor)
    while not (store.exists() and opened(store).done()):
        time.sleep(0.05)
        assert driver.poll() is None, errors_of(store).read_text()
    children = psutil.Process(driver.pid).children(recursive=True)
    begun = time.monotonic()
    driver.send_signal(number)
    driver.wait(10)
    seconds = time.monotonic() - begun
    if number != signal.SIGKILL:
        assert "KeyboardInterrupt: stopped; the same call goes on" in errors_of(store).read_text()
    _, alive = psutil.wait_procs(children, timeout=5)
    assert not alive
    assert seconds < 10
    marked = opened(store).done()
    assert 0 < len(marked) < opened(store).blocks.count
    assert start(store, "here").wait() == 0
    assert digests(store) == undisturbed


@pytest.mark.filterwarnings("ignore")
def test_when_all_workers_are_gone_a_sentence_says_so(tmp_path, cluster, monkeypatch):
    from distributed import Client

    from deeplinear.store import drive
    from deeplinear.store.errors import NoWorkers

    monkeypatch.setattr(drive, "PATIENCE", 3.0)
    store = tmp_path / "runs.zarr"

    def end_all():
        while not (store.exists() and opened(store).done()):
            time.sleep(0.1)
        cluster.scale(0)

    ending = threading.Thread(target=end_all)
    ending.start()
    with (
        Client(cluster) as client,
        pytest.raises(NoWorkers, match=r"all workers are gone; .* goes on with the rest"),
    ):
        storm_driver.run(store, client, 4000)
    ending.join()
    assert 0 < len(opened(store).done()) < opened(store).blocks.count
