"""The kernels as nvcc compiles them: PTX, what ptxas says of it, and a device that plays it."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ptx

ROOT = Path(__file__).parents[2]
NVCC = shutil.which("nvcc")
CORE = [f"-I{ROOT / 'cpp'}", f"-I{ROOT / 'cpp' / 'core'}"]
PRECISIONS = ("float64", "float32")
RULES = ("Descent<", "HeavyBall", "MomentumOf<")  # in the order of rules/table.hpp

Mutate = Callable[[str], str]


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout + done.stderr


def compile_ptx(folder: Path, precision: str) -> Path:
    assert NVCC
    file = folder / f"{precision}.ptx"
    run(
        NVCC, "-std=c++20", "-O3", "-arch=sm_90", "--expt-relaxed-constexpr", "-fmad=false",
        "-diag-suppress=1675", *CORE, "-ptx", "-o", str(file),
        str(ROOT / "cpp" / "cuda" / f"kernels_{precision}.cu"),
    )  # fmt: skip
    return file


@dataclass(frozen=True)
class Usage:
    """What a kernel takes of a multiprocessor."""

    kernel: str
    registers: int
    stack: int
    spills: int


def usages(file: Path) -> list[Usage]:
    """By ptxas."""
    assert NVCC
    ptxas = shutil.which("ptxas") or str(Path(NVCC).resolve().parent / "ptxas")
    said = run(ptxas, "-arch=sm_90", "-v", "-o", str(file.with_suffix(".cubin")), str(file))
    pattern = (
        r"Compiling entry function '(\w+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores, "
        r"(\d+) bytes spill loads.*?Used (\d+) registers"
    )
    return [
        Usage(readable(kernel), int(registers), int(stack), int(stores) + int(loads))
        for kernel, stack, stores, loads, registers in re.findall(pattern, said, re.S)
    ]


def readable(symbol: str) -> str:
    return run("c++filt", symbol).strip().replace("deeplinear::", "")


def entry(symbol: str) -> str:
    """A kernel's line in the table of translated.cpp."""
    name = readable(symbol)
    rule = next(place for place, one in enumerate(RULES) if one in name)
    end = re.search(r", (true|false), \(cuda::Memory\)(\d)>\(", name)
    assert end, name
    adaptive, where = end[1] == "true", int(end[2])
    flags = ("SampleStages" in name, adaptive, "<float" in name, rule)
    numbers = ", ".join(str(int(one)) for one in flags)
    shared = {0: [1], 1: [0], 2: [0, 1]}[where]
    return "".join(f"    {{{numbers}, {one}, {symbol}}},\n" for one in shared)


class Translated:
    """A device that runs a translation of PTX, as a handle for the core."""

    def __init__(
        self, folder: Path, file: Path, pattern: str = "", mutate: Mutate | None = None
    ) -> None:
        head, text, kernels = ptx.translate(file.read_text(), pattern)
        if mutate is not None:
            changed = mutate(text)
            assert changed != text
            text = changed
        declared = "\n".join(
            f"void {one}(char* const*, char*, unsigned, unsigned);" for one in kernels
        )
        table = "".join(map(entry, kernels))
        (folder / "kernels.c").write_text(f"{head}\n{text}")
        (folder / "table.c").write_text(
            f"""{declared}
struct TranslatedKernel {{
  int by_samples, adaptive, single, rule, shared;
  void (*run)(char* const*, char*, unsigned, unsigned);
}};
const struct TranslatedKernel translated_kernels[] = {{
{table}}};
const int translated_count = sizeof(translated_kernels) / sizeof(translated_kernels[0]);
"""
        )
        flags = ["-O1", "-ffp-contract=off", "-march=x86-64-v3", "-fPIC", "-w"]
        objects = []
        for source in ("kernels.c", "table.c"):
            objects.append(str(folder / source.replace(".c", ".o")))
            run("gcc", *flags, "-c", str(folder / source), "-o", objects[-1])
        library = folder / "translated.so"
        shim = str(Path(__file__).with_name("translated.cpp"))
        run("g++", "-std=c++20", *flags, *CORE, "-shared", shim, *objects, "-o", str(library))
        self._library = ctypes.CDLL(str(library))  # it lives as long as its table
        place = self._library.translated_device
        place.restype = ctypes.c_void_p
        make = ctypes.pythonapi.PyCapsule_New
        make.restype = ctypes.py_object
        make.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        self.table: Any = make(place(), b"deeplinear.DeviceTable", None)
