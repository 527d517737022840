"""Where metrics are kept: a SQLite file of points, one a second at most of each metric and unit."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localcloud.cloudwatch.statistics import Datum, Point, merged
from localcloud.database import open_database
from localcloud.protocol import Caller

LAYOUT = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS metrics (
    id INTEGER PRIMARY KEY, account TEXT NOT NULL, region TEXT NOT NULL, namespace TEXT NOT NULL,
    name TEXT NOT NULL, dimensions TEXT NOT NULL, latest INTEGER NOT NULL,
    UNIQUE (account, region, namespace, name, dimensions)
);
CREATE TABLE IF NOT EXISTS points (
    metric INTEGER NOT NULL, time INTEGER NOT NULL, unit TEXT NOT NULL, count REAL NOT NULL,
    total REAL NOT NULL, minimum REAL NOT NULL, maximum REAL NOT NULL, "values" TEXT,
    PRIMARY KEY (metric, time, unit)
) WITHOUT ROWID;
"""
_HOUR, _DAY = 3600, 86_400
# What is older than so many seconds is kept in stretches of so many seconds, as AWS keeps it.
_COARSER = ((3 * _HOUR, 60), (15 * _DAY, 300), (63 * _DAY, _HOUR))
_FORGOTTEN = 455 * _DAY


@dataclass(frozen=True)
class Metric:
    """A metric's name; dimensions in the order of their names."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]


class Points:
    """Points of metrics, kept over a restart. Safe for threads."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        self._ids: dict[tuple[Caller, Metric], int] = {}
        self._database = open_database(
            path, _TABLES, LAYOUT, "move it away to go on without old metrics"
        )

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._database.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                self._ids.clear()  # some may be of metrics that were not written
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def add(self, caller: Caller, namespace: str, data: Iterable[Datum]) -> None:
        """Add data to what is there: all of it, or on an error nothing."""
        with self._transaction():
            for datum in data:
                dimensions = tuple(sorted(datum.dimensions.items()))
                metric = Metric(namespace, datum.name, dimensions)
                self._add(self._id(caller, metric), int(datum.time), datum.unit, Point.of(datum))

    def _id(self, caller: Caller, metric: Metric) -> int:
        known = self._ids.get((caller, metric))
        if known is None:
            key = (caller.account, caller.region, metric.namespace, metric.name,
                   json.dumps(metric.dimensions))  # fmt: skip
            self._database.execute(
                "INSERT OR IGNORE INTO metrics (account, region, namespace, name, dimensions,"
                " latest) VALUES (?, ?, ?, ?, ?, 0)",
                key,
            )
            known = self._ids[(caller, metric)] = self._find(key)
        return known

    def _find(self, key: tuple[str, ...]) -> int:
        row = self._database.execute(
            "SELECT id FROM metrics WHERE account = ? AND region = ? AND namespace = ?"
            " AND name = ? AND dimensions = ?",
            key,
        ).fetchone()
        return int(row[0]) if row else 0

    def _add(self, metric: int, time: int, unit: str, point: Point) -> None:
        row = self._database.execute(
            'SELECT count, total, minimum, maximum, "values" FROM points'
            " WHERE metric = ? AND time = ? AND unit = ?",
            (metric, time, unit),
        ).fetchone()
        if row is not None:
            point = merged([_point(row), point])
        self._database.execute(
            "INSERT OR REPLACE INTO points VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (metric, time, unit, point.count, point.total, point.minimum, point.maximum,
             None if point.values is None else json.dumps(list(point.values.items()))),
        )  # fmt: skip
        self._database.execute(
            "UPDATE metrics SET latest = ? WHERE id = ? AND latest < ?", (time, metric, time)
        )

    def read(
        self, caller: Caller, metric: Metric, start: int, end: int, unit: str | None = None
    ) -> list[tuple[int, str, Point]]:
        """Time, unit and point of what came from `start` to before `end`, in order of time."""
        with self._lock:
            key = (caller.account, caller.region, metric.namespace, metric.name,
                   json.dumps(metric.dimensions))  # fmt: skip
            rows = self._database.execute(
                'SELECT time, unit, count, total, minimum, maximum, "values" FROM points'
                " WHERE metric = ? AND time >= ? AND time < ? AND (? IS NULL OR unit = ?)"
                " ORDER BY time",
                (self._find(key), start, end, unit, unit),
            ).fetchall()
        return [(row[0], row[1], _point(row[2:])) for row in rows]

    def metrics(self, caller: Caller, since: float) -> list[Metric]:
        """The metrics that have a point since then, by their names."""
        with self._lock:
            rows = self._database.execute(
                "SELECT namespace, name, dimensions FROM metrics WHERE account = ? AND region = ?"
                " AND latest >= ? ORDER BY namespace, name, dimensions",
                (caller.account, caller.region, since),
            ).fetchall()
        return [
            Metric(row[0], row[1], tuple((name, value) for name, value in json.loads(row[2])))
            for row in rows
        ]

    def tidy(self, now: float) -> None:
        """Add up what is old into longer stretches, and forget what is very old."""
        with self._lock:
            metrics = [row[0] for row in self._database.execute("SELECT id FROM metrics")]
        for metric in metrics:
            for age, stretch in _COARSER:
                # One metric at a time: nobody waits for all of them.
                self._coarsen(metric, int(now - age) // stretch * stretch, stretch)
        with self._transaction():
            self._database.execute("DELETE FROM points WHERE time < ?", (int(now - _FORGOTTEN),))
            self._database.execute("DELETE FROM metrics WHERE latest < ?", (int(now - _FORGOTTEN),))
            self._ids.clear()

    def _coarsen(self, metric: int, before: int, stretch: int) -> None:
        finer = "metric = ? AND time < ? AND time % ? != 0"
        found: dict[tuple[int, str], list[Point]] = defaultdict(list)
        with self._transaction():
            for time, unit, *row in self._database.execute(
                f'SELECT time, unit, count, total, minimum, maximum, "values" FROM points'  # noqa: S608
                f" WHERE {finer}",
                (metric, before, stretch),
            ):
                found[(time // stretch * stretch, unit)].append(_point(row))
            if found:
                self._database.execute(
                    f"DELETE FROM points WHERE {finer}",  # noqa: S608 - no text of others
                    (metric, before, stretch),
                )
            for (start, unit), points in found.items():
                self._add(metric, start, unit, merged(points))


def _point(row: Any) -> Point:
    values = None if row[4] is None else dict(json.loads(row[4]))
    return Point(row[0], row[1], row[2], row[3], values)
