"""Families of landscapes: laws of the data beside families of networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

from deeplinear import _core
from deeplinear._support.checks import describe, one_of, sequence_fields
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
        one_of("loss", self.loss, tuple(_core.losses()))

    @property
    def axes(self) -> dict[str, tuple[Any, ...]]:
        """The values of every dimension, those of the data first."""
        parts = (("data", self.data), ("network", self.network))
        return {
            _dimension(part, name): values
            for part, settings in parts
            for name, values in sequence_fields(settings).items()
        }

    def at(self, **values: Any) -> Landscape:
        """Return the landscape at values of all dimensions.

        Raises
        ------
        ValueError
            If the network does not fit the data, or a dimension is missing.
        """
        one = self.replace(values)
        data = one.data if isinstance(one.data, Regression) else _regression(one.data)
        network = one.network
        if isinstance(network, Networks):
            network = network.network(data.d)
        return Landscape(network, data, samples=self.samples, loss=self.loss)

    def replace(self, values: Mapping[str, Any]) -> Landscapes:
        """Replace the values of some dimensions."""
        own = {
            part: {
                field.name: values[_dimension(part, field.name)]
                for field in fields(settings)  # type: ignore[arg-type]
                if _dimension(part, field.name) in values
            }
            for part, settings in (("data", self.data), ("network", self.network))
            if isinstance(settings, (Data, Networks))
        }
        data = replace(self.data, **own["data"]) if own.get("data") else self.data  # type: ignore[type-var]
        network = (
            replace(self.network, **own["network"])  # type: ignore[type-var]
            if own.get("network")
            else self.network
        )
        return replace(self, data=data, network=network)


@lru_cache(64)
def _regression(law: Data) -> Regression:
    return law.regression()


def _dimension(part: str, field: str) -> str:
    return f"{part}_{field}" if field == _SHARED else field
