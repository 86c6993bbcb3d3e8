"""What an expert would otherwise write: one file per technique, the strongest of several forms.

Every function takes a problem and returns a job whose ``run`` does the work alone: compilation,
layouts and copies are done before it. A library that is absent skips the tests that need it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from numpy.typing import NDArray


@dataclass(frozen=True)
class Job:
    """Work to be timed: ``run(amount)`` for so many steps or so much time; it may continue."""

    run: Callable[[Any], Any]
    weights: Callable[
        [Any], list[NDArray]
    ]  # of what ``run`` returned: L arrays (runs, d_k, d_{k-1})


@dataclass(frozen=True)
class Technique:
    """A function of this package, by name, with the options that make it this technique."""

    module: str
    function: str
    library: str | None = None
    options: tuple[tuple[str, Any], ...] = ()

    def prepare(self, *arguments: Any) -> Any:
        if self.library is not None:
            hint = f"{self.library} is absent; pip install 'deeplinear[benchmark]' brings it"
            pytest.importorskip(self.library, reason=hint)
        module = importlib.import_module(f".{self.module}", __name__)
        return getattr(module, self.function)(*arguments, **dict(self.options))


GRADIENT_DESCENT = {
    "NumPy, runs last": Technique("numpy_runs_last", "gradient_descent"),
    "Numba, plain loops": Technique("numba_runs", "gradient_descent", "numba"),
    "Numba, plain loops, width compiled in": Technique(
        "numba_runs", "gradient_descent", "numba", (("fixed", True),)
    ),
    "Numba, loops over lanes": Technique("numba_lanes", "gradient_descent", "numba"),
    "JAX, vmap + scan": Technique("jax_chain", "gradient_descent", "jax"),
    "JAX, vmap + scan, autodiff": Technique(
        "jax_chain", "gradient_descent", "jax", (("autodiff", True),)
    ),
    "JAX, vmap + scan, sharded over cores": Technique(
        "jax_chain", "gradient_descent", "jax", (("shard", True),)
    ),
    "JAX, vmap + unrolled, sharded over cores": Technique(
        "jax_chain", "gradient_descent", "jax", (("shard", True), ("unroll", True))
    ),
}

RUNGE_KUTTA = {
    "JAX, vmap + scan": Technique("jax_chain", "runge_kutta", "jax"),
    "JAX, vmap + scan, sharded over cores": Technique(
        "jax_chain", "runge_kutta", "jax", (("shard", True),)
    ),
    "JAX, vmap + unrolled, sharded over cores": Technique(
        "jax_chain", "runge_kutta", "jax", (("shard", True), ("unroll", True))
    ),
}

ADAPTIVE_FLOW = {
    "diffrax, Dopri5": Technique("diffrax_flow", "adaptive_flow", "diffrax"),
    "diffrax, Dopri5, sharded over cores": Technique(
        "diffrax_flow", "adaptive_flow", "diffrax", (("shard", True),)
    ),
}

GELU_GRADIENT_DESCENT = {
    "Numba, plain loops": Technique("numba_gelu_runs", "gradient_descent", "numba"),
    "Numba, loops over samples": Technique("numba_gelu_samples", "gradient_descent", "numba"),
    "Numba, loops over samples, exp written out": Technique(
        "numba_gelu_samples", "gradient_descent", "numba", (("written_exp", True),)
    ),
    "JAX, vmap + scan": Technique("jax_gelu", "gradient_descent", "jax"),
    "JAX, vmap + scan, sharded over cores": Technique(
        "jax_gelu", "gradient_descent", "jax", (("shard", True),)
    ),
    "JAX, vmap + unrolled, sharded over cores": Technique(
        "jax_gelu", "gradient_descent", "jax", (("shard", True), ("unroll", True))
    ),
    "JAX, vmap + unrolled, sharded over cores, blocks of runs, own GELU": Technique(
        "jax_gelu",
        "gradient_descent",
        "jax",
        (("shard", True), ("unroll", True), ("saved_slope", True), ("block", 32)),
    ),
}

SHARPNESS = {
    "PyTorch + eigsh": Technique("torch_eigsh", "sharpness", "torch", (("keep_graph", False),)),
    "PyTorch + eigsh, graph kept": Technique(
        "torch_eigsh", "sharpness", "torch", (("keep_graph", True),)
    ),
    "NumPy, dense eigvalsh": Technique("numpy_dense", "sharpness", "threadpoolctl"),
}

GELU_SHARPNESS = {
    "PyTorch + eigsh": Technique(
        "torch_eigsh", "sharpness", "torch", (("keep_graph", False), ("gelu", True))
    ),
    "PyTorch + eigsh, graph kept": Technique(
        "torch_eigsh", "sharpness", "torch", (("keep_graph", True), ("gelu", True))
    ),
    "JAX + eigsh": Technique("jax_eigsh", "gelu_sharpness", "jax"),
}
