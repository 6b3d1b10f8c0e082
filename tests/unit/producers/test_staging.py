from __future__ import annotations

import tracemalloc
from hashlib import sha256
from io import BytesIO, StringIO
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pytest
from typing_extensions import override

from docbus.documents.document import Document
from docbus.documents.file import File, FileStream
from docbus.envelope.encrypted import encrypt_document
from docbus.envelope.parts import AttachmentContext, open_part, part_leaf
from docbus.errors import DiskFullError, DocumentConflictError, DocumentError, DocumentTooLargeError, OutboxFullError
from docbus.limits import KIB, MAX_PACKAGE_BYTES, MIB, PART_BYTES
from docbus.producers import staging as module
from docbus.producers.publisher import Accepted, Publisher, PublisherLimits
from docbus.producers.staging import Stager, needs_staging
from docbus.storage import content as storage
from docbus.wire.parts import SEALED_PART_BYTES, content_size
from docbus.wire.tree import root_of
from tests.support.directory import ENVIRONMENT, NOW_MS, DirectoryBuilder
from tests.support.outbox import ANNA, BINH, SENDER, FakeClock, content_folder, rows, staged_files, states

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docbus.producers.staging import StagedDocument
    from docbus.storage.database import Database

LIMIT = 64 * MIB


def noise(size: int, seed: str = "") -> bytes:
    """Return content, the same for the same size and seed."""
    return Random(f"{size} {seed}").randbytes(size)  # noqa: S311 - any bytes will do


def stream(name: str, content: bytes, **changed: Any) -> FileStream:
    return FileStream(name=name, opener=lambda: BytesIO(content), **changed)


def file(name: str, content: bytes) -> File:
    return File(name=name, media_type="application/pdf", content=content)


def letter(*files: File | FileStream, **changed: Any) -> Document:
    values: dict[str, Any] = {"document_id": "a", "title": "Công văn", "files": files, "recipients": (ANNA,)}
    return Document(**(values | changed))


def stage(database: Database, document: Document, *, max_bytes: int = LIMIT, progress: Any = None) -> StagedDocument:
    content = content_folder(database)
    stager = Stager(environment=ENVIRONMENT, sender=SENDER, content=content, max_bytes=max_bytes, progress=progress)
    with content.staging() as folder:
        return stager.stage(document, folder, 0)


def large_names(staged: StagedDocument) -> list[str]:
    """Return the names of the files that lie on disk, in the order in which they were moved there."""
    return [staged.document.files[place].name for place in staged.attachments]


def opened(database: Database, staged: StagedDocument, place: int) -> bytes:
    """Decrypt what lies on disk, part by part, checking every word that is said of it."""
    found = staged.attachments[place]
    attachment = list(staged.attachments).index(place)
    sealed = content_folder(database).file(found.file).read_bytes()
    parts = [sealed[at : at + SEALED_PART_BYTES] for at in range(0, len(sealed), SEALED_PART_BYTES)]
    leaves = [part_leaf(part) for part in parts]
    assert (found.large.attachment.size, found.large.attachment.digest) == (len(sealed), root_of(leaves))
    assert found.leaves == b"".join(leaves)
    context = AttachmentContext(ENVIRONMENT, SENDER, "a", 1, attachment)
    plain = b"".join(
        bytes(open_part(part, found.large.key, context.of_part(index))) for index, part in enumerate(parts)
    )
    assert (found.large.size, found.large.digest) == (len(plain), sha256(plain).digest())
    return plain


# --- inside or outside ----------------------------------------------------------------------------


def test_small_stream_of_unknown_length_travels_inside(database: Database) -> None:
    """What turns out to be small is kept in memory, with its name and a media type told from its first bytes."""
    staged = stage(database, letter(stream("Tờ trình.pdf", b"%PDF-1.7 small")))

    assert staged.document.files == (file("Tờ trình.pdf", b"%PDF-1.7 small"),)
    assert staged.attachments == {}
    assert staged_files(database) == set()


@pytest.mark.parametrize(
    "size",
    [MAX_PACKAGE_BYTES, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES, 3 * PART_BYTES + 12_345],
)
@pytest.mark.parametrize("known", [False, True], ids=["unknown", "known"])
def test_large_stream_lies_encrypted_on_disk(database: Database, size: int, *, known: bool) -> None:
    """Part by part, whatever the size is; size, digests and key of the file open it again."""
    content = noise(size)
    staged = stage(database, letter(stream("a.bin", content, size=size if known else None)))

    assert opened(database, staged, 0) == content
    assert staged.attachments[0].large.attachment.size == content_size(size)
    assert staged_files(database) == {staged.attachments[0].file}


def test_large_file_in_memory_lies_encrypted_on_disk(database: Database) -> None:
    """It makes no difference whether content was given as bytes or as a stream."""
    content = noise(2 * PART_BYTES + 5)

    assert opened(database, stage(database, letter(file("a.pdf", content))), 0) == content


def test_names_types_and_order_are_kept(database: Database) -> None:
    """Whatever travels where, the recipient sees the files as the sender gave them."""
    files = (
        stream("lớn.docx", b"PK\x03\x04" + noise(PART_BYTES), media_type="application/x-own"),
        file("nhỏ.pdf", b"%PDF"),
        stream("scan.xyz", b"\x89PNG\r\n\x1a\n" + noise(PART_BYTES)),
        stream("bảng.xlsx", b"PK\x03\x04"),
    )
    staged = stage(database, letter(*files))

    assert [(one.name, one.media_type) for one in staged.document.files] == [
        ("lớn.docx", "application/x-own"),
        ("nhỏ.pdf", "application/pdf"),
        ("scan.xyz", "image/png"),
        ("bảng.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ]
    assert list(staged.attachments) == [0, 2]
    assert opened(database, staged, 2)[:8] == b"\x89PNG\r\n\x1a\n"


def test_largest_files_are_moved_out_until_the_others_fit(database: Database) -> None:
    """Together they may have 256 KiB of ciphertext; the largest travels outside first, and no more than needed."""
    files = [file("a", noise(100 * KIB)), file("b", noise(90 * KIB)), file("c", noise(80 * KIB))]

    assert large_names(stage(database, letter(*files[1:]))) == []
    assert large_names(stage(database, letter(*files))) == ["a"]
    assert large_names(stage(database, letter(*files, file("d", noise(95 * KIB)), file("e", noise(70 * KIB))))) == [
        "a",
        "d",
    ]


def test_many_small_streams_do_not_add_up_in_memory(database: Database) -> None:
    """What does not fit beside those before it is written at once."""
    files = [stream(f"{number:02}", noise(40 * KIB, f"{number}")) for number in range(40)]

    staged = stage(database, letter(*files))

    assert sum(len(one.content) for one in staged.document.files if isinstance(one, File)) <= MAX_PACKAGE_BYTES
    assert len(staged.attachments) == 40 - 6


def encrypted_size(staged: StagedDocument) -> int:
    encrypted = encrypt_document(
        staged.document, environment=ENVIRONMENT, sender=SENDER, now_ms=NOW_MS, large=staged.large
    )
    return len(encrypted.package)


@pytest.mark.parametrize("distance", range(-600, 100, 25))
def test_what_stays_inside_fits_an_envelope(database: Database, distance: int) -> None:
    """However near to the limit a file is, either it fits or it is moved out; the call never fails for it."""
    document = letter(file("a", noise(MAX_PACKAGE_BYTES + distance)), title="x" * 100, properties=(("k", "v" * 100),))
    if needs_staging(document):
        staged = stage(database, document)
        assert large_names(staged) == ["a"]
    else:
        staged = module.StagedDocument(document, {})

    assert encrypted_size(staged) <= MAX_PACKAGE_BYTES


@pytest.mark.parametrize("files", [128, 400, 1024])
def test_description_of_many_files_leaves_room_for_the_small_ones(database: Database, files: int) -> None:
    """A file outside still has its entry and its key in the package; what stays inside makes room for all of them."""
    document = letter(*[file(f"{number}", noise(2 * KIB, f"{number}")) for number in range(files)])

    staged = stage(database, document)

    assert encrypted_size(staged) <= MAX_PACKAGE_BYTES
    assert len(staged.attachments) > files - 128


# --- memory and disk ------------------------------------------------------------------------------


class Generated(BytesIO):
    """Eight MiB that are in memory nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.left = 8 * MIB

    @override
    def read(self, size: int | None = -1, /) -> bytes:
        given = min(self.left, 64 * KIB if size is None or size < 0 else min(size, 64 * KIB))
        self.left -= given
        return bytes(given)


def test_memory_holds_a_few_parts(database: Database) -> None:
    """Eight MiB are staged with less than three in memory."""
    document = letter(FileStream(name="a.bin", opener=Generated))
    stage(database, letter(stream("warm.bin", noise(PART_BYTES))))
    tracemalloc.start()
    try:
        staged = stage(database, document)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert staged.attachments[0].large.size == 8 * MIB
    assert peak < 3 * MIB


def test_plaintext_is_never_on_disk(database: Database) -> None:
    """What is written, also while it is written, has not a word of the content."""
    marker = "Tuyệt mật: kế hoạch".encode()
    seen: list[bytes] = []

    def look(_: int, __: int | None) -> None:
        seen.extend(path.read_bytes() for path in content_folder(database).path.rglob("*") if path.is_file())

    stage(database, letter(stream("a.bin", marker * 60_000), file("b.bin", marker * 30_000)), progress=look)
    look(0, None)

    assert max(map(len, seen)) > 2 * PART_BYTES
    assert not any(marker in stored for stored in seen)


def test_every_attachment_has_its_own_key(database: Database) -> None:
    """Two files of the same content, and the same file staged twice, have nothing in common on disk."""
    content = noise(PART_BYTES + 1)
    document = letter(stream("a", content), stream("b", content))
    staged = [*stage(database, document).attachments.values(), *stage(database, document).attachments.values()]

    assert len({one.large.key for one in staged}) == 4
    assert len({one.large.attachment.digest for one in staged}) == 4
    assert len({one.large.digest for one in staged}) == 1


def test_everything_is_synced_before_it_is_promised(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file and the folders that name it are on disk when staging returns; a long one is written meanwhile."""
    synced: list[str] = []
    fsync, fdatasync = module.os.fsync, module.os.fdatasync

    def path_of(descriptor: int) -> str:
        return module.os.readlink(f"/proc/self/fd/{descriptor}").split("/content/")[-1]

    def note(descriptor: int) -> None:
        synced.append(path_of(descriptor))
        fsync(descriptor)

    def note_data(descriptor: int) -> None:
        synced.append(f"data of {path_of(descriptor)}")
        fdatasync(descriptor)

    monkeypatch.setattr(module, "SYNC_BYTES", PART_BYTES)
    monkeypatch.setattr(module.os, "fsync", note)
    monkeypatch.setattr(module.os, "fdatasync", note_data)
    name = stage(database, letter(stream("a", noise(4 * PART_BYTES)))).attachments[0].file

    assert f"data of {name}" in synced
    assert synced[-3:] == [name, name.rpartition("/")[0], "outgoing"]


def test_progress_tells_bytes_and_total(database: Database) -> None:
    """While files are read somebody can be shown how far it is; without a known size there is no total."""
    told: list[tuple[int, int | None]] = []
    size = 2 * PART_BYTES + 7
    stage(
        database,
        letter(stream("a", noise(size), size=size), file("b", b"four")),
        progress=lambda done, total: told.append((done, total)),
    )
    told_unknown: list[tuple[int, int | None]] = []
    stage(database, letter(stream("a", b"x")), progress=lambda *pair: told_unknown.append(pair))

    assert told == [(done, size + 4) for done in (PART_BYTES, 2 * PART_BYTES, size, size + 4)]
    assert told_unknown == [(1, None)]


# --- through the publisher ------------------------------------------------------------------------


@pytest.fixture
def publisher(database: Database) -> Iterator[Publisher]:
    made = make(database)
    yield made
    made.close()


def make(database: Database, **limits: int) -> Publisher:
    builder = DirectoryBuilder()
    for agency in (SENDER, ANNA, BINH):
        builder.grant(agency)
    snapshot = builder.snapshot()
    return Publisher(
        database=database,
        environment=ENVIRONMENT,
        agency=SENDER,
        snapshot=lambda: snapshot,
        clock=FakeClock(ms=NOW_MS),
        limits=PublisherLimits(**limits),
    )


class Held(NamedTuple):
    """What the outbox has of large content."""

    files: set[str]
    rows: list[Any]


def held(database: Database) -> Held:
    return Held(
        staged_files(database),
        rows(database, "SELECT outgoing, attachment, size, parts, sent, file FROM content ORDER BY content"),
    )


async def test_accepted_content_waits_for_its_upload(database: Database, publisher: Publisher) -> None:
    """A row names each large attachment, in the statement's order, and every copy is held."""
    await publisher.publish(
        letter(stream("a", noise(PART_BYTES + 1)), file("b", b"x"), stream("c", noise(3 * PART_BYTES)),
               recipients=(ANNA, BINH))
    )  # fmt: skip

    files, found = held(database)
    assert [row[:5] for row in found] == [
        (1, 0, content_size(PART_BYTES + 1), 2, 0),
        (1, 1, content_size(3 * PART_BYTES), 3, 0),
    ]
    assert files == {row[5] for row in found}
    assert states(database) == [("a", ANNA, 7), ("a", BINH, 7)]


@pytest.mark.parametrize("given", ["stream", "typed stream", "file"])
@pytest.mark.parametrize("again", ["stream", "typed stream", "file"])
@pytest.mark.parametrize("size", [1000, 2 * PART_BYTES + 1])
async def test_same_content_again_is_a_duplicate(
    database: Database, publisher: Publisher, given: str, again: str, size: int
) -> None:
    """However it is given, the same content under the same id is the same document, and leaves no file."""

    def made(how: str) -> Document:
        content = noise(size)
        if how == "file":
            return letter(file("a.pdf", content))
        return letter(stream("a.pdf", content, media_type="application/pdf" if how == "typed stream" else None))

    first = await publisher.publish(made(given))
    before = held(database)

    second = await publisher.publish(made(again))

    assert (first, second) == (Accepted("a", 1, duplicate=False), Accepted("a", 1, duplicate=True))
    assert held(database) == before


@pytest.mark.parametrize(
    "changed",
    [
        letter(stream("a.pdf", noise(PART_BYTES + 1, "other"))),
        letter(stream("a.pdf", noise(PART_BYTES + 2))),
        letter(stream("b.pdf", noise(PART_BYTES + 1))),
        letter(stream("a.pdf", noise(PART_BYTES + 1), media_type="text/plain")),
        letter(stream("a.pdf", noise(PART_BYTES + 1)), title="Khác"),
        letter(stream("a.pdf", noise(PART_BYTES + 1)), stream("b.pdf", b"more")),
    ],
    ids=["content", "size", "name", "media type", "title", "files"],
)
async def test_other_content_under_the_same_id_is_a_conflict(
    database: Database, publisher: Publisher, changed: Document
) -> None:
    """Anything else under an id is refused, and what was accepted before is untouched."""
    await publisher.publish(letter(stream("a.pdf", noise(PART_BYTES + 1))))
    before = held(database)

    with pytest.raises(DocumentConflictError, match="document a"):
        await publisher.publish(changed)

    assert held(database) == before


async def test_one_document_twice_in_one_call_is_stored_once(database: Database, publisher: Publisher) -> None:
    """Also what nobody had accepted when reading began is found to be there, and its second file is removed."""
    document = letter(stream("a.pdf", noise(PART_BYTES + 1)))

    answers = await publisher.publish_many([document, document])

    assert [answer.duplicate for answer in answers] == [False, True]
    files, found = held(database)
    assert files == {row[5] for row in found}
    assert len(files) == 1


class Breaking(BytesIO):
    """Fails in the middle, as a disk that is pulled out."""

    @override
    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() >= 2 * PART_BYTES:
            raise OSError(5, "Input/output error")
        return super().read(size)


class Waiting(BytesIO):
    """Has nothing at the moment, as a pipe that does not block."""

    @override
    def read(self, size: int | None = -1, /) -> Any:
        return None


def closed() -> BytesIO:
    stream = BytesIO(b"x")
    stream.close()
    return stream


def missing() -> BytesIO:
    raise FileNotFoundError(2, "No such file or directory")


@pytest.mark.parametrize(
    ("bad", "error", "text"),
    [
        (FileStream(name="x.bin", opener=lambda: Breaking(noise(4 * PART_BYTES))), DocumentError, "Input/output error"),
        (FileStream(name="x.bin", opener=missing), DocumentError, "No such file"),
        (stream("x.bin", b""), DocumentError, "is empty"),
        (stream("x.bin", noise(5 * PART_BYTES)), DocumentTooLargeError, "document b has"),
        (stream("x.bin", noise(2 * PART_BYTES), size=3 * PART_BYTES), DocumentError, "1,572,864 were announced"),
        (stream("x.bin", noise(3 * PART_BYTES), size=2 * PART_BYTES), DocumentError, "or more, 1,048,576 were"),
        (FileStream(name="x.bin", opener=Waiting), DocumentError, "nothing to give at the moment"),
        (FileStream(name="x.bin", opener=cast("Any", lambda: StringIO("text"))), DocumentError, "gives str, not bytes"),
        (FileStream(name="x.bin", opener=cast("Any", lambda: None)), DocumentError, "returned NoneType"),
        (FileStream(name="x.bin", opener=closed), DocumentError, "closed file"),
    ],
    ids=["breaks", "missing", "empty", "too large", "shorter", "longer", "waits", "text", "nothing", "closed"],
)
@pytest.mark.parametrize("accepted", [False, True], ids=["new", "again"])
async def test_bad_stream_refuses_the_whole_call(
    database: Database, bad: FileStream, error: type[Exception], text: str, *, accepted: bool
) -> None:
    """The error says what is wrong with it; nothing of the call is taken in, and nothing of it is on disk."""
    publisher = make(database, document_bytes=4 * PART_BYTES)
    good = letter(stream("a.bin", noise(PART_BYTES)))
    if accepted:
        await publisher.publish(letter(stream("x.bin", noise(PART_BYTES)), document_id="b"))
    before = held(database), states(database)

    with pytest.raises(error, match=text):
        await publisher.publish_many([good, letter(stream("ok.bin", noise(PART_BYTES)), bad, document_id="b")])
    publisher.close()

    assert (held(database), states(database)) == before
    folders = list((content_folder(database).path / "outgoing").iterdir())
    assert len(folders) == len(before[0].files)


async def test_stream_that_announces_too_much_is_not_read(database: Database) -> None:
    """Gigabytes that would be refused in the end are refused at the beginning."""
    publisher = make(database, document_bytes=4 * PART_BYTES)
    with pytest.raises(DocumentTooLargeError, match="document a has"):
        await publisher.publish(letter(FileStream(name="x.bin", opener=missing, size=4 * PART_BYTES + 1)))
    publisher.close()

    assert (states(database), staged_files(database)) == ([], set())


async def test_room_is_checked_before_anything_is_read(
    database: Database, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a disk has too little room for what is announced, nothing is read, let alone written."""
    opened_streams: list[int] = []

    def opener() -> BytesIO:
        opened_streams.append(1)
        return BytesIO(noise(PART_BYTES))

    class Usage(NamedTuple):
        free: int

    room = storage.KEPT_FREE_BYTES + content_size(PART_BYTES)
    document = letter(FileStream(name="a", opener=opener, size=PART_BYTES))
    with monkeypatch.context() as patched:
        patched.setattr(storage.shutil, "disk_usage", lambda _: Usage(room - 1))
        with pytest.raises(DiskFullError, match="do not fit"):
            await publisher.publish(document)
        refused = list(opened_streams), states(database), staged_files(database)
        patched.setattr(storage.shutil, "disk_usage", lambda _: Usage(room))
        await publisher.publish(document)

    assert refused == ([], [], set())
    assert states(database) == [("a", ANNA, 7)]


async def test_content_counts_for_the_outboxs_limit(database: Database) -> None:
    """The files beside the database use the outbox's bytes too; what goes over leaves no file."""
    limited = make(database, outbox_bytes=database.file_bytes() + 3 * MIB)
    await limited.publish(letter(stream("a", noise(2 * MIB))))
    before = held(database)
    with pytest.raises(OutboxFullError, match="its limit is"):
        await limited.publish(letter(stream("a", noise(2 * MIB)), document_id="b"))
    again = await limited.publish(letter(stream("a", noise(2 * MIB))))
    limited.close()

    assert again.duplicate
    assert held(database) == before
