"""What the core computed when these hashes were stored, it computes to the bit."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import golden
from deeplinear import _cpu, build_config

pytestmark = [pytest.mark.core, pytest.mark.wheel]  # of every level that is built

RUNNABLE = [
    level
    for level in _cpu.levels()
    if find_spec(f"deeplinear._core_{level.replace('-', '_')}") is not None
]


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or platform.machine() != "x86_64",
    reason="the hashes were made on x86-64 with glibc",
)
@pytest.mark.skipif(build_config()["assertions"], reason="the sanitizers would take minutes")
@pytest.mark.parametrize("level", RUNNABLE)
def test_bits(level):
    """A form that computes in another order needs a reason, and the hashes of golden.py anew."""
    stored = json.loads(golden.STORED.read_text())[level]
    environment = {**os.environ, "DEEPLINEAR_SIMD": level}
    program = Path(golden.__file__)
    result = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, check=False, env=environment
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert sorted(found) == sorted(stored)
    assert [case for case in stored if found[case] != stored[case]] == []
