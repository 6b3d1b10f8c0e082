"""A signature that was made for one purpose and is offered for another: batches, acts, join requests, the directory.

Every agency's key signs batches, with statements or acts in them, and its join request; a registrar's key signs
entries. Here one key does all of it, which nobody should let it, and still nothing passes for anything else.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import pytest

from docbus.envelope.act import PAYLOAD_TYPE, Act, seal_acts
from docbus.envelope.batch import batch_signed_bytes
from docbus.envelope.envelope import Envelope, decode_envelope, encode_envelope
from docbus.envelope.statement import DOCUMENT_TYPE
from docbus.errors import DirectoryError, IdentityError, VerificationError
from docbus.identity import armour, entries
from docbus.identity.join import verify_join_request
from docbus.identity.signing import registrar_signer_of
from docbus.verification.acts import verify_act
from docbus.verification.verifier import Verifier
from docbus.wire.pae import BATCH_TYPE, DIRECTORY_TYPE, JOIN_TYPE, leaf_digest, pae
from tests.support.audit_exchange import CITY, PROVINCE, Exchange
from tests.support.directory import ENVIRONMENT, NOW_MS, DirectoryBuilder, Keys, make_keys

if TYPE_CHECKING:
    from collections.abc import Callable

REQUEST, SIGNATURE = "DOCBUS JOIN REQUEST", "DOCBUS JOIN REQUEST SIGNATURE"


class OneKey:
    """An exchange whose registrar signs with the key of the city, and one genuine thing of each kind."""

    def __init__(self) -> None:
        self.exchange = Exchange()
        keys = self.exchange.keys[CITY]
        self.keys: Keys = keys
        self.directory = DirectoryBuilder(signers=(registrar_signer_of(keys.private_key),))
        (posted,) = self.exchange.documents(CITY, PROVINCE, 1)
        self.envelope = decode_envelope(posted.value)
        self.request = keys.join_request(self.directory.genesis)
        self.entry = entries.decode_record(self.directory.value(entries.Heartbeat()))

    @cached_property
    def act(self) -> bytes:
        """A genuine act of the city."""
        snapshot = self.exchange.snapshot
        made = Act(
            version=1,
            environment=ENVIRONMENT,
            agency=CITY,
            certificate=self.keys.signer.certificate,
            directory_position=snapshot.position,
            directory_hash=snapshot.head,
            made_at=NOW_MS,
            operator="Lan",
            action="release",
            topic="quarantine",
            number=1,
            digest=bytes(32),
            refused_for="batch_key_unusable",
            sender=PROVINCE,
            document_id="d",
            revision=1,
            reason="found again",
            nonce=bytes(16),
        )
        return seal_acts([made], self.keys.signer)[0]

    @property
    def batch_body(self) -> bytes:
        """What a signature over the envelope covers, without its type."""
        leaf = leaf_digest(self.envelope.payload_type.encode(), self.envelope.statement)
        return batch_signed_bytes(1, self.keys.signer.certificate, 1, leaf).split(b" ", 4)[4]

    def as_envelope(self, signature: bytes) -> None:
        """Verify the envelope with another signature."""
        (block,) = self.envelope.signatures
        self.inbox(self.envelope._replace(signatures=(block._replace(signature=signature),)))

    def inbox(self, envelope: Envelope) -> None:
        """Verify as the recipient."""
        value, snapshot = encode_envelope(envelope), self.exchange.snapshot
        Verifier().verify(value, key=None, recipient=PROVINCE, snapshot=snapshot, now_ms=NOW_MS)

    def ledger(self, envelope: Envelope) -> None:
        """Verify as a record of the city's ledger topic."""
        verify_act(Verifier(), encode_envelope(envelope), agency=CITY, snapshot=self.exchange.snapshot)

    def as_request(self, signature: bytes) -> None:
        """Verify the join request with another signature."""
        text = armour.wrap(REQUEST, armour.unwrap(REQUEST, self.request)) + armour.wrap(SIGNATURE, signature)
        verify_join_request(text, environment=ENVIRONMENT, genesis=self.directory.genesis, now_ms=NOW_MS)

    def as_entry(self, signature: bytes) -> None:
        """Apply the directory entry with another signature."""
        (block,) = self.entry.signatures
        changed = replace(self.entry, signatures=(replace(block, signature=signature),))
        self.directory.replay().apply(entries.encode_record(changed))


@pytest.fixture(scope="module")
def one() -> OneKey:
    """Return it; tests only read it."""
    return OneKey()


BODIES: dict[bytes, Callable[[OneKey], bytes]] = {
    BATCH_TYPE: lambda one: one.batch_body,
    JOIN_TYPE: lambda one: armour.unwrap(REQUEST, one.request),
    DIRECTORY_TYPE: lambda one: one.entry.entry,
}
OFFERS: dict[bytes, Callable[[OneKey, bytes], None]] = {
    BATCH_TYPE: OneKey.as_envelope,
    JOIN_TYPE: OneKey.as_request,
    DIRECTORY_TYPE: OneKey.as_entry,
}
GENUINE: dict[bytes, Callable[[OneKey], bytes]] = {
    BATCH_TYPE: lambda one: one.envelope.signatures[0].signature,
    JOIN_TYPE: lambda one: armour.unwrap(SIGNATURE, one.request),
    DIRECTORY_TYPE: lambda one: one.entry.signatures[0].signature,
}
NOT_SIGNED = "signature_invalid"
REFUSALS: dict[bytes, tuple[type[Exception], str]] = {
    BATCH_TYPE: (VerificationError, NOT_SIGNED),
    JOIN_TYPE: (IdentityError, "is not signed by the key it asks for"),
    DIRECTORY_TYPE: (DirectoryError, "breaks the rule signatures"),
}
PAIRS = [(made, offered) for made in BODIES for offered in BODIES]


def refused(offered: bytes, offer: Callable[[], None]) -> None:
    """Assert that what is offered is refused for its signature, by its code or in its words."""
    error, reason = REFUSALS[offered]
    with pytest.raises(error) as caught:
        offer()
    assert reason in (f"{caught.value.code}" if isinstance(caught.value, VerificationError) else f"{caught.value}")


@pytest.mark.parametrize(("made", "offered"), PAIRS)
def test_right_bytes_count_only_under_their_type(one: OneKey, made: bytes, offered: bytes) -> None:
    """The key signs exactly what is asked for, under the type of something else; only the right type passes."""
    signature = one.keys.signer.sign(pae(made, BODIES[offered](one)))

    if made == offered:
        OFFERS[offered](one, signature)
    else:
        refused(offered, lambda: OFFERS[offered](one, signature))


@pytest.mark.parametrize(("made", "offered"), [pair for pair in PAIRS if pair[0] != pair[1]])
def test_a_genuine_signature_is_of_no_use_elsewhere(one: OneKey, made: bytes, offered: bytes) -> None:
    """The signature of a batch, a join request or an entry, carried over as it is, is refused."""
    refused(offered, lambda: OFFERS[offered](one, GENUINE[made](one)))


def test_an_act_does_not_become_a_statement(one: OneKey) -> None:
    """Acts and statements are leaves under one type of signature; the leaf has the payload type, so C1.08 fails."""
    act = decode_envelope(one.act)
    one.ledger(act)

    refused(BATCH_TYPE, lambda: one.inbox(act._replace(payload_type=DOCUMENT_TYPE)))


def test_a_statement_does_not_become_an_act(one: OneKey) -> None:
    """The other way round: a document that says it is an act, in the ledger of its sender."""
    one.inbox(one.envelope)
    bare = one.envelope._replace(package=None, keys=None)

    refused(BATCH_TYPE, lambda: one.ledger(bare._replace(payload_type=PAYLOAD_TYPE)))


def test_the_signature_of_an_act_signs_no_statement(one: OneKey) -> None:
    """The block of a genuine batch, put on a statement that was not in it, fails C1.08."""
    act = decode_envelope(one.act)

    refused(BATCH_TYPE, lambda: one.inbox(one.envelope._replace(signatures=act.signatures)))


def test_a_join_request_for_one_exchange_is_none_for_another(one: OneKey) -> None:
    """The request as it is, shown to the registrar of a directory with another genesis, is refused."""
    one.as_request(GENUINE[JOIN_TYPE](one))

    with pytest.raises(IdentityError, match="this directory is"):
        verify_join_request(one.request, environment=ENVIRONMENT, genesis=bytes(32), now_ms=NOW_MS)


def test_a_key_of_one_agency_asks_for_no_other(one: OneKey) -> None:
    """A second request, signed by the right key, for another agency's certificate is refused for its certificate."""
    other = replace(make_keys(PROVINCE), private_key=one.keys.private_key, certificate=one.keys.certificate)

    with pytest.raises(IdentityError, match="subject alternative name is not just"):
        verify_join_request(
            other.join_request(one.directory.genesis),
            environment=ENVIRONMENT,
            genesis=one.directory.genesis,
            now_ms=NOW_MS,
        )
