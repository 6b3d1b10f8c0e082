"""Whether the directory is the one that was pinned, goes on from what was seen of it before, and is fresh."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.client.directory_memory import compare
from docbus.client.doctor.diagnosis import Diagnosis, failed, not_asked, passed, refused, warning
from docbus.client.doctor.rights import read_right
from docbus.clock import format_time
from docbus.errors import AccessDeniedError, DirectoryError, DocbusError
from docbus.identity.freshness import Freshness
from docbus.registry.follow import LOAD_SECONDS
from docbus.registry.reader import DirectoryReader
from docbus.transport.topics import DIRECTORY

if TYPE_CHECKING:
    from docbus.client.directory_memory import SeenEntry
    from docbus.identity.snapshot import TrustSnapshot
    from docbus.settings import Settings
    from docbus.transport.port import Transport

CHECK, SEEN, FRESHNESS = "directory", "directory seen", "freshness"
_COMPARE = (
    "Compare genesis under [exchange] with what the registrar sees by `docbus registrar show`, over another channel; if"
    " it is the same, ask whoever runs the brokers, and do not go on before."
)
_STOPPED = (
    "Ask the registrar for its last entry (`docbus registrar show`): with the same one, its `docbus registrar run` has"
    " stopped; with a newer one, the brokers withhold it."
)

_FOREIGN = (
    "They are passed by. Ask whoever runs the brokers who else may write to docbus.directory; `docbus provision` shows"
    " the rights, and the log has the offsets (directory_record_foreign)."
)


async def directory(
    transport: Transport, settings: Settings, seconds: float = LOAD_SECONDS
) -> tuple[Diagnosis, TrustSnapshot | None]:
    """Read the directory and tell whether it is the one that was pinned; return what it says.

    Args:
        transport: Started.
        settings: Pin the genesis, and name the environment.
        seconds: For reading all of it.
    """
    reader = DirectoryReader(transport, settings.exchange.genesis_bytes)
    try:
        await reader.catch_up(seconds)
        snapshot = reader.replay.snapshot()
    except AccessDeniedError as error:
        return failed(CHECK, error.text, read_right(settings, (DIRECTORY,))), None
    except DirectoryError as error:
        return failed(CHECK, error.text, _COMPARE), None
    except DocbusError as error:
        return refused(CHECK, error), None
    named = settings.exchange.environment
    if snapshot.environment != named:
        return failed(
            CHECK,
            f"it is that of {snapshot.environment!r}, the settings say environment = {named!r}",
            "Correct environment under [exchange]: recipients refuse what is made for another exchange.",
        ), snapshot
    found = (
        f"begins with the pinned genesis; entry {snapshot.position} of {format_time(snapshot.made_at)},"
        f" {snapshot.size:,} agencies"
    )
    if reader.foreign:
        return warning(
            CHECK, f"{found}; {reader.foreign:,} records that the registrar did not sign", _FOREIGN
        ), snapshot
    return passed(CHECK, found), snapshot


def seen(snapshot: TrustSnapshot, entry: SeenEntry | None) -> Diagnosis:
    """Tell whether the directory contradicts what this folder has followed before.

    Args:
        snapshot: Read after the entry was asked for.
        entry: The newest that was followed.
    """
    if entry is None:
        return not_asked(SEEN, "this folder has followed none yet")
    try:
        compare(snapshot, entry)
    except DirectoryError as error:
        return refused(SEEN, error, _COMPARE)
    return passed(SEEN, f"goes on from entry {entry[0]}, which was followed here")


def freshness(snapshot: TrustSnapshot, now_ms: int) -> Diagnosis:
    """Tell whether the directory is young enough to be believed."""
    found = snapshot.freshness(now_ms)
    age = f"its last entry is {snapshot.age_ms(now_ms) // 60_000:,} minutes old by this machine's clock"
    if found is Freshness.STALE:
        return failed(
            FRESHNESS, f"{age}: too old to believe anything under it", f"Look at this machine's clock. {_STOPPED}"
        )
    if found is Freshness.OLD:
        return warning(
            FRESHNESS, f"{age}, a living registrar signs one more often", f"Look at this machine's clock. {_STOPPED}"
        )
    if found is Freshness.NOT_JUDGED:
        return warning(
            FRESHNESS,
            f"{age}; the registrar signs no heartbeats, so that a revocation that is withheld is not noticed",
            "Ask the registrar to keep `docbus registrar run` running.",
        )
    return passed(FRESHNESS, age)
