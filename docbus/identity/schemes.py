"""The schemes of agency codes that this version reads, in one dict.

=========  =======================================================  ==================
scheme     source                                                   example
=========  =======================================================  ==================
vn         Decision 20/2020/QD-TTg: level 1 first                   ``H37.02.02``
vn2016     QCVN 102:2016/BTTTT: 13 characters, level 1 last         ``000.21.32.H53``
vnlegacy   forms from before 2016 that still occur: level 1 last    ``28.22.H17``
=========  =======================================================  ==================

Another scheme, such as iso6523 or xroad, is another entry in :data:`SCHEMES`; nothing else changes. A scheme whose
codes can be told by their shape alone is ``bare``; the shapes of bare schemes exclude each other.
One form is never computed from another: what belongs together stands in the directory as an alias.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_LEVEL_1 = "[A-Y][0-9]{2}"
"""Annex of Decision 20/2020: a letter from A to Y (Z is for other organisations, article 6) and two digits."""
_2016_LEVELS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """How the codes of one scheme are written, and what hierarchy stands in them."""

    name: str
    title: str
    example: str
    shape: re.Pattern[str]
    bare: bool
    upper_case: bool
    path: Callable[[str], tuple[str, ...]]
    """The groups from level 1 downwards; sorting by them puts every agency behind its superior."""
    parent: Callable[[str], str | None]
    level: Callable[[str], int | None]
    warning: Callable[[str], str | None]


def _vn_path(value: str) -> tuple[str, ...]:
    return tuple(value.split("."))


def _vn_parent(value: str) -> str | None:
    return value.rpartition(".")[0] or None


def _vn_level(value: str) -> int:
    return value.count(".") + 1


def _reversed_path(value: str) -> tuple[str, ...]:
    return tuple(reversed(value.split(".")))


def _2016_path(value: str) -> tuple[str, ...]:
    groups = value.split(".")
    return tuple(reversed(groups[_2016_LEVELS - _2016_level(value) :]))


def _2016_level(value: str) -> int:
    """Level 4 less the number of leading groups that are all zeros."""
    above = 0
    for group in value.split(".")[: _2016_LEVELS - 1]:
        if group.strip("0"):
            break
        above += 1
    return _2016_LEVELS - above


def _2016_parent(value: str) -> str | None:
    """Put zeros into the leftmost group that has none."""
    groups = value.split(".")
    for at, group in enumerate(groups[: _2016_LEVELS - 1]):
        if group.strip("0"):
            groups[at] = "0" * len(group)
            return ".".join(groups)
    return None


def _2016_warning(value: str) -> str | None:
    groups = value.split(".")
    inner = groups[_2016_LEVELS - _2016_level(value) : _2016_LEVELS - 1]
    if all(group.strip("0") for group in inner):
        return None
    return f'the code "{value}" skips a level: a group of zeros stands behind one that is not'


def _legacy_warning(value: str) -> str:
    return (
        f'the code "{value}" has a form from before 2016, in which no hierarchy can be read; '
        "the agency should be granted its code of Decision 20/2020/QD-TTg"
    )


_VN = Scheme(
    name="vn",
    title="Decision 20/2020/QD-TTg",
    example="H37.02.02",
    shape=re.compile(rf"(?=.{{3,35}}\Z){_LEVEL_1}(\.[0-9A-Z]+)*"),
    bare=True,
    upper_case=True,
    path=_vn_path,
    parent=_vn_parent,
    level=_vn_level,
    warning=lambda _value: None,
)
_VN2016 = Scheme(
    name="vn2016",
    title="QCVN 102:2016/BTTTT",
    example="000.21.32.H53",
    shape=re.compile(rf"[0-9]{{3}}\.[0-9]{{2}}\.[0-9]{{2}}\.{_LEVEL_1}"),
    bare=True,
    upper_case=True,
    path=_2016_path,
    parent=_2016_parent,
    level=_2016_level,
    warning=_2016_warning,
)
_VNLEGACY = Scheme(
    name="vnlegacy",
    title="forms from before 2016",
    example="28.22.H17",
    # Two or three groups of two or three digits, but not the 13 characters of QCVN 102:2016.
    shape=re.compile(rf"(?!{_VN2016.shape.pattern}\Z)([0-9]{{2,3}}\.){{2,3}}{_LEVEL_1}"),
    bare=True,
    upper_case=True,
    path=_reversed_path,
    parent=lambda _value: None,
    level=lambda _value: None,
    warning=_legacy_warning,
)

SCHEMES: dict[str, Scheme] = {scheme.name: scheme for scheme in (_VN, _VN2016, _VNLEGACY)}
