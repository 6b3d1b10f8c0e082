"""Starting on a directory of national size: seconds and memory of an agency, without brokers; some minutes in all.

``.venv/bin/python benchmarks/directory.py`` makes an exchange on the embedded bus, grants 123,265 agencies with keys of
their own, and opens one agency's folder in a process of its own: for the first time, when every entry is verified, with
the help of other processes, whose memory and time of a processor are not in the figures; again, on what it has kept
(ADR 0025); and again with entries that are new. ``make bench`` does not run it.
``--folder`` keeps the exchange for another run, which measures the start on what was kept.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.listing import AGENCIES, rows  # noqa: E402 - the path first
from docbus.client.agency import Agency  # noqa: E402
from docbus.client.connect import started_transport  # noqa: E402
from docbus.client.running import relax_collector  # noqa: E402
from docbus.client.trial import found_exchange  # noqa: E402
from docbus.clock import SystemClock  # noqa: E402
from docbus.identity import entries  # noqa: E402
from docbus.identity.certificates import make_certificate  # noqa: E402
from docbus.identity.encryption import SUITE_2026, generate_encryption_key  # noqa: E402
from docbus.identity.signing import generate_signing_key, open_registrar_signer  # noqa: E402
from docbus.registry.follow import fetch_snapshot  # noqa: E402
from docbus.settings import EmbeddedSettings, load_settings  # noqa: E402
from docbus.transport.port import NewRecord  # noqa: E402
from docbus.transport.topics import DIRECTORY  # noqa: E402
from docbus.wire.profiles import Profile  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterable

ME = "H99"
CALL = 512
"""Entries appended in one call."""
NEW = 100
"""Entries that are new in the last run."""
Listed = dict[str, Any]
"""A row of the list of agencies."""


async def found(folder: Path) -> None:
    """Found an exchange of one agency, whose folder is opened later."""
    bus = EmbeddedSettings(file=folder / "bus.db")
    await found_exchange(folder, [(ME, "me")], environment="bench", bus=bus, clock=SystemClock())


async def grant(folder: Path, listed: Iterable[Listed]) -> None:
    """Grant agencies as the registrar does, without reading each entry back."""
    settings = load_settings(folder / "registrar")
    signer = open_registrar_signer(f"file:{folder / 'registrar' / 'keys' / 'registrar.pem'}")
    clock = SystemClock()
    async with started_transport(settings) as transport:
        snapshot = await fetch_snapshot(transport, settings.exchange.genesis_bytes)
        position, head, pending = snapshot.position, snapshot.head, []
        for one in listed:
            position += 1
            entry = entries.encode_entry(
                entries.DirectoryEntry(
                    version=entries.VERSION,
                    environment="bench",
                    position=position,
                    previous=head,
                    made_at=clock.now_ms(),
                    change=_grant_of(one, clock.now_ms()),
                )
            )
            head = entries.entry_hash(entry)
            pending.append(NewRecord(topic=DIRECTORY, key=None, value=entries.sign_entry(entry, [signer])))
            if len(pending) == CALL:
                await transport.append(pending)
                pending = []
        await transport.append(pending)


def _grant_of(one: Listed, now_ms: int) -> entries.AgencyGrant:
    key, agency = generate_signing_key(Profile.ES256), f"vn:{one['code']}"
    return entries.AgencyGrant(
        agency=agency,
        name=one["name"],
        aliases=() if one["oldCode"] is None else (f"vn2016:{one['oldCode']}",),
        signing=entries.SigningKey(profile=Profile.ES256, certificates=(make_certificate(key, agency, now_ms=now_ms),)),
        encryption=entries.EncryptionKey(suite=SUITE_2026, public_key=generate_encryption_key().public_key),
        roles=(),
        partitions=2,
    )


async def measure(folder: Path) -> dict[str, float]:
    """Open the agency's folder as `docbus run` does, and return what that cost."""
    # Starting Python and docbus counts in the memory, and not in the seconds.
    relax_collector()
    begun, cpu = time.perf_counter(), time.process_time()
    async with Agency.open(folder / ME) as agency:
        seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
        position = agency.snapshot.position
    return {
        "seconds": seconds,
        "cpu": cpu,
        "entries": position + 1,
        "peak_mib": _peak_kib() / 1024,
    }


def _peak_kib() -> int:
    """Return the most memory that this process has had; what ``getrusage`` says is at least what its parent had."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def main() -> None:
    """Make the exchange if it is not there, measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agencies", type=int, default=AGENCIES)
    parser.add_argument("--folder", type=Path, help="keeps the exchange; made if it is not there")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure is not None:
        print(json.dumps(asyncio.run(measure(given.measure))))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        listed = list(rows(given.agencies + NEW))
        if (folder / ME).exists():
            # Made by an earlier run, which has granted the new ones as well.
            _say(folder, "again, on what was kept")
            return
        asyncio.run(found(folder))
        asyncio.run(grant(folder, listed[:-NEW]))
        _say(folder, "first, every entry verified")
        _say(folder, "again, on what was kept")
        asyncio.run(grant(folder, listed[-NEW:]))
        _say(folder, f"again, with {NEW} new entries")


def _say(folder: Path, what: str) -> None:
    command = [sys.executable, __file__, "--measure", str(folder)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])  # noqa: S603
    print(
        f"{what:28}  {found['entries']:,} entries  {found['seconds']:.1f} s, {found['cpu']:.1f} s of a processor"
        f"  peak {found['peak_mib']:.0f} MiB",
        flush=True,
    )


if __name__ == "__main__":
    main()
