"""What the literature claims of deep linear networks, held against what experiments measured.

Every row is computed from the data of an experiment alone, and which rows there are follows from
what was run and recorded, not from its name. The claims are those of Marion and Chizat, "Deep
linear networks for regression are implicitly regularized towards flat minima", NeurIPS 2024.

A claim is a module with a `Claim` by the name ``CLAIM``, and its line in the list below.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import xarray as xr

from deeplinear.experiments.claims import (
    almost_as_flat,
    conserved,
    edge_of_stability,
    few_samples,
    flow_from_residual_weights,
    flow_from_small_weights,
    no_flatter_minimizer,
    nonlinear,
)
from deeplinear.experiments.claims.claim import Claim, Row
from deeplinear.experiments.results.runs import CONVERGED, Runs

__all__ = ["ALL", "CLAIMS", "CONVERGED", "Claim", "Row", "rows"]

#: The claims, in their order.
ALL: tuple[Claim, ...] = (
    no_flatter_minimizer.CLAIM,
    almost_as_flat.CLAIM,
    flow_from_small_weights.CLAIM,
    flow_from_residual_weights.CLAIM,
    edge_of_stability.CLAIM,
    few_samples.CLAIM,
    nonlinear.CLAIM,
    conserved.CLAIM,
)

#: Their sentences by number.
CLAIMS: Mapping[int, str] = MappingProxyType({claim.number: claim.sentence for claim in ALL})


@np.errstate(over="ignore", under="ignore")
def rows(dataset: xr.Dataset) -> list[Row]:
    """Hold an experiment against what is claimed.

    Parameters
    ----------
    dataset : xarray.Dataset
        What `deeplinear.experiments.run.run` returned or `save` wrote.

    Returns
    -------
    list of Row
        In the order of the claims.
    """
    runs = Runs(dataset)
    if "sharpness" not in runs.recorded:
        return []
    return [row for claim in ALL for row in claim.rows(runs)]
