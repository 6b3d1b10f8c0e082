"""Whether topics exist and are configured as the directory asks for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from docbus.client.doctor.diagnosis import Diagnosis, failed, not_asked, passed, refused, warning
from docbus.client.doctor.rights import right
from docbus.errors import AccessDeniedError, DocbusError
from docbus.registry.provision import Action, intended, intended_of, plan_for
from docbus.transport.topics import DAY_MS, DIRECTORY, PREFIX, spec_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.identity.snapshot import TrustSnapshot
    from docbus.registry.provision import Step
    from docbus.settings import Settings
    from docbus.transport.port import TopicSpec, Transport

CHECK = "topics"
TOPICS_SECONDS = 120.0
"""Seconds for asking about all topics: some 30,000 agencies at 200 topics a question."""
SHOWN_TOPICS = 5
"""Topics of which is said what is wrong with them; `docbus provision --dry-run` names all."""


def wanted(settings: Settings, snapshot: TrustSnapshot) -> list[TopicSpec]:
    """Return the topics that a folder's owner needs: an agency its own, a registrar all, an auditor only reads."""
    if settings.registrar is not None:
        return intended(snapshot, settings.content.retention_days * DAY_MS)
    agency = None if settings.agency is None else snapshot.agency(settings.agency.id)
    if agency is None:
        return []
    # For how long parts are kept says the folder that provisions, which need not be this one.
    own = intended_of(agency, content_retention_ms=None)
    return [spec_of(DIRECTORY), *own] if own else []


async def topics(
    transport: Transport, settings: Settings, specs: Sequence[TopicSpec], seconds: float = TOPICS_SECONDS
) -> Diagnosis:
    """Tell which topics are missing or configured otherwise; changes nothing.

    Args:
        transport: Started.
        settings: Whose folder it is.
        specs: See :func:`wanted`.
        seconds: For asking about all of them.
    """
    if not specs:
        return not_asked(CHECK, "the directory asks for none of this folder's")
    try:
        async with asyncio.timeout(seconds):
            steps = await plan_for(transport, specs)
    except AccessDeniedError as error:
        ask = right(settings, "--operation DescribeConfigs", f"--resource-pattern-type prefixed --topic {PREFIX}.")
        return warning(
            CHECK,
            f"{error.text}; whether they are configured as they should be is not known",
            f"Ask the registrar for `docbus provision --dry-run`; or {ask}",
        )
    except DocbusError as error:
        return refused(CHECK, error)
    except TimeoutError:
        return warning(CHECK, f"not known: asking took more than {seconds:g} s", "docbus provision --dry-run")
    return compared(settings, len(specs), steps)


def compared(settings: Settings, asked: int, steps: Sequence[Step]) -> Diagnosis:
    """Tell what differs.

    Args:
        settings: Whose folder it is.
        asked: How many topics were asked about.
        steps: What would have to be done.
    """
    if not steps:
        return passed(CHECK, f"all {asked:,} are there, and configured as they should be")
    count = len({step.topic for step in steps})
    texts = [step.text for step in steps[:SHOWN_TOPICS]]
    more = f"; and {len(steps) - SHOWN_TOPICS:,} more" if len(steps) > SHOWN_TOPICS else ""
    found = f"{count:,} of {asked:,} are not as they should be: {'; '.join(texts)}{more}"
    if all(step.action is Action.UNCHANGEABLE for step in steps):
        return warning(
            CHECK, found, "Leave them so, and tell the registrar: documents travel, and the directory says otherwise."
        )
    mine = settings.registrar is not None
    return failed(CHECK, found, "docbus provision" if mine else "Ask the registrar to run `docbus provision`.")
