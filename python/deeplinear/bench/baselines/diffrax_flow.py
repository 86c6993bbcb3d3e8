"""diffrax: adaptive Dopri5 of every run of a batch, by vmap.

The steps are not stored (``max_steps=None``) and only the end is saved. A batch takes as many
iterations as its slowest run. Writing the layers out instead of scanning them makes no difference.
"""

from __future__ import annotations

import diffrax
import jax

from deeplinear.bench.baselines import Job
from deeplinear.bench.baselines.jax_chain import Weights, flow_field, initial, layers, over_runs
from deeplinear.bench.problems import Problem


def adaptive_flow(problem: Problem, rtol: float, atol: float, *, shard: bool = False) -> Job:
    """Solve from the start to a time, which `run` takes."""
    field = flow_field(problem, "float64", unroll=False)

    def flow(weights: Weights, time: jax.Array) -> Weights:
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, weights, _: field(weights)),
            diffrax.Dopri5(),
            t0=0.0,
            t1=time,
            dt0=None,
            y0=weights,
            stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol),
            saveat=diffrax.SaveAt(t1=True),
            max_steps=None,
            throw=False,
        )
        return jax.tree.map(lambda saved: saved[0], solution.ys)

    compiled = over_runs(flow, shard)
    start = initial(problem, "float64", shard)
    return Job(lambda time: jax.block_until_ready(compiled(start, time)), layers)
