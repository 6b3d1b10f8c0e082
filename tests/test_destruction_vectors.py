"""Every folder of ``tests/vectors/key-destruction`` through the verifier of destroyed keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from docbus.envelope.envelope import decode_envelope
from docbus.envelope.key_destruction import decode_destruction, encode_destruction
from docbus.errors import IndeterminateError, VerificationError
from docbus.verification.key_destructions import verify_destruction
from docbus.verification.verifier import Verifier
from tests.support.letters import snapshot
from tests.vectors.building.destructions import FORMAT
from tests.vectors.building.vector import plain

FOLDER = Path(__file__).parent / "vectors" / "key-destruction"
NAMES = sorted(path.name for path in FOLDER.iterdir())


def _told(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / name / "expected.json").read_text("utf-8"))
    return found


def _outcome(name: str) -> tuple[object, ...]:
    """Return outcome, step, code, and of what passes digest, findings and fields."""
    told = _told(name)
    value = (FOLDER / name / "envelope.bin").read_bytes()
    known = snapshot(told["directory_position"])
    try:
        verified = verify_destruction(Verifier(), value, agency=told["agency"], snapshot=known)
    except VerificationError as error:
        return "failed", error.step, error.code, None, None, None
    except IndeterminateError as error:
        return "indeterminate", error.step, error.code, None, None, None
    fields = json.loads(json.dumps(plain(verified.destruction)))
    return "passed", None, None, verified.digest.hex(), list(verified.findings), fields


@pytest.mark.parametrize("name", NAMES)
def test_destruction_comes_out_as_expected(name: str) -> None:
    """Outcome, step and code are those of expected.json, and of what passes digest, findings and every field."""
    told = _told(name)
    passed = told.get("digest"), told.get("findings"), told.get("destruction")

    assert (told["outcome"], told["step"], told["code"], *passed) == _outcome(name)
    assert name.endswith("_fail") == (told["outcome"] != "passed")


@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith("_fail")])
def test_destruction_is_encoded_as_it_was(name: str) -> None:
    """Encoding what was decoded gives the signed bytes."""
    statement = decode_envelope((FOLDER / name / "envelope.bin").read_bytes()).statement

    assert statement == encode_destruction(decode_destruction(statement))


def test_failing_ones_are_most() -> None:
    """There is a valid one, and many more that differ by one thing; all have the format's name."""
    assert {FORMAT} == {_told(name)["format"] for name in NAMES}
    assert {"v1-destruction", "v1-key-in-force"} <= set(NAMES)
    assert 12 <= sum(name.endswith("_fail") for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_readme_says_why(name: str) -> None:
    """A README begins with the folder's name, and names what is expected."""
    readme = (FOLDER / name / "README.md").read_text("utf-8")
    told = _told(name)

    assert readme.startswith(f"# {name}\n")
    assert (f"{told['outcome']} at {told['step']} with `{told['code']}`" if told["step"] else "passed") in readme
