"""Shows what the eye does not see in a code: invisible, look-alike and lower-case characters."""

from __future__ import annotations

import re
import unicodedata

from docbus.errors import IdentityError

MAX_SHOWN_CHARACTERS = 80
"""Characters of a refused text that are repeated in an error."""
MAX_NAMED_CHARACTERS = 3
"""Wrong characters that are named one by one in an error."""

MAX_TITLE_BYTES = 1024
"""UTF-8 bytes of an agency's name or a reason in the directory (edXML OrganName has 200 characters)."""

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories that cannot be seen in a name: controls, zero-width and bidirectional marks, line separators."""
_LOOKALIKES = str.maketrans(
    # Cyrillic, then Greek capitals that are drawn like Latin ones.
    "АВЕЅІЈКМНОРСТУХ" + "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",  # noqa: RUF001 - confusable on purpose
    "ABESIJKMHOPCTYX" + "ABEZHIKMNOPTYX",
)

_SPACES = re.compile(r"\s{2,}|[^\S ]")
"""Several spaces together, or one that is not U+0020."""
_OTHER_LETTERS = re.compile("[\u00d0\u00f0\u0189\u0256\u0370-\u1dff\u1f00-\U0010ffff]")
"""Among these are letters that are not Vietnamese: other scripts, and eth and African D, which look like Đ."""
_LIKE_D = "\u00d0\u00f0\u0189\u0256"


def is_plain(character: str) -> bool:
    """Return whether a character is printable ASCII and not a space."""
    return "!" <= character <= "~"


def show(text: str) -> str:
    """Return the text in quotation marks, with ``<U+200B>`` in place of what is not plain, cut to a bounded length."""
    shown = "".join(c if is_plain(c) else f"<U+{ord(c):04X}>" for c in text[:MAX_SHOWN_CHARACTERS])
    return f'"{shown}…"' if len(text) > MAX_SHOWN_CHARACTERS else f'"{shown}"'


def name_characters(text: str, positions: list[int]) -> str:
    """Return ``U+200B ZERO WIDTH SPACE at position 6`` for the characters at these indexes; positions count from 1."""
    named = [
        f"U+{ord(text[at]):04X} {unicodedata.name(text[at], '(a control character)')} at position {at + 1}"
        for at in positions[:MAX_NAMED_CHARACTERS]
    ]
    rest = len(positions) - len(named)
    return ", ".join(named) + (f" and {rest} more" if rest else "")


def suggestion(text: str) -> str:
    """Return what may have been meant: compatibility forms and look-alikes replaced, the invisible removed, upper case.

    Only ever shown, never used in place of what was typed.
    """
    plain = unicodedata.normalize("NFKC", text[:MAX_SHOWN_CHARACTERS]).upper().translate(_LOOKALIKES)
    return "".join(c for c in plain if is_plain(c))


def check_title(text: str, what: str) -> None:
    """Return if a text may stand in the directory for people to read, as a name or a reason.

    Raises:
        IdentityError: It is empty, too long, not in NFC, or has characters that cannot be seen; the text shows them.
    """
    if not text or text != text.strip():
        raise IdentityError(f"{what} is empty, or begins or ends with a space")
    size = len(text.encode(errors="replace"))
    if size > MAX_TITLE_BYTES:
        raise IdentityError(f"{what} has {size} bytes; {MAX_TITLE_BYTES} are allowed")
    # What is printable for Python has none of these categories.
    unseen = [] if text.isprintable() else [at for at, c in enumerate(text) if unicodedata.category(c) in _UNSEEN]
    if unseen:
        raise IdentityError(f"{what} has {name_characters(text, unseen)}", hint="Type it again without them.")
    if not unicodedata.is_normalized("NFC", text):
        raise IdentityError(f"{what} has letters in pieces (not in Unicode form NFC)", hint="Type it again.")


def odd_letters(text: str) -> list[int]:
    """Return the indexes of letters in a name that only look like Vietnamese ones, such as eth for Đ, or Cyrillic."""
    if not _OTHER_LETTERS.search(text):
        return []
    return [at for at, c in enumerate(text) if c in _LIKE_D or (_OTHER_LETTERS.match(c) and _is_foreign(c))]


def _is_foreign(letter: str) -> bool:
    return letter.isalpha() and not unicodedata.name(letter, "").startswith("LATIN ")


def odd_spaces(text: str) -> list[int]:
    """Return the indexes at which a name has several spaces together, or one that is not U+0020."""
    return [found.start() for found in _SPACES.finditer(text)]
