from __future__ import annotations

from typing import Any

import pytest

from docbus.envelope.act import Act, decode_act, encode_act, seal_acts
from docbus.envelope.envelope import decode_envelope
from docbus.errors import MalformedError
from docbus.limits import MAX_ACT_REASON_BYTES, MAX_OPERATOR_BYTES
from tests.support.directory import make_keys

ACT = Act(
    1,
    "test",
    "vn:H26",
    bytes(32),
    3,
    bytes(32),
    5,
    "lan",
    "release",
    "dead-letter",
    3,
    bytes(32),
    "conflict",
    "vn:H53",
    "15/UBND",
    2,
    "đã sửa",
    bytes(16),
)


def test_act_comes_back() -> None:
    """What is encoded is decoded, with the topic as topics are called."""
    assert ACT == decode_act(encode_act(ACT))


@pytest.mark.parametrize(
    "changed",
    [
        {"operator": "x" * (MAX_OPERATOR_BYTES + 1)},
        {"operator": ""},
        {"reason": ""},
        {"reason": "đ" * (MAX_ACT_REASON_BYTES // 2 + 1)},
        {"topic": "inbox"},
        {"number": -1},
        {"version": 2},
        {"sender": None},
        {"revision": None},
    ],
)
def test_act_beyond_its_limits_is_not_made(changed: dict[str, Any]) -> None:
    """Nothing is signed that no reader would take."""
    with pytest.raises(MalformedError):
        encode_act(ACT._replace(**changed))


def test_acts_of_one_command_share_one_signature() -> None:
    """A thousand acts are one batch: the same signature in each envelope, and a path of at most ten hashes."""
    signer = make_keys("vn:H26").signer

    sealed = [decode_envelope(value) for value in seal_acts([ACT._replace(number=n) for n in range(1000)], signer)]

    assert 1 == len({envelope.signatures for envelope in sealed})
    assert {1000} == {envelope.proof.tree_size for envelope in sealed}
    assert 320 == max(len(envelope.proof.path) for envelope in sealed)
    assert list(range(1000)) == [decode_act(envelope.statement).number for envelope in sealed]
