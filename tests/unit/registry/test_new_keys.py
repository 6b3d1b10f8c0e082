"""What the registrar refuses to sign because of a key in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from docbus.errors import IdentityError
from docbus.identity import entries
from docbus.identity.signing import public_key_bytes
from docbus.registry.new_keys import check_new_keys
from docbus.registry.publish import Registrar
from docbus.transport.topics import DIRECTORY
from docbus.wire.profiles import Profile
from tests.support import weak_rsa
from tests.support.bus import found_bus
from tests.support.certificates import issue
from tests.support.directory import DirectoryBuilder, grant_of, make_keys, make_registrar_signer

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey


def grant(public_key: RSAPublicKey, agency: str = "vn:H26") -> entries.AgencyGrant:
    """Return the grant of a key to an agency."""
    signing = entries.SigningKey(profile=Profile.RSA_PSS_SHA256, certificates=(issue(public_key, agency),))
    return grant_of(make_keys(agency), signing=signing)


def sound_key() -> RSAPublicKey:
    """Return a key of which nothing is known."""
    return weak_rsa.key_of(weak_rsa.prime(), weak_rsa.prime())


def changes(public_key: RSAPublicKey) -> list[entries.Change]:
    """Return a change of each kind that brings a key into the directory, with this one."""
    signing, keys = grant(public_key).signing, make_keys("vn:H26")
    encoded, sound = public_key_bytes(public_key), public_key_bytes(sound_key())
    rotation = entries.KeyRotation(
        agency="vn:H26", signing=signing, encryption=keys.encryption, retire_signing=(), retire_encryption=()
    )
    overlap = entries.KeyOverlap(
        agency="vn:H26",
        signing=signing,
        encryption=keys.encryption,
        retire_signing=(),
        retire_encryption=(),
        retires_at=1,
    )
    genesis = entries.Genesis(
        registrar="Registrar", keys=(sound, encoded), threshold=1, freshness_limit=1, freshness_alarm=1
    )
    (weak,), (other,) = signing.certificates, grant(sound_key()).signing.certificates
    return [
        grant(public_key),
        rotation,
        overlap,
        genesis,
        entries.RegistrarRotation(keys=(sound, encoded), threshold=1, heartbeat_keys=()),
        entries.RegistrarRotation(keys=(sound,), threshold=1, heartbeat_keys=(encoded,)),
        entries.Authority(name="Root", certificate=weak, intermediates=()),
        entries.Authority(name="Root", certificate=other, intermediates=(weak,)),
    ]


def test_no_change_brings_a_weak_key_into_the_directory() -> None:
    """Wherever a key stands in a change, a weak one is refused, and a sound one in its place is not."""
    weak, sound = changes(weak_rsa.close_primes()), changes(sound_key())

    for one in weak:
        with pytest.raises(IdentityError, match=r"(H26|registrar|Root) has an RSA key that has two primes"):
            check_new_keys(one)
    for one in sound:
        check_new_keys(one)


def test_a_prime_of_another_agency_is_found() -> None:
    """A key with a prime factor of one that was granted before is refused; the same key once more is not."""
    shared, p, q = (weak_rsa.prime() for _ in range(3))
    directory = DirectoryBuilder()
    directory.append(grant(weak_rsa.key_of(shared, p), "vn:H37"))
    snapshot = directory.snapshot()

    with pytest.raises(IdentityError, match="vn:H26 has an RSA key with a prime factor of another key"):
        check_new_keys(grant(weak_rsa.key_of(shared, q)), snapshot)
    check_new_keys(grant(weak_rsa.key_of(shared, p)), snapshot)
    check_new_keys(grant(sound_key()), snapshot)


def test_two_new_keys_of_one_change_are_compared() -> None:
    """Also in a new registrar's keys, before there is any directory, no two have a prime in common."""
    shared, p, q = (weak_rsa.prime() for _ in range(3))
    keys = tuple(public_key_bytes(weak_rsa.key_of(shared, other)) for other in (p, q))
    genesis = entries.Genesis(registrar="Registrar", keys=keys, threshold=1, freshness_limit=1, freshness_alarm=1)

    with pytest.raises(IdentityError, match="the registrar has an RSA key with a prime factor of another key"):
        check_new_keys(genesis)


async def test_a_registrar_publishes_none(tmp_path: Path) -> None:
    """An authority with a weak key is refused before its entry is signed, and the log stays as it was."""
    async with found_bus(tmp_path / "bus.db", directory=False) as transport:
        signer = make_registrar_signer()
        registrar = await Registrar.init(transport, [signer], environment="test", registrar="Registrar")

        with pytest.raises(IdentityError, match="the authority Root has an RSA key that has two primes"):
            await registrar.name_authority("Root", issue(weak_rsa.close_primes(), "vn:H26"))

        assert {0: (0, 1)} == await transport.bounds(DIRECTORY)
