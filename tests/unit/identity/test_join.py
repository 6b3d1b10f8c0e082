"""Join requests: what is granted, and what is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from docbus.errors import AgencyCodeError, DocbusError, IdentityError, MalformedError
from docbus.identity import armour
from docbus.identity.encryption import MLKEM_BYTES
from docbus.identity.join import (
    MAX_REQUEST_CHARACTERS,
    CheckedJoinRequest,
    fingerprint_of,
    read_join_request,
    verify_join_request,
)
from docbus.wire.avro import load_schema
from docbus.wire.pae import JOIN_TYPE, pae
from docbus.wire.profiles import Profile
from tests.support.directory import ENVIRONMENT, NOW_MS, Keys, make_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

GENESIS = b"g" * 32
REQUEST, SIGNATURE = "DOCBUS JOIN REQUEST", "DOCBUS JOIN REQUEST SIGNATURE"


@pytest.fixture(scope="module")
def keys() -> Keys:
    """Return an agency's keys."""
    return make_keys("vn:H37.02.02")


def _verify(text: str, *, now_ms: int = NOW_MS) -> CheckedJoinRequest:
    return verify_join_request(text, environment=ENVIRONMENT, genesis=GENESIS, now_ms=now_ms)


def _changed(keys: Keys, changed: Mapping[str, object], signed_by: Keys | None = None) -> str:
    """Return the request with fields changed, and signed again."""
    encoded = armour.unwrap(REQUEST, keys.join_request(GENESIS))
    values = load_schema("join-request").decode(encoded) | changed
    again = load_schema("join-request").encode(values)
    signature = (signed_by or keys).signer.sign(pae(JOIN_TYPE, again))
    return armour.wrap(REQUEST, again) + armour.wrap(SIGNATURE, signature)


@pytest.mark.parametrize("profile", [Profile.ES256, Profile.RSA_PSS_SHA256, Profile.ED25519])
def test_request_verifies(profile: int) -> None:
    """What an agency made can be granted, under each profile of one key."""
    keys = make_keys("vn:H37.02.02", profile)
    text = keys.join_request(GENESIS, name="Sở Khoa học và Công nghệ", aliases=("vn2016:000.02.02.H37",))

    checked = _verify(text)

    assert "vn:H37.02.02" == checked.request.agency
    assert "Sở Khoa học và Công nghệ" == checked.request.name
    assert ("vn2016:000.02.02.H37",) == checked.request.aliases
    assert keys.signing == checked.request.signing
    assert keys.encryption == checked.request.encryption
    assert [keys.signer.certificate] == [one.digest for one in checked.certificates]
    assert () == checked.warnings
    assert read_join_request(text) == checked.request


def test_fingerprint_is_the_same_on_both_sides(keys: Keys) -> None:
    """Agency and registrar can read each other the same 32 digits, and another request has others."""
    text = keys.join_request(GENESIS)

    assert fingerprint_of(text) == _verify(text).fingerprint
    assert [4] * 8 == [len(group) for group in fingerprint_of(text).split(" ")]
    assert fingerprint_of(text) != fingerprint_of(keys.join_request(GENESIS, name="Other"))


def test_private_keys_stay_at_home(keys: Keys) -> None:
    """Nothing in the file is secret."""
    text = keys.join_request(GENESIS)
    content = armour.unwrap(REQUEST, text) + armour.unwrap(SIGNATURE, text)
    scalar = keys.private_key.private_numbers().private_value.to_bytes(32, "big")  # type: ignore[union-attr] # an EC key

    assert scalar not in content
    assert keys.encryption_key.mlkem.private_bytes_raw() not in content
    assert keys.encryption_key.x25519.private_bytes_raw() not in content


def test_unusual_code_is_pointed_out() -> None:
    """A legacy code is granted, with a warning to the registrar."""
    keys = make_keys("vnlegacy:28.22.H17")

    assert 1 == len(_verify(keys.join_request(GENESIS)).warnings)


def test_mail_around_the_request_does_no_harm(keys: Keys) -> None:
    """A request copied out of an e-mail, with its line ends, still verifies."""
    text = f"Kính gửi,\n\n{keys.join_request(GENESIS)}\n-- \nVăn thư\n".replace("\n", "\r\n")

    assert "vn:H37.02.02" == _verify(text).request.agency


@pytest.mark.parametrize(
    ("changed", "error", "reason"),
    [
        ({"environment": "prod"}, IdentityError, "is for the environment 'prod'"),
        ({"genesis": b"o" * 32}, IdentityError, "is for the environment 'test' with genesis 6f6f6f"),
        ({"agency": "vn:H37.02"}, IdentityError, "subject alternative name is not just urn:docbus:agency:vn:H37.02"),
        ({"agency": "H37.02.02"}, AgencyCodeError, "has no scheme in front"),
        ({"agency": "vn:H37.02\u200b.02"}, AgencyCodeError, "U+200B"),
        ({"aliases": ["000.02.02.H37"]}, AgencyCodeError, "has no scheme in front"),
        ({"name": ""}, IdentityError, "the agency's name is empty"),
        ({"name": "A\u202eB"}, IdentityError, "U+202E"),
        ({"version": 2}, MalformedError, "of version 2"),
        ({"encryption": {"suite": 2, "public_key": bytes(1216)}}, IdentityError, "encryption suite 2"),
        ({"encryption": {"suite": 1, "public_key": bytes(1215)}}, IdentityError, "an encryption key of 1215 bytes"),
        (
            {"encryption": {"suite": 1, "public_key": b"\xff" * MLKEM_BYTES + b"\x09" + bytes(31)}},
            IdentityError,
            "ML-KEM-768 part is not one",
        ),
    ],
)
def test_one_changed_field_is_refused(
    keys: Keys, changed: dict[str, object], error: type[DocbusError], reason: str
) -> None:
    """A request that differs by one field, well signed, is refused by what is wrong with it."""
    with pytest.raises(error) as caught:
        _verify(_changed(keys, changed))

    assert reason in caught.value.text


@pytest.mark.parametrize(
    ("profile", "count"),
    [(2, 1), (3, 1), (1, 0), (1, 2), (0, 1)],
)
def test_other_profile_or_number_of_certificates_is_refused(keys: Keys, profile: int, count: int) -> None:
    """The profile is the key's, and has as many certificates as it says."""
    signing = {"profile": profile, "certificates": [keys.certificate] * count}

    with pytest.raises(IdentityError, match="profile"):
        _verify(_changed(keys, {"signing": signing}))


def test_request_signed_by_another_key_is_refused(keys: Keys) -> None:
    """Who does not have the key cannot ask for it: possession is proved."""
    with pytest.raises(IdentityError, match="is not signed by the key it asks for"):
        _verify(_changed(keys, {}, signed_by=make_keys("vn:H37.02.02")))


def test_another_agencys_certificate_cannot_be_asked_for(keys: Keys) -> None:
    """Somebody else's public certificate in a request is refused, as its key did not sign."""
    other = make_keys("vn:H26")
    stolen = {"agency": "vn:H26", "signing": {"profile": 1, "certificates": [other.certificate]}}

    with pytest.raises(IdentityError, match="is not signed by the key it asks for"):
        _verify(_changed(keys, stolen))


def test_changed_request_is_refused(keys: Keys) -> None:
    """One changed letter of the name, and the signature no longer fits."""
    text = keys.join_request(GENESIS, name="Agency A")
    encoded = armour.unwrap(REQUEST, text)
    forged = text.replace(armour.wrap(REQUEST, encoded), armour.wrap(REQUEST, encoded.replace(b"cy A", b"cy B")))

    with pytest.raises(IdentityError, match="is not signed by the key it asks for"):
        _verify(forged)


@pytest.mark.parametrize("days", [-1, 731])
def test_certificate_out_of_its_time_is_refused(keys: Keys, days: int) -> None:
    """A certificate is granted only within its own validity."""
    with pytest.raises(IdentityError, match="not valid now"):
        _verify(keys.join_request(GENESIS), now_ms=NOW_MS + days * 86_400_000)


@pytest.mark.parametrize("content", ["", "PDF", "-----BEGIN DOCBUS JOIN REQUEST-----\n", "\x00" * 100])
def test_other_file_is_refused(content: str) -> None:
    """A file that is no join request is called that."""
    with pytest.raises(MalformedError):
        _verify(content)
    with pytest.raises(MalformedError):
        fingerprint_of(content)


def test_request_without_signature_is_refused(keys: Keys) -> None:
    """A request whose second block was left behind is not complete."""
    text = keys.join_request(GENESIS)

    with pytest.raises(MalformedError, match="SIGNATURE"):
        _verify(text[: text.index("-----BEGIN DOCBUS JOIN REQUEST SIGNATURE")])


def test_two_requests_in_one_file_are_refused(keys: Keys) -> None:
    """Which of two requests is meant is not guessed."""
    with pytest.raises(MalformedError, match="expected 1"):
        _verify(keys.join_request(GENESIS) * 2)


def test_trailing_bytes_are_refused(keys: Keys) -> None:
    """Bytes behind the request are not ignored, even when signed."""
    encoded = armour.unwrap(REQUEST, keys.join_request(GENESIS)) + b"\x00"
    signature = keys.signer.sign(pae(JOIN_TYPE, encoded))

    with pytest.raises(MalformedError):
        _verify(armour.wrap(REQUEST, encoded) + armour.wrap(SIGNATURE, signature))


def test_endless_file_is_refused(keys: Keys) -> None:
    """Size is looked at before anything else."""
    with pytest.raises(MalformedError, match="characters"):
        _verify(keys.join_request(GENESIS) + " " * MAX_REQUEST_CHARACTERS)


def test_armour_is_base64_in_lines(keys: Keys) -> None:
    """The file is plain ASCII in lines of at most 64, as in PEM."""
    text = keys.join_request(GENESIS)

    assert text.isascii()
    assert 64 == max(len(line) for line in text.splitlines() if not line.startswith("-----"))


@pytest.mark.parametrize("content", ["AAA", "A=AA", "===="])
def test_armour_that_is_not_base64_is_refused(content: str) -> None:
    """Broken base64 is named."""
    with pytest.raises(MalformedError, match="base64"):
        armour.unwrap("X", f"-----BEGIN X-----\n{content}\n-----END X-----\n")
