"""Objects that do not change, and are equal where what they are made of is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NoReturn

__all__ = ["Comparable", "Frozen"]


class Frozen:
    """An object whose attributes are set once, by way of its ``__dict__``."""

    def __setattr__(self, name: str, value: object) -> NoReturn:
        kind = type(self).__name__
        raise AttributeError(f"a {kind} does not change; make a new one to set {name}.")


class Comparable(Frozen, ABC):
    """One that is equal to others of its class that have the same key."""

    @abstractmethod
    def _key(self) -> tuple[object, ...]:
        """Return what it is made of, by which it is compared and hashed."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, type(self)):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())
