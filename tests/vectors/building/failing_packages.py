"""Vectors that are honestly signed, and whose package does not open or is wrong inside: C2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docbus.envelope.package import content_context, encode_package
from docbus.envelope.statement import DocumentBody
from docbus.verification import checks
from tests.vectors.building.drawn import derived
from tests.vectors.building.letters import (
    Sealing,
    files_of,
    make_head,
    make_package,
    write_document,
)
from tests.vectors.building.two_keys import SALT_BYTES, message_of_two_keys
from tests.vectors.building.world import ENVIRONMENT, HANOI, LANG_SON, TAY_NINH

if TYPE_CHECKING:
    from docbus.envelope.package import Package
    from docbus.verification.checks import Check
    from tests.vectors.building.failing import Failing


def sealed_wrongly(make: Failing) -> None:
    """C2.01 to C2.05: the statement binds a package that does not open as it should."""
    world = make.world
    right = make.valid.letters["v1-document"]
    package = right.package
    if package is None or not isinstance(right.body, DocumentBody):
        raise TypeError("v1-document has a package")
    plaintext = encode_package(package)
    rows: tuple[tuple[str, Sealing, Check, str, str], ...] = (
        (
            "batch-key-for-another-agency",
            Sealing(batch_key_for=LANG_SON),
            checks.BATCH_KEY,
            "The batch key is wrapped to another agency's key.",
            "No key of the recipient opens it.",
        ),
        (
            "batch-key-from-another-sender",
            Sealing(batch_key_from=LANG_SON),
            checks.BATCH_KEY,
            "The batch key is wrapped in the context of another sender.",
            "The wrap is bound to sender and recipient.",
        ),
        (
            "batch-key-from-another-environment",
            Sealing(batch_key_in="production"),
            checks.BATCH_KEY,
            "The batch key is wrapped in the context of the environment production.",
            "The wrap is bound to the exchange.",
        ),
        (
            "batch-key-too-short",
            Sealing(batch_key=derived("short", 16)),
            checks.BATCH_KEY,
            "The batch key has 16 bytes.",
            "A batch key has 32 bytes.",
        ),
        (
            "content-key-under-another-key",
            Sealing(wrapping_key=derived("another batch key", 32)),
            checks.CONTENT_KEY,
            "The content key is wrapped under another batch key.",
            "The batch key does not open it.",
        ),
        (
            "content-key-too-short",
            Sealing(wrapped_content_key=derived("short", 24)),
            checks.CONTENT_KEY,
            "The wrapped content key has 24 bytes.",
            "A content key has 32 bytes.",
        ),
        (
            "another-content-key",
            Sealing(content_key=derived("another content key", 32)),
            checks.DECRYPTION,
            "The package is encrypted under another content key than the wrapped one.",
            "Cobblestone commits to its key.",
        ),
        (
            "context-of-another-document",
            Sealing(context=content_context(ENVIRONMENT, HANOI, "vector-document-other", 1)),
            checks.DECRYPTION,
            "The package is encrypted in the context of another document.",
            "The context binds environment, sender, document id and revision.",
        ),
        (
            "context-of-another-environment",
            Sealing(context=content_context("production", HANOI, "vector-document", 1)),
            checks.DECRYPTION,
            "The package is encrypted in the context of the environment production.",
            "The context binds environment, sender, document id and revision.",
        ),
        (
            "context-of-another-sender",
            Sealing(context=content_context(ENVIRONMENT, LANG_SON, "vector-document", 1)),
            checks.DECRYPTION,
            "The package is encrypted in the context of another sender.",
            "The context binds environment, sender, document id and revision.",
        ),
        (
            "context-of-another-revision",
            Sealing(context=content_context(ENVIRONMENT, HANOI, "vector-document", 2)),
            checks.DECRYPTION,
            "The package is encrypted in the context of another revision.",
            "The context binds environment, sender, document id and revision.",
        ),
        (
            "plaintext-trailing-byte",
            Sealing(plaintext=plaintext + b"\0"),
            checks.PLAINTEXT,
            "A zero byte added to the plaintext before it was encrypted and committed to.",
            "All bytes of a package must be consumed.",
        ),
        (
            "plaintext-empty",
            Sealing(plaintext=b""),
            checks.PLAINTEXT,
            "The plaintext is empty.",
            "It is no package.",
        ),
        (
            "commitment-of-another-plaintext",
            Sealing(committed=derived("another commitment", 32)),
            checks.COMMITMENT,
            "The statement commits to another plaintext.",
            "A recipient could never prove what it received.",
        ),
    )
    for name, sealing, check, made, why in rows:
        make.signed(name, write_document(world, "document", package=package, sealing=sealing), check, made, why)
    salted = encode_package(package._replace(salt=derived("another salt", 32)))
    make.signed(
        "another-salt",
        write_document(
            world,
            "document",
            package=package,
            sealing=Sealing(plaintext=salted, committed=right.body.package.commitment),
        ),
        checks.COMMITMENT,
        "The salt inside the package is not the one that was committed with.",
        "The commitment does not open.",
    )


def of_two_keys(make: Failing) -> None:
    """C2.03: a ciphertext that AES-GCM alone would open under two keys, to two plaintexts."""
    context = content_context(ENVIRONMENT, HANOI, "vector-document", 1)
    wrapped, other = derived("content key document", 32), derived("content key of two", 32)
    ciphertext = message_of_two_keys(
        wrapped, other, commits_to=other, salt=derived("salt of two keys", SALT_BYTES), context=context
    )
    make.signed(
        "package-of-two-keys",
        write_document(make.world, "document", sealing=Sealing(ciphertext=ciphertext)),
        checks.DECRYPTION,
        "The package is one block with one tag that AES-GCM opens under two keys; it commits to the other one.",
        "Cobblestone commits to its key, so that no ciphertext is one document for some and another for others.",
    )


def wrong_inside(make: Failing) -> None:
    """C2.06 and C2.07: the manifest is not what it should be."""
    world = make.world
    lists: tuple[tuple[str, Package, dict[str, Any], str, str], ...] = (
        (
            "recipients-without-me",
            make_package("document", recipients=(HANOI, LANG_SON)),
            {},
            "The manifest's recipients, committed to as they are, do not name the recipient.",
            "The sender addressed a copy to somebody it does not name to the others.",
        ),
        (
            "recipients-not-those-committed",
            make_package("document"),
            {"recipients_digest": derived("other recipients", 32)},
            "The statement commits to other recipients than the manifest names.",
            "All recipients must see the same list.",
        ),
    )
    for name, package, changed, made, why in lists:
        letter = write_document(world, "document", package=package, **changed)
        make.signed(name, letter, checks.RECIPIENTS, made, why)
    one = ("notice.txt", "text/plain", b"Contents of document.\n")
    two = ("second.txt", "text/plain", b"Second.\n")
    (first, second), both = files_of(one, two)
    rows = (
        (
            "content-digest-wrong",
            (first._replace(digest=derived("digest", 32)),),
            both[:1],
            "The manifest names another digest for the file.",
            "The content is not the one the manifest names.",
        ),
        (
            "content-size-wrong",
            (first._replace(size=first.size + 1),),
            both[:1],
            "The manifest names another size for the file.",
            "The content is not the one the manifest names.",
        ),
        (
            "two-files-one-content",
            (first, first._replace(name="copy.txt")),
            both[:1],
            "Two files name the same content.",
            "Each content belongs to one file.",
        ),
        (
            "content-without-a-file",
            (first,),
            both,
            "There is a second content that no file names.",
            "What the manifest does not name would be delivered to nobody, or to the careless.",
        ),
        (
            "file-without-a-content",
            (first, second),
            both[:1],
            "The second file names a content that is not there.",
            "Each file has its content.",
        ),
        (
            "two-files-one-name",
            (first, second._replace(name=first.name)),
            both,
            "Two files have the same name.",
            "One would overwrite the other.",
        ),
        (
            "two-files-one-name-in-capitals",
            (first, second._replace(name=first.name.upper())),
            both,
            "Two files have names that differ in letter case only.",
            "One would overwrite the other, where letter case does not count.",
        ),
    )
    for name, files, contents, made, why in rows:
        package = make_package("document", files=files, contents=contents)
        make.signed(name, write_document(world, "document", package=package), checks.CONTENTS, made, why)
    for name, file_name, made, why in (
        (
            "file-name-leads-outside",
            "../../etc/cron.d/notice",
            "The file is called ../../etc/cron.d/notice.",
            "A name that leads out of the folder it is filed in is no file name.",
        ),
        (
            "file-name-too-long",
            "x" * 256,
            "The file's name has 256 bytes.",
            "A file name has at most 255 bytes.",
        ),
        (
            "file-name-not-nfc",
            "tho\u0302ng-ba\u0301o.txt",
            "The file's name is in NFD.",
            "Names are in NFC, so that one name is one file.",
        ),
        (
            "file-name-turns-direction",
            "notice\u202etxt.exe",
            "The file's name has a character that turns the direction of writing.",
            "It would be shown with another suffix than it has.",
        ),
    ):
        package = make_package("document", files=(first._replace(name=file_name),))
        make.signed(name, write_document(world, "document", package=package), checks.PLAINTEXT, made, why)
    status = make.valid.letters["v1-status-with-note"]
    if status.package is None:
        raise TypeError("v1-status-with-note has a package")
    head = make_head(world, "document", sender=HANOI, recipient=TAY_NINH)
    make.signed(
        "note-in-place-of-a-document",
        write_document(world, "document", head=head, sealing=Sealing(plaintext=encode_package(status.package))),
        checks.COMMITMENT,
        "The package of a status's note in place of the document's, which the commitment does not cover.",
        "The commitment opens only to the plaintext it was made for.",
    )


ALL = (sealed_wrongly, of_two_keys, wrong_inside)
