"""Every folder of ``tests/vectors/envelope`` through the verifier and the opener, and the vectors as a whole."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from docbus.errors import IndeterminateError, VerificationError
from docbus.identity.snapshot import DirectoryReplay
from docbus.verification.checks import AUTHORITY_CODES, CHECKS
from docbus.verification.opening import Opener
from docbus.verification.verifier import Verified, Verifier
from tests.vectors.build_vectors import build, differences
from tests.vectors.building.vector import AUDITOR_MODE, FORMAT, RECIPIENT_MODE, plain, plain_package
from tests.vectors.building.world import load_decrypter

if TYPE_CHECKING:
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


def _run(name: str, verifier: Verifier) -> tuple[Verified, Package | None]:
    """Do with a vector what its mode says."""
    told = _expected(name)
    value, recipient = _value(name), told["recipient"]
    key = None if told["record_key"] is None else told["record_key"].encode()
    snapshot = _snapshot(told["directory_position"])
    if told["mode"] == AUDITOR_MODE:
        return verifier.verify_recorded(value, key=key, recipient=recipient, snapshot=snapshot), None
    verified = verifier.verify(value, key=key, recipient=recipient, snapshot=snapshot, now_ms=told["now_ms"])
    pem = (FOLDER / "trust" / "keys" / f"{recipient.replace(':', '-')}.encryption.pem").read_bytes()
    return verified, Opener(recipient, [load_decrypter(pem)]).open(verified)


def _outcome(name: str, verifier: Verifier) -> tuple[str, str | None, str | None]:
    try:
        _run(name, verifier)
    except VerificationError as error:
        return "failed", error.step, error.code
    except IndeterminateError as error:
        return "indeterminate", error.step, error.code
    return "passed", None, None


@pytest.mark.parametrize("name", NAMES)
def test_outcome_step_and_code_are_the_expected_ones(name: str) -> None:
    """A vector comes out as its expected.json says: passed, or failed at this step with this code."""
    told = _expected(name)

    assert (told["outcome"], told["step"], told["code"]) == _outcome(name, Verifier())


@pytest.mark.parametrize("name", [name for name in NAMES if name not in FAILING])
def test_what_passes_is_decoded_as_expected(name: str) -> None:
    """Every field of statement and package, the digest and the findings are those that were put in."""
    told = _expected(name)

    verified, package = _run(name, Verifier())

    assert told["statement_digest"] == verified.digest.hex()
    assert told["findings"] == list(verified.findings)
    assert told["statement"] == json.loads(json.dumps(plain(verified.statement)))
    if told["mode"] == RECIPIENT_MODE:
        assert told["package"] == (None if package is None else json.loads(json.dumps(plain_package(package))))


@pytest.mark.parametrize("order", [NAMES, NAMES[::-1]], ids=["forwards", "backwards"])
def test_one_verifier_says_of_all_what_fresh_ones_say(order: list[str]) -> None:
    """What a verifier has seen before changes no outcome."""
    verifier = Verifier()

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
    """The vector it is based on passes, and its bytes or its circumstances are other ones."""
    told = _expected(name)
    base = _expected(told["based_on"])
    circumstances = ("mode", "recipient", "record_key", "directory_position", "now_ms")

    assert "passed" == base["outcome"]
    assert _value(name) != _value(told["based_on"]) or any(told[key] != base[key] for key in circumstances)


def test_every_check_has_a_vector() -> None:
    """Each check and each authority code fails in at least one vector."""
    met = {(_expected(name)["step"], _expected(name)["code"]) for name in FAILING}
    demanded = {(check.number, check.code) for check in CHECKS}
    demanded |= {("C1.19", code) for code in AUTHORITY_CODES}

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
