"""One golden vector: the bytes, the circumstances, and what must come of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from docbus.envelope.package import Inside
from tests.vectors.building.world import ALL_OPEN, HANOI, NOW, TAY_NINH

if TYPE_CHECKING:
    from docbus.envelope.package import ManifestFile, Package
    from docbus.verification.checks import Check
    from tests.vectors.building.letters import Letter

FORMAT = "docbus-vector-1"
RECIPIENT_MODE = "recipient"
AUDITOR_MODE = "auditor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What a verifier is told besides the bytes."""

    mode: str = RECIPIENT_MODE
    recipient: str | None = TAY_NINH
    record_key: str | None = HANOI
    directory_position: int = ALL_OPEN
    now_ms: int = NOW
    material: tuple[str, ...] = ()
    """Files of ``trust/material`` that it is given."""


AT_TAY_NINH = Circumstances()
AT_HANOI = Circumstances(recipient=HANOI, record_key=TAY_NINH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """A folder of ``tests/vectors/envelope``."""

    name: str
    shows: str
    made: str
    value: bytes
    circumstances: Circumstances
    letter: Letter | None = None
    """Of a vector that passes."""
    findings: tuple[str, ...] = ()
    based_on: str | None = None
    why: str | None = None
    """Of a vector that does not pass: one sentence."""
    check: Check | None = None
    code: str | None = None
    parts: tuple[bytes, ...] = ()
    """Values of the records of the content topic, in the order in which they are fed."""
    attachments: tuple[bytes, ...] = ()
    """Plaintexts of the attachments of a vector that passes."""

    def files(self) -> dict[str, bytes]:
        """Return the folder's files by name."""
        files = {"README.md": self._readme(), "envelope.bin": self.value, "expected.json": self._expected()}
        return files | {f"part-{number}.bin": part for number, part in enumerate(self.parts)}

    def _readme(self) -> bytes:
        parts = [f"# {self.name}", self.shows, self.made]
        if self.why is not None and self.check is not None:
            parts.append(self.why)
            parts.append(
                f"Expected: {self.check.outcome} at {self.check.number} with `{self.code or self.check.code}`."
            )
        else:
            parts.append("Expected: passed.")
        return ("\n\n".join(parts) + "\n").encode()

    def _expected(self) -> bytes:
        told = self.circumstances
        expected: dict[str, Any] = {
            "format": FORMAT,
            "based_on": self.based_on,
            "mode": told.mode,
            "recipient": told.recipient,
            "record_key": told.record_key,
            "directory_position": told.directory_position,
            "now_ms": told.now_ms,
        }
        if told.material:
            expected["material"] = list(told.material)
        if self.parts:
            expected["parts"] = len(self.parts)
        if self.check is not None:
            expected |= {
                "outcome": self.check.outcome,
                "step": self.check.number,
                "code": self.code or self.check.code,
            }
        elif self.letter is not None:
            letter = self.letter
            expected |= {
                "outcome": "passed",
                "step": None,
                "code": None,
                "findings": list(self.findings),
                "statement_digest": letter.digest.hex(),
                "statement": plain(letter.decoded),
                "package": None if letter.package is None else plain_package(letter.package),
            }
            if self.attachments:
                expected["attachments"] = [plain_attachment(plaintext) for plaintext in self.attachments]
        return json.dumps(expected, ensure_ascii=False, indent=1).encode() + b"\n"


def plain(value: Any) -> Any:
    """Return a decoded value as JSON has it: records as objects, bytes in hex."""
    if isinstance(value, bytes):
        return value.hex()
    if hasattr(value, "_asdict"):
        return {name: plain(part) for name, part in value._asdict().items()}
    if isinstance(value, tuple):
        return [plain(part) for part in value]
    return value


def plain_package(package: Package) -> dict[str, Any]:
    """Return a package as JSON has it: manifest, and contents in hex."""
    manifest = package.manifest._asdict()
    manifest["files"] = [
        {
            "name": file.name,
            "media_type": file.media_type,
            "size": file.size,
            "digest": file.digest.hex(),
            **_plain_place(file, package.contents),
        }
        for file in package.manifest.files
    ]
    return {"salt": package.salt.hex(), "manifest": plain(manifest)}


def _plain_place(file: ManifestFile, contents: tuple[bytes, ...]) -> dict[str, Any]:
    if isinstance(file.place, Inside):
        return {"content": contents[file.place.content].hex()}
    return {"attachment": file.place.attachment, "key": file.place.key.hex()}


def plain_attachment(plaintext: bytes) -> dict[str, Any]:
    """Return size and digest of an attachment's plaintext as JSON has them."""
    return {"size": len(plaintext), "sha256": sha256(plaintext).hexdigest()}
