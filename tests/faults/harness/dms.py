"""A document-management system for the harness: a server over HTTP on loopback, with moods.

It stores a document under a name once, durably, with digests of the bytes that it got, the order in which they came,
and how often each was offered. In a mood it is slow, fails, answers nothing, says "created" without storing anything
(lies), or stores and fails nevertheless (mum). ``python -m tests.faults.harness.dms PORT FILE MOOD_FILE``.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import threading
import time
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

OK, SLOW, FAIL, HANG, LIE, MUM = "ok", "slow", "fail", "hang", "lie", "mum"
MOODS = (SLOW, FAIL, HANG, LIE, MUM)
SLOW_SECONDS = 0.5
HANG_SECONDS = 12.0
SCHEMA = """
CREATE TABLE IF NOT EXISTS document (
    arrival INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, document_id TEXT NOT NULL,
    lane TEXT NOT NULL, epoch TEXT NOT NULL, sequence INTEGER NOT NULL, statement TEXT NOT NULL,
    size INTEGER NOT NULL, digest TEXT NOT NULL, offered INTEGER NOT NULL DEFAULT 1
)
"""
STORE = """
INSERT INTO document (name, document_id, lane, epoch, sequence, statement, size, digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET offered = offered + 1
"""


def open_store(path: Path) -> sqlite3.Connection:
    """Open the store; what is committed is on disk."""
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(SCHEMA)
    return connection


class Handler(BaseHTTPRequestHandler):
    """POST /file takes documents, POST /look says what is there."""

    protocol_version = "HTTP/1.1"
    store: sqlite3.Connection
    lock = threading.Lock()
    mood_file: Path

    def do_POST(self) -> None:
        """Take a batch: a line of JSON for each document, with the bytes of its content behind all of them."""
        length = int(self.headers["content-length"])
        mood = self.mood_file.read_text("ascii").strip() if self.mood_file.exists() else OK
        if mood == SLOW:
            time.sleep(SLOW_SECONDS)
        head_size = int(self.headers["x-head"])
        head: list[dict[str, Any]] = json.loads(self.rfile.read(head_size))
        if self.path == "/look":
            self._answer(503 if mood == FAIL else 200, self._look(head))
            return
        rows = [(one, *_digest(self.rfile, one["size"])) for one in head]
        assert length == head_size + sum(size for _, size, _ in rows)
        if mood == HANG:
            time.sleep(HANG_SECONDS)
        if mood == FAIL:
            self._answer(503, [])
            return
        if mood != LIE:
            self._store(rows)
        self._answer(500 if mood == MUM else 201, [])

    def _store(self, rows: list[tuple[dict[str, Any], int, str]]) -> None:
        fields = ("name", "document_id", "lane", "epoch", "sequence", "statement")
        with self.lock:
            self.store.execute("BEGIN IMMEDIATE")
            self.store.executemany(STORE, [(*(one[f] for f in fields), size, digest) for one, size, digest in rows])
            self.store.execute("COMMIT")

    def _look(self, head: list[dict[str, Any]]) -> list[Any]:
        with self.lock:
            return [
                self.store.execute("SELECT size, digest FROM document WHERE name = ?", (one["name"],)).fetchone()
                for one in head
            ]

    def _answer(self, status: int, body: list[Any]) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _digest(stream: Any, size: int) -> tuple[int, str]:
    digest, left = sha256(), size
    while left:
        chunk = stream.read(min(left, 1 << 20))
        if not chunk:
            raise ConnectionError
        digest.update(chunk)
        left -= len(chunk)
    return size, digest.hexdigest()


def main() -> None:
    """Serve until killed."""
    Handler.store = open_store(Path(sys.argv[2]))
    Handler.mood_file = Path(sys.argv[3])
    ThreadingHTTPServer.daemon_threads = True
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()


if __name__ == "__main__":
    main()
