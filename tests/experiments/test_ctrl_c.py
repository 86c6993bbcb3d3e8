"""Ctrl-C in an experiment."""

import signal
import subprocess
import threading
import time

import xarray as xr

from command_line import LONG, command
from deeplinear.experiments.library import PLAIN


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
