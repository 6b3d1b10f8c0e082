"""Changes of the authorities that the directory names, and which were in force at a position (ADR 0021)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509

from docbus.errors import IdentityError
from docbus.identity.lookups import checked_title
from docbus.identity.pki.authorities import NO_AUTHORITIES, TrustAnchor, check_anchor
from docbus.identity.pki.judge import validate_path
from docbus.identity.pki.profile import is_issued, issuer_name
from docbus.identity.pki.verdict import Outcome
from docbus.identity.rules import refusal

if TYPE_CHECKING:
    from docbus.identity import entries
    from docbus.identity.pki.authorities import Authorities
    from docbus.identity.state import DirectoryState

MAX_AUTHORITIES = 64
"""Trust anchors in force at a time: a national authority, its successor, and those of some ministries."""


def name_authority(state: DirectoryState, position: int, named: entries.Authority) -> None:
    """Write an authority; one with the same certificate is in its place from now on."""
    checked_title(position, named.name, "the authority's name")
    try:
        digest = check_anchor(named.certificate, named.intermediates)
    except IdentityError as error:
        raise refusal(position, "authority_fit", error.text) from error
    before = authorities_at(state, position)
    if before.anchor(digest) is None and len(before.anchors) >= MAX_AUTHORITIES:
        raise refusal(position, "authority_fit", f"there would be more than {MAX_AUTHORITIES} authorities")
    anchor = TrustAnchor(
        digest=digest,
        name=named.name,
        certificate=named.certificate,
        intermediates=named.intermediates,
        named_at=position,
    )
    state.authorities.append((position, before.with_anchor(anchor)))


def end_authority(state: DirectoryState, position: int, end: entries.AuthorityEnd) -> None:
    """Write that an authority is none any more."""
    checked_title(position, end.reason, "the reason")
    before = authorities_at(state, position)
    if before.anchor(end.authority) is None:
        raise refusal(position, "authority_known", f"{end.authority.hex()[:16]}… is no authority")
    state.authorities.append((position, before.without_anchor(end.authority)))


def authorities_at(state: DirectoryState, position: int) -> Authorities:
    """Return the authorities in force at a position, entry ``position`` included."""
    for since, authorities in reversed(state.authorities):
        if since <= position:
            return authorities
    return NO_AUTHORITIES


def check_issuer(der: bytes, agency: str, authorities: Authorities, *, at_ms: int, unnamed_issuer: bool) -> str | None:
    """Return if a certificate that was checked for registration has a valid path, where it needs one.

    Whether its authority has revoked it is asked when something is signed under it: who grants may have no lists.

    Args:
        der: The certificate.
        agency: Canonical id of the agency that asks for the grant.
        authorities: In force.
        at_ms: Now, milliseconds since 1970 UTC.
        unnamed_issuer: Whether a certificate may count as self-made though somebody has issued it whom the directory
            does not name.

    Returns:
        What is to be said of it, in a sentence; None for nothing.

    Raises:
        IdentityError: An authority of the directory is said to have issued it, and no valid path leads there; or
            somebody else has, and that was not said to be meant.
    """
    certificate = x509.load_der_x509_certificate(der)
    if not is_issued(certificate):
        return None
    if issuer_name(certificate) not in authorities.names:
        issuer = certificate.issuer.rfc4514_string()
        if not unnamed_issuer:
            raise IdentityError(
                f"{issuer}, which issued the certificate for {agency}, is no authority of the directory, so nobody"
                " would be asked whether it is revoked",
                hint="Name the authority, and those below it with --intermediate: `docbus registrar authority add`. If"
                " its grant alone is to decide, as for a self-made certificate, say so with --unnamed-issuer.",
            )
        return f"{issuer}, which issued the certificate, is no authority of the directory: it counts as self-made"
    _, steps = validate_path(certificate, agency, authorities, at_ms=at_ms)
    last = steps[-1]
    if last.outcome is not Outcome.PASSED:
        raise IdentityError(
            f"the certificate for {agency} fails {last.step.number} {last.step.code}: {last.text}",
            hint="`docbus cert check` says more; ask its authority, or name the authority in the directory.",
        )
    return None
