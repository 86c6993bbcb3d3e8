"""JAX: float64, and one device for each processor; to be set before JAX is used."""

from __future__ import annotations

import jax

from deeplinear.bench.baselines import processors


def set_up() -> None:
    """Set it, again without effect."""
    if not jax.config.jax_enable_x64:
        jax.config.update("jax_enable_x64", True)
        jax.config.update("jax_num_cpu_devices", processors())
