"""Every folder of ``tests/vectors/envelope`` through the verifier and the opener, and the vectors as a whole."""

from __future__ import annotations

import json
import re
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from docbus.envelope.package import Outside
from docbus.envelope.parts import AttachmentContext
from docbus.envelope.statement import DocumentBody
from docbus.errors import IndeterminateError, VerificationError
from docbus.identity.pki.material import NOTHING_KNOWN, ValidationMaterial, read_piece
from docbus.identity.replay import DirectoryReplay
from docbus.verification.checks import AUTHORITY_CODES, AUTHORITY_UNFIT, CERTIFICATE_CODES, CHECKS, PATH_CODES
from docbus.verification.opening import Opener
from docbus.verification.parts import WantedContent, check_part, check_whole, claimed_part, open_checked
from docbus.verification.paths import Paths
from docbus.verification.verifier import Verified, Verifier
from tests.vectors.build_vectors import build, differences
from tests.vectors.building.vector import AUDITOR_MODE, FORMAT, RECIPIENT_MODE, plain, plain_attachment, plain_package
from tests.vectors.building.world import load_decrypter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docbus.envelope.package import Package
    from docbus.identity.snapshot import TrustSnapshot

FOLDER = Path(__file__).parent / "vectors"
NAMES = sorted(path.name for path in (FOLDER / "envelope").iterdir())
FAILING = [name for name in NAMES if name.endswith("_fail")]
MIN_FAILING = 40


@cache
def _snapshot(position: int) -> TrustSnapshot:
    """Return what somebody knows who has read the log up to a position and no further."""
    replay = DirectoryReplay(bytes.fromhex((FOLDER / "trust" / "genesis.hex").read_text("ascii")))
    for path in sorted((FOLDER / "trust" / "directory").iterdir())[: position + 1]:
        replay.apply(path.read_bytes())
    return replay.snapshot()


def _expected(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "envelope" / name / "expected.json").read_text("utf-8"))
    return found


def _value(name: str) -> bytes:
    return (FOLDER / "envelope" / name / "envelope.bin").read_bytes()


def _parts(name: str) -> list[bytes]:
    folder = FOLDER / "envelope" / name
    return [(folder / f"part-{number}.bin").read_bytes() for number in range(_expected(name).get("parts", 0))]


def _run(name: str, verifier: Verifier) -> tuple[Verified, Package | None]:
    """Do with a vector what its mode says."""
    told = _expected(name)
    value, recipient = _value(name), told["recipient"]
    key = None if told["record_key"] is None else told["record_key"].encode()
    snapshot = _snapshot(told["directory_position"])
    MATERIAL.known = _material(tuple(told.get("material", ())))
    if told["mode"] == AUDITOR_MODE:
        return verifier.verify_recorded(value, key=key, recipient=recipient, snapshot=snapshot), None
    verified = verifier.verify(value, key=key, recipient=recipient, snapshot=snapshot, now_ms=told["now_ms"])
    pem = (FOLDER / "trust" / "keys" / f"{recipient.replace(':', '-')}.encryption.pem").read_bytes()
    return verified, Opener(recipient, [load_decrypter(pem)]).open(verified)


class _Material:
    """What is known at the moment; a verifier that is used for several vectors asks each time."""

    known = NOTHING_KNOWN


MATERIAL = _Material()


@cache
def _material(names: tuple[str, ...]) -> ValidationMaterial:
    return ValidationMaterial(read_piece((FOLDER / "trust" / "material" / name).read_bytes()) for name in names)


def _verifier() -> Verifier:
    return Verifier(Paths(lambda: MATERIAL.known))


def _wanted(verified: Verified, package: Package) -> Iterator[WantedContent]:
    """Yield what statement and manifest say of each attachment, in the statement's order."""
    head, body = verified.statement.head, verified.statement.body
    if not isinstance(body, DocumentBody):
        return
    files = {
        file.place.attachment: (file, file.place.key)
        for file in package.manifest.files
        if isinstance(file.place, Outside)
    }
    for index, attachment in enumerate(body.attachments):
        file, key = files[index]
        context = AttachmentContext(head.environment, head.sender, body.document_id, body.revision, index)
        yield WantedContent(context, attachment.size, attachment.digest, key, file.size, file.digest)


def _attachments(verified: Verified, package: Package, values: Iterator[bytes]) -> Iterator[bytes]:
    """Take as many records as each attachment has parts, and yield its plaintext."""
    for wanted in _wanted(verified, package):
        opened: dict[int, bytes] = {}
        while len(opened) < wanted.parts:
            part = claimed_part(next(values))
            check_part(part, wanted)
            opened[part.index] = open_checked(part, wanted)
        plaintext = b"".join(opened[index] for index in range(wanted.parts))
        check_whole(len(plaintext), sha256(plaintext).digest(), wanted)
        yield plaintext


def _outcome(name: str, verifier: Verifier) -> tuple[str, str | None, str | None]:
    try:
        verified, package = _run(name, verifier)
        if package is not None:
            list(_attachments(verified, package, iter(_parts(name))))
    except VerificationError as error:
        return "failed", error.step, error.code
    except IndeterminateError as error:
        return "indeterminate", error.step, error.code
    return "passed", None, None


@pytest.mark.parametrize("name", NAMES)
def test_outcome_step_and_code_are_the_expected_ones(name: str) -> None:
    """A vector comes out as its expected.json says: passed, or failed at this step with this code."""
    told = _expected(name)

    assert (told["outcome"], told["step"], told["code"]) == _outcome(name, _verifier())


@pytest.mark.parametrize("name", [name for name in NAMES if name not in FAILING])
def test_what_passes_is_decoded_as_expected(name: str) -> None:
    """Every field of statement and package, the digest, the findings and the attachments are those that were put in."""
    told = _expected(name)

    verified, package = _run(name, _verifier())
    values = iter(_parts(name))
    attachments = [] if package is None else list(_attachments(verified, package, values))

    assert told["statement_digest"] == verified.digest.hex()
    assert told["findings"] == list(verified.findings)
    assert told["statement"] == json.loads(json.dumps(plain(verified.statement)))
    if told["mode"] == RECIPIENT_MODE:
        assert told["package"] == (None if package is None else json.loads(json.dumps(plain_package(package))))
    assert told.get("attachments", []) == [plain_attachment(plaintext) for plaintext in attachments]
    assert [] == list(values)


@pytest.mark.parametrize("order", [NAMES, NAMES[::-1]], ids=["forwards", "backwards"])
def test_one_verifier_says_of_all_what_fresh_ones_say(order: list[str]) -> None:
    """What a verifier has seen before changes no outcome."""
    verifier = _verifier()

    for name in order + order:
        told = _expected(name)

        assert (name, told["outcome"], told["code"]) == (name, *_outcome(name, verifier)[::2])


def test_names_tell_what_fails() -> None:
    """A folder's name ends in _fail exactly where the outcome is not passed, and there are at least forty such."""
    assert FAILING == [name for name in NAMES if _expected(name)["outcome"] != "passed"]
    assert len(FAILING) >= MIN_FAILING
    assert {FORMAT} == {_expected(name)["format"] for name in NAMES}


@pytest.mark.parametrize("name", FAILING)
def test_a_failing_vector_is_derived_from_a_valid_one(name: str) -> None:
    """The vector it is based on passes, and its bytes, its parts or its circumstances are other ones."""
    told = _expected(name)
    base = _expected(told["based_on"])
    circumstances = ("mode", "recipient", "record_key", "directory_position", "now_ms", "material")

    assert "passed" == base["outcome"]
    assert (
        _value(name) != _value(told["based_on"])
        or _parts(name) != _parts(told["based_on"])
        or any(told.get(key) != base.get(key) for key in circumstances)
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_has_the_files_it_names(name: str) -> None:
    """Parts are numbered from 0 without holes, and there is nothing that a reader would overlook."""
    there = {path.name for path in (FOLDER / "envelope" / name).iterdir()}
    parts = {f"part-{number}.bin" for number in range(_expected(name).get("parts", 0))}

    assert {"README.md", "envelope.bin", "expected.json"} | parts == there


def test_every_check_has_a_vector() -> None:
    """Each check and each authority code fails in at least one vector."""
    met = {(_expected(name)["step"], _expected(name)["code"]) for name in FAILING}
    demanded = {(check.number, check.code) for check in CHECKS}
    demanded |= {("C1.04", code) for code in CERTIFICATE_CODES}
    demanded |= {("C1.19", code) for code in AUTHORITY_CODES}
    # No authority that does not keep its profile comes into the directory; see tests/unit/identity/pki/test_path.py.
    demanded |= {("C1.23", code) for code in PATH_CODES if code != AUTHORITY_UNFIT}

    assert set() == demanded - met
    assert set() == met - demanded


@pytest.mark.parametrize("name", NAMES)
def test_each_readme_says_why(name: str) -> None:
    """A README begins with the folder's name; that of a failing vector names outcome, step and code."""
    readme = (FOLDER / "envelope" / name / "README.md").read_text("utf-8")
    told = _expected(name)

    assert readme.startswith(f"# {name}\n")
    if name in FAILING:
        assert f"Expected: {told['outcome']} at {told['step']} with `{told['code']}`." in readme
    else:
        assert "Expected: passed." in readme


def test_building_again_gives_the_committed_bytes() -> None:
    """The builder, drawing nothing, makes every file of the vectors byte for byte."""
    assert [] == differences(build())


def test_folder_names_sort_and_read_well() -> None:
    """Folder names are version, words and _fail, so that they can be named in any shell."""
    assert [] == [name for name in NAMES if not re.fullmatch(r"v1-[a-z0-9-]+(_fail)?", name)]
