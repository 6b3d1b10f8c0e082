"""The trust bundle: a whole directory log in one JSON file, for verifying without a broker.

``{"format": "docbus-trust-1", "environment": …, "genesis": hex, "entries": [record values in base64]}``. It proves
itself by the pinned genesis hash; what else the file says is compared with the log and not believed.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any

from docbus.errors import DirectoryError, MalformedError
from docbus.identity.replay import DirectoryReplay

if TYPE_CHECKING:
    from collections.abc import Iterable

    from docbus.identity.snapshot import TrustSnapshot

FORMAT = "docbus-trust-1"
MAX_BUNDLE_BYTES = 1024 * 1024 * 1024
"""Bytes of a bundle; the national directory of 123,265 agencies makes about 400 MB."""


def dump_bundle(snapshot: TrustSnapshot, records: Iterable[bytes]) -> bytes:
    """Return the bundle of a directory.

    Args:
        snapshot: Made from these records.
        records: The record values of the directory, from the genesis on.
    """
    content = {
        "format": FORMAT,
        "environment": snapshot.environment,
        "genesis": snapshot.genesis.hex(),
        "entries": [base64.b64encode(value).decode() for value in records],
    }
    return json.dumps(content, ensure_ascii=False, indent=1).encode() + b"\n"


def load_bundle(content: bytes, genesis: bytes | None) -> TrustSnapshot:
    """Return the trust snapshot at the end of a bundle.

    Args:
        content: The file.
        genesis: The pinned hash of the genesis entry; None takes the file's word for it, and then whoever made the
            file decides whom to trust.

    Raises:
        MalformedError: Not a trust bundle.
        DirectoryError: An entry breaks a rule, or the genesis is not the pinned one.
    """
    return replay_bundle(content, genesis).snapshot()


def replay_bundle(content: bytes, genesis: bytes | None) -> DirectoryReplay:
    """Return the replay behind :func:`load_bundle`, for snapshots at past positions too.

    Raises:
        MalformedError: Not a trust bundle.
        DirectoryError: An entry breaks a rule, or the genesis is not the pinned one.
    """
    found = _parse(content)
    try:
        claimed = bytes.fromhex(found["genesis"])
        values = [base64.b64decode(value, validate=True) for value in found["entries"]]
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise MalformedError("the trust bundle has no genesis in hex and entries in base64") from error
    if genesis is not None and claimed != genesis:
        raise DirectoryError(
            f"the trust bundle is of a directory with genesis {claimed.hex()}, pinned is {genesis.hex()}",
            hint="Get the bundle of your own environment, or check the genesis in the settings.",
        )
    if not values:
        raise DirectoryError(
            "the trust bundle has no entries", hint="`docbus export trust` writes all of the directory; get it again."
        )
    replay = DirectoryReplay(claimed)
    for value in values:
        replay.apply(value)
    if replay.snapshot().environment != found.get("environment"):
        raise DirectoryError(f"the trust bundle says environment {found.get('environment')!r}, its log says another")
    return replay


def _parse(content: bytes) -> dict[str, Any]:
    if len(content) > MAX_BUNDLE_BYTES:
        raise MalformedError(f"a trust bundle of {len(content)} bytes; {MAX_BUNDLE_BYTES} are allowed")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise MalformedError("the trust bundle is not JSON") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise MalformedError(
            f"the file is not a trust bundle of the format {FORMAT}", hint="`docbus export trust` makes one."
        )
    return found
