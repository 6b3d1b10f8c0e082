"""Deliveries for sinks, made without cryptography: what C1 and C2 would have let through."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from docbus.consumers.sinks.port import Delivery
from docbus.envelope.package import Inside, Manifest, ManifestFile, Package
from docbus.envelope.statement import DocumentBody, Head, Position, SealedPackage

NOW_MS = 1_795_424_400_000


def delivery(
    document_id: str = "0193",
    *,
    sender: str = "vn:H26",
    revision: int = 1,
    sequence: int = 1,
    files: tuple[tuple[str, bytes], ...] = (("Công văn.pdf", b"%PDF"),),
    title: str = "Về việc triển khai",
    **changed: Any,
) -> Delivery:
    """Return a delivery; the same arguments give the same document."""
    head = Head(
        1, "test", sender, None, bytes(32), "vn:H53", "documents", b"e" * 16, 3, bytes(32), NOW_MS, 1, bytes(32)
    )
    manifest = Manifest(
        title,
        "7816/VPCP-TTĐT",
        "Công văn",
        None,
        ("vn:H53",),
        (("signer", "Nguyễn Văn A"),),
        tuple(
            ManifestFile(name, "application/pdf", len(content), sha256(content).digest(), Inside(index))
            for index, (name, content) in enumerate(files)
        ),
    )
    package = Package(bytes(32), manifest, tuple(content for _, content in files))
    body = DocumentBody(
        document_id,
        revision,
        "document",
        0,
        NOW_MS,
        None,
        SealedPackage(1, sha256(title.encode()).digest(), bytes(32)),
        (),
        bytes(32),
        None,
        (),
        bytes(16),
    )
    body = body._replace(**changed)
    position = Position(sequence, bytes(32), sequence.to_bytes(16, "big"), None)
    value = f"envelope {sequence}".encode()
    return Delivery(head, position, body, sha256(value).digest(), value, package, NOW_MS)
