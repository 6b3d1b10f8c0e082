"""Every bound in the source is on its page with the test that reaches it, and nothing is without a bound."""

from __future__ import annotations

import ast
import importlib
import re
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.source import ROOT, modules, tree

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (ROOT / "docs" / "reference" / "limits.md").read_text("utf-8")
BOUND = re.compile(
    r"(^|_)(MAX|LONGEST|LIMIT|SHOWN|CHUNK|WORKERS|ATTEMPTS|ROUNDS|LOOKUP|AHEAD|ONCE)(_|$)"
    r"|^(READ|FETCH|BATCH|WINDOW|SEARCH|EMPTY_READ|ANCHOR|LOOK|CACHE|LOG|BLOCK|SYNC|SLICE|RETENTION|PRUNE)"
    r"_(RECORDS|BYTES|PARTS|ROWS|COPIES|KIB)$"
)
"""Names that say that something is bounded. Waits have names of their own, in seconds, and are not on the page."""
NO_BOUNDS = {
    "docbus.consumers.fetching.WORKERS": "threads of a pool; what they work on, MAX_FETCHES bounds",
    "docbus.consumers.sinks.folder.BLOCK_BYTES": "a step in which a file is copied",
    "docbus.edxml.archive._CHUNK_BYTES": "a step in which what is unpacked is counted",
    "docbus.edxml.archive._MAX_COMMENT_BYTES": "a field of the zip format, two bytes wide",
    "docbus.edxml.archive._MAX_DIRECTORY_BYTES": "what an entry of a zip can have by its format",
    "docbus.edxml.parser._CHUNK_BYTES": "a step in which a file is parsed",
    "docbus.producers.clock_guard.LONGEST_TRIAL_SECONDS": "a wait",
    "docbus.producers.journey.LONGEST_POLL_SECONDS": "a wait",
    "docbus.producers.publisher.WORKERS": "threads of a pool; what they work on, MAX_DOCUMENTS bounds",
    "docbus.settings.MAX_PORT": "a port of TCP",
    "docbus.transport.kafka_client.METADATA_MAX_AGE_MS": "when leaders are asked for again; nothing grows until then",
    "docbus.transport.kafka_consumer.MAX_POLL_MS": "what a member promises the brokers",
    "docbus.transport.kafka_records._MAX_VARINT_BYTES": "a number of 64 bits in Kafka's format",
    "docbus.transport.kafka_settings._MAX_PORT": "a port of TCP",
    "docbus.transport.partitioner._MAX_FIXED_BYTES": "fields of Kafka's record format",
    "docbus.transport.sqlite_file.CACHE_KIB": "what SQLite is told to keep of its pages",
    "docbus.transport.sqlite_topics._DEFAULT_MAX_BYTES": "Kafka's default, which no topic of docbus has",
    "docbus.wire.parts.CHUNK_BYTES": "part of the encryption's format",
}
"""Constants whose names say so, and that bound nothing, each with what it is."""
ROW = re.compile(
    r"^\| `(?P<name>[\w.]+)` \| (?P<value>[^|]+) \| (?P<what>[^|]+) \| (?P<then>[^|]+) \| (?P<test>[^|]+) \|$"
)
ROWS = [found for line in PAGE.splitlines() if (found := ROW.match(line))]


@cache
def constants() -> dict[str, Any]:
    """Return the value of every module's constant whose name says that it is a bound."""
    found = {}
    for name, path in modules().items():
        for node in tree(path).body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            for target in targets:
                if isinstance(target, ast.Name) and target.id.isupper() and BOUND.search(target.id):
                    value = getattr(importlib.import_module(name), target.id)
                    if isinstance(value, int | float):
                        found[f"{name}.{target.id}"] = value
    return found


def test_every_bound_is_on_the_page() -> None:
    """A bound has one row, and a row has a bound."""
    named = [f"docbus.{row['name']}" for row in ROWS]

    assert sorted(set(constants()) - set(NO_BOUNDS)) == sorted(named)
    assert set() == set(NO_BOUNDS) - set(constants())


def test_the_page_has_the_values_in_force() -> None:
    """The number in front of the unit is the constant's."""
    wrong = {
        row["name"]: row["value"]
        for row in ROWS
        if float(row["value"].split()[0].replace(",", "")) != constants()[f"docbus.{row['name']}"]
    }

    assert {} == wrong


def test_every_bound_is_reached_by_a_test() -> None:
    """Each row names a test that is there."""
    missing = {row["name"]: row["test"] for row in ROWS if not _is_test(row["test"])}

    assert {} == missing


def _is_test(cell: str) -> bool:
    found = re.fullmatch(r"`(tests/[\w/]+\.py)::(\w+)`", cell)
    return found is not None and found[2] in _functions(found[1])


@cache
def _functions(file: str) -> frozenset[str]:
    nodes = ast.walk(tree(ROOT / file)) if (ROOT / file).is_file() else ()
    return frozenset(node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_a_row_says_what_happens_at_the_bound() -> None:
    """What is bounded, and what happens then, is told in words for each."""
    assert [] == [row["name"] for row in ROWS if len(row["what"]) < 10 or len(row["then"]) < 5]


# --- containers ---------------------------------------------------------------------------------------

CONTAINERS = dict.fromkeys(("Queue", "LifoQueue", "PriorityQueue"), "maxsize") | {"SimpleQueue": "", "deque": "maxlen"}
"""What grows without end unless it is told not to, and the argument that tells it."""
UNBOUNDED = {
    "docbus.audit.replay": "one cursor for each partition that is read, which are bounded by MAX_INBOXES",
    "docbus.consumers.listing": "as many as the caller asks for; the loop ends then",
    "docbus.consumers.set_aside": "the numbers that the caller has given, of which it takes away",
    "docbus.registry.reader": "one read more than there are processes to prove what was read",
    "docbus.storage.database": "MAX_QUEUED is looked at before anything is put in, so that the caller is told",
    "docbus.wire.avro": "one entry for each schema file that comes with the code",
}
"""Modules that make one without a bound of its own, each with what bounds it instead."""


def _unbounded(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and (name := _name(node.func)) in CONTAINERS:
            given = {keyword.arg for keyword in node.keywords}
            size = 1 if name == "deque" else 0
            if CONTAINERS[name] not in given and len(node.args) <= size:
                yield f"{name} in line {node.lineno}"
        if isinstance(node, ast.Call) and _name(node.func) == "lru_cache" and _endless(node):
            yield f"lru_cache without an end in line {node.lineno}"
        # A function without arguments has one value to remember.
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and ast.unparse(node.args) and _is_cached(node):
            yield f"cache in line {node.lineno}"


def _is_cached(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(_name(one) == "cache" for one in node.decorator_list)


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _endless(call: ast.Call) -> bool:
    sizes = [*call.args[:1], *(keyword.value for keyword in call.keywords if keyword.arg == "maxsize")]
    return any(isinstance(size, ast.Constant) and size.value is None for size in sizes)


@pytest.mark.parametrize(
    "source",
    [
        "asyncio.Queue()",
        "queue.SimpleQueue()",
        "deque()",
        "deque(items)",
        "@functools.cache\ndef f(x): pass",
        "@lru_cache(maxsize=None)\ndef f(x): pass",
        "@lru_cache(None)\ndef f(x): pass",
    ],
)
def test_what_has_no_bound_is_found(source: str) -> None:
    """Each form in which something grows without end is seen."""
    assert 1 == len(list(_unbounded(ast.parse(source))))


@pytest.mark.parametrize(
    "source",
    [
        "asyncio.Queue(maxsize=3)",
        "asyncio.Queue(3)",
        "deque(maxlen=MAX)",
        "deque(items, 3)",
        "@functools.cache\ndef f(): pass",
        "@lru_cache(maxsize=3)\ndef f(x): pass",
        "@lru_cache\ndef f(x): pass",
    ],
)
def test_what_has_a_bound_is_left_alone(source: str) -> None:
    """What is told where to end is not complained about."""
    assert [] == list(_unbounded(ast.parse(source)))


def test_nothing_grows_without_end() -> None:
    """Queues and caches have a bound of their own, or a reason why they need none."""
    found = {name: places for name, path in modules().items() if (places := list(_unbounded(tree(path))))}

    assert {} == {name: places for name, places in found.items() if name not in UNBOUNDED}
    assert set(UNBOUNDED) == set(found)
