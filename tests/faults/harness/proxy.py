"""TCP proxies on loopback that cut, stall and delay what passes; all of them in one process of their own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

from tests.support.source import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

CHUNK = 256 * 1024
PASS, CUT, STALL, DELAY = "pass", "cut", "stall", "delay"
DELAY_SECONDS = 0.15
LOOK_SECONDS = 0.05
CLOSE_SECONDS = 10.0


class Proxies:
    """The process, as those see it who break the network.

    Args:
        ports: Where clients connect, and where that leads.
    """

    def __init__(self, ports: Mapping[int, int]) -> None:
        self.ports = list(ports)
        self._ports = ports
        self._process: subprocess.Popen[str] | None = None
        self.counts: dict[int, dict[str, int]] = {}
        """By port, once closed: how often it reset or refused a connection, held something back, or passed it late."""

    def start(self) -> None:
        """Start it; returns when it listens."""
        command = [sys.executable, "-m", "tests.faults.harness.proxy", json.dumps(self._ports)]
        self._process = subprocess.Popen(
            command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        assert self._process.stdout is not None
        assert "listening" == self._process.stdout.readline().strip()

    def set(self, port: int, mode: str) -> None:
        """Let a proxy pass, cut, stall or delay from now on."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"{port} {mode}\n")
        self._process.stdin.flush()

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            try:
                counts, _ = self._process.communicate(timeout=CLOSE_SECONDS)
                self.counts = {int(port): count for port, count in json.loads(counts or "{}").items()}
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.communicate()
            self._process = None


class _Proxy:
    def __init__(self, target: int) -> None:
        self.target = target
        self.mode = PASS
        self.writers: set[asyncio.StreamWriter] = set()
        self.counts: Counter[str] = Counter()

    def set(self, mode: str) -> None:
        self.mode = mode
        if mode == CUT:
            for writer in list(self.writers):
                # Reset, not closed in order.
                writer.transport.abort()
                self.counts[CUT] += 1

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mode == CUT:
            self.counts[CUT] += 1
            writer.transport.abort()
            return
        try:
            back, forth = await asyncio.open_connection("127.0.0.1", self.target, limit=CHUNK)
        except OSError:
            writer.transport.abort()
            return
        self.writers |= {writer, forth}
        try:
            await asyncio.gather(self._pump(reader, forth), self._pump(back, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.writers -= {writer, forth}
            writer.transport.abort()
            forth.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(CHUNK):
            self.counts[self.mode] += self.mode in {STALL, DELAY}
            while self.mode == STALL:  # noqa: ASYNC110 - every pump of a proxy would need an event of its own
                await asyncio.sleep(LOOK_SECONDS)
            if self.mode == DELAY:
                await asyncio.sleep(DELAY_SECONDS)
            writer.write(chunk)
            await writer.drain()
        raise ConnectionResetError


async def main() -> None:
    """Serve until standard input ends."""
    ports = {int(port): target for port, target in json.loads(sys.argv[1]).items()}
    proxies = {port: _Proxy(target) for port, target in ports.items()}
    for port, one in proxies.items():
        await asyncio.start_server(one.serve, "127.0.0.1", port)
    print("listening", flush=True)  # noqa: T201 - whoever started it waits for this
    while line := await asyncio.to_thread(sys.stdin.readline):
        port, mode = line.split()
        proxies[int(port)].set(mode)
    print(json.dumps({port: one.counts for port, one in proxies.items()}), flush=True)  # noqa: T201 - likewise
    # Connections that are open end with the process; nobody waits for them.
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
