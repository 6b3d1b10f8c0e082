"""An agency's folder asks for a certificate and uses it, and files are read for what they are."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from docbus.client.certifying import (
    MAX_GIVEN,
    certification_request,
    read_certificate,
    read_given_certificates,
    read_material_file,
    use_certificate,
)
from docbus.client.connect import signer_of_settings
from docbus.client.founding import found_agency
from docbus.client.issuing import found_authority
from docbus.clock import SystemClock
from docbus.errors import ConfigurationError, IdentityError, KeyFileError
from docbus.identity.join import read_join_request, verify_join_request
from docbus.identity.pki.issuing import make_request
from docbus.identity.signing import verify_signature
from docbus.settings import EmbeddedSettings, load_settings
from docbus.tokens.signer import TOKEN_PROFILES
from tests.support.dying import dies_at
from tests.support.pki import TestAuthority

if TYPE_CHECKING:
    from pathlib import Path

    from docbus.client.issuing import Authority
    from docbus.settings import Settings
    from docbus.wire.profiles import Profile
    from tests.support.softhsm import SoftHSM

CLOCK = SystemClock()
GENESIS = "ab" * 32
ROOT = TestAuthority()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return the settings of a new agency."""
    found_agency(
        tmp_path / "hanoi",
        code="H26",
        name="Hà Nội",
        environment="test",
        genesis=GENESIS,
        bus=EmbeddedSettings(file=tmp_path / "bus.db"),
        clock=CLOCK,
        aliases=["000.00.00.H26"],
    )
    return load_settings(tmp_path / "hanoi")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Return a small authority."""
    return found_authority(tmp_path / "ca", name="Authority", clock=CLOCK)


def _issued(authority: Authority, request: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(authority.issue(request, days=30).certificate)


def test_a_folder_signs_under_the_certificate_that_it_asked_for(settings: Settings, authority: Authority) -> None:
    """The join request with it can be granted, keeps names and encryption key, and the former certificate stays."""
    before = signer_of_settings(settings).certificate
    former = read_join_request((settings.folder / "H26.join").read_text("utf-8"))
    certificate = _issued(authority, certification_request(settings))

    done = use_certificate(settings, [certificate], CLOCK)

    text = done.request.read_text("utf-8")
    asked = verify_join_request(text, environment="test", genesis=bytes.fromhex(GENESIS), now_ms=CLOCK.now_ms())
    assert (former.name, former.aliases, former.encryption) == (
        asked.request.name,
        asked.request.aliases,
        asked.request.encryption,
    )
    assert asked.fingerprint == done.fingerprint
    assert asked.certificates[0].digest == signer_of_settings(settings).certificate != before
    assert done.former is not None
    assert before == read_certificate(done.former).fingerprint(hashes.SHA256())


@pytest.mark.parametrize("profile", TOKEN_PROFILES)
def test_a_key_on_a_token_asks_for_a_certificate_too(
    tmp_path: Path, softhsm: SoftHSM, authority: Authority, profile: Profile
) -> None:
    """The token signs the request, and signs under the certificate that comes back."""
    softhsm.initialise("H26")
    found_agency(
        tmp_path / "hanoi",
        code="H26",
        name="Hà Nội",
        environment="test",
        genesis=GENESIS,
        bus=EmbeddedSettings(file=tmp_path / "bus.db"),
        clock=CLOCK,
        profile=profile,
        signing_key=softhsm.uri("H26", pin_source=f"file:{softhsm.pin_file()}"),
        make_signing_key=True,
    )
    settings = load_settings(tmp_path / "hanoi")
    certificate = _issued(authority, certification_request(settings))

    done = use_certificate(settings, [certificate], CLOCK)

    signer = signer_of_settings(settings)
    text = done.request.read_text("utf-8")
    asked = verify_join_request(text, environment="test", genesis=bytes.fromhex(GENESIS), now_ms=CLOCK.now_ms())
    assert asked.certificates[0].digest == signer.certificate == certificate.fingerprint(hashes.SHA256())
    verify_signature(profile, certificate.public_key(), signer.sign(b"signed"), b"signed")


def test_using_a_certificate_twice_changes_nothing(settings: Settings, authority: Authority) -> None:
    """What is there stays as it is."""
    certificate = _issued(authority, certification_request(settings))
    use_certificate(settings, [certificate], CLOCK)
    files = {path: path.read_bytes() for path in settings.folder.rglob("*") if path.is_file()}
    again = use_certificate(settings, [certificate], CLOCK)

    assert files == {path: path.read_bytes() for path in settings.folder.rglob("*") if path.is_file()}
    assert again.former is None
    assert [again.request] == list(settings.folder.glob("H26-*.join"))


def test_a_second_certificate_leaves_one_request(settings: Settings, authority: Authority) -> None:
    """The request of the certificate before is gone; the certificates are kept, also if the first one comes again."""
    own = signer_of_settings(settings).certificate
    first, second = (_issued(authority, certification_request(settings)) for _ in range(2))

    for certificate in (first, second, first):
        done = use_certificate(settings, [certificate], CLOCK)
        asked = read_join_request(done.request.read_text("ascii"))
        assert [done.request] == list(settings.folder.glob("H26-*.join"))
        assert (certificate.public_bytes(Encoding.DER),) == asked.signing.certificates

    kept = {
        read_certificate(path).fingerprint(hashes.SHA256()) for path in (settings.folder / "keys").glob("certificate*")
    }
    assert {own, first.fingerprint(hashes.SHA256()), second.fingerprint(hashes.SHA256())} == kept


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_death_at_any_change_is_made_good(settings: Settings, authority: Authority, tmp_path: Path) -> None:
    """Whatever the process dies at, the folder signs under one of the certificates, and the same command goes on."""
    first, second = (_issued(authority, certification_request(settings)) for _ in range(2))
    use_certificate(settings, [first], CLOCK)
    number, died = 0, True
    while died:
        number += 1
        folder = shutil.copytree(settings.folder, tmp_path / str(number))
        died = dies_at(number, lambda folder=folder: use_certificate(load_settings(folder), [second], CLOCK))
        signer_of_settings(load_settings(folder))

        done = use_certificate(load_settings(folder), [second], CLOCK)

        assert second.fingerprint(hashes.SHA256()) == signer_of_settings(load_settings(folder)).certificate
        assert [done.request] == list(folder.glob("H26-*.join"))
        asked = read_join_request(done.request.read_text("ascii"))
        assert (second.public_bytes(Encoding.DER),) == asked.signing.certificates

    assert number > 6


def test_a_certificate_of_another_key_or_agency_is_not_used(settings: Settings, authority: Authority) -> None:
    """Nor one that nobody has issued."""
    other = make_request(ec.generate_private_key(ec.SECP256R1()), "vn:H26")
    with pytest.raises(KeyFileError, match="does not belong to the certificate"):
        use_certificate(settings, [_issued(authority, other)], CLOCK)
    own = read_certificate(settings.folder / "keys" / "certificate.pem")
    with pytest.raises(IdentityError, match="nobody else has issued"):
        use_certificate(settings, [own], CLOCK)


def test_a_folder_without_its_join_request_is_told_so(settings: Settings, authority: Authority) -> None:
    """Names and aliases stand there alone."""
    certificate = _issued(authority, certification_request(settings))
    (settings.folder / "H26.join").write_text("nothing")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        use_certificate(settings, [certificate], CLOCK)


def test_files_may_be_pem_or_der(tmp_path: Path) -> None:
    """Authorities hand out both."""
    der, path = ROOT.revocations(), tmp_path / "file"
    pem = x509.load_der_x509_crl(der).public_bytes(Encoding.PEM)
    digests = []
    for content in (der, pem):
        path.write_bytes(content)
        digests.append(read_material_file(path).digest)
    serials = []
    for encoding in (Encoding.DER, Encoding.PEM):
        path.write_bytes(ROOT.certificate.public_bytes(encoding))
        serials.append(read_certificate(path).serial_number)

    assert 1 == len(set(digests)) == len(set(serials))


@pytest.mark.parametrize("reader", [read_certificate, read_material_file])
@pytest.mark.parametrize("content", [b"nothing", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", None])
def test_other_files_are_told_by_name(tmp_path: Path, reader: Any, content: bytes | None) -> None:
    """Whether they are missing or hold something else."""
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="file"):
        reader(path)


def test_more_certificates_than_a_path_has_are_refused(tmp_path: Path, authority: Authority) -> None:
    """As many as are allowed are read, in PEM and DER together, and one more is refused."""
    pem, der = tmp_path / "some.pem", tmp_path / "one.der"
    one = authority.certificate
    pem.write_bytes(one.public_bytes(Encoding.PEM) * (MAX_GIVEN - 1))
    der.write_bytes(one.public_bytes(Encoding.DER))

    assert [one] * MAX_GIVEN == read_given_certificates([pem, der])
    with pytest.raises(ConfigurationError, match="17 certificates; 16 are allowed"):
        read_given_certificates([pem, der, der])
    der.write_bytes(b"-----BEGIN CERTIFICATE-----")
    with pytest.raises(ConfigurationError, match="is not a certificate in PEM or DER"):
        read_given_certificates([der])
