"""What an expert would otherwise write: one file per technique, the strongest of several forms.

Beside them stand the forms that one writes first. Every function takes a problem and returns a job
whose ``run`` does the work alone: compilation, layouts and copies are done before it. The libraries
are imported by the modules that need them alone.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from deeplinear.bench.problems import Array

__all__ = [
    "ADAPTIVE_FLOW",
    "BENT_NETWORK_DESCENT",
    "BENT_NETWORK_SHARPNESS",
    "GELU_GRADIENT_DESCENT",
    "GELU_SHARPNESS",
    "GRADIENT_DESCENT",
    "ONE_NETWORK",
    "ONE_NETWORK_SHARPNESS",
    "RUNGE_KUTTA",
    "SHARPNESS",
    "Job",
    "Technique",
    "Unavailable",
    "processors",
]


class Unavailable(Exception):
    """A technique cannot be used here; the sentence says why."""


@dataclass(frozen=True)
class Job:
    """Work to be timed.

    Parameters
    ----------
    run : callable
        Called with so many steps or so much time; it may continue where it was.
    weights : callable
        From what `run` returned to L arrays (runs, d_k, d_{k-1}).
    """

    run: Callable[[Any], Any]
    weights: Callable[[Any], list[Array]]


@dataclass(frozen=True)
class Technique:
    """A function of this package, by name, with the options that make it this technique.

    Parameters
    ----------
    module, function : str
        Where it is.
    libraries : tuple of str, optional
        What has to be installed.
    options : dict, optional
        The function's keywords.
    """

    module: str
    function: str
    libraries: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def absent(self) -> tuple[str, ...]:
        """The libraries that are not installed."""
        return tuple(name for name in self.libraries if find_spec(name) is None)

    def prepare(self, *arguments: Any) -> Any:
        """Call the function.

        Raises
        ------
        Unavailable
            If a library is absent, or the technique is not for such a problem.
        """
        if self.absent:
            raise Unavailable(
                f"{' and '.join(self.absent)} can't be imported here; "
                "pip install 'deeplinear[benchmark]' brings what is compared with."
            )
        module = importlib.import_module(f"{__name__}.{self.module}")
        return getattr(module, self.function)(*arguments, **self.options)


def processors() -> int:
    """Count the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


NUMBA, JAX, DIFFRAX = ("numba",), ("jax",), ("jax", "diffrax")
EIGSH, TORCH, TORCH_EIGSH, JAX_EIGSH = ("scipy",), ("torch",), ("torch", "scipy"), ("jax", "scipy")


def _jax_runs(module: str, function: str) -> dict[str, Technique]:
    """All runs at once, as JAX trains them."""
    return {
        "JAX, vmap + scan": Technique(module, function, JAX),
        "JAX, vmap + scan, sharded over cores": Technique(module, function, JAX, {"shard": True}),
        "JAX, vmap + unrolled, sharded over cores": Technique(
            module, function, JAX, {"shard": True, "unroll": True}
        ),
    }


def _torch_eigsh(**options: Any) -> dict[str, Technique]:
    """Autograd's Hessian products of one thread; the graph is made once for each, or once."""

    def technique(keep_graph: bool) -> Technique:
        settings = {"keep_graph": keep_graph, "threads": 1, **options}
        return Technique("torch_eigsh", "sharpness", TORCH_EIGSH, settings)

    return {
        "PyTorch + eigsh": technique(False),
        "PyTorch + eigsh, graph kept": technique(True),
    }


GRADIENT_DESCENT = {
    "NumPy, runs last": Technique("numpy_runs_last", "gradient_descent"),
    "Numba, plain loops": Technique("numba_runs", "gradient_descent", NUMBA),
    "Numba, plain loops, width compiled in": Technique(
        "numba_runs", "gradient_descent", NUMBA, {"fixed": True}
    ),
    "Numba, loops over lanes": Technique("numba_lanes", "gradient_descent", NUMBA),
    **_jax_runs("jax_chain", "gradient_descent"),
    "JAX, vmap + scan, autodiff": Technique(
        "jax_chain", "gradient_descent", JAX, {"autodiff": True}
    ),
}

RUNGE_KUTTA = _jax_runs("jax_chain", "runge_kutta")

ADAPTIVE_FLOW = {
    "diffrax, Dopri5": Technique("diffrax_flow", "adaptive_flow", DIFFRAX),
    "diffrax, Dopri5, sharded over cores": Technique(
        "diffrax_flow", "adaptive_flow", DIFFRAX, {"shard": True}
    ),
}

GELU_GRADIENT_DESCENT = {
    "Numba, plain loops": Technique("numba_gelu_runs", "gradient_descent", NUMBA),
    "Numba, loops over samples": Technique("numba_gelu_samples", "gradient_descent", NUMBA),
    "Numba, loops over samples, exp written out": Technique(
        "numba_gelu_samples", "gradient_descent", NUMBA, {"written_exp": True}
    ),
    **_jax_runs("jax_gelu", "gradient_descent"),
    "JAX, vmap + unrolled, sharded over cores, blocks of runs, own GELU": Technique(
        "jax_gelu",
        "gradient_descent",
        JAX,
        {"shard": True, "unroll": True, "saved_slope": True, "block": 32},
    ),
}

SHARPNESS = {
    **_torch_eigsh(),
    "NumPy, dense eigvalsh": Technique("numpy_dense", "sharpness", ("threadpoolctl",)),
}

GELU_SHARPNESS = {
    **_torch_eigsh(activation="gelu"),
    "JAX + eigsh": Technique("jax_eigsh", "sharpness", JAX_EIGSH, {"activation": "gelu"}),
}

# Gradient steps of one large network
ONE_NETWORK = {
    "NumPy, over the samples": Technique("numpy_samples", "gradient_descent"),
    "NumPy, vector chain, BLAS in place": Technique("numpy_blas", "gradient_descent", EIGSH),
    "Numba, plain loops": Technique("numba_network", "gradient_descent", NUMBA),
    "Numba, SIMD loops": Technique("numba_network", "gradient_descent", NUMBA, {"fastmath": True}),
    "Numba, SIMD loops, prange": Technique(
        "numba_network", "gradient_descent", NUMBA, {"fastmath": True, "parallel": True}
    ),
    "JAX, grad over the samples": Technique("jax_network", "samples", JAX),
    "JAX, vector chain by scan, donated": Technique("jax_network", "vector_chain", JAX),
    "PyTorch, autograd over the samples": Technique("torch_network", "samples", TORCH),
    "PyTorch, vector chain in place": Technique("torch_network", "vector_chain", TORCH),
}

# Sharpness of one large network
ONE_NETWORK_SHARPNESS = {
    "NumPy, Hessian products + eigsh": Technique("numpy_eigsh", "sharpness", EIGSH),
    "JAX, jvp of grad + eigsh": Technique("jax_eigsh", "sharpness", JAX_EIGSH),
    "PyTorch, autograd twice + eigsh": Technique(
        "torch_eigsh", "sharpness", TORCH_EIGSH, {"keep_graph": False}
    ),
    "PyTorch, autograd twice + eigsh, graph kept": Technique(
        "torch_eigsh", "sharpness", TORCH_EIGSH, {"keep_graph": True}
    ),
}

# The same of one network with tanh after every layer but the last
BENT_NETWORK_DESCENT = {
    "JAX, grad over the samples, all steps compiled": Technique("jax_network", "bent_samples", JAX),
    "PyTorch, autograd over the samples": Technique("torch_network", "bent_samples", TORCH),
}

BENT_NETWORK_SHARPNESS = {
    "JAX, jvp of grad + eigsh": Technique(
        "jax_eigsh", "sharpness", JAX_EIGSH, {"activation": "tanh"}
    ),
    "PyTorch, autograd twice + eigsh": Technique(
        "torch_eigsh", "sharpness", TORCH_EIGSH, {"keep_graph": False, "activation": "tanh"}
    ),
    "PyTorch, autograd twice + eigsh, graph kept": Technique(
        "torch_eigsh", "sharpness", TORCH_EIGSH, {"keep_graph": True, "activation": "tanh"}
    ),
}
