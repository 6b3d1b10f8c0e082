"""A rotation to a certificate that an authority issues: its request, the certificate, and the registrar's request."""

from __future__ import annotations

import asyncio
import shutil
import sys
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from docbus.client.certifying import certification_request
from docbus.client.connect import next_signer_of_settings, open_registrar, signer_of_settings
from docbus.client.founding import found_agency
from docbus.client.issuing import found_authority
from docbus.client.rotation import certify, rotate, rotation_state
from docbus.clock import SystemClock
from docbus.errors import ConfigurationError, IdentityError, KeyFileError
from docbus.identity.join import read_join_request, verify_join_request
from docbus.identity.pki.issuing import make_request
from docbus.identity.signing import public_key_bytes, verify_signature
from docbus.settings import EmbeddedSettings, load_settings
from docbus.wire.profiles import Profile
from tests.support.dying import dies_at
from tests.support.rotating import ENVIRONMENT, HANOI, directory, publish
from tests.support.rotation_journeys import certified

if TYPE_CHECKING:
    from pathlib import Path

    from docbus.client.issuing import Authority
    from docbus.client.rotation import Rotation
    from docbus.settings import Settings
    from tests.support.softhsm import SoftHSM

CLOCK = SystemClock()


@pytest.fixture
def authority(exchange: Path) -> Authority:
    """Return an authority that the directory names."""
    made = found_authority(exchange / "ca", name="Authority", clock=CLOCK)

    async def name() -> None:
        async with open_registrar(exchange / "registrar", clock=CLOCK) as registrar:
            await registrar.name_authority("Authority", made.certificate.public_bytes(Encoding.DER))

    asyncio.run(name())
    return made


def go_on(exchange: Path, **more: object) -> Rotation:
    """Give the command once."""
    return rotate(exchange / HANOI, directory(exchange), CLOCK, **more)  # type: ignore[arg-type] # by name


def use(exchange: Path, certificate: x509.Certificate) -> Rotation:
    """Hand a certificate to the rotation."""
    return certify(exchange / HANOI, [certificate], directory(exchange), CLOCK)


def issued(authority: Authority, request: bytes) -> x509.Certificate:
    """Return what an authority issues for a request."""
    return x509.load_der_x509_certificate(authority.issue(request, days=30).certificate)


def files_of(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder, but for the lock."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "keys.lock"
    }


def checked(settings: Settings, found: Rotation) -> bytes:
    """Return the certificate that the registrar is asked to grant, by its digest, if the request is sound."""
    assert found.request is not None
    asked = verify_join_request(
        found.request.read_text("ascii"),
        environment=ENVIRONMENT,
        genesis=settings.exchange.genesis_bytes,
        now_ms=CLOCK.now_ms(),
    )
    return asked.certificates[0].digest


def test_the_first_run_asks_the_authority(exchange: Path, hanoi: Path) -> None:
    """A request for the new key lies there, no certificate is made, and the agency signs on; once is enough."""
    before = signer_of_settings(load_settings(hanoi)).certificate

    found = go_on(exchange, authority=True)

    settings, files = load_settings(hanoi), files_of(hanoi)
    assert settings.keys is not None
    (made,) = [path for path in (hanoi / "keys").iterdir() if path.is_dir()]
    assert {"signing.pem", "encryption.pem"} == {path.name for path in made.iterdir()}
    assert (f"file:keys/{made.name}/signing.pem", None) == (
        settings.keys.next_signing,
        settings.keys.next_certificate,
    )
    assert f"file:keys/{made.name}/encryption.pem" == settings.keys.encryption[0]
    assert ("certifying", None, None) == (found.step, found.certificate, found.request)
    assert found.certification == hanoi / f"H26-{made.name}.csr.pem"
    asked = [
        public_key_bytes(x509.load_pem_x509_csr(pem).public_key())
        for pem in (found.certification.read_bytes(), certification_request(settings))
    ]
    assert asked[0] == asked[1]
    assert before == signer_of_settings(settings).certificate
    assert () == go_on(exchange).done
    assert files == files_of(hanoi)


def test_the_whole_way(exchange: Path, hanoi: Path, authority: Authority) -> None:
    """The certificate is named, the request for the registrar proves it, and the granted key signs."""
    begun = go_on(exchange, authority=True)

    asked = certified(hanoi, begun, authority, directory(exchange))

    settings = load_settings(hanoi)
    following = next_signer_of_settings(settings)
    assert following is not None
    assert ("requested", following.certificate.hex()) == (asked.step, asked.certificate)
    assert following.certificate == checked(settings, asked)
    snapshot = publish(exchange, asked)
    assert "granted" == rotation_state(settings, snapshot, CLOCK.now_ms()).step
    assert "overlapping" == go_on(exchange).step
    assert following.certificate == signer_of_settings(load_settings(hanoi)).certificate
    assert ["H26.join"] == [path.name for path in hanoi.glob("*") if path.name.endswith((".join", ".csr.pem"))]
    assert "certifying" == go_on(exchange, again=True).step


def test_the_request_of_the_first_grant_makes_way(exchange: Path, hanoi: Path, authority: Authority) -> None:
    """Once the directory grants a certificate that was used at the beginning, only the rotation's request is there."""
    publish(exchange, certified(hanoi, go_on(exchange, authority=True), authority, directory(exchange)))
    go_on(exchange)
    granted = signer_of_settings(load_settings(hanoi)).certificate
    (hanoi / f"H26-{granted.hex()[:8]}.join").write_text("granted")

    begun = go_on(exchange, again=True)
    asked = certified(hanoi, begun, authority, directory(exchange))

    assert [asked.request] == list(hanoi.glob("H26-*.join"))


def test_back_to_a_certificate_of_its_own(exchange: Path, hanoi: Path, authority: Authority) -> None:
    """Whoever leaves the authority says so; nothing else makes a certificate where an authority had issued one."""
    publish(exchange, certified(hanoi, go_on(exchange, authority=True), authority, directory(exchange)))
    go_on(exchange)

    found = go_on(exchange, again=True, authority=False)

    assert "requested" == found.step


def test_another_certificate_for_the_same_key_takes_its_place(
    exchange: Path, hanoi: Path, authority: Authority
) -> None:
    """Until it is granted; there is one request for the registrar, and it names the newest."""
    begun = go_on(exchange, authority=True)
    first = certified(hanoi, begun, authority, None)

    second = certified(hanoi, begun, authority, directory(exchange))

    assert first.request == second.request
    assert bytes.fromhex(second.certificate or "") == checked(load_settings(hanoi), second)
    assert first.certificate != second.certificate


def test_what_is_granted_is_not_replaced(exchange: Path, hanoi: Path, authority: Authority) -> None:
    """Nor what may be granted, if the directory cannot be read."""
    begun = go_on(exchange, authority=True)
    publish(exchange, certified(hanoi, begun, authority, directory(exchange)))
    files = files_of(hanoi)

    for snapshot in (directory(exchange), None):
        with pytest.raises(ConfigurationError, match="grant the next signing key's|grants the next signing key's"):
            certified(hanoi, begun, authority, snapshot)

    assert files == files_of(hanoi)


def test_only_the_next_keys_certificate_is_taken(exchange: Path, hanoi: Path, authority: Authority) -> None:
    """One of another key, or of another agency, or that nobody has issued, changes nothing."""
    begun = go_on(exchange, authority=True)
    assert begun.certification is not None
    files = files_of(hanoi)
    key = ec.generate_private_key(ec.SECP256R1())
    own = x509.load_pem_x509_certificate((hanoi / "keys" / "certificate.pem").read_bytes())
    with pytest.raises(KeyFileError, match="does not belong to the certificate") as refused:
        use(exchange, issued(authority, make_request(key, "vn:H26")))
    assert begun.certification.name in (refused.value.hint or "")
    with pytest.raises(IdentityError, match="nobody else has issued"):
        use(exchange, own)

    assert files == files_of(hanoi)


def test_without_a_rotation_there_is_nothing_to_certify(exchange: Path, authority: Authority) -> None:
    """The command line takes the other way then; whoever calls the function is told."""
    with pytest.raises(ConfigurationError, match="no rotation is under way"):
        use(exchange, issued(authority, certification_request(load_settings(exchange / HANOI))))


@pytest.mark.parametrize("begun_with", [True, False])
def test_another_kind_of_certificate_waits_until_the_rotation_is_over(exchange: Path, *, begun_with: bool) -> None:
    """What was asked for first is not dropped silently."""
    go_on(exchange, authority=begun_with)

    with pytest.raises(ConfigurationError, match="a rotation is under way already, with a certificate"):
        go_on(exchange, authority=not begun_with)


def test_a_request_for_the_authority_that_was_lost_is_written_again(exchange: Path) -> None:
    """It is made from the key, and the state says so meanwhile."""
    begun = go_on(exchange, authority=True)
    assert begun.certification is not None
    begun.certification.unlink()

    state = rotation_state(load_settings(exchange / HANOI), directory(exchange), CLOCK.now_ms())
    again = go_on(exchange)

    assert ("begun", "certifying") == (state.step, again.step)
    assert begun.certification == again.certification
    assert (f"wrote {begun.certification.name}",) == again.done


def test_a_key_on_a_token_asks_an_authority(
    exchange: Path, hanoi: Path, authority: Authority, softhsm: SoftHSM
) -> None:
    """A next key that is named without a certificate signs its request on the token, and then under what comes."""
    softhsm.initialise("H26")
    uri = softhsm.uri("H26", pin_source=f"file:{softhsm.pin_file()}")
    found_agency(
        exchange / "new",
        code="H26",
        name="Hà Nội",
        environment=ENVIRONMENT,
        genesis="ab" * 32,
        bus=EmbeddedSettings(file=exchange / "bus.db"),
        clock=CLOCK,
        profile=Profile.RSA_PSS_SHA256,
        signing_key=uri,
        make_signing_key=True,
    )
    shutil.copy(exchange / "new" / "keys" / "encryption.pem", hanoi / "keys" / "new.pem")
    path = hanoi / "docbus.toml"
    text = path.read_text("utf-8").replace('encryption = ["', 'encryption = ["file:keys/new.pem", "')
    path.write_text(text.replace("[keys]\n", f'[keys]\nnext_signing = "{uri}"\n'), "utf-8")

    begun = go_on(exchange)
    asked = certified(hanoi, begun, authority, directory(exchange))

    assert ("certifying", hanoi / "H26-next.csr.pem") == (begun.step, begun.certification)
    settings = load_settings(hanoi)
    following = next_signer_of_settings(settings)
    assert following is not None
    assert following.certificate == checked(settings, asked)
    assert settings.keys is not None
    assert settings.keys.next_certificate is not None
    certificate = x509.load_pem_x509_certificate(settings.path(settings.keys.next_certificate).read_bytes())
    assert following.certificate == certificate.fingerprint(hashes.SHA256())
    verify_signature(Profile.RSA_PSS_SHA256, certificate.public_key(), following.sign(b"signed"), b"signed")
    publish(exchange, asked)
    assert "overlapping" == go_on(exchange).step


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_death_at_any_change_loses_and_doubles_nothing(
    exchange: Path, hanoi: Path, authority: Authority, tmp_path: Path
) -> None:
    """Whatever the process dies at, while it asks the authority or takes its certificate, the next one goes on."""
    snapshot = directory(exchange)
    number, died = 0, True
    while died:
        number += 1
        own = shutil.copytree(hanoi, tmp_path / f"begin-{number}")
        died = dies_at(number, lambda own=own: rotate(own, snapshot, CLOCK, authority=True))
        load_settings(own)
        begun = rotate(own, snapshot, CLOCK, authority=True)
        (made,) = [path for path in (own / "keys").iterdir() if path.is_dir()]
        assert ("certifying", own / f"H26-{made.name}.csr.pem") == (begun.step, begun.certification)
        assert {"signing.pem", "encryption.pem"} == {path.name for path in made.iterdir()}
        assert [] == [*own.glob("*.new"), *own.glob(".*")]
    assert number > 10

    begun = rotate(hanoi, snapshot, CLOCK, authority=True)
    assert begun.certification is not None
    certificate, number, died = issued(authority, begun.certification.read_bytes()), 0, True
    while died:
        number += 1
        own = shutil.copytree(hanoi, tmp_path / f"take-{number}")
        died = dies_at(number, lambda own=own: certify(own, [certificate], snapshot, CLOCK))
        # Whoever was told nothing gives one command or the other, and both go on.
        after = rotate(own, snapshot, CLOCK)
        found = after if after.step == "requested" else certify(own, [certificate], snapshot, CLOCK)
        assert "requested" == found.step
        assert found.request is not None
        assert (certificate.public_bytes(Encoding.DER),) == read_join_request(
            found.request.read_text("ascii")
        ).signing.certificates
        assert [] == [path.name for path in own.rglob("*") if path.name.endswith(".new")]
    assert number > 5


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_death_while_it_completes_leaves_no_request(
    exchange: Path, hanoi: Path, authority: Authority, tmp_path: Path
) -> None:
    """Whatever the process dies at once the keys are granted, the next one names the new key alone."""
    snapshot = publish(exchange, certified(hanoi, go_on(exchange, authority=True), authority, None))
    number, died = 0, True
    while died:
        number += 1
        own = shutil.copytree(hanoi, tmp_path / str(number))
        died = dies_at(number, lambda own=own: rotate(own, snapshot, CLOCK))

        assert "overlapping" == rotate(own, snapshot, CLOCK).step
        assert ["H26.join"] == [path.name for path in own.iterdir() if path.name.endswith((".join", ".csr.pem"))]

    assert number > 3
