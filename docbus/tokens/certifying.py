"""A key on a token as the builder of certificates wants it, so that it can sign a certificate for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from typing_extensions import override

if TYPE_CHECKING:
    from docbus.identity.signing import PrivateKey
    from docbus.tokens.signer import TokenKey


def certifying_key(key: TokenKey) -> PrivateKey:
    """Return a key with which :func:`docbus.identity.certificates.make_certificate` can sign.

    The builder takes any object of cryptography's interfaces. It asks for the public half and for signatures, with RSA
    after PKCS #1 version 1.5, which is what certificates have.
    """
    public_key = key.public_key
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        return _ECKey(key, public_key)
    if isinstance(public_key, ed25519.Ed25519PublicKey):
        return _Ed25519Key(key, public_key)
    return _RSAKey(key, public_key)


class _Stays:
    """What no kind of private key lets out of its token; a copy is the same key there."""

    def private_numbers(self) -> NoReturn:
        _stays()

    def private_bytes(self, *_: Any) -> NoReturn:
        _stays()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self


class _ECKey(_Stays, ec.EllipticCurvePrivateKey):
    def __init__(self, key: TokenKey, public_key: ec.EllipticCurvePublicKey) -> None:
        self._key = key
        self._public_key = public_key

    @override
    def sign(self, tbs: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        return self._key.sign(bytes(tbs))

    @override
    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._public_key

    @property
    @override
    def curve(self) -> ec.EllipticCurve:
        return self._public_key.curve

    @property
    @override
    def key_size(self) -> int:
        return self._public_key.key_size

    @override
    def exchange(self, *_: Any) -> NoReturn:
        _stays()


class _RSAKey(_Stays, rsa.RSAPrivateKey):
    def __init__(self, key: TokenKey, public_key: Any) -> None:
        self._key = key
        self._public_key: rsa.RSAPublicKey = public_key

    @override
    def sign(self, tbs: Any, padding: Any, algorithm: Any) -> bytes:
        return self._key.module.use(self._key.uri, lambda key, pin: _sign_pkcs1(key, bytes(tbs), pin))

    @override
    def public_key(self) -> rsa.RSAPublicKey:
        return self._public_key

    @property
    @override
    def key_size(self) -> int:
        return self._public_key.key_size

    @override
    def decrypt(self, *_: Any) -> NoReturn:
        _stays()


class _Ed25519Key(_Stays, ed25519.Ed25519PrivateKey):
    def __init__(self, key: TokenKey, public_key: ed25519.Ed25519PublicKey) -> None:
        self._key = key
        self._public_key = public_key

    @override
    def sign(self, tbs: Any) -> bytes:
        return self._key.sign(bytes(tbs))

    @override
    def public_key(self) -> ed25519.Ed25519PublicKey:
        return self._public_key

    @override
    def private_bytes_raw(self) -> NoReturn:
        _stays()


def _sign_pkcs1(key: Any, tbs: bytes, pin: str | None) -> bytes:
    from pkcs11 import Mechanism

    signature: bytes = key.sign(tbs, mechanism=Mechanism.SHA256_RSA_PKCS, pin=pin)
    return signature


def _stays() -> NoReturn:
    raise UnsupportedAlgorithm("a private key on a token stays there")
