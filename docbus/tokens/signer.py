"""Signers whose private key is on a token."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from docbus.errors import IdentityError, KeyFileError
from docbus.identity.signing import load_public_key, profile_of, public_key_bytes, verify_signature
from docbus.tokens.module import module_of
from docbus.tokens.nonces import NonceWatch
from docbus.tokens.uri import parse_token_uri
from docbus.wire.profiles import Profile

if TYPE_CHECKING:
    from docbus.identity.signing import PublicKey
    from docbus.tokens.module import Module
    from docbus.tokens.uri import TokenUri

TOKEN_PROFILES = (Profile.ES256, Profile.RSA_PSS_SHA256, Profile.ED25519)
"""What keys on tokens sign under."""
_SALT_BYTES = 32
_COORDINATE_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenKey:
    """The use of a private key on a token; nothing is asked of the token before the first signature.

    Attributes:
        module: The library.
        uri: Which key.
        public_key: Its public half, by which each signature is verified before anybody else sees it.
        profile: Number of the profile that follows from it.
        nonces: Those of its last signatures with ES256.
    """

    module: Module
    uri: TokenUri
    public_key: PublicKey
    profile: int
    nonces: NonceWatch = field(default_factory=NonceWatch, repr=False)

    def sign(self, tbs: bytes) -> bytes:
        """Return the signature over exactly these bytes; blocks for as long as the token takes.

        Raises:
            PinError: The PIN is missing, wrong or locked.
            KeyFileError: The token has no such key, or it is not the one of the public key, or it repeats a nonce.
            SignerAwayError: The token is not there, or does not answer.
        """
        mechanism = _MECHANISMS[Profile(self.profile)]
        signature = self.module.use(self.uri, lambda key, pin: mechanism(key, tbs, pin))
        try:
            verify_signature(self.profile, self.public_key, signature, tbs)
        except InvalidSignature:
            raise KeyFileError(
                f"{self.uri.key_text} on {self.uri.token_text} is not the certificate's: its signature does not verify",
                hint="Check that the key's URI and the certificate are of one agency and one rotation.",
            ) from None
        if self.profile == Profile.ES256:
            self.nonces.note(signature, tbs)
        return signature


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSigner:
    """A :class:`~docbus.identity.signing.Signer` with the private key on a token."""

    key: TokenKey
    certificate: bytes

    @property
    def profile(self) -> int:
        """See :class:`~docbus.identity.signing.Signer`."""
        return self.key.profile

    def sign(self, tbs: bytes) -> bytes:
        """See :class:`~docbus.identity.signing.Signer`; raises as :meth:`TokenKey.sign`."""
        return self.key.sign(tbs)

    def sign_all(self, tbs: bytes) -> tuple[bytes, ...]:
        """See :class:`~docbus.identity.signing.Signer`; raises as :meth:`TokenKey.sign`."""
        return (self.key.sign(tbs),)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRegistrarSigner:
    """A :class:`~docbus.identity.signing.RegistrarSigner` with the private key on a token."""

    token_key: TokenKey
    key: bytes
    public_key: bytes

    @property
    def profile(self) -> int:
        """See :class:`~docbus.identity.signing.RegistrarSigner`."""
        return self.token_key.profile

    def sign(self, tbs: bytes) -> bytes:
        """See :class:`~docbus.identity.signing.RegistrarSigner`; raises as :meth:`TokenKey.sign`."""
        return self.token_key.sign(tbs)


def open_token_signer(uri: str, certificate_der: bytes) -> TokenSigner:
    """Return the signer for a key on a token and the certificate that goes with it; the token may be away.

    Raises:
        KeyFileError: The URI cannot be used, its library is not installed, or the certificate's key may not sign.
    """
    parsed = parse_token_uri(uri)
    try:
        certified = x509.load_der_x509_certificate(certificate_der).public_key()
        profile = profile_of(certified)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError("the certificate beside the signing key cannot be read") from error
    except IdentityError as error:
        raise KeyFileError(f"the signing key is {error.text}") from error
    key = TokenKey(module=module_of(parsed), uri=parsed, public_key=certified, profile=profile)  # type: ignore[arg-type] # the profiles of tokens are of these kinds
    return TokenSigner(key=key, certificate=sha256(certificate_der).digest())


def open_token_key(uri: str) -> TokenKey:
    """Return a key on a token with the public half that the token shows.

    Raises:
        KeyFileError: The URI cannot be used, its library is not installed, or the token shows no such key.
        SignerAwayError: The token is not there, or does not answer.
    """
    parsed = parse_token_uri(uri)
    module = module_of(parsed)
    public_key = module.look(parsed).public_key
    if public_key is None:
        raise KeyFileError(
            f"{parsed.token_text} shows no public key that is {parsed.key_text}",
            hint="Correct object and id in the key's URI; the public half has to lie beside the private one, under the"
            " same label and id.",
        )
    return TokenKey(module=module, uri=parsed, public_key=public_key, profile=profile_of(public_key))


def open_token_registrar_signer(uri: str) -> TokenRegistrarSigner:
    """Return the registrar's signer for a key on a token.

    Raises:
        KeyFileError: Also if the key may sign for agencies only.
        DocbusError: As :func:`open_token_key`.
    """
    key = open_token_key(uri)
    encoded = public_key_bytes(key.public_key)
    try:
        load_public_key(encoded)
    except IdentityError as error:
        raise KeyFileError(f"{key.uri.key_text} on {key.uri.token_text} is {error.text}") from None
    return TokenRegistrarSigner(token_key=key, key=sha256(encoded).digest(), public_key=encoded)


def _sign_es256(key: Any, tbs: bytes, pin: str | None) -> bytes:
    """Return an ES256 signature in DER; a token gives r and s side by side (PKCS #11, CKM_ECDSA)."""
    from pkcs11 import KeyType, Mechanism

    _check_type(key, KeyType.EC)
    raw = key.sign(sha256(tbs).digest(), mechanism=Mechanism.ECDSA, pin=pin)
    r, s = raw[:_COORDINATE_BYTES], raw[_COORDINATE_BYTES:]
    return encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))


def _sign_pss(key: Any, tbs: bytes, pin: str | None) -> bytes:
    from pkcs11 import MGF, KeyType, Mechanism

    _check_type(key, KeyType.RSA)
    signature: bytes = key.sign(
        tbs,
        mechanism=Mechanism.SHA256_RSA_PKCS_PSS,
        mechanism_param=(Mechanism.SHA256, MGF.SHA256, _SALT_BYTES),
        pin=pin,
    )
    return signature


def _sign_ed25519(key: Any, tbs: bytes, pin: str | None) -> bytes:
    """Return an Ed25519 signature; without a parameter ``CKM_EDDSA`` is the pure one (PKCS #11 3.0)."""
    from pkcs11 import KeyType, Mechanism

    _check_type(key, KeyType.EC_EDWARDS)
    signature: bytes = key.sign(tbs, mechanism=Mechanism.EDDSA, pin=pin)
    return signature


_MECHANISMS = {Profile.ES256: _sign_es256, Profile.RSA_PSS_SHA256: _sign_pss, Profile.ED25519: _sign_ed25519}


def _check_type(key: Any, wanted: Any) -> None:
    """Refuse a key for another algorithm than the certificate's, of which tokens say no more than that it failed."""
    from pkcs11.exceptions import KeyTypeInconsistent

    if key.key_type != wanted:
        raise KeyTypeInconsistent
