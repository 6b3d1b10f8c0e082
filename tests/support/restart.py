"""A broker of one's own that can be stopped and started again, with the same address and the same data."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING

from tests.support import jars, kafka

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self


class StoppableBroker:
    """A context manager; stopped at first.

    Args:
        home: Empty folder for data and log.
    """

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.bootstrap, settings = kafka.settings_of_node(home)
        self._log = home / "kafka.log"
        self._file = home / "server.properties"
        self._file.write_text("".join(f"{key}={value}\n" for key, value in sorted(settings.items())), "utf-8")
        self._command = [
            jars.java(),
            *kafka.SMALL_JVM,
            f"-Dlog4j2.configurationFile={kafka.LOG4J}",
            "-cp",
            f"{jars.jars()}/*",
        ]
        self._running = ExitStack()

    def __enter__(self) -> Self:
        kafka.format_storage(self._command, self._file, kafka.new_cluster_id())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    async def start(self) -> None:
        """Start it, and return once it serves."""
        self._log.unlink(missing_ok=True)
        process = self._running.enter_context(
            kafka._process([*self._command, "kafka.Kafka", str(self._file)], self._log)
        )
        await asyncio.to_thread(kafka._wait, process, self._log)

    async def stop(self) -> None:
        """Stop it in order; what it has acknowledged is on its disk."""
        await asyncio.to_thread(self._running.close)
