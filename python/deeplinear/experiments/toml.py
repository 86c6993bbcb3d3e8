"""Presets as TOML: a person's own experiment is a text file, and every result names its settings.

`parse_preset` undoes `to_toml` to the bit: Python writes every number with the digits that it is
read back from.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from itertools import islice
from textwrap import wrap
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from deeplinear import GradientDescent, GradientFlow
from deeplinear._support.checks import describe, one_of, positive_integer, scalar_or_sequence
from deeplinear._support.files import require, user_path
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

if TYPE_CHECKING:
    from tomlkit.container import Container
    from tomlkit.items import Array, Table

T = TypeVar("T")

#: The modules that `to_toml` needs beyond the package's own requirements.
WRITE_MODULES = ("tomlkit",)
#: Arrays that are longer on one line than this have several.
WIDTH = 88

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
    _fill(document, {name: getattr(preset, name) for name in names})
    data = {"kind": _kind("data", preset.data, _DATA), **_settings(preset.data)}
    init = {"kind": _kind("init", preset.init, _INIT), **_settings(preset.init)}
    network = {name: getattr(preset.network, name) for name in _names(Architecture)}
    for table, values in (("data", data), ("network", network), ("init", init)):
        document.add(table, _fill(tomlkit.table(), values))
    parts = tomlkit.aot()
    for part in preset.training:
        parts.append(_fill(tomlkit.table(), _training(part)))
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


def _fill(table: Container | Table, values: Mapping[str, Any]) -> Container | Table:
    """Write settings into a table; what is None is left out."""
    for name, value in values.items():
        if value is not None:
            table.add(name, _array(name, value) if isinstance(value, tuple) else value)
    return table


def _array(name: str, values: tuple[Any, ...]) -> Array:
    """Write a sequence: on one line, or where that is long on as many as it takes."""
    import tomlkit

    array = tomlkit.array()
    array.extend(values)
    text = array.as_string()
    if len(f"{name} = {text}") <= WIDTH:
        return array
    array, rest = tomlkit.array(), iter(values)
    for line in wrap(text[1:-1], WIDTH - 4, break_on_hyphens=False):
        array.add_line(*islice(rest, len(line.split())))
    array.add_line(indent="")
    return array


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
    try:
        text = user_path("file", path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(f"{path} could not be read: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} must be a TOML file; it is no UTF-8 text.") from None
    return parse_preset(text, str(path), str(user_path("file", path).parent))


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
    top = _Table(text, source, (), _parse(text, source))
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


def _choose(table: _Table, key: str, kinds: Mapping[str, type]) -> Any:
    """Make what a table describes: its class by the value of a key, the rest are its fields."""
    cls = table.choice(key, kinds)
    table.check(table.title, [key, *_names(cls)], [key, *_required(cls)])
    return table.make(cls, {name: x for name, x in table.values.items() if name != key})


def _data(table: _Table, folder: str) -> Any:
    if table.values.get("kind") == "file":
        table.check(table.title, ["kind", *_names(FileData)], _required(FileData))
        own = {name: x for name, x in table.values.items() if name != "kind"}
        return table.make(FileData, {**own, "folder": folder})
    return _choose(table, "kind", _DATA)


def _network(table: _Table) -> Architecture:
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


def _part(table: _Table) -> Training:
    cls = table.choice("dynamics", _DYNAMICS)
    known = [*_names(cls), *_names(Training)]
    horizon = "steps" if cls is GradientDescent else "time"
    table.check(table.title, known, [*_required(cls), *_required(Training), horizon])
    of_dynamics = {name: x for name, x in table.values.items() if name in _names(cls)}
    rest = {name: x for name, x in table.values.items() if name not in of_dynamics}
    return table.make(Training, {**rest, "dynamics": table.make(cls, of_dynamics)})


def _required(cls: type) -> list[str]:
    return [field.name for field in fields(cls) if field.default is MISSING]


@dataclass(frozen=True)
class _Table:
    """A table of the file, and where it stands; errors name the file, the line and the key."""

    text: str
    source: str
    path: tuple[str | int, ...]
    values: dict[str, Any]

    @property
    def title(self) -> str:
        return f"[[{self.path[0]}]]" if len(self.path) > 1 else f"[{self.path[0]}]"

    def fail(self, key: str | None, message: str) -> NoReturn:
        """Raise a ValueError, for a key here or in a table within, or for the table itself."""
        path = self._find(key)
        place = f", line {_line(self.text, path)}" if path else ""
        raise ValueError(f"{self.source}{place}: {message}") from None

    def _find(self, key: str | None) -> tuple[str | int, ...]:
        if key is None or key in self.values:
            return self.path if key is None else (*self.path, key)
        for name, value in self.values.items():
            tables = value if isinstance(value, list) else [value]
            for i, table in enumerate(tables):
                if isinstance(table, dict) and key in table:
                    return (*self.path, name, *([i] if table is not value else []), key)
        return self.path

    def table(self, key: str, index: int | None = None) -> _Table:
        """Return a table within."""
        value = self.values[key] if index is None else self.values[key][index]
        if not isinstance(value, dict):
            self.fail(key, f"{key} must be a table [{key}]; got {describe(value)}.")
        path = (*self.path, key) if index is None else (*self.path, key, index)
        return _Table(self.text, self.source, path, value)

    def check(self, title: str, known: Sequence[str], required: Sequence[str]) -> None:
        """Refuse unknown keys, and say which are missing."""
        for key in self.values:
            if key not in known:
                takes = ", ".join(known)
                self.fail(key, f"unknown key {describe(key)}; {title} takes {takes}.")
        for key in required:
            if key not in self.values:
                self.fail(None, f"{title} lacks the key {key!r}.")

    def choice(self, key: str, choices: Mapping[str, T]) -> T:
        """Look up what a key names."""
        self.check(self.title, list(self.values), (key,))
        return choices[self.attempt(one_of, key, self.values[key], tuple(choices))]

    def make(self, cls: Callable[..., T], values: Mapping[str, Any]) -> T:
        """Make an object; its own checks speak of its fields, which are the keys."""
        return self.attempt(cls, **values)

    def attempt(self, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Call a function whose errors speak of a key."""
        try:
            return function(*arguments, **named)
        except (TypeError, ValueError) as error:
            within = re.match(r"(\w+)\[(\d+)\]\.(\w+)", str(error))
            if within is not None:
                name, index, key = within.groups()
                self.table(name, int(index)).fail(key, str(error))
            word = re.match(r"\w+", str(error))
            self.fail(word.group() if word else None, str(error))


def _toml() -> ModuleType:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        require("A preset file", "tomli")
        import tomli as tomllib
    return tomllib


def _parse(text: str, source: str) -> dict[str, Any]:
    toml = _toml()
    try:
        values: dict[str, Any] = toml.loads(text)
    except toml.TOMLDecodeError as error:
        where = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", str(error))
        message, line = str(error), len(text.splitlines())
        if where is not None:
            message = message[: where.start()]
            line = int(where.group(1) or max(line, 1))
        raise ValueError(f"{source}, line {line}: not valid TOML: {message}.") from None
    except ValueError:  # Python's limit of digits
        raise ValueError(f"{source}: not valid TOML: an integer has too many digits.") from None
    except RecursionError:
        raise ValueError(f"{source}: not valid TOML: too many nested brackets.") from None
    return values


def _line(text: str, path: tuple[str | int, ...]) -> int:
    """Find the line where the statement begins that defines a key, or opens a table.

    Read the file line by line: where its first lines are valid TOML, they end with a statement.
    The statement is the first one after which the key is there.
    """
    toml = _toml()
    lines = text.split("\n")
    start = 1
    for end in range(1, len(lines) + 1):
        try:
            values = toml.loads("\n".join(lines[:end]))
        except toml.TOMLDecodeError:
            continue
        if _has(values, path):
            break
        start = end + 1
    return start


def _has(values: Any, path: tuple[str | int, ...]) -> bool:
    for key in path:
        present = key < len(values) if isinstance(key, int) else key in values
        if not present:
            return False
        values = values[key]
    return True
