"""What the files of experiments hold, and which of them are found again."""

import dataclasses

import numpy as np
import pytest
import xarray as xr

from deeplinear.experiments import run as reproduce
from deeplinear.experiments.library import PLAIN, PRESETS
from deeplinear.experiments.toml import parse_preset
from small import quick_of


def test_the_file_holds_every_setting_and_every_number(tmp_path):
    dataset = reproduce.run(PLAIN, progress=False)
    path = reproduce.save(dataset, tmp_path / "new")
    assert [p.name for p in path.parent.iterdir()] == ["plain.nc"]
    read = xr.load_dataset(path, engine="h5netcdf")
    xr.testing.assert_equal(read, dataset)
    assert set(read.attrs) == set(dataset.attrs)
    for name, value in dataset.attrs.items():
        np.testing.assert_array_equal(read.attrs[name], np.squeeze(value), err_msg=name)
    for name in dataset.variables:
        assert read[name].attrs == dataset[name].attrs
    assert parse_preset(read.attrs["preset"]) == PLAIN
    for name in ("n", "d", "seed", "dtype", "threads", "figures", "deeplinear_version", "simd"):
        assert name in read.attrs


def test_what_is_finished_is_found_again(tmp_path):
    preset = PRESETS["tightness"].quick()
    assert reproduce.finished(preset, tmp_path) is None
    path = reproduce.save(quick_of("tightness"), tmp_path)
    found = reproduce.finished(preset, tmp_path)
    assert found is not None
    xr.testing.assert_equal(found, quick_of("tightness"))
    assert reproduce.difference(preset, path) is None
    for other, words in (
        ({"seed": 1}, "seed 0, not 1"),
        ({"dtype": "float32"}, "dtype float64, not float32"),
        ({"preset": dataclasses.replace(preset, title="x")}, "an experiment of other settings"),
    ):
        changed = {"preset": preset, **other}
        assert reproduce.difference(path=path, **changed) == words
        assert reproduce.finished(directory=tmp_path, **changed) is None
    path.write_bytes(b"something else")
    assert reproduce.difference(preset, path) == "no data of this program"


def test_data_of_another_version_are_not_taken_for_these(tmp_path):
    preset = PRESETS["plain-curves"].quick()
    dataset = quick_of("plain-curves").assign_attrs(deeplinear_version="0.0.1")
    path = reproduce.save(dataset, tmp_path)
    assert reproduce.finished(preset, tmp_path) is None
    assert reproduce.difference(preset, path).startswith("deeplinear version 0.0.1, not ")


def test_settings_that_were_written_in_another_way_are_the_same(tmp_path):
    """Such as by another version of what writes TOML."""
    preset = PRESETS["residual-curves"].quick()
    dataset = quick_of("residual-curves")
    text = dataset.attrs["preset"]
    assert "[0.02, 0.1]" in text
    other = "# written by hand\n" + text.replace("[0.02, 0.1]", "[\n  0.02,\n  1e-1,\n]")
    written = dataset.assign_attrs(preset=other)
    path = reproduce.save(written, tmp_path)
    assert reproduce.difference(preset, path) is None
    assert reproduce.finished(preset, tmp_path) is not None
    again = reproduce.run(preset, progress=False, resume=written)
    assert again.attrs["preset"] == text
    np.testing.assert_array_equal(again.weights, dataset.weights)
    changed = written.assign_attrs(preset=other.replace("1e-1", "1e-2"))
    path = reproduce.save(changed, tmp_path)
    assert reproduce.difference(preset, path) == "an experiment of other settings"
    with pytest.raises(ValueError, match="resume must hold runs of the same settings"):
        reproduce.run(preset, progress=False, resume=changed)
