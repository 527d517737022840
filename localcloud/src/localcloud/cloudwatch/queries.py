"""MetricDataQueries: metrics and expressions over them, as graphs and alarms ask for them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from localcloud.cloudwatch.errors import ValidationError
from localcloud.cloudwatch.expressions import Expression, Series
from localcloud.cloudwatch.metrics import Metrics, check_period, metric_of
from localcloud.cloudwatch.points import Metric
from localcloud.cloudwatch.statistics import check_statistic, value_of
from localcloud.errors import NotEmulated
from localcloud.protocol import Caller, Document

_ID = re.compile(r"[a-z][a-zA-Z0-9_]*")


@dataclass(frozen=True)
class Query:
    """One query: a metric with a statistic, or an expression. Periods are seconds."""

    id: str
    label: str
    shown: bool
    period: int
    metric: Metric | None = None
    statistic: str = ""
    unit: str | None = None
    expression: Expression | None = None


@dataclass(frozen=True)
class Queries:
    """Queries that can be answered: ids are there, nothing waits for itself."""

    in_order: tuple[Query, ...]
    """Each after those that it reads."""
    as_given: tuple[Query, ...]

    @classmethod
    def parse(cls, documents: list[Document], where: str) -> Queries:
        """Read MetricDataQueries; `where` is the parameter's name for what is said."""
        given = [_query(each, f"{where}.member.{n}") for n, each in enumerate(documents, 1)]
        by_id = {query.id: query for query in given}
        if len(by_id) < len(given):
            raise ValidationError(f"The values for parameter id in {where} are not unique.")
        ordered: dict[str, Query] = {}
        for query in given:
            _place(query, by_id, ordered, ())
        return cls(tuple(ordered.values()), tuple(ordered[query.id] for query in given))

    def answer(
        self, metrics: Metrics, caller: Caller, start: int, end: int, *, sliding: bool = False
    ) -> dict[str, Series]:
        """The values of each query in the periods from `start` to before `end`.

        Periods begin at whole multiples of themselves, or at `start` where the window slides.
        """
        found: dict[str, Series] = {}
        for query in self.in_order:
            first = start if sliding else start - start % query.period
            if query.metric is not None:
                points = metrics.periods(caller, query.metric, first, end, query.period, query.unit)
                values = {moment: value_of(point, query.statistic) for moment, point in
                          points.items()}  # fmt: skip
                found[query.id] = {m: value for m, value in values.items() if value is not None}
            elif query.expression is not None:
                grid = list(range(first, end, query.period))
                named = {name: found[name] for name in query.expression.names}
                of_metrics = [found[each.id] for each in self.as_given if each.metric is not None
                              and each.id in found]  # fmt: skip
                found[query.id] = query.expression.evaluate(named, of_metrics, grid, query.period)
        return found


def _query(document: Document, where: str) -> Query:
    name: str = document["Id"]
    stat = document.get("MetricStat")
    if not _ID.fullmatch(name):
        raise ValidationError(
            f"The value {name[:80]} for parameter {where}.Id is not matching the expected "
            f"pattern ^[a-z][a-zA-Z0-9_]*$."
        )
    if (stat is None) == ("Expression" not in document):
        raise ValidationError(
            f"Exactly one of the parameters {where}.MetricStat and {where}.Expression must be "
            "specified."
        )
    shown = document.get("ReturnData", True)
    if stat is None:
        text = document["Expression"]
        if text.lstrip().upper().startswith(("SELECT ", "SEARCH(", "ANOMALY_DETECTION_BAND")):
            raise NotEmulated(f"localcloud does not emulate the expression {text[:80]!r}")
        label = document.get("Label", name)
        period = document.get("Period", 0)
        return Query(name, label, shown, period, expression=Expression.parse(text))
    check_period(stat["Period"], f"{where}.MetricStat.Period")
    check_statistic(stat["Stat"])
    metric = metric_of(stat["Metric"])
    label = str(document.get("Label", metric.name))
    return Query(name, label, shown, stat["Period"], metric, stat["Stat"], stat.get("Unit"))


def _place(
    query: Query, by_id: dict[str, Query], ordered: dict[str, Query], waiting: tuple[str, ...]
) -> int:
    """Put a query behind those that it reads; gives its period."""
    if query.id in ordered:
        return ordered[query.id].period
    if query.id in waiting:
        raise ValidationError(f"The expression of {query.id} reads itself.")
    if query.expression is not None:
        periods = [
            _place(each, by_id, ordered, (*waiting, query.id)) for each in _read_by(query, by_id)
        ]
        longest = max(periods, default=60)
        if query.period not in (0, longest):
            check_period(query.period, f"the query {query.id}'s Period")
        query = Query(query.id, query.label, query.shown, query.period or longest,
                      expression=query.expression)  # fmt: skip
    ordered[query.id] = query
    return query.period


def _read_by(query: Query, by_id: dict[str, Query]) -> Iterator[Query]:
    assert query.expression is not None  # noqa: S101 - tells mypy what the caller knows
    for name in sorted(query.expression.names):
        if name not in by_id:
            raise ValidationError(
                f"The expression {query.expression.text[:80]!r} reads {name!r}, which is no query."
            )
        yield by_id[name]
    if query.expression.all_metrics:
        yield from (each for each in by_id.values() if each.metric is not None)
