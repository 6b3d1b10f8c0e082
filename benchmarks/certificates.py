"""How dear it is to judge certificates that an authority has issued: `python benchmarks/certificates.py`."""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from docbus.envelope.statement import Head
from docbus.identity import entries
from docbus.identity.pki.crl import read_list
from docbus.identity.pki.forgetting import forgotten_by
from docbus.identity.pki.judge import judge, validate_path
from docbus.identity.pki.material import ValidationMaterial, read_piece
from docbus.identity.pki.ocsp import read_response
from docbus.verification.paths import Paths
from tests.support.directory import DirectoryBuilder, grant_of, make_keys
from tests.support.pki import AGENCY, TestAuthority, authorities_of, day, ms

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS, PASSES = 500, 5
ENTRIES = 100_000


def timed(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Return the median, over passes, of the seconds of processor time that one call takes; others may be at work."""
    found = []
    for _ in range(PASSES):
        began = time.process_time()
        for _ in range(rounds):
            work()
        found.append((time.process_time() - began) / rounds)
    return statistics.median(found)


def large_list(root: TestAuthority) -> bytes:
    """Return a revocation list of a hundred thousand entries."""
    entries = [
        x509.RevokedCertificateBuilder()
        .serial_number((at + 1) << 100)
        .revocation_date(day(-1))
        .add_extension(x509.CRLReason(x509.ReasonFlags.superseded), critical=False)
        .build()
        for at in range(ENTRIES)
    ]
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(root.certificate.subject)
        .last_update(day(-1))
        .next_update(day(6))
        .add_extension(x509.CRLNumber(1), critical=False)
    )
    builder._revoked_certificates = entries  # noqa: SLF001 - one by one, the builder copies what it has each time
    return builder.sign(root.key, hashes.SHA256()).public_bytes(Encoding.DER)


def remembered(
    root: TestAuthority, below: TestAuthority, material: ValidationMaterial
) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return C1.23 of a certificate that was judged before, and of one that the agency has made itself."""
    builder, keys = DirectoryBuilder(), make_keys(AGENCY)
    builder.append(entries.Authority(name="Root", certificate=root.der, intermediates=(below.der,)))
    keys.certificate = below.issue(keys.private_key).public_bytes(Encoding.DER)
    builder.append(grant_of(keys))
    own = builder.grant("vn:H53")
    snapshot, judging = builder.snapshot(), Paths(lambda: material)
    head = Head(**(dict.fromkeys(Head._fields) | {"made_at": ms(0), "directory_position": 2}))
    issued, made = (snapshot.certificate(one.signer.certificate) for one in (keys, own))
    return (
        lambda: judging.check_live(issued, head, snapshot, ms(0)),
        lambda: judging.check_live(made, head, snapshot, ms(0)),
    )


def main() -> None:
    """Print the table."""
    root = TestAuthority()
    below = TestAuthority(name="Issuing", above=root, serial=2)
    leaf = below.issue(ec.generate_private_key(ec.SECP256R1()))
    known = authorities_of(root.anchor(below))
    pieces = [below.revocations(), root.revocations()]
    material = ValidationMaterial(read_piece(one) for one in pieces)
    answer = below.response(leaf)
    answers = ValidationMaterial([read_response(answer), read_piece(pieces[1])])
    big = large_list(root)
    check, judging = remembered(root, below, material)

    def judged(given: ValidationMaterial) -> object:
        return judge(leaf, AGENCY, known, given, at_ms=ms(0), known_by_ms=ms(0))

    path = timed(lambda: validate_path(leaf, AGENCY, known, at_ms=ms(0)))
    lists = timed(lambda: judged(material))
    response = timed(lambda: judged(answers))
    reading = timed(lambda: read_list(big), 1)
    parsed = read_list(big)
    began = time.process_time()
    if not parsed.is_signed_by(root.certificate):
        raise RuntimeError("the list is not signed by its authority")
    signature = time.process_time() - began
    # The same list without its first entry: what it has forgotten is looked for among all certificates.
    shorter = replace(parsed, revoked=dict(list(parsed.revoked.items())[1:]))
    forgotten = timed(lambda: forgotten_by(shorter, [parsed], lambda: [leaf], ms(0)), 1)
    print(f"path of three certificates, X1 to X3        {1 / path:>8,.0f} a second")
    print(f"with two revocation lists, X1 to X5         {1 / lists:>8,.0f} a second")
    print(f"with an OCSP response for the leaf          {1 / response:>8,.0f} a second")
    print(f"the same, remembered, C1.23                 {1 / timed(check, 20_000):>8,.0f} a second")
    print(f"C1.23 where no authority has issued it      {1 / timed(judging, 20_000):>8,.0f} a second")
    print(f"list of {ENTRIES:,} entries, {len(big) / 1e6:.1f} MB: read    {reading * 1000:>8,.0f} ms, once")
    print(f"its signature                               {signature * 1000:>8,.0f} ms, once for each authority")
    print(f"what it has forgotten of the one before     {forgotten * 1000:>8,.0f} ms, once")


if __name__ == "__main__":
    main()
