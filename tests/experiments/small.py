"""Small versions of the package's experiments, run once for all tests of a process."""

from functools import cache

import xarray as xr

from deeplinear.experiments import run as reproduce
from deeplinear.experiments.library import PRESETS


@cache
def quick_of(name: str) -> xr.Dataset:
    """Return the data of an experiment's small version; not to be changed."""
    return reproduce.run(PRESETS[name].quick(), progress=False)


def of_rate(dataset: xr.Dataset, rate: float) -> xr.Dataset:
    """Return the runs of a learning rate."""
    return dataset.isel(run=dataset.learning_rate.values == rate)
