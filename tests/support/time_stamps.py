"""A time-stamping authority for tests: `openssl ts` behind a small HTTP server, good or bad in one way.

Only the signer's certificate is put into a token unless a test wishes the whole chain, which OpenSSL 3.0 does not put
into the order of DER.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

POLICY = "1.3.6.1.4.1.99999.1"
"""The policy under which the test authority works."""
OTHER_POLICY = "1.3.6.1.4.1.99999.2"
NAME = "Test time-stamping authority"
ANSWER_TYPE = "application/timestamp-reply"

_CONFIGURATION = """
[tsa]
default_tsa = it
[it]
serial = {folder}/serial
signer_digest = sha256
default_policy = {policy}
other_policies = {policies}
digests = sha1, sha256, sha512
ess_cert_id_alg = sha256
"""


def need_openssl() -> str:
    """Return the path of `openssl`; without it the test is skipped, and fails in continuous integration."""
    found = shutil.which("openssl")
    if found is None:
        text = "no `openssl` on this machine, so no time stamp was made or checked"
        if os.environ.get("CI", "").lower() in {"1", "true"}:
            pytest.fail(text, pytrace=False)
        pytest.skip(text)
    return found


@dataclass
class Authority:
    """A certification authority and a time-stamping authority that it has certified.

    Attributes:
        folder: Where keys and certificates lie; empty.
        valid: Beginning and end of the signer's certificate, seen from now.
        name: Common name of the signer.
    """

    folder: Path
    valid: tuple[timedelta, timedelta] = (-timedelta(days=1), timedelta(days=365))
    name: str = NAME
    policy: str = POLICY
    policies: tuple[str, ...] = ()
    """Under which it stamps if it is asked to."""
    chain: bool = False
    """Whether tokens have the root's certificate in them, behind the signer's."""
    _keys: dict[str, ec.EllipticCurvePrivateKey] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make keys, certificates and the configuration of `openssl ts`."""
        self.openssl = need_openssl()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._root_name = _name(f"Root of {self.name}")
        self._keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("root", "signer")}
        root = self._certificate("root", self._root_name, (-timedelta(days=30), timedelta(days=3650)), ca=True)
        self.anchor = self.folder / "tsa-ca.pem"
        self.anchor.write_bytes(root.public_bytes(Encoding.PEM))
        signer = self.certificate()
        (self.folder / "signer.pem").write_bytes(signer.public_bytes(Encoding.PEM))
        (self.folder / "signer.key").write_bytes(
            self._keys["signer"].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        (self.folder / "serial").write_text("01\n")
        (self.folder / "ts.cnf").write_text(
            _CONFIGURATION.format(
                folder=self.folder, policy=self.policy, policies=", ".join((self.policy, *self.policies))
            )
        )

    def renewed(self, folder: Path, valid: tuple[timedelta, timedelta]) -> Authority:
        """Return the authority with another certificate for its signer, of the same root."""
        other = replace(self, folder=folder, valid=valid)
        other._keys, other._root_name = self._keys, self._root_name
        signer = other.certificate()
        (folder / "signer.pem").write_bytes(signer.public_bytes(Encoding.PEM))
        for name in ("signer.key", "tsa-ca.pem"):
            (folder / name).write_bytes((self.folder / name).read_bytes())
        return other

    def certificate_without_purpose(self) -> x509.Certificate:
        """Return a certificate of the same name, number and key that names no purpose."""
        return self._certificate("signer", _name(self.name), self.valid, ca=False)

    def certificate(self, *, critical: bool = True, purpose: x509.ObjectIdentifier | None = None) -> x509.Certificate:
        """Return the signer's certificate, or one of the same name, number and key for another purpose."""
        purposes = [ExtendedKeyUsageOID.TIME_STAMPING if purpose is None else purpose]
        return self._certificate("signer", _name(self.name), self.valid, ca=False, usage=(purposes, critical))

    def _certificate(
        self,
        key: str,
        subject: x509.Name,
        valid: tuple[timedelta, timedelta],
        *,
        ca: bool,
        usage: tuple[list[x509.ObjectIdentifier], bool] | None = None,
    ) -> x509.Certificate:
        now = datetime.now(UTC).replace(microsecond=0)
        public = self._keys[key].public_key()
        flags = dict.fromkeys(
            ("key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"), False
        )
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._root_name)
            .public_key(public)
            .serial_number(1 if ca else 2)
            .not_valid_before(now + valid[0])
            .not_valid_after(now + valid[1])
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=not ca, content_commitment=not ca, key_cert_sign=ca, crl_sign=ca, **flags
                ),
                critical=True,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        )
        if usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usage[0]), critical=usage[1])
        return builder.sign(self._keys["root"], hashes.SHA256())

    def answer(self, query: bytes) -> bytes:
        """Return what the authority answers to a request, DER."""
        asked = self.folder / "query.tsq"
        asked.write_bytes(query)
        command = ["ts", "-reply", "-config", "ts.cnf", "-section", "it", "-queryfile", asked.name]
        command += ["-signer", "signer.pem", "-inkey", "signer.key"]
        command += ["-chain", "tsa-ca.pem"] if self.chain else []
        done = subprocess.run([self.openssl, *command], cwd=self.folder, capture_output=True, check=False, timeout=20)
        if done.returncode:
            raise AssertionError(done.stderr.decode())
        return done.stdout

    async def ask(self, query: bytes) -> bytes:
        """Answer as :meth:`answer`, without a network in between."""
        return self.answer(query)

    @property
    def now_ms(self) -> int:
        """Milliseconds since 1970 UTC by the clock of `openssl`, which nobody can set."""
        return time.time_ns() // 1_000_000

    def verify(self, stamped: Path, token: Path) -> str:
        """Return what an outsider's `openssl ts -verify` says."""
        command = ["ts", "-verify", "-data", str(stamped), "-token_in", "-in", str(token), "-CAfile", str(self.anchor)]
        done = subprocess.run(
            [self.openssl, *command], capture_output=True, check=False, timeout=20, text=True, cwd=self.folder
        )
        return done.stdout + done.stderr


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def with_certificate(token: bytes, certificate: bytes) -> bytes:
    """Return the token with another certificate in it, DER; its signature stays as it was."""
    return _swap(token, _HOW_DEEP, certificate)


def signed_twice(token: bytes) -> bytes:
    """Return the token with its signer's part in it a second time, DER."""
    ((_, body),) = elements_in(token)
    kind, (_, explicit) = elements_in(body)
    ((_, signed),) = elements_in(explicit)
    *parts, (tag, signers) = elements_in(signed)
    other = signers[:-1] + bytes([signers[-1] ^ 1])
    made = b"".join(element(*part) for part in parts) + element(tag, b"".join(sorted((signers, other))))
    return element(0x30, element(*kind) + element(0xA0, element(0x30, made)))


_HOW_DEEP = (0x30, 0xA0, 0x30, 0xA0)
"""Tags on the way to the certificates: ContentInfo, its content, SignedData, certificates (RFC 5652 section 5.1)."""


def _swap(encoded: bytes, tags: tuple[int, ...], content: bytes) -> bytes:
    """Replace what lies in the first element with these tags, one within the other, in DER."""
    tag, rest = tags[0], tags[1:]
    made, at = b"", 0
    swapped = False
    while at < len(encoded):
        size, header = _length(encoded, at + 1)
        inner = encoded[at + 1 + header : at + 1 + header + size]
        if encoded[at] == tag and not swapped:
            inner, swapped = _swap(inner, rest, content) if rest else content, True
        made += element(encoded[at], inner)
        at += 1 + header + size
    return made


def elements_in(encoded: bytes) -> list[tuple[int, bytes]]:
    """Return tag and content of each element in a row, in DER."""
    found, at = [], 0
    while at < len(encoded):
        size, header = _length(encoded, at + 1)
        begin = at + 1 + header
        found.append((encoded[at], encoded[begin : begin + size]))
        at = begin + size
    return found


def _length(encoded: bytes, at: int) -> tuple[int, int]:
    first = encoded[at]
    if first < 0x80:
        return first, 1
    return int.from_bytes(encoded[at + 1 : at + 1 + (first & 0x7F)], "big"), 1 + (first & 0x7F)


def element(tag: int, content: bytes) -> bytes:
    """Return an element in DER."""
    length = len(content)
    size = length.to_bytes((length.bit_length() + 7) // 8 or 1, "big")
    return bytes([tag]) + (size if length < 0x80 else bytes([0x80 | len(size)]) + size) + content


# --- over HTTP ----------------------------------------------------------------------------------------


@dataclass
class Serving:
    """A server at work: what it was asked, and what it answers next.

    Attributes:
        url: Where it listens.
        answering: Writes the answer to a request; replaced by tests.
        asked: Every request so far.
    """

    url: str
    answering: Callable[[BaseHTTPRequestHandler, bytes], None]
    asked: list[bytes] = field(default_factory=list)


def answer_with(body: bytes, *, status: int = 200, kind: str = ANSWER_TYPE) -> Callable[..., None]:
    """Return what answers every request with the same body."""

    def answering(handler: BaseHTTPRequestHandler, _query: bytes) -> None:
        respond(handler, body, status=status, kind=kind)

    return answering


def respond(handler: BaseHTTPRequestHandler, body: bytes, *, status: int = 200, kind: str = ANSWER_TYPE) -> None:
    """Write one answer."""
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def granting(authority: Authority) -> Callable[[BaseHTTPRequestHandler, bytes], None]:
    """Return what answers as the authority does."""
    return lambda handler, query: respond(handler, authority.answer(query))


@contextmanager
def serving_authority(authority: Authority) -> Iterator[Serving]:
    """Serve on this machine as long as the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 20

        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            state.asked.append(query)
            # Whoever asked may have gone, as it refuses more than it has read.
            try:
                state.answering(self, query)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        @override
        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state = Serving(f"http://127.0.0.1:{server.server_address[1]}/tsa", granting(authority))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
