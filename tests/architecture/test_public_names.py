"""What users may import, listed by hand: whoever adds or takes away a name does it on purpose."""

from __future__ import annotations

import subprocess
import sys

import pytest

import docbus

PUBLIC = (
    "Accepted",
    "Agency",
    "AgencyId",
    "AlreadyThere",
    "Answer",
    "Conflict",
    "Created",
    "DeliveredFile",
    "Delivery",
    "DocbusError",
    "Document",
    "DocumentReference",
    "File",
    "FileStream",
    "IncomingDocument",
    "Journey",
    "Leg",
    "Redriven",
    "Reject",
    "Retry",
    "Selection",
    "Sink",
    "SinkUnavailableError",
    "StatusCode",
    "Target",
    "Urgency",
)
AGENCY = (
    "acts",
    "database",
    "deliveries",
    "directory_trouble",
    "fetch",
    "id",
    "name",
    "open",
    "publish",
    "publish_documents",
    "recall",
    "receive_into",
    "redeliver",
    "reject",
    "release",
    "replace",
    "report",
    "resend",
    "run",
    "serving",
    "settings",
    "snapshot",
    "status",
    "track",
    "transport",
    "update",
    "wait",
    "withdraw",
)
SET_WHEN_OPENED = frozenset({"database", "id", "settings", "transport"})


def test_public_names_are_these() -> None:
    """The package offers exactly the names in this list."""
    assert list(PUBLIC) == docbus.__all__


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_can_be_imported(name: str) -> None:
    """Each name leads to a class of that name with a description."""
    found = getattr(docbus, name)

    assert (name, True) == (found.__name__, bool(found.__doc__))


def test_other_names_are_no_attributes() -> None:
    """A name that is not offered is refused as Python does."""
    with pytest.raises(AttributeError, match="module 'docbus' has no attribute 'Bus'"):
        docbus.Bus  # noqa: B018 - looking it up is the test


def test_members_of_an_agency_are_these() -> None:
    """The one object that users work with has exactly these public members."""
    classes = docbus.Agency.__mro__[:-1]
    found = {name for one in classes for name in vars(one) if not name.startswith("_")} | SET_WHEN_OPENED

    assert list(AGENCY) == sorted(found)


def test_importing_loads_no_client_of_kafka() -> None:
    """Importing the package and asking for a small name is cheap: neither aiokafka nor SQLite are loaded."""
    program = "import docbus, sys; docbus.AgencyId; print(*sorted({'aiokafka', 'sqlite3'} & sys.modules.keys()))"

    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)

    assert "" == printed.stdout.strip()
