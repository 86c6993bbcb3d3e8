"""Sweeps as TOML files: the words of `deeplinear.wording`, a table for every part.

`parse_sweep` undoes `to_toml`: the two descriptions have the same SHA-256.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from deeplinear._support.files import require, user_path
from deeplinear._support.toml import WRITE_MODULES, Table, fill, parse, read_text
from deeplinear.description import Sweep
from deeplinear.networks import Networks
from deeplinear.wording import GIVEN, KINDS, sweep_of, words_of

__all__ = ["parse_sweep", "read_sweep", "to_toml"]

#: The tables of a file, what stands above them, and what it must have.
_PARTS = ("data", "network", "init", "dynamics")
_OWN = (
    *(field.name for field in fields(Sweep) if field.name not in ("landscape", *_PARTS)),
    *("loss", "samples"),
)
_NAMES = (*_PARTS, *_OWN)
_NEEDED = (*_PARTS, "seeds")


def to_toml(sweep: Sweep) -> str:
    """Write a sweep as TOML.

    Parameters
    ----------
    sweep : Sweep
        The sweep, with a law of `deeplinear.data` as its data.

    Returns
    -------
    str
        What `parse_sweep` reads; what has its default is left out.

    Raises
    ------
    ImportError
        If tomlkit is missing.
    TypeError
        If the data are arrays, the initialization is a law of your own, or a function is recorded.
    """
    require("A sweep as TOML", *WRITE_MODULES)
    import tomlkit

    words = words_of(sweep)
    if words["data"]["kind"] == GIVEN:
        raise TypeError(
            "data must be a law of deeplinear.data, to be written as TOML; got arrays, which "
            "deeplinear.data.File takes from a file."
        )
    document = tomlkit.document()
    for name in _OWN:
        value = words.get(name)
        if isinstance(value, Mapping):
            table = tomlkit.inline_table()
            table.update(value)
            document.add(name, table)
        else:
            fill(document, {name: value})
    for part in _PARTS:
        document.add(part, fill(tomlkit.table(), words[part]))
    return tomlkit.dumps(document)


def read_sweep(path: str | os.PathLike[str]) -> Sweep:
    """Read a sweep from a TOML file.

    Parameters
    ----------
    path : path-like
        The file; `to_toml` writes one to start from. A relative path of data in it begins where the
        file is.

    Returns
    -------
    Sweep
        The description, which `run_sweep` runs.

    Raises
    ------
    ImportError
        On Python 3.10 without tomli.
    ValueError
        If the file cannot be read, or something in it is wrong: one sentence that names the file,
        the line and the key.
    """
    folder = os.path.dirname(user_path("file", path))
    return parse_sweep(read_text(path), str(path), folder)


def parse_sweep(text: str, source: str = "the sweep", folder: str = "") -> Sweep:
    """Read a sweep from TOML text; as `read_sweep`.

    Parameters
    ----------
    text : str
        The text.
    source : str
        What errors say in place of the file's name.
    folder : str
        Where a relative path of the data begins; by default where the process is.
    """
    top = Table(text, source, (), parse(text, source))
    top.check("a sweep", _NAMES, _NEEDED)
    for part in _PARTS:
        table = top.table(part)
        table.check(table.title, *(_network_names(table) if part == "network" else _names(table)))
    own = top.values["data"]
    if own["kind"] == "file" and isinstance(own["path"], str):
        path = os.path.join(folder, os.path.expanduser(own["path"]))
        top.values["data"] = {**own, "path": path}
    return top.make(_checked, {"words": top.values})


def _checked(words: Mapping[str, Any]) -> Sweep:
    sweep = sweep_of(words)
    _, landscape = next(sweep.landscapes())
    sweep.recording(landscape)
    return sweep


def _names(table: Table) -> tuple[list[str], list[str]]:
    """Return what a table may have, and what it must."""
    known, needed = _fields(table.choice("kind", KINDS[str(table.path[0])]))
    return ["kind", *known], ["kind", *needed]


def _network_names(table: Table) -> tuple[list[str], list[str]]:
    if table.values.get("kind") == GIVEN:
        return ["kind", "widths", "readout", "activation"], ["kind", "widths"]
    return _fields(Networks)  # whose checks know its kinds


def _fields(cls: type) -> tuple[list[str], list[str]]:
    own = [field for field in fields(cls) if field.init]
    return [f.name for f in own], [f.name for f in own if f.default is MISSING]
