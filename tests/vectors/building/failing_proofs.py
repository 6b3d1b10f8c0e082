"""Vectors that fail because proof, signature or statement were changed, or somebody else is claimed: C1.07 to C1.11."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from docbus.envelope.batch import batch_signed_bytes
from docbus.envelope.envelope import encode_envelope
from docbus.verification import checks
from docbus.wire.pae import DIRECTORY_TYPE, JOIN_TYPE, leaf_digest, pae
from tests.vectors.building.failing import flip
from tests.vectors.building.letters import seal_batch, write_document
from tests.vectors.building.valid import P256_ORDER
from tests.vectors.building.world import (
    HANOI,
    HANOI_ROTATED,
    LANG_SON,
    TAY_NINH,
)

if TYPE_CHECKING:
    from tests.vectors.building.failing import Failing

HANOI_LOOK_ALIKE = HANOI.replace("H", "\N{CYRILLIC CAPITAL LETTER EN}")


def proofs(make: Failing) -> None:
    """C1.07 and C1.08: the way from the leaf to the signed root."""
    valid, world = make.valid, make.world
    base = "v1-batch-of-five-1"
    five = valid.envelopes[base]
    proof, path = five.proof, five.proof.path
    fail = checks.PROOF
    for name, changed, made, why in (
        ("index-is-tree-size", proof._replace(index=5), "Index 5 in a tree of 5.", "Indexes end before the tree size."),
        ("index-negative", proof._replace(index=-1), "Index -1.", "Indexes begin at 0."),
        (
            "path-one-hash-shorter",
            proof._replace(path=path[:-32]),
            "The last hash of the path taken away.",
            "The path is exactly as long as index and tree size demand.",
        ),
        (
            "path-one-hash-longer",
            proof._replace(path=path + bytes(32)),
            "A hash of zeros added to the path.",
            "The path is exactly as long as index and tree size demand.",
        ),
        (
            "tree-size-of-another-height",
            proof._replace(tree_size=9),
            "Tree size 9 in place of 5.",
            "In a tree of 9 the path would have four hashes.",
        ),
        (
            "index-of-another-height",
            proof._replace(index=4),
            "Index 4 in place of 1.",
            "The path of the last leaf of five has one hash.",
        ),
    ):
        make.envelope(name, {"proof": changed}, fail, made, why, base=base)
    fail = checks.SIGNATURE
    for name, changed, made, why in (
        (
            "index-off-by-one",
            proof._replace(index=0),
            "Index 0 in place of 1.",
            "The path then leads to another root.",
        ),
        (
            "tree-size-off-by-one",
            proof._replace(tree_size=6),
            "Tree size 6 in place of 5, for which the path has the same length.",
            "The signature covers the tree size.",
        ),
        (
            "path-bit-flipped",
            proof._replace(path=flip(path, 0)),
            "One bit of the first hash flipped.",
            "The path then leads to another root.",
        ),
        (
            "path-last-bit-flipped",
            proof._replace(path=flip(path, len(path) - 1)),
            "One bit of the last hash flipped.",
            "The path then leads to another root.",
        ),
        (
            "path-swapped",
            proof._replace(path=path[32:64] + path[:32] + path[64:]),
            "The first two hashes of the path swapped.",
            "The path then leads to another root.",
        ),
    ):
        make.envelope(name, {"proof": changed}, fail, made, why, base=base)
    make.envelope(
        "proof-of-a-neighbour",
        {"proof": valid.envelopes["v1-batch-of-five-2"].proof},
        fail,
        "The proof of leaf 2 beside the statement of leaf 1.",
        "The statement is not the leaf that this path begins at.",
        base=base,
    )
    leaves = [valid.letters[f"v1-batch-of-five-{index}"].digest for index in range(4)]
    pairs = [sha256(b"\x01" + leaves[i] + leaves[i + 1]).digest() for i in (0, 2)]
    make.envelope(
        "inner-node-as-leaf",
        {"statement": pairs[0] + pairs[1], "proof": proof._replace(tree_size=2, index=0, path=leaves[0])},
        fail,
        "The statement is an inner node of the tree: two hashes of 32 bytes.",
        "Leaves and nodes are hashed with different first bytes.",
        base=base,
    )
    document, block = valid.envelopes["v1-document"], valid.envelopes["v1-document"].signatures[0]
    signer = world.parties[HANOI].signer
    digest = leaf_digest(document.payload_type.encode(), document.statement)
    covered = signer.profile.to_bytes(2, "big") + signer.certificate + (1).to_bytes(4, "big") + digest
    last = len(block.signature) - 1
    for name, signature, made, why in (
        (
            "signature-bit-flipped",
            flip(block.signature, last),
            "The last bit of the signature flipped.",
            "The signature does not verify.",
        ),
        (
            "signature-not-der",
            flip(block.signature, 0),
            "The signature's ASN.1 tag changed.",
            "What cannot be parsed is a wrong signature, nothing else.",
        ),
        ("signature-empty", b"", "The signature has no bytes.", "Nothing is signed."),
        (
            "signature-over-another-root",
            valid.envelopes["v1-document-other"].signatures[0].signature,
            "The signature of another batch of the same sender.",
            "It covers another root.",
        ),
        (
            "signature-over-the-statement",
            signer.sign(pae(document.payload_type.encode(), document.statement)),
            "The sender's key signed the statement itself, as plain DSSE.",
            "A signature counts only over the bytes of a batch.",
        ),
        (
            "signature-over-the-bare-root",
            signer.sign(digest),
            "The sender's key signed the 32 bytes of the root.",
            "Profile, certificate and tree size are not covered.",
        ),
        (
            "signature-of-another-type",
            signer.sign(pae(JOIN_TYPE, covered)),
            "The right bytes, signed under the payload type of a join request.",
            "A signature made for one purpose is none for another.",
        ),
        (
            "signature-of-a-directory-entry",
            signer.sign(pae(DIRECTORY_TYPE, covered)),
            "The right bytes, signed under the payload type of a directory entry.",
            "A signature made for one purpose is none for another.",
        ),
    ):
        make.envelope(name, {"signatures": (block._replace(signature=signature),)}, fail, made, why)
    other = world.parties[TAY_NINH].signer
    make.envelope(
        "certificate-of-another-agency",
        {"signatures": (block._replace(certificate=other.certificate),)},
        fail,
        "The block names the certificate of another agency.",
        "The signature does not verify under that agency's key.",
    )
    rsa = valid.envelopes["v1-rsa-pss"].signatures[0]
    make.envelope(
        "rsa-signature-bit-flipped",
        {"signatures": (rsa._replace(signature=flip(rsa.signature, 100)),)},
        fail,
        "One bit of the RSA-PSS signature flipped.",
        "The signature does not verify.",
        base="v1-rsa-pss",
    )


def other_encodings(make: Failing) -> None:
    """C1.08: numbers that would verify, or have verified elsewhere, in an encoding or a range that is none."""
    genuine = make.valid.envelopes["v1-document"].signatures[0].signature
    r, s = decode_dss_signature(genuine)
    number = genuine[4 : 4 + genuine[3]]
    padded = b"\x30" + bytes((genuine[1] + 1,)) + b"\x02" + bytes((genuine[3] + 1,)) + b"\0" + number
    for name, signature, made, why in (
        (
            "signature-trailing-byte",
            genuine + b"\0",
            "A zero byte added to the signature.",
            "A signature has one encoding, and ends where that ends.",
        ),
        (
            "signature-length-in-ber",
            genuine[:1] + b"\x81" + genuine[1:],
            "The length of the signature's sequence written in two bytes, as BER allows.",
            "A signature is in DER.",
        ),
        (
            "signature-number-padded",
            padded + genuine[4 + genuine[3] :],
            "A zero byte more in front of r, as BER allows.",
            "A signature is in DER.",
        ),
        (
            "signature-s-beyond-the-order",
            encode_dss_signature(r, s + P256_ORDER),
            "The order of the group added to s.",
            "r and s are below the order.",
        ),
        (
            "signature-of-zeros",
            encode_dss_signature(0, 0),
            "r and s are 0.",
            "Zero fits every text under every key where nobody looks at it (CVE-2022-21449).",
        ),
    ):
        block = make.valid.envelopes["v1-document"].signatures[0]
        changed = {"signatures": (block._replace(signature=signature),)}
        make.envelope(name, changed, checks.SIGNATURE, made, why)
    rsa = make.valid.envelopes["v1-rsa-pss"].signatures[0]
    make.envelope(
        "rsa-signature-padded",
        {"signatures": (rsa._replace(signature=b"\0" + rsa.signature),)},
        checks.SIGNATURE,
        "A zero byte more in front of the RSA-PSS signature, which is the same number.",
        "The signature is as long as the modulus.",
        base="v1-rsa-pss",
    )


def statement_bits(make: Failing) -> None:
    """C1.08: one bit of the signed bytes, for each class of field."""
    letter = make.valid.letters["v1-document"]
    statement = letter.statement
    head, body = letter.head, letter.body
    places = {
        "text": statement.index(head.sender.encode()) + 4,
        "optional": statement.index(head.sender.encode()) + len(head.sender),
        "fixed": statement.index(head.epoch),
        "enum": statement.index(head.epoch) - 1,
        "number": statement.index(head.directory_hash) - 1,
        "time": statement.index(head.directory_hash) + 33,
        "digest": statement.index(letter.sealed_digest),
        "nonce": statement.index(body.nonce),
        "last": len(statement) - 1,
    }
    for kind, at in places.items():
        make.envelope(
            f"statement-{kind}-flipped",
            {"statement": flip(statement, at)},
            checks.SIGNATURE,
            f"One bit of byte {at} of the statement flipped ({kind}).",
            "Every bit of the statement is part of the leaf.",
        )
    make.envelope(
        "statement-truncated",
        {"statement": statement[:-1]},
        checks.SIGNATURE,
        "The statement's last byte taken away.",
        "The leaf covers all of the statement and its length.",
    )


def impostors(make: Failing) -> None:
    """C1.10 and C1.11: honest signatures under statements that claim somebody else."""
    valid, world = make.valid, make.world
    base = "v1-batch-of-five-1"
    hanoi = world.parties[HANOI].signer
    letters = [valid.letters[f"v1-batch-of-five-{index}"] for index in range(5)]
    claimed = list(letters)
    claimed[1] = replace(letters[1], head=letters[1].head._replace(sender=LANG_SON))
    make.value(
        "leaf-claims-another-sender",
        encode_envelope(seal_batch(world, hanoi, claimed)[1]),
        checks.SENDER,
        "Leaf 1 of an honest batch of Hanoi names another agency as its sender, under Hanoi's certificate.",
        "Each leaf's sender must be the agency to which the signing certificate is granted.",
        base=base,
        circumstances=replace(valid.circumstances[base], record_key=LANG_SON),
    )
    claimed[1] = replace(letters[1], head=letters[1].head._replace(sender=HANOI_LOOK_ALIKE))
    make.value(
        "leaf-claims-a-look-alike-sender",
        encode_envelope(seal_batch(world, hanoi, claimed)[1]),
        checks.SENDER,
        "Leaf 1 of an honest batch of Hanoi names vn:H26 as its sender, with a Cyrillic letter in place of H.",
        "Ids are compared byte by byte, and the directory grants no other spelling.",
        base=base,
        circumstances=replace(valid.circumstances[base], record_key=HANOI_LOOK_ALIKE),
    )
    other = world.parties[TAY_NINH].signer.certificate
    claimed[1] = replace(letters[1], head=letters[1].head._replace(certificate=other))
    make.value(
        "leaf-claims-another-certificate",
        encode_envelope(seal_batch(world, hanoi, claimed)[1]),
        checks.SAME_CERTIFICATE,
        "Leaf 1 of an honest batch of Hanoi names the certificate of another agency.",
        "The statement's certificate must be the one that signed.",
        base=base,
    )
    rotated = seal_batch(world, world.second.signer, [valid.letters["v1-document"]])[0]
    make.value(
        "certificate-of-the-same-agency",
        encode_envelope(rotated),
        checks.SAME_CERTIFICATE,
        "The statement of v1-document signed by its sender's next key, which is granted by then.",
        "Even a certificate of the same sender must be the one the statement names.",
        circumstances=replace(valid.circumstances["v1-document"], directory_position=HANOI_ROTATED),
    )
    stolen = write_document(world, "stolen")
    foreign = world.parties[TAY_NINH].signer
    signed = batch_signed_bytes(foreign.profile, foreign.certificate, 1, stolen.digest)
    envelope = seal_batch(world, hanoi, [stolen])[0]
    block = envelope.signatures[0]._replace(certificate=foreign.certificate, signature=foreign.sign(signed))
    make.value(
        "statement-signed-by-another-agency",
        encode_envelope(envelope._replace(signatures=(block,))),
        checks.SAME_CERTIFICATE,
        "A statement of Hanoi, honestly signed by Tây Ninh.",
        "The statement's certificate must be the one that signed.",
    )


ALL = (proofs, other_encodings, statement_bits, impostors)
