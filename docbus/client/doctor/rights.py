"""The commands by which whoever runs the brokers gives rights, as in docs/how-to/run-on-kafka.md."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from docbus.transport.topics import INBOX, PREFIX, kind_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docbus.settings import Settings


def read_right(settings: Settings, topics: Sequence[str]) -> str:
    """Return the commands that give the right to read topics.

    Who is no agency reads the inboxes of all.
    """
    every = [topic for topic in topics if settings.agency is None and kind_of(topic) == INBOX]
    named = [topic for topic in topics if topic not in every]
    commands = []
    if named:
        commands.append(right(settings, "--operation Read", " ".join(f"--topic {topic}" for topic in named)))
    if every:
        prefix = f"--resource-pattern-type prefixed --topic {PREFIX}.{INBOX}."
        commands.append(right(settings, "--operation Read", prefix))
    return "; ".join(commands)


def right(settings: Settings, operation: str, what: str) -> str:
    """Return the command that gives a right.

    Args:
        settings: Name the brokers and the user; a user known by its TLS certificate is not named in them.
        operation: Such as ``--operation Read``.
        what: Topics or groups, as options.
    """
    kafka = settings.kafka
    bootstrap = "BROKER" if kafka is None else kafka.bootstrap
    user = "USER" if kafka is None or kafka.sasl_username is None else kafka.sasl_username
    return (
        f"kafka-acls.sh --bootstrap-server {shlex.quote(bootstrap)} --add"
        f" --allow-principal {shlex.quote(f'User:{user}')} {operation} {what}"
    )
