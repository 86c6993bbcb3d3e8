"""``deeplinear sweep`` and ``work``: the same bytes by whoever works, and how they end."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import signal
import sys
import time
from concurrent.futures import Future
from pathlib import Path

import pytest

from deeplinear.store import drive as driving
from deeplinear.store import work as working
from deeplinear.store.opened_store import opened
from deeplinear.wording import words_of
from small_sweeps import digests
from sweep_commands import RUNS, TEXT, command, deeplinear, left, made, started, written

pytestmark = pytest.mark.usefixtures("small_blocks")


@pytest.fixture
def expected(tmp_path):
    """The files of a store that this process has finished."""
    path = made(tmp_path, "expected.zarr")
    assert deeplinear("sweep", tmp_path / "sweep.toml", "--store", path)[0] == 0
    assert left(path) == 0
    return digests(path)


def test_processes_and_dask_write_the_same_bytes(tmp_path, expected, monkeypatch):
    distributed = pytest.importorskip("distributed")
    path, file = made(tmp_path, "processes.zarr"), tmp_path / "sweep.toml"
    code, out, err = deeplinear("sweep", file, "--store", path, "--processes", 2)
    count = opened(path).blocks.count
    assert (code, err) == (0, "")
    assert out.startswith(f"{count} of {count} blocks are done; {RUNS} runs in ")
    assert digests(path) == expected
    path = made(tmp_path, "dask.zarr")
    monkeypatch.setenv("PYTHONPATH", ":".join(filter(None, sys.path)))
    options = {"processes": True, "dashboard_address": ":0", "silence_logs": "CRITICAL"}
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, **options) as cluster:
        address = cluster.scheduler_address
        assert deeplinear("sweep", file, "--store", path, "--dask", address)[0] == 0
    assert digests(path) == expected


def mpiexec() -> str | None:
    beside = Path(sys.executable).with_name("mpiexec")
    return str(beside) if beside.exists() else shutil.which("mpiexec")


@pytest.mark.skipif(mpiexec() is None, reason="mpiexec is not here")
def test_the_ranks_of_mpi_write_the_same_bytes(tmp_path, expected):
    pytest.importorskip("mpi4py")
    path, file = made(tmp_path, "mpi.zarr"), tmp_path / "sweep.toml"
    module = ["-m", "mpi4py.futures", "-m", "deeplinear"]
    line = [mpiexec(), "--oversubscribe", "-n", "3", sys.executable, *module]
    allowed = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    process = started([*line, "sweep", str(file), "--store", path, "--mpi"], **allowed)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert f"blocks are done; {RUNS} runs in " in out
    assert digests(path) == expected


def test_mpi_has_to_start_the_program(tmp_path):
    pytest.importorskip("mpi4py")
    path, file = made(tmp_path, "runs.zarr"), tmp_path / "sweep.toml"
    code, out, err = deeplinear("sweep", file, "--store", path, "--mpi")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(
        "deeplinear: MPI must start the program, by 'mpiexec -n N python -m mpi4py"
    )


def test_two_that_work_at_once_write_the_same_bytes(tmp_path, expected):
    path = made(tmp_path, "work.zarr")
    lines = [command("work", path, "--log", tmp_path / "log.jsonl")] * 2
    both = [started(line, SLURM_ARRAY_TASK_ID=str(i)) for i, line in enumerate(lines)]
    ends = [(*process.communicate(timeout=120), process.returncode) for process in both]
    assert [end[1:] for end in ends] == [("", 0)] * 2
    assert digests(path) == expected
    store = opened(path)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert {tuple(entry["index"]) for entry in log} == set(store.blocks)
    for entry in log:
        assert entry["runs"] == store.blocks.runs(tuple(entry["index"]))
        assert entry["seconds"] > 0
        assert entry["host"]
    numbers = [
        "".join(filter(str.isdigit, end[0].partition("; ")[2].split(" in ")[0])) for end in ends
    ]
    assert sum(int(number or 0) for number in numbers) == sum(entry["runs"] for entry in log)


def test_tasks_of_an_array_begin_elsewhere(monkeypatch):
    from deeplinear.experiments.cli.driving import _place

    for name in ("SLURM_ARRAY_TASK_ID", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    own = _place()
    assert own == _place()
    places = {own}
    for task in range(3):
        monkeypatch.setenv("SLURM_ARRAY_TASK_ID", str(task))
        for process in range(2):
            monkeypatch.setenv("SLURM_PROCID", str(process))
            places.add(_place())
    assert len(places) == 7


def test_a_budget_that_is_over_can_be_gone_on_with(tmp_path, expected):
    path, file = made(tmp_path, "runs.zarr"), tmp_path / "sweep.toml"
    code, out, err = deeplinear("sweep", file, "--store", path, "--budget", "0.000001s")
    count = opened(path).blocks.count
    assert (code, out) == (3, "")
    assert err == (
        f"deeplinear: the budget is over; 0 of {count} blocks are done, and the same command goes "
        "on with the rest.\n"
    )
    assert deeplinear("work", path, "--budget", "1h", "--threads", 1)[0] == 0
    assert digests(path) == expected


def test_a_log_that_is_full_ends_with_a_sentence(tmp_path):
    path = made(tmp_path, "runs.zarr")
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    (tmp_path / "log.jsonl").symlink_to("/dev/full")
    code, out, err = deeplinear("work", path, "--log", tmp_path / "log.jsonl")
    assert (code, out) == (1, "")
    log = tmp_path / "log.jsonl"
    assert err.startswith(f"deeplinear: {log} could not be written: No space left on device; 1 of ")
    assert deeplinear("work", path)[0] == 0


def test_blocks_that_fail_are_told_and_the_others_done(tmp_path, expected, monkeypatch):
    path, file = made(tmp_path, "runs.zarr"), tmp_path / "sweep.toml"
    planted = sorted(opened(path).blocks)[1]

    def work(where, index, *arguments):
        if index == planted:
            raise ArithmeticError("planted")
        return working.work(where, index, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(driving, "work", work)
        log = tmp_path / "log.jsonl"
        code, out, err = deeplinear("sweep", file, "--store", path, "--log", log)
    count = opened(path).blocks.count
    assert (code, out) == (4, "")
    assert err.startswith(
        f"deeplinear: {count - 1} of {count} blocks are done, 1 failed; the first,"
    )
    assert "ArithmeticError: planted" in err
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    (told,) = [entry for entry in entries if "error" in entry]
    assert (tuple(told["index"]), told["error"]) == (planted, "ArithmeticError: planted")
    code, out, err = deeplinear("status", path)
    assert (code, err) == (4, "deeplinear: 1 block failed.\n")
    assert out.startswith(f"{count - 1} of {count} blocks are done, 1 failed; ")
    assert f"  block {planted} failed: ArithmeticError: planted\n" in out
    assert deeplinear("sweep", file, "--store", path)[0] == 0
    assert {k: v for k, v in digests(path).items() if "error" not in k} == {
        k: v for k, v in expected.items() if "error" not in k
    }


def test_a_scheduler_that_is_not_there(tmp_path):
    dask = pytest.importorskip("dask")
    importlib.import_module("distributed")
    path, file = made(tmp_path, "runs.zarr"), tmp_path / "sweep.toml"
    with dask.config.set({"distributed.comm.timeouts.connect": "0.5s"}):
        code, out, err = deeplinear("sweep", file, "--store", path, "--dask", "tcp://127.0.0.1:1")
    assert (code, out, err.count("\n")) == (6, "", 1)
    assert err.startswith("deeplinear: --dask tcp://127.0.0.1:1 could not be reached: ")


def test_when_all_who_work_are_gone(tmp_path, monkeypatch):
    path, file = made(tmp_path, "runs.zarr"), tmp_path / "sweep.toml"
    monkeypatch.setattr(driving, "PATIENCE_AT_START", 0.0)
    monkeypatch.setattr(driving, "_TICK", 0.01)
    gone = "deeplinear.store.executors.Processes"
    monkeypatch.setattr(f"{gone}.count", lambda workers: 0)
    monkeypatch.setattr(f"{gone}.submit", lambda workers, *task: Future())
    code, out, err = deeplinear("sweep", file, "--store", path, "--processes", 1)
    assert (code, out, err.count("\n")) == (6, "", 1)
    assert err.startswith("deeplinear: all workers are gone; what is finished is in the store")


LONG = TEXT.replace("steps = 40\nevery = 20\n", "steps = 1_000_000\n").replace("20", "4000", 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_leave_a_store_to_go_on_with(tmp_path, number):
    file, path = written(tmp_path, LONG), tmp_path / "runs.zarr"
    processes = ["--processes", "1"] if number == signal.SIGTERM else []
    process = started(command("sweep", file, "--store", path, "--threads", 1, *processes))
    try:
        end = time.monotonic() + 60
        while not list((path / "status").glob("c.*")) and time.monotonic() < end:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, out) == (128 + number, "")
    assert err.startswith("deeplinear: stopped; ")
    assert err.endswith(" blocks are done, and the same command goes on with the rest.\n")
    store = opened(path)
    assert 0 < len(store.done()) < store.blocks.count
    assert deeplinear("status", path)[0] == 3


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ((), 2, "--store must say where the runs are kept; got nothing."),
        (("--store", "x.zarr", "--mpi", "--processes", "2"), 2, "one of --processes, --dask and "),
        (("--store", "x.zarr", "--processes", "0"), 2, "--processes must be a positive integer"),
        (("--store", "x.zarr", "--threads", "0"), 2, "--threads must be a positive integer; got"),
        (("--store", "x.zarr", "--budget", "3x"), 2, "budget must be seconds, or a text such as"),
        (("--store", "x.zarr", "--dask", "here"), 2, "--dask must be the address of a scheduler"),
        (("--store", "x.zarr", "--log", "x.zarr/l"), 2, "--log must lie outside of the store; "),
        (("--store", "x.zarr", "--log", "no/l"), 2, "--log must be a file in a directory that is"),
    ],
)
def test_arguments_of_sweep(tmp_path, monkeypatch, arguments, code, sentence):
    monkeypatch.chdir(tmp_path)
    ended, out, err = deeplinear("sweep", written(tmp_path), *arguments)
    assert (ended, out, err.count("\n")) == (code, "", 1)
    assert err.startswith(f"deeplinear: {sentence}")
    assert "--log" in arguments or not (tmp_path / "x.zarr").exists()


def test_another_sweep_and_another_store(tmp_path):
    path, file = made(tmp_path, "runs.zarr"), tmp_path / "sweep.toml"
    file.write_text(TEXT.replace("d = 3", "d = 2"))
    code, _, err = deeplinear("sweep", file, "--store", path)
    assert (code, err.count("\n")) == (2, 1)
    assert err.endswith("is of another, which differs in data.d.\n")
    for arguments in (
        ("work", tmp_path / "none.zarr"),
        ("status", tmp_path / "none.zarr"),
        ("export", tmp_path / "none.zarr", "--parquet", tmp_path / "x.parquet"),
        ("plot", tmp_path / "none.zarr", "--out", tmp_path),
    ):
        code, out, err = deeplinear(*arguments)
        assert (code, out, err.count("\n")) == (5, "", 1)
        assert err.startswith("deeplinear: store must be that of a sweep; ")


@pytest.mark.parametrize("name", ["sweep", "work", "status"])
def test_the_help_says_how_commands_end(name):
    code, out, _ = deeplinear(name, "--help")
    told = " ".join(out.split())
    assert code == 0
    assert "The exit status is 0 where all blocks are done, 1 for an error, 2 for a wrong" in told
    for status, case in (
        (3, "left" if name == "status" else "budget"),
        (4, "failed"),
        (5, "store"),
    ):
        assert re.search(rf", (and )?{status} where [^,]*{case}", told)


def test_a_dry_run_makes_nothing(tmp_path):
    code, out, err = deeplinear("sweep", written(tmp_path), "--dry-run")
    assert (code, err) == (0, "")
    lines = dict(line.split(None, 1) for line in out.splitlines())
    assert lines["dimensions"] == "noise 2, learning_rate 3, seed 20"
    assert lines["runs"] == str(RUNS)
    count, shape = lines["blocks"].split(", of ")
    assert int(count) > 4
    assert shape.endswith(" runs")
    # risk and three norms of three records, steps, a layer and a status
    assert lines["store"] == f"at most {RUNS * (4 * 3 * 8 + 8 + 4 + 1) / 1000:.4g} KB"
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.toml"]


def test_a_part_of_a_preset_is_a_sweep(tmp_path):
    from deeplinear.experiments.library import PRESETS
    from deeplinear.experiments.toml import to_toml

    preset = PRESETS["plain"].quick()
    (tmp_path / "mine.toml").write_text(to_toml(preset), encoding="utf-8")
    for name, sweeps in (
        ("plain", PRESETS["plain"].sweeps()),
        (tmp_path / "mine.toml", preset.sweeps()),
    ):
        for i, sweep in enumerate(sweeps, 1):
            code, out, err = deeplinear("sweep", name, "--part", i, "--dry-run")
            assert (code, err) == (0, "")
            assert f"runs        {sweep.runs:,}\n" in out
        parts = f"--part must be 1 to {len(sweeps)}, a part of the training of "
        for wrong in ((), ("--part", len(sweeps) + 1)):
            code, out, err = deeplinear("sweep", name, "--dry-run", *wrong)
            assert (code, out, err.count("\n")) == (2, "", 1)
            assert err.startswith(f"deeplinear: {parts}")
    path = tmp_path / "runs.zarr"
    assert deeplinear("sweep", tmp_path / "mine.toml", "--part", 2, "--store", path)[0] == 0
    assert opened(path).words == words_of(preset.sweeps()[1])
    code, _, err = deeplinear("sweep", written(tmp_path), "--part", 1, "--dry-run")
    assert (code, err.split(";")[0]) == (2, "deeplinear: --part must be that of a preset")
