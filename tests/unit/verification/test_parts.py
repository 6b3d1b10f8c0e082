"""C2.09 to C2.12: what is a wanted part, what is only something else, and what the sender has to answer for.

Each check's failures are in ``tests/vectors``, as far as a small part shows them.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from docbus.envelope.parts import AttachmentContext, Part, encode_part, part_leaf, seal_part
from docbus.errors import VerificationError
from docbus.limits import PART_BYTES
from docbus.verification.parts import WantedContent, check_part, check_whole, claimed_part, open_checked
from docbus.wire.parts import SEALED_PART_BYTES, content_size
from docbus.wire.tree import levels, path_of

if TYPE_CHECKING:
    from collections.abc import Callable

CONTEXT = AttachmentContext("e", "vn:H26", "d-1", 1, 0)
KEY = b"k" * 32
SECRET = b"Nguyen Van Duc "


def large(plaintext: bytes, *, context: AttachmentContext = CONTEXT) -> tuple[WantedContent, list[Part]]:
    """Return what is signed of a content, and its parts."""
    cut = [plaintext[at : at + PART_BYTES] for at in range(0, len(plaintext), PART_BYTES)]
    sealed = [seal_part(one, KEY, context.of_part(index)) for index, one in enumerate(cut)]
    tree = levels([part_leaf(ciphertext) for ciphertext in sealed])
    size, root = content_size(len(plaintext)), tree[-1][0]
    parts = [Part(root, size, index, path_of(tree, index), ciphertext) for index, ciphertext in enumerate(sealed)]
    return WantedContent(context, size, root, KEY, len(plaintext), sha256(plaintext).digest()), parts


PLAINTEXT = (SECRET * (3 * PART_BYTES // len(SECRET)))[: 2 * PART_BYTES + 1000]
WANTED, PARTS = large(PLAINTEXT)


def refusal(function: Callable[..., object], *arguments: object) -> tuple[str | None, str]:
    """Return step and code of what is refused, after looking that the text carries no plaintext."""
    with pytest.raises(VerificationError) as caught:
        function(*arguments)
    assert SECRET.decode().strip() not in caught.value.text
    return caught.value.step, caught.value.code


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_parts_are_checked_and_opened_in_any_order(order: tuple[int, ...]) -> None:
    """Each part passes alone, whatever came before it, and together they are the file."""
    opened: dict[int, bytes] = {}
    for index in order:
        part = claimed_part(encode_part(PARTS[index]))
        check_part(part, WANTED)
        opened[part.index] = open_checked(part, WANTED)

    plaintext = b"".join(opened[index] for index in range(WANTED.parts))
    assert PLAINTEXT == plaintext
    check_whole(len(plaintext), sha256(plaintext).digest(), WANTED)


def test_a_part_that_comes_again_is_the_same_part() -> None:
    """A second upload of the same bytes passes as the first did."""
    for _ in range(2):
        check_part(PARTS[1], WANTED)
        assert PLAINTEXT[PART_BYTES : 2 * PART_BYTES] == open_checked(PARTS[1], WANTED)


@pytest.mark.parametrize("value", [None, b"", b"x", b"\xc3\x01", encode_part(PARTS[2])[:-1]])
def test_what_is_no_part_claims_nothing(value: bytes | None) -> None:
    """A tombstone, an empty value and bytes that are no part are C2.09, and raise nothing else."""
    assert ("C2.09", "part_malformed") == refusal(claimed_part, value)


def test_the_digest_is_asked_before_anything_is_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record of other content is told by what it names, so a full topic is passed over at little cost."""
    monkeypatch.setattr("docbus.verification.parts.belongs", lambda part: pytest.fail("hashed"))

    assert ("C2.10", "part_mismatch") == refusal(check_part, PARTS[0]._replace(digest=bytes(32)), WANTED)


def test_the_size_is_bound_by_the_statement_alone() -> None:
    """The tree says how many parts there are and not how long the last is: the record's size must be the signed one."""
    longer = PARTS[0]._replace(size=3 * SEALED_PART_BYTES)

    assert ("C2.10", "part_mismatch") == refusal(check_part, longer, WANTED)
    assert ("C2.10", "part_mismatch") == refusal(
        check_part, PARTS[2], WANTED._replace(sealed_size=2 * SEALED_PART_BYTES)
    )


@pytest.mark.parametrize(
    "part",
    [
        PARTS[1]._replace(index=0),
        PARTS[0]._replace(index=1, path=PARTS[1].path),
        PARTS[0]._replace(content=PARTS[1].content),
        PARTS[0]._replace(content=PARTS[0].content[:-1] + bytes((PARTS[0].content[-1] ^ 1,))),
        PARTS[2]._replace(content=PARTS[2].content[:-1]),
        PARTS[2]._replace(content=PARTS[2].content + b"\0"),
        PARTS[2]._replace(path=bytes(32)),
    ],
)
def test_a_whole_part_in_place_of_another_is_not_the_wanted_one(part: Part) -> None:
    """Content as long as the right one, at another place or with one bit changed, is C2.10 and accuses nobody."""
    assert ("C2.10", "part_mismatch") == refusal(check_part, part, WANTED)


@pytest.mark.parametrize(
    "changed",
    [
        {"environment": "f"},
        {"sender": "vn:H53"},
        {"document_id": "d-2"},
        {"revision": 2},
        {"attachment": 1},
    ],
)
def test_a_signed_part_of_another_context_does_not_open(changed: dict[str, int | str]) -> None:
    """A sender that signs the parts of one document for another is told so at C2.11, part by part."""
    other, parts = large(PLAINTEXT[:1000], context=CONTEXT._replace(**changed))  # type: ignore[arg-type] # by name
    wanted = other._replace(context=CONTEXT)

    check_part(parts[0], wanted)
    assert ("C2.11", "part_undecryptable") == refusal(open_checked, parts[0], wanted)


def test_two_parts_that_changed_places_before_signing_do_not_open() -> None:
    """The tree would take them, but each is encrypted for its own place."""
    tree = levels([part_leaf(PARTS[index].content) for index in (1, 0, 2)])
    wanted = WANTED._replace(root=tree[-1][0])
    swapped = Part(wanted.root, wanted.sealed_size, 0, path_of(tree, 0), PARTS[1].content)

    check_part(swapped, wanted)
    assert ("C2.11", "part_undecryptable") == refusal(open_checked, swapped, wanted)


def test_another_key_opens_nothing() -> None:
    """The key stands in the manifest, and Cobblestone commits to it."""
    assert ("C2.11", "part_undecryptable") == refusal(open_checked, PARTS[2], WANTED._replace(key=bytes(32)))


@pytest.mark.parametrize(
    ("size", "digest"), [(WANTED.size - 1, WANTED.digest), (WANTED.size, bytes(32)), (0, sha256(b"").digest())]
)
def test_another_whole_fails(size: int, digest: bytes) -> None:
    """Parts that all passed and make another file than the manifest's fail C2.12."""
    assert ("C2.12", "attachment_content_mismatch") == refusal(check_whole, size, digest, WANTED)


def test_parts_are_counted_by_the_signed_size() -> None:
    """How many parts there are follows from the statement, before any of them is seen."""
    assert 3 == WANTED.parts
    assert 1 == WANTED._replace(sealed_size=content_size(PART_BYTES)).parts
