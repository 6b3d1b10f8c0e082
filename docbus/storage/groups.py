"""One group of operations in one transaction, each undone alone if it fails."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from docbus.storage.failures import storage_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Request:
    """An operation that waits, and where its caller waits for the answer."""

    operation: Callable[[sqlite3.Connection], Any]
    future: Future[Any]


class _TransactionLostError(Exception):
    """SQLite has undone the whole transaction, not only the statement that failed."""


def commit_group(connection: sqlite3.Connection, group: Sequence[Request], path: Path) -> None:
    """Run and commit the group, then answer every caller; never raises.

    When the transaction as a whole is lost (full disk, failing commit), each operation gets a transaction of its own:
    so one document that no longer fits does not take with it what still does.
    """
    wanted = [request for request in group if request.future.set_running_or_notify_cancel()]
    if not wanted:
        return
    try:
        answers = _attempt(connection, wanted, path)
    except (_TransactionLostError, sqlite3.Error) as error:
        # Another process that holds the file will not let go any sooner for being asked once per operation.
        busy = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
        for request in wanted:
            if busy or len(wanted) == 1:
                request.future.set_exception(_reason(error, path))
            else:
                _alone(connection, request, path)
        return
    for request, (result, failure) in zip(wanted, answers, strict=True):
        _answer(request, result, failure)


def _alone(connection: sqlite3.Connection, request: Request, path: Path) -> None:
    try:
        result, failure = _attempt(connection, [request], path)[0]
    except (_TransactionLostError, sqlite3.Error) as error:
        request.future.set_exception(_reason(error, path))
    else:
        _answer(request, result, failure)


def _attempt(
    connection: sqlite3.Connection, group: Sequence[Request], path: Path
) -> list[tuple[Any, BaseException | None]]:
    """Return (result, failure) of each operation once the commit is durable."""
    answers: list[tuple[Any, BaseException | None]] = []
    connection.execute("BEGIN IMMEDIATE")
    try:
        for request in group:
            connection.execute("SAVEPOINT operation")
            try:
                answers.append((request.operation(connection), None))
            except BaseException as error:  # whatever it is, it goes to the caller who waits for it
                if not connection.in_transaction:
                    raise _TransactionLostError from error
                connection.execute("ROLLBACK TO operation")
                answers.append((None, storage_error(error, path) if isinstance(error, sqlite3.Error) else error))
            connection.execute("RELEASE operation")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return answers


def _reason(error: BaseException, path: Path) -> BaseException:
    cause = error.__cause__ if isinstance(error, _TransactionLostError) and error.__cause__ is not None else error
    return storage_error(cause, path) if isinstance(cause, sqlite3.Error) else cause


def _answer(request: Request, result: object, failure: BaseException | None) -> None:
    if failure is None:
        request.future.set_result(result)
    else:
        request.future.set_exception(failure)
