"""What happens to stores: damage, litter, full and forbidden disks, other versions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from deeplinear.store.errors import StoreError
from deeplinear.store.opened_store import opened
from deeplinear.store.repair import verify
from small_sweeps import SCALES, digests, same, sweep

pytestmark = pytest.mark.usefixtures("small_blocks")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "runs.zarr"
    sweep(path)
    return path


def index_of(file: Path) -> tuple[int, ...]:
    return tuple(map(int, file.name.split(".")[1:4]))


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)


def halve(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def swap(file: Path) -> None:
    file.write_bytes(b"\0" * file.stat().st_size)


@pytest.mark.parametrize(
    "name", ["risk", "layer_norm", "last_step", "out_of_range_layer", "status"]
)
@pytest.mark.parametrize("damage", [flip, halve, empty, swap, Path.unlink])
def test_a_damaged_chunk_runs_again_and_no_other(path, name, damage):
    expected = digests(path)
    chunks = sorted((path / name).glob("c.*"))
    touched = [chunks[1], chunks[-1]]
    for file in touched:
        damage(file)
    bad = verify(opened(path))
    if name == "status" and damage is Path.unlink:  # no mark: nothing to take away
        assert bad == []
    else:
        assert bad == [index_of(file) for file in touched]
    before = {f: f.stat().st_mtime_ns for f in (path / "risk").glob("c.*")}
    sweep(path)
    written = {index_of(f) for f in before if f.exists() and f.stat().st_mtime_ns != before[f]}
    assert written <= {index_of(file) for file in touched}
    assert digests(path) == expected
    assert verify(opened(path)) == []


def test_litter_is_left_alone_while_young_and_swept_when_old(path):
    expected = digests(path)
    young, old = path / "risk" / "c.0.0.0.0.aa.partial", path / "status" / "c.9.9.9.bb.partial"
    for file in (young, old):
        file.write_bytes(b"half a chunk")
    os.utime(old, (1, 1))
    assert same(sweep(path), sweep())
    assert young.exists()
    assert not old.exists()
    young.unlink()
    assert digests(path) == expected


def edit(path: Path, change) -> None:
    file = path / "zarr.json"
    content = json.loads(file.read_text())
    change(content["attributes"])
    file.write_text(json.dumps(content))


def test_a_later_format_is_refused(path):
    edit(path, lambda attributes: attributes.update(deeplinear_store=99))
    with pytest.raises(StoreError, match=r"must be of format 1 or before; .* is of format 99"):
        sweep(path)


def test_other_numerics_are_another_sweep(path):
    edit(path, lambda attributes: attributes.update(numerics=0))
    with pytest.raises(ValueError, match="differs in numerics"):
        sweep(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"zarr_format": 3}'])
def test_a_torn_header_is_one_sentence(path, text):
    (path / "zarr.json").write_text(text)
    with pytest.raises(StoreError, match="store must be that of a sweep"):
        opened(path)


def test_the_store_of_something_else(tmp_path):
    import zarr

    zarr.create_group(str(tmp_path / "other.zarr"))
    with pytest.raises(StoreError, match=r"store must be that of a sweep; .* is another one"):
        sweep(tmp_path / "other.zarr")


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 2 MB, where the system lets one be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    line = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if subprocess.run(line, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk is not permitted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_stops_at_once_and_keeps_what_is_finished(small_disk):
    path = small_disk / "runs.zarr"
    with pytest.raises(StoreError, match=r"could not be used: No space left on device\.$"):
        sweep(path, seeds=2000, every=1)
    store = opened(path)
    assert store.failed() == {}
    assert verify(store) == []  # a mark has all that belongs to it
    done = store.done()
    assert 0 < len(done) < store.blocks.count
    index = min(done)
    risk = store.group["risk"].blocks[(*index, 0)]
    assert np.isfinite(risk[..., 0]).all()


def test_a_folder_that_may_not_be_written_is_one_sentence(small_disk):
    path = small_disk / "runs.zarr"
    sweep(path)
    store = opened(path)
    expected = store.done() - {min(store.done())}
    store.unmark(min(store.done()))
    remount = ["mount", "-o", "remount,ro,size=2m", str(small_disk)]
    subprocess.run(remount, check=True)
    with pytest.raises(StoreError, match=r"could not be used: Read-only file system\.$"):
        sweep(path)
    assert opened(path, mode="r").done() == expected
    assert same(
        xr.open_zarr(path, chunks=None).isel(scale=slice(1, None)), sweep(scales=SCALES[1:])
    )


def test_without_zarr_one_sentence_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(
        ImportError, match=r"A store needs zarr, .*pip install 'deeplinear\[store\]'"
    ):
        sweep(tmp_path / "runs.zarr")
    assert not list(tmp_path.iterdir())
