"""Vectors whose statement is genuine, and what is around it is not: C1.14 to C1.19."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from docbus.verification import checks
from tests.vectors.building.failing import flip
from tests.vectors.building.letters import wrap_batch_key
from tests.vectors.building.vector import AUDITOR_MODE
from tests.vectors.building.world import (
    ALL_OPEN,
    HANOI,
    HANOI_ROTATED,
    LANG_SON,
    LANG_SON_REVOKED,
    NOW,
    TAY_NINH,
    TAY_NINH_CLOSED,
)

if TYPE_CHECKING:
    from tests.vectors.building.failing import Failing

YEAR_MS = 365 * 24 * 60 * 60 * 1000


def beside_the_statement(make: Failing) -> None:
    """C1.14, C1.15, C1.17 and C1.18: what travels with a genuine statement is not what it names."""
    valid, world = make.valid, make.world
    told = valid.circumstances["v1-document"]
    make.unchanged(
        "re-addressed",
        checks.RECIPIENT,
        "The bytes of v1-document, found in the inbox of another agency.",
        "The statement names its recipient.",
        circumstances=replace(told, recipient=LANG_SON),
    )
    make.unchanged(
        "record-key-of-another-agency",
        checks.RECORD_KEY,
        "The bytes of v1-document, under the record key of another agency.",
        "The key decides the partition and must be the sender.",
        circumstances=replace(told, record_key=LANG_SON),
    )
    make.unchanged(
        "record-key-in-look-alike-letters",
        checks.RECORD_KEY,
        "The bytes of v1-document, under the sender's id with a Cyrillic letter in place of H.",
        "Ids are compared byte by byte.",
        circumstances=replace(told, record_key=HANOI.replace("H", "\N{CYRILLIC CAPITAL LETTER EN}")),
    )
    make.unchanged(
        "record-key-empty",
        checks.RECORD_KEY,
        "The bytes of v1-document, under an empty record key.",
        "An empty key is a key that differs from the sender.",
        circumstances=replace(told, record_key=""),
    )
    envelope, other = valid.envelopes["v1-document"], valid.envelopes["v1-document-other"]
    keys, package = envelope.keys, envelope.package
    if keys is None or package is None or other.keys is None or other.package is None:
        raise TypeError("the documents have packages")
    fail = checks.KEYS
    swapped = wrap_batch_key(world, bytes(32), sender=HANOI, recipient=TAY_NINH)
    for name, changed, made, why in (
        ("keys-missing", None, "The wrapped keys taken away.", "The statement names them."),
        (
            "batch-key-swapped",
            keys._replace(batch_key=swapped),
            "A batch key of zeros, wrapped to the recipient by somebody on the way.",
            "The statement holds the digest of the wrap.",
        ),
        (
            "wraps-of-another-document",
            other.keys,
            "The wrapped keys of another document of the same sender and recipient.",
            "The statement holds the digests of its own.",
        ),
        (
            "content-key-bit-flipped",
            keys._replace(content_key=flip(keys.content_key, 7)),
            "One bit of the wrapped content key flipped.",
            "The statement holds its digest.",
        ),
    ):
        make.envelope(name, {"keys": changed}, fail, made, why)
    fail = checks.PACKAGE
    for name, changed_package, made, why in (
        ("package-missing", None, "The package taken away.", "The statement binds one."),
        ("package-empty", b"", "The package has no bytes.", "The statement binds its size."),
        ("package-truncated", package[:-1], "The package's last byte taken away.", "The statement binds its size."),
        ("package-extended", package + b"\0", "A zero byte added to the package.", "The statement binds its size."),
        (
            "package-bit-flipped",
            flip(package, len(package) // 2),
            "One bit of the package flipped.",
            "The statement binds its digest.",
        ),
        (
            "package-of-another-document",
            other.package,
            "The package of another document of the same sender.",
            "The statement binds size and digest of its own.",
        ),
    ):
        make.envelope(name, {"package": changed_package}, fail, made, why)
    make.envelope(
        "package-beside-a-receipt",
        {"package": package},
        fail,
        "A package added to a receipt.",
        "A receipt names no package.",
        base="v1-receipt",
    )
    make.envelope(
        "keys-beside-a-receipt",
        {"keys": keys},
        checks.KEYS,
        "Wrapped keys added to a receipt.",
        "A receipt names no keys.",
        base="v1-receipt",
    )


def authority(make: Failing) -> None:
    """C1.19: a genuine statement by a key that may not sign."""
    valid = make.valid
    fail = checks.AUTHORITY
    told = valid.circumstances["v1-document"]
    rsa, receipt = valid.circumstances["v1-rsa-pss"], valid.circumstances["v1-receipt"]
    make.unchanged(
        "key-retired",
        fail,
        "The bytes of v1-document, with the directory read up to a rotation that retires the sender's key.",
        "A retired key cannot sign now.",
        code=checks.RETIRED,
        circumstances=replace(told, directory_position=HANOI_ROTATED),
    )
    make.unchanged(
        "key-revoked",
        fail,
        "The bytes of v1-rsa-pss, with the directory read up to the revocation of the sender's key.",
        "A revoked key cannot sign now.",
        base="v1-rsa-pss",
        code=checks.REVOKED,
        circumstances=replace(rsa, directory_position=LANG_SON_REVOKED),
    )
    make.unchanged(
        "agency-closed",
        fail,
        "The bytes of v1-receipt, with the directory read up to the closure of the sender.",
        "A closed agency cannot sign now.",
        base="v1-receipt",
        code=checks.CLOSED,
        circumstances=replace(receipt, directory_position=TAY_NINH_CLOSED),
    )
    make.unchanged(
        "certificate-expired",
        fail,
        "The bytes of v1-document, verified three years later.",
        "The certificate was valid for two.",
        code=checks.EXPIRED,
        circumstances=replace(told, now_ms=NOW + 3 * YEAR_MS),
    )
    make.unchanged(
        "certificate-not-yet-valid",
        fail,
        "The bytes of v1-document, verified a year earlier.",
        "The certificate was not valid yet; that comes before the time of making.",
        code=checks.EXPIRED,
        circumstances=replace(told, now_ms=NOW - YEAR_MS),
    )
    make.unchanged(
        "revoked-later",
        replace(fail, outcome="indeterminate"),
        "The bytes of v1-rsa-pss, read as an auditor who knows of a later revocation.",
        "Nothing in the directory anchors the statement before the revocation.",
        base="v1-rsa-pss",
        code=checks.REVOKED_LATER,
        circumstances=replace(rsa, mode=AUDITOR_MODE, directory_position=LANG_SON_REVOKED),
    )
    for name, base, position, code, what in (
        ("recorded-after-retirement", "v1-document", HANOI_ROTATED, checks.RETIRED, "rotation that retired its key"),
        ("recorded-after-revocation", "v1-rsa-pss", LANG_SON_REVOKED, checks.REVOKED, "revocation of its key"),
        ("recorded-after-closure", "v1-receipt", TAY_NINH_CLOSED, checks.CLOSED, "closure of its sender"),
        ("recorded-before-the-grant", "v1-document", 0, None, "genesis, before the grant of its key"),
    ):
        letter = valid.letters[base]
        head = letter.head._replace(directory_position=position, directory_hash=make.world.hashes[position])
        end = max(position, ALL_OPEN)
        make.signed(
            name,
            replace(letter, head=head),
            fail,
            f"The statement says it was made under entry {position}, the {what}; read as an auditor.",
            "By the order of the directory the key could not sign there.",
            base=base,
            code=code,
            circumstances=replace(valid.circumstances[base], mode=AUDITOR_MODE, directory_position=end),
        )
    letter = valid.letters["v1-document"]
    make.signed(
        "recorded-outside-validity",
        replace(letter, head=letter.head._replace(made_at=NOW - YEAR_MS)),
        fail,
        "The statement says it was made a year before the certificate begins; read as an auditor.",
        "The certificate was not valid then.",
        code=checks.EXPIRED,
        circumstances=replace(told, mode=AUDITOR_MODE),
    )


ALL = (beside_the_statement, authority)
