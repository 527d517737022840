"""The rows: one SQLite file, a connection for each thread, one writer at a time."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from localcloud.errors import Unreadable, is_disk_full

_SCHEMA = """
CREATE TABLE IF NOT EXISTS buckets (
    name TEXT PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT NULL, created INTEGER NOT NULL,
    versioning TEXT NOT NULL DEFAULT '') WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS documents (
    bucket TEXT NOT NULL, kind TEXT NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (bucket, kind)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, bucket TEXT NOT NULL, key BLOB NOT NULL,
    version TEXT NOT NULL, latest INTEGER NOT NULL, delete_marker INTEGER NOT NULL,
    blob TEXT NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL, modified INTEGER NOT NULL,
    attributes TEXT NOT NULL, UNIQUE (bucket, key, version));
CREATE UNIQUE INDEX IF NOT EXISTS current ON objects (bucket, key) WHERE latest = 1;
CREATE INDEX IF NOT EXISTS history ON objects (bucket, key, sequence DESC);
CREATE TABLE IF NOT EXISTS uploads (
    id TEXT PRIMARY KEY, bucket TEXT NOT NULL, key BLOB NOT NULL, started INTEGER NOT NULL,
    attributes TEXT NOT NULL, algorithm TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS open_uploads ON uploads (bucket, key, id);
CREATE TABLE IF NOT EXISTS parts (
    upload TEXT NOT NULL, number INTEGER NOT NULL, blob TEXT NOT NULL, size INTEGER NOT NULL,
    md5 TEXT NOT NULL, modified INTEGER NOT NULL, checksums TEXT NOT NULL,
    PRIMARY KEY (upload, number)) WITHOUT ROWID;
"""
_BUSY_SECONDS = 30.0
_CACHE_KIB = 256  # of each thread; the system caches the file for all of them


class Index:
    """The SQLite file of a store. Keys are kept as UTF-8 bytes, so they sort as S3 sorts them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        self._writer = threading.Lock()
        try:
            self.connection.executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            if is_disk_full(error):
                raise
            raise Unreadable(
                f"{path} cannot be read ({error}). Nothing was deleted. Put a copy of it back, or "
                "start afresh with `localcloud reset`."
            ) from error

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's connection, for reading; it ends with the thread."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(
                self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
            self._local.connection = connection
        return connection

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is committed at the end of the block, or rolled back if it raises."""
        with self._writer:
            connection = self.connection
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # A full disk has SQLite roll back by itself, or leaves the transaction open.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def blobs(self) -> set[str]:
        """The names of all files that have a row."""
        rows = self.connection.execute("SELECT blob FROM objects UNION SELECT blob FROM parts")
        return {row["blob"] for row in rows}
