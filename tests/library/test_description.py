"""A sweep as data: its dimensions, its parts, and what is refused when it is made."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

import deeplinear as dl

FAMILY = dl.Landscapes(dl.Networks([2, 3]), dl.data.Gaussian(9, 3, [0.0, 0.5, 1.0]))


def described(**fields: Any) -> dl.Sweep:
    own = {
        "landscape": FAMILY,
        "init": dl.init.Gaussian([0.2, 0.3]),
        "dynamics": dl.GradientDescent([0.01, 0.02], momentum=0.5),
        "seeds": 4,
        "steps": 5,
    }
    return dl.Sweep(**(own | fields))


def test_dimensions_come_in_one_order():
    sweep = described()
    assert sweep.axes == {
        "noise": (0.0, 0.5, 1.0), "depth": (2, 3), "scale": (0.2, 0.3),
        "learning_rate": (0.01, 0.02), "seed": range(4),
    }  # fmt: skip
    assert list(sweep.axes) == ["noise", "depth", "scale", "learning_rate", "seed"]
    assert sweep.shape == (3, 2, 2, 2, 4)
    assert sweep.runs == 96
    assert sweep.outer == ("noise", "depth")
    alone = described(landscape=FAMILY.at(noise=0.0, depth=2))
    assert (alone.outer, alone.runs) == ((), 16)


def test_landscapes_come_with_their_places():
    sweep = described()
    found = list(sweep.landscapes())
    assert [place for place, _ in found] == [(i, j) for i in range(3) for j in range(2)]
    for (i, j), landscape in found:
        expected = FAMILY.at(noise=(0.0, 0.5, 1.0)[i], depth=(2, 3)[j])
        assert landscape.network == expected.network
        np.testing.assert_array_equal(landscape.regression.y, expected.regression.y)


def test_places_of_the_records():
    assert described(every=2).places()[0] == "step"
    assert described(every=2).places()[1].tolist() == [0, 2, 4, 5]
    flow = described(dynamics=dl.GradientFlow(["euler", "rk4"], step=0.1), steps=None, time=1)
    axis, places = flow.places()
    assert (axis, places.tolist()) == ("time", [0, 1])


def test_a_part_is_the_sweep_of_some_values():
    sweep = described()
    part = sweep.part({"noise": slice(1, 2), "learning_rate": slice(0, 1), "seed": slice(2, 4)})
    assert part.axes == {
        "noise": (0.5,), "depth": (2, 3), "scale": (0.2, 0.3), "learning_rate": (0.01,),
        "seed": range(2, 4),
    }  # fmt: skip
    assert part.dynamics == dl.GradientDescent((0.01,), momentum=0.5)
    whole = dl.sweep(FAMILY, sweep.init, sweep.dynamics, seeds=4, steps=5, progress=False)
    cut = dl.sweep(
        part.landscape, part.init, part.dynamics, seeds=part.seeds, steps=5, progress=False
    )
    there = whole.isel(noise=[1], learning_rate=[0], seed=[2, 3])
    for name in ("risk", "distance", "status", "last_step"):
        np.testing.assert_array_equal(cut[name], there[name])


def test_equal_numbers_are_kept_alike():
    flow = described(dynamics=dl.GradientFlow("dopri5"), steps=None, time=2, every=1)
    assert (type(flow.time), type(flow.every)) == (float, float)
    descent = described(steps=np.int64(5), every=np.int32(2), tolerance=0)
    assert [type(x) for x in (descent.steps, descent.every, descent.tolerance)] == [
        int, int, float,
    ]  # fmt: skip
    assert described(dtype=np.float32).dtype == "float32"


def test_by_default_is_recorded_what_all_networks_have():
    assert described().record is None
    mixed = dl.Landscapes(dl.Networks(2, activation=["identity", "gelu"]), dl.data.Gaussian(9, 3))
    sweep = described(landscape=mixed)
    for _, landscape in sweep.landscapes():
        assert [record.name for record in sweep.recording(landscape).records] == ["risk"]
    for _, landscape in described().landscapes():
        names = [record.name for record in described().recording(landscape).records]
        assert names == ["risk", "distance"]


@dataclass(frozen=True)
class Law(dl.init.Initialization):
    depth: Any = 0
    momentum: Any = 0

    def sample(self, network, seed):
        return dl.init.Gaussian(0.5).sample(network, seed)


@dataclass(frozen=True)
class Points(dl.data.Data):
    learning_rate: Any = 0
    step: Any = 0

    def regression(self):
        return dl.gaussian_regression(5, 2)


FLOW = dl.GradientFlow()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"landscape": 3}, "landscape must be of type Landscape or Landscapes; got 3"),
        ({"init": 3}, "init must be of type Initialization; got 3"),
        ({"dynamics": 3}, "dynamics must be of type GradientDescent or GradientFlow; got 3"),
        ({"seeds": 0}, "seeds must be a positive integer"),
        ({"seeds": [3, 4, 3]}, "seeds must be different values; got 3 twice"),
        ({"init": dl.init.Gaussian([0.1, 0.1])}, r"scale must be different values; got 0\.1 twice"),
        (
            {"landscape": dl.Landscapes(dl.Networks([2, 2]), dl.data.Gaussian(9, 3))},
            "depth must be different values; got 2 twice",
        ),
        ({"steps": None}, "steps must be a positive integer"),
        ({"steps": 2.5}, "steps must be a positive integer"),
        ({"time": 1.0}, "time must be None for gradient descent"),
        ({"dynamics": FLOW}, "steps must be None for gradient flow"),
        ({"every": 0}, "every must be a positive integer"),
        ({"tolerance": -1}, "tolerance must be a non-negative"),
        ({"dtype": "int8"}, "dtype must be one of 'float64', 'float32'"),
        ({"engine": "slow"}, "engine must be one of "),
        ({"keep_weights": 1}, "keep_weights must be True or False; got 1"),
        ({"keep_state": "no"}, "keep_state must be True or False; got 'no'"),
        ({"init": Law(depth=[1, 2])}, "init must not sweep a field of the name 'depth', which the"),
        ({"init": Law(momentum=[1, 2])}, "init must not sweep a field of the name 'momentum'"),
        (
            {"landscape": dl.Landscapes(dl.Networks(2), Points([1, 2]))},
            "dynamics must not sweep a field of the name 'learning_rate', which the landscapes",
        ),
        (
            {"landscape": dl.Landscapes(dl.Networks(2), Points(step=[1, 2]))},
            "data must not sweep a field of the name 'step', which results have already",
        ),
    ],
)  # fmt: skip
def test_sweeps_that_cannot_be(fields, words):
    with pytest.raises((ValueError, TypeError), match=f"^{words}") as caught:
        described(**fields)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [3, None, {"data": {}}, FAMILY])
@pytest.mark.parametrize("store", [None, "runs.zarr"])
def test_what_runs_is_a_description(value, store, tmp_path):
    with pytest.raises(TypeError, match="sweep must be of type Sweep; got"):
        dl.run_sweep(value, store=store and tmp_path / store)
    assert not list(tmp_path.iterdir())


def test_what_is_recorded_is_checked_on_a_landscape():
    sweep = described(record=("risk", "test_risk", "distance"))
    (_, first), *_ = sweep.landscapes()
    assert [record.name for record in sweep.recording(first).records] == [
        "risk", "test_risk", "distance",
    ]  # fmt: skip
    bare = dl.Landscape(first.network, dl.Regression(first.regression.X, first.regression.y))
    with pytest.raises(ValueError, match="record must not hold 'test_risk' where"):
        sweep.recording(bare)
    bent = dl.Landscape(replace_activation(first.network), first.regression)
    with pytest.raises(ValueError, match="record must not hold 'distance' where"):
        sweep.recording(bent)
    assert replace(sweep, record="risk").recording(bent).records[0].name == "risk"


def replace_activation(network: dl.Network) -> dl.Network:
    return dl.Network(network.widths, activation="gelu")
