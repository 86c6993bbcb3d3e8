import pytest

pytest.importorskip("zarr", reason="Python 3.10 has no zarr that stores need")


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of some ten runs, where a machine would take all in one."""
    from deeplinear.store import blocks

    monkeypatch.setattr(blocks, "_SHORTEST", 4e-5)
