"""Sweeps in files, and commands that work on them: in this process, or as a person starts them."""

from __future__ import annotations

import os
import subprocess
import sys

from typer.testing import CliRunner

import deeplinear as dl
from deeplinear.experiments.cli.commands import app
from deeplinear.store.layout import create
from deeplinear.store.opened_store import opened

TEXT = """\
seeds = 20
steps = 40
every = 20
record = ["risk", "layer_norm"]

[data]
kind = "gaussian"
n = 12
d = 3
noise = [0.0, 1.0]

[network]
depth = 3

[init]
kind = "gaussian"
scale = 0.5

[dynamics]
kind = "gradient descent"
learning_rate = [0.01, 0.1, 1.0]
"""
RUNS = 2 * 3 * 20


def written(folder, text: str = TEXT) -> str:
    """The path of a file with a sweep."""
    file = folder / "sweep.toml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def made(folder, name: str, text: str = TEXT) -> str:
    """The path of a store of which no block is done; in small blocks where a test asks for them."""
    path = str(folder / name)
    assert create(path, dl.read_sweep(written(folder, text))).blocks.count > 4
    return path


def deeplinear(*arguments: object) -> tuple[int, str, str]:
    """Run a command in this process: its exit status, output and errors."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-W", "error", "-m", "deeplinear", *map(str, arguments)]


def started(line: list[str], **environment: str) -> subprocess.Popen[str]:
    """Start a program that imports what the tests do."""
    paths = os.pathsep.join(filter(None, sys.path))
    return subprocess.Popen(
        line, env={**os.environ, "PYTHONPATH": paths, **environment}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def left(path) -> int:
    store = opened(path, mode="r")
    return store.blocks.count - len(store.done())
