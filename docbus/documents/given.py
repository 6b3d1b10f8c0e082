"""Checks that what a program gives has the type that is wanted, before anything looks into it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple, cast

from docbus.errors import DocumentError
from docbus.identity.agency import AgencyId


class Wanted(NamedTuple):
    """What a field takes.

    Attributes:
        types: Of the value, or of each one in a list.
        words: What is wanted, as it reads after "wanted is".
        listed: A list or another collection is wanted.
        optional: None is allowed.
    """

    types: tuple[type, ...]
    words: str
    listed: bool = False
    optional: bool = False


TEXT = Wanted((str,), "a text")
MAYBE_TEXT = Wanted((str,), "a text", optional=True)
NUMBER = Wanted((int,), "a whole number")
TIME = Wanted((int,), "a whole number of milliseconds since 1970", optional=True)
TEXTS = Wanted((str,), "a list of texts", listed=True)
CODES = Wanted((str,), "a list of codes", listed=True)


def check_given(wanted: Mapping[str, Wanted], given: Mapping[str, object]) -> None:
    """Check the types of fields.

    Args:
        wanted: By field.
        given: By field; those that nothing is said about are not looked at.

    Raises:
        DocumentError: The first that has another type; the text begins with its name.
    """
    for field, want in wanted.items():
        value = given.get(field)
        if value is None and want.optional:
            continue
        if not want.listed:
            if not _is(value, want.types):
                raise _wrong(field, value, want)
            continue
        if isinstance(value, str):  # would be taken apart into characters
            raise DocumentError(
                f"{field}: one text where {want.words} is needed", hint=f"Write {field}=[…].", step="P1"
            )
        if isinstance(value, (bytes, Mapping)) or not isinstance(value, Collection):
            raise _wrong(field, value, want)
        for each in value:
            if not _is(each, want.types):
                raise _wrong(field, each, want, " in it")


def texts_of(field: str, given: object) -> tuple[str, ...]:
    """Return names of agencies as texts; objects of :class:`~docbus.identity.agency.AgencyId` count as their ids.

    Raises:
        DocumentError: It is no list, or something else is in it.
    """
    if isinstance(given, Collection) and not isinstance(given, (str, bytes, Mapping)):
        given = [str(each) if isinstance(each, AgencyId) else each for each in given]
    elif isinstance(given, str):
        raise DocumentError(
            f"{field}: one text where a list of codes is needed", hint=f"Write {field}=[{given!r}].", step="P1"
        )
    check_given({field: CODES}, {field: given})
    return tuple(cast("Collection[str]", given))


def _is(value: object, types: tuple[type, ...]) -> bool:
    # True is a number to Python, and never meant as one.
    return isinstance(value, types) and not isinstance(value, bool)


def _wrong(field: str, value: object, want: Wanted, where: str = "") -> DocumentError:
    kind = "None" if value is None else type(value).__name__
    return DocumentError(f"{field}: {kind}{where}, wanted is {want.words}", hint=f"Correct {field}.", step="P1")
