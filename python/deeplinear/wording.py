"""Sweeps in plain words: mappings, lists, numbers and texts, as JSON and TOML hold them.

`sweep_of` undoes `words_of`. Data and networks that are no family stand as "given": the network
whole, the data by their SHA-256, since numbers of theirs are arrays.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any

import numpy as np

import deeplinear.data as laws_of_data
import deeplinear.init as laws_of_init
from deeplinear._support.checks import describe, one_of
from deeplinear.description import Sweep
from deeplinear.dynamics import GradientDescent, GradientFlow
from deeplinear.landscape import Landscape
from deeplinear.landscapes import Landscapes
from deeplinear.network import Network
from deeplinear.networks import Networks
from deeplinear.records import RECORDABLE
from deeplinear.regression import Regression

__all__ = ["canonical", "deciding", "differences", "digest_of", "sweep_of", "words_of"]

#: The classes of every part, by the word for each.
KINDS: dict[str, dict[str, type]] = {
    "data": {
        "gaussian": laws_of_data.Gaussian,
        "spectral": laws_of_data.Spectral,
        "file": laws_of_data.File,
    },
    "init": {
        "gaussian": laws_of_init.Gaussian,
        "residual": laws_of_init.Residual,
        "identity": laws_of_init.Identity,
        "orthogonal": laws_of_init.Orthogonal,
    },
    "dynamics": {"gradient descent": GradientDescent, "gradient flow": GradientFlow},
}
GIVEN = "given"
#: Fields of a sweep that stand in its words as they are, unless they have their default.
_PLAIN = (
    *("steps", "time", "every", "tolerance", "dtype", "engine"),
    *("keep_weights", "keep_state"),
)


def words_of(sweep: Sweep) -> dict[str, Any]:
    """Say everything that decides the numbers of a sweep in plain words.

    Raises
    ------
    TypeError
        If the initialization is a law of a person's own, or a function is recorded: words cannot
        hold them.
    """
    landscape = sweep.landscape
    own = landscape.regression if isinstance(landscape, Landscape) else landscape.data
    words: dict[str, Any] = {
        "data": _given_data(own) if isinstance(own, Regression) else _words("data", own),
        "network": _network_words(landscape.network),
        "init": _words("init", sweep.init),
        "dynamics": _words("dynamics", sweep.dynamics),
        "seeds": _seed_words(sweep.seeds),
        "record": _record_words(sweep),
    }
    if landscape.loss != "squared":
        words["loss"] = landscape.loss
    by_default = isinstance(landscape, Landscape) and landscape.samples == (
        not landscape.network.linear or landscape.loss != "squared"
    )
    if landscape.samples is not None and not by_default:
        words["samples"] = landscape.samples
    defaults = {field.name: field.default for field in fields(Sweep)}
    for name in _PLAIN:
        value = getattr(sweep, name)
        if value is not None and value != defaults[name]:
            words[name] = _plain(value)
    return words


def _plain(value: Any) -> Any:
    """Turn numbers of NumPy into those of Python, and sequences into lists."""
    if isinstance(value, (tuple, list, range)):
        return [_plain(entry) for entry in value]
    return value.item() if isinstance(value, np.generic) else value


def _words(part: str, settings: Any) -> dict[str, Any]:
    kinds = KINDS[part]
    for kind, cls in kinds.items():
        if type(settings) is cls:
            return {"kind": kind, **_settings(settings)}
    known = ", ".join(cls.__name__ for cls in kinds.values())
    raise TypeError(f"{part} must be one of {known}, to be written down; got {describe(settings)}.")


def _settings(settings: Any) -> dict[str, Any]:
    """Return the fields that differ from their default."""
    found = ((f.name, getattr(settings, f.name), f.default) for f in fields(settings) if f.init)
    return {name: _plain(value) for name, value, default in found if value != default}


def _network_words(network: Network | Networks) -> dict[str, Any]:
    if isinstance(network, Networks):
        words = _settings(network)
        return {"kind": _plain(network.kind), **words}
    readout = network.readout
    words = {"kind": GIVEN, "widths": list(network.widths)}
    if readout is not None:
        words["readout"] = np.asarray(readout, np.float64).tolist()
    if network.activation != "identity":
        words["activation"] = network.activation
    return words


def _given_data(regression: Regression) -> dict[str, Any]:
    digest = hashlib.sha256()
    for name in ("X", "y", "X_test", "y_test"):
        array = getattr(regression, name)
        if array is not None:
            digest.update(f"{name}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).astype("<f8").tobytes())
    n, d = regression.X.shape
    return {"kind": GIVEN, "n": n, "d": d, "sha256": digest.hexdigest()}


def _seed_words(seeds: Sequence[int]) -> Any:
    """Say how many seeds there are, and where they begin, if each is one more than the last."""
    first = int(seeds[0])
    even = isinstance(seeds, range) and seeds.step == 1  # of 10^8, none is looked at
    if not even and any(seed != first + i for i, seed in enumerate(seeds)):
        return [int(seed) for seed in seeds]
    return len(seeds) if first == 0 else {"first": first, "count": len(seeds)}


def _record_words(sweep: Sweep) -> list[str]:
    _, landscape = next(sweep.landscapes())
    recording = sweep.recording(landscape)
    for function in recording.functions:
        raise TypeError(
            "record must hold names alone, to be written down; "
            f"got the function {function.__name__!r}."
        )
    counted = {name for name, (_, axes) in RECORDABLE.items() if axes == "eigenvalue"}
    return [f"{r.name}:{r.count}" if r.name in counted else r.name for r in recording.records]


def sweep_of(words: Mapping[str, Any], given: Regression | None = None) -> Sweep:
    """Make the sweep that words describe.

    Parameters
    ----------
    words : mapping
        As `words_of` returns them; what has its default may be left out.
    given : Regression, optional
        The data of a store that has them: those that were given, or were read from a file.

    Raises
    ------
    TypeError, ValueError
        If something is missing, unknown, or not as `Sweep` takes it.
    """
    if not isinstance(words, Mapping):
        raise TypeError(f"the sweep must be a mapping of names to values; got {describe(words)}.")
    known = ("data", "network", "init", "dynamics", "seeds", "record", "loss", "samples", *_PLAIN)
    _check_names("the sweep", words, known, ("data", "network", "init", "dynamics", "seeds"))
    own = _table(words, "data")
    law: Any = given
    if own.get("kind") == GIVEN:
        if given is None:
            raise ValueError("data must be a law or a file; got data that were given as arrays.")
        if _given_data(given) != dict(own):
            raise ValueError("data must be those of the description; got others.")
    elif given is None:
        law = _made("data", own)
    network = _network(_table(words, "network"))
    return Sweep(
        Landscapes(network, law, words.get("samples"), words.get("loss", "squared")),
        _made("init", _table(words, "init")),
        _made("dynamics", _table(words, "dynamics")),
        _seeds(words["seeds"]),
        record=words.get("record"),
        **{name: words[name] for name in _PLAIN if name in words},
    )


def _table(words: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    if not isinstance(words[name], Mapping):
        raise TypeError(f"{name} must be a table; got {describe(words[name])}.")
    table: Mapping[str, Any] = words[name]
    return table


def _check_names(
    where: str, words: Mapping[str, Any], known: Iterable[str], needed: Iterable[str]
) -> None:
    for name in words:
        if name not in known:
            raise ValueError(f"{where} must have names out of {', '.join(known)}; got {name!r}.")
    for name in needed:
        if name not in words:
            raise ValueError(f"{where} must have {name!r}; got {', '.join(words) or 'nothing'}.")


def _made(part: str, words: Mapping[str, Any]) -> Any:
    _check_names(part, words, words, ["kind"])
    cls = KINDS[part][one_of(f"{part}.kind", words["kind"], tuple(KINDS[part]))]
    return _filled(part, cls, {name: value for name, value in words.items() if name != "kind"})


def _filled(part: str, cls: type, words: Mapping[str, Any]) -> Any:
    own = {field.name: field.default for field in fields(cls) if field.init}
    needed = [name for name, default in own.items() if default is MISSING]
    _check_names(part, words, ["kind", *own], needed)
    try:
        return cls(**words)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{part}.{error}") from None


def _network(words: Mapping[str, Any]) -> Network | Networks:
    if words.get("kind") == GIVEN:
        own = {name: value for name, value in words.items() if name != "kind"}
        _check_names("network", own, ("widths", "readout", "activation"), ("widths",))
        try:
            return Network(**own)
        except (TypeError, ValueError) as error:
            raise type(error)(f"network.{error}") from None
    return _filled("network", Networks, words)  # type: ignore[no-any-return]


def _seeds(seeds: Any) -> Any:
    if isinstance(seeds, Mapping):
        _check_names("seeds", seeds, ("first", "count"), ("first", "count"))
        first, count = seeds["first"], seeds["count"]
        if not all(isinstance(x, int) and not isinstance(x, bool) for x in (first, count)):
            raise TypeError("seeds must have integers 'first' and 'count'; got something else.")
        return range(first, first + count)
    return seeds


def deciding(words: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out where the file of the data is: its SHA-256 says which it is."""
    own = {name: value for name, value in words["data"].items() if name != "path"}
    return {**words, "data": own}


def canonical(words: Mapping[str, Any]) -> str:
    """Write words as JSON of one form."""
    return json.dumps(words, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest_of(words: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the canonical JSON of what decides numbers."""
    return hashlib.sha256(canonical(deciding(words)).encode()).hexdigest()


def differences(one: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Name the fields in which two descriptions differ, such as "dynamics.learning_rate"."""
    found = []
    for name in sorted({*one, *other}):
        a, b = one.get(name), other.get(name)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found += differences(a, b, f"{prefix}{name}.")
        elif a != b:
            found.append(f"{prefix}{name}")
    return found
