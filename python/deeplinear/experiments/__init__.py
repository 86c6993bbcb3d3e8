"""The laboratory: experiments as data, their results, figures, claims and reports.

It reads the library through its public names. What is not asked for is not loaded: the command
line, which lives here, says its version without NumPy, and its help without xarray. So presets
take public names from their modules, as the package itself loads all of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deeplinear.experiments.data import Data, FileData, GaussianData, Problem, SpectralData
    from deeplinear.experiments.figures import FIGURE_NAMES, FIGURE_NEEDS
    from deeplinear.experiments.preset import Architecture, Preset, Training

__all__ = [
    "FIGURE_NAMES",
    "FIGURE_NEEDS",
    "Architecture",
    "Data",
    "FileData",
    "GaussianData",
    "Preset",
    "Problem",
    "SpectralData",
    "Training",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.preset"), name)
