from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS, seeds

CORPUS = Path(__file__).parent / "corpus"
pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")
"""What `cryptography` warns of in certificates that are odd on purpose."""
SEEDS = list(seeds(CORPUS.parents[1] / "vectors"))


@pytest.mark.parametrize("target", TARGETS)
def test_corpus_holds(target: str) -> None:
    """Every input that a search has kept, and every vector, is read exactly or refused by name."""
    inputs = [path.read_bytes() for path in sorted((CORPUS / target).glob("*"))]
    inputs += [content for of, content in SEEDS if of == target]
    assert inputs
    for content in inputs:
        TARGETS[target](content)


@pytest.mark.parametrize("target", TARGETS)
def test_every_shortened_input_holds(target: str) -> None:
    """The same for every beginning of every tenth input, and for each with a byte added."""
    inputs = [path.read_bytes() for path in sorted((CORPUS / target).glob("*"))]
    for content in inputs[::10]:
        for end in range(len(content)):
            TARGETS[target](content[:end])
        TARGETS[target](content + b"\x00")
