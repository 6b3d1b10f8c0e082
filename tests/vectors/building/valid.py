"""The vectors that pass, and the parts of them from which the failing ones are derived."""

from __future__ import annotations

from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from docbus.envelope.envelope import Envelope, Hint, encode_envelope
from docbus.envelope.statement import FIRST_PREVIOUS, Reference, Refusal
from docbus.identity import entries
from docbus.limits import MAX_CLOCK_SKEW_MS, PART_BYTES
from docbus.verification.verifier import DIRECTORY_HASH_FINDING
from tests.vectors.building import authorities, ed25519, overlap, standing
from tests.vectors.building.attached import Attached, attach, enclose, write_attached
from tests.vectors.building.drawn import derived
from tests.vectors.building.letters import (
    Letter,
    files_of,
    make_head,
    make_package,
    seal_batch,
    write_document,
    write_receipt,
    write_status,
)
from tests.vectors.building.vector import AT_HANOI, AT_TAY_NINH, AUDITOR_MODE, Circumstances, Vector
from tests.vectors.building.world import (
    BEATING,
    HANOI,
    HANOI_ROTATED,
    LANG_SON,
    NOW,
    TAXES,
    TAY_NINH,
    World,
    made_at,
)

BATCH_SIZE = 5
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
SHEET = b"Plan of the new road, sheet 1.\n" * 10
CONTENT_OF_HANOI = "docbus.content.vn.H26"
VIETNAMESE = (
    "Quyết định về việc ban hành Quy chế tiếp nhận, xử lý, phát hành và quản lý văn bản điện tử: "
    "ắ ằ ẳ ẵ ặ ấ ầ ẩ ẫ ậ đ Đ ế ề ể ễ ệ ố ồ ổ ỗ ộ ớ ờ ở ỡ ợ ứ ừ ử ữ ự ỳ ý ỷ ỹ ỵ"
)


class Valid:
    """Valid letters, their envelopes and vectors by name."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.letters: dict[str, Letter] = {}
        self.envelopes: dict[str, Envelope] = {}
        self.circumstances: dict[str, Circumstances] = {}
        self.attached: dict[str, tuple[Attached, ...]] = {}
        self.vectors: list[Vector] = []
        self._documents()
        self._batch()
        self._receipts_and_statuses()
        self._circumstances()
        standing.passing(self)
        ed25519.passing(self)
        overlap.passing(self)
        authorities.passing(self)
        self._attachments()

    def add(
        self,
        name: str,
        letter: Letter,
        shows: str,
        *,
        envelope: Envelope | None = None,
        circumstances: Circumstances = AT_TAY_NINH,
        made: str = "Sealed as a batch of one, signed by the sender's test key.",
        findings: tuple[str, ...] = (),
        based_on: str | None = None,
        attached: tuple[Attached, ...] = (),
    ) -> None:
        """Keep a valid letter; without an envelope it is sealed as a batch of one by its sender."""
        if envelope is None:
            envelope = seal_batch(self.world, self.world.parties[letter.head.sender].signer, [letter])[0]
        self.letters[name] = letter
        self.envelopes[name] = envelope
        self.circumstances[name] = circumstances
        self.attached[name] = attached
        self.vectors.append(
            Vector(
                name=name,
                shows=shows,
                made=made,
                value=encode_envelope(envelope),
                circumstances=circumstances,
                letter=letter,
                findings=findings,
                based_on=based_on,
                parts=tuple(record for one in attached for record in one.records),
                attachments=tuple(one.plaintext for one in attached),
            )
        )

    def _document(self, label: str, shows: str, letter: Letter) -> None:
        self.add(f"v1-{label}", letter, shows)

    def _documents(self) -> None:
        world = self.world
        self._document(
            "document", "A document with one file, ES256, alone in its batch.", write_document(world, "document")
        )
        self._document(
            "document-other",
            "Another document of the same sender to the same recipient; failing vectors borrow from it.",
            write_document(world, "document-other"),
        )
        files, contents = files_of(
            ("cong-van.pdf", "application/pdf", b"%PDF-1.7 not really"),
            ("phu-luc-1.csv", "text/csv", b"stt,ten\n1,An\n"),
            ("empty.txt", "text/plain", b""),
        )
        package = make_package("three-files", files=files, contents=contents)
        self._document(
            "three-files",
            "Three files in one package, one of them empty.",
            write_document(world, "three-files", package=package),
        )
        package = make_package(
            "vietnamese",
            title=VIETNAMESE,
            number="7816/VPCP-TTĐT",
            type="Quyết định",
            summary="V/v gửi, nhận văn bản điện tử",
            properties=(("người-ký", "Nguyễn Văn Đức"), ("nơi-lưu", "VT, TTĐT")),
        )
        self._document(
            "vietnamese",
            "Every field of the manifest is there, in Vietnamese, NFC.",
            write_document(world, "vietnamese", package=package),
        )
        head = make_head(world, "urgent", lane="urgent")
        self._document(
            "urgent",
            "A document in the urgent lane, of urgency 3.",
            write_document(world, "urgent", head=head, urgency=3),
        )
        self._document(
            "in-reply-to",
            "A document that answers one of the recipient's.",
            write_document(world, "in-reply-to", in_reply_to=Reference(TAY_NINH, "12/UBND-VX", 2)),
        )
        self._document(
            "recall",
            "A recall that concerns two documents of its own sender.",
            write_document(
                world,
                "recall",
                kind="recall",
                concerns=(Reference(HANOI, "vector-document", 1), Reference(HANOI, "vector-document-other", 1)),
            ),
        )
        self._document(
            "not-after",
            "A document with a time after which it is not to be filed; that time is not asked for by C1 or C2.",
            write_document(world, "not-after", not_after=NOW - 1),
        )
        package = make_package("two-recipients", recipients=(LANG_SON, TAY_NINH))
        self._document(
            "two-recipients",
            "One copy of a document with two recipients; both stand in the manifest and in the recipients' digest.",
            write_document(world, "two-recipients", package=package),
        )
        self._document(
            "revision-two",
            "A replacement of revision 2, whose document id is the sender's own and not a UUID.",
            write_document(
                world,
                "revision-two",
                revision=2,
                document_id="Số 12/2027 – bản 2",
                kind="replacement",
                concerns=(Reference(HANOI, "Số 12/2027 – bản 2", 1),),
            ),
        )
        self.add(
            "v1-rsa-pss",
            write_document(world, "rsa-pss", head=make_head(world, "rsa-pss", sender=LANG_SON)),
            "A document signed with RSA-PSS, profile 2.",
            circumstances=replace(AT_TAY_NINH, record_key=LANG_SON),
        )

        self.add(
            "v1-hybrid",
            write_document(world, "hybrid", head=make_head(world, "hybrid", sender=TAXES)),
            "A document with two signatures, ES256 and ML-DSA-65, profile 3; its certificate is that of the set.",
            circumstances=replace(AT_TAY_NINH, record_key=TAXES),
        )

    def _batch(self) -> None:
        letters: list[Letter] = []
        previous = FIRST_PREVIOUS
        epoch = derived("epoch batch-of-five", 16)
        for index in range(BATCH_SIZE):
            label = f"batch-of-five-{index}"
            head = make_head(self.world, label, epoch=epoch)
            letter = write_document(
                self.world, label, head=head, batch="batch-of-five", sequence=index + 1, previous=previous
            )
            previous = letter.digest
            letters.append(letter)
        envelopes = seal_batch(self.world, self.world.parties[HANOI].signer, letters)
        for index, (letter, envelope) in enumerate(zip(letters, envelopes, strict=True)):
            hashes = len(envelope.proof.path) // 32
            self.add(
                f"v1-batch-of-five-{index}",
                letter,
                f"Leaf {index} of a batch of five, with {hashes} hashes in its path; the five are one chained stream.",
                envelope=envelope,
                made="Five documents sealed as one batch under one batch key and one signature.",
            )

    def _receipts_and_statuses(self) -> None:
        world = self.world
        refused = (Refusal(2, "expired"), Refusal(5, "document_invalid"))
        for label, shows, letter in (
            ("receipt", "A receipt for five statements.", write_receipt(world, "receipt")),
            (
                "receipt-with-refusals",
                "A receipt that refuses two of five statements.",
                write_receipt(world, "receipt-with-refusals", refused=refused),
            ),
            (
                "status",
                "A business status without a free text, so without package and keys.",
                write_status(world, "status", code=5, note=None),
            ),
            (
                "status-with-note",
                "A business status whose free text is a package.",
                write_status(world, "status-with-note", code=2, note="Văn bản gửi nhầm nơi nhận"),
            ),
        ):
            self.add(f"v1-{label}", letter, shows, circumstances=AT_HANOI)

    def _circumstances(self) -> None:
        base = "v1-document"
        document, envelope = self.letters[base], self.envelopes[base]
        self.add(
            "v1-document-with-a-hint",
            document,
            "Hints are unsigned and say nothing about a document without large attachments.",
            envelope=envelope._replace(hints=(Hint(0, "docbus.content.vn.H26", 0, (7, 8)),)),
            made="The envelope of v1-document with one hint added.",
            based_on=base,
        )
        block = envelope.signatures[0]
        r, s = decode_dss_signature(block.signature)
        negated = block._replace(signature=encode_dss_signature(r, P256_ORDER - s))
        self.add(
            "v1-document-signature-negated",
            document,
            "ECDSA accepts (r, n - s) for (r, s), so a signature names nothing; the digest does, and is the same.",
            envelope=envelope._replace(signatures=(negated,)),
            made="The envelope of v1-document with s replaced by n - s.",
            based_on=base,
        )
        self.add(
            "v1-document-before-a-rotation",
            document,
            "An auditor asks for the authority at the position the statement names, before the key was retired.",
            envelope=envelope,
            made="The envelope of v1-document, read as an auditor who knows the directory up to the rotation.",
            circumstances=replace(AT_TAY_NINH, mode=AUDITOR_MODE, directory_position=HANOI_ROTATED),
            based_on=base,
        )
        self.add(
            "v1-document-alone",
            document,
            "An auditor may verify one envelope without its record: neither key nor inbox are known then.",
            envelope=envelope,
            made="The envelope of v1-document, read as an auditor without recipient and record key.",
            circumstances=replace(AT_TAY_NINH, mode=AUDITOR_MODE, recipient=None, record_key=None),
            based_on=base,
        )
        forked = replace(document, head=document.head._replace(directory_hash=derived("another log", 32)))
        self.add(
            "v1-directory-forked",
            forked,
            "The sender saw another directory log than ours at the same position: a finding, not a failure.",
            findings=(DIRECTORY_HASH_FINDING,),
            based_on=base,
        )
        ahead = replace(document, head=document.head._replace(made_at=NOW + MAX_CLOCK_SKEW_MS))
        self.add(
            "v1-clock-ahead",
            ahead,
            "A sender's clock may run ahead by exactly five minutes.",
            based_on=base,
        )
        self._freshness()

    def _freshness(self) -> None:
        """C1.22: how old the directory may be."""
        base = "v1-hybrid"
        limit = made_at(BEATING) + entries.DEFAULT_FRESHNESS_LIMIT_MS + MAX_CLOCK_SKEW_MS
        told = replace(AT_TAY_NINH, record_key=TAXES, directory_position=BEATING)
        for name, shows, made, circumstances in (
            (
                "directory-at-its-limit",
                "The last entry known is exactly as old as the directory allows, a day and five minutes.",
                "read that long after a heartbeat",
                replace(told, now_ms=limit),
            ),
            (
                "directory-without-heartbeat",
                "Before the first heartbeat nothing is said of the directory's age, however old it is.",
                "read a millisecond after that limit by somebody who knows no heartbeat",
                replace(told, directory_position=BEATING - 1, now_ms=limit + 1),
            ),
            (
                "directory-old-for-an-auditor",
                "An auditor does not ask how old the directory is: order decides, not clocks.",
                "read as an auditor a millisecond after that limit",
                replace(told, mode=AUDITOR_MODE, now_ms=limit + 1),
            ),
        ):
            self.add(
                f"v1-{name}",
                self.letters[base],
                shows,
                envelope=self.envelopes[base],
                made=f"The envelope of {base}, {made}.",
                circumstances=circumstances,
                based_on=base,
            )

    def _attachments(self) -> None:
        world = self.world
        made = "Sealed as a batch of one, signed by the sender's test key; a hint says where the parts lie."
        base = "v1-attachment"
        one = attach(world, "attachment", SHEET)
        letter = write_attached(world, "attachment", one)
        envelope = seal_batch(world, world.parties[HANOI].signer, [letter])[0]
        self.add(
            base,
            letter,
            "A document whose one file lies outside, in a single part, forced there by the builder.",
            envelope=envelope._replace(hints=(Hint(0, CONTENT_OF_HANOI, 0, (7,)),)),
            made=made,
            attached=(one,),
        )
        self.add(
            "v1-attachment-without-a-hint",
            letter,
            "Hints are unsigned and may be missing; the part is the same wherever it is found.",
            envelope=envelope,
            made="The envelope of v1-attachment without its hint.",
            based_on=base,
            attached=(one,),
        )
        self.add(
            "v1-attachment-with-a-foreign-hint",
            letter,
            "A hint for another agency's topic and another partition is ignored, and fails nothing.",
            envelope=envelope._replace(
                hints=(Hint(0, "docbus.content.vn.H53", 0, (7,)), Hint(0, CONTENT_OF_HANOI, 1, (7,)))
            ),
            made="The envelope of v1-attachment with other hints.",
            based_on=base,
            attached=(one,),
        )
        long = attach(world, "attachment-of-two-parts", (SHEET * (PART_BYTES // len(SHEET) + 3))[: PART_BYTES + 700])
        letter = write_attached(world, "attachment-of-two-parts", long)
        envelope = seal_batch(world, world.parties[HANOI].signer, [letter])[0]
        self.add(
            "v1-attachment-of-two-parts",
            letter,
            "A document whose one file lies outside, in a part of 512 KiB and one of 700 bytes.",
            envelope=envelope._replace(hints=(Hint(0, CONTENT_OF_HANOI, 0, (7, 12)),)),
            made=made,
            attached=(long,),
        )
        label = "two-attachments"
        two = (attach(world, label, SHEET), attach(world, label, SHEET[:-1] + b"!", index=1, name="plan-2.txt"))
        (inside,), contents = files_of(("notice.txt", "text/plain", b"See the plans.\n"))
        package = enclose(label, files=(two[1].file, inside, two[0].file), contents=contents)
        letter = write_attached(world, label, *two, package=package)
        envelope = seal_batch(world, world.parties[HANOI].signer, [letter])[0]
        self.add(
            f"v1-{label}",
            letter,
            "Two files outside, of equal size, and one inside; the manifest has its own order of files.",
            envelope=envelope._replace(
                hints=(Hint(0, CONTENT_OF_HANOI, 0, (20,)), Hint(1, CONTENT_OF_HANOI, 0, (21,)))
            ),
            made=made,
            attached=two,
        )
