"""The Kafka settings that docbus ships, read from ``compose.yaml`` as the image reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PREFIX = "KAFKA_"
NODE_LOCAL = frozenset({"advertised.listeners", "controller.quorum.voters", "listeners", "log.dirs"})
"""Addresses and folders: all that a test broker may have otherwise than what is shipped."""


def service() -> dict[str, Any]:
    """Return the one service of ``compose.yaml``."""
    services: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]
    (only,) = services.values()
    return dict(only)


def property_of(variable: str) -> str:
    """Return the Kafka setting that a variable stands for: ``KAFKA_NODE_ID`` is ``node.id``.

    The image knows ``__`` and ``___`` for underscore and hyphen as well; no broker setting needs them.
    """
    name = variable.removeprefix(PREFIX)
    if name == variable or "__" in name or name != name.upper():
        raise ValueError(f"compose.yaml: {variable} is not a Kafka setting in the form KAFKA_NODE_ID")
    return name.lower().replace("_", ".")


def shipped_settings() -> dict[str, str]:
    """Return the broker's settings as ``compose.yaml`` has them, in Kafka's names."""
    settings = {}
    for variable, value in service()["environment"].items():
        if not isinstance(value, str):
            raise TypeError(f"compose.yaml: {variable} must be quoted, so that YAML does not rewrite it")
        settings[property_of(variable)] = value
    return settings
