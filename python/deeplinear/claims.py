"""What the literature claims of deep linear networks, held against what experiments measured.

Every row is computed from the data of an experiment alone. Where a claim needs a threshold, the row
says it in words. The claims are those of Marion and Chizat, "Deep linear networks for regression
are implicitly regularized towards flat minima", NeurIPS 2024.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xarray as xr

from deeplinear.checks import FloatArray
from deeplinear.figures.generalization import gap_and_sharpness
from deeplinear.figures.statistics import regression_line
from deeplinear.figures.training import deviation_from_flow

__all__ = ["CLAIMS", "Row", "rows"]

#: The claims by number.
CLAIMS: Mapping[int, str] = {
    1: "No minimizer is flatter than 2La, so descent with a rate above 1/(La) settles on none.",
    2: "There are minimizers almost as flat: the aligned ones, whose ratio to 2La tends to 1.",
    3: "Flow from small weights ends below 8L Lambda, with aligned layers close to rank one; "
    "the sharpness rises on the way.",
    4: "Flow from residual weights ends at a sharpness within a constant of L Lambda, which "
    "depends on the scale of the weights and not on the depth.",
    5: "From small weights the final sharpness of descent does not depend on the learning rate; "
    "from larger ones it grows to 2/eta, and no further; then runs diverge.",
    6: "With fewer samples than inputs the picture is the same, and the generalization gap grows "
    "with the sharpness.",
    7: "Nonlinear networks show the same picture, with the bounds of linear ones as guides.",
    8: "Flow conserves the differences of neighbouring layers; descent does not.",
}

Mask = npt.NDArray[np.bool_]

#: "Converged" where the sharpness at the end must be that of the minimizer: the excess risk is at
#: most this share of the zero map's.
CONVERGED = 1e-12


@dataclass(frozen=True)
class Row:
    """One expectation and what was measured.

    Attributes
    ----------
    claim : int
        Number of the claim, of `CLAIMS`.
    experiment : str
        Whose data it is from.
    quantity, expected, measured : str
        In words and numbers.
    agrees : bool or None
        None where the data can't tell.
    """

    claim: int
    experiment: str
    quantity: str
    expected: str
    measured: str
    agrees: bool | None


def _end(dataset: xr.Dataset, name: str) -> FloatArray:
    return np.asarray(dataset[name].isel(record=-1).values)


def _where(dataset: xr.Dataset, mask: Mask) -> xr.Dataset:
    return dataset.isel(run=np.flatnonzero(mask))


def _is_flow(dataset: xr.Dataset) -> Mask:
    return np.asarray(np.isnan(dataset["learning_rate"].values))


def _converged(dataset: xr.Dataset) -> Mask:
    """Tell the runs whose excess risk, at the end and before it, is at most `CONVERGED`."""
    # |X w*|^2 / n, the excess risk of the zero map, by problem
    outputs = np.einsum("psi,pi->ps", dataset["X"].values, dataset["minimizer"].values)
    zero = (outputs**2).mean(axis=1)
    latest = np.fmax(_end(dataset, "risk"), dataset["risk_before_end"].values)
    excess = latest - dataset["minimum_risk"].values
    return np.asarray(
        dataset["reached"].values & (excess <= CONVERGED * zero[dataset["problem"].values])
    )


def _edge(dataset: xr.Dataset) -> FloatArray:
    """Compute the final sharpness over 2 / learning rate."""
    return np.asarray(_end(dataset, "sharpness") * dataset["learning_rate"].values / 2)


def _lower_bound(name: str, data: xr.Dataset) -> Iterable[Row]:
    """Claim 1 for one experiment: the bound, and the learning rates above it."""
    reached = _where(data, data["reached"].values)
    if "sharpness" in data and reached.sizes["run"]:
        ratio = (_end(reached, "sharpness") / reached["sharpness_lower_bound"].values).min()
        yield Row(
            1,
            name,
            f"smallest final sharpness over 2La, of the {reached.sizes['run']:,} runs that reached "
            "a minimizer",
            "at least 1",
            f"{ratio:.4g}",
            bool(ratio >= 1 - 1e-3),
        )
    above = data["learning_rate"].values > data["critical_learning_rate"].values
    if above.any():
        count = int(data["reached"].values[above].sum())
        yield Row(
            1,
            name,
            f"runs that reached a minimizer, of {int(above.sum()):,} with a rate above 1/(La)",
            "0",
            f"{count:,}",
            count == 0,
        )


def _thresholds(name: str, data: xr.Dataset) -> Iterable[Row]:
    """Claim 1: between which two learning rates of the grid most runs cease to reach."""
    for depth in np.unique(data["depth"].values):
        runs = _where(data, data["depth"].values == depth)
        rates = np.unique(runs["learning_rate"].values)
        any_reached = [
            bool(runs["reached"].values[runs["learning_rate"] == r].any()) for r in rates
        ]
        last = int(np.flatnonzero(any_reached)[-1]) if any(any_reached) else -1
        critical = float(runs["critical_learning_rate"][0])
        following = rates[last + 1] if last + 1 < len(rates) else np.inf
        grid = float(rates[1] / rates[0]) if len(rates) > 1 else 1.0
        low = rates[last] if last >= 0 else 0.0
        yield Row(
            1,
            name,
            f"largest learning rate that reached a minimizer at L = {depth}, and the next on the "
            f"grid (factor {grid:.3g})",
            f"1/(La) = {critical:.4g}, at most a factor {grid:.3g} off",
            f"{low:.4g}, {following:.4g}",
            bool(low <= critical and following * grid >= critical),
        )


def _flattest(name: str, data: xr.Dataset) -> Iterable[Row]:
    """Claim 2, from the runs that reached a minimizer from the smallest scale."""
    runs = _where(data, data["reached"].values & _is_flow(data))
    runs = _where(runs, runs["scale"].values == runs["scale"].values.min())
    ratio = _end(runs, "sharpness") / runs["aligned_sharpness"].values
    upper = _end(runs, "sharpness") / runs["sharpness_upper_bound"].values
    scale = float(runs["scale"][0])
    yield Row(
        2,
        name,
        f"median final sharpness of flow from scale {scale:g}, over the aligned minimizer's",
        "close to 1 (within 10 %)",
        f"{np.median(ratio):.4g}, and {np.median(upper):.4g} of the upper bound of the flattest",
        bool(abs(np.median(ratio) - 1) <= 0.1),
    )


def _tight(name: str, data: xr.Dataset) -> Iterable[Row]:
    """Claim 2 over the spectrum of the data."""
    for along in ("top", "bottom"):
        runs = _where(data, (data["along"].values == along) & data["reached"].values)
        if not runs.sizes["run"]:
            continue
        ratio = _end(runs, "sharpness") / runs["sharpness_lower_bound"].values
        exact = runs["aligned_sharpness"].values / runs["sharpness_lower_bound"].values
        yield Row(
            2,
            name,
            f"final sharpness over 2La with w* along the {along} eigenvector, conditions "
            f"{runs['condition'].values.min():g} to {runs['condition'].values.max():g}",
            f"at least the aligned minimizer's, {exact.min():.4g} to {exact.max():.4g}",
            f"{ratio.min():.4g} to {ratio.max():.4g}",
            bool((ratio >= exact * (1 - 1e-3)).all()),
        )


def _small_flow(name: str, data: xr.Dataset) -> Iterable[Row]:
    """Claim 3."""
    flow = _where(data, _is_flow(data) & data["reached"].values)
    by_scale = [_where(flow, flow["scale"].values == s) for s in np.unique(flow["scale"].values)]
    small, large = by_scale[0], by_scale[-1]
    bounds = (part["small_scale_sharpness_bound"].values for part in (small, large))
    low, high = (
        (_end(part, "sharpness") / bound).max()
        for part, bound in zip((small, large), bounds, strict=True)
    )
    yield Row(
        3,
        name,
        f"largest final sharpness over 8L Lambda from scale {float(small['scale'][0]):g} (and "
        f"{float(large['scale'][0]):g})",
        "at most 1 from the small scale",
        f"{low:.3g} ({high:.3g})",
        bool(low <= 1),
    )
    for quantity, word, sign in (
        ("rank_one_gap", "rank-one gap", 1),
        ("alignment", "alignment", -1),
    ):
        low, high = (float(np.median(_end(part, quantity))) for part in (small, large))
        towards = "0" if sign > 0 else "1"
        yield Row(
            3,
            name,
            f"median {word} at the end, from scale {float(small['scale'][0]):g} and from "
            f"{float(large['scale'][0]):g}",
            f"closer to {towards} from the smaller",
            f"{low:.3g}, {high:.3g}",
            bool(sign * (high - low) > 0),
        )
    rises = _end(small, "sharpness") > small["sharpness"].isel(record=0).values
    yield Row(
        3,
        name,
        f"share of runs from scale {float(small['scale'][0]):g} whose sharpness rose",
        "all",
        f"{rises.mean():.0%}",
        bool(rises.all()),
    )


def _residual_flow(name: str, data: xr.Dataset) -> Iterable[Row]:
    """Claim 4."""
    runs = _where(data, data["reached"].values)
    unit = runs["depth"].values * runs["largest_curvature"].values
    ratio = _end(runs, "sharpness") / unit
    for scale in np.unique(runs["scale"].values):
        here = runs["scale"].values == scale
        depths = np.unique(runs["depth"].values[here])
        medians = [np.median(ratio[here & (runs["depth"].values == depth)]) for depth in depths]
        spread = max(medians) / min(medians)
        yield Row(
            4,
            name,
            f"S / (L Lambda) at s = {scale:g}: medians over depths {depths[0]} to {depths[-1]}",
            "bounded over depth: no more than a factor 4 between depths",
            f"{min(medians):.3g} to {max(medians):.3g}",
            bool(spread <= 4),
        )


def _descent(claim: int, name: str, data: xr.Dataset) -> Iterable[Row]:
    """Claim 5, and its like for claims 6 and 7."""
    linear = data.attrs["activation"] == "identity"
    reached = _where(data, data["reached"].values)
    scales = np.unique(reached["scale"].values)
    rates = np.unique(reached["learning_rate"].values)
    start = reached["scale"].values == scales[0]
    medians = {}
    for rate in rates:
        here = start & (reached["learning_rate"].values == rate)
        # At its edge of stability a rate ends where it must.
        if here.sum() >= 3 and np.median(_edge(reached)[here]) < 0.85:
            medians[rate] = float(np.median(_end(reached, "sharpness")[here]))
    if len(medians) > 1:
        spread = max(medians.values()) / min(medians.values()) - 1
        yield Row(
            claim,
            name,
            f"median final sharpness from scale {scales[0]:g}, by learning rate, of rates that end "
            "below 0.85 of 2/eta",
            "the same (within 10 %)",
            ", ".join(f"{value:.4g}" for value in medians.values()),
            bool(spread <= 0.1),
        )
    for rate in rates:
        limit = 0.02 if rate >= 0.05 else 0.1
        cells = [
            _where(data, (data["learning_rate"].values == rate) & (data["scale"].values == s))
            for s in np.unique(data["scale"].values)
        ]
        most = [cell for cell in cells if cell["reached"].values.mean() > 0.5]
        if not most:
            continue
        cell = _where(most[-1], most[-1]["reached"].values)
        ratio = float(np.median(_edge(cell)))
        if ratio < 0.5:  # no scale of the experiment brings this rate to its edge
            continue
        yield Row(
            claim,
            name,
            f"median final sharpness over 2/eta at eta = {rate:g}, from the largest scale where "
            f"most runs reached a minimizer, {float(cell['scale'][0]):g}",
            f"1 (within {limit:.0%})",
            f"{ratio:.4g}",
            bool(abs(ratio - 1) <= limit),
        )
    settled = _where(data, _converged(data)) if linear else reached
    if settled.sizes["run"]:
        largest = float(_edge(settled).max())
        what = (
            f"an excess risk of at most {CONVERGED:g} of the zero map's"
            if linear
            else f"a risk of at most {float(data.attrs['reached_below']):g} of the zero map's"
        )
        yield Row(
            claim,
            name,
            f"largest final sharpness over 2/eta, of the {settled.sizes['run']:,} runs with {what}",
            "at most 1",
            f"{largest:.4g}",
            bool(largest <= 1),
        )
    diverged = data["status"].values == "diverged"
    scale = data["scale"].values
    low, high = (diverged[scale == s].mean() for s in (scale.min(), scale.max()))
    if diverged.any():
        yield Row(
            claim,
            name,
            "share of runs that diverged, from the smallest and the largest scale",
            "grows",
            f"{low:.0%}, {high:.0%}",
            bool(high > low),
        )


def _gap(name: str, data: xr.Dataset) -> Iterable[Row]:
    """Claim 6: the regression of the gap on the sharpness."""
    sharpness, gap, left_out, rate = gap_and_sharpness(data)
    line = regression_line(np.log(sharpness), np.log(gap))
    if line is None:
        yield Row(6, name, "log gap against log sharpness", "slope above 0", "too few runs", None)
        return
    yield Row(
        6,
        name,
        f"slope of log generalization gap on log sharpness at eta = {rate:g} ({line.n:,} runs, "
        f"{left_out} without a gap)",
        "above 0 with p < 0.05",
        f"{line.slope:.3f}, r^2 = {line.r_squared:.3f}, p = {line.p:.1e}",
        bool(line.slope > 0 and line.p < 0.05),
    )


def _drift(name: str, data: xr.Dataset) -> Iterable[Row]:
    """Claim 8: how far the largest difference of neighbouring layers moved."""
    moved = np.abs(_end(data, "balancedness") / data["balancedness"].isel(record=0).values - 1)
    flow, good = _is_flow(data), data["status"].values != "diverged"
    of_flow, of_descent = moved[flow & good].max(), np.median(moved[~flow & good])
    yield Row(
        8,
        name,
        "relative change of the largest |W_k+1^T W_k+1 - W_k W_k^T|: largest of flow, median of "
        "descent",
        "none but for the integrator's error (below 1e-5), and more",
        f"{of_flow:.1e}, {of_descent:.1e}",
        bool(of_flow < 1e-5 and of_descent > 10 * of_flow),
    )


def _same_path(name: str, data: xr.Dataset) -> Iterable[Row]:
    """Claim 5: descent follows the flow as long as its rate is small."""
    deviations = deviation_from_flow(data)
    close = [rate for rate, values in deviations.items() if np.median(values) <= 0.1]
    peak = np.nanmax(data["sharpness"].values[_is_flow(data)])
    largest = max(close, default=0.0)
    yield Row(
        5,
        name,
        "largest learning rate whose sharpness stays within 10 % of the flow's along training "
        "(median of the runs)",
        f"below 2 / max S of the flow = {2 / peak:.3g}",
        f"{largest:.3g}",
        bool(0 < largest <= 2 / peak),
    )


_TESTS: Mapping[str, tuple[Callable[[str, xr.Dataset], Iterable[Row]], ...]] = {
    "plain": (_lower_bound, lambda n, d: _descent(5, n, d)),
    "plain-curves": (_lower_bound,),
    "residual": (_lower_bound, lambda n, d: _descent(5, n, d)),
    "residual-curves": (_lower_bound,),
    "residual-depths": (_lower_bound, _thresholds),
    "underdetermined": (_lower_bound, lambda n, d: _descent(6, n, d), _gap),
    "gelu": (lambda n, d: _descent(7, n, d),),
    "alignment": (_flattest, _small_flow, _drift),
    "flow-and-descent": (_same_path, _drift),
    "residual-theory": (_residual_flow,),
    "tightness": (_tight,),
}


def rows(dataset: xr.Dataset) -> list[Row]:
    """Hold an experiment against what is claimed.

    Parameters
    ----------
    dataset : xarray.Dataset
        What `deeplinear.reproduce.run` returned or `save` wrote.

    Returns
    -------
    list of Row
        Those of an experiment of the package, its small version included; of others, the bound
        that holds for every linear network.
    """
    name = str(dataset.attrs["experiment"])
    tests = _TESTS.get(name.removesuffix("-quick"))
    if tests is None:
        tests = (_lower_bound,) if dataset.attrs["activation"] == "identity" else ()
    return [row for test in tests for row in test(name, dataset)]
