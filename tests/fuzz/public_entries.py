"""The calls of the public interface that are fuzzed, with their right arguments."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import deeplinear as dl
from descriptions import OwnError

LIMIT = 0.3  # seconds after which the progress function stops a run
Call = Callable[..., Any]


class Progress:
    """Raises when it was called for long, and does as it is told on the way."""

    def __init__(self, work: Callable[[], Any] | None = None) -> None:
        self.end, self.work = time.monotonic() + LIMIT, work

    def __call__(self, share: float) -> None:
        assert 0 <= share <= 1
        if self.work is not None:
            self.work()
        if time.monotonic() > self.end:
            raise OwnError("too long")


class World:
    """Right arguments, in a setting."""

    def __init__(self, setting: dict[str, Any]) -> None:
        self.setting = setting
        rng = self.rng = np.random.default_rng(setting["seed"])
        widths, n = setting["widths"], setting["n"]
        self.data = {"X": rng.standard_normal((n, widths[0])), "y": rng.standard_normal(n)}
        if setting["tested"]:
            self.data |= {
                "X_test": rng.standard_normal((2, widths[0])),
                "y_test": rng.standard_normal(2),
            }
        readout = None if setting["plain"] else rng.standard_normal(widths[-1])
        self.shape = {"widths": widths, "readout": readout, "activation": setting["activation"]}
        self.network = dl.Network(**self.shape)
        self.regression = dl.Regression(**self.data)

    def landscape(self, threads: int = 1) -> dl.Landscape:
        samples = self.setting["samples"]
        return dl.Landscape(self.network, self.regression, samples=samples, threads=threads)

    def weights(self, runs: int | None = None) -> list[Any]:
        """Draw layers that are views of one vector."""
        leading = () if runs is None else (runs,)
        size = (*leading, self.network.parameters)
        return self.network.unflatten(self.setting["scale"] * self.rng.standard_normal(size))


class Entry:
    """A call: its right arguments, and what becomes of them."""

    def __init__(
        self,
        right: Callable[[World], dict[str, Any]],
        call: Callable[[World, int], Call],
        *,
        threads: bool = False,
        weight: int = 1,
        shape: Callable[[World], Any] | None = None,
    ) -> None:
        self.right, self.call, self.threads = right, call, threads
        self.weight, self.shape = weight, shape


def _of_landscape(name: str, shape: Callable[[World], Any] | None = None, **more: Any) -> Entry:
    """Enter a method that takes weights, and more by name."""

    def right(world: World) -> dict[str, Any]:
        made = {k: v(world) if callable(v) else v for k, v in more.items()}
        return {"weights": world.weights(), **made}

    return Entry(
        right,
        lambda world, threads: getattr(world.landscape(threads), name),
        threads=True,
        weight=2,
        shape=shape,
    )


def _parameters(world: World) -> int:
    return world.network.parameters


def _of_regression(function: Call, **more: Any) -> Entry:
    return Entry(
        lambda world: {"regression": world.regression, **more}, lambda world, threads: function
    )


def _law(law: Any, **field: Any) -> Entry:
    def call(**arguments: Any) -> Any:
        network, seed = arguments.pop("network"), arguments.pop("seed")
        return law(**arguments).sample(network, seed)

    return Entry(
        lambda world: {"network": world.network, "seed": 3, **field},
        lambda world, threads: call,
        shape=lambda world: world.network.shapes,
    )


def _density(**arguments: Any) -> Any:
    rng = np.random.default_rng(0)
    nodes, mass = rng.standard_normal((2, 3)), np.full((2, 3), 1 / 3)
    density = dl.SpectralDensity(nodes, mass, 0.0)
    values, width, power = (arguments[name] for name in ("values", "width", "power"))
    return density.density(values, width), density.moment(power)


def _product(world: World, threads: int) -> Call:
    def call(**arguments: Any) -> Any:
        return world.landscape(threads).hessian_operator(arguments["weights"]) @ arguments["x"]

    return call


def first_entries(weights: list[Any]) -> Any:
    """Observe the first column of the first layer, and spoil the copy of it."""
    first = weights[0][:, 0].copy()
    weights[0][...] = np.nan
    return first


def norm(weights: list[Any]) -> float:
    return float(np.sqrt(sum((layer**2).sum() for layer in weights)))


def _record(world: World, rng: random.Random) -> Any:
    """Draw what is recorded, in one of the forms that are taken."""
    absent = [] if world.setting["tested"] else ["test_risk"]
    absent += [] if world.network.linear else ["distance", "end_to_end"]
    names = [name for name in dl.RECORDABLE if name not in absent and rng.random() < 0.3]
    form, count = rng.randrange(4), min(2, world.network.parameters)
    if form == 0:
        return dict.fromkeys(names, True) | {"eigenvalues": count, "risk": False}
    if form == 1:
        return [f"eigenvalues:{count}" if name == "eigenvalues" else name for name in names]
    return [*names, first_entries, norm][: None if form == 2 else -1]


def _run(world: World, *, swept: bool) -> dict[str, Any]:
    """Right arguments of `simulate` or `sweep`; the dynamics come as their fields."""
    rng = random.Random(world.setting["seed"])
    method = rng.choice(("descent", "euler", "rk4", "dopri5"))
    start: dict[str, Any] = {"weights": world.weights(rng.choice((None, 1, 3, 9)))}
    if swept:
        start = {"scale": rng.choice((0.5, [0.2, 0.5])), "seeds": rng.choice((2, [0, 5]))}
    every: Any = rng.choice((None, 2))
    if method == "dopri5" and every is not None:
        every = 0.02
    length = {"steps": 7} if method == "descent" else {"time": 0.07}
    fields: dict[str, Any] = {"method": method, "step": 0.01}
    if method == "descent":
        rule = {"momentum": rng.choice((0.0, 0.5)), "weight_decay": rng.choice((0.0, 0.1))}
        fields = {"learning_rate": 0.01} | rule | {"nesterov": rule["momentum"] > 0}
    return {
        **start,
        **fields,
        **length,
        "record": _record(world, rng),
        "every": every,
        "tolerance": rng.choice((0.0, 0.1)),
        "dtype": rng.choice(("float64", "float32")),
        "engine": rng.choice(("auto", "ensemble", "wide")),
        "progress": Progress(),
    }


def _dynamics(arguments: dict[str, Any]) -> Any:
    if "learning_rate" in arguments:
        names = ("learning_rate", "momentum", "weight_decay", "nesterov")
        return dl.GradientDescent(**{name: arguments.pop(name) for name in names})
    return dl.GradientFlow(arguments.pop("method"), step=arguments.pop("step"))


def _simulate(world: World, threads: int) -> Call:
    def call(**arguments: Any) -> Any:
        dynamics, weights = _dynamics(arguments), arguments.pop("weights")
        return dl.simulate(world.landscape(), weights, dynamics, threads=threads, **arguments)

    return call


def _sweep(world: World, threads: int) -> Call:
    def call(**arguments: Any) -> Any:
        dynamics, init = _dynamics(arguments), dl.init.Gaussian(arguments.pop("scale"))
        return dl.sweep(world.landscape(), init, dynamics, threads=threads, **arguments)

    return call


def _listed(world: World) -> dict[str, Any]:
    """Right arguments of `sweep_runs`, whose runs take in turns what a sweep combines."""
    arguments = _run(world, swept=True)
    scales, seeds = np.ravel(arguments["scale"]), arguments.pop("seeds")
    numbers = [*range(seeds)] if isinstance(seeds, int) else seeds
    columns = {"seed": [*numbers, 7], "scale": np.resize(scales, len(numbers) + 1).tolist()}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return arguments | {"runs": random.Random(world.setting["seed"]).choice((columns, rows))}


def _sweep_runs(world: World, threads: int) -> Call:
    def call(**arguments: Any) -> Any:
        dynamics, init = _dynamics(arguments), dl.init.Gaussian(arguments.pop("scale"))
        return dl.sweep_runs(world.landscape(), init, dynamics, threads=threads, **arguments)

    return call


def _family(world: World) -> dict[str, Any]:
    """Right arguments of a family of landscapes, and of a sweep over it."""
    rng = random.Random(world.setting["seed"])
    kind = rng.choice(("plain", "residual", ["plain", "residual"]))
    return {
        "n": rng.choice((5, [4, 6])),
        "d": rng.choice((2, [2, 3])),
        "noise": rng.choice((0.5, [0.0, 1.0])),
        "data_seed": rng.choice((3, [3, 2**65])),
        "depth": rng.choice((2, [1, 4])),
        "width": rng.choice((None, 4, [2, 3])) if kind == "plain" else None,
        "kind": kind,
        "activation": rng.choice(("identity", "gelu", ["identity", "tanh"])),
        "network_seed": rng.choice((0, [1, 2])),
        "samples": rng.choice((None, True)),
        "scale": rng.choice((0.5, [0.2, 0.5])),
        "seeds": rng.choice((2, [0, 5])),
        "steps": 5,
        "learning_rate": rng.choice((0.01, [0.01, 0.02])),
        "record": rng.choice((None, "risk", ["layer_norm", "alignment"], ["weights", norm])),
        "every": rng.choice((None, 2)),
        "keep_weights": rng.choice((None, True, False)),
        "progress": Progress(),
    }


def _swept_family(world: World, threads: int) -> Call:
    def call(**arguments: Any) -> Any:
        own = {name: arguments.pop(name) for name in ("n", "d", "noise")}
        data = dl.data.Gaussian(**own, seed=arguments.pop("data_seed"))
        own = {name: arguments.pop(name) for name in ("depth", "width", "kind", "activation")}
        networks = dl.Networks(**own, seed=arguments.pop("network_seed"))
        family = dl.Landscapes(networks, data, samples=arguments.pop("samples"))
        init = dl.init.Gaussian(arguments.pop("scale"))
        dynamics = dl.GradientDescent(arguments.pop("learning_rate"))
        return dl.sweep(family, init, dynamics, threads=threads, **arguments)

    return call


def _from_weights(**arguments: Any) -> Any:
    return dl.init.FromWeights(arguments["weights"]).sample(arguments["network"], arguments["seed"])


ENTRIES: dict[str, Entry] = {
    "Regression": Entry(
        lambda world: dict(world.data), lambda world, threads: dl.Regression, weight=3
    ),
    "Network": Entry(lambda world: dict(world.shape), lambda world, threads: dl.Network),
    "gaussian_regression": Entry(
        lambda world: {"n": 4, "d": 2, "noise": 0.5, "seed": 1, "n_test": 3},
        lambda world, threads: dl.gaussian_regression,
    ),
    "Landscape": Entry(
        lambda world: {
            "network": world.network,
            "regression": world.regression,
            "samples": world.setting["samples"],
            "loss": "squared",
            "threads": 1,
        },
        lambda world, threads: dl.Landscape,
    ),
    "regression.risk": Entry(
        lambda world: {"w": world.rng.standard_normal((3, world.regression.d))},
        lambda world, threads: world.regression.risk,
        shape=lambda world: (3,),
    ),
    "regression.test_risk": Entry(
        lambda world: {"w": world.rng.standard_normal(world.regression.d)},
        lambda world, threads: world.regression.test_risk,
        shape=lambda world: (),
    ),
    "flatten": Entry(
        lambda world: {"weights": world.weights(2)},
        lambda world, threads: world.network.flatten,
        shape=lambda world: (2, world.network.parameters),
    ),
    "unflatten": Entry(
        lambda world: {"vector": world.rng.standard_normal(world.network.parameters)},
        lambda world, threads: world.network.unflatten,
        shape=lambda world: world.network.shapes,
    ),
    "end_to_end": _of_landscape("end_to_end", lambda world: (world.regression.d,)),
    "risk": _of_landscape("risk", lambda world: ()),
    "gradient": _of_landscape("gradient", lambda world: world.network.shapes),
    "hessian": _of_landscape("hessian", lambda world: (_parameters(world), _parameters(world))),
    "compressed_hessian": _of_landscape("compressed_hessian"),
    "hessian_trace": _of_landscape("hessian_trace", lambda world: ()),
    "hessian_vector_product": _of_landscape(
        "hessian_vector_product",
        lambda world: world.network.shapes,
        direction=lambda world: world.weights(),
    ),
    "sharpness": _of_landscape(
        "sharpness", tolerance=1e-6, which="lowest", start=lambda w: w.weights(), max_products=300
    ),
    "eigenvalues": _of_landscape(
        "eigenvalues", k=3, tolerance=1e-6, which="largest", max_products=300
    ),
    "spectral_density": _of_landscape("spectral_density", vectors=2, steps=5, seed=1),
    "operator": Entry(
        lambda world: {
            "weights": world.weights(),
            "x": world.rng.standard_normal(_parameters(world)),
        },
        _product,
        threads=True,
        shape=lambda world: (_parameters(world),),
    ),
    "density": Entry(
        lambda world: {"values": np.linspace(-1, 1, 4), "width": 0.1, "power": 2},
        lambda world, threads: _density,
    ),
    "Gaussian": _law(dl.init.Gaussian, scale=0.5),
    "Residual": _law(dl.init.Residual, scale=0.5),
    "Orthogonal": _law(dl.init.Orthogonal, scale=0.5),
    "Identity": _law(dl.init.Identity),
    "FromWeights": Entry(
        lambda world: {"weights": world.weights(3), "network": world.network, "seed": 2},
        lambda world, threads: _from_weights,
        shape=lambda world: world.network.shapes,
    ),
    "GradientDescent": Entry(
        lambda world: {
            "learning_rate": 0.1,
            "momentum": [0.0, 0.5],
            "nesterov": False,
            "weight_decay": 0.1,
        },
        lambda world, threads: dl.GradientDescent,
    ),
    "GradientFlow": Entry(
        lambda world: {"method": "rk4", "step": 0.1, "rtol": 1e-6, "atol": [1e-6, 1e-9]},
        lambda world, threads: dl.GradientFlow,
    ),
    "aligned_minimizer": Entry(
        lambda world: {"network": world.network, "regression": world.regression},
        lambda world, threads: dl.theory.aligned_minimizer,
        shape=lambda world: world.network.shapes,
    ),
    "curvature_along_minimizer": _of_regression(dl.theory.curvature_along_minimizer),
    **{
        name: _of_regression(getattr(dl.theory, name), depth=3)
        for name in (
            "sharpness_lower_bound",
            "sharpness_upper_bound",
            "aligned_sharpness",
            "small_scale_sharpness_bound",
            "critical_learning_rate",
        )
    },
    "simulate": Entry(lambda world: _run(world, swept=False), _simulate, threads=True, weight=8),
    "sweep": Entry(lambda world: _run(world, swept=True), _sweep, threads=True, weight=6),
    "sweep_family": Entry(_family, _swept_family, threads=True, weight=6),
    "data.Gaussian": Entry(
        lambda world: {"n": 4, "d": 2, "noise": 0.5, "seed": 1},
        lambda world, threads: lambda **own: dl.data.Gaussian(**own).regression(),
    ),
    "data.Spectral": Entry(
        lambda world: {"n": 4, "d": 2, "condition": 3.0, "along": "bottom", "seed": 1},
        lambda world, threads: lambda **own: dl.data.Spectral(**own).regression(),
    ),
    "sweep_runs": Entry(_listed, _sweep_runs, threads=True, weight=4),
}
