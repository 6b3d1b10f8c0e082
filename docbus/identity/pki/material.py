"""Validation material: the revocation lists and OCSP responses that a verdict may rest on. An input of verification.

Like the trust snapshot it is frozen: who verifies with it again, in ten years, gets the same answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.errors import DocbusError, IdentityError, MalformedError
from docbus.identity.pki.crl import RevocationList, read_list
from docbus.identity.pki.ocsp import StatusResponse, read_response

if TYPE_CHECKING:
    from collections.abc import Iterable

Piece = RevocationList | StatusResponse
MAX_PIECES = 4096
"""Lists and responses that are kept ready at a time; an exchange has some lists, and a response for some agencies."""


class ValidationMaterial:
    """Lists and responses, found by authority and by serial number; may be used from any thread.

    Args:
        pieces: In any order; the same one twice counts once.

    Raises:
        IdentityError: There are more than ``MAX_PIECES``.
    """

    def __init__(self, pieces: Iterable[Piece] = ()) -> None:
        self.pieces: dict[bytes, Piece] = {one.digest: one for one in pieces}
        if len(self.pieces) > MAX_PIECES:
            raise IdentityError(f"{len(self.pieces):,} lists and responses; {MAX_PIECES:,} are used at a time")
        self._lists: dict[bytes, list[RevocationList]] = {}
        self._responses: dict[int, list[StatusResponse]] = {}
        for one in self.pieces.values():
            if isinstance(one, RevocationList):
                self._lists.setdefault(one.issuer, []).append(one)
            else:
                self._responses.setdefault(one.serial, []).append(one)

    def lists(self, issuer: bytes) -> list[RevocationList]:
        """Return the lists that bear an authority's name, DER."""
        return self._lists.get(issuer, [])

    def responses(self, serial: int) -> list[StatusResponse]:
        """Return the responses about a serial number, of whatever authority."""
        return self._responses.get(serial, [])


NOTHING_KNOWN = ValidationMaterial()
"""Under which no certificate that an authority has issued passes."""


def read_piece(content: bytes) -> Piece:
    """Return a revocation list or an OCSP response, whichever it is, DER.

    Raises:
        MalformedError: It is neither.
        IdentityError: It is one that cannot be used; the text says why.
    """
    refused: DocbusError | None = None
    for read in (read_list, read_response):
        try:
            return read(content)
        except IdentityError:
            raise
        except MalformedError as error:
            # Which of the two was meant, nobody can say; that it was too large for a list is worth more.
            refused = refused or error
    raise MalformedError(
        f"neither a revocation list nor an OCSP response: {refused.text if refused else 'it is empty'}"
    )
