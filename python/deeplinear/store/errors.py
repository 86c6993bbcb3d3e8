"""What can go wrong with a store, or with who works on it."""

from __future__ import annotations

__all__ = ["NoWorkers", "StoreError"]


class StoreError(OSError):
    """A store cannot be read or written; what is finished in it stays finished."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)


class NoWorkers(RuntimeError):
    """All workers are gone; the store can be gone on with."""
