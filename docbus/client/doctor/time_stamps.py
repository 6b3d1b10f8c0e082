"""Whether the time-stamping authority of a folder answers as it should."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from docbus.client.doctor.diagnosis import Diagnosis, passed, refused
from docbus.client.time_stamping import read_anchors
from docbus.errors import ConfigurationError, TimeStampError
from docbus.identity.time_stamps.asking import Question
from docbus.transport.time_stamps import TSAClient

if TYPE_CHECKING:
    from docbus.clock import Clock
    from docbus.settings import Settings, TimeStampSettings

CHECK = "time stamps"
_TRIAL_BYTES = 32


async def time_stamps(settings: Settings, wished: TimeStampSettings, clock: Clock) -> Diagnosis:
    """Ask the authority about random bytes, and verify what it answers; nothing is kept.

    Args:
        settings: The folder's.
        wished: Its table about time stamps.
        clock: What time it is here.
    """
    try:
        anchors = read_anchors(settings.path(wished.anchor))
        question = Question.about(secrets.token_bytes(_TRIAL_BYTES))
        answer = await TSAClient(wished.url).ask(question.encoded)
        stamp = question.accept(answer, anchors, now_ms=clock.now_ms(), policy=wished.policy)
    except (ConfigurationError, TimeStampError) as error:
        return refused(CHECK, error)
    return passed(CHECK, f"{wished.url} answers as {stamp.authority}, whom {wished.anchor} vouches for")
