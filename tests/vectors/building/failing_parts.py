"""Vectors whose large attachments are wrong: C1.09, C2.08, and in their parts C2.09 to C2.12."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from docbus.envelope.envelope import encode_envelope
from docbus.envelope.package import Outside
from docbus.limits import MAX_PARTS, PART_BYTES
from docbus.verification import checks
from docbus.wire.encoding import put_long
from docbus.wire.parts import content_size
from tests.vectors.building.attached import attach, context_of, enclose, key_of, write_attached
from tests.vectors.building.drawn import derived
from tests.vectors.building.failing import flip
from tests.vectors.building.valid import SHEET
from tests.vectors.building.world import LANG_SON

if TYPE_CHECKING:
    from docbus.envelope.package import ManifestFile, Package
    from docbus.envelope.statement import Attachment
    from tests.vectors.building.attached import Attached
    from tests.vectors.building.failing import Failing

LABEL = "attachment"
BASE = "v1-attachment"
LONG = "v1-attachment-of-two-parts"
TWO = "v1-two-attachments"
HEADER_BYTES = 10
DIGEST_BYTES = 32


def declared(make: Failing) -> None:
    """C1.09: a statement declares an attachment that there cannot be."""
    letter = make.valid.letters[BASE]
    (attachment,) = letter.body.attachments
    most = content_size(PART_BYTES * MAX_PARTS)
    rows: tuple[tuple[str, tuple[Attachment, ...], str, str], ...] = (
        (
            "signed-attachment-of-an-exbibyte",
            (attachment._replace(size=1 << 60),),
            "The attachment has 2^60 bytes.",
            "No document has more than 131,072 parts, whatever is declared.",
        ),
        (
            "signed-attachment-of-a-million-parts",
            (attachment._replace(size=content_size(PART_BYTES * 1_000_000)),),
            "The attachment has the bytes of 1,000,000 whole parts.",
            "No document has more than 131,072 parts, whatever is declared.",
        ),
        (
            "signed-attachments-of-too-many-parts",
            (attachment._replace(size=most), attachment),
            "An attachment of 131,072 parts stands before the one of a single part.",
            "The limit is on all attachments of a document together.",
        ),
        (
            "signed-attachment-of-no-possible-size",
            (attachment._replace(size=content_size(16 * 1024 - 1) + 1),),
            "The attachment has 16,456 bytes.",
            "16,383 bytes become 16,455, and 16,384 become 16,472: nothing becomes 16,456.",
        ),
        (
            "signed-attachment-of-0-bytes",
            (attachment._replace(size=0),),
            "The attachment has 0 bytes.",
            "A file outside has at least one byte, and even that one becomes 73.",
        ),
        (
            "signed-attachment-of-negative-size",
            (attachment._replace(size=-attachment.size),),
            "The attachment's size is negative.",
            "A file outside has at least one byte, and even that one becomes 73.",
        ),
    )
    for name, attachments, made, why in rows:
        changed = replace(letter, body=letter.body._replace(attachments=attachments))
        make.signed(name, changed, checks.STATEMENT, made, why, base=BASE)


def mismatched(make: Failing) -> None:
    """C2.08: manifest and statement do not belong together, attachment by attachment."""
    (one,) = make.valid.attached[BASE]
    _, second = make.valid.attached[TWO]
    file = one.file
    named = file._replace(name="plan-2.txt")

    def placed(index: int) -> ManifestFile:
        return file._replace(place=Outside(index, key_of(LABEL)))

    rows: tuple[tuple[str, Package, tuple[Attached, ...], str, str], ...] = (
        (
            "attachment-size-in-manifest-wrong",
            enclose(LABEL, files=(file._replace(size=file.size + 1),)),
            (one,),
            "The manifest names one byte more than the attachment has.",
            "From the size in the statement follows the size of the file.",
        ),
        (
            "attachment-size-in-manifest-0",
            enclose(LABEL, files=(file._replace(size=0),)),
            (one,),
            "The manifest names an empty file outside.",
            "What is empty has no part.",
        ),
        (
            "attachment-named-by-two-files",
            enclose(LABEL, files=(file, named)),
            (one,),
            "Two files name the same attachment.",
            "Each attachment belongs to one file.",
        ),
        (
            "attachment-without-a-file",
            enclose(LABEL, files=(file,)),
            (one, second),
            "The statement has a second attachment that no file names.",
            "What the manifest does not name would be fetched for nobody.",
        ),
        (
            "attachment-index-out-of-range",
            enclose(LABEL, files=(placed(1),)),
            (one,),
            "The file names attachment 1 of one.",
            "There is no such attachment.",
        ),
        (
            "attachment-index-negative",
            enclose(LABEL, files=(placed(-1),)),
            (one,),
            "The file names attachment -1.",
            "There is no such attachment, and none is counted from the end.",
        ),
        (
            "attachment-not-in-the-statement",
            enclose(LABEL, files=(file,)),
            (),
            "The statement has no attachment, and the file lies outside.",
            "Nobody signed what the file consists of.",
        ),
    )
    for name, package, attached, made, why in rows:
        letter = write_attached(make.world, LABEL, *attached, package=package)
        make.signed(name, letter, checks.ATTACHMENTS, made, why, base=BASE)


def malformed(make: Failing) -> None:
    """C2.09: records that are not the one encoding of a part."""
    (one,) = make.valid.attached[BASE]
    (long,) = make.valid.attached[LONG]
    record = one.records[0]
    at = HEADER_BYTES + DIGEST_BYTES
    written = put_long(one.attachment.size)
    longer = bytes((written[0], written[1] | 0x80, 0))
    rows: tuple[tuple[str, bytes, str, str], ...] = (
        ("part-empty", b"", "All bytes taken away.", "A record without a value carries nothing."),
        ("part-trailing-byte", record + b"\0", "One zero byte added at the end.", "All bytes must be consumed."),
        ("part-truncated", record[:-1], "The last byte taken away.", "The bytes end within the part."),
        (
            "part-another-fingerprint",
            flip(record, 2),
            "One bit of the schema fingerprint flipped.",
            "The fingerprint names another schema, and nobody may choose the decoder.",
        ),
        (
            "part-is-an-envelope",
            encode_envelope(make.valid.envelopes[BASE]),
            "The envelope itself stands in place of the part.",
            "An envelope is no part, and its fingerprint says so.",
        ),
        (
            "part-overlong-varint",
            record[:at] + longer + record[at + len(written) :],
            f"The size, {one.attachment.size}, written in three bytes instead of two.",
            "A number has one encoding, so that one part has one record.",
        ),
        (
            "part-index-is-number-of-parts",
            one.record(0, index=1),
            "Index 1 of content with one part.",
            "Indexes end before the number of parts, which follows from the size.",
        ),
        ("part-index-negative", one.record(0, index=-1), "Index -1.", "Indexes begin at 0."),
        (
            "part-of-no-possible-size",
            one.record(0, size=content_size(16 * 1024 - 1) + 1),
            "The record names content of 16,456 bytes.",
            "Nothing becomes 16,456 bytes when it is encrypted.",
        ),
    )
    for name, part, made, why in rows:
        make.part(name, part, checks.PART, made, why, base=BASE)
    make.part(
        "part-index-is-2-of-two",
        long.record(1, index=2),
        checks.PART,
        "Index 2 of content with two parts.",
        "Indexes end before the number of parts, which follows from the size.",
        base=LONG,
    )


def misplaced(make: Failing) -> None:
    """C2.10: well-formed parts that are not the wanted one."""
    world = make.world
    (one,) = make.valid.attached[BASE]
    (long,) = make.valid.attached[LONG]
    _, second = make.valid.attached[TWO]
    content = one.parts[0]
    another = attach(world, "attachment-other", SHEET)
    foreign = attach(world, LABEL, SHEET, context=context_of(LABEL, sender=LANG_SON))
    last = long.part(1)
    rows: tuple[tuple[str, bytes, str, str, str], ...] = (
        (
            "part-bit-flipped",
            one.record(0, content=flip(content, len(content) // 2)),
            "One bit of the ciphertext flipped.",
            "The statement binds every bit by its digest.",
            BASE,
        ),
        (
            "part-with-the-content-of-another",
            one.record(0, content=another.parts[0]),
            "The ciphertext of another document's part, as long as the right one, under the right digest.",
            "The statement binds the bytes, not only how many they are.",
            BASE,
        ),
        (
            "part-of-another-document",
            another.records[0],
            "A genuine part of another document's attachment, with the same plaintext.",
            "Its digest is not the one the statement names.",
            BASE,
        ),
        (
            "part-of-another-sender",
            foreign.records[0],
            "The part that another agency made of the same file under the same key and document id.",
            "Its digest is not the one the statement names.",
            BASE,
        ),
        (
            "part-of-the-other-attachment",
            second.records[0],
            "The part of attachment 1 in place of that of attachment 0.",
            "Its digest is that of the other attachment.",
            TWO,
        ),
        (
            "part-cut",
            one.record(0, content=content[:-1]),
            "The last byte of the ciphertext taken away.",
            "From the size follows the length of every part.",
            BASE,
        ),
        (
            "part-extended",
            one.record(0, content=content + b"\0"),
            "A zero byte added to the ciphertext.",
            "From the size follows the length of every part.",
            BASE,
        ),
        (
            "part-without-content",
            one.record(0, content=b""),
            "The record has no ciphertext.",
            "From the size follows the length of every part.",
            BASE,
        ),
        (
            "part-size-wrong",
            one.record(0, size=content_size(one.file.size + 1)),
            "The record names the size of content with one byte more.",
            "The statement names another size.",
            BASE,
        ),
        (
            "part-path-one-hash-longer",
            one.record(0, path=bytes(32)),
            "A hash of zeros in the path of the only part.",
            "The path is exactly as long as index and number of parts demand.",
            BASE,
        ),
        (
            "part-in-place-of-the-first",
            long.record(1, index=0, path=long.part(0).path),
            "The second part once more, as part 0.",
            "Every part has its own place, and every part but the last is whole.",
            LONG,
        ),
        (
            "part-path-bit-flipped",
            long.record(1, path=flip(last.path, 7)),
            "One bit of the second part's path flipped.",
            "The path does not lead to the digest.",
            LONG,
        ),
        (
            "part-path-missing",
            long.record(1, path=b""),
            "The second part's path taken away.",
            "The path is exactly as long as index and number of parts demand.",
            LONG,
        ),
        (
            "part-path-of-33-bytes",
            long.record(1, path=last.path + b"\0"),
            "A zero byte added to the second part's path.",
            "A path is made of whole hashes.",
            LONG,
        ),
    )
    for name, part, made, why, base in rows:
        make.part(name, part, checks.PART_PROOF, made, why, base=base)
    cut = replace(one, parts=(content[:-1],))
    signed = cut.attachment._replace(size=one.attachment.size)
    make.signed(
        "part-cut-before-signing",
        write_attached(world, LABEL, one, attachments=(signed,)),
        checks.PART_PROOF,
        "The digest is that of the ciphertext without its last byte, the size is that of all of it.",
        "From the size follows the length of every part, whatever the digest covers.",
        base=BASE,
        parts=(cut.record(0, size=signed.size),),
    )


def undecryptable(make: Failing) -> None:
    """C2.11: parts that the sender signed, and whose key does not open them where they are."""
    world = make.world
    (one,) = make.valid.attached[BASE]
    right = context_of(LABEL)
    why = "The context binds environment, sender, document id, revision, attachment and part."
    rows: list[tuple[str, Attached, str, str]] = [
        (name, attach(world, LABEL, SHEET, **changed), made, why)
        for name, changed, made in (
            (
                "part-in-the-context-of-another-environment",
                {"context": right._replace(environment="production")},
                "The part is encrypted in the context of another environment.",
            ),
            (
                "part-in-the-context-of-another-sender",
                {"context": right._replace(sender=LANG_SON)},
                "The part is encrypted in the context of another sender.",
            ),
            (
                "part-in-the-context-of-another-document",
                {"context": right._replace(document_id="vector-attachment-other")},
                "The part is encrypted in the context of another document.",
            ),
            (
                "part-in-the-context-of-another-revision",
                {"context": right._replace(revision=2)},
                "The part is encrypted in the context of another revision.",
            ),
            (
                "part-in-the-context-of-another-attachment",
                {"context": right._replace(attachment=1)},
                "The part is encrypted in the context of attachment 1.",
            ),
            (
                "part-in-the-context-of-another-part",
                {"first_part": 1},
                "The part is encrypted in the context of part 1.",
            ),
        )
    ]
    content = one.parts[0]
    rows.append(
        (
            "part-damaged-before-signing",
            replace(one, parts=(flip(content, len(content) - 1),)),
            "One bit of the part's last tag flipped, and the digest made of that.",
            "Cobblestone authenticates every chunk.",
        )
    )
    rows.append(
        (
            "part-under-another-key",
            replace(one, file=one.file._replace(place=Outside(0, derived("another attachment key", 32)))),
            "The manifest has another key than the part is encrypted with.",
            "Cobblestone commits to its key.",
        )
    )
    for name, attached, made, reason in rows:
        letter = write_attached(world, LABEL, attached)
        fail = checks.PART_DECRYPTION
        make.signed(name, letter, fail, made, reason, base=BASE, parts=attached.records)


def another_whole(make: Failing) -> None:
    """C2.12: all parts are those that were signed, and what they make is not the manifest's file."""
    (one,) = make.valid.attached[BASE]
    attached = replace(one, file=one.file._replace(digest=derived("digest", 32)))
    make.signed(
        "attachment-digest-in-manifest-wrong",
        write_attached(make.world, LABEL, attached),
        checks.ATTACHMENT_CONTENT,
        "The manifest names the digest of another plaintext.",
        "The file is not the one the manifest names.",
        base=BASE,
        parts=attached.records,
    )


ALL = (declared, mismatched, malformed, misplaced, undecryptable, another_whole)
