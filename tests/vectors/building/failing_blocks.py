"""Vectors that fail because encoding, payload type or signature blocks were changed: C1.01 to C1.06."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

from docbus.envelope.batch import batch_signed_bytes
from docbus.envelope.envelope import Signature, encode_envelope, put_signatures
from docbus.envelope.statement import RECEIPT_TYPE, STATUS_TYPE
from docbus.verification import checks
from docbus.wire.encoding import put_bytes
from tests.vectors.building.failing import flip
from tests.vectors.building.letters import seal_batch
from tests.vectors.building.vector import AUDITOR_MODE
from tests.vectors.building.world import ALL_OPEN, LANG_SON, STRANGER, TAXES, TAY_NINH

if TYPE_CHECKING:
    from docbus.verification.checks import Check
    from tests.vectors.building.failing import Failing

HEADER_BYTES = 10


def encoding(make: Failing) -> None:
    """C1.01 and C1.02: bytes that are not the one encoding of an envelope."""
    value = encode_envelope(make.valid.envelopes["v1-document"])
    envelope = make.valid.envelopes["v1-document"]
    block = envelope.signatures[0]
    fail = checks.ENVELOPE
    make.value("empty", b"", checks.SIZE, "All bytes taken away.", "A record without a value carries nothing.")
    make.value("trailing-byte", value + b"\0", fail, "One zero byte added at the end.", "All bytes must be consumed.")
    make.value("truncated", value[:-1], fail, "The last byte taken away.", "The bytes end within the value.")
    make.value(
        "another-marker",
        flip(value, 1, 3),
        fail,
        "The marker C3 01 became C3 02.",
        "Only version 1 of Avro's single-object encoding is read.",
    )
    make.value(
        "another-fingerprint",
        flip(value, 2),
        fail,
        "One bit of the schema fingerprint flipped.",
        "The fingerprint names another schema, and nobody may choose the decoder.",
    )
    size = len(envelope.statement)
    written = put_bytes(envelope.statement)
    longer = bytes((written[0], written[1] | 0x80, 0)) + envelope.statement
    make.value(
        "overlong-varint",
        value[:HEADER_BYTES] + longer + value[HEADER_BYTES + len(written) :],
        fail,
        f"The statement's length, {size}, written in three bytes instead of two.",
        "A number has one encoding, so that one statement has one envelope.",
    )
    blocks = put_signatures(envelope.signatures)
    sized = bytes((1,)) + _long_of_two(len(blocks) - 2) + blocks[1:]
    make.value(
        "array-block-with-size",
        value.replace(blocks, sized),
        fail,
        "The signatures written as an Avro block with a negative count and its size in bytes.",
        "Avro allows it, docbus reads one form only.",
    )
    two = blocks[:-1] + blocks
    make.value(
        "two-array-blocks",
        value.replace(blocks, two),
        fail,
        "A second block with the same signature added to the array.",
        "An array is one block.",
    )
    at = value.index(blocks) + len(blocks)
    make.value(
        "no-such-branch",
        value[:at] + b"\x04" + value[at + 1 :],
        fail,
        "The package's union names branch 2 of two.",
        "There is no such branch.",
    )
    make.envelope("no-signature", {"signatures": ()}, fail, "The only signature taken away.", "Nobody signed it.")
    make.envelope(
        "three-signatures",
        {"signatures": (block, block, block)},
        fail,
        "The signature block stands three times.",
        "No profile has more than two signatures.",
    )
    proof = envelope.proof
    make.envelope(
        "tree-of-none",
        {"proof": proof._replace(tree_size=0)},
        fail,
        "Tree size 0 in place of 1.",
        "A batch has at least one statement.",
    )
    make.envelope(
        "path-of-33-bytes",
        {"proof": proof._replace(path=bytes(33))},
        fail,
        "A path of one hash and one byte.",
        "A path is made of whole hashes.",
    )
    make.envelope(
        "path-of-21-hashes",
        {"proof": proof._replace(path=bytes(21 * 32))},
        fail,
        "A path of 21 hashes.",
        "No batch is larger than 2^20 statements.",
    )


def _long_of_two(number: int) -> bytes:
    return bytes(((number << 1) & 0x7F | 0x80, number >> 6))


def blocks(make: Failing) -> None:
    """C1.03 to C1.06: payload type and signature blocks."""
    world = make.world
    envelope = make.valid.envelopes["v1-document"]
    block = envelope.signatures[0]
    make.envelope(
        "payload-type-of-tomorrow",
        {"payload_type": "application/vnd.docbus.document.v2"},
        checks.PAYLOAD_TYPE,
        "The payload type names version 2.",
        "This version does not know the schema, and guesses none.",
    )
    make.envelope(
        "payload-type-status",
        {"payload_type": STATUS_TYPE},
        checks.SIGNATURE,
        "The payload type became that of a status.",
        "The leaf covers the payload type, so another type is another leaf.",
    )
    make.envelope(
        "payload-type-of-a-receipt",
        {"payload_type": RECEIPT_TYPE},
        checks.SIGNATURE,
        "The payload type became that of a receipt.",
        "The leaf covers the payload type, so another type is another leaf.",
    )
    make.envelope(
        "certificate-unknown",
        {"signatures": (block._replace(certificate=flip(block.certificate, 0)),)},
        checks.CERTIFICATE,
        "One bit of the certificate's hash flipped.",
        "The directory, read to its end, does not know the certificate.",
    )
    stranger = seal_batch(world, world.parties[STRANGER].signer, [make.valid.letters["v1-document"]])[0]
    make.envelope(
        "signed-by-a-stranger",
        {"signatures": stranger.signatures},
        checks.CERTIFICATE,
        "Signed by a key with a good certificate that the directory has never granted.",
        "A certificate counts only by its grant.",
    )
    make.unchanged(
        "before-the-grant",
        checks.CERTIFICATE,
        "The bytes of v1-document, verified by somebody who knows only the genesis entry.",
        "At that position nobody has been granted anything.",
        circumstances=replace(make.valid.circumstances["v1-document"], directory_position=0),
    )
    _known_later(make)
    make.envelope(
        "profile-changed",
        {"signatures": (block._replace(profile=2),)},
        checks.PROFILE,
        "The block names profile 2 (RSA-PSS) for a P-256 key.",
        "The algorithm follows from the granted key, never from the envelope.",
    )
    make.envelope(
        "profile-unknown",
        {"signatures": (block._replace(profile=99),)},
        checks.PROFILE,
        "The block names profile 99.",
        "The algorithm follows from the granted key, never from the envelope.",
    )
    make.envelope(
        "signature-twice",
        {"signatures": (block, block)},
        checks.SIGNATURE_COUNT,
        "The signature block stands twice.",
        "The profile has one signature; a second one is not ignored.",
    )
    other = world.parties[TAY_NINH].signer
    signed = batch_signed_bytes(other.profile, other.certificate, 1, make.valid.letters["v1-document"].digest)
    extra = block._replace(certificate=other.certificate, signature=other.sign(signed))
    make.envelope(
        "extra-signature",
        {"signatures": (block, extra)},
        checks.PROFILE,
        "A second, valid signature by another agency added.",
        "All blocks must be of the one granted key.",
    )


def hybrid(make: Failing) -> None:
    """C1.04 to C1.08 where the profile has two signatures."""
    base = "v1-hybrid"
    first, second = make.valid.envelopes[base].signatures
    party = make.world.parties[TAXES]
    alone = sha256(party.certificates[0]).digest()
    signed = batch_signed_bytes(1, alone, 1, make.valid.letters[base].digest)
    rows: tuple[tuple[str, tuple[Signature, ...], Check, str, str], ...] = (
        (
            "second-signature-stripped",
            (first,),
            checks.SIGNATURE_COUNT,
            "The ML-DSA-65 signature taken away; the ES256 one is genuine.",
            "A profile of two signatures is not satisfied by one.",
        ),
        (
            "first-signature-stripped",
            (second,),
            checks.SIGNATURE_COUNT,
            "The ES256 signature taken away; the ML-DSA-65 one is genuine.",
            "A profile of two signatures is not satisfied by one.",
        ),
        (
            "hybrid-taken-for-es256",
            (first._replace(profile=1),),
            checks.PROFILE,
            "The ES256 signature alone, under profile 1.",
            "The granted keys are of profile 3, whatever the envelope says.",
        ),
        (
            "hybrid-downgraded-by-its-key",
            (Signature(1, alone, party.signer.sign(signed)),),
            checks.CERTIFICATE,
            "The ES256 key signed alone, under profile 1 and the hash of its own certificate.",
            "Only the set of both certificates is granted.",
        ),
        (
            "hybrid-signatures-swapped",
            (second, first),
            checks.SIGNATURE,
            "The two signatures changed places.",
            "Each signature is that of the key in its place.",
        ),
        (
            "hybrid-first-signature-twice",
            (first, first),
            checks.SIGNATURE,
            "The ES256 signature in both places.",
            "The second one must be the ML-DSA-65 key's.",
        ),
        (
            "hybrid-first-signature-bit-flipped",
            (first._replace(signature=flip(first.signature, len(first.signature) - 1)), second),
            checks.SIGNATURE,
            "The last bit of the ES256 signature flipped.",
            "Both signatures must verify.",
        ),
        (
            "hybrid-second-signature-bit-flipped",
            (first, second._replace(signature=flip(second.signature, 1000))),
            checks.SIGNATURE,
            "One bit of the ML-DSA-65 signature flipped.",
            "Both signatures must verify.",
        ),
    )
    for name, signatures, check, made, why in rows:
        make.envelope(name, {"signatures": signatures}, check, made, why, base=base)


def _known_later(make: Failing) -> None:
    """C1.04 for an auditor whose directory ends before the entry that the statement names."""
    told = make.valid.circumstances["v1-document"]
    behind = replace(told, mode=AUDITOR_MODE, directory_position=0)
    package = make.valid.envelopes["v1-document"].package
    if package is None:
        raise TypeError("the document has a package")
    make.unchanged(
        "recorded-before-the-grant-is-known",
        replace(checks.CERTIFICATE, outcome="indeterminate"),
        "The bytes of v1-document, read by an auditor whose directory ends with the genesis entry.",
        "The statement names a later entry; the certificate may be granted up to there.",
        code=checks.NOT_KNOWN_YET,
        circumstances=behind,
    )
    stranger = seal_batch(make.world, make.world.parties[STRANGER].signer, [make.valid.letters["v1-document"]])[0]
    make.envelope(
        "recorded-certificate-unknown",
        {"signatures": stranger.signatures},
        checks.CERTIFICATE,
        "Signed by a key that was never granted; an auditor's directory ends with the entry that is named.",
        "The directory reaches the entry that the statement names, so no later grant can count.",
        circumstances=replace(told, mode=AUDITOR_MODE, directory_position=ALL_OPEN),
    )
    make.unchanged(
        "recorded-not-known-yet-re-addressed",
        checks.RECIPIENT,
        "The bytes of v1-document, in the inbox of another agency; an auditor's directory ends with the genesis entry.",
        "Whatever needs no certificate is asked all the same.",
        circumstances=replace(behind, recipient=LANG_SON),
    )
    make.envelope(
        "recorded-not-known-yet-package-bit-flipped",
        {"package": flip(package, len(package) // 2)},
        checks.PACKAGE,
        "One bit of the package flipped; read by an auditor whose directory ends with the genesis entry.",
        "Whatever needs no certificate is asked all the same.",
        circumstances=behind,
    )


ALL = (encoding, blocks, hybrid)
