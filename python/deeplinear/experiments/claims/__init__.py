"""What the literature claims of deep linear networks, held against what experiments measured.

Every row is computed from the data of an experiment alone, and which rows there are follows from
what was run and recorded, not from its name. Where a claim needs a threshold, the row says it in
words. The claims are those of Marion and Chizat, "Deep linear networks for regression are
implicitly regularized towards flat minima", NeurIPS 2024.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import numpy as np
import xarray as xr

from deeplinear.experiments.claims.descent import (
    beyond_the_edge,
    divergence,
    follows_flow,
    gap,
    growth,
    plateau,
    same_from_small,
    same_path,
)
from deeplinear.experiments.claims.flow import (
    alignment,
    conserved,
    residual_constant,
    rise,
    small_scale_bound,
)
from deeplinear.experiments.claims.minimizers import (
    bound,
    depth_limit,
    flattest,
    spectrum,
    thresholds,
    too_fast,
)
from deeplinear.experiments.claims.runs import CONVERGED, Row, Runs

__all__ = ["CLAIMS", "CONVERGED", "Row", "rows"]

#: The claims by number.
CLAIMS: Mapping[int, str] = MappingProxyType(
    {
        1: "No minimizer is flatter than 2La, so descent with a rate above 1/(La) settles on none.",
        2: "There are minimizers almost as flat: the aligned ones, whose ratio to 2La goes to 1 "
        "with L.",
        3: "Flow from small weights ends below 8L Lambda, with layers that become rank one and "
        "align; the sharpness rises on the way.",
        4: "Flow from residual weights ends at a sharpness within a constant of L Lambda, which "
        "depends on the scale of the weights and not on the depth.",
        5: "From small weights the final sharpness of descent does not depend on the learning "
        "rate; from larger ones it grows to 2/eta, and no further; then runs diverge.",
        6: "With fewer samples than inputs the picture is the same, and the generalization gap "
        "grows with the sharpness.",
        7: "Nonlinear networks show the same picture, with the bounds of linear ones as guides.",
        8: "Flow conserves the differences of neighbouring layers; descent does not.",
    }
)


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
    found = _rows(Runs(dataset, str(dataset.attrs["experiment"])))
    return sorted(found, key=lambda row: row.claim)


def _rows(runs: Runs) -> Iterator[Row]:
    recorded = runs.recorded
    if "sharpness" not in recorded:
        return
    gaussian = runs.data.attrs["init"] == "Gaussian"
    flow, descent = runs.only(runs.flow), runs.only(~runs.flow)
    if runs.linear:
        yield from bound(runs)
        yield from too_fast(descent)
        yield from thresholds(descent)
        yield from depth_limit(runs)
        if "condition" in runs.data.coords:
            yield from spectrum(flow)
        elif gaussian and len(flow.scales) > 2:
            yield from flattest(flow)
            yield from small_scale_bound(flow)
            yield from rise(flow)
            if {"rank_one_gap", "alignment"} <= recorded:
                yield from alignment(flow)
        if not gaussian and flow.count:
            yield from residual_constant(flow)
        if flow.count and descent.count:
            yield from follows_flow(runs)
            if "balancedness" in recorded:
                yield from conserved(runs)
            if "flow-and-descent" in str(runs.data.attrs["figures"]).split():
                yield from same_path(runs)
    if descent.count and len(descent.scales) > 2 and len(descent.rates) > 1:
        number = descent.picture
        if gaussian:
            yield from same_from_small(number, descent)
        yield from growth(number, descent)
        yield from plateau(number, descent)
        yield from beyond_the_edge(number, descent)
        yield from divergence(number, descent)
    if "test_risk" in recorded and int(runs.data.attrs["n"]) < int(runs.data.attrs["d"]):
        yield from gap(descent)
