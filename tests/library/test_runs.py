"""Runs of a list: each is the simulation of its settings and seed, to the bit."""

from __future__ import annotations

import doctest
import re
from dataclasses import dataclass, make_dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import deeplinear as dl
from deeplinear import runs as module

NETWORK = dl.Network((3, 3, 1))
LANDSCAPE = dl.Landscape(NETWORK, dl.gaussian_regression(n=12, d=3, noise=1.0, seed=1))
RECORD = ("risk", "sharpness", "layer_norm")
LAW = dl.init.Gaussian(0.5)
DESCENT = dl.GradientDescent(0.01)
LIST = {
    "scale": [0.3, 0.6, 0.3, 0.3],
    "learning_rate": [0.1, 0.02, 0.1, 0.05],
    "seed": [7, 7, 0, 7],
}


def sweep_runs(runs: Any, law: Any = LAW, dynamics: Any = DESCENT, **options: Any) -> xr.Dataset:
    arguments = {"steps": 9, "record": RECORD, "progress": False} | options
    return dl.sweep_runs(LANDSCAPE, law, dynamics, runs=runs, **arguments)


def check(runs: dict[str, Any], law: Any, dynamics: Any, **options: Any) -> xr.Dataset:
    """The coordinates of every run, and all else that it has."""
    dataset = sweep_runs(runs, law, dynamics, **options)
    assert dataset["run"].values.tolist() == list(range(len(runs["seed"])))
    for name, values in runs.items():
        assert dataset[name].dims == ("run",)
        assert dataset[name].values.tolist() == list(values)
    for i, seed in enumerate(runs["seed"]):
        own = {name: values[i] for name, values in runs.items() if name != "seed"}
        laws, rules = (
            replace(owner, **{name: x for name, x in own.items() if hasattr(owner, name)})
            for owner in (law, dynamics)
        )
        alone = dl.simulate(
            LANDSCAPE,
            laws.sample(NETWORK, seed),
            rules,
            **({"steps": 9, "record": RECORD, "every": None} | options),
        ).isel(run=0)
        for name in (*RECORD, "weights", "status", "last_step"):
            np.testing.assert_array_equal(dataset[name][i], alone[name], err_msg=name)
    return dataset


def test_each_run_is_its_simulation() -> None:
    """Not all combinations, one seed several times, in no order."""
    dataset = check(LIST, LAW, DESCENT)
    assert dataset["risk"].dims == ("run", "step")
    assert dataset.attrs["initialization"] == "Gaussian(scale=0.5)"
    assert "learning_rate" not in dataset.attrs


def test_flows_of_several_methods() -> None:
    runs = {
        "method": ["rk4", "dopri5", "euler", "rk4"],
        "step": [0.1, 0.2, 0.1, 0.05],
        "rtol": [1e-6, 1e-4, 1e-6, 1e-6],
        "seed": [1, 2, 3, 4],
    }
    check(runs, dl.init.Residual(0.5), dl.GradientFlow(), steps=None, time=1.0)
    with pytest.raises(ValueError, match="every must be None where method has 'dopri5' beside"):
        sweep_runs(runs, LAW, dl.GradientFlow(), steps=None, time=1.0, every=1)
    alike = {"method": ["dopri5", "dopri5"], "seed": [0, 1]}
    flow = sweep_runs(alike, LAW, dl.GradientFlow(), steps=None, time=1.0, every=0.5)
    assert flow["time"].values.tolist() == [0, 0.5, 1]


def test_methods_that_keep_states_of_several_lengths() -> None:
    """On the engine "wide" stages that wait to be written are kept; those of "rk4" are more."""
    network = dl.Network((60, 110, 100, 1))
    landscape = dl.Landscape(network, dl.gaussian_regression(n=30, d=60, seed=1))
    methods = ["euler", "rk4", "dopri5"]

    def flows(time: float, method: Any) -> xr.Dataset:
        flow, law = dl.GradientFlow(method, step=0.01), dl.init.Orthogonal(0.9)
        options: dict[str, Any] = {"seeds": 2, "engine": "wide", "progress": False}
        return dl.sweep(landscape, law, flow, time=time, **options)

    together = flows(0.03, methods)
    assert together["state"].isnull().any("state_entry").all("seed").sum() >= 2
    for method in methods:
        part = together.sel({"method": method})
        np.testing.assert_array_equal(part["weights"], flows(0.03, method)["weights"])
        if method != "dopri5":
            joined = dl.resume(landscape, part, time=0.03)
            np.testing.assert_array_equal(joined["weights"], flows(0.06, method)["weights"])


def test_fields_that_are_allowed_together_run_by_run() -> None:
    """Plain descent beside Nesterov's, which needs momentum: no grid has both."""
    runs = {"momentum": [0.0, 0.9, 0.5], "nesterov": [False, True, False], "seed": [0, 1, 2]}
    check(runs, LAW, DESCENT)
    with pytest.raises(ValueError, match=r"above zero where nesterov is True; got 0\.0"):
        sweep_runs(runs | {"nesterov": [True, True, False]})


def test_lists_of_any_form() -> None:
    expected = sweep_runs(LIST)
    rows = [dict(zip(LIST, values, strict=True)) for values in zip(*LIST.values(), strict=True)]
    shuffled = [dict(reversed(row.items())) for row in rows[1:]]
    for runs in (
        rows,
        (rows[0], *shuffled),
        {name: np.array(values) for name, values in LIST.items()},
        pd.DataFrame(LIST),
        pd.DataFrame(LIST, index=[5, 5, 1, 0]),
        xr.Dataset({name: ("run", values) for name, values in LIST.items()}),
        {name: expected[name] for name in LIST},
        LIST | {"seed": ["7", "7", "0", "7"]},
    ):
        xr.testing.assert_identical(sweep_runs(runs), expected)


def test_fields_that_hold_a_sequence_or_one_value() -> None:
    """What `init` and `dynamics` hold of a name that the runs have does not matter."""
    held = sweep_runs(LIST, dl.init.Gaussian([0.3, 0.6]), dl.GradientDescent([1.0]))
    xr.testing.assert_equal(held, sweep_runs(LIST))
    assert held.attrs["initialization"] == "Gaussian(scale=(0.3, 0.6))"


def test_a_sweep_is_a_grid_of_runs() -> None:
    law, dynamics = dl.init.Gaussian([0.3, 0.6]), dl.GradientDescent([0.1, 0.02, 0.05])
    options: dict[str, Any] = {"steps": 9, "record": RECORD, "progress": False}
    swept = dl.sweep(LANDSCAPE, law, dynamics, seeds=[2**63, 4], **options)
    names = ["scale", "learning_rate", "seed"]
    stacked = swept.stack(run=names, create_index=False).transpose("run", ...)
    listed = sweep_runs({name: stacked[name] for name in names}, law, dynamics)
    assert listed["seed"].values.tolist() == [str(2**63), "4"] * 6
    for name in (*RECORD, "weights", "status", "out_of_range_layer"):
        np.testing.assert_array_equal(listed[name], stacked[name], err_msg=name)
    assert listed.attrs == swept.attrs


@dataclass(frozen=True)
class Shifted(dl.init.Initialization):
    """Its seed and its step are its own, whatever runs have."""

    shift: float
    seed: int = 3
    step: float = 0.25

    def __post_init__(self) -> None:
        assert isinstance(self.shift, float)

    def sample(self, network: dl.Network, seed: int) -> Any:
        layers = dl.init.Gaussian(self.step).sample(network, self.seed + seed)
        return [layer + self.shift for layer in layers]


def test_a_law_whose_fields_are_called_like_others() -> None:
    runs = {"step": [0.1, 0.2], "shift": [0.0, 0.5], "seed": [0, 1]}
    dataset = sweep_runs(runs, Shifted(1.0), dl.GradientFlow("rk4"), steps=None, time=1.0)
    for i, (step, shift, seed) in enumerate(zip(*runs.values(), strict=True)):
        weights = Shifted(shift).sample(NETWORK, int(seed))
        alone = dl.simulate(LANDSCAPE, weights, dl.GradientFlow("rk4", step=step), time=1.0)
        np.testing.assert_array_equal(dataset["weights"][i], alone["weights"][0])
    with pytest.raises(ValueError, match="runs must hold 'seed' and fields of init and dynamics"):
        sweep_runs({"step": [0.1], "seed": [0]}, Shifted(1.0))


def test_runs_that_are_stopped_keep_their_coordinates() -> None:
    """All of one method, and few of the other; they alternate."""

    def stop(share: float) -> None:
        if share > 0.6:
            raise KeyboardInterrupt

    runs = {"method": ["dopri5", "rk4"] * 200, "seed": range(400)}
    flow, options = dl.GradientFlow(step=1e-3), {"steps": None, "time": 2000.0, "record": "risk"}
    with pytest.raises(dl.Interrupted) as caught:
        sweep_runs(runs, LAW, flow, threads=1, progress=stop, **options)
    kept = caught.value.dataset
    numbers = kept["run"].values.tolist()
    assert set(range(0, 400, 2)) <= set(numbers)
    assert len(numbers) == len(set(numbers)) < 400
    np.testing.assert_array_equal(kept["seed"], kept["run"])
    np.testing.assert_array_equal(kept["method"] == "rk4", kept["run"] % 2 == 1)


@pytest.mark.parametrize(
    ("runs", "error", "message"),
    [
        (3, TypeError, "runs must be a mapping of names to sequences, or a sequence of mappings, "
         "one per run; got 3."),
        ("seed", TypeError, "runs must be a mapping of names to sequences, or a sequence of "
         "mappings, one per run; got 'seed'."),
        ([], ValueError, "runs must hold at least one run; got none."),
        ({"seed": []}, ValueError, "runs must hold at least one run; got none."),
        ({}, ValueError, "runs must hold 'seed'; got nothing."),
        ({"scale": [0.1]}, ValueError, "runs must hold 'seed'; got 'scale'."),
        ({"seed": 3}, TypeError, "runs['seed'] must be a sequence, of one value per run; got 3."),
        ({"seed": "12"}, TypeError, "runs['seed'] must be a sequence, of one value per run; got "
         "'12'."),
        ({"seed": [0, 1], "scale": [0.1]}, ValueError, "runs must hold one value per run of every "
         "name; got 2 of 'seed', 1 of 'scale'."),
        ({"seed": [0, -1]}, ValueError, "runs['seed'][1] must be a non-negative integer; got -1."),
        ({"seed": [0.5]}, TypeError, "runs['seed'][0] must be a non-negative integer; got 0.5."),
        ({"seed": np.ma.masked_equal([0, 1], 1)}, ValueError, "runs['seed'] is masked at index "
         "(1,); fill or drop the masked entries."),
        ([{"seed": 0}, 1], TypeError, "runs[1] must be a mapping of names to values; got 1."),
        ([{"seed": 0}, {"seed": 1, "scale": 2}], ValueError, "runs[1] must hold what runs[0] "
         "holds, 'seed'; got 'seed', 'scale'."),
        ({"seed": [0], "rate": [1]}, ValueError, "runs must hold 'seed' and fields of init and "
         "dynamics, which are learning_rate, momentum, nesterov, scale, weight_decay; got 'rate'."),
        ({"seed": [0], "step": [1]}, ValueError, "runs must hold 'seed' and fields of init and "
         "dynamics, which are learning_rate, momentum, nesterov, scale, weight_decay; got 'step'."),
        ({"seed": [0], "scale": [-1]}, ValueError, "scale must be a positive finite number; got "
         "-1."),
        ({"seed": [0, 1], "learning_rate": [1, 0]}, ValueError, "learning_rate must be a "
         "positive finite number; got 0."),
        ({"seed": [0], "scale": [[1]]}, TypeError, "runs['scale'][0] must be a number or a text, "
         "since it labels a dimension; got list of length 1."),
    ],
)  # fmt: skip
def test_bad_runs(runs: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        sweep_runs(runs)


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="runs must hold 'scale', of which init or dynamics holds"):
        sweep_runs({"seed": [0]}, dl.init.Gaussian([0.1, 0.2]))
    one: dict[str, Any] = {"seed": [0], "scale": [0.1]}
    for arguments, message in (
        ((LANDSCAPE, 1, DESCENT), "init must be of type Initialization; got 1."),
        ((LANDSCAPE, LAW, 1), "dynamics must be .*; got 1."),
        ((1, LAW, DESCENT), "landscape must be of type Landscape; got 1."),
    ):
        with pytest.raises(TypeError, match=f"^{message}$"):
            dl.sweep_runs(*arguments, runs=one, steps=1)  # type: ignore[arg-type]


def test_functions_that_are_called_like_what_is_swept() -> None:
    def scale(weights: Any) -> float:
        return float(weights[0][0, 0])

    dataset = sweep_runs({"seed": [0, 1]}, record=(scale, "risk"))
    starts = [LAW.sample(NETWORK, seed)[0][0, 0] for seed in (0, 1)]
    assert dataset["scale"].isel(step=0).values.tolist() == starts
    message = "record must hold functions with names of their own; 'scale' is swept."
    with pytest.raises(ValueError, match=f"^{message}$"):
        sweep_runs(LIST, record=scale)
    with pytest.raises(ValueError, match=f"^{message}$"):
        dl.sweep(LANDSCAPE, dl.init.Gaussian([0.1]), DESCENT, seeds=1, steps=1, record=scale)


@pytest.mark.parametrize(
    "name", ["value", "input", "eigenvalue", "recorded_weights", "gauss_newton"]
)
def test_fields_that_are_called_like_dimensions(name: str) -> None:
    law: Any = make_dataclass(
        "Law",
        [(name, Any)],
        bases=(dl.init.Initialization,),
        frozen=True,
        namespace={"sample": lambda self, network, seed: LAW.sample(network, seed)},
    )
    with pytest.raises(ValueError, match=f"^init must not sweep a field of the name '{name}'"):
        sweep_runs({"seed": [0], name: [1.0]}, law([1.0, 2.0]))


def test_the_example_of_sweep_runs() -> None:
    assert doctest.testmod(module).attempted >= 4
    assert doctest.testmod(module).failed == 0
