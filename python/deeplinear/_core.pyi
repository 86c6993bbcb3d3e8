from collections.abc import Callable, Sequence
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

def build_config() -> BuildConfig: ...
def multiply_add_rate(dtype: str, threads: int, seconds: float) -> float: ...
def memory_bandwidth(threads: int, bytes: int, repetitions: int) -> tuple[float, float]: ...

_Float64 = npt.NDArray[np.float64]
_Int64 = npt.NDArray[np.int64]

def least_squares_modes(
    columns: _Float64, y: _Float64, start: _Float64, tall: bool, rounding: float
) -> tuple[_Float64, _Float64, _Float64, _Float64, int, float]: ...

class NotFiniteError(ValueError): ...

class Problem:
    def __init__(
        self,
        widths: Sequence[int],
        readout: _Float64,
        minimizer: _Float64,
        minimum_risk: float,
        covariance: _Float64 | None,
        factor: _Float64 | None,
        target: _Float64 | None,
        test_covariance: _Float64 | None,
        test_half_gradient: _Float64 | None,
        test_risk_at_minimizer: float,
        test_factor: _Float64 | None,
        test_target: _Float64 | None,
        test_rest: float,
        activation: str | None,
        inputs: _Float64 | None,
        targets: _Float64 | None,
        test_inputs: _Float64 | None,
        test_targets: _Float64 | None,
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

class SimulationResult(TypedDict):
    status: npt.NDArray[np.int32]
    last_step: _Int64
    out_of_range_layer: npt.NDArray[np.int32]
    records: dict[str, _Float64]
    sharpness_residual: float
    unconverged: int
    interrupted: bool
    wide: bool

def simulate(
    problem: Problem,
    weights: npt.NDArray[np.floating],
    method: str,
    step: _Float64,
    steps: _Int64,
    last_step: _Float64,
    time: float,
    rtol: _Float64,
    atol: _Float64,
    max_steps: _Int64,
    every: float,
    records: int,
    record: Sequence[str],
    tolerance: float,
    threads: int,
    engine: str,
    progress: Callable[[float], None] | None,
) -> SimulationResult: ...
