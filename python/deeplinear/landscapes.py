"""Families of landscapes: laws of the data beside families of networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

from deeplinear import _core
from deeplinear._support.checks import describe, instance_of, one_of, sequence_fields, truth
from deeplinear.data import Data
from deeplinear.landscape import Landscape
from deeplinear.network import Network
from deeplinear.networks import Networks
from deeplinear.regression import Regression

__all__ = ["Landscapes"]

#: A field that data and networks both have takes the name of its part before it.
_SHARED = "seed"


@dataclass(frozen=True)
class Landscapes:
    """The landscapes of networks on data, of which either may be a family.

    Parameters
    ----------
    network : Network or Networks
        The networks.
    data : Regression or a law of `deeplinear.data`
        The data.
    samples, loss
        As of `Landscape`.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as above.

    Examples
    --------
    >>> import deeplinear as dl
    >>> data = dl.data.Gaussian(n=20, d=3, noise=[0.0, 1.0])
    >>> family = dl.Landscapes(dl.Networks(depth=[2, 5, 10]), data)
    >>> family.axes
    {'noise': (0.0, 1.0), 'depth': (2, 5, 10)}
    >>> family.at(noise=1.0, depth=5).network.widths
    (3, 3, 3, 3, 3, 1)
    """

    network: Network | Networks
    data: Regression | Data
    samples: bool | None = None
    loss: str = "squared"

    def __post_init__(self) -> None:
        if not isinstance(self.network, (Network, Networks)):
            raise TypeError(
                f"network must be of type Network or Networks; got {describe(self.network)}."
            )
        if not isinstance(self.data, (Regression, Data)):
            raise TypeError(
                "data must be of type Regression, or a law of deeplinear.data; "
                f"got {describe(self.data)}."
            )
        if self.samples is not None:
            object.__setattr__(self, "samples", truth("samples", self.samples))
        one_of("loss", self.loss, tuple(_core.losses()))
        names = [name for _, _, name, _ in self._swept]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(
                    f"data must not sweep a field of the name {name!r}, which network sweeps too."
                )

    @cached_property
    def _swept(self) -> tuple[tuple[str, str, str, tuple[Any, ...]], ...]:
        """Part, field, dimension and values of what is swept."""
        return tuple(
            (part, field, f"{part}_{field}" if field == _SHARED else field, values)
            for part in ("data", "network")
            for field, values in sequence_fields(getattr(self, part)).items()
        )

    @property
    def axes(self) -> dict[str, tuple[Any, ...]]:
        """The values of every dimension, those of the data first."""
        return {name: values for _, _, name, values in self._swept}

    def at(self, **values: Any) -> Landscape:
        """Return the landscape at values of all dimensions.

        Raises
        ------
        TypeError, ValueError
            If the network does not fit the data, a dimension is missing, or there is no such one.
        """
        axes = self.axes
        for name in (*values, *axes):
            if name not in axes or name not in values:
                held = ", ".join(map(repr, axes)) or "none"
                got = ", ".join(map(repr, values)) or "none"
                raise ValueError(f"values must be of all dimensions, {held}; got {got}.")
        one = self.replace(values)
        data = one.data if isinstance(one.data, Regression) else _made(one.data)
        network = one.network
        if isinstance(network, Networks):
            network = network.network(data.d)
        return Landscape(network, data, samples=self.samples, loss=self.loss)

    def replace(self, values: Mapping[str, Any]) -> Landscapes:
        """Replace the values of some dimensions."""
        own: dict[str, dict[str, Any]] = {}
        for part, field, name, _ in self._swept:
            if name in values:
                own.setdefault(part, {})[field] = values[name]
        parts: dict[str, Any] = {
            part: replace(getattr(self, part), **new) for part, new in own.items()
        }
        return replace(self, **parts) if parts else self


def _made(law: Data) -> Regression:
    try:
        hash(law)
    except TypeError:  # a law of a person's own may hold anything
        return instance_of("the data of the law", law.regression(), Regression)
    return _regression(law)


@lru_cache(64)
def _regression(law: Data) -> Regression:
    return instance_of("the data of the law", law.regression(), Regression)
