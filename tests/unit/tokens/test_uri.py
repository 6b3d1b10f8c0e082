"""URIs of keys on tokens."""

from __future__ import annotations

from pathlib import Path

import pytest

from docbus.errors import KeyFileError
from docbus.tokens.uri import MAX_URI_CHARACTERS, TokenUri, is_token_uri, parse_token_uri

LIBRARY = "module-path=/usr/lib/token.so"
VALID = f"pkcs11:token=H26;object=docbus?{LIBRARY}"


def test_all_attributes_are_read() -> None:
    """What tools print is taken as it stands, escaped or not, bytes of an id included."""
    found = parse_token_uri(
        "pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM%20project;serial=18bb63f6;token=H%C3%A0%20N%E1%BB%99i;slot-id=7"
        ";id=%01%ffa;object=k%C3%BD;type=private?module-name=softhsm2&pin-source=file:/etc/docbus/pin"
    )

    assert found == TokenUri(
        token="Hà Nội",
        serial="18bb63f6",
        manufacturer="SoftHSM project",
        model="SoftHSM v2",
        slot_id=7,
        key_label="ký",
        key_id=b"\x01\xffa",
        module_name="softhsm2",
        pin_file=Path("/etc/docbus/pin"),
    )


@pytest.mark.parametrize("source", ["file:/etc/pin", "file:///etc/pin", "file:%2Fetc%2Fpin"])
def test_pin_file_is_named_as_files_are(source: str) -> None:
    """Both spellings of a file's URI name the same file."""
    assert Path("/etc/pin") == parse_token_uri(f"{VALID}&pin-source={source}").pin_file


@pytest.mark.parametrize("where", ["{valid}&pin-value={pin}", "pkcs11:pin-value={pin};token=a;object=b?" + LIBRARY])
def test_a_pin_in_the_uri_is_refused_and_not_repeated(where: str) -> None:
    """A configuration that has a PIN is not used, and the error does not show it."""
    with pytest.raises(KeyFileError, match="a PIN never stands in a configuration") as refused:
        parse_token_uri(where.format(valid=VALID, pin="1357"))

    assert "1357" not in f"{refused.value.text} {refused.value.hint} {refused.value.__cause__}"
    assert "pin-source" in (refused.value.hint or "")


@pytest.mark.parametrize(
    ("uri", "text"),
    [
        ("file:/etc/key.pem", "does not begin with pkcs11:"),
        (f"pkcs11:object=docbus?{LIBRARY}", "no token: token, serial or slot-id"),
        (f"pkcs11:token=H26?{LIBRARY}", "no key: object or id"),
        ("pkcs11:token=H26;object=docbus", "no library: module-path or module-name"),
        (f"pkcs11:token=H26;token=H26;object=docbus?{LIBRARY}", "token twice"),
        (f"{VALID}&{LIBRARY}", "module-path twice"),
        (f"pkcs11:token=H26;object=docbus;colour=red?{LIBRARY}", "attribute colour"),
        (f"{VALID}&pin=1357", "attribute pin,"),
        (f"{VALID}&1357", "attribute that is none"),
        (f"pkcs11:token=;object=docbus?{LIBRARY}", "no value for token"),
        (f"pkcs11:token=%4;object=docbus?{LIBRARY}", "no value for token"),
        (f"pkcs11:token=%ff;object=docbus?{LIBRARY}", "value for token that is not text"),
        (f"pkcs11:token=a%00;object=docbus?{LIBRARY}", "value for token that is not text"),
        (f"pkcs11:slot-id=-1;object=docbus?{LIBRARY}", "slot-id that is not a number"),
        (f"pkcs11:slot-id={'9' * 21};object=docbus?{LIBRARY}", "slot-id that is not a number"),
        (f"pkcs11:token=H26;object=docbus;type=cert?{LIBRARY}", "another type than private"),
        ("pkcs11:token=H26;object=docbus?module-path=token.so", "module-path that is not absolute"),
        (f"{VALID}&pin-source=file:pin", "pin-source that is not absolute"),
        (f"{VALID}&pin-source=%7Ccat%20pin", "pin-source that is not file:"),
    ],
)
def test_anything_else_is_refused_by_name(uri: str, text: str) -> None:
    """The error names the attribute that is wrong or missing, and no value of it."""
    with pytest.raises(KeyFileError, match=text) as refused:
        parse_token_uri(uri)

    assert "1357" not in refused.value.text
    assert refused.value.hint


def test_length_is_bounded() -> None:
    """A URI may have so many characters and no more."""
    longest = f"pkcs11:token=H26;object={'a' * (MAX_URI_CHARACTERS - len(VALID) + len('docbus'))}?{LIBRARY}"
    parse_token_uri(longest)

    with pytest.raises(KeyFileError, match="at most 2,048"):
        parse_token_uri(longest + "a")


@pytest.mark.parametrize(("uri", "token"), [(VALID, True), ("PKCS11:token=a", True), ("file:pkcs11:", False)])
def test_scheme_decides(uri: str, token: bool) -> None:
    """Only the scheme tells a token from a file, in any case of letters."""
    assert token is is_token_uri(uri)
