"""Vectors that are honestly signed, and whose statement is malformed, misplaced or early: C1.09, C1.12 to C1.22."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from docbus.envelope.statement import Reference, Refusal
from docbus.limits import MAX_CLOCK_SKEW_MS
from docbus.verification import checks
from tests.vectors.building.letters import (
    write_receipt,
)
from tests.vectors.building.world import ALL_OPEN, HANOI, LANG_SON, NOW, TAY_NINH

if TYPE_CHECKING:
    from docbus.verification.checks import Check
    from tests.vectors.building.failing import Failing

MAX_ID_BYTES = 200


def malformed(make: Failing) -> None:
    """C1.09: signed bytes that are not the one encoding of a statement within its limits."""
    letter = make.valid.letters["v1-document"]
    statement = letter.statement
    fail = checks.STATEMENT
    make.signed(
        "signed-trailing-byte",
        replace(letter, raw=statement + b"\0"),
        fail,
        "A zero byte added to the statement.",
        "All bytes of a statement must be consumed.",
    )
    make.signed(
        "signed-overlong-varint",
        replace(letter, raw=b"\x82\x00" + statement[1:]),
        fail,
        "The version, 1, written in two bytes.",
        "A signed number has one encoding, too.",
    )
    lane = statement.index(letter.head.epoch) - 1
    make.signed(
        "signed-lane-unknown",
        replace(letter, raw=statement[:lane] + b"\x06" + statement[lane + 1 :]),
        fail,
        "The lane is symbol 3 of three.",
        "There is no such lane.",
    )
    at = statement.index(letter.head.sender.encode())
    make.signed(
        "signed-text-not-utf8",
        replace(letter, raw=statement[:at] + b"\xff" + statement[at + 1 :]),
        fail,
        "The first byte of the sender is FF.",
        "A text is UTF-8.",
    )
    make.signed(
        "signed-version-2",
        replace(letter, head=letter.head._replace(version=2)),
        fail,
        "The statement's version is 2.",
        "This version does not read it, and guesses nothing.",
    )
    make.signed(
        "signed-sequence-0",
        replace(letter, position=letter.position._replace(sequence=0)),
        fail,
        "The sequence is 0.",
        "Sequences begin at 1.",
    )
    body = letter.body
    documents: tuple[tuple[str, dict[str, Any], str, str], ...] = (
        ("signed-document-id-empty", {"document_id": ""}, "The document id is empty.", "A document has an id."),
        (
            "signed-document-that-concerns",
            {"concerns": (Reference(HANOI, "vector-document-other", 1),)},
            "A plain document names another one that it concerns.",
            "Only a recall, an update or a replacement concerns others.",
        ),
        (
            "signed-recall-of-nothing",
            {"kind": "recall"},
            "A recall names nothing that it concerns.",
            "A recall is about something.",
        ),
        (
            "signed-document-id-too-long",
            {"document_id": "x" * (MAX_ID_BYTES + 1)},
            "The document id has 201 bytes.",
            "A document id has at most 200 bytes.",
        ),
        ("signed-revision-0", {"revision": 0}, "The revision is 0.", "Revisions begin at 1."),
        ("signed-urgency-5", {"urgency": 5}, "The urgency is 5.", "There are urgencies 0 to 4."),
    )
    for name, changed, made, why in documents:
        make.signed(name, replace(letter, body=body._replace(**changed)), fail, made, why)
    receipts: tuple[tuple[str, dict[str, Any], str, str], ...] = (
        ("signed-receipt-backwards", {"first": 6}, "The range is 6 to 5.", "A range has at least one statement."),
        (
            "signed-receipt-too-wide",
            {"last": 4097},
            "The range covers 4,097 statements.",
            "A range covers at most 4,096, because its reader builds the tree.",
        ),
        (
            "signed-refusal-outside",
            {"refused": (Refusal(6, "expired"),)},
            "Statement 6 is refused in a range of 1 to 5.",
            "Refusals lie within the range.",
        ),
        (
            "signed-refusal-twice",
            {"refused": (Refusal(2, "expired"), Refusal(2, "expired"))},
            "Statement 2 is refused twice.",
            "Refusals are in order, each once.",
        ),
    )
    for name, changed, made, why in receipts:
        make.signed(name, write_receipt(make.world, "receipt", **changed), fail, made, why, base="v1-receipt")


def misplaced(make: Failing) -> None:
    """C1.12 to C1.18: a well-formed statement that does not belong where it is."""
    world = make.world
    letter, receipt = make.valid.letters["v1-document"], make.valid.letters["v1-receipt"]
    rows: tuple[tuple[str, dict[str, Any], Check, str, str], ...] = (
        (
            "on-behalf-of",
            {"on_behalf_of": LANG_SON},
            checks.DELEGATION,
            "The statement is made on behalf of another agency.",
            "The directory has no delegation.",
        ),
        (
            "another-environment",
            {"environment": "production"},
            checks.ENVIRONMENT,
            "The statement is made for the environment production.",
            "A test exchange's statement is none in production, and the other way round.",
        ),
        (
            "another-recipient",
            {"recipient": LANG_SON},
            checks.RECIPIENT,
            "The statement is addressed to another agency.",
            "It was found in an inbox that is not its recipient's.",
        ),
        (
            "recipient-in-look-alike-letters",
            {"recipient": TAY_NINH.replace("H", "\N{CYRILLIC CAPITAL LETTER EN}")},
            checks.RECIPIENT,
            "The statement is addressed to vn:H53, with a Cyrillic letter in place of H.",
            "Ids are compared byte by byte.",
        ),
        (
            "document-in-the-receipts-lane",
            {"lane": "receipts"},
            checks.LANE,
            "A document in the receipts lane.",
            "That lane is never receipted, so nothing else may travel in it.",
        ),
        (
            "suite-unknown",
            {"suite": 2},
            checks.KEYS,
            "The encryption suite is 2.",
            "This version knows suite 1.",
        ),
        (
            "suite-none-with-keys",
            {"suite": 0},
            checks.KEYS,
            "The encryption suite is 0, and there are keys.",
            "Suite 0 says that nothing is encrypted.",
        ),
        (
            "batch-key-not-named",
            {"batch_key_digest": None},
            checks.KEYS,
            "The statement names no batch key, and there is one.",
            "Wrapped keys count only if the statement names them.",
        ),
    )
    for name, changed, check, made, why in rows:
        make.signed(name, replace(letter, head=letter.head._replace(**changed)), check, made, why)
    make.signed(
        "receipt-in-the-documents-lane",
        write_receipt(world, "receipt", lane="documents"),
        checks.LANE,
        "A receipt in the documents lane.",
        "Receipts travel in their own lane, which is never receipted.",
        base="v1-receipt",
    )
    make.signed(
        "receipt-with-a-suite",
        replace(receipt, head=receipt.head._replace(suite=1)),
        checks.KEYS,
        "A receipt that names an encryption suite.",
        "Where nothing is encrypted the suite is 0.",
        base="v1-receipt",
    )
    status = make.valid.letters["v1-status-with-note"]
    make.signed(
        "keys-without-a-package",
        replace(status, body=status.body._replace(package=None), sealed=None),
        checks.PACKAGE,
        "A status with wrapped keys and without a package.",
        "Keys that open nothing are not there.",
        base="v1-status-with-note",
    )
    make.signed(
        "package-size-wrong",
        replace(letter, body=letter.body._replace(package=letter.body.package._replace(size=1))),
        checks.PACKAGE,
        "The statement names the package's digest, and a size of 1.",
        "Size and digest must both be right, because the size is what others plan with.",
    )
    make.signed(
        "package-without-keys",
        replace(
            letter,
            head=letter.head._replace(suite=0, batch_key_digest=None),
            position=letter.position._replace(content_key_digest=None),
            keys=None,
        ),
        checks.PACKAGE,
        "A document with a package, whose statement names no keys.",
        "A package that nobody can open is not delivered.",
    )


def undecided(make: Failing) -> None:
    """C1.20 to C1.22: not yet."""
    letter = make.valid.letters["v1-document"]
    make.signed(
        "directory-behind",
        replace(letter, head=letter.head._replace(directory_position=ALL_OPEN + 1)),
        checks.DIRECTORY,
        "The statement is made under the entry after the last one known.",
        "What that entry says is not known here yet.",
    )
    make.signed(
        "made-in-future",
        replace(letter, head=letter.head._replace(made_at=NOW + MAX_CLOCK_SKEW_MS + 1)),
        checks.TIME,
        "The statement was made five minutes and one millisecond from now.",
        "A sender's clock may run ahead by five minutes.",
    )
    told = make.valid.circumstances["v1-directory-at-its-limit"]
    make.unchanged(
        "directory-stale",
        checks.FRESHNESS,
        "The bytes of v1-directory-at-its-limit, read one millisecond later.",
        "A revocation may have been published that is not known here; the next entry will tell.",
        base="v1-directory-at-its-limit",
        circumstances=replace(told, now_ms=told.now_ms + 1),
    )


ALL = (malformed, misplaced, undecided)
