"""The vectors of acts: folders of ``tests/vectors/act``."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from docbus.envelope.act import PAYLOAD_TYPE, VERSION, Act, act_digest, seal_acts
from docbus.envelope.batch import batch_signed_bytes
from docbus.envelope.envelope import Envelope, Proof, Signature, decode_envelope, encode_envelope
from docbus.envelope.statement import DOCUMENT_TYPE
from docbus.verification import checks
from docbus.wire.avro import load_schema
from docbus.wire.pae import leaf_digest
from tests.vectors.building.vector import plain
from tests.vectors.building.world import (
    ALL_OPEN,
    ENVIRONMENT,
    HANOI,
    HANOI_ROTATED,
    LANG_SON,
    LANG_SON_REVOKED,
    NOW,
    TAY_NINH,
    signatures_by,
)

if TYPE_CHECKING:
    from docbus.identity.signing import HybridSigner, KeySigner
    from docbus.verification.checks import Check
    from tests.vectors.building.world import World

FORMAT = "docbus-act-vector-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ActVector:
    """A folder of ``tests/vectors/act``; ``check`` is what says no, and ``why`` a sentence."""

    name: str
    shows: str
    value: bytes
    act: Act | None = None
    agency: str = HANOI
    directory_position: int = ALL_OPEN
    based_on: str | None = None
    check: Check | None = None
    outcome: str = "passed"
    code: str | None = None
    why: str = ""

    def files(self) -> dict[str, bytes]:
        """Return the content of each file of the folder."""
        expected: dict[str, Any] = {
            "format": FORMAT,
            "based_on": self.based_on,
            "agency": self.agency,
            "directory_position": self.directory_position,
            "outcome": self.outcome,
            "step": None if self.check is None else self.check.number,
            "code": None if self.check is None else self.code or self.check.code,
        }
        lines = [f"# {self.name}", self.shows]
        if self.check is None:
            expected["digest"] = act_digest(decode_envelope(self.value).statement).hex()
            expected["act"] = plain(self.act)
            lines.append("Expected: passed.")
        else:
            lines += [self.why, f"Expected: {self.outcome} at {self.check.number} with `{expected['code']}`."]
        return {
            "envelope.bin": self.value,
            "expected.json": json.dumps(expected, ensure_ascii=False, indent=1).encode() + b"\n",
            "README.md": ("\n\n".join(lines) + "\n").encode(),
        }


class _DrawnSigner:
    """Signs as the library does, but takes what it draws from ``drawn.json``."""

    def __init__(self, world: World, signer: KeySigner | HybridSigner) -> None:
        self._world = world
        self._signer = signer
        self.certificate = signer.certificate
        self.profile = signer.profile

    def sign(self, tbs: bytes) -> bytes:
        return self.sign_all(tbs)[0]

    def sign_all(self, tbs: bytes) -> tuple[bytes, ...]:
        return signatures_by(self._world, self._signer, tbs)


class ActVectors:
    """Makes all of them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.vectors: list[ActVector] = []
        release = self._act("release")
        self._passed("v1-release", "A record is released from quarantine; an act by itself.", release)
        self._passed(
            "v1-reject-without-document",
            "A record that cannot be verified is rejected: neither sender nor document are proven.",
            self._act(
                "reject-without-document", action="reject", refused_for="", sender=None, document_id=None, revision=None
            ),
        )
        batch = [self._act(f"batch-{n}", action="redeliver", topic="dead-letter", number=n) for n in range(3)]
        for n, value in enumerate(seal_acts(batch, world.parties[HANOI].signer)):
            self.vectors.append(
                ActVector(
                    name=f"v1-batch-{n}", shows=f"Act {n + 1} of three under one signature.", value=value, act=batch[n]
                )
            )
        other = self._act("rsa", agency=LANG_SON)
        self._passed("v1-rsa-pss", "An act under an RSA-PSS key.", other, agency=LANG_SON)
        self._fail()

    def _act(self, label: str, *, agency: str = HANOI, **changed: Any) -> Act:
        values: dict[str, Any] = {
            "version": VERSION,
            "environment": ENVIRONMENT,
            "agency": agency,
            "certificate": self._world.parties[agency].signer.certificate,
            "directory_position": ALL_OPEN,
            "directory_hash": self._world.hashes[ALL_OPEN],
            "made_at": NOW,
            "operator": "Nguyễn Thị Lan",
            "action": "release",
            "topic": "quarantine",
            "number": 3,
            "digest": sha256(b"record").digest(),
            "refused_for": "batch_key_unusable",
            "sender": TAY_NINH,
            "document_id": "15/UBND-VP",
            "revision": 1,
            "reason": "Khóa giải mã đã được khôi phục.",
            "nonce": sha256(f"act {label}".encode()).digest()[:16],
        }
        return Act(**(values | changed))

    def _passed(self, name: str, shows: str, act: Act, *, agency: str = HANOI) -> None:
        value = seal_acts([act], _DrawnSigner(self._world, self._world.parties[agency].signer))[0]
        self.vectors.append(ActVector(name=name, shows=shows, value=value, act=act, agency=agency))

    def _fail(self) -> None:
        base = self.vectors[0]
        if base.act is None:
            raise TypeError("the first vector passes")
        envelope, act = decode_envelope(base.value), base.act
        block = envelope.signatures[0]
        flipped = bytes([*block.signature[:-1], block.signature[-1] ^ 1])
        self._failing(
            "signature-bit-flipped",
            envelope._replace(signatures=(block._replace(signature=flipped),)),
            checks.SIGNATURE,
            "Nobody has signed this.",
        )
        changed = envelope.statement.replace(act.reason.encode(), act.reason.upper().encode())
        self._failing(
            "reason-changed",
            envelope._replace(statement=changed),
            checks.SIGNATURE,
            "Another reason was signed.",
        )
        self._failing(
            "package-beside-it",
            envelope._replace(package=b"x"),
            checks.ENVELOPE,
            "An act has no package, and nothing signs one.",
        )
        document = (self._sealed(act, payload_type=DOCUMENT_TYPE), checks.PAYLOAD_TYPE)
        self._failing("says-it-is-a-document", *document, "Its payload type is that of documents.")
        self._failing(
            "another-certificate",
            self._sealed(act._replace(certificate=self._world.second.signer.certificate)),
            checks.SAME_CERTIFICATE,
            "The act names another certificate than the one that signed.",
        )
        self._failing(
            "in-the-name-of-another",
            self._sealed(act._replace(agency=TAY_NINH)),
            checks.SENDER,
            "The act says it is of an agency to which the certificate is not granted.",
            agency=TAY_NINH,
        )
        self._failing(
            "in-another-ledger", envelope, checks.SENDER, "It lies in another agency's ledger.", agency=TAY_NINH
        )
        self._failing(
            "another-environment",
            self._sealed(act._replace(environment="test")),
            checks.ENVIRONMENT,
            "It was made for another exchange.",
        )
        for name, field in (("without-operator", "operator"), ("without-reason", "reason")):
            self._failing(
                name, self._sealed(act._replace(**{field: ""})), checks.STATEMENT, f"The {field} must not be empty."
            )
        self._failing(
            "document-without-sender",
            self._sealed(act._replace(sender=None)),
            checks.STATEMENT,
            "A document is named only with its proven sender.",
        )
        self._failing(
            "after-retirement",
            self._sealed(
                act._replace(directory_position=HANOI_ROTATED, directory_hash=self._world.hashes[HANOI_ROTATED])
            ),
            checks.AUTHORITY,
            "Its key was retired by the entry it names.",
            code=checks.RETIRED,
            directory_position=HANOI_ROTATED,
        )
        self._failing(
            "directory-behind",
            self._sealed(
                act._replace(directory_position=HANOI_ROTATED, directory_hash=self._world.hashes[HANOI_ROTATED]),
            ),
            checks.DIRECTORY,
            "The verifier does not know the entry under which it was made.",
            outcome="indeterminate",
        )
        rsa = next(one for one in self.vectors if one.name == "v1-rsa-pss")
        self.vectors.append(
            replace(
                rsa,
                name="v1-revoked-later_fail",
                shows="As `v1-rsa-pss`, once the key is revoked.",
                based_on=rsa.name,
                directory_position=LANG_SON_REVOKED,
                check=checks.AUTHORITY,
                code=checks.REVOKED_LATER,
                outcome="indeterminate",
                why="Nothing tells whether it was made before the revocation.",
            )
        )

    def _sealed(self, act: Act, *, payload_type: str = PAYLOAD_TYPE) -> Envelope:
        """Repeat what ``docbus/envelope/act.py`` does, without asking whether the act may be."""
        encoded = load_schema("act").encode(act._asdict() | {"topic": act.topic.replace("-", "_")})
        signer = self._world.parties[HANOI].signer
        leaf = leaf_digest(payload_type.encode(), encoded)
        signed = batch_signed_bytes(signer.profile, signer.certificate, 1, leaf)
        blocks = tuple(Signature(signer.profile, signer.certificate, one) for one in signer.sign_all(signed))
        return Envelope(encoded, Proof(1, 0, b""), payload_type, blocks, None, None, ())

    def _failing(self, name: str, envelope: Envelope, check: Check, why: str, **changed: Any) -> None:
        values: dict[str, Any] = {
            "name": f"v1-{name}_fail",
            "shows": f"As `v1-release`, but {name.replace('-', ' ')}.",
            "value": encode_envelope(envelope),
            "based_on": "v1-release",
            "check": check,
            "outcome": "failed",
            "why": why,
        }
        self.vectors.append(ActVector(**(values | changed)))
