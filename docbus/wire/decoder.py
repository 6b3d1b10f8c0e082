"""A guarded Avro decoder, compiled from a schema.

fastavro has no limits when it decodes: six bytes make it allocate a gigabyte, five kilobytes of nesting make it crash
(reference measurements in ADR 0003). A guard must walk every field anyway, so it may as well keep what it reads. The
decoder here accepts exactly one encoding of each value, the one fastavro writes: minimal varints, arrays in one block
with a positive count, booleans and union branches in range, every byte consumed. Counts are bounded by the bytes that
remain, and schemas with recursion, maps or items without size are refused when they are compiled.

Source: Apache Avro 1.12 specification, "Binary Encoding".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docbus.errors import MalformedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Read = "Callable[[bytes, int, int], tuple[Any, int]]"

_LONG_BYTES = 10
_MORE = 0x80
"""Bit of a varint's byte that says that another follows."""
_LONG_MIN, _LONG_MAX = -(1 << 63), (1 << 63) - 1
_INT_MIN, _INT_MAX = -(1 << 31), (1 << 31) - 1


class NotCanonicalError(MalformedError):
    """Raised inside the decoder; callers see its base class."""


def read_long(buf: bytes, at: int) -> tuple[int, int]:
    """Return the zig-zag varint at ``at`` and the offset behind it.

    Raises:
        NotCanonicalError: The varint is longer than its value needs, or than 64 bits.
        IndexError: The bytes end within it.
    """
    value = shift = 0
    start = at
    while True:
        byte = buf[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < _MORE:
            break
        shift += 7
        if at - start >= _LONG_BYTES:
            raise NotCanonicalError("a number is longer than 64 bits")
    if byte == 0 and at - start > 1:
        raise NotCanonicalError("a number has more bytes than it needs")
    number = (value >> 1) ^ -(value & 1)
    if not _LONG_MIN <= number <= _LONG_MAX:
        raise NotCanonicalError("a number is longer than 64 bits")
    return number, at


def _raise(text: str) -> None:
    raise NotCanonicalError(text)


class Compiler:
    """Writes one Python function per record of a schema.

    Each function takes (bytes, offset, end) and returns (value, offset). A record becomes what its factory makes of
    the field values in order, or a dict.
    """

    def __init__(self, factories: Mapping[str, Callable[..., Any]]) -> None:
        self._factories = factories
        self._named: dict[str, Any] = {}
        self._open: set[str] = set()
        self._scope: dict[str, Any] = {"read_long": read_long, "bad": _raise}
        self._serial = 0
        self._minimum: dict[str, int] = {}

    def compile(self, schema: Mapping[str, Any]) -> dict[str, Callable[[bytes, int, int], tuple[Any, int]]]:
        """Return the functions by unqualified record name."""
        self._record(schema)
        return {name[3:]: made for name, made in self._scope.items() if name.startswith("at_")}

    def _fresh(self) -> str:
        self._serial += 1
        return f"v{self._serial}"

    def _record(self, schema: Mapping[str, Any]) -> None:
        name = schema["name"].rpartition(".")[2]
        if name in self._open:
            raise ValueError(f"schema {name} is recursive")
        self._open.add(name)
        self._named[name] = schema
        body: list[str] = []
        values: list[str] = []
        minimum = 0
        for field in schema["fields"]:
            variable = self._fresh()
            minimum += self._field(field["type"], variable, body, "    ", f"{name}.{field['name']}")
            values.append(variable)
        self._minimum[name] = minimum
        factory = self._factories.get(name)
        if factory is None:
            made = "{" + ", ".join(f"{f['name']!r}: {v}" for f, v in zip(schema["fields"], values, strict=True)) + "}"
        else:
            self._scope[f"make_{name}"] = factory
            made = f"make_{name}({', '.join(values)})"
        source = "\n".join([f"def at_{name}(buf, p, end):", *body, f"    return {made}, p"])
        exec(compile(source, f"<decoder of {name}>", "exec"), self._scope)  # noqa: S102 - our own schemas only
        self._open.discard(name)

    def _field(self, kind: Any, to: str, out: list[str], pad: str, where: str) -> int:
        """Append the lines that read one value into variable ``to``; return the fewest bytes it can take."""
        if isinstance(kind, list):
            return self._union(kind, to, out, pad, where)
        if isinstance(kind, str):
            name = kind.rpartition(".")[2]
            if name in self._named:
                kind = self._named[name]
                if kind["type"] == "record":
                    if name in self._open:
                        raise ValueError(f"schema {name} is recursive")
                    out.append(f"{pad}{to}, p = at_{name}(buf, p, end)")
                    return self._minimum[name]
            else:
                return self._primitive(kind, to, out, pad, where)
        return self._complex(kind, to, out, pad, where)

    def _complex(self, kind: Mapping[str, Any], to: str, out: list[str], pad: str, where: str) -> int:
        form = kind["type"]
        name = kind.get("name", "").rpartition(".")[2]
        if form == "record":
            self._record(kind)
            out.append(f"{pad}{to}, p = at_{name}(buf, p, end)")
            return self._minimum[name]
        if form == "fixed":
            self._named[name] = kind
            size = kind["size"]
            out += [
                f"{pad}{to} = buf[p:p + {size}]",
                f"{pad}p += {size}",
                f"{pad}if p > end: bad({f'{where}: the bytes end too soon'!r})",
            ]
            return int(size)
        if form == "enum":
            self._named[name] = kind
            self._scope[f"symbols_{name}"] = tuple(kind["symbols"])
            out += [
                f"{pad}n = buf[p]",
                f"{pad}p += 1",
                f"{pad}if n & 1 or n >= {2 * len(kind['symbols'])}: bad({f'{where}: no such symbol'!r})",
                f"{pad}{to} = symbols_{name}[n >> 1]",
            ]
            return 1
        if form == "array":
            return self._array(kind, to, out, pad, where)
        return self._primitive(form, to, out, pad, where)

    def _array(self, kind: Mapping[str, Any], to: str, out: list[str], pad: str, where: str) -> int:
        item, counter = self._fresh(), self._fresh()
        inner: list[str] = []
        minimum = self._field(kind["items"], item, inner, pad + "        ", where)
        if minimum < 1:
            raise ValueError(f"{where}: items without size")
        self._long(counter, out, pad)
        out += [
            f"{pad}if {counter} == 0:",
            f"{pad}    {to} = ()",
            f"{pad}else:",
            f"{pad}    if {counter} < 0: bad({f'{where}: a block with its size'!r})",
            f"{pad}    if {counter} * {minimum} > end - p: bad({f'{where}: more items than bytes'!r})",
            *self._most(kind, counter, pad, where),
            f"{pad}    items_{to} = []",
            f"{pad}    for _ in range({counter}):",
            *inner,
            f"{pad}        items_{to}.append({item})",
            f"{pad}    if buf[p]: bad({f'{where}: more than one block'!r})",
            f"{pad}    p += 1",
            f"{pad}    {to} = tuple(items_{to})",
        ]
        return 1

    @staticmethod
    def _most(kind: Mapping[str, Any], counter: str, pad: str, where: str) -> list[str]:
        """Return the check of an array's ``max_items``, an attribute of ours that is no part of the canonical form.

        It is for arrays whose bytes nobody has vouched for yet, and whose items take much more memory than bytes.
        """
        most = kind.get("max_items")
        return [] if most is None else [f"{pad}    if {counter} > {most}: bad({f'{where}: too many items'!r})"]

    def _union(self, branches: list[Any], to: str, out: list[str], pad: str, where: str) -> int:
        out += [f"{pad}n = buf[p]", f"{pad}p += 1"]
        named = sum(isinstance(b, dict) and b["type"] == "record" for b in branches) > 1
        word = "if"
        for number, branch in enumerate(branches):
            out.append(f"{pad}{word} n == {2 * number}:")
            word = "elif"
            if branch == "null":
                out.append(f"{pad}    {to} = None")
                continue
            self._field(branch, to, out, pad + "    ", where)
            if named:
                name = self._full_name(branch)
                out.append(f"{pad}    {to} = ({name!r}, {to})")
        out += [f"{pad}else:", f"{pad}    bad({f'{where}: no such branch'!r})"]
        return 1

    @staticmethod
    def _full_name(branch: Any) -> str:
        name = branch["name"] if isinstance(branch, dict) else branch
        return name if "." in name else f"docbus.v1.{name}"

    @staticmethod
    def _long(to: str, out: list[str], pad: str) -> None:
        # One byte is the common case, two are a length up to 8 KiB; both are read inline, because a call costs more.
        out += [
            f"{pad}n = buf[p]",
            f"{pad}if n < 128:",
            f"{pad}    {to} = (n >> 1) ^ -(n & 1)",
            f"{pad}    p += 1",
            f"{pad}elif 0 < buf[p + 1] < 128:",
            f"{pad}    n = (n & 127) | buf[p + 1] << 7",
            f"{pad}    {to} = (n >> 1) ^ -(n & 1)",
            f"{pad}    p += 2",
            f"{pad}else:",
            f"{pad}    {to}, p = read_long(buf, p)",
        ]

    def _primitive(self, kind: str, to: str, out: list[str], pad: str, where: str) -> int:
        if kind in ("long", "int"):
            self._long(to, out, pad)
            if kind == "int":
                out.append(f"{pad}if not {_INT_MIN} <= {to} <= {_INT_MAX}: bad({f'{where}: out of range'!r})")
            return 1
        if kind in ("bytes", "string"):
            length = self._fresh()
            self._long(length, out, pad)
            out += [
                f"{pad}if {length} < 0 or {length} > end - p: bad({f'{where}: the bytes end too soon'!r})",
                f"{pad}{to} = buf[p:p + {length}]",
                f"{pad}p += {length}",
            ]
            if kind == "string":
                out.append(f"{pad}{to} = {to}.decode()")
            return 1
        raise ValueError(f"{where}: type {kind} is not used on the wire")
