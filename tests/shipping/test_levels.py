"""Every SIMD level computes the same, is chosen as it should be, and stays in its own module."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from deeplinear import _core, _cpu
from strategies import Problem, bent, flat, make_problem, one_run, random_ensemble, relative_error

LEVELS = ("x86-64-v4", "x86-64-v3", "x86-64", "generic")
RUNS, STEPS, RATE = 9, 3, 0.05  # an odd number of runs: some lanes stay idle


def module_file(name: str) -> str | None:
    spec = find_spec(f"deeplinear.{name}")
    return None if spec is None else spec.origin


def core_file(level: str) -> str | None:
    return module_file(f"_core_{level.replace('-', '_')}")


BUILT = [level for level in LEVELS if core_file(level)]
SUPPORTED = _cpu.levels()
RUNNABLE = [level for level in BUILT if level in SUPPORTED]


# ---- Numbers -----------------------------------------------------------------------------------

# In an interpreter of its own, as the level is chosen once. It imports the package alone: under
# emulation every import takes seconds.
PROGRAM = """
import json, sys
import numpy as np
import deeplinear as dl

def numbers(case, options):
    network = dl.Network(case["widths"], activation=case["activation"])
    landscape = dl.Landscape(network, dl.Regression(np.array(case["X"]), np.array(case["y"])))
    weights = [np.array(layer) for layer in case["weights"]]
    first = [layer[0] for layer in weights]
    descent = dl.GradientDescent(options["rate"])
    result = {
        "gradient": [layer.tolist() for layer in landscape.gradient(first)],
        "sharpness": landscape.sharpness(first).value,
    }
    for dtype in ("float64", "float32"):
        runs = dl.simulate(landscape, weights, descent, steps=options["steps"], dtype=dtype)
        result[dtype] = runs.weights.values.tolist()
    return result

cases, options = json.load(sys.stdin)
print(json.dumps([dl.build_config()["simd"], [numbers(case, options) for case in cases]]))
"""


@dataclass(frozen=True)
class Case:
    problem: Problem
    ensemble: list[Any]

    def to_json(self) -> dict[str, Any]:
        problem = self.problem
        return {
            "X": problem.X.tolist(),
            "y": problem.y.tolist(),
            "widths": problem.widths,
            "activation": problem.activation,
            "weights": [layer.tolist() for layer in self.ensemble],
        }

    def check(self, numbers: dict[str, Any]) -> None:
        """Hold them against the reference.

        Sums of up to 12 terms in 4 products, in 3 steps of 5% of the weights: some 50 roundings, so
        1e-14 in float64 and 6e-6 in float32. A sharpness is found within 1e-8 of itself.
        """
        reference = self.problem.objective
        first = one_run(self.ensemble, 0)
        gradient = [np.array(layer) for layer in numbers["gradient"]]
        assert relative_error(flat(gradient), flat(reference.gradient(first))) < 1e-12
        assert numbers["sharpness"] == pytest.approx(reference.spectrum(first)[-1], rel=1e-7)
        expected = [
            reference.gradient_descent(one_run(self.ensemble, run), RATE, STEPS)[-1]
            for run in range(RUNS)
        ]
        assert relative_error(numbers["float64"], expected) < 1e-12
        assert relative_error(numbers["float32"], expected) < 1e-5


@cache
def cases() -> list[Case]:
    linear = make_problem((5, 4, 6, 1), "plain", 12, seed=3)
    problems = [linear, bent(linear, "gelu")]
    return [Case(problem, random_ensemble(problem, RUNS, seed=4)) for problem in problems]


def run_program(*command: str, level: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "DEEPLINEAR_SIMD"}
    if level is not None:
        environment["DEEPLINEAR_SIMD"] = level
    given = [[case.to_json() for case in cases()], {"rate": RATE, "steps": STEPS}]
    return subprocess.run(
        [*command, sys.executable, "-c", PROGRAM],
        input=json.dumps(given), capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip


def check_program(expected_level: str, *command: str, level: str | None = None) -> None:
    result = run_program(*command, level=level)
    assert result.returncode == 0, result.stderr
    loaded, numbers = json.loads(result.stdout)
    assert loaded == expected_level
    for case, of_case in zip(cases(), numbers, strict=True):
        case.check(of_case)


@pytest.mark.core
@pytest.mark.wheel
@pytest.mark.parametrize("level", LEVELS)
def test_numbers(level: str) -> None:
    if level not in RUNNABLE:
        pytest.skip(f"{level} is not built, or this processor can't run it")
    check_program(level, level=level)


# The second has AVX2 and FMA, the first no AVX at all.
@pytest.mark.wheel
@pytest.mark.parametrize(("processor", "level"), [("Nehalem", "x86-64"), ("Haswell", "x86-64-v3")])
def test_emulated_processor(processor: str, level: str) -> None:
    if (qemu := shutil.which("qemu-x86_64")) is None:
        pytest.skip("qemu-x86_64 (Debian's package qemu-user) is not on PATH")
    if platform.machine() != "x86_64":
        pytest.skip("the interpreter is not one for x86-64")
    if level not in BUILT:
        pytest.skip(f"{level} is not built")
    version = re.search(r"version (\d+)\.(\d+)", run_tool(qemu, "--version"))
    assert version is not None
    if level != "x86-64" and (int(version[1]), int(version[2])) < (7, 2):
        pytest.skip("this qemu doesn't emulate AVX")
    check_program(level, qemu, "-cpu", processor)


# ---- Choice ------------------------------------------------------------------------------------


def test_the_best_is_chosen() -> None:
    check_program(RUNNABLE[0])


def test_an_empty_request_is_none() -> None:
    assert _core._choose_level("") == _core._choose_level(None) == RUNNABLE[0]


@pytest.mark.parametrize("supported", [LEVELS[:3], LEVELS[1:3], LEVELS[2:3]])
def test_choice_among_all(monkeypatch: pytest.MonkeyPatch, supported: tuple[str, ...]) -> None:
    monkeypatch.setattr(_core, "_supported_levels", lambda: supported)
    monkeypatch.setattr(_core, "find_spec", lambda name: name)
    assert _core._choose_level(None) == supported[0]
    for level in supported:
        assert _core._choose_level(level) == level
    for level in set(LEVELS) - set(supported):
        with pytest.raises(ImportError, match=f"{level}, which this processor can't run"):
            _core._choose_level(level)


def test_choice_where_the_best_is_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_core, "_supported_levels", lambda: LEVELS[:3])
    monkeypatch.setattr(_core, "find_spec", lambda name: name if name.endswith("_64") else None)
    assert _core._choose_level(None) == "x86-64"
    monkeypatch.setattr(_core, "_supported_levels", lambda: ("generic",))
    with pytest.raises(ImportError, match="built for another processor"):
        _core._choose_level(None)


def refusals() -> list[Any]:
    found = [("unknown", "avx2", "takes one of x86-64-v4, .* not 'avx2'")]
    missing = next(level for level in LEVELS if level not in BUILT)
    found.append(("not-built", missing, f"{missing}, which this installation wasn't built with"))
    found += [
        (f"not-supported-{level}", level, f"{level}, which this processor can't run")
        for level in set(BUILT) - set(SUPPORTED)
    ]
    return [pytest.param(level, message, id=name) for name, level, message in found]


@pytest.mark.parametrize(("request_", "message"), refusals())
def test_refusal(request_: str, message: str) -> None:
    result = run_program(level=request_)
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert re.match(f"ImportError: DEEPLINEAR_SIMD .*{message}", last)
    assert last.endswith(".")


# ---- Isolation ---------------------------------------------------------------------------------

# In 64-bit code these bytes begin nothing else, and only segment and address prefixes go before.
VEX, EVEX = ("c4", "c5"), "62"
IGNORED_PREFIXES = ("26", "2e", "36", "3e", "64", "65", "67")
LEGACY_PREFIXES = re.compile(r"(?:(?:66|f2|f3|f0|4[0-9a-f]) )*")
LINE = re.compile(r"^ *[0-9a-f]+:\t((?:[0-9a-f]{2} )+) *\t(.+)$")
# Newer than the baseline in encodings that it has: SSE3 and POPCNT.
NEWER = re.compile(
    r"\b(addsubp[ds]|h(add|sub)p[ds]|lddqu|movddup|movs[hl]dup|fisttp\w*|popcnt\w*)\b"
)


@dataclass(frozen=True)
class Instructions:
    """Which instructions a module holds; the texts of some, for the message of a failure."""

    vex: list[str]
    evex: list[str]
    newer: list[str]  # than the baseline, in old encodings
    text: str


@cache
def instructions(file: str) -> Instructions:
    objdump = tool("objdump")
    # Wide enough that no instruction's bytes go on in the next line.
    text = run_tool(objdump, "-d", "--insn-width=16", file)
    found = Instructions([], [], [], text)
    count = 0
    for line in text.splitlines():
        if (match := LINE.match(line)) is None:
            continue
        count += 1
        encoding = match.group(1)
        while encoding.startswith(IGNORED_PREFIXES):
            encoding = encoding[3:]
        opcode = encoding[LEGACY_PREFIXES.match(encoding).end() :]  # type: ignore[union-attr]
        if encoding.startswith(VEX):
            found.vex.append(match.group(2))
        elif encoding.startswith(EVEX):
            found.evex.append(match.group(2))
        elif opcode.startswith(("0f 38", "0f 3a")) or NEWER.search(match.group(2)):
            found.newer.append(match.group(2))
    assert count > 50, f"objdump's output is not understood: {text[:500]}"
    return found


def tool(name: str) -> str:
    if platform.system() != "Linux":
        pytest.skip("the modules are not in ELF")
    if (path := shutil.which(name)) is None:
        pytest.skip(f"{name} (Debian's package binutils) is not on PATH")
    return path


def run_tool(*command: str) -> str:
    environment = {**os.environ, "LC_ALL": "C"}
    environment.pop("LD_PRELOAD", None)
    return subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment
    ).stdout


def instructions_of(level: str) -> Instructions:
    if (file := core_file(level)) is None:
        pytest.skip(f"{level} is not built")
    return instructions(file)


@pytest.mark.wheel
@pytest.mark.parametrize("name", ["_cpu", *(f"_core_{x.replace('-', '_')}" for x in LEVELS)])
def test_exports(name: str) -> None:
    """Nothing but the entry: no symbol of one level can be bound from another's module."""
    if (file := module_file(name)) is None:
        pytest.skip(f"{name} is not built")
    lines = run_tool(tool("nm"), "-D", "--defined-only", file).splitlines()
    assert [line.split()[-1] for line in lines] == [f"PyInit_{name}"]


@pytest.mark.wheel
@pytest.mark.parametrize("name", ["_cpu", "_core_x86_64"])
def test_baseline_runs_everywhere(name: str) -> None:
    if platform.machine() != "x86_64":
        pytest.skip("the processor is no x86-64")
    if (file := module_file(name)) is None:
        pytest.skip(f"{name} is not built")
    found = instructions(file)
    assert not found.vex, found.vex[:5]
    assert not found.evex, found.evex[:5]
    assert not found.newer, found.newer[:5]


@pytest.mark.wheel
def test_v3_has_avx2_and_no_avx512() -> None:
    found = instructions_of("x86-64-v3")
    masks = [text for text in found.vex if re.match(r"k[a-z]+", text)]
    assert not found.evex, found.evex[:5]
    assert not masks, masks[:5]
    assert any("%ymm" in text for text in found.vex)
    assert any(re.match(r"vfn?m(add|sub)\d{3}pd .*%ymm", text) for text in found.vex)


@pytest.mark.wheel
def test_v4_has_avx512() -> None:
    found = instructions_of("x86-64-v4")
    assert any(re.match(r"vfn?m(add|sub)\d{3}pd .*%zmm", text) for text in found.evex)
    assert any(re.search(r"%k[1-7]", text) for text in found.evex)
