"""Deep linear networks: training dynamics of ensembles, and the sharpness of where they end."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

# Before NumPy: it refuses a subinterpreter, in which NumPy may be loaded once.
from deeplinear._core import build_config

if TYPE_CHECKING:
    from deeplinear import data, init, theory
    from deeplinear.description import Sweep
    from deeplinear.device import Device, devices
    from deeplinear.dynamics import GradientDescent, GradientFlow
    from deeplinear.landscape import Landscape
    from deeplinear.landscapes import Landscapes
    from deeplinear.network import Network
    from deeplinear.networks import Networks
    from deeplinear.options import STATUS
    from deeplinear.records import RECORDABLE
    from deeplinear.regression import Regression, gaussian_regression
    from deeplinear.resumption import resume
    from deeplinear.runs import sweep_runs
    from deeplinear.simulation import Interrupted, simulate
    from deeplinear.spectrum import Sharpness, SpectralDensity
    from deeplinear.sweep_files import read_sweep
    from deeplinear.sweeps import open_tree, refine, run_sweep, sweep

__version__: str = build_config()["version"]

__all__ = [
    "RECORDABLE",
    "STATUS",
    "Device",
    "GradientDescent",
    "GradientFlow",
    "Interrupted",
    "Landscape",
    "Landscapes",
    "Network",
    "Networks",
    "Regression",
    "Sharpness",
    "SpectralDensity",
    "Sweep",
    "__version__",
    "build_config",
    "data",
    "devices",
    "gaussian_regression",
    "init",
    "open_tree",
    "read_sweep",
    "refine",
    "resume",
    "run_sweep",
    "simulate",
    "sweep",
    "sweep_runs",
    "theory",
]

# The modules whose names are names of the package. All are imported when one of these is first
# asked for, so that no later call takes longer than the next. What only shows a version or a help
# asks for none, and loads neither NumPy nor xarray.
_MODULES = {
    "spectrum": ("Sharpness", "SpectralDensity"),
    "data": (),
    "description": ("Sweep",),
    "device": ("Device", "devices"),
    "dynamics": ("GradientDescent", "GradientFlow"),
    "init": (),
    "landscape": ("Landscape",),
    "landscapes": ("Landscapes",),
    "network": ("Network",),
    "networks": ("Networks",),
    "options": ("STATUS",),
    "records": ("RECORDABLE",),
    "regression": ("Regression", "gaussian_regression"),
    "runs": ("sweep_runs",),
    "resumption": ("resume",),
    "simulation": ("Interrupted", "simulate"),
    "sweep_files": ("read_sweep",),
    "sweeps": ("open_tree", "refine", "run_sweep", "sweep"),
    "theory": (),
}

if not TYPE_CHECKING:  # a type checker sees the imports above, and no other names

    def __getattr__(name: str) -> object:
        if name not in _MODULES and name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        for module, names in _MODULES.items():
            home = import_module(f"{__name__}.{module}")
            globals().update({module: home, **{key: getattr(home, key) for key in names}})
        return globals()[name]

    def __dir__() -> list[str]:
        return sorted({*globals(), *_MODULES, *__all__})
