"""What nvcc makes of the kernels, without a graphics processor: registers, and bits."""

from __future__ import annotations

import os
import platform
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings

from compiled import NVCC, PRECISIONS, ROOT, Translated, compile_ptx, usages
from deeplinear import _core
from random_runs import Call, assert_same, calls, family
from strategies import EXAMPLES, PROPERTY

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SOURCES = ROOT / "cpp" / "core" / "device"
needs_sources = pytest.mark.skipif(not SOURCES.is_dir(), reason="the tests are away from them")
pytestmark = [
    needs_sources,
    pytest.mark.skipif(NVCC is None, reason="nvcc is not installed"),
    pytest.mark.skipif(
        platform.machine() != "x86_64" or not _core.build_config()["fma"],
        reason="this level rounds otherwise",
    ),
    pytest.mark.skipif(
        not os.environ.get("DEEPLINEAR_NVCC"), reason="minutes; DEEPLINEAR_NVCC=1 asks for them"
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture(scope="module")
def files(folder: Path) -> dict[str, Path]:
    with ThreadPoolExecutor() as pool:
        found = pool.map(lambda precision: compile_ptx(folder, precision), PRECISIONS)
        return dict(zip(PRECISIONS, found, strict=True))


@pytest.fixture(scope="module")
def devices(folder: Path, files: dict[str, Path]) -> dict[str, Translated]:
    def make(precision: str) -> Translated:
        own = folder / f"{precision}-translated"
        own.mkdir()
        return Translated(own, files[precision])

    with ThreadPoolExecutor() as pool:
        return dict(zip(PRECISIONS, pool.map(make, PRECISIONS), strict=True))


def test_registers_stay_within_limits(files: dict[str, Path]) -> None:
    limits = tomllib.loads(Path(__file__).with_name("limits.toml").read_text())
    with ThreadPoolExecutor() as pool:
        tables = dict(zip(PRECISIONS, pool.map(usages, files.values()), strict=True))
    for precision, found in tables.items():
        assert len(found) == 8
        # what is compiled of code for hosts alone
        assert "trap;" not in files[precision].read_text()
        for usage in found:
            print(f"{usage.registers:4} registers {usage.stack:5} bytes of stack  {usage.kernel}")
            assert usage.spills == 0, usage
            assert usage.registers <= limits[precision]["registers"], usage
            assert usage.stack <= limits[precision]["stack"], usage


def train_on(device: Translated, call: Call) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("deeplinear.options.check_device", lambda _: device.table)
        return call.train(device="cuda", threads=1)


def test_random_runs_of_what_was_compiled(devices: dict[str, Translated]) -> None:
    @given(calls(most_runs=70))
    @settings(PROPERTY, max_examples=max(EXAMPLES // 2, 5))
    def same(call: Call) -> None:
        assert_same(call.train(engine="ensemble"), train_on(devices[call.dtype], call))

    same()


#: What a slip in a kernel looks like once it is compiled: a pattern of C, and what takes its place.
FMA = r"= fma\((\w+), (\w+), (\w+)\)"
FLOAT = r"\(double\)\w+"
LOAD = r"(r_fd\d+ = \*\(double\*\)\([^;]*\+ )"
MUTANTS = {
    "a product and a sum rounded twice": (FMA, r"= \1 * \2 + \3"),
    "factor and sum exchanged": (FMA, r"= fma(\1, \3, \2)"),
    "a sign lost": (FMA, r"= fma(-\1, \2, \3)"),
    "a sum left out": (FMA, r"= \1 * \2"),
    "one factor twice": (FMA, r"= fma(\1, \1, \3)"),
    "a float for a double": (FMA, r"= (float)fma(\1, \2, \3)"),
    "a row too far": (LOAD + r"\(512\)", r"\1(768)"),
    "a row too early": (LOAD + r"\(512\)", r"\1(256)"),
    "the column of another run": (LOAD + r"\(256\)", r"\1(264)"),
    "a sum for a difference": (rf"\(double\)\(({FLOAT}) - ({FLOAT})\)", r"(double)(\1 + \2)"),
    "a product left out": (rf"\(double\)\(({FLOAT}) \* {FLOAT}\)", r"(double)(\1)"),
    "a quotient for a product": (rf"\(double\)\(({FLOAT}) \* ({FLOAT})\)", r"(double)(\1 / \2)"),
}


def test_mutants_are_caught(folder: Path, files: dict[str, Path]) -> None:
    call = family(every=None)
    expected = call.train(engine="ensemble")

    def make(name: str) -> Translated:
        own = folder / re.sub(r"\W", "_", name)
        own.mkdir()
        pattern, replacement = MUTANTS[name]
        kernel = r"ChainStages\w*Descent\w*ELb0ELNS0_6MemoryE1"
        return Translated(own, files["float64"], kernel, partial(re.sub, pattern, replacement))

    with ThreadPoolExecutor(2) as pool:
        made = dict(zip(MUTANTS, pool.map(make, MUTANTS), strict=True))
    for name, device in made.items():
        found = train_on(device, call)
        try:
            assert_same(expected, found)
        except AssertionError:
            continue
        pytest.fail(f"{name} is not caught")
