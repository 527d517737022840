"""Ask the endpoint for scores, and put its failures into words for the caller."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)

from .errors import (
    ApiError,
    BadRequestError,
    ModelFaultError,
    TooManyRequestsError,
    TooSlowError,
    UnavailableError,
)

SHOWN_CHARACTERS: Final = 1000
THROTTLED: Final = {"ThrottlingException", "Throttling", "TooManyRequestsException"}
NOT_READY: Final = {"ModelNotReadyException", "ServiceUnavailable", "ServiceUnavailableException"}

_LATER = {"retry-after": "5"}


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer to one row: a probability, and 1 from the model's threshold on."""

    score: float
    predicted_label: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A SageMaker endpoint that takes and gives csv; ``in_service`` says whether it answers."""

    name: str
    runtime: Any
    in_service: Callable[[], bool]

    def predict(self, csv: str, rows: int, request_id: str) -> list[Prediction]:
        """Score ``rows`` rows.

        The request's id is the inference id, by which captured data is found. Raises the ApiError
        that the endpoint's failure amounts to.
        """
        try:
            answer = self._invoke(csv, request_id)
        except ReadTimeoutError as error:
            raise TooSlowError("The model did not answer in time.") from error
        except (ConnectTimeoutError, EndpointConnectionError) as error:
            raise _unavailable() from error
        except ClientError as error:
            self._translate(error)
        except BotoCoreError as error:
            raise ModelFaultError("The connection to the model broke.") from error
        return _read(answer, rows)

    def _invoke(self, csv: str, request_id: str) -> bytes:
        request = {
            "EndpointName": self.name,
            "Body": csv.encode(),
            "ContentType": "text/csv",
            "Accept": "text/csv",
            "InferenceId": request_id[:64],
        }
        try:
            answer = self.runtime.invoke_endpoint(**request)
        except ConnectionClosedError:
            # A function that was frozen may hold a connection that the other end has closed.
            answer = self.runtime.invoke_endpoint(**request)
        body: bytes = answer["Body"].read()
        return body

    def _translate(self, error: ClientError) -> NoReturn:
        code = error.response["Error"]["Code"]
        raise self._meaning(code, error.response) from error

    def _meaning(self, code: str, response: Any) -> ApiError:
        if code == "ModelError":
            return _model_error(response)
        if code in THROTTLED:
            return TooManyRequestsError(
                "The model has more requests than it takes; try again in a second.",
                headers={"retry-after": "1"},
            )
        # A missing endpoint is a ValidationError as much as a request that is wrong.
        if code in NOT_READY or not self.in_service():
            return _unavailable()
        return ModelFaultError("The endpoint did not take the request.")


def _model_error(response: Any) -> ApiError:
    """Tell a refusal of the rows, which is the caller's, from a failure, which is the model's."""
    if response.get("OriginalStatusCode") != 400:
        return ModelFaultError("The model failed on this request.")
    message = str(response.get("OriginalMessage", ""))
    with suppress(ValueError, KeyError, TypeError):
        message = str(json.loads(message)["error"])
    return BadRequestError(f"The model refused the rows: {message[:SHOWN_CHARACTERS]}")


def _unavailable() -> UnavailableError:
    return UnavailableError("The model is not in service now.", headers=_LATER)


def _read(answer: bytes, rows: int) -> list[Prediction]:
    try:
        predictions = [_prediction(line) for line in answer.decode().splitlines()]
    except ValueError as error:
        raise ModelFaultError("The model's answer is not readable.") from error
    if len(predictions) != rows:
        raise ModelFaultError(f"The model answered {len(predictions)} rows of {rows}.")
    return predictions


def _prediction(line: str) -> Prediction:
    score, label = line.split(",")
    read = Prediction(float(score), int(label))
    if not 0 <= read.score <= 1 or read.predicted_label not in {0, 1}:
        raise ValueError(f"a score must be from 0 to 1 and a label 0 or 1, not {line[:40]!r}")
    return read
