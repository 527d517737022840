"""The SQLite files of the state folder: how they are opened, and what is said if that fails."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from localcloud.errors import OtherLayout, Unreadable, is_disk_full


def open_database(path: Path, tables: str, layout: int, remedy: str) -> sqlite3.Connection:
    """A connection for all threads, which lock it themselves, to a file that has these tables.

    Raises:
        OtherLayout, Unreadable: it cannot be used as it is; the text ends with `remedy`, what to
            do if there is no copy.
        sqlite3.Error: the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found not in (0, layout):
            raise OtherLayout(
                f"{path} has layout {found}; this localcloud reads layout {layout}. "
                f"Use the version that wrote it, or {remedy}."
            )
        connection.executescript(f"{tables} PRAGMA user_version = {layout};")
    except sqlite3.DatabaseError as error:
        connection.close()
        if is_disk_full(error):
            raise
        raise Unreadable(
            f"{path} cannot be read ({error}). Nothing was deleted. Put a copy of it back, or "
            f"{remedy}."
        ) from error
    return connection
