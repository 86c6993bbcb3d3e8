"""Functions of a person's own that are recorded: their names, what they return, their time."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import deeplinear as dl

NETWORK = dl.Network((3, 4, 1))
LANDSCAPE = dl.Landscape(NETWORK, dl.gaussian_regression(n=9, d=3, seed=0))
WEIGHTS = dl.init.Gaussian(0.3).sample(NETWORK, 0)


def named(name: str, function: Callable[[list[Any]], Any]) -> Callable[[list[Any]], Any]:
    def own(weights: list[Any]) -> Any:
        return function(weights)

    own.__name__ = name
    return own


def run(record: Any, steps: int = 3, **options: Any) -> Any:
    descent = dl.GradientDescent(1e-3)
    return dl.simulate(LANDSCAPE, WEIGHTS, descent, steps=steps, record=record, **options)


def two(name: str = "two") -> Callable[[list[Any]], Any]:
    return named(name, lambda weights: np.array([1.0, 2.0]))


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ((two(), two()), r"^record must hold functions of different names; got two 'two'\.$"),
        ({two(): 3}, r"^record must not give 'two' a count; got 3\.$"),
        ((two(), two("two_0")), r"dimension; got 'two' and 'two_0'\.$"),
        ((two("two_12"), two()), r"dimension; got 'two_12' and 'two'\.$"),
        ((lambda weights: 1.0,), r"^record must hold functions that have a name"),
        ((two("weights"),), r"^record must hold functions with names .*; 'weights' is taken"),
        ((two("eigenvalue"),), r"^record must hold functions with names .*; 'eigenvalue' is"),
    ],
)
def test_names(record: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(record)


def test_a_function_may_be_named_twice_and_in_a_mapping() -> None:
    own = two()
    for record in ((own, own), {own: True}, own):
        found = run(record)
        assert found.two.dims == ("run", "step", "two_0")
        assert (found.two == [1, 2]).all()
    assert "two" not in run({own: False})


@pytest.mark.parametrize("name", ["scale", "learning_rate", "seed"])
def test_names_that_a_sweep_takes(name: str) -> None:
    """Its dimension would take the place of what was recorded."""
    with pytest.raises(ValueError, match=rf"^record must hold .*own; '{name}' is (swept|taken)"):
        dl.sweep(
            LANDSCAPE,
            dl.init.Gaussian([0.1, 0.2]),
            dl.GradientDescent([0.1, 0.2]),
            seeds=2,
            steps=2,
            record=named(name, lambda weights: 1.0),
        )


@dataclasses.dataclass(frozen=True)
class Law(dl.init.Initialization):
    """Gaussian weights whose scale has the name of a record's dimension."""

    eigenvalue: Any = 0.1

    def sample(self, network: dl.Network, seed: int) -> list[Any]:
        return dl.init.Gaussian(self.eigenvalue).sample(network, seed)


def test_laws_may_not_sweep_a_dimension_of_records() -> None:
    with pytest.raises(ValueError, match=r"^init must not sweep .* name 'eigenvalue'"):
        dl.sweep(LANDSCAPE, Law([0.1, 0.2]), dl.GradientDescent(0.1), seeds=2, steps=2)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1 + 2j, TypeError),
        (np.array([1 + 2j]), TypeError),
        ("1.5", TypeError),
        (None, TypeError),
        (np.datetime64(1, "s"), TypeError),
        ([[1.0], [1.0, 2.0]], ValueError),
        (np.ma.array([1.0, 2.0], mask=[False, True]), ValueError),
    ],
)
def test_what_is_no_array_of_numbers(value: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"^own (must return a number or an array of numbers|is masked)"):
        run(named("own", lambda weights: value))


def test_numbers_of_other_kinds() -> None:
    for value in (3, True, Fraction(1, 2), np.float32(0.1), [np.int8(1), 2.5], np.longdouble(2)):
        found = run(named("own", lambda weights, value=value: value)).own
        assert found.dtype == np.float64
        assert (found.values == np.asarray(value, np.float64)).all()


def test_records_of_functions_fit_the_memory() -> None:
    wide = np.broadcast_to(1.0, (2**50,))
    with pytest.raises(MemoryError, match="the records of own of 2 layers"):
        run(named("own", lambda weights: wide))


def test_what_no_run_came_to_is_nan() -> None:
    start = [1e200 * np.ones_like(layer) for layer in WEIGHTS]
    own = named("own", lambda weights: 1.0)
    found = dl.simulate(LANDSCAPE, start, dl.GradientDescent(0.1), steps=2, record=own)
    assert found.status.item() == "overflowed"
    assert found.own.dims == ("run", "step")
    assert np.isnan(found.own).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_progress_goes_on_while_functions_take_their_time(threads: int) -> None:
    """Even where the steps between two looks at the clock are thousands."""
    shares: list[float] = []

    def own(weights: list[Any]) -> float:
        time.sleep(0.05)
        return 1.0

    run(own, steps=20, threads=threads, progress=shares.append)
    assert shares == sorted(shares)
    assert len([share for share in shares if 0 < share < 1]) >= 3


def test_one_thread_at_a_time_keeps_every_record() -> None:
    """Functions give up the lock of Python on their way."""

    def own(weights: list[Any]) -> Any:
        time.sleep(1e-4)
        return weights[0][0]

    starts = dl.init.Gaussian(0.3)
    many = [np.stack([starts.sample(NETWORK, seed)[k] for seed in range(64)]) for k in range(2)]
    found = dl.simulate(
        LANDSCAPE, many, dl.GradientDescent(0.01), steps=2, record=(own, "weights"), threads=4
    )
    np.testing.assert_array_equal(found.own, found.recorded_weights[..., :3])


def test_what_one_function_writes_no_other_sees() -> None:
    def spoils(weights: list[Any]) -> float:
        weights[0][...] = np.nan
        return 1.0

    def reads(weights: list[Any]) -> Any:
        return weights[0][0]

    found = run((spoils, reads, "weights"))
    np.testing.assert_array_equal(found.reads, found.recorded_weights[..., :3])
