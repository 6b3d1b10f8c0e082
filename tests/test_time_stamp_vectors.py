"""Every folder of ``tests/vectors/time-stamp`` through the verification of time stamps."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from docbus.audit.time_stamps import judge_envelope, load_evidence
from docbus.identity.time_stamps.anchors import Anchors
from docbus.identity.time_stamps.verdict import Outcome, Reason, judge
from tests.support.time_stamps import need_openssl
from tests.vectors.building.time_stamps import ALL, ANCHOR, FORMAT, STAMPS, STRANGER

NAMES = sorted(path.name for path in STAMPS.iterdir() if path.is_dir())


def told(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((STAMPS / name / "expected.json").read_text("utf-8"))
    return found


def anchors_of(name: str | None) -> Anchors | None:
    return None if name is None else Anchors.load((STAMPS / name).read_bytes(), name)


@pytest.mark.parametrize("name", NAMES)
def test_token_comes_out_as_expected(name: str) -> None:
    """Outcome, reason, time and authority are those on the day it was drawn, whatever day it is."""
    expected = told(name)
    token, stamped = ((STAMPS / name / file).read_bytes() for file in ("token.tst", "stamped.bin"))

    verdict = judge(token, stamped, anchors_of(expected["anchor"]), policy=expected["policy"])

    assert (FORMAT, expected["outcome"], expected["reason"]) == (FORMAT, verdict.outcome, verdict.reason)
    assert name.endswith("_fail") == (verdict.outcome is not Outcome.PASSED)
    if verdict.stamp is not None and verdict.outcome is Outcome.PASSED:
        assert (expected["time_ms"], expected["authority"]) == (verdict.stamp.time_ms, verdict.stamp.authority)


@pytest.mark.parametrize("name", [name for name in NAMES if "envelope" in told(name)])
def test_evidence_leads_from_the_envelope_to_the_token(name: str) -> None:
    """What an agency hands out is enough for whoever has the envelope."""
    envelope = (STAMPS.parent / "envelope" / told(name)["envelope"] / "envelope.bin").read_bytes()
    evidence = load_evidence((STAMPS / name / "time-stamp.json").read_bytes())

    assert Outcome.PASSED is judge_envelope(envelope, evidence, anchors_of(ANCHOR)).outcome


def test_every_reason_has_a_vector() -> None:
    """No reason for which a token proves nothing is without an example; whose evidence it is, no token tells."""
    assert set(Reason) - {Reason.OWNER} == {told(name)["reason"] for name in NAMES} - {None}


def test_nothing_else_is_there() -> None:
    """Folders are those that the builder draws, and each says what it shows."""
    assert sorted(vector.name for vector in ALL) == NAMES
    assert {ANCHOR, STRANGER, *NAMES} == {path.name for path in STAMPS.iterdir()}
    assert [] == [name for name in NAMES if not (STAMPS / name / "README.md").is_file()]


@pytest.mark.parametrize("name", [name for name in NAMES if not name.endswith("_fail")])
def test_openssl_says_the_same(name: str) -> None:
    """An outsider's program verifies what passes here."""
    command = [need_openssl(), "ts", "-verify", "-token_in", "-in", f"{name}/token.tst"]
    # Asked about the day on which it was made, as the authority's certificate ends some day.
    command += ["-data", f"{name}/stamped.bin", "-CAfile", ANCHOR, "-attime", str(told(name)["time_ms"] // 1000)]
    done = subprocess.run(command, cwd=STAMPS, capture_output=True, check=False, timeout=20, text=True)

    assert "Verification: OK" in done.stdout + done.stderr
