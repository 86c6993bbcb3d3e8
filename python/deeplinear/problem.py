"""A network and its data as the core takes them."""

from __future__ import annotations

import numpy as np

from deeplinear import _core
from deeplinear._support.checks import FloatArray, describe
from deeplinear.network import Network
from deeplinear.regression import Regression

__all__ = ["core_problem", "goes_through_samples"]

#: The largest condition number of C up to which the excess risk in float32 is computed from the
#: distance to the minimizer: a relative error of eps times it, 1e-4, is left there. Nor may C leave
#: its range.
_WELL_CONDITIONED_IN_FLOAT32 = 1e3


def goes_through_samples(network: Network, samples: object, loss: str) -> bool:
    """Say whether the risk is a mean over the samples, where it may be a function of the map."""
    if samples is not None and not isinstance(samples, (bool, np.bool_)):
        raise TypeError(f"samples must be True, False or None; got {describe(samples)}.")
    if samples is None or samples:
        return bool(samples) or not network.linear or loss != "squared"
    if not network.linear:
        raise ValueError(
            "samples must be True or None for a network that is not linear; got False."
        )
    if loss != "squared":
        raise ValueError(
            f"samples must be True or None for another loss than 'squared'; got loss {loss!r}."
        )
    return False


def core_problem(
    network: Network, regression: Regression, *, samples: bool, loss: str
) -> _core.Problem:
    """Make the core's problem; its risk is a mean over the samples, or a function of the map."""
    minimum = float(regression.minimum_risk) if network.linear and loss == "squared" else 0.0
    if not samples:
        risk = _risk(regression, minimum)
        return _core.Problem(network.widths, network.readout_vector, risk, None)
    train = _core.SampleSet(regression.X, regression.y)
    test = _sample_set(regression.X_test, regression.y_test)
    passed = _core.Samples(network.activation, loss, train, test)
    risk = _core.Risk(regression.minimizer, minimum, None, None, None)
    return _core.Problem(network.widths, network.readout_vector, risk, passed)


def _risk(data: Regression, minimum: float) -> _core.Risk:
    """Return the forms of the risk and of the test risk that are used.

    The core takes the modes wherever there is no covariance, and in float32 wherever there are
    some.
    """
    about = not data._by_modes
    in_range = 1e-30 < data.eigenvalues[-1] < 1e30
    by_modes = data._condition > _WELL_CONDITIONED_IN_FLOAT32 or not in_range
    covariance = data.covariance if about else None
    modes = _core.Modes(*data._factor) if by_modes else None
    test = _test_risk(data, about, by_modes) if data.X_test is not None else None
    return _core.Risk(data.minimizer, minimum, covariance, modes, test)


def _test_risk(data: Regression, about: bool, by_modes: bool) -> _core.TestRisk:
    covariance, half_gradient, at_minimizer = (
        (data.test_covariance, data.test_gradient_half, data.test_risk_at_minimizer)
        if about
        else (None, None, None)
    )
    modes, rest = None, 0.0
    if by_modes:
        factor, target, rest = data._test_factor
        modes = _core.Modes(factor, target)
    return _core.TestRisk(covariance, half_gradient, at_minimizer or 0.0, modes, rest)


def _sample_set(inputs: FloatArray | None, targets: FloatArray | None) -> _core.SampleSet | None:
    if inputs is None or targets is None:
        return None
    return _core.SampleSet(inputs, targets)
