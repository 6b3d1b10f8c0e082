"""Where a process writes: every transaction, every change of a file, every append. For processes that are to die there.

Nothing of this is in docbus: a victim wraps what docbus writes with, before it begins, and from then on counts. A write
is named by the line of docbus that asks for it, so that the same line has the same name in every run:
``producers.sending:Sender._mark database mark_sent``. Moments of a write:

=============  ==========================================================
``before``     nothing of it is done
``within``     of bytes that are written, the first half is
``after``      it is done; of a transaction, it is committed
``undecided``  of a transaction: all of it is done, nothing is committed
=============  ==========================================================
"""

from __future__ import annotations

import ast
import io
import os
import signal
import sys
import threading
from collections import Counter
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import docbus
from docbus.consumers.sinks import folder as folder_sink
from docbus.storage import groups
from docbus.storage.database import Database
from docbus.transport import topics
from docbus.transport.sqlite import SqliteTransport
from docbus.transport.sqlite_groups import SqliteSubscription

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

PACKAGE = Path(docbus.__file__).parent
HELPERS = frozenset({"sync_path", "write_whole"})
"""Functions that everybody uses; a write of theirs has the name of who called them."""
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_BY_PATH = ("link", "mkdir", "remove", "rename", "replace", "rmdir", "unlink", "chmod", "truncate")
_BY_DESCRIPTOR = ("fchmod", "fsync", "ftruncate")
_OF_BYTES = ("pwrite", "write")
_AUDITED = frozenset({"os.chmod", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate"})
_WRITERS = frozenset({"write", "write_now"})
_PARSING = threading.Lock()


class Place(NamedTuple):
    """Where to die: at the ``nth`` time, from 1, that a write comes to a moment."""

    name: str
    moment: str
    nth: int


# --- names of writes ------------------------------------------------------------------------------


class Call(NamedTuple):
    """A call in the source of docbus that stores something in the database."""

    name: str
    first_line: int
    last_line: int


@cache
def database_calls(path: Path) -> tuple[Call, ...]:
    """Return every call of a module that writes to the agency's database, in the order of the source."""
    module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    return tuple(_calls(_parsed(path.read_text("utf-8")), module, ()))


def _calls(node: ast.AST, module: str, outer: tuple[str, ...]) -> Iterator[Call]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from _calls(child, module, (*outer, child.name))
            continue
        if (
            isinstance(child, ast.Call)
            and isinstance(child.func, ast.Attribute)
            and child.func.attr in _WRITERS
            and ast.unparse(child.func.value).rpartition(".")[2].lstrip("_") == "database"
        ):
            name = f"{module}:{'.'.join(outer)} database {_operation(child.args[0])}"
            yield Call(name, child.lineno, child.end_lineno or child.lineno)
        yield from _calls(child, module, outer)


def _operation(node: ast.expr) -> str:
    """Return the name of the function that an operation comes down to."""
    if isinstance(node, ast.Lambda):
        return _operation(node.body)
    if isinstance(node, ast.Call):
        called = _operation(node.func)
        return _operation(node.args[0]) if called == "partial" else called
    return ast.unparse(node).rpartition(".")[2].rpartition(")")[2].lstrip(".")


def all_database_calls() -> list[str]:
    """Return the names of all writes to the database that stand anywhere in docbus."""
    return [call.name for path in sorted(PACKAGE.rglob("*.py")) for call in database_calls(path)]


def _frame_of_docbus(frame: FrameType | None) -> FrameType | None:
    """Return the innermost frame that is docbus's own, helpers left out."""
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith(f"{PACKAGE}{os.sep}") and code.co_name not in HELPERS:
            return frame
        frame = frame.f_back
    return None


def _where(frame: FrameType) -> str:
    path = Path(frame.f_code.co_filename).relative_to(PACKAGE).with_suffix("")
    return f"{'.'.join(path.parts)}:{frame.f_code.co_qualname.replace('.<locals>', '').replace('.<lambda>', '')}"


def _called(frame: FrameType) -> str:
    """Return the text of what the frame is calling right now, without arguments."""
    positions = list(frame.f_code.co_positions())[frame.f_lasti // 2]
    first, last, begin, end = positions
    if first is None or last is None:
        return "?"
    lines = _lines(frame.f_code.co_filename)[first - 1 : last]
    lines[-1] = lines[-1][:end]
    text = b" ".join(line.strip() for line in [lines[0][begin:], *lines[1:]]).decode()
    return _function(text.strip())


@cache
def _function(text: str) -> str:
    call = _parsed(text, "eval").body
    return ast.unparse(call.func) if isinstance(call, ast.Call) else text


def _parsed(text: str, mode: str = "exec") -> Any:
    # CPython 3.11 takes two threads that parse at a time for one that has lost count (python/cpython#106905).
    with _PARSING:
        return ast.parse(text, mode=mode)


@cache
def _lines(path: str) -> list[bytes]:
    return Path(path).read_bytes().splitlines()


def _name_in_database(frame: FrameType) -> str:
    asking = _frame_of_docbus(frame)
    if asking is None:
        raise RuntimeError("a test writes to the database of a victim")
    line = asking.f_lineno
    for call in database_calls(Path(asking.f_code.co_filename)):
        if call.first_line <= line <= call.last_line:
            return call.name
    raise RuntimeError(f"{_where(asking)}:{line} writes to the database in a way that is not recognised")


# --- counting and dying ----------------------------------------------------------------------------


class Seams:
    """Counts writes of this process, and kills it at one of them.

    Args:
        folder: Only files below it count.
        place: Where to die, or None.
    """

    def __init__(self, folder: Path, place: Place | None = None) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self._folder = f"{folder.resolve()}{os.sep}"
        self._place = place
        self._lock = threading.Lock()
        self._here = threading.local()

    def at(self, name: str, moment: str) -> None:
        """Count, and die if this is the place."""
        with self._lock:
            self.counts[name, moment] += 1
            if self._place == (name, moment, self.counts[name, moment]):
                os.kill(os.getpid(), signal.SIGKILL)

    def install(self) -> None:
        """Wrap everything that docbus writes with; once in a process."""
        self._install_database()
        self._install_broker()
        for name in _BY_PATH:
            self._wrap(name, lambda a, k: self._ours(a[0], k) or (len(a) > 1 and self._ours(a[1], k)))
        self._wrap("open", lambda a, k: bool(a[1] & _WRITING) and self._ours(a[0], k))
        for name in (*_BY_DESCRIPTOR, *_OF_BYTES):
            self._wrap(name, lambda a, _: self._ours(_path_of(a[0]), {}))
        self._install_files()
        sys.addaudithook(self._audit)

    def _ours(self, path: object, named: dict[str, Any]) -> bool:
        if named.get("dir_fd") is not None:
            path = os.path.join(_path_of(named["dir_fd"]), os.fsdecode(path))  # type: ignore[arg-type] # noqa: PTH118
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        return os.path.abspath(os.fsdecode(path)).startswith(self._folder)  # noqa: PTH100 - also what is gone

    def _wrap(self, function: str, counts: Callable[[tuple[Any, ...], dict[str, Any]], bool]) -> None:
        original = getattr(os, function)

        @wraps(original)
        def counted(*arguments: Any, **named: Any) -> Any:
            if getattr(self._here, "inside", False) or not counts(arguments, named):
                return original(*arguments, **named)
            return self._count(function, original, *arguments, **named)

        setattr(os, function, counted)

    def _count(self, function: str, original: Any, *arguments: Any, **named: Any) -> Any:
        frame = _frame_of_docbus(sys._getframe(1))
        if frame is None:
            return original(*arguments, **named)
        called = _called(frame)
        name = f"{_where(frame)} file {called}" + ("" if called.endswith(f".{function}") else f" {function}")
        self.at(name, "before")
        if function in _OF_BYTES:
            descriptor, content, *rest = arguments
            self._half(name, lambda half: original(descriptor, half, *rest), content)
        self._here.inside = True
        try:
            result = original(*arguments, **named)
        finally:
            self._here.inside = False
        self.at(name, "after")
        return result

    def _half(self, name: str, write: Callable[[memoryview], Any], content: Any) -> None:
        """Write half of the bytes, if this is where to die."""
        place = self._place
        if place is not None and place == (name, "within", self.counts[name, "within"] + 1):
            view = memoryview(content).cast("B")
            write(view[: len(view) // 2])
        self.at(name, "within")

    def _install_files(self) -> None:
        seams, original = self, io.open

        class Counted(io.FileIO):
            """What is written without a buffer, or when a buffer is full."""

            def write(self, content: Any) -> int:
                return int(seams._count_file(self, super().write, content))

        def opened(file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **named: Any) -> Any:
            path = _path_of(file) if isinstance(file, int) else file
            if not set(mode) & set("wax+") or "b" not in mode or not seams._ours(path, {}):
                return original(file, mode, buffering, *rest, **named)
            make = lambda: Counted(file, mode.replace("b", ""), **named)  # noqa: E731
            raw = make() if isinstance(file, int) else seams._count("open", make)
            return raw if buffering == 0 else io.BufferedWriter(raw)

        io.open = opened  # type: ignore[assignment] # what pathlib and os.fdopen open with
        folder_sink.FileIO = Counted  # type: ignore[misc]

    def _count_file(self, file: io.FileIO, write: Callable[[Any], int], content: Any) -> int:
        frame = _frame_of_docbus(sys._getframe(2))
        if frame is None or not self._ours(_path_of(file.fileno()), {}):
            return write(content)
        name = f"{_where(frame)} file {_called(frame)}"
        self.at(name, "before")
        self._half(name, write, content)
        written = write(content)
        self.at(name, "after")
        return written

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Count what changes a file and was not wrapped, so that the list of writes shows it."""
        if event == "open":
            changes = isinstance(arguments[2], int) and bool(arguments[2] & _WRITING)
        else:
            changes = event in _AUDITED
        if not changes or getattr(self._here, "inside", False) or not self._ours(arguments[0], {}):
            return
        if (frame := _frame_of_docbus(sys._getframe(1))) is not None:
            self.at(f"{_where(frame)} not wrapped: {event}", "before")

    def _install_database(self) -> None:
        write, write_now, attempt = Database.write, Database.write_now, groups._attempt
        # What ran in the group that is being committed; one thread for each database.
        running = self._here

        def noting(frame: FrameType, operation: Any) -> Any:
            name = _name_in_database(frame)

            def run(connection: Any) -> Any:
                result = operation(connection)
                running.names.append(name)
                self.at(name, "undecided")
                return result

            return run

        def counted_write(database: Database, operation: Any) -> Any:
            return write(database, noting(sys._getframe(1), operation))

        def counted_write_now(database: Database, operation: Any) -> Any:
            return write_now(database, noting(sys._getframe(1), operation))

        def counted_attempt(*arguments: Any) -> Any:
            running.names = []
            answers = attempt(*arguments)
            for name in running.names:
                self.at(name, "after")
            return answers

        Database.write = counted_write  # type: ignore[method-assign]
        Database.write_now = counted_write_now  # type: ignore[method-assign]
        groups._attempt = counted_attempt

    def _install_broker(self) -> None:
        append, commit = SqliteTransport.append, SqliteSubscription.commit

        async def counted_append(transport: SqliteTransport, records: Any) -> Any:
            frame = _frame_of_docbus(sys._getframe(1))
            if frame is None or not records:
                return await append(transport, records)
            kinds = "+".join(sorted({topics.kind_of(record.topic) or "?" for record in records}))
            name = f"{_where(frame)} append {kinds}"
            self.at(name, "before")
            result = await append(transport, records)
            self.at(name, "after")
            return result

        async def counted_commit(subscription: SqliteSubscription, offsets: Any) -> None:
            if not offsets:
                await commit(subscription, offsets)
                return
            name = f"{_where(_frame_of_docbus(sys._getframe(1)))} commit offsets"  # type: ignore[arg-type]
            self.at(name, "before")
            await commit(subscription, offsets)
            self.at(name, "after")

        SqliteTransport.append = counted_append  # type: ignore[method-assign]
        SqliteSubscription.commit = counted_commit  # type: ignore[method-assign]


def _path_of(descriptor: int) -> str:
    """Return what an open descriptor is of."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
    except OSError:
        return ""
