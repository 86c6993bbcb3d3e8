"""The arrays of a store: what is there before the first run."""

from __future__ import annotations

import os
import shutil
import uuid
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deeplinear import _core
from deeplinear._support.files import require
from deeplinear.description import Sweep
from deeplinear.landscape import Landscape
from deeplinear.options import STATUS
from deeplinear.records import NUMBERED, Record, lengths_of_axes
from deeplinear.seeds import labels
from deeplinear.store.blocks import Blocks, cut, runs_of_block
from deeplinear.store.errors import StoreError
from deeplinear.store.opened_store import FORMAT, Store, location, opened, trouble
from deeplinear.wording import canonical, deciding, differences, digest_of, words_of

__all__ = [
    "NUMERICS",
    "add_array",
    "add_errors",
    "add_values",
    "consolidate",
    "create",
    "make_folder",
    "versions",
]

#: Changes when a sweep of the same description has other bits.
NUMERICS = 1

_COORDINATE_CHUNK = 1_000_000


def create(path: Any, sweep: Sweep) -> Store:
    """Make the store of a sweep, or open it where it is there.

    Raises
    ------
    ValueError
        If it is there with another description: the fields that differ are named.
    """
    require("A store", "zarr", extra="store")
    words = words_of(sweep)
    where = location(path)

    def fill(place: Any) -> None:
        _fill(place, sweep, words)

    if isinstance(where, str) and "://" not in where:
        folder = Path(where)
        if not (folder / "zarr.json").exists():
            if folder.exists() and any(folder.iterdir()):
                raise ValueError(f"store must be a new folder, or that of a sweep; got {path}.")
            make_folder(folder, folder, fill)
    else:
        try:
            opened(path)
        except StoreError:
            with trouble(path):
                fill(where)
    store = opened(path)
    found = {**deciding(store.words), "numerics": store.group.attrs["numerics"]}
    wanted = {**deciding(words), "numerics": NUMERICS}
    if found != wanted:
        named = ", ".join(differences(found, wanted))
        raise ValueError(
            f"store must be that of this sweep; {path} is of another, which differs in {named}."
        )
    return store


def make_folder(folder: Path, beside: Path, fill: Callable[[str], None]) -> None:
    """Fill a folder beside another, and rename it: the first of several wins."""
    own = beside.with_name(f"{beside.name}.{uuid.uuid4().hex}.creating")
    with trouble(str(folder)):
        try:
            beside.parent.mkdir(parents=True, exist_ok=True)
            fill(str(own))
            try:
                os.rename(own, folder)
            except OSError:
                if not (folder / "zarr.json").exists():
                    raise
        finally:
            shutil.rmtree(own, ignore_errors=True)


def _fill(where: Any, sweep: Sweep, words: Mapping[str, Any]) -> None:
    import zarr

    axis, places = sweep.places()  # refuses before anything is made
    group = zarr.create_group(where)
    sizes, records = sweep.sizes, {}
    extents: dict[str, int] = {}
    largest: Landscape | None = None
    for _, landscape in sweep.landscapes():
        recording = sweep.recording(landscape)
        for record in recording.records:
            records[record.name] = record
            lengths = lengths_of_axes(landscape.network, record.count)
            for dim in record.axes:
                extents[dim] = max(extents.get(dim, 0), lengths[dim])
        extents["parameter"] = max(extents.get("parameter", 0), landscape.network.parameters)
        if largest is None or _work(landscape) > _work(largest):
            largest = landscape
    assert largest is not None
    extents[axis] = len(places)
    arrays = _arrays(sweep, records.values(), axis, extents)
    numbers = sum(
        int(np.prod([extents[dim] for dim in dims], dtype=np.int64))
        for name, (dims, *_) in arrays.items()
        if name != "weights"
    )
    runs = runs_of_block(sweep, largest, numbers)
    blocks = cut(sweep, runs)
    for name, (dims, dtype, fill, attrs) in arrays.items():
        rest = tuple(extents[dim] for dim in dims)
        shape, chunks = (*sizes.values(), *rest), (*blocks.shape, *(max(n, 1) for n in rest))
        options = {"shape": shape, "dtype": dtype, "fill_value": fill, "attributes": attrs}
        add_array(group, name, (*sizes, *dims), chunks, **options)
    coordinates: dict[str, Any] = {name: labels(values) for name, values in sweep.axes.items()}
    coordinates[axis] = places
    used = {dim for dims, *_ in arrays.values() for dim in dims}
    coordinates |= {n: np.arange(1, extents[n] + 1) for n in NUMBERED if n in used}
    for name, values in coordinates.items():
        add_values(group, name, (name,), values)
    add_errors(group, blocks)
    if "data" in words and not _swept(words["data"]):
        problem = group.create_group("problem")
        regression = largest.regression
        add_values(problem, "X", ("sample", "input"), regression.X)
        add_values(problem, "y", ("sample",), regression.y)
        if regression.X_test is not None:
            add_values(problem, "X_test", ("test_sample", "input"), regression.X_test)
            add_values(problem, "y_test", ("test_sample",), regression.y_test)
    group.attrs.update(
        {
            "deeplinear_store": FORMAT,
            "numerics": NUMERICS,
            "description": canonical(words),
            "sha256": digest_of(words),
            "dimensions": list(sizes),
            "variables": [*(n for n in arrays if n != "status"), "status"],
            "block": list(blocks.shape),
            "runs_of_block": runs,
            **versions(),
        }
    )
    consolidate(group)


def versions() -> dict[str, str]:
    """Return the versions of what writes a store."""
    import zarr

    return {
        "deeplinear_version": _core.build_config()["version"],
        "numpy_version": np.__version__,
        "zarr_version": zarr.__version__,
    }


def consolidate(group: Any) -> None:
    """Write what a group holds into its metadata, without which xarray warns."""
    import zarr

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


def add_array(
    group: Any, name: str, dims: Sequence[str], chunks: Sequence[int], **options: Any
) -> Any:
    """Make an array whose chunks are compressed and have a checksum."""
    from zarr.codecs import Crc32cCodec, ZstdCodec

    return group.create_array(
        name,
        dimension_names=tuple(dims),
        chunks=tuple(chunks),
        compressors=[ZstdCodec(level=1), Crc32cCodec()],
        chunk_key_encoding={"name": "default", "separator": "."},
        **options,
    )


def add_values(group: Any, name: str, dims: Sequence[str], values: Any) -> None:
    """Write an array that all runs share."""
    values = np.asarray(values)
    text = values.dtype.kind in "US"
    chunks = tuple(min(n, _COORDINATE_CHUNK) for n in values.shape)
    options = {"shape": values.shape, "dtype": str if text else values.dtype}
    fill = {"U": "", "b": False, "f": np.nan}.get(values.dtype.kind, 0)
    array = add_array(
        group, name, dims, chunks, fill_value=fill, config={"write_empty_chunks": True}, **options
    )
    array[...] = values.astype(object) if text else values


def add_errors(group: Any, blocks: Blocks) -> None:
    """Make the array of what failed blocks say; it has dimensions of its own."""
    dims = [f"{name}_block" for name in blocks.sizes]
    options = {"shape": blocks.grid, "dtype": str, "fill_value": ""}
    add_array(group.create_group("blocks"), "error", dims, (1,) * len(dims), **options)
