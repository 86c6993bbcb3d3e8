"""Deep linear networks: training dynamics of ensembles, and the sharpness of where they end."""

from __future__ import annotations

from deeplinear import init, theory
from deeplinear._core import build_config
from deeplinear.density import SpectralDensity
from deeplinear.dynamics import GradientDescent, GradientFlow
from deeplinear.landscape import Landscape, Sharpness
from deeplinear.network import Network
from deeplinear.options import RECORDABLE
from deeplinear.regression import Regression, gaussian_regression
from deeplinear.simulation import Interrupted, simulate
from deeplinear.sweeps import sweep

__version__: str = build_config()["version"]

__all__ = [
    "RECORDABLE",
    "GradientDescent",
    "GradientFlow",
    "Interrupted",
    "Landscape",
    "Network",
    "Regression",
    "Sharpness",
    "SpectralDensity",
    "__version__",
    "build_config",
    "gaussian_regression",
    "init",
    "simulate",
    "sweep",
    "theory",
]
