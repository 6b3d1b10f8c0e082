"""Fetching what authorities say of the certificates in force: revocation lists, or answers where there are no lists."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from docbus.errors import DocbusError, IdentityError, MalformedError, RevocationUnavailableError
from docbus.identity.pki.crl import MAX_LIST_BYTES, distribution_points, read_list
from docbus.identity.pki.ocsp import MAX_RESPONSE_BYTES, read_response, request_for, responders
from docbus.identity.pki.profile import issuer_name, subject_name
from docbus.transport.web import request
from docbus.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from docbus.client.material_memory import MaterialMemory
    from docbus.identity.pki.authorities import Authorities
    from docbus.identity.pki.ocsp import StatusResponse
    from docbus.identity.snapshot import TrustSnapshot

log = structlog.get_logger(__name__)

MAX_FETCHED = 1024
"""Addresses that are asked in one round: lists of some authorities, and answers about agencies where there are none."""
EVERY_SECONDS = 3600.0
"""Seconds from one round to the next: authorities make a new list every day or every few hours."""
AGAIN_SECONDS = 300.0
"""Seconds after which a round in which something could not be had is made again."""
NONCE_BYTES = 16


class _Question(NamedTuple):
    """Where to ask about one certificate."""

    uri: str
    certificate: x509.Certificate
    issuer: x509.Certificate


class Wanted(NamedTuple):
    """Addresses of lists, and questions about certificates for which there is no list; ``left_out`` are too many."""

    lists: tuple[str, ...]
    questions: tuple[_Question, ...]
    left_out: int


class Collected(NamedTuple):
    """What a round came to: addresses with something new, with nothing new, and those that failed, with the reason."""

    new: tuple[str, ...]
    known: tuple[str, ...]
    failed: tuple[tuple[str, str], ...]


def wanted_of(snapshot: TrustSnapshot) -> Wanted:
    """Return what is to be fetched for the certificates in force; some seconds of work for a national directory."""
    authorities = snapshot.authorities()
    lists: dict[str, None] = {}
    questions: dict[tuple[str, int], _Question] = {}
    for certificate in _issued(snapshot, authorities):
        points = distribution_points(certificate)
        lists |= dict.fromkeys(points)
        issuer = None if points else _issuer_of(certificate, authorities)
        if issuer is not None:
            for uri in responders(certificate)[:1]:
                questions[uri, certificate.serial_number] = _Question(uri, certificate, issuer)
    room = max(0, MAX_FETCHED - len(lists))
    kept = tuple(lists)[:MAX_FETCHED], tuple(questions.values())[:room]
    return Wanted(*kept, len(lists) + len(questions) - len(kept[0]) - len(kept[1]))


async def fetch_from(uri: str, **asked: Any) -> bytes:
    """Return what an authority's server answers; see :func:`~docbus.transport.web.request` for the arguments.

    Raises:
        RevocationUnavailableError: It cannot be had.
    """
    return await request(uri, unavailable=lambda what: RevocationUnavailableError(f"{uri[:200]} {what}"), **asked)


async def collect(
    wanted: Wanted,
    memory: MaterialMemory,
    authorities: Authorities,
    *,
    fetch: Callable[..., Awaitable[bytes]] = fetch_from,
    nonce: Callable[[], bytes] = lambda: secrets.token_bytes(NONCE_BYTES),
    stopped: Callable[[], bool] = lambda: False,
) -> Collected:
    """Ask for everything once, one after the other, and keep what is an authority's word.

    Args:
        wanted: From :func:`wanted_of`.
        memory: Where it is kept.
        authorities: Of the directory.
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
            content = await fetch(uri, max_bytes=MAX_LIST_BYTES, stopped=stopped)
            found = await asyncio.to_thread(read_list, content)
            (new if await memory.keep_list(found, authorities) else known).append(uri)
        except (IdentityError, MalformedError) as error:
            failed.append((uri, error.text))
    for question in wanted.questions:
        if stopped():
            break
        try:
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
            await memory.keep_response(answer, question.certificate, question.issuer)
            new.append(question.uri)
        except (IdentityError, MalformedError) as error:
            failed.append((question.uri, error.text))
    return Collected(tuple(new), tuple(known), tuple(failed))


async def keep_collecting(snapshot: Callable[[], TrustSnapshot], memory: MaterialMemory, stop: asyncio.Event) -> None:
    """Fetch every hour until ``stop`` is set, and sooner where something could not be had; failures are logged."""
    while not stop.is_set():
        pause = EVERY_SECONDS
        try:
            current = snapshot()
            if current.authorities().names:
                wanted = await asyncio.to_thread(wanted_of, current)
                found = await collect(wanted, memory, current.authorities(), stopped=stop.is_set)
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


def _issued(snapshot: TrustSnapshot, authorities: Authorities) -> Iterator[x509.Certificate]:
    """Yield the certificates in force that authorities have issued, and those of authorities below others."""
    if not authorities.names:
        return
    for agency in snapshot.agencies():
        if agency.closed_at is not None:
            continue
        for digest in agency.certificates:
            grant = snapshot.certificate(digest)
            if grant is not None and grant.may_sign:
                for der in grant.certificates:
                    certificate = x509.load_der_x509_certificate(der)
                    if issuer_name(certificate) in authorities.names:
                        yield certificate
    yield from authorities.intermediates


def _issuer_of(certificate: x509.Certificate, authorities: Authorities) -> x509.Certificate | None:
    for one in (*authorities.intermediates, *authorities.roots):
        if subject_name(one) == issuer_name(certificate):
            try:
                certificate.verify_directly_issued_by(one)
            except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
                continue
            return one
    return None


def question_of(found: StatusResponse, snapshot: TrustSnapshot) -> tuple[x509.Certificate, x509.Certificate] | None:
    """Return the certificate in force that a response is about, and its authority; None if there is none."""
    authorities = snapshot.authorities()
    for certificate in _issued(snapshot, authorities):
        if certificate.serial_number == found.serial:
            issuer = _issuer_of(certificate, authorities)
            if issuer is not None and found.speaks_of(certificate, issuer):
                return certificate, issuer
    return None
