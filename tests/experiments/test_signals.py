"""Ctrl-C and its like at the moments that matter: while loading, computing and saving."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import xarray as xr

from command_line import LONG, NO_FIGURES, command

# Any module of the package's own; what imports it swallows every exception.
SLOW_IMPORT = """
import sys, time
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == MODULE:
            try:
                print("loading", flush=True)
                time.sleep(60)
            except BaseException:
                pass
sys.meta_path.insert(0, Slow())
from deeplinear.experiments.cli.entry import main
main()
"""
# Says when it begins to save, and takes a while; its progress is no news here.
SLOW_SAVE = f"""
{NO_FIGURES}
import functools, os, time
def slowly(give_name, source, target):
    print("saving", flush=True)
    time.sleep(2)
    give_name(source, target)
os.replace, os.link = (functools.partial(slowly, give) for give in (os.replace, os.link))
"""
LONG_RUN = LONG.replace("STEPS", "300").replace("print(repr(share), flush=True)", "tell(share)")
TELL = """
told = set()
def tell(share):
    word = "computing" if share > 300 / (300 + 10**9) else "first"
    if word not in told:
        told.add(word)
        print(word, flush=True)
"""


def stopped(
    code: str, arguments: tuple[object, ...], *events: tuple[str, signal.Signals]
) -> tuple[int, str]:
    """Send signals when lines are printed; the code that it ends with, and its errors."""
    process = subprocess.Popen(
        [*command(code), *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    emergency = threading.Timer(90, process.kill)
    emergency.start()
    try:
        assert process.stdout is not None
        for word, number in events:
            if word:
                assert f"{word}\n" in process.stdout
            else:
                with pytest.raises(subprocess.TimeoutExpired):
                    process.wait(0.3)
            process.send_signal(number)
        _, stderr = process.communicate()
        return process.returncode, stderr
    finally:
        emergency.cancel()
        process.kill()
        process.wait()


def files(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


@pytest.mark.parametrize("module", ["numpy", "typer", "xarray"])
def test_while_loading(module, tmp_path):
    arguments = ("reproduce", "plain", "--quick", "--out", tmp_path / "out")
    code = SLOW_IMPORT.replace("MODULE", repr(module))
    for number in (signal.SIGINT, signal.SIGTERM):
        end = stopped(code, arguments, ("loading", number))
        assert end == (128 + number, "deeplinear: stopped.\n")
    assert files(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_while_computing(number, tmp_path):
    arguments = ("reproduce", "plain", "--out", tmp_path)
    code, stderr = stopped(TELL + LONG_RUN, arguments, ("computing", number))
    assert code == 128 + number
    assert stderr.startswith("deeplinear: stopped; the ")
    assert stderr.count("\n") == 1
    assert files(tmp_path) == ["plain-partial.nc"]
    dataset = xr.load_dataset(tmp_path / "plain-partial.nc", engine="h5netcdf")
    assert dataset.sizes["run"] >= 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_before_a_run_has_finished_no_folder_is_left(number, tmp_path):
    share, word = "print(repr(share), flush=True)", 'print("computing", flush=True)'
    code = LONG.replace("STEPS", "1_000_000_000").replace(share, word)
    out = tmp_path / "new" / "out"
    end = stopped(code, ("reproduce", "plain", "--out", out), ("computing", number))
    assert end == (
        128 + number, "deeplinear: stopped before a run of plain had finished.\n"
    )  # fmt: skip
    assert files(tmp_path) == []
    # one that was there, and what is in it, stay
    out.mkdir(parents=True)
    stopped(code, ("reproduce", "plain", "--out", out), ("computing", number))
    assert files(tmp_path / "new") == ["out"]
    (out / "mine.txt").touch()
    stopped(code, ("reproduce", "plain", "--out", out), ("computing", number))
    assert files(out) == ["mine.txt"]


CURVES = ("reproduce", "plain-curves", "--quick", "--out")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_while_saving_the_file_becomes_whole(number, tmp_path):
    end = stopped(f"{SLOW_SAVE}cli.main()", (*CURVES, tmp_path), ("saving", number))
    assert end == (
        128 + number, f"deeplinear: stopped; what was complete is in {tmp_path}.\n"
    )  # fmt: skip
    assert files(tmp_path) == ["plain-curves-quick.nc"]
    xr.load_dataset(tmp_path / "plain-curves-quick.nc", engine="h5netcdf").close()


def test_twice_while_saving_the_file_is_given_up_whole(tmp_path):
    events = (("saving", signal.SIGINT), ("", signal.SIGINT))
    code, stderr = stopped(f"{SLOW_SAVE}cli.main()", (*CURVES, tmp_path), *events)
    assert code == 130
    assert stderr == f"deeplinear: stopped; what was complete is in {tmp_path}.\n"
    assert files(tmp_path) == []


COMPUTE_AND_SAVE = TELL + SLOW_SAVE + LONG_RUN
ONCE_MORE = "deeplinear: stopping; once more gives up what is being saved.\n"


def test_once_more_while_saving_what_had_finished(tmp_path):
    """People press it twice."""
    events = (("computing", signal.SIGINT), ("saving", signal.SIGINT))
    code, stderr = stopped(COMPUTE_AND_SAVE, ("reproduce", "plain", "--out", tmp_path), *events)
    assert code == 130
    assert stderr.startswith(f"{ONCE_MORE}deeplinear: stopped; the ")
    assert files(tmp_path) == ["plain-partial.nc"]
    xr.load_dataset(tmp_path / "plain-partial.nc", engine="h5netcdf").close()


def test_a_third_time_while_saving_what_had_finished(tmp_path):
    events = (("computing", signal.SIGINT), ("saving", signal.SIGINT), ("", signal.SIGINT))
    code, stderr = stopped(COMPUTE_AND_SAVE, ("reproduce", "plain", "--out", tmp_path), *events)
    assert (code, stderr) == (130, f"{ONCE_MORE}deeplinear: stopped.\n")
    assert files(tmp_path) == []


SWALLOWED = f"""
{NO_FIGURES}
import time
from deeplinear.experiments import run as reproduce
run = reproduce.run
def swallow(*arguments, **options):
    try:
        print("computing", flush=True)
        time.sleep(60)
    except BaseException:
        pass
    return run(*arguments, **options)
reproduce.run = swallow
cli.main()
"""


def test_an_interrupt_that_other_code_swallows(tmp_path):
    end = stopped(SWALLOWED, ("reproduce", "all", "--quick", "--out", tmp_path),
                  ("computing", signal.SIGINT))  # fmt: skip
    assert end == (130, f"deeplinear: stopped; what was complete is in {tmp_path}.\n")
    assert files(tmp_path) == ["plain-quick.nc"]


def test_signals_that_were_ignored_stay_so(tmp_path):
    code = f"{SLOW_SAVE}import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\ncli.main()"
    assert stopped(code, (*CURVES, tmp_path), ("saving", signal.SIGHUP)) == (0, "")
    assert files(tmp_path) == ["plain-curves-quick.nc"]


SCRIPT = """
import deeplinear as dl
landscape = dl.Landscape(dl.Network((5, 5, 1)), dl.gaussian_regression(n=50, d=5, seed=0))
weights = dl.init.Gaussian(0.3).sample(landscape.network, 0)
told = []
def tell(share):
    if not told:
        print("computing", flush=True)
    told.append(share)
dl.simulate(landscape, weights, dl.GradientDescent(1e-6), steps=10**12, every=None, progress=tell)
"""


def test_a_script_is_ended_by_the_system():
    assert stopped(SCRIPT, (), ("computing", signal.SIGTERM)) == (-signal.SIGTERM, "")


def test_nothing_is_handled_once_the_command_line_has_ended():
    code = (
        "import signal, sys\nfrom deeplinear.experiments.cli.entry import main\n"
        "sys.argv = ['deeplinear', '--version']\n"
        "streams = sys.stdout, sys.stderr\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "assert (sys.stdout, sys.stderr) == streams\n"
        "print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL,"
        " signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                            check=True)  # fmt: skip
    assert result.stdout.splitlines()[1:] == ["True True"]
