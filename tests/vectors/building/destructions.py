"""The vectors of destroyed keys: folders of ``tests/vectors/key-destruction``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from docbus.envelope.act import PAYLOAD_TYPE as ACT_PAYLOAD_TYPE
from docbus.envelope.envelope import Envelope, decode_envelope, encode_envelope
from docbus.envelope.key_destruction import (
    PAYLOAD_TYPE,
    VERSION,
    KeyDestruction,
    destruction_digest,
    seal_destruction,
)
from docbus.envelope.ledger_batch import seal_for_ledger
from docbus.verification import checks
from docbus.verification.key_destructions import NOT_RETIRED
from docbus.wire.avro import load_schema
from tests.vectors.building.vector import plain
from tests.vectors.building.world import (
    ENVIRONMENT,
    HANOI,
    HANOI_KEY_RETIRED,
    HANOI_ROTATED,
    TAY_NINH,
    made_at,
)

if TYPE_CHECKING:
    from docbus.verification.checks import Check
    from tests.vectors.building.world import World

FORMAT = "docbus-key-destruction-vector-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class DestructionVector:
    """A folder of ``tests/vectors/key-destruction``; ``check`` is what says no, and ``why`` a sentence."""

    name: str
    shows: str
    value: bytes
    destruction: KeyDestruction | None = None
    agency: str = HANOI
    directory_position: int = HANOI_KEY_RETIRED
    based_on: str | None = None
    check: Check | None = None
    outcome: str = "passed"
    code: str | None = None
    findings: tuple[str, ...] = ()
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
            expected["digest"] = destruction_digest(decode_envelope(self.value).statement).hex()
            expected["findings"] = list(self.findings)
            expected["destruction"] = plain(self.destruction)
            lines.append("Expected: passed.")
        else:
            lines += [self.why, f"Expected: {self.outcome} at {self.check.number} with `{expected['code']}`."]
        return {
            "envelope.bin": self.value,
            "expected.json": json.dumps(expected, ensure_ascii=False, indent=1).encode() + b"\n",
            "README.md": ("\n\n".join(lines) + "\n").encode(),
        }


class DestructionVectors:
    """Makes all of them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._base = KeyDestruction(
            version=VERSION,
            environment=ENVIRONMENT,
            agency=HANOI,
            certificate=world.second.signer.certificate,
            directory_position=HANOI_KEY_RETIRED,
            directory_hash=world.hashes[HANOI_KEY_RETIRED],
            made_at=made_at(HANOI_KEY_RETIRED),
            operator="Nguyễn Thị Lan",
            key=world.parties[HANOI].encrypter.digest,
            retired_by=HANOI_KEY_RETIRED,
            reason="Đã hết 99 ngày kể từ khi đổi khóa.",
            nonce=sha256(b"key destruction").digest()[:16],
        )
        value = seal_destruction(self._base, world.second.signer)
        self.vectors = [
            DestructionVector(
                name="v1-destruction",
                shows="An agency destroys the encryption key that an entry has retired.",
                value=value,
                destruction=self._base,
            )
        ]
        other = self._base._replace(key=world.second.encrypter.digest)
        self.vectors.append(
            DestructionVector(
                name="v1-key-in-force",
                shows="It names a key that others encrypt to: the agency's own loss, and a finding.",
                value=seal_destruction(other, world.second.signer),
                destruction=other,
                findings=(NOT_RETIRED,),
            )
        )
        self._fail(decode_envelope(value))

    def _fail(self, envelope: Envelope) -> None:
        base = self._base
        block = envelope.signatures[0]
        flipped = bytes([*block.signature[:-1], block.signature[-1] ^ 1])
        self._failing(
            "signature-bit-flipped",
            envelope._replace(signatures=(block._replace(signature=flipped),)),
            checks.SIGNATURE,
            "Nobody has signed this.",
        )
        self._failing(
            "another-key",
            envelope._replace(statement=envelope.statement.replace(base.key, sha256(b"another").digest())),
            checks.SIGNATURE,
            "Another key was signed.",
        )
        self._failing(
            "package-beside-it",
            envelope._replace(package=b"x"),
            checks.ENVELOPE,
            "A destruction has no package, and nothing signs one.",
        )
        self._failing(
            "says-it-is-an-act",
            self._sealed(base, payload_type=ACT_PAYLOAD_TYPE),
            checks.PAYLOAD_TYPE,
            "Its payload type is that of acts about records.",
        )
        self._failing(
            "in-another-ledger", envelope, checks.SENDER, "It lies in another agency's ledger.", agency=TAY_NINH
        )
        self._failing(
            "in-the-name-of-another",
            self._sealed(base._replace(agency=TAY_NINH)),
            checks.SENDER,
            "It says it is of an agency to which the certificate is not granted.",
            agency=TAY_NINH,
        )
        self._failing(
            "another-certificate",
            self._sealed(base._replace(certificate=self._world.parties[HANOI].signer.certificate)),
            checks.SAME_CERTIFICATE,
            "It names another certificate than the one that signed.",
        )
        self._failing(
            "another-environment",
            self._sealed(base._replace(environment="test")),
            checks.ENVIRONMENT,
            "It was made for another exchange.",
        )
        for name, field in (("without-operator", "operator"), ("without-reason", "reason")):
            self._failing(
                name, self._sealed(base._replace(**{field: ""})), checks.STATEMENT, f"The {field} must not be empty."
            )
        self._failing(
            "retired-later-than-known",
            self._sealed(base._replace(retired_by=HANOI_KEY_RETIRED + 1)),
            checks.STATEMENT,
            "It names an entry behind the last one that its maker knew.",
        )
        old = self._world.parties[HANOI].signer
        self._failing(
            "under-a-retired-key",
            decode_envelope(seal_destruction(base._replace(certificate=old.certificate), old)),
            checks.AUTHORITY,
            "Its signing key was retired before the entry that it names.",
            code=checks.RETIRED,
        )
        self._failing(
            "directory-behind",
            envelope,
            checks.DIRECTORY,
            "The verifier does not know the entry under which it was made.",
            outcome="indeterminate",
            directory_position=HANOI_ROTATED,
        )

    def _sealed(self, destruction: KeyDestruction, *, payload_type: str = PAYLOAD_TYPE) -> Envelope:
        """Repeat what the library does, without asking whether the destruction may be."""
        encoded = load_schema("key-destruction").encode(destruction._asdict())
        return decode_envelope(seal_for_ledger(payload_type.encode(), [encoded], self._world.second.signer)[0])

    def _failing(self, name: str, envelope: Envelope, check: Check, why: str, **changed: Any) -> None:
        values: dict[str, Any] = {
            "name": f"v1-{name}_fail",
            "shows": f"As `v1-destruction`, but {name.replace('-', ' ')}.",
            "value": encode_envelope(envelope),
            "based_on": "v1-destruction",
            "check": check,
            "outcome": "failed",
            "why": why,
        }
        self.vectors.append(DestructionVector(**(values | changed)))
