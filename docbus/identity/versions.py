"""Values of which none is ever overwritten: each has versions, in force from a position of the log on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

V = TypeVar("V")
Version = tuple[int, V, object]
"""Position from which on it is in force, value, and the version before; None before the first."""


class Versions(Generic[V]):
    """A dict whose values have versions.

    Args:
        load: Makes the first version of what is named by its place alone, which is kept outside.
    """

    __slots__ = ("_load", "_newest")

    def __init__(self, load: Callable[[int], Version[V]] | None = None) -> None:
        self._load = load
        self._newest: dict[str | bytes, Version[V] | int] = {}

    def put(self, key: str | bytes, position: int, value: V) -> None:
        """Add a version in force from ``position`` on; positions of a key never go back."""
        self._newest[key] = (position, value, self._newest.get(key))

    def place(self, key: str | bytes, place: int) -> None:
        """Add a first version, by its place: an integer takes a twentieth of the memory of what it stands for."""
        self._newest[key] = place

    def at(self, key: str | bytes, position: int) -> V | None:
        """Return the version in force at a position; one step unless there are newer versions."""
        node = self._node(self._newest.get(key))
        while node is not None:
            if node[0] <= position:
                return node[1]
            node = self._node(node[2])
        return None

    def newest(self, key: str | bytes) -> V | None:
        """Return the newest version."""
        node = self._node(self._newest.get(key))
        return None if node is None else node[1]

    def __contains__(self, key: str | bytes) -> bool:
        """Tell whether there is any version, without making it."""
        return key in self._newest

    def keys(self) -> list[str | bytes]:
        """Return everything that has a version."""
        return list(self._newest)

    def copy(self) -> Versions[V]:
        """Return another one with the same versions."""
        made: Versions[V] = Versions(self._load)
        made._newest = self._newest.copy()
        return made

    def _node(self, found: object) -> Version[V] | None:
        if isinstance(found, int) and self._load is not None:
            return self._load(found)
        return found  # type: ignore[return-value] # a version, or None
