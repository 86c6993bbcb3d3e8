"""The claims: complete on the package's experiments, and broken by data that break them."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from deeplinear.experiments import claims
from deeplinear.experiments.library import PRESETS
from small import quick_of


@pytest.fixture(scope="module")
def quick() -> dict[str, xr.Dataset]:
    linear = [preset for preset in PRESETS.values() if preset.network.linear]
    return {preset.name: quick_of(preset.name) for preset in linear}


def verdicts(data: xr.Dataset, claim: int, words: str = "") -> list[bool | None]:
    return [r.agrees for r in claims.rows(data) if r.claim == claim and words in r.quantity]


def changed(data: xr.Dataset, name: str, function) -> xr.Dataset:
    data = data.copy(deep=True)
    values = data[name].values
    values[:, -1] = function(values[:, -1])
    return data


def test_every_claim_of_linear_networks_is_tested(quick):
    found = [row for data in quick.values() for row in claims.rows(data)]
    of_nonlinear_ones = {7}
    tested = {row.claim for row in found if row.agrees is not None}
    assert tested == set(claims.CLAIMS) - of_nonlinear_ones
    texts = [text for row in found for text in (row.quantity, row.expected, row.measured)]
    assert all(text and "nan" not in text for text in texts)


def test_what_must_hold_holds(quick):
    for name in ("plain", "residual", "residual-depths", "underdetermined", "tightness"):
        assert set(verdicts(quick[name], 1)) <= {True}
    assert verdicts(quick["plain"], 5, "largest final sharpness over 2/eta") == [True]
    for name in ("alignment", "flow-and-descent"):
        assert verdicts(quick[name], 8) == [True]


def test_a_minimizer_flatter_than_the_bound_disagrees(quick):
    flat = changed(quick["plain"], "sharpness", lambda s: 0.1 * s)
    assert verdicts(flat, 1, "over 2La") == [False]


def test_a_rate_above_the_threshold_that_settles_disagrees(quick):
    data = quick["plain"].copy(deep=True)
    data["reached"][:] = True
    assert verdicts(data, 1, "a rate above") == [False]


def test_a_minimizer_above_the_edge_disagrees(quick):
    sharp = changed(quick["plain"], "sharpness", lambda s: 10 * s)
    assert verdicts(sharp, 5, "largest final sharpness over 2/eta") == [False]


def test_a_run_on_its_way_out_is_not_at_a_minimizer(quick):
    data = changed(quick["plain"], "sharpness", lambda s: 10 * s)
    # risk 1e-11 of the zero map's above the minimum, and half of that ten steps before
    w, X = data["minimizer"].values[0], data["X"].values[0]
    zero = np.mean((X @ w) ** 2)
    data["risk"][:, -1] = data["minimum_risk"].values + 1e-11 * zero
    data["risk_before_end"][:] = data["minimum_risk"].values + 5e-12 * zero
    assert verdicts(data, 5, "largest final sharpness over 2/eta") == []
    data["risk_before_end"][:] = data["minimum_risk"].values + 2e-11 * zero
    assert verdicts(data, 5, "largest final sharpness over 2/eta") == [False]


def test_final_sharpness_that_depends_on_the_rate_disagrees(quick):
    data = quick["plain"].copy(deep=True)
    assert verdicts(data, 5, "over that at the first") == [True]
    fast = data["learning_rate"].values == 0.02
    data["sharpness"].values[fast, -1] *= 1.2
    assert verdicts(data, 5, "over that at the first") == [False]


def test_a_constant_that_grows_with_depth_disagrees(quick):
    data = quick["residual-theory"].copy(deep=True)
    assert set(verdicts(data, 4)) <= {True}
    data["sharpness"].values[:, -1] *= np.sqrt(data["depth"].values)
    assert False in verdicts(data, 4)


def test_drift_of_the_flow_disagrees(quick):
    data = changed(quick["alignment"], "balancedness", lambda b: 1.01 * b)
    assert verdicts(data, 8) == [False]


def test_rows_follow_from_the_data_not_from_the_name(quick):
    data = quick["plain"].copy()
    data.attrs = {**data.attrs, "experiment": "mine"}
    found = claims.rows(data)
    named = claims.rows(quick["plain"])
    assert {row.claim for row in found} == {row.claim for row in named} >= {1, 5}
    assert {row.experiment for row in found} == {"mine"}


def test_every_claim_in_the_folder_is_in_the_list():
    folder = Path(claims.__file__).parent
    found = {file.stem for file in folder.glob("*.py") if "\nCLAIM = " in file.read_text()}
    listed = {claim.findings.__module__.rpartition(".")[2] for claim in claims.ALL}
    assert found == listed
    numbers = [claim.number for claim in claims.ALL]
    assert numbers == list(range(1, len(numbers) + 1))
    assert dict(claims.CLAIMS) == {claim.number: claim.sentence for claim in claims.ALL}


def test_any_part_of_the_runs_has_rows(quick):
    """Such as only those that diverged, those at rates that are too large, or those of flow."""
    rng = np.random.default_rng(0)
    for data in quick.values():
        runs = data.sizes["run"]
        flow = np.isnan(data["learning_rate"].values)
        fast = ~(data["learning_rate"] <= data["critical_learning_rate"]).values
        lost = data["status"].values == "diverged"
        some = [rng.random(runs) < share for share in (0.02, 0.1, 0.5)]
        for chosen in (flow, ~flow, fast & ~flow, lost, data["reached"].values, *some):
            if chosen.any():
                found = claims.rows(data.isel(run=chosen))
                assert all(row.quantity and row.measured for row in found)


def test_flow_alone_from_fewer_samples_than_inputs_has_no_gap(quick):
    data = quick["underdetermined"]
    flow = data.assign_coords(learning_rate=("run", np.full(data.sizes["run"], np.nan)))
    assert {row.claim for row in claims.rows(data)} >= {6}
    assert 6 not in {row.claim for row in claims.rows(flow)}
