"""Which docbus, on which Python."""

from __future__ import annotations

import platform
import sqlite3
from importlib.metadata import PackageNotFoundError, version

from docbus.client.doctor.diagnosis import Diagnosis, passed


def software() -> Diagnosis:
    """Return the versions, which whoever is asked for help wants to know first."""
    try:
        own = version("docbus")
    except PackageNotFoundError:
        own = "that is not installed as a package"
    parts = (
        f"docbus {own}",
        f"Python {platform.python_version()}",
        f"SQLite {sqlite3.sqlite_version}",
        f"{platform.system()} {platform.release()}",
    )
    return passed("software", ", ".join(parts))
