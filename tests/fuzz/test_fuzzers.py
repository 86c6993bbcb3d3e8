"""Public and private calls with random arguments, broken ones among them, each in a process.

The kept cases come first. What failed is printed: a file of it in ``corpus`` keeps it, and
``python tests/fuzz/fuzzer.py private FILE`` runs it again. DEEPLINEAR_FUZZ_SECONDS is the time of
the random cases of each fuzzer.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

FUZZER = Path(__file__).with_name("fuzzer.py")
SECONDS = float(os.environ.get("DEEPLINEAR_FUZZ_SECONDS", "4"))

pytestmark = pytest.mark.core


@pytest.mark.parametrize("fuzzer", ["private", "public"])
def test_calls_with_any_arguments(fuzzer: str, tmp_path: Path) -> None:
    current = tmp_path / "case.json"
    seed = 0 if os.environ.get("CI") else time.time_ns()
    options = ["--seconds", str(SECONDS), "--seed", str(seed), "--current", str(current)]
    # What is too large for the address sanitizer is a MemoryError here as well.
    sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":allocator_may_return_null=1"
    result = subprocess.run(
        [sys.executable, str(FUZZER), fuzzer, *options],
        env=os.environ | {"ASAN_OPTIONS": sanitizer.lstrip(":")},
        capture_output=True,
        text=True,
    )
    case = current.read_text(encoding="utf-8") if current.exists() else "none"
    assert result.returncode == 0, (
        f"{fuzzer} calls, seed {seed}: the process ended with {result.returncode} at the case\n"
        f"{case}\n{result.stderr[-6000:]}"
    )
    assert "cases, 0 failed" in result.stdout
