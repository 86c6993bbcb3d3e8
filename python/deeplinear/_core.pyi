from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Literal, TypedDict

import numpy as np
import numpy.typing as npt

SIMD_LEVEL: str

class BuildConfig(TypedDict):
    version: str
    compiler: str
    flags: str
    simd: str
    vector_bits: int
    fma: bool
    openmp: int | Literal[False]
    threads: int
    eigen: str
    pybind11: str
    assertions: bool
    cuda: dict[str, str] | None

def cuda_modules() -> list[ModuleType | ImportError]: ...
def build_config() -> BuildConfig: ...
def multiply_add_rate(dtype: str, threads: int, seconds: float) -> float: ...
def memory_bandwidth(threads: int, bytes: int, repetitions: int) -> tuple[float, float]: ...

_Float64 = npt.NDArray[np.float64]
_Int64 = npt.NDArray[np.int64]

def standard_normals(seeds: npt.NDArray[np.uint64], out: _Float64, threads: int) -> None: ...
def least_squares_modes(
    columns: _Float64, y: _Float64, start: _Float64, tall: bool, rounding: float
) -> tuple[_Float64, _Float64, _Float64, _Float64, int, float]: ...

class NotFiniteError(ValueError): ...

class Modes:
    def __init__(self, factor: _Float64, target: _Float64) -> None: ...

class TestRisk:
    def __init__(
        self,
        covariance: _Float64 | None,
        half_gradient: _Float64 | None,
        at_minimizer: float,
        modes: Modes | None,
        rest: float,
    ) -> None: ...

class Risk:
    def __init__(
        self,
        minimizer: _Float64,
        minimum: float,
        covariance: _Float64 | None,
        modes: Modes | None,
        test: TestRisk | None,
    ) -> None: ...

class SampleSet:
    def __init__(self, inputs: _Float64, targets: _Float64) -> None: ...

class Samples:
    def __init__(
        self, activation: str, loss: str, train: SampleSet, test: SampleSet | None
    ) -> None: ...

class Problem:
    def __init__(
        self, widths: Sequence[int], readout: _Float64, risk: Risk, samples: Samples | None
    ) -> None: ...

class Direction:
    def __init__(self, vector: _Float64) -> None: ...
    def expand(self, widths: Sequence[int]) -> _Float64: ...
    def __getstate__(self) -> tuple[_Float64, ...]: ...
    def __setstate__(self, state: tuple[_Float64, ...]) -> None: ...

def all_finite(vector: npt.NDArray[np.floating], threads: int) -> bool: ...
def end_to_end(problem: Problem, weights: _Float64, threads: int) -> _Float64: ...
def risk(problem: Problem, weights: _Float64, threads: int) -> float: ...
def gradient(problem: Problem, weights: _Float64, threads: int) -> _Float64: ...
def hessian_vector_product(
    problem: Problem, weights: _Float64, direction: _Float64, threads: int
) -> _Float64: ...
def hessian(problem: Problem, weights: _Float64, threads: int) -> _Float64: ...
def compressed_hessian(problem: Problem, weights: _Float64, threads: int) -> _Float64: ...
def hessian_trace(problem: Problem, weights: _Float64, threads: int) -> float: ...
def extreme_eigenvalues(
    problem: Problem,
    weights: _Float64,
    count: int,
    largest: bool,
    tolerance: float,
    max_products: int,
    start: Direction | None,
    threads: int,
) -> list[tuple[float, float, int, bool, Direction]]: ...
def spectral_density(
    problem: Problem, weights: _Float64, vectors: int, steps: int, seed: int, threads: int
) -> tuple[_Float64, _Float64, float]: ...
def statuses() -> dict[str, str]: ...
def methods() -> dict[str, str]: ...
def engines() -> dict[str, str]: ...
def rule_numbers() -> set[str]: ...
def activations() -> list[str]: ...
def losses() -> list[str]: ...
def observables() -> dict[str, tuple[str, tuple[str, ...], bool]]: ...
def record_lacks(problem: Problem, name: str) -> str | None: ...
def engine_lacks(problem: Problem, name: str) -> str | None: ...

class Fixed:
    def __init__(
        self,
        method: str,
        step: _Float64,
        last_step: _Float64,
        steps: _Int64,
        every: float,
        rules: Mapping[str, _Float64],
        done: _Int64 | None,
        states: Sequence[_Float64] | None,
        keep_states: bool,
    ) -> None: ...

class Adaptive:
    def __init__(
        self,
        method: str,
        time: float,
        every: float,
        first_step: _Float64,
        rtol: _Float64,
        atol: _Float64,
        max_steps: _Int64,
    ) -> None: ...

class Plan:
    def __init__(
        self,
        steps: Fixed | Adaptive,
        tolerance: float,
        threads: int,
        device: object | None = None,
    ) -> None: ...

class Outcome:
    status: npt.NDArray[np.int32]
    last_step: _Int64
    out_of_range_layer: npt.NDArray[np.int32]
    records: dict[str, _Float64]
    states: _Float64 | None
    accuracy: dict[str, tuple[float, int]]
    interrupted: bool
    engine: str

def simulate(
    problem: Problem,
    weights: npt.NDArray[np.floating],
    plan: Plan,
    engine: str,
    record: Sequence[tuple[str, int]],
    slots: int,
    visit: Callable[[int, int, _Float64], None] | None,
    progress: Callable[[float], None] | None,
) -> Outcome: ...
def preferred_engine(problem: Problem) -> str: ...
def device_table_version() -> int: ...
