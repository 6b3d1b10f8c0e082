"""The world of the vectors: agencies, their committed test keys, and one directory log that goes through a life."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from docbus.identity import entries
from docbus.identity.certificates import certificate_set_digest, make_certificate
from docbus.identity.encryption import SUITE_2026, Decrypter, Encrypter, generate_encryption_key
from docbus.identity.signing import (
    HybridSigner,
    KeySigner,
    private_key_pem,
    registrar_signer_of,
    signer_of,
)
from docbus.wire.profiles import Profile
from tests.vectors.building.issuing import TestAuthority

if TYPE_CHECKING:
    from pathlib import Path

    from docbus.identity.signing import PrivateKey
    from tests.vectors.building.drawn import Drawn

NOW = 1_800_000_000_000
"""2027-01-15T08:00:00Z: when everything is made and verified, milliseconds."""
ENVIRONMENT = "vectors"
HANOI = "vn:H26"
TAY_NINH = "vn:H53"
LANG_SON = "vn:H37.02.02"
TAXES = "vn:G12.18"
CUSTOMS = "vn:G12.20"
FORESTRY = "vn:G10.19"
"""Its certificate was issued by the authority."""
FISHERIES = "vn:G10.20"
"""Its certificate was issued by the authority, for three years."""
STRANGER = "vn:H41"
"""Has keys, and no grant."""
NAMES = {
    HANOI: "Ủy ban nhân dân thành phố Hà Nội",
    TAY_NINH: "Ủy ban nhân dân tỉnh Tây Ninh",
    LANG_SON: "Sở Khoa học và Công nghệ tỉnh Lạng Sơn",
    TAXES: "Tổng cục Thuế",
    CUSTOMS: "Tổng cục Hải quan",
    FORESTRY: "Cục Lâm nghiệp",
    FISHERIES: "Cục Thủy sản",
}
PROFILES = {
    HANOI: Profile.ES256,
    TAY_NINH: Profile.ES256,
    LANG_SON: Profile.RSA_PSS_SHA256,
    CUSTOMS: Profile.ED25519,
    STRANGER: Profile.ES256,
}
SECOND = "second"
"""Hanoi's key after its rotation."""
CUSTOMS_NEW = "customs-new"
"""Key to which customs rotates, with an overlap."""

ALL_OPEN = 4
"""Last directory position at which everybody may sign."""
HANOI_ROTATED = 5
LANG_SON_REVOKED = 6
TAY_NINH_CLOSED = 7
BEATING = 8
"""The registrar's first heartbeat: from here on the age of the directory counts."""
TAXES_SUSPENDED = 9
TAXES_REINSTATED = 10
DELEGATED = 11
"""Taxes may send documents, and no recalls, for Hanoi, for a day from ``NOW`` on."""
DELEGATION_ENDED = 12
CUSTOMS_GRANTED = 13
CUSTOMS_OVERLAP = 14
"""Both keys of customs may sign from here on, the old one until ``OLD_KEY_ENDS``."""
AFTER_OVERLAP = 16
"""A heartbeat, the first entry that was made after that."""
AUTHORITY_NAMED = 17
ISSUED = 18
"""Its certificates are granted: that of ``FORESTRY``, and one for three years, which no verifier believes."""
ISSUED_TOO_LONG = 19
AUTHORITY_ENDED = 20
HANOI_KEY_RETIRED = 21
"""Hanoi's first encryption key is retired, and others encrypt to its second."""
DAY_MS = 24 * 60 * 60 * 1000
_RSA_BITS = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """One agency's keys."""

    agency: str
    signer: KeySigner | HybridSigner
    certificates: tuple[bytes, ...]
    decrypter: Decrypter
    encrypter: Encrypter


class World:
    """Keys from files (made if they are missing and drawing is allowed), and the log they sign."""

    def __init__(self, folder: Path, drawn: Drawn, *, may_draw: bool) -> None:
        self.drawn = drawn
        self._folder = folder
        self._may_draw = may_draw
        self.files: dict[str, bytes] = {}
        registrar = _load(self._file("registrar.signing.pem", lambda: private_key_pem(_new_key(Profile.ES256))))
        self._registrar = registrar_signer_of(registrar)
        self.parties = {agency: self._party(agency, agency) for agency in PROFILES}
        self.parties[TAXES] = self._hybrid(TAXES)
        self.second = self._party(HANOI, SECOND)
        self.customs_new = self._party(CUSTOMS, CUSTOMS_NEW)
        self._authority = TestAuthority(self._kept)
        self.parties[FORESTRY] = self._issued(FORESTRY, serial=0x1001, days=700)
        self.parties[FISHERIES] = self._issued(FISHERIES, serial=0x1002, days=1095)
        self.material = self._authority.material()
        self.records: list[bytes] = []
        self.hashes: list[bytes] = []
        self._write_log()

    @property
    def genesis(self) -> bytes:
        """The pinned hash."""
        return self.hashes[0]

    def _file(self, name: str, make: object) -> bytes:
        return self._kept(f"keys/{name}", make)

    def _kept(self, name: str, make: object) -> bytes:
        path = self._folder / name
        if path.is_file():
            content = path.read_bytes()
        elif self._may_draw:
            content = make()  # type: ignore[operator] # a function without arguments
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        else:
            raise FileNotFoundError(f"{path} is missing; it is never made again")
        self.files[name] = content
        return content

    def _issued(self, agency: str, *, serial: int, days: int) -> Party:
        stem = agency.replace(":", "-")
        key = _load(self._file(f"{stem}.signing.pem", lambda: private_key_pem(_new_key(Profile.ES256))))
        made = self._file(
            f"{stem}.certificate.der", lambda: self._authority.issue(key, agency, serial=serial, days=days)
        )
        return self._complete(agency, stem, signer_of(key, made), (made,))

    def _party(self, agency: str, label: str) -> Party:
        stem = label.replace(":", "-")
        key = _load(self._file(f"{stem}.signing.pem", lambda: private_key_pem(_new_key(PROFILES[agency]))))
        certificate = self._file(f"{stem}.certificate.der", lambda: make_certificate(key, agency, now_ms=NOW))
        return self._complete(agency, stem, signer_of(key, certificate), (certificate,))

    def _hybrid(self, agency: str) -> Party:
        stem = agency.replace(":", "-")
        first = _load(self._file(f"{stem}.signing.pem", lambda: private_key_pem(_new_key(Profile.ES256))))
        second = load_pem_private_key(self._file(f"{stem}.second-signing.pem", _new_mldsa_pem), password=None)
        if not isinstance(first, ec.EllipticCurvePrivateKey) or not isinstance(second, MLDSA65PrivateKey):
            raise TypeError("not the keys of a hybrid profile")
        certificates = (
            self._file(f"{stem}.certificate.der", lambda: make_certificate(first, agency, now_ms=NOW)),
            self._file(f"{stem}.second-certificate.der", lambda: make_certificate(second, agency, now_ms=NOW)),
        )
        digest = certificate_set_digest([sha256(der).digest() for der in certificates])
        signer = HybridSigner(private_key=first, second_key=second, certificate=digest)
        return self._complete(agency, stem, signer, certificates)

    def _complete(
        self, agency: str, stem: str, signer: KeySigner | HybridSigner, certificates: tuple[bytes, ...]
    ) -> Party:
        decrypter = load_decrypter(self._file(f"{stem}.encryption.pem", lambda: generate_encryption_key().pem()))
        return Party(
            agency=agency,
            signer=signer,
            certificates=certificates,
            decrypter=decrypter,
            encrypter=Encrypter(decrypter.public_key),
        )

    def _write_log(self) -> None:
        self._append(
            entries.Genesis(
                registrar="Registrar of the golden vectors",
                keys=(self._registrar.public_key,),
                threshold=1,
                freshness_limit=entries.DEFAULT_FRESHNESS_LIMIT_MS,
                freshness_alarm=entries.DEFAULT_FRESHNESS_ALARM_MS,
            )
        )
        for agency in (HANOI, TAY_NINH, LANG_SON, TAXES):
            self._append(self._grant(agency))
        self._append(
            entries.KeyRotation(
                agency=HANOI,
                signing=_signing(self.second),
                encryption=None,
                retire_signing=(self.parties[HANOI].signer.certificate,),
                retire_encryption=(),
            )
        )
        self._append(
            entries.Revocation(
                agency=LANG_SON,
                certificate=self.parties[LANG_SON].signer.certificate,
                reason="token lost",
                suspected_since=None,
            )
        )
        self._append(entries.Closure(agency=TAY_NINH, successor=HANOI, reason="merged"))
        self._append(entries.Heartbeat())
        self._append(entries.Suspension(agency=TAXES, reason="under investigation"))
        self._append(entries.Reinstatement(agency=TAXES, reason="settled"))
        self._append(
            entries.Delegation(
                agency=HANOI,
                delegate=TAXES,
                kinds=("document",),
                not_before=NOW,
                not_after=NOW + DAY_MS,
                reason="one day of leave",
            )
        )
        self._append(entries.DelegationEnd(agency=HANOI, delegate=TAXES, reason="back early"))
        self._append(self._grant(CUSTOMS))
        self._append(
            entries.KeyOverlap(
                agency=CUSTOMS,
                signing=_signing(self.customs_new),
                encryption=None,
                retire_signing=(self.parties[CUSTOMS].signer.certificate,),
                retire_encryption=(),
                retires_at=OLD_KEY_ENDS,
            )
        )
        self._append(entries.Heartbeat())
        self._append(entries.Heartbeat())
        self._append(entries.Authority(name="Vectors CA", certificate=self._authority.certificate, intermediates=()))
        self._append(self._grant(FORESTRY))
        self._append(self._grant(FISHERIES))
        self._append(entries.AuthorityEnd(authority=sha256(self._authority.certificate).digest(), reason="superseded"))
        self._append(
            entries.KeyRotation(
                agency=HANOI,
                signing=None,
                encryption=entries.EncryptionKey(suite=SUITE_2026, public_key=self.second.encrypter.raw),
                retire_signing=(),
                retire_encryption=(self.parties[HANOI].encrypter.digest,),
            )
        )

    def _grant(self, agency: str) -> entries.AgencyGrant:
        party = self.parties[agency]
        return entries.AgencyGrant(
            agency=agency,
            name=NAMES[agency],
            aliases=(),
            signing=_signing(party),
            encryption=entries.EncryptionKey(suite=SUITE_2026, public_key=party.encrypter.raw),
            roles=(),
            partitions=1,
        )

    def _append(self, change: entries.Change) -> None:
        position = len(self.hashes)
        encoded = entries.encode_entry(
            entries.DirectoryEntry(
                version=entries.VERSION,
                environment=ENVIRONMENT,
                position=position,
                previous=self.hashes[-1] if self.hashes else entries.GENESIS_PREVIOUS,
                made_at=made_at(position),
                change=change,
            )
        )
        record = entries.sign_entry(encoded, [self._registrar])
        self.records.append(record)
        self.hashes.append(entries.entry_hash(encoded))


def made_at(position: int) -> int:
    """Return when an entry of the log was made, milliseconds: one in every second."""
    return NOW + 1000 * position


OLD_KEY_ENDS = made_at(AFTER_OVERLAP - 1)
"""Last millisecond in which the old key of customs may sign."""


def load_decrypter(pem: bytes) -> Decrypter:
    """Return the decrypter in a PEM file of two blocks, whatever the file's mode."""
    end = b"-----END PRIVATE KEY-----\n"
    first, second, _ = pem.split(end)
    mlkem, x25519 = (load_pem_private_key(part + end, password=None) for part in (first, second))
    if not isinstance(mlkem, MLKEM768PrivateKey) or not isinstance(x25519, X25519PrivateKey):
        raise TypeError("not an ML-KEM-768 and an X25519 key")
    return Decrypter(mlkem, x25519)


def _load(pem: bytes) -> PrivateKey:
    key = load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
        raise TypeError("not a signing key")
    return key


def _new_key(profile: int) -> PrivateKey:
    if profile == Profile.ES256:
        return ec.generate_private_key(ec.SECP256R1())
    if profile == Profile.ED25519:
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)


def _signing(party: Party) -> entries.SigningKey:
    return entries.SigningKey(profile=party.signer.profile, certificates=party.certificates)


def _new_mldsa_pem() -> bytes:
    return MLDSA65PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def signatures_by(world: World, signer: KeySigner | HybridSigner, tbs: bytes) -> tuple[bytes, ...]:
    """Return the signatures over exactly these bytes; ES256 and Ed25519 are deterministic, the others are drawn."""
    inputs = signer.certificate, sha256(tbs).digest()
    if isinstance(signer, HybridSigner):
        return signer.sign(tbs), world.drawn.take("signature", inputs, lambda: signer.second_key.sign(tbs))
    if signer.profile in (Profile.ES256, Profile.ED25519):
        return signer.sign_all(tbs)
    return (world.drawn.take("signature", inputs, lambda: signer.sign(tbs)),)
