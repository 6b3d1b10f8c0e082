"""The port to the brokers, and its two adapters: Apache Kafka, and one SQLite file on one host (design D6).

``port`` has the guarantees, ``topics`` the names and their configuration. The adapters are not imported here, so that
a command which needs none does not load them.
"""

from docbus.transport.port import (
    Difference,
    NewRecord,
    Record,
    Start,
    Subscription,
    TopicSpec,
    TopicState,
    Transport,
)

__all__ = [
    "Difference",
    "NewRecord",
    "Record",
    "Start",
    "Subscription",
    "TopicSpec",
    "TopicState",
    "Transport",
]
