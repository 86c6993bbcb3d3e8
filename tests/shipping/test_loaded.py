"""What the library leaves unloaded: its laboratory, and what only that needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

WORK = {
    "import": "",
    "landscape": "landscape.sharpness(weights); dl.theory.critical_learning_rate(data, 2)",
    "simulate": "dl.simulate(landscape, weights, dynamics, steps=2, record='risk', progress=True)",
    "sweep": "dl.sweep(landscape, law, dynamics, seeds=2, steps=2)",
}
PROGRAM = """
import sys
import deeplinear as dl
if sys.argv[1]:
    network, data = dl.Network((2, 2, 1)), dl.gaussian_regression(n=9, d=2)
    landscape, law = dl.Landscape(network, data), dl.init.Residual(0.1)
    dynamics = dl.GradientDescent(0.1)
    weights = law.sample(network, 0)
    exec(sys.argv[1])
heavy = ("deeplinear.experiments", "deeplinear.bench", "matplotlib", "typer")
print("loaded:", *(name for name in heavy if name in sys.modules))
"""


@pytest.mark.parametrize("work", WORK)
def test_what_the_library_loads(work: str) -> None:
    command = [sys.executable, "-c", PROGRAM, WORK[work]]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "loaded:"
