"""Fetching what authorities say of the certificates in force: revocation lists, or answers where there are no lists."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from docbus.client.issued import issued_in_force, issued_to, issuer_of
from docbus.errors import DocbusError, IdentityError, MalformedError, RevocationUnavailableError
from docbus.identity.pki.crl import MAX_LIST_BYTES, distribution_points, read_list
from docbus.identity.pki.ocsp import MAX_RESPONSE_BYTES, read_response, request_for, responders
from docbus.transport.web import request
from docbus.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography import x509

    from docbus.client.material_memory import MaterialMemory
    from docbus.identity.pki.authorities import Authorities
    from docbus.identity.pki.crl import RevocationList
    from docbus.identity.pki.material import Piece
    from docbus.identity.pki.ocsp import StatusResponse
    from docbus.identity.snapshot import TrustSnapshot

log = structlog.get_logger(__name__)

MAX_FETCHED = 1024
"""Addresses that are asked in one round: lists of some authorities, and answers about agencies where there are none."""
MAX_OWN = 8
"""Addresses at which the doctor asks about an agency's own certificates, all at once: one or two are usual, and eight
lists of the largest kind are 128 MiB."""
EVERY_SECONDS = 3600.0
"""Seconds from one round to the next: authorities make a new list every day or every few hours."""
AGAIN_SECONDS = 300.0
"""Seconds after which a round in which something could not be had is made again."""
NONCE_BYTES = 16


class Question(NamedTuple):
    """Where to ask about one certificate."""

    uri: str
    certificate: x509.Certificate
    issuer: x509.Certificate


class Wanted(NamedTuple):
    """Addresses of lists, and questions about certificates for which there is no list; ``left_out`` are too many."""

    lists: tuple[str, ...]
    questions: tuple[Question, ...]
    left_out: int


NOTHING_WANTED = Wanted((), (), 0)


class Collected(NamedTuple):
    """What a round came to: addresses with something new, with nothing new, and those that failed, with the reason."""

    new: tuple[str, ...]
    known: tuple[str, ...]
    failed: tuple[tuple[str, str], ...]


def wanted_of(snapshot: TrustSnapshot, own: str | None = None) -> Wanted:
    """Return what is to be fetched for the certificates in force; some seconds of work for a national directory.

    Args:
        snapshot: The directory.
        own: Canonical id of the agency that asks: how it stands itself is asked first, whatever is left out.
    """
    authorities = snapshot.authorities()
    first = _wanted([] if own is None else issued_to(snapshot, own), authorities)
    found = _wanted(issued_in_force(snapshot), authorities)
    lists = tuple(dict.fromkeys((*first.lists, *found.lists)))[: MAX_FETCHED - len(first.questions)]
    questions = {(one.uri, one.certificate.serial_number): one for one in (*first.questions, *found.questions)}
    kept = tuple(questions.values())[: MAX_FETCHED - len(lists)]
    return Wanted(lists, kept, len(found.lists) + len(found.questions) - len(lists) - len(kept))


def wanted_of_own(snapshot: TrustSnapshot, agency: str) -> Wanted:
    """Return what is to be fetched for the certificates of one agency alone."""
    found = _wanted(issued_to(snapshot, agency), snapshot.authorities())
    lists = found.lists[:MAX_OWN]
    questions = found.questions[: MAX_OWN - len(lists)]
    return Wanted(lists, questions, len(found.lists) + len(found.questions) - len(lists) - len(questions))


def _wanted(certificates: Iterable[x509.Certificate], authorities: Authorities) -> Wanted:
    lists: dict[str, None] = {}
    questions: dict[tuple[str, int], Question] = {}
    for certificate in certificates:
        points = distribution_points(certificate)
        lists |= dict.fromkeys(points)
        issuer = None if points else issuer_of(certificate, authorities)
        if issuer is not None:
            for uri in responders(certificate)[:1]:
                questions[uri, certificate.serial_number] = Question(uri, certificate, issuer)
    return Wanted(tuple(lists), tuple(questions.values()), 0)


Fetch = Callable[..., Awaitable[bytes]]


def _draw() -> bytes:
    return secrets.token_bytes(NONCE_BYTES)


def _never() -> bool:
    return False


async def fetch_from(uri: str, **asked: Any) -> bytes:
    """Return what an authority's server answers; see :func:`~docbus.transport.web.request` for the arguments.

    Raises:
        RevocationUnavailableError: It cannot be had.
    """
    return await request(uri, unavailable=lambda what: RevocationUnavailableError(f"{uri[:200]} {what}"), **asked)


async def ask_list(uri: str, fetch: Fetch, stopped: Callable[[], bool]) -> RevocationList:
    """Return the revocation list at an address; whose it is, is not proven.

    Raises:
        RevocationUnavailableError: It cannot be had.
        MalformedError: What comes is none.
        IdentityError: It cannot be used.
    """
    content = await fetch(uri, max_bytes=MAX_LIST_BYTES, stopped=stopped)
    return await asyncio.to_thread(read_list, content)


async def ask_responder(
    question: Question, fetch: Fetch, nonce: Callable[[], bytes], stopped: Callable[[], bool]
) -> StatusResponse:
    """Return what a responder answers; that it may speak is not proven.

    Raises errors as :func:`ask_list`; also if it answers another question.
    """
    drawn = nonce()
    content = await fetch(
        question.uri,
        max_bytes=MAX_RESPONSE_BYTES,
        body=request_for(question.certificate, question.issuer, drawn),
        headers={"Content-Type": "application/ocsp-request"},
        stopped=stopped,
    )
    answer = read_response(content)
    if answer.nonce is not None and answer.nonce != drawn:
        raise RevocationUnavailableError("the answer is to another question: its nonce is not the one sent")
    return answer


async def collect(
    wanted: Wanted,
    memory: MaterialMemory,
    snapshot: TrustSnapshot,
    *,
    fetch: Fetch = fetch_from,
    nonce: Callable[[], bytes] = _draw,
    stopped: Callable[[], bool] = _never,
) -> Collected:
    """Ask for everything once, one after the other, and keep what is an authority's word.

    Args:
        wanted: From :func:`wanted_of`.
        memory: Where it is kept.
        snapshot: The directory.
        fetch: Makes one request; another one in tests.
        nonce: Draws what an answer has to repeat.
        stopped: Tells that the rest is not to be asked for.

    Raises:
        StorageError: It cannot be kept.
    """
    new: list[str] = []
    known: list[str] = []
    failed: list[tuple[str, str]] = []
    for uri in wanted.lists:
        if stopped():
            break
        try:
            found = await ask_list(uri, fetch, stopped)
            (new if await memory.keep_list(found, snapshot) else known).append(uri)
        except (IdentityError, MalformedError) as error:
            failed.append((uri, error.text))
    for question in wanted.questions:
        if stopped():
            break
        try:
            answer = await ask_responder(question, fetch, nonce, stopped)
            await memory.keep_response(answer, question.certificate, question.issuer)
            new.append(question.uri)
        except (IdentityError, MalformedError) as error:
            failed.append((question.uri, error.text))
    return Collected(tuple(new), tuple(known), tuple(failed))


async def ask(wanted: Wanted, *, fetch: Fetch = fetch_from) -> tuple[list[Piece], tuple[tuple[str, str], ...]]:
    """Ask for everything once and keep nothing; return what came, unproven, and the addresses that failed."""
    found: list[Piece] = []
    failed: list[tuple[str, str]] = []
    asked = [(uri, ask_list(uri, fetch, _never)) for uri in wanted.lists]
    answered = [(one.uri, ask_responder(one, fetch, _draw, _never)) for one in wanted.questions]
    uris, asking = zip(*asked, *answered, strict=True) if asked or answered else ((), ())
    for uri, one in zip(uris, await asyncio.gather(*asking, return_exceptions=True), strict=True):
        if isinstance(one, IdentityError | MalformedError):
            failed.append((uri, one.text))
        elif isinstance(one, BaseException):
            raise one
        else:
            found.append(one)
    return found, tuple(failed)


async def keep_collecting(
    snapshot: Callable[[], TrustSnapshot], own: str, memory: MaterialMemory, stop: asyncio.Event
) -> None:
    """Fetch every hour until ``stop`` is set, and sooner where something could not be had; failures are logged.

    Args:
        snapshot: Gives the directory.
        own: Canonical id of the agency that asks, see :func:`wanted_of`.
        memory: Where it is kept.
        stop: Ends it.
    """
    while not stop.is_set():
        pause = EVERY_SECONDS
        try:
            current = snapshot()
            if current.authorities().names:
                wanted = await asyncio.to_thread(wanted_of, current, own)
                found = await collect(wanted, memory, current, stopped=stop.is_set)
                for uri, text in found.failed:
                    log.warning("revocation_not_fetched", uri=uri, error=text)
                if wanted.left_out:
                    log.warning("revocation_left_out", addresses=wanted.left_out)
                if found.failed:
                    pause = AGAIN_SECONDS
        except DocbusError as error:
            log.warning("revocation_not_fetched", error=error.text)
            pause = AGAIN_SECONDS
        await wait_for(stop, pause)


def question_of(found: StatusResponse, snapshot: TrustSnapshot) -> tuple[x509.Certificate, x509.Certificate] | None:
    """Return the certificate in force that a response is about, and its authority; None if there is none."""
    authorities = snapshot.authorities()
    for certificate in issued_in_force(snapshot):
        if certificate.serial_number == found.serial:
            issuer = issuer_of(certificate, authorities)
            if issuer is not None and found.speaks_of(certificate, issuer):
                return certificate, issuer
    return None
