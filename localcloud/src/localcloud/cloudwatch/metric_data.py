"""GetMetricData: many metrics and expressions at once, in pages."""

from __future__ import annotations

from localcloud.cloudwatch.errors import ValidationError
from localcloud.cloudwatch.metrics import Metrics, window
from localcloud.cloudwatch.pages import offset, token
from localcloud.cloudwatch.queries import Queries
from localcloud.protocol import Caller, Document, Operation

_MAX_QUERIES, _MAX_POINTS = 500, 100_800


class MetricData:
    """The call GetMetricData."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def operations(self) -> dict[str, Operation]:
        """The calls by their AWS names."""
        return {"GetMetricData": self.get}

    def get(self, caller: Caller, request: Document) -> Document:
        """GetMetricData; a page holds at most MaxDatapoints values of all results together."""
        documents = request["MetricDataQueries"]
        if not 1 <= len(documents) <= _MAX_QUERIES:
            raise ValidationError(
                f"The collection MetricDataQueries must have between 1 and {_MAX_QUERIES} members, "
                f"not {len(documents)}."
            )
        queries = Queries.parse(documents, "MetricDataQueries")
        start, end = window(request)
        found = queries.answer(self._metrics, caller, start, end)
        size = request.get("MaxDatapoints", _MAX_POINTS)
        if not 1 <= size <= _MAX_POINTS:
            raise ValidationError(f"MaxDatapoints must be between 1 and {_MAX_POINTS}, not {size}.")
        oldest_first = request.get("ScanBy") == "TimestampAscending"
        first, before, results = offset(request), 0, []
        for query in queries.as_given:
            if not query.shown:
                continue
            values = sorted(found[query.id].items(), reverse=not oldest_first)
            cut = slice(max(0, first - before), max(0, first + size - before))
            whole = first + size >= before + len(values)
            results.append(
                {
                    "Id": query.id,
                    "Label": query.label,
                    "Timestamps": [float(moment) for moment, _ in values[cut]],
                    "Values": [value for _, value in values[cut]],
                    "StatusCode": "Complete" if whole else "PartialData",
                }
            )
            before += len(values)
        answer: Document = {"MetricDataResults": results, "Messages": []}
        if first + size < before:
            answer["NextToken"] = token(first + size)
        return answer
