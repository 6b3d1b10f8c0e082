"""Whether the time-stamping authority of a folder answers as it should."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from docbus.client.doctor.diagnosis import Diagnosis, passed, refused
from docbus.client.time_stamping import asked_authority
from docbus.errors import ConfigurationError, TimeStampError
from docbus.producers.stamping import stamp_by

if TYPE_CHECKING:
    from docbus.clock import Clock
    from docbus.settings import Settings, TimeStampAuthoritySettings

CHECK = "time stamps"
_TRIAL_BYTES = 32


async def time_stamps(settings: Settings, wished: TimeStampAuthoritySettings, clock: Clock) -> Diagnosis:
    """Ask one authority about random bytes, and verify what it answers; nothing is kept.

    Args:
        settings: The folder's.
        wished: Which of those that it names.
        clock: What time it is here.
    """
    try:
        stamp = await stamp_by(asked_authority(settings, wished), secrets.token_bytes(_TRIAL_BYTES), clock)
    except (ConfigurationError, TimeStampError) as error:
        return refused(CHECK, error)
    return passed(CHECK, f"{wished.url} answers as {stamp.authority}, whom {wished.anchor} vouches for")
