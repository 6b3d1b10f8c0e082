"""Encryption to an agency: HPKE (RFC 9180) with MLKEM768-X25519, HKDF-SHA256 and AES-256-GCM.

A public key is the ML-KEM-768 encapsulation key (1184 bytes) followed by the X25519 public key (32 bytes), as in
X-Wing. What binds a ciphertext to its place goes into ``context``, HPKE's ``info``.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typing_extensions import override

from docbus.errors import IdentityError, KeyFileError, MalformedError
from docbus.identity.keyfile import path_of, read_private_keys

if TYPE_CHECKING:
    from docbus.identity.shelf import Shelf

SUITE_2026 = 1
"""Number of this suite in a grant; the same number names it in a statement's head."""
MLKEM_BYTES = 1184
X25519_BYTES = 32
PUBLIC_KEY_BYTES = MLKEM_BYTES + X25519_BYTES

_SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)

_FIELD = 2**255 - 19
_LOW_ORDER = frozenset(
    {
        0,
        1,
        _FIELD - 1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
    }
)
"""u-coordinates of the points of order 1, 2, 4 and 8 (RFC 7748 section 6.1): any secret agreed with them is known."""


def check_encryption_key(raw: bytes) -> None:
    """Return if these bytes may be granted as an encryption key; cheap, see :class:`Encrypter` for the rest.

    Raises:
        IdentityError: Wrong length, an X25519 coordinate that is not reduced, or a point of small order.
    """
    if len(raw) != PUBLIC_KEY_BYTES:
        raise IdentityError(f"an encryption key of {len(raw)} bytes, expected {PUBLIC_KEY_BYTES}")
    coordinate = int.from_bytes(raw[MLKEM_BYTES:], "little")
    if coordinate >= _FIELD:
        raise IdentityError("an encryption key whose X25519 part is not reduced modulo 2**255 - 19")
    if coordinate in _LOW_ORDER:
        raise IdentityError("an encryption key whose X25519 part is a point of small order")


class Encrypter:
    """An agency's public encryption key; parsed when it is first used, since most of a directory never is.

    Two are equal if their keys are.

    Args:
        raw: The public key, 1216 bytes.
        shelf: Where these bytes lie until they are used; they stay in the object without one.
        at: Where on the shelf they lie already; they are put there if this is left out.

    Attributes:
        digest: SHA-256 of the public key, by which it is named.

    Raises:
        IdentityError: As :func:`check_encryption_key`.
    """

    __slots__ = ("_at", "_held", "_parsed", "digest")

    def __init__(self, raw: bytes, shelf: Shelf | None = None, at: int | None = None) -> None:
        check_encryption_key(raw)
        self.digest = sha256(raw).digest()
        self._parsed: hpke.MLKEM768X25519PublicKey | None = None
        self._held: bytes | Shelf = raw if shelf is None else shelf
        self._at = at if at is not None else 0 if shelf is None else shelf.put(raw)

    @override
    def __eq__(self, other: object) -> bool:
        """Compare by digest."""
        return isinstance(other, Encrypter) and self.digest == other.digest

    @override
    def __hash__(self) -> int:
        """Hash by digest."""
        return hash(self.digest)

    @property
    def raw(self) -> bytes:
        """The public key, 1216 bytes."""
        held = self._held
        return held if isinstance(held, bytes) else held.get(self._at, PUBLIC_KEY_BYTES)

    def encrypt(self, plaintext: bytes, context: bytes) -> bytes:
        """Return encapsulated key and ciphertext: 1136 bytes more than the plaintext, different every time.

        Raises:
            IdentityError: The granted key is no ML-KEM-768 key.
        """
        return _SUITE.encrypt(plaintext, self._parsed or self.parse(), info=context)

    def parse(self) -> hpke.MLKEM768X25519PublicKey:
        """Return the parsed key, which checks its ML-KEM part too.

        Raises:
            IdentityError: It is no ML-KEM-768 key.
        """
        raw = self.raw
        try:
            self._parsed = hpke.MLKEM768X25519PublicKey(
                MLKEM768PublicKey.from_public_bytes(raw[:MLKEM_BYTES]),
                X25519PublicKey.from_public_bytes(raw[MLKEM_BYTES:]),
            )
        except ValueError as error:
            raise IdentityError("an encryption key whose ML-KEM-768 part is not one (FIPS 203 section 7.2)") from error
        return self._parsed


class Decrypter:
    """Holds the use of an agency's private encryption key."""

    __slots__ = ("_private", "digest", "public_key")

    def __init__(self, mlkem: MLKEM768PrivateKey, x25519: X25519PrivateKey) -> None:
        self._private = hpke.MLKEM768X25519PrivateKey(mlkem, x25519)
        self.public_key = mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()
        self.digest = sha256(self.public_key).digest()

    def decrypt(self, ciphertext: bytes, context: bytes) -> bytes:
        """Return the plaintext.

        Raises:
            MalformedError: It is not a ciphertext to this key in this context; says no more than that.
        """
        try:
            return _SUITE.decrypt(ciphertext, self._private, info=context)
        except (InvalidTag, ValueError) as error:
            raise MalformedError("a wrapped key does not open with this key in this context") from error


class EncryptionPrivateKey:
    """Both private halves, for storing them."""

    __slots__ = ("mlkem", "x25519")

    def __init__(self, mlkem: MLKEM768PrivateKey, x25519: X25519PrivateKey) -> None:
        self.mlkem = mlkem
        self.x25519 = x25519

    def decrypter(self) -> Decrypter:
        """Return what decrypts with this key."""
        return Decrypter(self.mlkem, self.x25519)

    @property
    def public_key(self) -> bytes:
        """The raw public key, 1216 bytes, as it stands in a grant."""
        return self.mlkem.public_key().public_bytes_raw() + self.x25519.public_key().public_bytes_raw()

    def pem(self) -> bytes:
        """Return two PKCS#8 blocks, ML-KEM-768 then X25519, without a passphrase; store them with mode 0600."""
        form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return self.mlkem.private_bytes(*form) + self.x25519.private_bytes(*form)


def generate_encryption_key() -> EncryptionPrivateKey:
    """Return a new private key."""
    return EncryptionPrivateKey(MLKEM768PrivateKey.generate(), X25519PrivateKey.generate())


def open_decrypter(uri: str) -> Decrypter:
    """Return the decrypter whose private key a URI names.

    Raises:
        KeyFileError: The file is missing, unreadable, open to others, or not an ML-KEM-768 and an X25519 key.
    """
    found = read_private_keys(uri)
    match found:
        case [MLKEM768PrivateKey() as mlkem, X25519PrivateKey() as x25519]:
            return Decrypter(mlkem, x25519)
        case _:
            raise KeyFileError(
                f"the key file {path_of(uri)} holds no encryption key",
                hint="Two PKCS#8 blocks are expected, ML-KEM-768 first, then X25519.",
            )
