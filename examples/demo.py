"""docbus in ten seconds: five agencies exchange signed documents, one envelope is tampered with, an auditor replays.

Run it with ``make demo``. Everything happens for real, through the client library, in ``build/demo/``; every claim that
is printed is checked, and the exit code says whether all of them held.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from docbus.audit.rendering import verdict_line
from docbus.audit.replay import Replay
from docbus.client.agency import Agency
from docbus.client.connect import started_transport
from docbus.client.trial import found_exchange
from docbus.clock import SystemClock
from docbus.documents.document import Document
from docbus.documents.file import File, FileStream
from docbus.edxml.mapping import to_document
from docbus.edxml.model import EdXMLDocument
from docbus.edxml.reader import read
from docbus.errors import DocbusError, UnknownAgencyError
from docbus.limits import PART_BYTES
from docbus.settings import FILE_NAME, EmbeddedSettings, KafkaServerSettings, load_settings
from docbus.transport import topics
from docbus.transport.port import NewRecord
from docbus.wire.ids import uuid7_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.client.connect import Bus
    from docbus.producers.journey import Journey
    from docbus.transport.port import Record, Transport

ROOT = Path(__file__).parent.parent
ENVIRONMENT = "vn-demo"
SCAN_BYTES = 20_000_000
"""A scanned plan; anything over 256 KiB travels in parts."""
WAIT_SECONDS = 60.0
"""Seconds for all receipts; the embedded transport needs about one."""

AGENCIES = (
    ("H26", "Ủy ban nhân dân thành phố Hà Nội"),
    ("000.00.00.H53", "Ủy ban nhân dân tỉnh Tây Ninh"),
    ("000.00.02.H53", "Sở Công Thương tỉnh Tây Ninh"),
    ("000.00.32.H53", "Ủy ban nhân dân huyện Châu Thành"),
    ("000.21.32.H53", "Ủy ban nhân dân xã An Bình"),
)
"""A city and a province, a department and a district, a commune: three levels, real codes."""

console = Console(highlight=False)


@dataclass(frozen=True)
class Published:
    """A document, the code of its sender, and the file it came from."""

    sender: str
    document: Document
    source: str


class ClaimError(Exception):
    """Something that the demo shows is not so."""


def claim(holds: bool, text: str) -> None:  # noqa: FBT001 - reads as a sentence
    """Print what holds; stop at what does not."""
    console.print(f"  {'✓' if holds else '✗'} {text}", markup=False, soft_wrap=True)
    if not holds:
        raise ClaimError(text)


def gather_inputs(edxml: Path | None) -> list[tuple[str, bytes]]:
    """Return name and bytes of the project's own examples and of every edXML file of a folder."""
    found_files = sorted((ROOT / "examples" / "edxml").glob("*.edxml"))
    if edxml is not None:
        found_files += sorted(edxml.glob("*.edxml"))
    return [(path.name, path.read_bytes()) for path in found_files]


def prepare(inputs: Sequence[tuple[str, bytes]], agencies: dict[str, Agency], mark: str, scan: Path) -> list[Published]:
    """Make documents of edXML files, and two of our own; say what a reader had to forgive."""
    everybody = [code for code, _ in AGENCIES]
    prepared = []
    for name, content in inputs:
        edxml = read(content)
        if not isinstance(edxml, EdXMLDocument):
            console.print(f"  {name}: a status, read and not published", style="dim", markup=False)
            continue
        fields = to_document(edxml, name=name)
        sender = fields.sender if fields.sender in agencies else everybody[0]
        resolve = agencies[sender].snapshot.resolve
        recipients = []
        for code in fields.recipients:
            try:
                recipients.append(resolve(code))
            except (UnknownAgencyError, DocbusError):
                continue
        chosen = recipients or [code for code in everybody if code != sender]
        document = fields.document(sender=agencies[sender].id, resolve=resolve, recipients=chosen)
        document = replace(document, document_id=document.document_id[:150] + mark)
        # The one about attachments first: it says which bytes are the document.
        for warning in sorted(fields.warnings, key=lambda found: "Attachment" not in found.code)[:1]:
            console.print(f"  {name}: {warning.code} {warning.text}", style="dim", markup=False, soft_wrap=True)
        if [file.content for file in fields.files] == [content]:
            console.print(f"  {name}: so the edXML file itself is the document", style="dim", markup=False)
        if len(fields.warnings) > 1:
            console.print(f"  {name}: and {len(fields.warnings) - 1} more warnings", style="dim", markup=False)
        prepared.append(Published(sender, document, name))
    prepared.append(
        Published(
            "H26",
            Document(
                document_id="000.00.00.H26,2026/11/23,17/TTr-UBND" + mark,
                title="Hồ sơ quy hoạch, bản quét",
                number="17/TTr-UBND",
                files=(FileStream(name=scan.name, opener=lambda: scan.open("rb"), size=SCAN_BYTES),),
                recipients=tuple(everybody[1:]),
            ),
            "a scan of 20 MB to all",
        )
    )
    prepared.append(
        Published(
            "H26",
            Document(
                document_id="000.00.00.H26,2026/11/23,01/CĐ-UBND" + mark,
                title="Công điện hỏa tốc về phòng, chống bão",
                number="01/CĐ-UBND",
                type="Công điện",
                urgency=3,  # type: ignore[arg-type] # Document makes an Urgency of it
                files=(File(name="công điện.txt", media_type="text/plain", content="Sơ tán trước 18 giờ.\n".encode()),),
                recipients=tuple(everybody[1:]),
            ),
            "an urgent telegram to all",
        )
    )
    return prepared


def show(published: Sequence[Published], journeys: Sequence[Journey], titles: dict[str, str]) -> None:
    """Print one row for each copy."""
    table = Table(title="Every document's journey", title_justify="left", box=SIMPLE, expand=True)
    table.add_column("document", no_wrap=True, ratio=1)
    for column, width in (("from", 13), ("to", 13), ("files", 5), ("sent, received", 16), ("state", 8)):
        table.add_column(column, no_wrap=True, min_width=width)
    for one, journey in zip(published, journeys, strict=True):
        for number, leg in enumerate(journey.legs):
            times = ", ".join(
                "–" if at is None else f"{at - leg.accepted_at:,} ms" for at in (leg.sent_at, leg.settled_at)
            )
            table.add_row(
                "" if number else titles[one.document.document_id],
                "" if number else one.sender,
                leg.recipient.rpartition(":")[2],
                "" if number else str(len(one.document.files)),
                times,
                leg.state,
            )
    console.print(table)


async def tamper(transport: Transport, inbox: str) -> Record:
    """Put an envelope of the stream on it once more, with one bit of its content changed, and return the original."""
    records: list[Record] = []
    for partition, (first, end) in (await transport.bounds(inbox)).items():
        if first < end:
            records += await transport.read(
                inbox, partition, first, max_records=end - first, max_bytes=1 << 24, wait=WAIT_SECONDS
            )
    original = max((record for record in records if record.value), key=lambda record: len(record.value or b""))
    value = bytearray(original.value or b"")
    value[len(value) // 2] ^= 1
    await transport.append([NewRecord(topic=inbox, key=original.key, value=bytes(value), headers=original.headers)])
    return original


async def quarantined(transport: Transport, agency: str, before: int) -> dict[str, str]:
    """Wait for the record that the agency sets aside, and return its headers."""
    topic = topics.quarantine(agency)
    records = await transport.read(topic, 0, before, max_records=10, max_bytes=1 << 24, wait=WAIT_SECONDS)
    if not records:
        raise ClaimError(f"nothing came to {topic}")
    return {name: content.decode() for name, content in records[-1].headers}


def content_of(file: File | FileStream) -> bytes:
    """Return what a file holds."""
    if isinstance(file, File):
        return file.content
    with file.opener() as stream:
        return stream.read()


async def parts_on_the_bus(agency: Agency) -> int:
    """Return how many parts of large files an agency has put on the bus."""
    first, end = (await agency.transport.bounds(topics.content(agency.id)))[0]
    return end - first


def filed(folder: Path, code: str, document: Document) -> bool:
    """Tell whether the agency's folder holds every file of the document, byte for byte."""
    for path in (folder / code / "documents").glob("*/metadata.json"):
        described = json.loads(path.read_text())["document"]
        if described["document_id"] == document.document_id:
            held = {entry["name"]: (path.parent / entry["path"]).read_bytes() for entry in described["files"]}
            return held == {file.name: content_of(file) for file in document.files}
    return False


async def exchange(folder: Path, edxml: Path | None, mark: str) -> None:
    """Publish everything, wait for the receipts, tamper, audit."""
    async with AsyncExitStack() as stack:
        agencies = {}
        for code, _ in AGENCIES:
            agencies[code] = await stack.enter_async_context(Agency.open(folder / code))
        console.print(
            "\n[bold]2. Documents[/bold]: edXML files, one to many, three attachments, 20 MB, every diacritic"
        )
        scan = folder / "bản đồ quy hoạch.tif"
        scan.write_bytes(os.urandom(SCAN_BYTES))
        published = prepare(gather_inputs(edxml), agencies, mark, scan)
        before = await parts_on_the_bus(agencies["H26"])
        begun = time.perf_counter()
        for one in published:
            await agencies[one.sender].publish_documents([one.document])
        copies = sum(len(one.document.recipients) for one in published)
        console.print(f"  {len(published)} documents accepted, {copies} copies; they are on disk, nothing is sent yet")
        for agency in agencies.values():
            await stack.enter_async_context(agency.serving())
        journeys = []
        for number, one in enumerate(published, 1):
            journeys.append(
                await agencies[one.sender].wait(one.document.document_id, until="received", timeout=WAIT_SECONDS)
            )
            if console.is_terminal or number == len(published):
                console.print(
                    f"  received everywhere: {number} of {len(published)}", end="\r" if console.is_terminal else "\n"
                )
        seconds = time.perf_counter() - begun
        show(published, journeys, {one.document.document_id: one.document.title[:60] for one in published})
        legs = [leg for journey in journeys for leg in journey.legs]
        claim(all(leg.state == "received" for leg in legs), f"{len(legs)} signed receipts came back in {seconds:.1f} s")
        held = all(
            filed(folder, recipient.rpartition(":")[2], one.document)
            for one in published
            for recipient in one.document.recipients
        )
        claim(held, "every file lies in its recipients' folders, byte for byte")
        parts = await parts_on_the_bus(agencies["H26"]) - before
        claim(
            parts == -(-SCAN_BYTES // PART_BYTES), f"20 MB went to four agencies, their {parts} parts were written once"
        )
        claim(any(len(one.document.files) == 3 for one in published), "one document had three attachments")  # noqa: PLR2004
        claim(any(len(one.document.recipients) >= 4 for one in published), "one document went to many recipients")  # noqa: PLR2004

        console.print("\n[bold]3. An attack[/bold]: one bit of an envelope in the inbox of H26 is changed")
        hanoi = agencies["H26"]
        set_aside = (await hanoi.transport.bounds(topics.quarantine(hanoi.id)))[0][1]
        original = await tamper(hanoi.transport, topics.inbox(hanoi.id))
        headers = await quarantined(hanoi.transport, hanoi.id, set_aside)
        console.print(
            f"  {headers['docbus_step']} {headers['docbus_reason']}: {headers['docbus_detail']}", markup=False
        )
        claim(
            headers["docbus_step"].startswith("C1."), "H26 refused it and kept it in quarantine, with step and reason"
        )
        claim(headers["docbus_topic"] == original.topic, "the quarantine says where it came from")


async def audit(folder: Path) -> None:
    """Replay everything as an auditor who has no keys but the genesis hash."""
    console.print("\n[bold]4. The auditor[/bold]: replays every inbox, with nothing but the genesis hash")
    settings = load_settings(folder / "auditor")
    async with started_transport(settings) as transport:
        report = await Replay(transport, settings.exchange.genesis_bytes, SystemClock()).run()
    console.print(f"  {verdict_line(report)}", markup=False, soft_wrap=True)
    records = report.audit
    claim(sum(records.failed.values()) >= 1, "the tampered record is found")
    claim(records.records - records.valid == sum(records.failed.values()), "every other record is valid")
    claim(all(stream.missing == 0 for stream in records.streams), "no stream has a hole")
    claim(report.verdict == "invalid", f"so the verdict is {report.verdict}, exit code {report.exit_code}")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edxml", type=Path, help="a folder of edXML files to publish too")
    parser.add_argument("--kafka", help="host:port of a Kafka broker; the embedded transport is used without it")
    parser.add_argument("--folder", type=Path, help="where everything is kept (default build/demo or build/demo-kafka)")
    return parser.parse_args()


async def demo(options: argparse.Namespace) -> None:
    """Run the whole demo."""
    folder: Path = options.folder or ROOT / "build" / ("demo-kafka" if options.kafka else "demo")
    edxml = options.edxml
    if edxml is not None and not edxml.is_dir():
        console.print(f"There is no folder {edxml}; only the project's own examples are published.", style="yellow")
        edxml = None
    console.print(f"[bold]1. The exchange[/bold]: a registrar, {len(AGENCIES)} agencies, an auditor in {folder}")
    if options.kafka:
        bus: Bus = KafkaServerSettings(bootstrap=options.kafka, replication_factor=1)
    else:
        # An embedded demo is begun afresh each time.
        shutil.rmtree(folder, ignore_errors=True)
        bus = EmbeddedSettings(file=folder / "bus.db")
    if not (folder / "auditor" / FILE_NAME).exists():
        await found_exchange(folder, AGENCIES, environment=ENVIRONMENT, bus=bus, clock=SystemClock())
    for code, name in AGENCIES:
        console.print(f"  {code:14} {name}", markup=False)
    # Brokers keep what an earlier run sent, so each run on Kafka sends documents of its own.
    mark = f" #{uuid7_text(SystemClock().now_ms())[:13]}" if options.kafka else ""
    await exchange(folder, edxml, mark)
    await audit(folder)
    shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    console.print(f"""
[bold]Look round[/bold]
  ls {shown}/H26/documents                    what Hà Nội's system holds
  .venv/bin/docbus -C {shown}/H26 status
  .venv/bin/docbus -C {shown}/H26 quarantine ls
  .venv/bin/docbus -C {shown}/auditor replay --verify""")


def main() -> int:
    """Return 0 if everything shown is so."""
    begun = time.perf_counter()
    options = arguments()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger("error"),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    try:
        asyncio.run(demo(options))
    except ClaimError as error:
        console.print(f"\nNot so: {error}", style="bold red", markup=False)
        return 1
    except DocbusError as error:
        console.print(f"\nerror: {error.text}", style="bold red", markup=False)
        if error.hint:
            console.print(f"  {error.hint}", markup=False)
        return 1
    console.print(f"\n[green]All of it holds[/green], in {time.perf_counter() - begun:.1f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
