"""Join requests: what an agency asks the registrar to grant (design D7).

The agency makes its keys and signs the request with the new signing key, which proves that it has it; private keys
never leave it. The signature covers environment and genesis, so that a request for one directory is none for another.
The same file asks for a first grant and for a rotation to new keys.

On paper: blocks of ASCII armour, the request (plain Avro) and for each key its signature over PAE(join type, request).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature

from docbus.errors import IdentityError, MalformedError
from docbus.identity import armour
from docbus.identity.agency import parse_canonical
from docbus.identity.certificates import CheckedCertificate, check_for_registration
from docbus.identity.encryption import SUITE_2026, Encrypter
from docbus.identity.entries import EncryptionKey, SigningKey
from docbus.identity.signing import verify_signatures
from docbus.identity.spelling import check_title
from docbus.wire.avro import load_schema
from docbus.wire.pae import JOIN_TYPE, leaf_digest, pae
from docbus.wire.profiles import PROFILES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.identity.signing import Signer

VERSION = 1
"""Version of the requests that this software reads and writes."""
MAX_REQUEST_CHARACTERS = 64 * 1024
"""Characters of a join request's file; one with RSA-8192 has about 8,000."""
_REQUEST = "DOCBUS JOIN REQUEST"
_SIGNATURE = "DOCBUS JOIN REQUEST SIGNATURE"
_SCHEMA = "join-request"


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinRequest:
    """What is asked for; nothing in it has been checked unless it came out of :func:`verify_join_request`."""

    version: int
    environment: str
    genesis: bytes
    agency: str
    name: str
    aliases: tuple[str, ...]
    signing: SigningKey
    encryption: EncryptionKey
    made_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedJoinRequest:
    """A request whose signatures and fields have passed; whether its sender is the agency is for people to ask.

    Attributes:
        request: What is asked for.
        certificates: What each signing certificate says.
        fingerprint: 128 bits of the request's digest in groups, to compare over the telephone before granting.
        warnings: What is unusual about its codes.
    """

    request: JoinRequest
    certificates: tuple[CheckedCertificate, ...]
    fingerprint: str
    warnings: tuple[str, ...]


def make_join_request(
    signer: Signer,
    *,
    environment: str,
    genesis: bytes,
    agency: str,
    name: str,
    certificates: Sequence[bytes],
    encryption_key: bytes,
    now_ms: int,
    aliases: tuple[str, ...] = (),
) -> str:
    """Return the text of a join request.

    Args:
        signer: Of the new signing key.
        environment: Name of the environment to join.
        genesis: Hash of its genesis entry.
        agency: Canonical id of the agency.
        name: Its name, for people.
        certificates: Of the new signing key, DER: one, or both of a hybrid profile in its order.
        encryption_key: The new raw public encryption key.
        now_ms: Time of making, milliseconds since 1970 UTC.
        aliases: Canonical ids by which people may name the agency too.
    """
    request = load_schema(_SCHEMA).encode(
        {
            "version": VERSION,
            "environment": environment,
            "genesis": genesis,
            "agency": agency,
            "name": name,
            "aliases": list(aliases),
            "signing": {"profile": signer.profile, "certificates": list(certificates)},
            "encryption": {"suite": SUITE_2026, "public_key": encryption_key},
            "made_at": now_ms,
        }
    )
    signatures = signer.sign_all(pae(JOIN_TYPE, request))
    return armour.wrap(_REQUEST, request) + "".join(armour.wrap(_SIGNATURE, one) for one in signatures)


def fingerprint_of(text: str) -> str:
    """Return the fingerprint of a join request, which agency and registrar compare.

    Raises:
        MalformedError: Not a join request.
    """
    return _fingerprint(armour.unwrap(_REQUEST, text))


def read_join_request(text: str) -> JoinRequest:
    """Return what a join request says, unverified, to show it.

    Raises:
        MalformedError: Not a join request.
    """
    return _decode(armour.unwrap(_REQUEST, text))


def verify_join_request(text: str, *, environment: str, genesis: bytes, now_ms: int) -> CheckedJoinRequest:
    """Return a join request that may be granted in this environment.

    Raises:
        MalformedError: Not a join request.
        AgencyCodeError: The agency or an alias is not a canonical id.
        IdentityError: For another environment, not signed by the key it asks for, or with keys that may not be
            granted; the text says what.
    """
    if len(text) > MAX_REQUEST_CHARACTERS:
        raise MalformedError(f"a join request of {len(text)} characters; {MAX_REQUEST_CHARACTERS} are allowed")
    encoded = armour.unwrap(_REQUEST, text)
    signatures = armour.unwrap_each(_SIGNATURE, text)
    request = _decode(encoded)
    if request.environment != environment or request.genesis != genesis:
        raise IdentityError(
            f"the join request is for the environment {request.environment!r} with genesis "
            f"{request.genesis.hex()[:16]}…, this directory is {environment!r} with {genesis.hex()[:16]}…",
            hint="Make the request again with the settings of this environment.",
        )
    ids = [parse_canonical(text) for text in (request.agency, *request.aliases)]
    check_title(request.name, "the agency's name")
    certificates = _check_signing(request, now_ms)
    public_keys = [one.public_key for one in certificates]
    try:
        verify_signatures(request.signing.profile, public_keys, signatures, pae(JOIN_TYPE, encoded))
    except InvalidSignature as error:
        raise IdentityError(
            f"the join request of {request.agency} is not signed by the key it asks for",
            hint="It was changed on the way, or its maker does not have the key.",
        ) from error
    _check_encryption(request)
    return CheckedJoinRequest(
        request=request,
        certificates=certificates,
        fingerprint=_fingerprint(encoded),
        warnings=tuple(found.warning for found in ids if found.warning is not None),
    )


def _check_signing(request: JoinRequest, now_ms: int) -> tuple[CheckedCertificate, ...]:
    terms = PROFILES.get(request.signing.profile)
    if terms is None or len(request.signing.certificates) != terms.signatures:
        raise IdentityError(
            f"the join request of {request.agency} has {len(request.signing.certificates)} certificates "
            f"for signature profile {request.signing.profile}, which this version cannot register"
        )
    try:
        return tuple(
            check_for_registration(der, request.agency, algorithm, now_ms=now_ms)
            for der, algorithm in zip(request.signing.certificates, terms.algorithms, strict=True)
        )
    except IdentityError as error:
        raise IdentityError(f"the join request of {request.agency} has {error.text}", hint=error.hint) from error


def _check_encryption(request: JoinRequest) -> None:
    if request.encryption.suite != SUITE_2026:
        raise IdentityError(
            f"the join request of {request.agency} has encryption suite {request.encryption.suite}, "
            "which this version cannot read"
        )
    try:
        Encrypter(request.encryption.public_key).parse()
    except IdentityError as error:
        raise IdentityError(f"the join request of {request.agency} has {error.text}") from error


def _decode(encoded: bytes) -> JoinRequest:
    values = load_schema(_SCHEMA).decode(encoded)
    if values["version"] != VERSION:
        raise MalformedError(f"a join request of version {values['version']}, which this version cannot read")
    values["signing"] = SigningKey(**values["signing"])
    values["encryption"] = EncryptionKey(**values["encryption"])
    return JoinRequest(**values)


def _fingerprint(encoded: bytes) -> str:
    shown = leaf_digest(JOIN_TYPE, encoded).hex()[:32]
    return " ".join(shown[at : at + 4] for at in range(0, len(shown), 4))
