"""Starts the command line as a person does, also with less to do or with more."""

import os
import subprocess
import sys

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
