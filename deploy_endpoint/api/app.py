"""The function behind the HTTP API: ``api.app.handler``.

Every answer has the request's id. Logs have ids, counts and kinds of errors, never a value that a
caller sent; an error's message to a caller never has more than the caller's own values and rules.
"""

import os
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Final

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import ClientError

from . import contract, deadline, exchange, health, media, page, reading, rows, settings
from .endpoint import Endpoint
from .errors import ApiError, MethodNotAllowedError, NotFoundError
from .exchange import Request, Response

NAMESPACE: Final = "ModelApi"

logger = Logger()
metrics = Metrics(namespace=NAMESPACE)


class Stage:
    """What one function has of its stage; each part is made when it is first needed."""

    @cached_property
    def settings(self) -> settings.Settings:
        """What its environment says."""
        return settings.load(os.environ)

    @cached_property
    def contract(self) -> contract.Contract:
        """What its model is."""
        return contract.fetch(settings.client("s3"), self.settings.deployment_uri)

    @cached_property
    def health(self) -> health.Health:
        """The watch over its endpoint."""
        return health.Health(self.settings.endpoint_name, lambda: settings.client("sagemaker"))

    @cached_property
    def endpoint(self) -> Endpoint:
        """Its endpoint."""
        runtime = settings.client("sagemaker-runtime")
        return Endpoint(self.settings.endpoint_name, runtime, lambda: self.health.state().answers)


stage = Stage()


def predict(request: Request) -> Response:
    """Answer POST /predict."""
    kind = media.body_type(request.headers)
    media.check_accept(request.headers)
    table = reading.read(request.body, kind, stage.contract)
    warnings = rows.warn(table, stage.contract)
    began = time.perf_counter()
    predictions = stage.endpoint.predict(rows.write_csv(table), len(table.rows), request.request_id)
    milliseconds = (time.perf_counter() - began) * 1000
    document = {
        "predictions": [
            {"score": each.score, "predicted_label": each.predicted_label} for each in predictions
        ],
        "model_version": stage.settings.model_version,
        "request_id": request.request_id,
        "warnings": [asdict(each) for each in warnings],
    }
    answer = exchange.answer(document, headers={"server-timing": f"model;dur={milliseconds:.1f}"})
    positives = sum(each.predicted_label for each in predictions)
    measures = {"Rows": len(predictions), "Positives": positives, "ModelLatency": milliseconds}
    return replace(answer, measures=measures)


def show_health(request: Request) -> Response:
    """Answer GET /health: 503 unless the endpoint answers, as it does while it is updated."""
    state = stage.health.state()
    document = {
        "healthy": state.answers,
        "endpoint": {"name": stage.settings.endpoint_name, "status": state.status},
        "model_version": state.model_version,
        "model_package_arn": state.model_package_arn,
        "request_id": request.request_id,
    }
    return exchange.answer(document, 200 if state.answers else 503)


def show_schema(request: Request) -> Response:
    """Answer GET /schema: what a row must be, and examples with the answers they must get."""
    found = stage.contract
    document = {
        "model_version": stage.settings.model_version,
        "label": found.label,
        "threshold": found.threshold,
        "columns": [asdict(column) for column in found.columns],
        "examples": list(found.examples),
        "limits": {"bytes": reading.MAX_BYTES, "rows": reading.MAX_ROWS},
        "request_id": request.request_id,
    }
    return exchange.answer(document)


@dataclass(frozen=True, slots=True)
class Route:
    """What answers one path; the name stands in logs, where a path of a caller's does not."""

    name: str
    method: str
    answer: Callable[[Request], Response]


ROUTES: Final = {
    "/predict": Route("predict", "POST", predict),
    "/health": Route("health", "GET", show_health),
    "/schema": Route("schema", "GET", show_schema),
    "/": Route("page", "GET", page.serve),
}
_ASSET = Route("asset", "GET", page.serve)
_NOTHING = Route("none", "", page.serve)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one event of an HTTP API, before the function's time-out; never raises."""
    began = time.perf_counter()
    request = exchange.read(event)
    logger.append_keys(request_id=request.request_id)
    route = _find(request.path)
    try:
        response = deadline.before(context, lambda: _answer(route, request))
        _measure(response.measures)
    except ApiError as error:
        logger.info("refused", extra={"error": type(error).__name__, **_cause(error)})
        response = exchange.answer(error.document(request.request_id), error.status, error.headers)
    except Exception as error:  # noqa: BLE001  no stack trace to a caller
        # Not logger.exception: an exception's text may hold what the caller sent.
        logger.error("failed", extra={"error": type(error).__name__, "at": _places(error)})  # noqa: TRY400
        failure = ApiError("Something went wrong here; the request's id finds it in the logs.")
        response = exchange.answer(failure.document(request.request_id), failure.status)
    milliseconds = round((time.perf_counter() - began) * 1000, 1)
    told = {"route": route.name, "status": response.status, "milliseconds": milliseconds}
    logger.info("answered", extra=told | {"bytes": len(request.body)})
    return exchange.write(response, request.request_id)


def _find(path: str) -> Route:
    return ROUTES.get(path, _ASSET if path.startswith(page.ASSETS) else _NOTHING)


def _answer(route: Route, request: Request) -> Response:
    if route is _NOTHING:
        raise NotFoundError("There is nothing at this path; /schema tells what /predict takes.")
    if request.method != route.method:
        raise MethodNotAllowedError(
            f"The method here must be {route.method}.", headers={"allow": route.method}
        )
    return route.answer(request)


def _measure(measures: Mapping[str, float]) -> None:
    for name, value in measures.items():
        unit = MetricUnit.Milliseconds if name.endswith("Latency") else MetricUnit.Count
        metrics.add_metric(name, unit, value)
    if measures:
        metrics.flush_metrics()


def _cause(error: ApiError) -> dict[str, str]:
    """Name the error behind one; its text may hold a caller's values, so it stays out."""
    cause = error.__cause__
    if isinstance(cause, ClientError):
        return {"cause": cause.response["Error"]["Code"]}
    return {"cause": type(cause).__name__} if cause else {}


def _places(error: Exception) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
