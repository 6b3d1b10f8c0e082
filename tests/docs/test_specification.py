"""The specification's tables and examples are those of the code and the vectors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from docbus import limits
from docbus.documents.refusals import RESENDABLE
from docbus.envelope.batch import batch_signed_bytes
from docbus.envelope.envelope import decode_envelope
from docbus.envelope.statement import SCHEMAS, decode_head
from docbus.identity.rules import RULES
from docbus.identity.schemes import SCHEMES
from docbus.identity.time_stamps.verdict import Reason
from docbus.transport import topics
from docbus.verification.checks import AUTHORITY_CODES, CERTIFICATE_CODES, CHECKS, PATH_CODES
from docbus.wire import pae
from docbus.wire.avro import definition_of, load_schema
from docbus.wire.pae import leaf_digest
from docbus.wire.parts import content_size, count_parts
from docbus.wire.profiles import PROFILES
from tests.support.avro import SCHEMA_NAMES

ROOT = Path(__file__).parents[2]
PAGES = {path.stem: path.read_text("utf-8") for path in (ROOT / "docs" / "specification").glob("*.md")}
SCHEMAS_SHOWN = sorted({*SCHEMA_NAMES, "part"})
EXAMPLE = (ROOT / "tests" / "vectors" / "envelope" / "v1-document" / "envelope.bin").read_bytes()


def rows(page: str, pattern: str) -> list[tuple[str, ...]]:
    """Return what a pattern captures in the page's table rows."""
    return [found.groups() for found in re.finditer(rf"^\| {pattern}", PAGES[page], re.MULTILINE)]


def test_checks_are_those_of_the_code() -> None:
    """Numbers, codes, titles and outcomes, in the same order."""
    expected = [(check.number, check.code, check.title, check.outcome) for check in CHECKS]

    assert expected == rows("verification", r"(C[12]\.\d\d) \| `(\w+)` \| (.+?) \| (\w+) \|$")


def test_authority_codes_are_all_explained() -> None:
    """Each special code of C1.04, C1.19 and C1.23 has a row."""
    for code in (*AUTHORITY_CODES, *CERTIFICATE_CODES, *PATH_CODES):
        assert f"| `{code}` |" in PAGES["verification"]


def test_limits_are_those_of_the_code() -> None:
    """Every limit stands in the table with its value."""
    expected = {name: f"{value:,}" for name, value in vars(limits).items() if name.startswith("MAX_")}

    assert expected == dict(rows("envelope", r"`(MAX_\w+)` \| ([\d,]+) \|"))  # type: ignore[arg-type] # pairs


def test_sizes_of_large_content_are_those_of_the_code() -> None:
    """Bytes of plaintext, bytes of ciphertext and number of parts in the examples, and the size of a part."""
    shown = [
        tuple(int(number.replace(",", "")) for number in row)
        for row in rows("envelope", r"([\d,]+) \| ([\d,]+) \| (\d+) \|$")
    ]

    assert shown
    assert [(plain, content_size(plain), count_parts(size)) for plain, size, _ in shown] == shown
    assert [(f"{limits.PART_BYTES:,}",)] == rows("envelope", r"`PART_BYTES` \| ([\d,]+) \|")


def test_refusals_for_want_of_content_are_all_explained() -> None:
    """Each reason for which a sender may send content again has a row where refusals are, and is named there."""
    assert sorted(RESENDABLE) == sorted(code for (code,) in rows("verification", r"`(content_\w+)` \| [^|]+ \|$"))
    assert [] == [code for code in RESENDABLE if f"`{code}`" not in PAGES["streams-and-receipts"]]


def test_fingerprints_are_those_of_the_schemas() -> None:
    """Every schema stands in the table with its fingerprint."""
    expected = {name: load_schema(name).fingerprint.hex() for name in SCHEMAS_SHOWN}

    assert expected == dict(rows("envelope", r"`([a-z-]+)` \| `([0-9a-f]{16})` \|"))  # type: ignore[arg-type] # pairs


def test_profiles_are_those_of_the_code() -> None:
    """Every profile stands in the table with number, name, signatures and date."""
    expected = [(str(int(n)), terms.name, str(terms.signatures), terms.introduced) for n, terms in PROFILES.items()]

    assert expected == rows("envelope", r"(\d) \| ([\w+-]+) \| (\d) \| (\d{4}-\d\d-\d\d) \|")


@pytest.mark.parametrize("name", SCHEMAS_SHOWN)
def test_every_field_is_explained(name: str) -> None:
    """Each field of each schema is named in the pages."""
    text = "".join(PAGES.values())
    fields: list[str] = []
    pending: list[Any] = [definition_of(name)]
    while pending:
        kind = pending.pop()
        if isinstance(kind, list):
            pending.extend(kind)
        elif isinstance(kind, dict):
            fields.extend(field["name"] for field in kind.get("fields", ()))
            pending.extend(field["type"] for field in kind.get("fields", ()))
            pending.extend(part for part in (kind.get("items"), kind.get("type")) if isinstance(part, dict | list))
    missing = [field for field in fields if not re.search(rf"\b{field}\b", text)]

    assert [] == missing


def test_rules_are_those_of_the_directory() -> None:
    """Every rule of the directory log stands in the table, in the same words."""
    assert list(RULES.items()) == rows("directory", r"`(\w+)` \| ([A-Z].+\.) \|$")


def test_reasons_of_time_stamps_are_those_of_the_code() -> None:
    """Every reason for which a token proves nothing has a row, and what it makes of the outcome."""
    shown = dict(rows("time-stamps", r"T\d+ \| `(\w+)` \| [^|]+ \| (\w+) \|$"))  # type: ignore[arg-type] # pairs

    assert sorted(Reason) == sorted(shown)
    assert {Reason.NO_ANCHOR, Reason.UNKNOWN_AUTHORITY} == {r for r, o in shown.items() if o == "indeterminate"}


def test_schemes_of_ids_are_those_of_the_code() -> None:
    """Every scheme stands in the table with its example."""
    expected = [(scheme.name, f"{scheme.name}:{scheme.example}") for scheme in SCHEMES.values()]

    assert expected == rows("directory", r"`(\w+)` \| [^|`]+ \| `(\w+:[^`]+)` \|$")


def test_types_are_those_of_the_code() -> None:
    """Every payload type and every type of PAE is named."""
    types = [value.decode() for name, value in vars(pae).items() if name.endswith("_TYPE")]

    assert [] == [name for name in [*types, *SCHEMAS] if f"`{name}`" not in PAGES["envelope"]]


def test_topics_are_those_of_the_code() -> None:
    """Kinds, the example of escaping, and each setting with its value."""
    page = PAGES["transport"]

    assert [] == [kind for kind in topics.KINDS if f"| `{kind}` |" not in page]
    assert f"`{topics.inbox('vn:H37.DN-1')}`" in page
    for name, value in topics.configuration_of("inbox").items():
        shown = {"-1": "\u2212", "1310720": "1,310,720"}.get(value, value)
        if name != "retention.ms":
            assert f"| `{name}` | " in page
            assert shown in page.partition(f"| `{name}` | ")[2].partition("\n")[0]


def test_the_example_is_the_vector() -> None:
    """Head, position, body, digest, signed bytes and signature in hex are those of v1-document."""
    envelope = decode_envelope(EXAMPLE)
    statement = envelope.statement
    _, at = decode_head(envelope.payload_type, statement)
    codec = SCHEMAS[envelope.payload_type].codec
    _, behind = codec.decode_part(codec.readers["Position"], statement, at)
    digest = leaf_digest(envelope.payload_type.encode(), statement)
    block = envelope.signatures[0]
    expected = {
        "head": statement[:at],
        "position": statement[at:behind],
        "body": statement[behind:],
        "digest": digest,
        "signed": batch_signed_bytes(block.profile, block.certificate, 1, digest),
        "signature": block.signature,
    }
    shown = dict(re.findall(r"```hex (\w+)\n([0-9a-f\n]+)```", PAGES["envelope"]))

    assert expected == {name: bytes.fromhex(text) for name, text in shown.items()}


@pytest.mark.parametrize("page", sorted(PAGES))
def test_one_sentence_per_line(page: str) -> None:
    """No line of text has two sentences, so that changes are easy to read."""
    lines = [line for line in PAGES[page].splitlines() if not line.startswith(("|", "```", "{"))]

    assert [] == [line for line in lines if re.search(r"[a-z)`]\. [A-Z]", line)]
