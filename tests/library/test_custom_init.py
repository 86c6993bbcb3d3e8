"""Laws of the initial weights that users write: what `sample` returns is what a sweep trains."""

from __future__ import annotations

import doctest
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import deeplinear as dl
from deeplinear import init
from deeplinear.init import Gaussian, Initialization

NETWORK = dl.Network((3, 4, 1))
LANDSCAPE = dl.Landscape(NETWORK, dl.gaussian_regression(n=12, d=3, seed=1))


def sweep(law: Any, **options: Any) -> Any:
    arguments = {"seeds": [3, 5], "steps": 4, "progress": False} | options
    return dl.sweep(LANDSCAPE, law, dl.GradientDescent(0.01), **arguments)


@dataclass(frozen=True)
class Uniform(Initialization):
    width: Any
    name: str = "uniform"

    def sample(self, network: dl.Network, seed: int) -> Any:
        rng = np.random.default_rng(seed)
        return [rng.uniform(-self.width, self.width, shape) for shape in network.shapes]


class Constant(Initialization):
    """No dataclass."""

    def __init__(self, value: float) -> None:
        self.value = value

    def sample(self, network: dl.Network, seed: int) -> Any:
        return [np.full(shape, self.value * seed, np.float32) for shape in network.shapes]


class Shifted(Gaussian):
    """Of a law of the package, whose scale is still swept."""

    def sample(self, network: dl.Network, seed: int) -> Any:
        return [layer + 1 for layer in super().sample(network, seed)]


class Doubled(Gaussian):
    """What it inherits calls this method."""

    def _transform(self, network: dl.Network, layer: Any) -> None:
        super()._transform(network, layer)
        layer *= 2


def check(law: Any, dataset: Any, **place: Any) -> None:
    """The runs of a sweep are those from ``law.sample``, to the bit."""
    for seed in dataset.seed.values:
        alone = dl.simulate(
            LANDSCAPE, law.sample(NETWORK, int(seed)), dl.GradientDescent(0.01), steps=4, every=None
        )
        cell = dataset.sel(seed=seed, **place)
        np.testing.assert_array_equal(cell["weights"], alone["weights"][0])
        np.testing.assert_array_equal(cell["risk"], alone["risk"][0])


@pytest.mark.parametrize(
    ("law", "text"),
    [
        (Uniform(0.5), "Uniform(width=0.5, name='uniform')"),
        (Constant(0.125), "Constant(value=0.125)"),
        (Shifted(0.25), "Shifted(scale=0.25)"),
        (Doubled(0.25), "Doubled(scale=0.25)"),
    ],
    ids=repr,
)
def test_sweeps_train_from_the_samples(law: Any, text: str) -> None:
    dataset = sweep(law)
    check(law, dataset)
    assert dataset.attrs["initialization"] == text


@pytest.mark.parametrize(
    "widths", [[0.25, 0.5], (0.25, 0.5), np.array([0.25, 0.5]), range(1, 3)], ids=str
)
def test_their_fields_are_swept(widths: Any) -> None:
    dataset = sweep(Uniform(widths, ["a", "b"]))
    assert dataset["risk"].dims == ("width", "name", "seed", "step")
    assert dataset["width"].values.tolist() == list(widths)
    for width, name in itertools.product(widths, "ab"):
        check(Uniform(width), dataset, width=width, name=name)
    dataset = sweep(Shifted([0.25, 0.5]))
    assert dataset["scale"].values.tolist() == [0.25, 0.5]
    check(Shifted(0.5), dataset, scale=0.5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda layers: None, "must be a sequence of 2 arrays, one per layer; got None"),
        (lambda layers: layers[:1], "must be a sequence of 2 arrays, one per layer; got 1"),
        (lambda layers: [layers[0].T, layers[1]], r"\[0\] must have shape \(..., 4, 3\)"),
        (lambda layers: [layers[0], layers[1] / 0], r"\[1\] must be .* finite numbers.*; got"),
        (lambda layers: [layers[0], layers[1] * 1j], r"\[1\] must be .* finite numbers.*; got"),
        (lambda layers: [x[None] for x in layers], r"without leading axes; got .* \(1,\)"),
        (
            lambda layers: [np.ma.masked_equal(np.ones_like(x), 1) for x in layers],
            r"\[0\] is masked at index \(0, 0\)",
        ),
    ],
)
def test_samples_that_do_not_fit(change: Callable[[Any], Any], message: str) -> None:
    class Bad(Initialization):
        def sample(self, network: dl.Network, seed: int) -> Any:
            with np.errstate(all="ignore"):
                return change(Gaussian(1.0).sample(network, seed))

    with pytest.raises(
        (TypeError, ValueError), match=rf"the return value of Bad.sample.*{message}"
    ):
        sweep(Bad())


@pytest.mark.parametrize("name", ["seed", "learning_rate", "risk", "step"])
def test_fields_whose_names_are_taken(name: str) -> None:
    @dataclass(frozen=True)
    class Law(Initialization):
        def sample(self, network: dl.Network, seed: int) -> Any:
            return Gaussian(1.0).sample(network, seed)

    law = dataclass(frozen=True)(type("Law", (Law,), {"__annotations__": {name: Any}}))
    with pytest.raises(ValueError, match=f"init must not sweep a field of the name '{name}'"):
        sweep(law([1, 2]))
    assert sweep(law(1)).sizes["seed"] == 2  # not swept


@pytest.mark.parametrize("entry", [None, [1], 1j])
def test_fields_that_label_nothing(entry: Any) -> None:
    with pytest.raises(TypeError, match=r"width\[1\] must be a number or a text"):
        sweep(Uniform([0.5, entry]))


def test_what_is_no_initialization() -> None:
    class Other:
        def sample(self, network: dl.Network, seed: int) -> Any:
            return Gaussian(1.0).sample(network, seed)

    for law in (Other(), Uniform, 0.5):
        with pytest.raises(TypeError, match="init must be of type Initialization"):
            sweep(law)
    with pytest.raises(TypeError, match="abstract"):
        Initialization()  # type: ignore[abstract]


def test_the_example() -> None:
    found = doctest.DocTestFinder().find(Initialization, globs=dict(vars(init)))
    results = [doctest.DocTestRunner().run(test) for test in found]
    assert sum(result.attempted for result in results) > 2
    assert not any(result.failed for result in results)
