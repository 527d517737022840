"""What localcloud owns, in SQLite: documents by account, region, kind and name.

Every change that AWS would tell the world about puts its event into an outbox in the same
transaction: a killed process neither loses an event nor tells of a change that was not made.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from localcloud.clock import Clock
from localcloud.database import open_database
from localcloud.protocol import Caller, Document

_log = logging.getLogger(__name__)
LAYOUT = 1
_AGAIN_SECONDS = 1.0
_TABLES = """
CREATE TABLE IF NOT EXISTS documents (
    account TEXT NOT NULL, region TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
    number INTEGER PRIMARY KEY AUTOINCREMENT, created REAL NOT NULL, document TEXT NOT NULL,
    UNIQUE (account, region, kind, name)
);
CREATE TABLE IF NOT EXISTS outbox (
    account TEXT NOT NULL, region TEXT NOT NULL,
    number INTEGER PRIMARY KEY AUTOINCREMENT, created REAL NOT NULL, event TEXT NOT NULL
);
"""


class Store:
    """Documents, kept over a restart. Safe for threads; a transaction is all or nothing.

    `clock` is what the times of its documents go by.
    """

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self._lock = threading.RLock()
        self._depth = 0
        self._database = open_database(
            path, _TABLES, LAYOUT, "start afresh with `localcloud reset`"
        )

    def close(self) -> None:
        """Write what is pending and let go of the file."""
        with self._lock:
            self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what happens inside one change; nests."""
        with self._lock:
            if self._depth == 0:
                self._database.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
                if self._depth == 1:
                    self._database.execute("COMMIT")
            except BaseException:
                # A full disk has SQLite roll back by itself, or leaves the transaction open.
                if self._depth == 1 and self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise
            finally:
                self._depth -= 1

    def insist(self, write: Callable[[], object], giving_up: threading.Event) -> None:
        """Make a change that nobody else would make up for: while the disk is full, try again.

        It stays undone if `giving_up` is set meanwhile.
        """
        while True:
            try:
                write()
            except sqlite3.OperationalError as error:
                _log.error("This cannot be stored now: %s", error)
                if giving_up.wait(_AGAIN_SECONDS):
                    return
            else:
                return

    def get(self, caller: Caller, kind: str, name: str) -> Document | None:
        """One document, or None."""
        with self._lock:
            row = self._database.execute(
                "SELECT document FROM documents"
                " WHERE account = ? AND region = ? AND kind = ? AND name = ?",
                (caller.account, caller.region, kind, name),
            ).fetchone()
        return json.loads(row[0]) if row else None

    def put(self, caller: Caller, kind: str, name: str, document: Document) -> None:
        """Store a document, new or instead of the one of this name; its place in order stays."""
        with self.transaction():
            self._database.execute(
                "INSERT INTO documents (account, region, kind, name, created, document)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (account, region, kind, name)"
                " DO UPDATE SET document = excluded.document",
                (caller.account, caller.region, kind, name, self.clock.now(), json.dumps(document)),
            )

    def delete(self, caller: Caller, kind: str, name: str) -> None:
        """Forget a document; nothing happens if there is none."""
        with self.transaction():
            self._database.execute(
                "DELETE FROM documents WHERE account = ? AND region = ? AND kind = ? AND name = ?",
                (caller.account, caller.region, kind, name),
            )

    def documents(self, caller: Caller, kind: str, prefix: str = "") -> list[Document]:
        """All documents of a kind whose name starts with `prefix`, oldest first."""
        with self._lock:
            rows = self._database.execute(
                "SELECT document FROM documents WHERE account = ? AND region = ? AND kind = ?"
                " AND substr(name, 1, ?) = ? ORDER BY number",
                (caller.account, caller.region, kind, len(prefix), prefix),
            ).fetchall()
        return [json.loads(row[0]) for row in rows]

    def everywhere(self, kind: str) -> list[tuple[Caller, str, Document]]:
        """All documents of a kind, of every account and region: for the start-up."""
        with self._lock:
            rows = self._database.execute(
                "SELECT account, region, name, document FROM documents"
                " WHERE kind = ? ORDER BY number",
                (kind,),
            ).fetchall()
        return [(Caller(row[0], row[1]), row[2], json.loads(row[3])) for row in rows]

    def emit(self, caller: Caller, event: dict[str, Any]) -> None:
        """Put an event into the outbox, as part of the running transaction."""
        with self.transaction():
            self._database.execute(
                "INSERT INTO outbox (account, region, created, event) VALUES (?, ?, ?, ?)",
                (caller.account, caller.region, self.clock.now(), json.dumps(event)),
            )
