"""TOML that people write: read with the line of every fault, and written with arrays in lines."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from textwrap import wrap
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from deeplinear._support.checks import describe, one_of
from deeplinear._support.files import require, user_path

__all__ = ["WRITE_MODULES", "Table", "fill", "parse", "read_text"]

if TYPE_CHECKING:
    from tomlkit.container import Container
    from tomlkit.items import Array
    from tomlkit.items import Table as Written

T = TypeVar("T")

#: The modules that writing needs beyond the package's own requirements.
WRITE_MODULES = ("tomlkit",)
#: Arrays that are longer on one line than this have several.
WIDTH = 88


def fill(table: Container | Written, values: Mapping[str, Any]) -> Container | Written:
    """Write settings into a table; what is None is left out."""
    for name, value in values.items():
        if value is not None:
            table.add(name, _array(name, value) if isinstance(value, (tuple, list)) else value)
    return table


def _array(name: str, values: Sequence[Any]) -> Array:
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


def read_text(path: str | os.PathLike[str]) -> str:
    """Read a TOML file.

    Raises
    ------
    ValueError
        If it cannot be read, or is no text.
    """
    try:
        return user_path("file", path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(f"{path} could not be read: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} must be a TOML file; it is no UTF-8 text.") from None


@dataclass(frozen=True)
class Table:
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

    def table(self, key: str, index: int | None = None) -> Table:
        """Return a table within."""
        value = self.values[key] if index is None else self.values[key][index]
        if not isinstance(value, dict):
            self.fail(key, f"{key} must be a table [{key}]; got {describe(value)}.")
        path = (*self.path, key) if index is None else (*self.path, key, index)
        return Table(self.text, self.source, path, value)

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
            within = re.match(r"(\w+)(?:\[(\d+)\])?\.(\w+)", str(error))
            if within is not None and within[1] in self.values:
                name, index, key = within.groups()
                self.table(name, None if index is None else int(index)).fail(key, str(error))
            word = re.match(r"\w+", str(error))
            self.fail(word.group() if word else None, str(error))


def _toml() -> ModuleType:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        require("A preset file", "tomli")
        import tomli as tomllib
    return tomllib


def parse(text: str, source: str) -> dict[str, Any]:
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
