"""What a device compiles is the one source of the dynamics, and needs no library."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from compiled import ROOT

CORE, CUDA = ROOT / "cpp" / "core", ROOT / "cpp" / "cuda"
pytestmark = pytest.mark.skipif(not CUDA.is_dir(), reason="the tests are away from the sources")


@pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
def test_kernels_need_no_library():
    """nvcc takes code for hosts alone without a word, and makes a trap of it."""
    done = subprocess.run(
        ["g++", "-std=c++20", "-nostdinc", "-fsyntax-only", "-x", "c++", f"-I{CORE}",
         str(CORE / "device" / "kernels.hpp")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[:2000]


def test_the_core_has_no_annotations_of_cuda():
    for file in CORE.glob("**/*.[hc]pp"):
        assert not re.search(r"__(host|device|global|shared)__", file.read_text(encoding="utf-8"))


def test_there_is_one_copy_of_the_dynamics():
    """The files of CUDA know memory and launches; they compute nothing."""
    computes = re.compile(r"\b(fma\w*|dot|pull\w*|push|push_and_move|evaluate|descend)\s*\(")
    for file in CUDA.iterdir():
        text = re.sub(r"//.*", "", file.read_text(encoding="utf-8"))
        assert not computes.search(text), file.name
