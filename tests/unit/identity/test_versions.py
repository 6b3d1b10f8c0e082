"""Versions of values."""

from __future__ import annotations

from docbus.identity.versions import Versions


def test_each_position_has_its_version() -> None:
    """A value is in force from its position until the next one's."""
    versions: Versions[str] = Versions()
    versions.put("key", 3, "first")
    versions.put("key", 7, "second")

    assert [None, None, None, "first", "first", "first", "first", "second", "second"] == [
        versions.at("key", position) for position in range(9)
    ]
    assert "second" == versions.newest("key")
    assert None is versions.newest("other")


def test_copy_of_versions_is_apart() -> None:
    """Writing to a copy does not show in the original."""
    versions: Versions[str] = Versions()
    versions.put("key", 1, "first")

    versions.copy().put("key", 2, "second")

    assert "first" == versions.newest("key")


def test_first_version_is_made_when_it_is_asked_for() -> None:
    """What is known by its place is made by whoever asks for its value, not by whoever asks whether it is there."""
    made: list[int] = []

    def load(place: int) -> tuple[int, str, object]:
        made.append(place)
        return (3, f"made of {place}", None)

    versions: Versions[str] = Versions(load)
    versions.place("key", 70)
    assert "key" in versions
    assert "other" not in versions
    assert ["key"] == versions.keys()
    assert [] == made

    assert (None, "made of 70") == (versions.at("key", 2), versions.newest("key"))
    versions.put("key", 7, "second")
    assert ("made of 70", "second") == (versions.at("key", 6), versions.copy().at("key", 7))
    assert {70} == set(made)
