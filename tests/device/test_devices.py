"""The argument ``device``, and what is said where there is none."""

from __future__ import annotations

import ctypes
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deeplinear as dl
from deeplinear import _core, device


@pytest.fixture
def landscape() -> dl.Landscape:
    return dl.Landscape(dl.Network((3, 3, 1)), dl.gaussian_regression(n=12, d=3))


def simulate(landscape: dl.Landscape, **arguments: Any) -> Any:
    weights = dl.init.Gaussian(0.5).sample(landscape.network, seed=0)
    return dl.simulate(landscape, weights, dl.GradientDescent(0.01), steps=3, **arguments)


def test_the_processor_is_there() -> None:
    first, *others = dl.devices()
    assert first == dl.Device("cpu", _core.SIMD_LEVEL)
    assert first
    assert others


def test_what_is_not_there_is_said_in_one_sentence(
    landscape: dl.Landscape, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_core, "_CUDA_HOMES", ("deeplinear._nothing",))
    assert dl.build_config()["cuda"] is None
    message = r"^device must be 'cpu' here, since .* pip install 'deeplinear\[cuda13\]'.*got 'cuda'"
    with pytest.raises(ValueError, match=message):
        simulate(landscape, device="cuda")
    assert not dl.devices()[-1]
    assert "cuda13" in dl.devices()[-1].reason


def module(**changes: Any) -> types.SimpleNamespace:
    """A module as the one for graphics processors."""
    there = {
        "VERSION": "0.1.0",
        "TABLE_VERSION": _core.device_table_version(),
        "failure": lambda: "",
        "devices": lambda: [{"name": "Large", "memory": 8}, {"name": "Small", "memory": 4}],
    }
    return types.SimpleNamespace(**(there | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"failure": lambda: "no NVIDIA driver is installed"}, "no NVIDIA driver is installed"),
        ({"TABLE_VERSION": -1, "VERSION": "0.0.9"}, "its part for CUDA is 0.0.9"),
    ],
)
def test_why_it_cannot_be_used(
    landscape: dl.Landscape, monkeypatch: pytest.MonkeyPatch, changes: Any, message: str
) -> None:
    monkeypatch.setattr(device, "_imported", lambda: module(**changes))
    with pytest.raises(ValueError, match=message):
        simulate(landscape, device="cuda:0")
    assert message in dl.devices()[1].reason


def test_which_there_are(landscape: dl.Landscape, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_imported", module)
    assert [one.name for one in dl.devices()] == ["cpu", "cuda:0", "cuda:1"]
    with pytest.raises(ValueError, match=r"up to 'cuda:1' on this machine; got 'cuda:2'"):
        simulate(landscape, device="cuda:2")


def test_each_worker_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_imported", module)
    assert device.device_of_worker("cpu") == "cpu"
    assert device.device_of_worker("cuda:1") == "cuda:1"
    assert device.device_of_worker("cuda") == "cuda:0"
    process = types.SimpleNamespace(name="SpawnProcess-4")
    monkeypatch.setattr("multiprocessing.current_process", lambda: process)
    assert device.device_of_worker("cuda") == "cuda:1"
    monkeypatch.setenv("OMPI_COMM_WORLD_LOCAL_RANK", "6")
    assert device.device_of_worker("cuda") == "cuda:0"
    monkeypatch.setattr(device, "_imported", lambda: module(failure=lambda: "no driver"))
    assert device.device_of_worker("cuda") == "cuda"


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "CUDA", "", "cuda:00000"])
def test_names_of_devices(landscape: dl.Landscape, name: str) -> None:
    with pytest.raises(ValueError, match="device must be 'cpu', 'cuda' or"):
        simulate(landscape, device=name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"device": "gpu"}, "device must be 'cpu', 'cuda' or"),
        ({"device": "cuda"}, "device must be 'cpu' here"),
        ({"device": "cuda", "executor": "processes"}, "device must be 'cpu' here"),
        ({"threads": -1}, "threads must be a positive integer"),
    ],
)
def test_no_store_is_made_for_a_machine_that_is_none(
    landscape: dl.Landscape,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: Any,
    message: str,
) -> None:
    pytest.importorskip("zarr")
    monkeypatch.setattr(_core, "_CUDA_HOMES", ())
    laws = dl.init.Gaussian(0.5), dl.GradientDescent(0.01)
    options = {"seeds": 2, "steps": 3, "store": tmp_path / "runs.zarr", "progress": False}
    with pytest.raises((TypeError, ValueError), match=message):
        dl.sweep(landscape, *laws, **options, **arguments)
    assert not list(tmp_path.iterdir())


def test_another_type(landscape: dl.Landscape) -> None:
    with pytest.raises(TypeError, match="device must be a string; got"):
        simulate(landscape, device=0)


def test_what_a_device_does_not_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deeplinear.options.check_device", lambda _: object())
    large = dl.Landscape(dl.Network((128,) * 6 + (1,)), dl.gaussian_regression(n=300, d=128))
    with pytest.raises(ValueError, match="device must be 'cpu' for a network so large"):
        simulate(large, device="cuda")
    with pytest.raises(ValueError, match="engine must be 'auto' or 'ensemble' on this device"):
        simulate(large, device="cuda", engine="wide")


def test_the_cpu_by_name(landscape: dl.Landscape) -> None:
    one, other = simulate(landscape), simulate(landscape, device="cpu")
    np.testing.assert_array_equal(one["weights"], other["weights"])


@pytest.mark.core
@pytest.mark.parametrize(
    ("name", "message"), [(b"other", "is no device"), (b"deeplinear.DeviceTable", "version")]
)
def test_no_other_capsule_is_a_device(
    landscape: dl.Landscape, monkeypatch: pytest.MonkeyPatch, name: bytes, message: str
) -> None:
    make = ctypes.pythonapi.PyCapsule_New
    make.restype = ctypes.py_object
    make.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    version = ctypes.c_int(-1)
    capsule = make(ctypes.addressof(version), name, None)
    monkeypatch.setattr("deeplinear.options.check_device", lambda _: capsule)
    with pytest.raises(ValueError, match=message):
        simulate(landscape, device="cuda")
