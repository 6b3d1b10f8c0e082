"""Evidence about when a document was signed, and when the directory had come to an entry."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from docbus.audit.time_stamps import (
    MAX_EVIDENCE_BYTES,
    StampEvidence,
    dump_evidence,
    judge_directory,
    judge_entry,
    judge_envelope,
    load_evidence,
)
from docbus.envelope.envelope import Envelope, decode_envelope, encode_envelope
from docbus.envelope.stamped_batch import batch_digest_of
from docbus.errors import AuditError
from docbus.identity import entries
from docbus.identity.replay import DirectoryReplay
from docbus.identity.time_stamps.anchors import Anchors
from docbus.identity.time_stamps.asking import Question
from docbus.identity.time_stamps.stamped import stamped_batches, stamped_entry
from docbus.identity.time_stamps.token import decode_response, describe
from docbus.identity.time_stamps.verdict import Outcome, Reason
from docbus.wire.tree import levels, path_of
from tests.support.directory import DirectoryBuilder
from tests.support.time_stamps import NAME, Authority

if TYPE_CHECKING:
    from docbus.identity.snapshot import TrustSnapshot

VECTORS = Path(__file__).parents[2] / "vectors" / "envelope"
OTHERS = [bytes([number]) * 32 for number in range(1, 6)]
AT = 3
"""Place of the envelope's batch among the others."""


def envelope_of(vector: str) -> Envelope:
    return decode_envelope((VECTORS / vector / "envelope.bin").read_bytes())


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tsa"))


@pytest.fixture(scope="module")
def anchors(authority: Authority) -> Anchors:
    return Anchors.load(authority.anchor.read_bytes(), "tsa-ca.pem")


def token_about(authority: Authority, stamped: bytes) -> bytes:
    return describe(decode_response(authority.answer(Question.about(stamped).encoded))).token


@pytest.fixture(scope="module")
def evidence(authority: Authority) -> StampEvidence:
    """Evidence about the batch of five, as the fourth of six batches."""
    leaves = [*OTHERS[:AT], batch_digest_of(envelope_of("v1-batch-of-five-0")), *OTHERS[AT:]]
    tree = levels(leaves)
    return StampEvidence(
        environment="vectors",
        agency="vn:H26",
        count=len(leaves),
        index=AT,
        path=path_of(tree, AT),
        token=token_about(authority, stamped_batches("vectors", "vn:H26", len(leaves), tree[-1][0])),
    )


def judged(evidence: StampEvidence, anchors: Anchors, envelope: Envelope | None = None) -> tuple[Outcome, Any]:
    value = encode_envelope(envelope or envelope_of("v1-batch-of-five-0"))
    verdict = judge_envelope(value, evidence, anchors)
    return verdict.outcome, verdict.reason


@pytest.mark.parametrize("number", range(5))
def test_every_document_of_a_batch_is_proven_by_its_evidence(
    number: int, evidence: StampEvidence, anchors: Anchors
) -> None:
    """One token for the batch is one for each of its envelopes."""
    assert (Outcome.PASSED, None) == judged(evidence, anchors, envelope_of(f"v1-batch-of-five-{number}"))


def test_another_document_is_not_proven(evidence: StampEvidence, anchors: Anchors) -> None:
    """An envelope of a batch that was not stamped leads nowhere."""
    assert (Outcome.FAILED, Reason.IMPRINT) == judged(evidence, anchors, envelope_of("v1-document"))


def test_the_signature_is_covered(evidence: StampEvidence, anchors: Anchors) -> None:
    """Another signature over the same statements was not there at that time, as far as the token goes."""
    envelope = envelope_of("v1-batch-of-five-0")
    (block,) = envelope.signatures
    other = envelope._replace(signatures=(block._replace(signature=block.signature[:-1] + b"\x00"),))

    assert (Outcome.FAILED, Reason.IMPRINT) == judged(evidence, anchors, other)


@pytest.mark.parametrize(
    ("environment", "agency"), [("vectors", "vn:H27"), ("other", "vn:H26")], ids=["agency", "environment"]
)
def test_a_time_stamp_of_somebody_else_is_not_the_senders(
    environment: str, agency: str, authority: Authority, evidence: StampEvidence, anchors: Anchors
) -> None:
    """A token that is about this very batch, and was had by another agency or in another exchange, is told apart."""
    root = levels([*OTHERS[:AT], batch_digest_of(envelope_of("v1-batch-of-five-0")), *OTHERS[AT:]])[-1][0]
    token = token_about(authority, stamped_batches(environment, agency, evidence.count, root))
    foreign = replace(evidence, environment=environment, agency=agency, token=token)

    verdict = judge_envelope(encode_envelope(envelope_of("v1-batch-of-five-0")), foreign, anchors)

    assert (Outcome.FAILED, Reason.OWNER) == (verdict.outcome, verdict.reason)
    assert verdict.text == (
        f"the evidence is about batches of {agency} in {environment}; the statement is of vn:H26 in vectors"
    )


@pytest.mark.parametrize("changed", [{"environment": "other"}, {"agency": "vn:H27"}], ids=["environment", "agency"])
def test_evidence_that_names_somebody_else_fails(
    changed: dict[str, Any], evidence: StampEvidence, anchors: Anchors
) -> None:
    """Whose it is has to be whose statement it is."""
    assert (Outcome.FAILED, Reason.OWNER) == judged(replace(evidence, **changed), anchors)


@pytest.mark.parametrize(
    "changed",
    [
        {"count": 7},
        {"index": 2},
        {"path": b""},
        {"path": bytes(32 * 3)},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_evidence_with_one_thing_changed_fails(
    changed: dict[str, Any], evidence: StampEvidence, anchors: Anchors
) -> None:
    """Number, place and path are all under the imprint."""
    assert (Outcome.FAILED, Reason.IMPRINT) == judged(replace(evidence, **changed), anchors)


def test_an_envelope_that_cannot_be_read_fails(evidence: StampEvidence, anchors: Anchors) -> None:
    """Bytes that are no envelope have no time stamp."""
    verdict = judge_envelope(b"no envelope", evidence, anchors)

    assert (Outcome.FAILED, Reason.IMPRINT) == (verdict.outcome, verdict.reason)


def test_a_path_inside_the_envelope_that_fits_nowhere_fails(evidence: StampEvidence, anchors: Anchors) -> None:
    """An envelope whose own proof leads to no root belongs to no batch."""
    envelope = envelope_of("v1-batch-of-five-0")
    cut = envelope._replace(proof=envelope.proof._replace(path=envelope.proof.path[:-32]))

    assert (Outcome.FAILED, Reason.IMPRINT) == judged(evidence, anchors, cut)


def test_evidence_is_read_as_it_was_written(evidence: StampEvidence) -> None:
    """The file loses nothing."""
    assert evidence == load_evidence(dump_evidence(evidence))


@pytest.mark.parametrize(
    "changed",
    [
        {"format": "docbus-time-stamp-v2"},
        {"count": "6"},
        {"count": True},
        {"index": 6},
        {"index": -1},
        {"path": ["00"]},
        {"path": ["zz" * 32]},
        {"path": [7]},
        {"token": "!"},
        {"more": 1},
    ],
    ids=str,
)
def test_a_file_with_something_else_in_it_is_refused(changed: dict[str, Any], evidence: StampEvidence) -> None:
    """What is not of the format is no evidence, and nothing else happens."""
    content = json.loads(dump_evidence(evidence)) | changed

    with pytest.raises(AuditError, match="time stamp evidence"):
        load_evidence(json.dumps(content).encode())


@pytest.mark.parametrize("content", [b"", b"[]", b"[" * 50_000, b"\xff"])
def test_what_is_no_json_object_is_refused(content: bytes) -> None:
    """Neither an empty file nor a hostile one does more than be refused."""
    with pytest.raises(AuditError):
        load_evidence(content)


def test_evidence_is_bounded() -> None:
    """Size comes before parsing."""
    with pytest.raises(AuditError, match=f"{MAX_EVIDENCE_BYTES + 1} bytes"):
        load_evidence(b" " * (MAX_EVIDENCE_BYTES + 1))


# --- the directory ------------------------------------------------------------------------------------


class Log(DirectoryBuilder):
    """A directory with heartbeats."""

    def beat(self, token: bytes | None = None) -> None:
        self.append(entries.Heartbeat(time_stamp=token))

    def stamped(self, position: int) -> bytes:
        return stamped_entry(entries.decode_record(self.records[position]).entry)

    def snapshot(self) -> TrustSnapshot:
        replay = DirectoryReplay(self.genesis)
        for value in self.records:
            replay.apply(value)
        return replay.snapshot()


@pytest.fixture(scope="module")
def log(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Log:
    """1 and 2 beat; 3 has a token about 1, 4 one of a stranger about 2, 5 garbage, 6 one about nothing here."""
    made = Log()
    stranger = Authority(tmp_path_factory.mktemp("stranger"), name="Somebody else")
    made.beat()
    made.beat()
    made.beat(token_about(authority, made.stamped(1)))
    made.beat(token_about(stranger, made.stamped(2)))
    made.beat(b"garbage")
    made.beat(token_about(authority, b"something else"))
    return made


def test_the_directory_is_dated_by_the_tokens_that_prove_something(log: Log, anchors: Anchors) -> None:
    """Each token counts once, as what it is, and those that prove nothing are named by reason."""
    found = judge_directory(log.snapshot(), anchors)

    assert (4, 1, 2, 1) == (found.tokens, found.passed, found.failed, found.indeterminate)
    assert (1, f"CN={NAME}") == (found.entry, found.authority)
    assert {"authority_unknown": 1, "imprint_differs": 1, "token_malformed": 1} == found.reasons


def test_without_an_anchor_the_directory_is_not_dated(log: Log) -> None:
    """Tokens are counted, and none is believed."""
    found = judge_directory(log.snapshot(), None)

    assert (0, None, None) == (found.passed, found.entry, found.at)
    assert 2 == found.reasons["anchor_missing"]


@pytest.mark.parametrize(
    ("position", "outcome"),
    [(0, Outcome.PASSED), (1, Outcome.PASSED), (2, Outcome.INDETERMINATE), (3, None), (6, None)],
)
def test_an_entry_is_dated_by_a_token_about_it_or_a_later_one(
    position: int, outcome: Outcome | None, log: Log, anchors: Anchors
) -> None:
    """The hash of the later entry covers the earlier one, and never the other way round."""
    verdict = judge_entry(log.snapshot(), position, anchors)

    assert outcome == (None if verdict is None else verdict.outcome)


def test_a_proof_counts_more_than_a_later_doubt(authority: Authority, anchors: Anchors, tmp_path: Path) -> None:
    """An entry that one token proves stays proven, whatever others there are."""
    stranger = Authority(tmp_path, name="Somebody else")
    made = Log()
    made.beat()
    made.beat(token_about(stranger, made.stamped(1)))
    made.beat(token_about(authority, made.stamped(2)))
    made.beat(token_about(stranger, made.stamped(3)))

    found = [judge_entry(made.snapshot(), position, anchors) for position in (1, 3)]

    assert [Outcome.PASSED, Outcome.INDETERMINATE] == [one.outcome for one in found if one is not None]


def test_the_earliest_proof_counts(authority: Authority, anchors: Anchors) -> None:
    """Of two tokens that cover an entry, the one with the earlier time says more."""
    made = Log()
    made.beat()
    first = token_about(authority, made.stamped(1))
    made.beat(first)
    made.beat(token_about(authority, made.stamped(2)))

    verdict = judge_entry(made.snapshot(), 1, anchors)

    assert verdict is not None
    assert verdict.stamp is not None
    assert first == verdict.stamp.token
