import shutil
from pathlib import Path

import pytest
import xarray as xr

pytest.importorskip("zarr", reason="Python 3.10 has no zarr that stores need")


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of some ten runs, where a machine would take all in one."""
    from deeplinear.store import blocks

    monkeypatch.setattr(blocks, "_SHORTEST", 4e-5)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, xr.Dataset]:
    """A grid, the same refined, and its points."""
    import deeplinear as dl
    from refined_family import make_family

    folder = tmp_path_factory.mktemp("family")
    make_family(folder / "grid.zarr")
    shutil.copytree(folder / "grid.zarr", folder / "refined.zarr")
    points = dl.refine(folder / "refined.zarr", levels=2, progress=False)
    return folder / "grid.zarr", folder / "refined.zarr", points


@pytest.fixture
def family(undisturbed: tuple[Path, Path, xr.Dataset], tmp_path: Path) -> Path:
    """A copy of the grid."""
    return Path(shutil.copytree(undisturbed[0], tmp_path / "runs.zarr"))
