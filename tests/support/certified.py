"""An agency whose certificate an authority has issued, in an exchange on the embedded transport."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from docbus.client.certifying import certification_request, use_certificate
from docbus.client.connect import open_registrar, started_transport
from docbus.client.founding import found_agency
from docbus.client.issuing import found_authority
from docbus.clock import SystemClock
from docbus.registry.provision import apply, intended, plan_for
from docbus.settings import EmbeddedSettings, load_settings

if TYPE_CHECKING:
    from pathlib import Path

    from docbus.client.issuing import Authority, Issued

CLOCK = SystemClock()


async def certify(
    folder: Path, code: str, name: str, *, environment: str, genesis: str, own: str | None = None
) -> tuple[Authority, Issued]:
    """Found an authority in ``ca``, which the directory names, and an agency with its certificate, granted.

    Args:
        folder: With ``bus.db`` and ``registrar``.
        code: Of the agency.
        name: Likewise.
        environment: Of the exchange.
        genesis: Likewise, in hex.
        own: The agency's folder; its code if left out.
    """
    authority = found_authority(folder / "ca", name="Authority", clock=CLOCK)
    found_agency(
        folder / (own or code),
        code=code,
        name=name,
        environment=environment,
        genesis=genesis,
        bus=EmbeddedSettings(file=folder / "bus.db"),
        clock=CLOCK,
    )
    settings = load_settings(folder / (own or code))
    issued = authority.issue(certification_request(settings), days=30)
    certified = use_certificate(settings, [x509.load_der_x509_certificate(issued.certificate)], CLOCK)
    async with open_registrar(folder / "registrar", clock=CLOCK) as registrar:
        await registrar.name_authority("Authority", authority.certificate.public_bytes(Encoding.DER))
        await registrar.grant(certified.request.read_text("utf-8"))
        snapshot = await registrar.load()
    async with started_transport(settings) as transport:
        await apply(transport, await plan_for(transport, intended(snapshot)))
    return authority, issued
