"""Every folder of ``tests/vectors/act`` through the verifier of acts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from docbus.envelope.act import decode_act, encode_act
from docbus.envelope.envelope import decode_envelope
from docbus.errors import IndeterminateError, VerificationError
from docbus.verification.acts import verify_act
from docbus.verification.verifier import Verifier
from tests.support.letters import snapshot
from tests.vectors.building.acts import FORMAT
from tests.vectors.building.vector import plain

FOLDER = Path(__file__).parent / "vectors" / "act"
NAMES = sorted(path.name for path in FOLDER.iterdir())


def _told(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / name / "expected.json").read_text("utf-8"))
    return found


def _outcome(name: str) -> tuple[str, str | None, str | None, str | None, object]:
    """Return outcome, step, code, and of what passes digest and fields."""
    told = _told(name)
    value = (FOLDER / name / "envelope.bin").read_bytes()
    known = snapshot(told["directory_position"])
    try:
        verified = verify_act(Verifier(), value, agency=told["agency"], snapshot=known)
    except VerificationError as error:
        return "failed", error.step, error.code, None, None
    except IndeterminateError as error:
        return "indeterminate", error.step, error.code, None, None
    return "passed", None, None, verified.digest.hex(), json.loads(json.dumps(plain(verified.act)))


@pytest.mark.parametrize("name", NAMES)
def test_act_comes_out_as_expected(name: str) -> None:
    """Outcome, step and code are those of expected.json, and of what passes digest and every field."""
    told = _told(name)

    assert (told["outcome"], told["step"], told["code"], told.get("digest"), told.get("act")) == _outcome(name)
    assert name.endswith("_fail") == (told["outcome"] != "passed")


@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith("_fail")])
def test_act_is_encoded_as_it_was(name: str) -> None:
    """Encoding what was decoded gives the signed bytes."""
    statement = decode_envelope((FOLDER / name / "envelope.bin").read_bytes()).statement

    assert statement == encode_act(decode_act(statement))


def test_failing_acts_are_most() -> None:
    """There are valid ones, also of a batch, and many more that differ by one thing; all have the format's name."""
    assert {FORMAT} == {_told(name)["format"] for name in NAMES}
    assert {"v1-batch-0", "v1-batch-1", "v1-batch-2", "v1-release"} <= set(NAMES)
    assert 12 <= sum(name.endswith("_fail") for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_readme_says_why(name: str) -> None:
    """A README begins with the folder's name, and names what is expected."""
    readme = (FOLDER / name / "README.md").read_text("utf-8")
    told = _told(name)

    assert readme.startswith(f"# {name}\n")
    assert (f"{told['outcome']} at {told['step']} with `{told['code']}`" if told["step"] else "passed") in readme
