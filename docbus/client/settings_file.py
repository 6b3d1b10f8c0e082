"""Changing ``[keys]`` in ``docbus.toml``: comments and order stay, and the file is replaced whole or not at all."""

from __future__ import annotations

import os
import tomllib
from typing import TYPE_CHECKING, Any

import tomlkit
from tomlkit.exceptions import ParseError

from docbus.errors import ConfigurationError
from docbus.settings import FILE_NAME, load_settings
from docbus.storage.content import sync_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_VARIABLES = "DOCBUS_KEYS"
_NEW_SUFFIX = ".new"


def edit_keys(folder: Path, change: Callable[[Any], None]) -> bool:
    """Change the table ``[keys]``, durably; tell whether anything was changed.

    Args:
        folder: Whose settings.
        change: Is handed the table, and changes it in place.

    Raises:
        ConfigurationError: The file is missing, is not TOML, has no such table, was changed by somebody else meanwhile,
            or cannot be written; or environment variables stand above it. It is as it was.
    """
    load_settings(folder)
    named = sorted(name for name in os.environ if name.upper().startswith(_VARIABLES))
    if named:
        raise ConfigurationError(
            f"{named[0]} is set and stands above [keys] in {FILE_NAME}, which therefore cannot be changed",
            hint="Name the keys in the file alone, and unset the variable.",
        )
    # A link stays a link.
    path = (folder / FILE_NAME).resolve()
    try:
        before = path.stat()
        text = path.read_text("utf-8")
        document = tomlkit.parse(text)
        change(document["keys"])
        changed = tomlkit.dumps(document)
        if changed == text:
            return False
        tomllib.loads(changed)
        _replace(path, changed.encode(), before)
    except KeyError as error:
        raise ConfigurationError(f"{path} has no [keys]") from error
    except (ParseError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be changed: {error}", hint="Mend the named line.") from error
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}", hint="Check disk, owner and rights of the folder."
        ) from error
    return True


def put_first(table: Any, name: str, value: str) -> None:
    """Put a text in front of a list; one that goes over several lines keeps them, and the comments between them."""
    listed = table[name]
    if "\n" in listed.as_string():
        listed.insert(0, value)
    else:
        table[name] = [value, *listed]


def _replace(path: Path, content: bytes, before: os.stat_result) -> None:
    made = path.with_name(path.name + _NEW_SUFFIX)
    # Left by a process that died here: it was never the settings.
    made.unlink(missing_ok=True)
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), before.st_mode & 0o7777)
            os.fsync(file.fileno())
        _check_untouched(path, before)
        made.replace(path)
    except BaseException:
        made.unlink(missing_ok=True)
        raise
    sync_path(path.parent)


def _check_untouched(path: Path, before: os.stat_result) -> None:
    now = path.stat()
    if (now.st_ino, now.st_mtime_ns) != (before.st_ino, before.st_mtime_ns):
        raise ConfigurationError(f"{path} was changed by somebody else meanwhile", hint="Give the command again.")
