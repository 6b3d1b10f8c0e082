"""URIs of keys on tokens (RFC 7512): which token, which key, through which library, and where the PIN is.

Only what is understood is taken, because an attribute that is passed over could have told two keys apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, unquote_to_bytes

from docbus.errors import KeyFileError
from docbus.identity.keyfile import path_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_SCHEME = "pkcs11:"
MAX_URI_CHARACTERS = 2048
"""Characters of a URI; tools print about 200."""
_PAGE = "See docs/how-to/keep-the-signing-key-on-a-token.md for how a key on a token is named."
_PATH = ("token", "serial", "manufacturer", "model", "slot-id", "object", "id", "type")
_QUERY = ("module-path", "module-name", "pin-source")
_ESCAPED = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUri:
    """A key on a token; what is None may be anything.

    Attributes:
        token: The token's label.
        serial: Its serial number.
        manufacturer: Who made it.
        model: Of what kind it is.
        slot_id: In which slot it is, by the library's number.
        key_label: The key's label, ``object`` in the URI.
        key_id: The key's id.
        module_path: File of the library, absolute.
        module_name: Name of the library, without ``lib`` and ``.so``, if there is no path.
        pin_file: File with the PIN, absolute.
    """

    token: str | None = None
    serial: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    slot_id: int | None = None
    key_label: str | None = None
    key_id: bytes | None = None
    module_path: Path | None = None
    module_name: str | None = None
    pin_file: Path | None = None

    @property
    def token_text(self) -> str:
        """The token, for people."""
        parts = {"token": self.token, "serial": self.serial, "slot-id": self.slot_id}
        return "the token " + " ".join(f"{name}={value}" for name, value in parts.items() if value is not None)

    @property
    def key_text(self) -> str:
        """The key, for people."""
        parts = {"object": self.key_label, "id": None if self.key_id is None else self.key_id.hex()}
        return "the key " + " ".join(f"{name}={value}" for name, value in parts.items() if value is not None)


def is_token_uri(uri: str) -> bool:
    """Tell whether a key's URI names a token; schemes are compared without regard to case (RFC 3986 section 3.1)."""
    return uri[: len(_SCHEME)].lower() == _SCHEME


def parse_token_uri(uri: str) -> TokenUri:
    """Return what a ``pkcs11:`` URI says.

    Raises:
        KeyFileError: It is none, is too long, has a PIN in it, has an attribute that is unknown or there twice, or
            names no token, no key or no library. The text never repeats a value: it might be a PIN.
    """
    if not is_token_uri(uri):
        raise KeyFileError("the key's URI does not begin with pkcs11:", hint=_PAGE)
    if len(uri) > MAX_URI_CHARACTERS:
        raise KeyFileError(
            f"the pkcs11: URI has {len(uri):,} characters, at most {MAX_URI_CHARACTERS:,}", hint="Leave attributes out."
        )
    path, _, query = uri[len(_SCHEME) :].partition("?")
    if "pin-value" in {name for name, _ in _attributes(query, "&")} | {name for name, _ in _attributes(path, ";")}:
        raise KeyFileError(
            "the pkcs11: URI has pin-value: a PIN never stands in a configuration",
            hint="Take pin-value out, change the PIN, and name a file with pin-source=file:/path, set DOCBUS_PIN, or"
            " type it at the terminal.",
        )
    named = _known(path, ";", _PATH) | _known(query, "&", _QUERY)
    if named.get("type", "private") != "private":
        raise KeyFileError("the pkcs11: URI names an object of another type than private", hint=_PAGE)
    found = TokenUri(
        token=_text(named, "token"),
        serial=_text(named, "serial"),
        manufacturer=_text(named, "manufacturer"),
        model=_text(named, "model"),
        slot_id=_slot(named),
        key_label=_text(named, "object"),
        key_id=unquote_to_bytes(named["id"]) if "id" in named else None,
        module_path=_absolute(_text(named, "module-path"), "module-path"),
        module_name=_text(named, "module-name"),
        pin_file=_pin_file(_text(named, "pin-source")),
    )
    for given, what in (
        ((found.token, found.serial, found.slot_id), "no token: token, serial or slot-id"),
        ((found.key_label, found.key_id), "no key: object or id"),
        ((found.module_path, found.module_name), "no library: module-path or module-name"),
    ):
        if all(one is None for one in given):
            raise KeyFileError(f"the pkcs11: URI names {what} is needed", hint=_PAGE)
    return found


def _attributes(text: str, separator: str) -> Iterator[tuple[str, str]]:
    for part in text.split(separator):
        name, _, value = part.partition("=")
        yield name, value


def _known(text: str, separator: str, names: tuple[str, ...]) -> dict[str, str]:
    """Return attributes by name, their values still escaped."""
    found: dict[str, str] = {}
    for name, value in _attributes(text, separator) if text else ():
        if name not in names:
            shown = name if re.fullmatch(r"[a-z-]{1,40}", name) else "that is none"
            raise KeyFileError(f"the pkcs11: URI has an attribute {shown}, which is not understood here", hint=_PAGE)
        if name in found:
            raise KeyFileError(f"the pkcs11: URI has {name} twice", hint=_PAGE)
        if not value or not _ESCAPED.fullmatch(value):
            raise KeyFileError(f"the pkcs11: URI has no value for {name} that can be read", hint=_PAGE)
        found[name] = value
    return found


def _text(named: dict[str, str], name: str) -> str | None:
    if name not in named:
        return None
    try:
        value = unquote(named[name], errors="strict")
    except UnicodeDecodeError:
        value = "\0"
    if "\0" in value:
        raise KeyFileError(f"the pkcs11: URI has a value for {name} that is not text", hint=_PAGE)
    return value


def _slot(named: dict[str, str]) -> int | None:
    value = named.get("slot-id")
    if value is None:
        return None
    if not re.fullmatch(r"[0-9]{1,20}", value):
        raise KeyFileError("the pkcs11: URI has a slot-id that is not a number", hint=_PAGE)
    return int(value)


def _absolute(value: str | None, name: str) -> Path | None:
    if value is None:
        return None
    if not value.startswith("/"):
        raise KeyFileError(f"the pkcs11: URI has a {name} that is not absolute", hint="Begin it with a slash.")
    return Path(value)


def _pin_file(value: str | None) -> Path | None:
    if value is None:
        return None
    if not value.startswith("file:"):
        raise KeyFileError("the pkcs11: URI has a pin-source that is not file:", hint="Write pin-source=file:/path.")
    return _absolute(str(path_of(value)), "pin-source")
