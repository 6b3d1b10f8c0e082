"""Join requests and certificates as files: what the registrar is handed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from docbus.cli.session import Session
    from docbus.identity.join import CheckedJoinRequest
    from docbus.registry.publish import Registrar


UnnamedIssuer = Annotated[
    bool,
    typer.Option(
        "--unnamed-issuer",
        help="Take a certificate for self-made though an authority that the directory does not name has issued it.",
    ),
]


async def confirm(
    session: Session, registrar: Registrar, text: str, expected: str | None, *, yes: bool, unnamed_issuer: bool
) -> None:
    """Show what is asked for; compare the fingerprint, or let a person do it.

    Raises:
        IdentityError: The fingerprint is another one, or the request cannot be granted.
        Abort: The person said no.
    """
    from docbus.errors import IdentityError

    checked: CheckedJoinRequest = await registrar.check(text, unnamed_issuer=unnamed_issuer)
    asked = checked.request
    session.note(f"{asked.agency}  {asked.name}\nfingerprint  {checked.fingerprint}".replace("\n", "; "))
    if expected is not None:
        if _letters(expected) != _letters(checked.fingerprint):
            raise IdentityError(
                f"the join request of {asked.agency} has the fingerprint {checked.fingerprint}, not {expected}",
                hint="Somebody else may have made it. Get it again, and compare once more.",
            )
    elif not yes and sys.stdin.isatty() and sys.stderr.isatty():
        typer.confirm("Is this the fingerprint that the agency reads out?", abort=True, err=True)


def _letters(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum())


def read_request(path: Path) -> str:
    """Return the text of a join request.

    Raises:
        ConfigurationError: It cannot be read, or is no text.
    """
    from docbus.errors import ConfigurationError
    from docbus.identity.join import MAX_REQUEST_CHARACTERS

    try:
        with path.open("rb") as file:
            text = file.read(MAX_REQUEST_CHARACTERS + 1).decode()
    except OSError as error:
        raise ConfigurationError(
            f"the join request {path} cannot be read: {error.strerror}",
            hint="Name the file that `docbus init` has made.",
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{path} is not a join request, which is a text file", hint="Name the file that `docbus init` has made."
        ) from error
    if "BEGIN DOCBUS JOIN REQUEST" in text:
        return text
    hint = "Name the file that `docbus init` or `docbus keys rotate` has made, of the kind AGENCY.join."
    if "BEGIN CERTIFICATE REQUEST" in text:
        hint = "It is a certification request, for an authority; `docbus cert use` makes the join request afterwards."
    elif "PRIVATE KEY" in text:
        hint = "It is a private key, which nobody but its agency may have: it has to make another one now."
    raise ConfigurationError(f"{path} is not a join request", hint=hint)


def digest_of(certificate: str) -> bytes:
    """Return a certificate's digest, from its file or as given.

    Raises:
        ConfigurationError: The file cannot be read, or is no certificate.
    """
    from docbus.client.founding import certificate_digest
    from docbus.errors import ConfigurationError

    if len(certificate) == 64 and all(letter in "0123456789abcdefABCDEF" for letter in certificate):  # noqa: PLR2004
        return bytes.fromhex(certificate)
    try:
        content = Path(certificate).read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"the certificate {certificate} cannot be read: {error.strerror}",
            hint="Give a PEM file, or the 64 hex digits that `docbus agency show` prints.",
        ) from error
    try:
        return certificate_digest(content)
    except ConfigurationError as error:
        raise ConfigurationError(
            f"{certificate} is {error.text}",
            hint="Give the agency's certificate, or the 64 hex digits that `docbus agency show` prints.",
        ) from error
