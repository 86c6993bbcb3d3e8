"""The arrays of a store: what is there before the first run, and how it is opened again."""

from __future__ import annotations

import os
import shutil
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from deeplinear import _core
from deeplinear._support.checks import describe
from deeplinear._support.files import require, user_path
from deeplinear.description import Sweep
from deeplinear.landscape import Landscape
from deeplinear.options import STATUS
from deeplinear.records import Record, lengths_of_axes
from deeplinear.regression import Regression
from deeplinear.seeds import labels
from deeplinear.store.blocks import Blocks, Index, cut
from deeplinear.store.errors import StoreError
from deeplinear.wording import canonical, differences, digest_of, sweep_of, words_of

__all__ = ["FAILED", "FORMAT", "Store", "create", "opened"]

#: Changes when a store is laid out in another way.
FORMAT = 1
#: Changes when a sweep of the same description has other bits.
NUMERICS = 1
#: What ``status`` holds where a block failed, beside the core's numbers.
FAILED = len(STATUS)
MODULES = ("zarr",)

_COORDINATE_CHUNK = 1_000_000
_TEST = ("X_test", "y_test")


@contextmanager
def trouble(path: Any) -> Iterator[None]:
    """Turn what the system says of a store into one sentence."""
    try:
        yield
    except StoreError:
        raise
    except FileNotFoundError:
        raise StoreError(f"store must be there; {path} is not, or lacks a part.") from None
    except OSError as error:
        raise StoreError(f"store {path} could not be used: {error.strerror or error}.") from None


@dataclass(frozen=True)
class Store:
    """A store that is open.

    Attributes
    ----------
    path : str or store of zarr
        What it was opened by: a folder or an address.
    group : zarr.Group
        Its arrays.
    """

    path: Any
    group: Any

    @cached_property
    def words(self) -> dict[str, Any]:
        """The description in plain words."""
        import json

        words: dict[str, Any] = json.loads(self.group.attrs["description"])
        return words

    @cached_property
    def sweep(self) -> Sweep:
        """The description."""
        return sweep_of(self.words, _given(self.group))

    @cached_property
    def blocks(self) -> Blocks:
        """Its blocks."""
        sizes = {name: self.group[name].shape[0] for name in self.group.attrs["dimensions"]}
        return Blocks(sizes, tuple(self.group.attrs["block"]))

    @cached_property
    def variables(self) -> tuple[str, ...]:
        """The arrays of all runs, ``status`` last."""
        return tuple(self.group.attrs["variables"])

    @property
    def folder(self) -> Path | None:
        """The folder on a disk, or None where it is an address."""
        root = getattr(self.group.store, "root", None)
        return Path(root) / self.group.path if isinstance(root, Path) else None

    def done(self) -> set[Index]:
        """List the blocks that have their mark."""
        return self._listed("status")

    def failed(self) -> dict[Index, str]:
        """Return what failed blocks said."""
        array = self.group["blocks/error"]
        return {
            index: str(array.blocks[index].item()) for index in sorted(self._listed("blocks/error"))
        }

    def _listed(self, name: str) -> set[Index]:
        """List the chunks of an array that are there."""
        if self.folder is not None:
            with trouble(self.path):
                names = os.listdir(self.folder / name)
        else:
            names = _list(self.group.store, f"{self.group.path}/{name}".strip("/"))
        return {
            tuple(map(int, parts))
            for text in names
            if text.startswith("c.") and all(map(str.isdecimal, parts := text.split(".")[1:]))
        }

    def is_done(self, index: Index) -> bool:
        """Say whether a block has its mark."""
        key = "c." + ".".join(map(str, index))
        if self.folder is not None:
            return (self.folder / "status" / key).exists()
        return index in self.done()

    def unmark(self, index: Index) -> None:
        """Take the mark of a block away, so that it runs again."""
        with trouble(self.path):
            self.group["status"].blocks[index] = np.zeros(
                self.group["status"].blocks[index].shape, np.int8
            )


def _list(store: Any, prefix: str) -> list[str]:
    from zarr.core.sync import sync

    async def names() -> list[str]:
        return [name async for name in store.list_dir(prefix)]

    return sync(names())


def opened(path: Any, *, mode: str = "r+") -> Store:
    """Open a store.

    Raises
    ------
    StoreError
        If it is not there, is no store of a sweep, or of a later format.
    """
    require("A store", *MODULES)
    import zarr

    where = _location(path)
    with trouble(str(path)):
        try:
            group = zarr.open_group(where, mode=mode)  # type: ignore[arg-type]
        except (zarr.errors.GroupNotFoundError, FileNotFoundError):
            raise StoreError(
                f"store must be that of a sweep; {path} is none, or not there."
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"store must be that of a sweep; {path} is none: {error}") from None
    format_ = group.attrs.get("deeplinear_store")
    if not isinstance(format_, int):
        raise StoreError(f"store must be that of a sweep; {path} is another one.")
    if format_ > FORMAT:
        raise StoreError(
            f"store must be of format {FORMAT} or before; {path} is of format {format_}, which a "
            "later deeplinear wrote."
        )
    return Store(where if isinstance(where, str) else path, group)


def _location(path: Any) -> Any:
    """Take a path, an address, or a store of zarr."""
    if isinstance(path, (str, os.PathLike)):
        text = os.fspath(path)
        return text if "://" in text else os.path.abspath(user_path("store", text))
    if isinstance(path, (bytes, int, float)) or path is None:
        raise TypeError(
            f"store must be a path, an address or a store of zarr; got {describe(path)}."
        )
    return path


def create(path: Any, sweep: Sweep) -> Store:
    """Make the store of a sweep, or open it where it is there.

    Raises
    ------
    ValueError
        If it is there with another description: the fields that differ are named.
    """
    require("A store", *MODULES)
    words = words_of(sweep)
    where = _location(path)
    if isinstance(where, str) and "://" not in where:
        folder = Path(where)
        if not (folder / "zarr.json").exists():
            if folder.exists() and any(folder.iterdir()):
                raise ValueError(f"store must be a new folder, or that of a sweep; got {path}.")
            _create_folder(folder, sweep, words)
    else:
        try:
            opened(path)
        except StoreError:
            _fill(where, sweep, words)
    store = opened(path)
    found = {**store.words, "numerics": store.group.attrs["numerics"]}
    if found != {**words, "numerics": NUMERICS}:
        named = ", ".join(differences(found, {**words, "numerics": NUMERICS}))
        raise ValueError(
            f"store must be that of this sweep; {path} is of another, which differs in {named}."
        )
    return store


def _create_folder(folder: Path, sweep: Sweep, words: Mapping[str, Any]) -> None:
    """Make all arrays elsewhere, and rename: the first of several wins."""
    own = folder.with_name(f"{folder.name}.{uuid.uuid4().hex}.creating")
    with trouble(str(folder)):
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            _fill(str(own), sweep, words)
            try:
                os.rename(own, folder)
            except OSError:
                if not (folder / "zarr.json").exists():
                    raise
        finally:
            shutil.rmtree(own, ignore_errors=True)


def _fill(where: Any, sweep: Sweep, words: Mapping[str, Any]) -> None:
    import zarr
    from zarr.codecs import Crc32cCodec, ZstdCodec

    group = zarr.create_group(where)
    sizes, records = sweep.sizes, {}
    extents: dict[str, int] = {}
    largest: Landscape | None = None
    for _, landscape in sweep.landscapes():
        recording = sweep.recording(landscape)
        for record in recording.records:
            records[record.name] = record
            for axis in record.axes:
                length = lengths_of_axes(landscape.network, record.count)[axis]
                extents[axis] = max(extents.get(axis, 0), length)
        extents["parameter"] = max(extents.get("parameter", 0), landscape.network.parameters)
        if largest is None or _work(landscape) > _work(largest):
            largest = landscape
    assert largest is not None
    axis, places = sweep.places()
    extents[axis] = len(places)
    arrays = _arrays(sweep, records.values(), axis, extents)
    numbers = sum(
        int(np.prod([extents[dim] for dim in dims], dtype=np.int64))
        for name, (dims, *_) in arrays.items()
        if name != "weights"
    )
    blocks = cut(sweep, largest, numbers)
    compressors = [ZstdCodec(level=1), Crc32cCodec()]
    key = {"name": "default", "separator": "."}

    def add(to: Any, name: str, dims: Sequence[str], chunks: Index, **options: Any) -> Any:
        return to.create_array(
            name,
            dimension_names=tuple(dims),
            chunks=chunks,
            compressors=compressors,
            chunk_key_encoding=key,
            **options,
        )

    for name, (dims, dtype, fill, attrs) in arrays.items():
        rest = tuple(extents[dim] for dim in dims)
        shape, chunks = (*sizes.values(), *rest), (*blocks.shape, *(max(n, 1) for n in rest))
        options = {"shape": shape, "dtype": dtype, "fill_value": fill, "attributes": attrs}
        add(group, name, (*sizes, *dims), chunks, **options)
    coordinates: dict[str, Any] = {name: labels(values) for name, values in sweep.axes.items()}
    coordinates[axis] = places
    used = {dim for dims, *_ in arrays.values() for dim in dims}
    numbered = ("layer", "pair", "value", "eigenvalue")
    coordinates |= {n: np.arange(1, extents[n] + 1) for n in numbered if n in used}
    for name, values in coordinates.items():
        _add_values(group, add, name, (name,), values)
    own = group.create_group("blocks")
    ones = (1,) * len(blocks.grid)
    add(own, "error", tuple(sizes), ones, shape=blocks.grid, dtype=str, fill_value="")
    if "data" in words and not _swept(words["data"]):
        problem = group.create_group("problem")
        regression = largest.regression
        _add_values(problem, add, "X", ("sample", "input"), regression.X)
        _add_values(problem, add, "y", ("sample",), regression.y)
        if regression.X_test is not None:
            _add_values(problem, add, "X_test", ("test_sample", "input"), regression.X_test)
            _add_values(problem, add, "y_test", ("test_sample",), regression.y_test)
    group.attrs.update(
        {
            "deeplinear_store": FORMAT,
            "numerics": NUMERICS,
            "description": canonical(words),
            "sha256": digest_of(words),
            "dimensions": list(sizes),
            "variables": [*(n for n in arrays if n != "status"), "status"],
            "block": list(blocks.shape),
            "deeplinear_version": _core.build_config()["version"],
            "numpy_version": np.__version__,
            "zarr_version": zarr.__version__,
        }
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # consolidated metadata is not in the specification yet
        zarr.consolidate_metadata(group.store, path=group.path or None)


def _work(landscape: Landscape) -> int:
    samples = landscape.regression.n if landscape.samples else 1
    return landscape.network.parameters * samples


def _swept(words: Any) -> bool:
    """Say whether a part of the description holds a sequence."""
    return any(isinstance(value, list) for value in words.values())


def _arrays(
    sweep: Sweep, records: Sequence[Record] | Any, axis: str, extents: Mapping[str, int]
) -> dict[str, tuple[tuple[str, ...], Any, Any, dict[str, Any]]]:
    """Return the further dimensions, type, fill and attributes of the arrays of all runs."""
    found: dict[str, tuple[tuple[str, ...], Any, Any, dict[str, Any]]] = {}
    for record in records:
        attrs = {"long_name": record.meaning}
        found[record.variable] = ((axis, *record.axes), np.float64, np.nan, attrs)
    if sweep.keep_weights:
        attrs = {"long_name": "weights at the end"}
        found["weights"] = (("parameter",), np.float64, np.nan, attrs)
    found["last_step"] = ((), np.int64, 0, {"long_name": "steps taken"})
    layers = {"long_name": "layer whose product was out of range, 0 for none"}
    found["out_of_range_layer"] = ((), np.int32, 0, layers)
    names = [*STATUS, "failed"]
    flags = {
        "long_name": "how the run ended",
        "flag_values": list(range(len(names))),
        "flag_meanings": " ".join(names),
    }
    found["status"] = ((), np.int8, 0, flags)
    return found


def _add_values(group: Any, add: Any, name: str, dims: tuple[str, ...], values: Any) -> None:
    """Write an array that all runs share."""
    values = np.asarray(values)
    text = values.dtype.kind in "US"
    chunks = tuple(min(n, _COORDINATE_CHUNK) for n in values.shape)
    options = {"shape": values.shape, "dtype": str if text else values.dtype}
    fill = {"U": "", "b": False, "f": np.nan}.get(values.dtype.kind, 0)
    array = add(
        group, name, dims, chunks, fill_value=fill, config={"write_empty_chunks": True}, **options
    )
    array[...] = values.astype(object) if text else values


def _given(group: Any) -> Regression | None:
    """Read the data of a store that has one problem."""
    if "problem" not in group:
        return None
    problem = group["problem"]
    tests = _TEST if "X_test" in problem else ()
    return Regression(*(problem[name][...] for name in ("X", "y", *tests)))
