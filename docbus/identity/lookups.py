"""What every change of an agency asks first: is it there, is it open, is the text fit to be shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.errors import IdentityError
from docbus.identity.rules import refusal
from docbus.identity.spelling import check_title

if TYPE_CHECKING:
    from docbus.identity.grants import Agency
    from docbus.identity.state import DirectoryState


def known_agency(state: DirectoryState, position: int, agency_id: str) -> Agency:
    """Return an agency that was granted a code.

    Raises:
        DirectoryError: None was.
    """
    agency = state.agencies.newest(agency_id)
    if agency is None:
        raise refusal(position, "agency_known", f"{agency_id!r} was never granted")
    return agency


def open_agency(state: DirectoryState, position: int, agency_id: str) -> Agency:
    """Return an agency that is open.

    Raises:
        DirectoryError: It was never granted a code, or is closed.
    """
    agency = known_agency(state, position, agency_id)
    if agency.closed_at is not None:
        raise refusal(position, "agency_open", f"{agency_id} was closed in entry {agency.closed_at}")
    return agency


def checked_title(position: int, text: str, what: str) -> None:
    """Return if a name or reason is short and has nothing in it that cannot be seen.

    Raises:
        DirectoryError: It is not so.
    """
    try:
        check_title(text, what)
    except IdentityError as error:
        raise refusal(position, "title", error.text) from error
