"""Whether the token with the agency's signing key is there, asked without its PIN."""

from __future__ import annotations

from typing import TYPE_CHECKING

from docbus.errors import KeyFileError, SignerAwayError
from docbus.producers.signer_guard import SignerTrouble
from docbus.tokens.module import module_of
from docbus.tokens.uri import is_token_uri, parse_token_uri

if TYPE_CHECKING:
    from docbus.settings import Settings


def token_trouble(settings: Settings) -> SignerTrouble | None:
    """Return why the token cannot sign now; None if it is there, or the key is in a file. May block."""
    if settings.keys is None or not is_token_uri(settings.keys.signing):
        return None
    try:
        uri = parse_token_uri(settings.keys.signing)
        module_of(uri).look(uri)
    except (KeyFileError, SignerAwayError) as error:
        return SignerTrouble(error.text, error.hint, None)
    return None
