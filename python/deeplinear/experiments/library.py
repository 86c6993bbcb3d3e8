"""The experiments of the literature, and what its theory says, as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import numpy as np

from deeplinear.dynamics import GradientDescent, GradientFlow
from deeplinear.experiments.preset import Architecture, GaussianData, Preset, SpectralData, Training
from deeplinear.init import Gaussian, Residual

__all__ = ["PAPER", "PLAIN", "PRESETS", "THEORY"]

_SAMPLES = GaussianData(n=50, d=5, noise=1.0)
_BY_SCALE = ("sharpness", "distance", "divergence")


def _descent(*parts: tuple[float, int, int]) -> tuple[Training, ...]:
    """Gradient descent at several (learning rate, steps, runs)."""
    return tuple(Training(GradientDescent(rate), runs, steps=steps) for rate, steps, runs in parts)


def _curves(steps: int) -> tuple[Training, ...]:
    """One run at each of two learning rates, recorded along the way."""
    return (Training(GradientDescent((0.02, 0.1)), runs=1, steps=steps, every=5),)


#: The first experiment: 1,600 runs, 13.2 million steps.
PLAIN = Preset(
    name="plain",
    title="plain networks from Gaussian weights",
    data=_SAMPLES,
    network=Architecture("plain"),
    init=Gaussian(np.linspace(0.25, 0.6, 10)),
    training=_descent(
        (0.005, 40_000, 20),
        (0.02, 10_000, 20),
        (0.07, 4_000, 20),
        (0.1, 4_000, 20),
        (0.2, 2_000, 80),
    ),
    figures=_BY_SCALE,
)

#: The experiments of Marion and Chizat (NeurIPS 2024): 95.3 million steps of gradient descent.
PAPER = (
    PLAIN,
    Preset(
        name="plain-curves",
        title="plain networks along training",
        data=_SAMPLES,
        network=Architecture("plain"),
        init=Gaussian(0.35),
        training=_curves(450),
        figures=("curves",),
    ),
    Preset(
        name="residual",
        title="residual networks from near the identity",
        data=_SAMPLES,
        network=Architecture("residual"),
        init=Residual(np.linspace(0, 1.7, 10)),
        training=_descent(*((rate, 4_000, 20) for rate in (0.005, 0.02, 0.07, 0.1, 0.2))),
        figures=_BY_SCALE,
    ),
    Preset(
        name="residual-curves",
        title="residual networks along training",
        data=_SAMPLES,
        network=Architecture("residual"),
        init=Residual(0.5),
        training=_curves(400),
        figures=("curves",),
    ),
    Preset(
        name="residual-depths",
        title="residual networks of several depths against the learning rate",
        data=_SAMPLES,
        network=Architecture("residual", depths=(5, 10, 20, 40)),
        init=Residual(0.25),
        training=(Training(GradientDescent(np.logspace(-2, -0.3, 25)), runs=50, steps=1_000),),
        figures=("depths",),
    ),
    Preset(
        name="underdetermined",
        title="plain networks with fewer samples than inputs",
        data=GaussianData(n=15, d=20, noise=1.0),
        network=Architecture("plain", depths=(5,)),
        init=Gaussian(np.linspace(0.1, 0.36, 9)),
        training=_descent((0.001, 40_000, 100), (0.004, 10_000, 20), (0.01, 4_000, 20)),
        record=("risk", "test_risk", "distance", "sharpness"),
        figures=(*_BY_SCALE, "generalization"),
    ),
    Preset(
        name="gelu",
        title="GELU networks from Gaussian weights",
        data=GaussianData(n=50, d=5, noise=0.0),
        network=Architecture("plain", activation="gelu"),
        init=Gaussian(np.linspace(0.428, 0.7, 8)),
        training=_descent((0.005, 160_000, 20), (0.02, 40_000, 20), (0.07, 16_000, 20)),
        record=("risk", "sharpness"),
        figures=("sharpness", "divergence"),
    ),
)


# The error that adaptive steps leave at a minimizer grows with rtol: it must be well below the
# excess risk that a run stops at, or the run never stops.
_FLOW = GradientFlow("dopri5", rtol=1e-8, atol=1e-11)
_PRECISE_FLOW = GradientFlow("dopri5", rtol=1e-10, atol=1e-13)


def _flow_and_descent(dt: float, records: int, divisors: Iterable[int]) -> Iterable[Training]:
    """Follow the flow, and descend at every dt / k; all are recorded at the same times."""
    flow = GradientFlow("dopri5", rtol=1e-9, atol=1e-12)
    yield Training(flow, runs=5, time=dt * records, every=dt)
    for k in divisors:
        yield Training(GradientDescent(dt / k), runs=5, steps=k * records, every=k)


#: What the theory of the same paper says, and its experiments do not show.
THEORY = (
    Preset(
        name="alignment",
        title="layers become rank one and align, from small weights",
        data=_SAMPLES,
        network=Architecture("plain"),
        init=Gaussian((0.15, 0.175, 0.2, 0.225, 0.25, 0.3, 0.35, 0.4)),
        training=(
            # from one scale along time, by the flow and by descent with small steps
            Training(_FLOW, runs=10, time=200.0, every=1.0, scale=0.2),
            Training(GradientDescent(0.005), runs=10, steps=40_000, every=200, scale=0.2),
            # From the smallest scales it takes a time of some 1,000 to leave the saddle at zero,
            # rarely several times that; who has arrived stops.
            Training(_FLOW, runs=20, time=20_000.0, tolerance=1e-12),
            Training(GradientDescent(0.005), runs=20, steps=4_000_000, tolerance=1e-12),
        ),
        record=(
            "risk",
            "distance",
            "sharpness",
            "layer_norm",
            "rank_one_gap",
            "alignment",
            "balancedness",
        ),
        figures=("alignment-curves", "alignment-scales"),
    ),
    Preset(
        name="flow-and-descent",
        title="gradient flow and gradient descent on one time axis",
        data=_SAMPLES,
        network=Architecture("plain"),
        init=Gaussian(0.35),
        training=tuple(_flow_and_descent(0.2, 300, (2, 3, 4, 5, 6, 8, 10, 16, 32, 64))),
        record=("risk", "distance", "sharpness", "balancedness"),
        figures=("flow-and-descent",),
    ),
    Preset(
        name="residual-theory",
        title="gradient flow of residual networks over depth",
        data=_SAMPLES,
        network=Architecture("residual", depths=(5, 10, 20, 50, 100, 200, 500, 1000)),
        init=Residual((0.0, 0.25, 0.5, 1.0, 1.5, 2.0)),
        # Most runs arrive before time 5. From scale 2 the sharpness may be above 100,000: steps
        # are so short there that a longer time would cost minutes.
        training=(Training(_PRECISE_FLOW, runs=10, time=20.0, tolerance=1e-10),),
        figures=("depth-scaling",),
    ),
    Preset(
        name="tightness",
        title="final sharpness against the spectrum of the data",
        data=SpectralData(n=50, d=5, condition=(1, 2, 5, 10, 20, 50, 100), along=("top", "bottom")),
        network=Architecture("plain"),
        init=Gaussian(0.2),
        # Along an eigenvector of eigenvalue 0.01 it takes a time of up to some 10,000 to leave the
        # saddle at zero, in steps that grow with it.
        training=(Training(_FLOW, runs=10, time=1e6, tolerance=1e-12),),
        figures=("tightness",),
    ),
)

#: The presets by name.
PRESETS: Mapping[str, Preset] = MappingProxyType({p.name: p for p in (*PAPER, *THEORY)})
