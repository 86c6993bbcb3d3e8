"""Presets as TOML: a person's own experiment is a text file, and every result names its settings.

`parse_preset` undoes `to_toml` to the bit: Python writes every number with the digits that it is
read back from.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from deeplinear import GradientDescent, GradientFlow
from deeplinear._support.checks import describe, positive_integer, scalar_or_sequence
from deeplinear._support.files import require, user_path
from deeplinear._support.toml import WRITE_MODULES, Table, fill, parse, read_text
from deeplinear.experiments.preset import (
    Architecture,
    FileData,
    GaussianData,
    Preset,
    SpectralData,
    Training,
)
from deeplinear.init import Gaussian, Identity, Orthogonal, Residual

__all__ = ["canonical", "parse_preset", "read_preset", "to_toml"]

_DATA: dict[str, type] = {"gaussian": GaussianData, "spectral": SpectralData, "file": FileData}
_INIT: dict[str, type] = {
    "gaussian": Gaussian,
    "residual": Residual,
    "identity": Identity,
    "orthogonal": Orthogonal,
}
_DYNAMICS: dict[str, type] = {
    "gradient descent": GradientDescent,
    "gradient flow": GradientFlow,
}


def to_toml(preset: Preset) -> str:
    """Write a preset as TOML.

    Parameters
    ----------
    preset : Preset
        The experiment.

    Returns
    -------
    str
        What `parse_preset` reads; fields that have their default value may be left out.

    Raises
    ------
    ImportError
        If tomlkit is missing.
    TypeError
        If the law of the data or of the initial weights is none of the package.
    """
    require("A preset as TOML", *WRITE_MODULES)
    import tomlkit

    names = ("name", "title", "seed", "record", "figures")
    document = tomlkit.document()
    fill(document, {name: getattr(preset, name) for name in names})
    data = {"kind": _kind("data", preset.data, _DATA), **_settings(preset.data)}
    init = {"kind": _kind("init", preset.init, _INIT), **_settings(preset.init)}
    network = {name: getattr(preset.network, name) for name in _names(Architecture)}
    for table, values in (("data", data), ("network", network), ("init", init)):
        document.add(table, fill(tomlkit.table(), values))
    parts = tomlkit.aot()
    for part in preset.training:
        parts.append(fill(tomlkit.table(), _training(part)))
    document.add("training", parts)
    return tomlkit.dumps(document)


def _training(part: Training) -> dict[str, Any]:
    dynamics = part.dynamics
    values = {"dynamics": _kind("dynamics", dynamics, _DYNAMICS), **_settings(dynamics)}
    if isinstance(dynamics, GradientFlow):
        used = ("method", "rtol", "atol") if dynamics.method == "dopri5" else ("method", "step")
        values |= {name: getattr(dynamics, name) for name in used}
    own = _settings(part)
    del own["dynamics"]
    runs = own.pop("runs")
    return {**values, **own, "runs": runs}


def _kind(name: str, value: object, kinds: Mapping[str, type]) -> str:
    for kind, cls in kinds.items():
        if type(value) is cls:
            return kind
    known = ", ".join(cls.__name__ for cls in kinds.values())
    raise TypeError(f"{name} must be one of {known}; got {describe(value)}.")


def _names(cls: type) -> list[str]:
    return [field.name for field in fields(cls) if field.compare]


def _settings(configuration: Any) -> dict[str, Any]:
    """Return the fields that differ from their default."""
    defaults = {f.name: f.default for f in fields(configuration) if f.compare}
    values = {name: (getattr(configuration, name), default) for name, default in defaults.items()}
    return {name: value for name, (value, default) in values.items() if value != default}


def read_preset(path: str | os.PathLike[str]) -> Preset:
    """Read a preset from a TOML file.

    Parameters
    ----------
    path : path-like
        The file; `to_toml` writes one to start from.

    Returns
    -------
    Preset
        The experiment.

    Raises
    ------
    ImportError
        On Python 3.10 without tomli.
    ValueError
        If the file cannot be read, or something in it is wrong: one sentence that names the file,
        the line and the key.
    """
    return parse_preset(read_text(path), str(path), str(user_path("file", path).parent))


def parse_preset(text: str, source: str = "the preset", folder: str = "") -> Preset:
    """Read a preset from TOML text; as `read_preset`.

    Parameters
    ----------
    text : str
        The text.
    source : str
        What errors say in place of the file's name.
    folder : str
        Where relative paths begin; by default where the process is.
    """
    top = Table(text, source, (), parse(text, source))
    top.check("preset", _names(Preset), ("name", "data", "network", "init", "training", "record"))
    parts = top.values["training"]
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        top.fail("training", f"training must be tables [[training]]; got {describe(parts)}.")
    return top.make(
        Preset,
        {
            "title": top.values.get("name"),
            **top.values,
            "data": _data(top.table("data"), folder),
            "network": _network(top.table("network")),
            "init": _choose(top.table("init"), "kind", _INIT),
            "training": [_part(top.table("training", i)) for i in range(len(parts))],
        },
    )


def canonical(text: str) -> str:
    """Write a preset's text as `to_toml` does today; what is no preset of today stays as it is."""
    try:
        return to_toml(parse_preset(text))
    except ValueError:
        return text


def _choose(table: Table, key: str, kinds: Mapping[str, type]) -> Any:
    """Make what a table describes: its class by the value of a key, the rest are its fields."""
    cls = table.choice(key, kinds)
    table.check(table.title, [key, *_names(cls)], [key, *_required(cls)])
    return table.make(cls, {name: x for name, x in table.values.items() if name != key})


def _data(table: Table, folder: str) -> Any:
    if table.values.get("kind") == "file":
        table.check(table.title, ["kind", *_names(FileData)], _required(FileData))
        own = {name: x for name, x in table.values.items() if name != "kind"}
        return table.make(FileData, {**own, "folder": folder})
    return _choose(table, "kind", _DATA)


def _network(table: Table) -> Architecture:
    """Make the networks; ``depth``, as `deeplinear.Networks` says it, is ``depths``."""
    table.check(table.title, [*_names(Architecture), "depth"], ("kind",))
    values = dict(table.values)
    if "depth" in values:
        if "depths" in values:
            table.fail("depth", "depth must not be given beside depths: they are one thing.")
        values["depths"] = table.attempt(_depths, values.pop("depth"))
    return table.make(Architecture, values)


def _depths(value: object) -> Any:
    return scalar_or_sequence("depth", value, positive_integer)


def _part(table: Table) -> Training:
    cls = table.choice("dynamics", _DYNAMICS)
    known = [*_names(cls), *_names(Training)]
    horizon = "steps" if cls is GradientDescent else "time"
    table.check(table.title, known, [*_required(cls), *_required(Training), horizon])
    of_dynamics = {name: x for name, x in table.values.items() if name in _names(cls)}
    rest = {name: x for name, x in table.values.items() if name not in of_dynamics}
    return table.make(Training, {**rest, "dynamics": table.make(cls, of_dynamics)})


def _required(cls: type) -> list[str]:
    return [field.name for field in fields(cls) if field.default is MISSING]
