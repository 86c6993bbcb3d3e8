"""What is told of progress, and what becomes of a bar that can't be drawn."""

import io
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import deeplinear as dl
from deeplinear._support.progress import progress_bar
from deeplinear.experiments import run as reproduce
from deeplinear.experiments.library import PRESETS

NETWORK = dl.Network((5,) * 4 + (1,))
LANDSCAPE = dl.Landscape(NETWORK, dl.gaussian_regression(n=50, d=5, noise=1.0, seed=0))
INIT = dl.init.Gaussian(0.3)


def simulated(progress: Any, steps: int = 10) -> Any:
    weights = INIT.sample(NETWORK, 0)
    return dl.simulate(LANDSCAPE, weights, dl.GradientDescent(0.01), steps=steps, progress=progress)


def swept(progress: Any, steps: int = 10) -> Any:
    return dl.sweep(
        LANDSCAPE, INIT, dl.GradientDescent([0.01, 0.02]), seeds=3, steps=steps, progress=progress
    )


def several_methods(progress: Any, steps: int = 10) -> Any:
    flow = dl.GradientFlow(method=["euler", "rk4", "dopri5"], step=0.01)
    return dl.sweep(LANDSCAPE, INIT, flow, seeds=3, time=0.01 * steps, progress=progress)


def experiment(progress: Any, steps: int = 10) -> Any:
    name = "tightness" if steps > 10 else "plain-curves"
    return reproduce.run(PRESETS[name].quick(), progress=progress)


@pytest.mark.parametrize("work", [simulated, swept, several_methods, experiment])
@pytest.mark.parametrize("steps", [10, 100_000])
def test_shares_begin_at_0_rise_and_end_at_1(work, steps):
    shares: list[float] = []
    work(shares.append, steps)
    assert shares[0] == 0
    assert shares[-1] == 1
    assert shares == sorted(shares)
    assert sum(share == 1 for share in shares) == 1 or steps > 10


@pytest.mark.parametrize("work", [simulated, swept, several_methods, experiment])
def test_a_stop_at_the_very_end_loses_nothing(work):
    def stop(share: float) -> None:
        if share == 1:
            raise KeyboardInterrupt

    with pytest.raises(dl.Interrupted) as stopped:
        work(stop)
    assert stopped.value.dataset.sizes["run"] == work(False)["status"].size
    assert not (stopped.value.dataset["status"] == "unfinished").any()


def test_an_error_of_the_function_is_raised():
    def fail(share: float) -> None:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        swept(fail)


class Broken(io.StringIO):
    """A terminal that has gone."""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


class Refusing(Broken):
    encoding = "ascii"  # type: ignore[assignment]

    def write(self, text: str) -> int:
        text.encode("ascii")
        raise ValueError("I/O operation on closed file")


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


STREAMS = {
    "none": lambda: None,
    "closed": closed,
    "without isatty": object,
    "broken": Broken,
    "refusing": Refusing,
}


@pytest.mark.parametrize("rich", [True, False])
@pytest.mark.parametrize("stream", STREAMS)
def test_a_sweep_without_a_usable_standard_error(stream, rich, monkeypatch):
    if not rich:
        for name in ("rich", "rich.console", "rich.progress"):
            monkeypatch.setitem(sys.modules, name, None)
    expected = swept(False)
    monkeypatch.setattr(sys, "stderr", STREAMS[stream]())
    dataset = swept(True)
    monkeypatch.undo()
    np.testing.assert_array_equal(dataset.risk, expected.risk)


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("rich", [True, False])
def test_a_bar_on_a_terminal(rich, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    if not rich:
        for name in ("rich", "rich.console", "rich.progress"):
            monkeypatch.setitem(sys.modules, name, None)
    screen, printed = Screen(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(sys, "stdout", printed)
    with progress_bar(True, "3 runs") as update:
        update(0.5)
        print("a result")
    assert sys.stdout is printed
    assert sys.stderr is screen
    assert "3 runs" in screen.getvalue()
    assert "50%" in screen.getvalue()
    assert printed.getvalue() == "a result\n"


def test_an_error_of_the_bar_is_none_of_the_block(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Broken())

    def block() -> None:
        with progress_bar(True, "3 runs") as update:
            update(0.5)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        block()


def test_a_process_without_standard_error():
    code = (
        "import sys, deeplinear as dl\n"
        "assert sys.stderr is None\n"
        "landscape = dl.Landscape(dl.Network((2, 1)), dl.gaussian_regression(n=9, d=2))\n"
        "runs = dl.sweep(landscape, dl.init.Gaussian(0.3), dl.GradientDescent(0.01), seeds=2,"
        " steps=5)\n"
        "print((runs.status == 'completed').all().item())"
    )
    result = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, code],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (result.returncode, result.stdout) == (0, "True\n")
