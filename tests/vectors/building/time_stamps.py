"""Draws ``tests/vectors/time-stamp``, once: ``python -m tests.vectors.building.time_stamps``; needs `openssl`.

A time-stamping authority signs with a clock and with randomness that nobody can hand in, so that these vectors are kept
like keys: what is there is never made again, and only what is missing is drawn.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.serialization import Encoding

from docbus.audit.time_stamps import StampEvidence, dump_evidence
from docbus.envelope.envelope import decode_envelope
from docbus.envelope.stamped_batch import batch_digest_of
from docbus.identity.entries import decode_record
from docbus.identity.time_stamps.anchors import Anchors
from docbus.identity.time_stamps.stamped import stamped_batches, stamped_entry
from docbus.identity.time_stamps.verdict import judge
from docbus.wire.tree import levels, path_of
from tests.support.time_stamps import Authority, element, elements_in, with_certificate

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = Path(__file__).parents[1]
STAMPS = FOLDER / "time-stamp"
FORMAT = "docbus-time-stamp-vector-1"
ANCHOR, STRANGER = "anchor.pem", "stranger.pem"
AGENCY, ENVIRONMENT = "vn:H26", "vectors"
ENVELOPE = "v1-batch-of-five-0"
OTHERS = (bytes([1]) * 32, bytes([2]) * 32, bytes([3]) * 32)
"""Digests of other batches under the same token; the envelope's is the third of four."""
INDEX = 2


@dataclass(frozen=True)
class StampVector:
    """One folder: what it shows, and what it consists of."""

    name: str
    shows: str
    token: Callable[[], bytes]
    stamped: Callable[[], bytes]
    anchor: str | None = ANCHOR
    policy: str | None = None
    more: dict[str, Callable[[], bytes]] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)


@cache
def _authority(name: str) -> Authority:
    """Return the test authority in one of its forms; all but the stranger share the root."""
    folder = Path(tempfile.mkdtemp())
    if name == "stranger":
        return Authority(folder, name="Somebody else")
    if name == "expired":
        return _authority("good").renewed(folder, (-timedelta(days=9), -timedelta(days=2)))
    return Authority(folder, valid=(-timedelta(days=1), timedelta(days=3650)))


def _token(stamped: bytes, name: str = "good", *, digest: str = "sha256", chain: bool = False) -> bytes:
    """Have bytes stamped, as somebody who uses nothing but `openssl` does."""
    authority = _authority(name)
    (authority.folder / "stamped.bin").write_bytes(stamped)
    command = [authority.openssl, "ts", "-query", "-data", "stamped.bin", f"-{digest}", "-cert", "-out", "asked.tsq"]
    subprocess.run(command, cwd=authority.folder, capture_output=True, check=True, timeout=20)
    authority.chain = chain
    answer = authority.answer((authority.folder / "asked.tsq").read_bytes())
    ((_, body),) = elements_in(answer)
    return element(*elements_in(body)[1])


@cache
def _leaves() -> tuple[bytes, ...]:
    value = (FOLDER / "envelope" / ENVELOPE / "envelope.bin").read_bytes()
    return (*OTHERS[:INDEX], batch_digest_of(decode_envelope(value)), *OTHERS[INDEX:])


def _stamped_batch() -> bytes:
    return stamped_batches(ENVIRONMENT, AGENCY, len(_leaves()), levels(_leaves())[-1][0])


def _stamped_entry() -> bytes:
    return stamped_entry(decode_record((FOLDER / "trust" / "directory" / "0003.bin").read_bytes()).entry)


@cache
def _batch_token() -> bytes:
    return _token(_stamped_batch())


def _evidence() -> bytes:
    path = path_of(levels(_leaves()), INDEX)
    return dump_evidence(
        StampEvidence(
            environment=ENVIRONMENT,
            agency=AGENCY,
            count=len(_leaves()),
            index=INDEX,
            path=path,
            token=_batch_token(),
        )
    )


def _for_something_else() -> bytes:
    return with_certificate(_batch_token(), _authority("good").certificate(critical=False).public_bytes(Encoding.DER))


def _flipped() -> bytes:
    token = _batch_token()
    return token[:-1] + bytes([token[-1] ^ 1])


ALL = (
    StampVector(
        "v1-batch",
        "four batches of an agency under one token; the evidence leads from the envelope's batch to it",
        _batch_token,
        _stamped_batch,
        more={"time-stamp.json": _evidence},
        told={"envelope": ENVELOPE},
    ),
    StampVector("v1-entry", "entry 3 of the directory", lambda: _token(_stamped_entry()), _stamped_entry),
    StampVector(
        "v1-sha512",
        "an imprint made with SHA-512",
        lambda: _token(_stamped_entry(), digest="sha512"),
        _stamped_entry,
    ),
    StampVector(
        "v1-whole-chain",
        "the certificate of the root is in the token as well, in an order that is not DER's",
        lambda: _token(_stamped_entry(), chain=True),
        _stamped_entry,
    ),
    StampVector("v1-no-anchor_fail", "nobody was named whom to believe", _batch_token, _stamped_batch, anchor=None),
    StampVector(
        "v1-another-authority_fail",
        "a token of an authority that the anchor does not vouch for",
        lambda: _token(_stamped_batch(), "stranger"),
        _stamped_batch,
    ),
    StampVector(
        "v1-another-policy_fail",
        "a token under another policy than the one asked for",
        _batch_token,
        _stamped_batch,
        policy="1.3.6.1.4.1.99999.2",
    ),
    StampVector("v1-other-bytes_fail", "the stamped bytes are others", _batch_token, _stamped_entry),
    StampVector(
        "v1-sha1_fail",
        "an imprint made with SHA-1",
        lambda: _token(_stamped_batch(), digest="sha1"),
        _stamped_batch,
    ),
    StampVector("v1-signature-bit-flipped_fail", "one bit of the signature is another", _flipped, _stamped_batch),
    StampVector(
        "v1-certificate-expired_fail",
        "the authority's certificate had ended when it signed",
        lambda: _token(_stamped_batch(), "expired"),
        _stamped_batch,
    ),
    StampVector(
        "v1-purpose-not-critical_fail",
        "the certificate in the token says the same, and its purpose is not critical",
        _for_something_else,
        _stamped_batch,
    ),
    StampVector(
        "v1-without-certificate_fail",
        "the certificate is not in the token",
        lambda: with_certificate(_batch_token(), b""),
        _stamped_batch,
    ),
    StampVector("v1-cut-short_fail", "the last byte is missing", lambda: _batch_token()[:-1], _stamped_batch),
)


def main() -> None:
    """Draw everything, if nothing is there."""
    if STAMPS.exists():
        raise SystemExit(f"{STAMPS} is there, and is never made again")
    STAMPS.mkdir()
    (STAMPS / ANCHOR).write_bytes(_authority("good").anchor.read_bytes())
    (STAMPS / STRANGER).write_bytes(_authority("stranger").anchor.read_bytes())
    for vector in ALL:
        folder = STAMPS / vector.name
        folder.mkdir()
        token, stamped = vector.token(), vector.stamped()
        (folder / "token.tst").write_bytes(token)
        (folder / "stamped.bin").write_bytes(stamped)
        for name, made in vector.more.items():
            (folder / name).write_bytes(made())
        (folder / "expected.json").write_text(json.dumps(_told(vector, token, stamped), indent=1) + "\n", "utf-8")
        sentence = f"{vector.shows[:1].upper()}{vector.shows[1:]}."
        (folder / "README.md").write_text(f"# {vector.name}\n\n{sentence}\n", "utf-8")


def _told(vector: StampVector, token: bytes, stamped: bytes) -> dict[str, Any]:
    """Return what is expected; whoever draws reads it before it is committed."""
    anchors = None if vector.anchor is None else Anchors.load((STAMPS / vector.anchor).read_bytes(), vector.anchor)
    verdict = judge(token, stamped, anchors, policy=vector.policy)
    passed = verdict.reason is None and verdict.stamp is not None
    return {
        "format": FORMAT,
        "anchor": vector.anchor,
        "policy": vector.policy,
        "outcome": verdict.outcome.value,
        "reason": verdict.reason,
        "time_ms": verdict.stamp.time_ms if passed and verdict.stamp else None,
        "authority": verdict.stamp.authority if passed and verdict.stamp else None,
    } | vector.told


if __name__ == "__main__":
    main()
