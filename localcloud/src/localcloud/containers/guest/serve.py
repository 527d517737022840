"""The server in a serving container: script mode's functions behind HTTP on a Unix socket.

`serve.py FRAMEWORK SOCKET PULSE`: one file of the standard library only, run by the image's own
Python, because what it imports of localcloud would stand in the way of the handlers' own modules.
It does what the images' starters do (PyPI `sagemaker-containers`: `_transformer.py`, `_worker.py`;
`sagemaker_sklearn_container/serving.py`, `sagemaker_xgboost_container/serving.py`): model_fn once,
then GET /ping and POST /invocations, one request at a time.

Ready means that the socket is there: it is bound after model_fn has returned. The file PULSE holds
one number, odd while a handler is at work, so that who supervises can tell busy from dead.
"""

from __future__ import annotations

import contextlib
import csv
import gc
import importlib
import json
import logging
import mmap
import os
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, NoReturn

JSON, CSV, ANY = "application/json", "text/csv", "*/*"
TEXT_TYPES = (JSON, CSV)
"""Bodies of exactly these content types are handed over as str, all others as bytes."""
LARGEST_BODY = 100 * 1024 * 1024
LARGEST_HEAD = 64 * 1024
MOST_CONNECTIONS = 256
LAST_SEND_SECONDS = 5.0
_READ = 64 * 1024
_JOINED_BELOW = 256 * 1024
_MOST_HEADS = 64


# --- the framework's default functions ----------------------------------------------------------


def _toolkit(name: str) -> Any:
    """A module of the toolkit that the images carry; see the folder beside this file."""
    return importlib.import_module(f"sagemaker_containers._{name}")


def _decode_array(body: Any, content_type: str) -> Any:
    """The scikit-learn container's input_fn: a numpy array; of float32 if it came as text."""
    array = _toolkit("encoders").decode(body, content_type)
    return array.astype("float32") if content_type in TEXT_TYPES else array


def _decode_matrix(body: Any, content_type: str) -> Any:
    """The XGBoost container's input_fn: a DMatrix."""
    media_type = content_type.partition(";")[0].strip()
    if media_type not in (CSV, "text/libsvm", "text/x-libsvm"):
        raise _toolkit("errors").UnsupportedFormatError(media_type)
    np, xgboost = importlib.import_module("numpy"), importlib.import_module("xgboost")
    text = body if isinstance(body, str) else bytes(body).decode()
    rows = _csv_rows(text) if media_type == CSV else _libsvm_rows(text)
    return xgboost.DMatrix(np.array(rows, dtype=float) if rows else np.empty((0, 0)))


def _csv_rows(text: str) -> list[list[float]]:
    """Lines of numbers; an empty cell is a missing value, and so is an empty line's only one."""
    lines = text.split("\n")
    delimiter = csv.Sniffer().sniff(lines[0][:512]).delimiter
    if delimiter.isalnum():
        delimiter = ","
    return [[float(cell or "nan") for cell in line.split(delimiter)] for line in lines]


def _libsvm_rows(text: str) -> list[list[float]]:
    """Dense rows; what a line leaves out is 0. Indices count from 1 unless there is a 0."""
    sparse = [
        {int(index): float(value) for index, colon, value in pairs if colon}
        for pairs in (
            [word.partition(":") for word in line.split()] for line in text.strip().split("\n")
        )
    ]
    indices = {index for row in sparse for index in row}
    if not indices:
        return []
    columns = range(min(1, *indices, 1), max(indices) + 1)
    return [[row.get(column, 0.0) for column in columns] for row in sparse]


def _predict(data: Any, model: Any) -> Any:
    return model.predict(data)


def _predict_unvalidated(data: Any, model: Any) -> Any:
    return model.predict(data, validate_features=False)


def _encode(prediction: Any, accept: str) -> tuple[Any, str]:
    """Both containers' output_fn."""
    return _toolkit("encoders").encode(prediction, accept), accept


_DEFAULTS: Mapping[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "sklearn": (_decode_array, _predict),
    "xgboost": (_decode_matrix, _predict_unvalidated),
}
"""By framework: input_fn and predict_fn."""


# --- the user's functions -----------------------------------------------------------------------


class Handler:
    """The functions of a user's module, and the model that its model_fn has loaded."""

    def __init__(self, module: ModuleType, framework: str) -> None:
        own = {
            name: getattr(module, name, None)
            for name in ("model_fn", "input_fn", "predict_fn", "output_fn", "transform_fn")
        }
        if own["transform_fn"] and (own["input_fn"] or own["predict_fn"] or own["output_fn"]):
            raise ValueError(
                "Cannot use transform_fn implementation with input_fn, predict_fn, and/or output_fn"
            )
        if own["model_fn"] is None:
            raise NotImplementedError(
                f"Please provide a model_fn implementation in {module.__name__}"
            )
        decode, predict = _DEFAULTS[framework]
        self._input: Callable[..., Any] = own["input_fn"] or decode
        self._predict: Callable[..., Any] = own["predict_fn"] or predict
        self._output: Callable[..., Any] = own["output_fn"] or _encode
        self._transform: Callable[..., Any] = own["transform_fn"] or self._in_three_steps
        self.execution_parameters: Callable[[], Any] | None = None
        if framework == "sklearn":
            self.execution_parameters = getattr(module, "execution_parameters_fn", None)
        self._model = own["model_fn"](os.environ["SM_MODEL_DIR"])

    def answer(self, content: Any, content_type: str, accept: str) -> bytes | list[bytes]:
        """The whole HTTP response to an invocation; raises what the user's functions raise."""
        return render(self._transform(self._model, content, content_type, accept))

    def _in_three_steps(self, model: Any, content: Any, content_type: str, accept: str) -> Any:
        try:
            data = self._input(content, content_type)
        except Exception as exc:
            if _is_unsupported(exc):
                return _Refused(exc, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
            raise
        prediction = self._predict(data, model)
        try:
            return self._output(prediction, accept)
        except Exception as exc:
            if _is_unsupported(exc):
                return _Refused(exc, HTTPStatus.NOT_ACCEPTABLE)
            raise


class _Refused:
    """The toolkit's answer to a format that is not supported."""

    def __init__(self, error: Exception, status: HTTPStatus) -> None:
        self.status = status
        self.body = json.dumps({"error": type(error).__name__, "error-message": str(error)})


def _is_unsupported(error: Exception) -> bool:
    """Whether it is the toolkit's error, of whichever toolkit the user's code has imported."""
    return any(each.__name__ == "UnsupportedFormatError" for each in type(error).__mro__)


def load(framework: str) -> Handler:
    """Import the module that SAGEMAKER_PROGRAM names and load its model."""
    program = os.environ["SAGEMAKER_PROGRAM"]
    return Handler(importlib.import_module(program.removesuffix(".py")), framework)


# --- responses ----------------------------------------------------------------------------------

_heads: dict[Any, bytes] = {}


def render(result: Any) -> bytes | list[bytes]:
    """The response that the official server makes of what transform_fn or output_fn returns.

    (body, content type) with status 200; a response object of werkzeug or Flask with its own status
    and headers; else whatever Flask makes a response of.
    """
    if isinstance(result, tuple):
        body, mimetype = result[0], result[1]
        if isinstance(body, str):
            body = body.encode()
        if not isinstance(body, bytes | bytearray):
            response = importlib.import_module("flask").Response(body, mimetype=mimetype)
            return _of_object(response)
        head = _heads.get(mimetype)
        if head is None:
            if len(_heads) >= _MOST_HEADS:  # a handler may give back whatever a client names
                _heads.clear()
            head = _heads[mimetype] = _head(200, [("Content-Type", _full_type(mimetype))])
        return _joined(head, body)
    if isinstance(result, _Refused):
        return plain(result.status, result.body, JSON)
    if not (hasattr(result, "get_data") and hasattr(result, "status_code")):
        flask = importlib.import_module("flask")
        result = flask.Flask("localcloud").make_response(result)
    return _of_object(result)


def plain(
    status: int,
    text: str = "",
    content_type: str = "text/plain; charset=utf-8",
    *,
    close: bool = False,
) -> bytes:
    """A response of our own."""
    body = text.encode()
    headers = [("Content-Type", content_type), *([("Connection", "close")] if close else [])]
    return b"%sContent-Length: %d\r\n\r\n%s" % (_head(status, headers), len(body), body)


def page(status: int) -> bytes:
    """The page that Flask answers with this status."""
    exceptions = importlib.import_module("werkzeug.exceptions")
    answer = _of_object(exceptions.default_exceptions[status]().get_response())
    return answer if isinstance(answer, bytes) else b"".join(answer)


def _full_type(mimetype: str | None) -> str:
    if not mimetype:
        return JSON
    return str(importlib.import_module("werkzeug.utils").get_content_type(mimetype, "utf-8"))


def _of_object(response: Any) -> bytes | list[bytes]:
    response.direct_passthrough = False
    body, status = response.get_data(), response.status_code
    own = ("content-length", "connection", "transfer-encoding", "keep-alive")
    head = _head(status, [pair for pair in response.headers if pair[0].lower() not in own])
    if status < 200 or status in (204, 304):
        return head + b"\r\n"
    return _joined(head, body)


def _head(status: int, headers: list[tuple[str, str]]) -> bytes:
    """The first lines of a response, without the body's length and the empty line."""
    reason = HTTPStatus(status).phrase if status in _STATUSES else "Unknown"
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers)]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError(f"a response's headers must not contain a line's end: {headers}")
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1")


_STATUSES = {each.value for each in HTTPStatus}


def _joined(head: bytes, body: bytes | bytearray) -> bytes | list[bytes]:
    """One piece if it is small, so that it is sent at once; a big body is not copied."""
    head = b"%sContent-Length: %d\r\n\r\n" % (head, len(body))
    return head + body if len(body) < _JOINED_BELOW else [head, bytes(body)]


# --- requests -----------------------------------------------------------------------------------


class Refusal(Exception):  # noqa: N818 - reads as the sentence it makes
    """A request that this server does not read; the connection ends after the answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Request:
    """The head of a request: what of it is read here."""

    __slots__ = ("expects", "headers", "keep", "length", "method", "path")

    def __init__(self, head: bytes) -> None:
        first, *lines = head.split(b"\r\n")
        words = first.split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            raise Refusal(400, "the request line must be METHOD PATH HTTP/1.1")
        self.method, self.path = words[0], words[1].partition(b"?")[0]
        headers: dict[bytes, bytes] = {}
        for line in lines:
            name, colon, value = line.partition(b":")
            if not colon or not name or name[0] in b" \t":
                raise Refusal(400, "a header must be NAME: VALUE")
            name = name.lower()
            headers[name] = headers[name] + b"," + value if name in headers else value.strip()
        if b"transfer-encoding" in headers:
            raise Refusal(411, "a body must come with its Content-Length, not in chunks")
        length = headers.get(b"content-length", b"0")
        if not length.isdigit():
            raise Refusal(400, "Content-Length must be a number")
        self.length = int(length[:20])
        if self.length > LARGEST_BODY:
            raise Refusal(413, f"a body must be at most {LARGEST_BODY} bytes, not {self.length}")
        self.keep = words[2] != b"HTTP/1.0" and headers.get(b"connection", b"").lower() != b"close"
        self.expects = headers.get(b"expect", b"").lower() == b"100-continue"
        self.headers = headers

    def header(self, name: bytes) -> str:
        """A header's value; empty if it is not there."""
        return self.headers.get(name, b"").decode("latin-1")


class Connection:
    """A client's connection: what of its next request has come, what of its answer has not left."""

    __slots__ = (
        "_body",
        "_filled",
        "_pending",
        "_request",
        "_unsent",
        "closing",
        "events",
        "socket",
    )

    def __init__(self, client: socket.socket) -> None:
        client.setblocking(False)  # noqa: FBT003 - has no name
        self.socket = client
        self.events = selectors.EVENT_READ
        self.closing = False
        self._pending = b""
        self._request: Request | None = None
        self._body = bytearray()
        self._filled = 0
        self._unsent: list[memoryview] = []

    def receive(self) -> bool:
        """Take what has come; whether the client is still there."""
        if self.closing:  # the rest of what was refused: else it would not read the refusal
            return bool(self.socket.recv(_READ))
        if self._request is not None:
            count = self.socket.recv_into(memoryview(self._body)[self._filled :])
            self._filled += count
            return count > 0
        received = self.socket.recv(_READ)
        self._pending = self._pending + received if self._pending else received
        return bool(received)

    def next(self) -> tuple[Request, Any] | None:
        """The next request that has come whole, and its body; raises Refusal."""
        request = self._request
        if request is not None:
            if self._filled < request.length:
                return None
            whole, self._body, self._request = self._body, bytearray(), None
            return request, whole
        end = self._pending.find(b"\r\n\r\n", 0, LARGEST_HEAD)
        if end < 0:
            if len(self._pending) > LARGEST_HEAD:
                raise Refusal(431, f"a request's head must be at most {LARGEST_HEAD} bytes")
            return None
        request, end = Request(self._pending[:end]), end + 4
        here = len(self._pending) - end
        if here >= request.length:
            body = self._pending[end : end + request.length]
            self._pending = self._pending[end + request.length :]
            return request, body
        self._body = bytearray(request.length)
        self._body[:here] = self._pending[end:]
        self._request, self._filled, self._pending = request, here, b""
        if request.expects:
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        return None

    def send(self, *pieces: bytes) -> None:
        """Send what the client takes now; `flush` sends the rest. Raises OSError if it is gone."""
        for piece in pieces:
            sent = 0
            if not self._unsent:
                with contextlib.suppress(BlockingIOError):
                    sent = self.socket.send(piece)
            if sent < len(piece):
                self._unsent.append(memoryview(piece)[sent:])

    def flush(self) -> bool:
        """Send more of what has not left; whether all has."""
        if self._unsent:
            rest, self._unsent = self._unsent, []
            self.send(*rest)  # type: ignore[arg-type]
        return not self._unsent

    def finish(self) -> None:
        """Send all that has not left, this process's last answer, to a client that reads it."""
        self.socket.settimeout(LAST_SEND_SECONDS)
        for piece in self._unsent:
            self.socket.sendall(piece)


# --- the server ---------------------------------------------------------------------------------


class Server:
    """Answers requests, one at a time; SIGTERM lets it finish the one in hand."""

    def __init__(self, path: str, pulse: str, handler: Handler) -> None:
        self._handler = handler
        self._accept = os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT") or JSON
        with Path(pulse).open("r+b") as file:
            self._pulse = memoryview(mmap.mmap(file.fileno(), 8)).cast("Q")
        self._pulse[0] = 0
        self._ending = False
        self._selector = selectors.DefaultSelector()
        self._connections = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.setblocking(False)  # noqa: FBT003 - has no name
        # The name appears with a server behind it, and in place of the one of the process before.
        made = f"{path}~"
        Path(made).unlink(missing_ok=True)
        self._listener.bind(made)
        self._listener.listen(1024)
        Path(made).rename(path)
        self._selector.register(self._listener, selectors.EVENT_READ)

    def serve(self) -> NoReturn:
        """Answer until SIGTERM."""
        signal.signal(signal.SIGTERM, self._end)
        while True:
            for key, events in self._selector.select():
                if key.data is None:
                    self._take()
                else:
                    self._attend(key.data, events)
                if self._ending:
                    sys.exit(0)

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        if not self._pulse[0] % 2:
            sys.exit(0)
        self._ending = True

    def _take(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        if self._connections >= MOST_CONNECTIONS:
            client.close()
            return
        self._connections += 1
        self._selector.register(client, selectors.EVENT_READ, Connection(client))

    def _attend(self, connection: Connection, events: int) -> None:
        """Do what can be done for a client without waiting for it."""
        try:
            here = not events & selectors.EVENT_READ or connection.receive()
            wanted = self._go_on(connection) if here else 0
            if self._ending:
                connection.finish()
        except BlockingIOError:
            return
        except OSError:
            wanted = 0
        if not wanted:
            self._selector.unregister(connection.socket)
            connection.socket.close()
            self._connections -= 1
        elif wanted != connection.events:
            self._selector.modify(connection.socket, wanted, connection)
            connection.events = wanted

    def _go_on(self, connection: Connection) -> int:
        """Answer the requests that have come whole; the events to wait for, 0 to end it."""
        try:
            while connection.flush():
                if connection.closing or self._ending:
                    connection.socket.shutdown(socket.SHUT_WR)
                    return selectors.EVENT_READ
                found = connection.next()
                if found is None:
                    return selectors.EVENT_READ
                request, body = found
                answer = self._answer(request, body)
                connection.closing = not request.keep
                connection.send(*((answer,) if isinstance(answer, bytes) else answer))
        except Refusal as refusal:
            connection.closing = True
            connection.send(plain(refusal.status, f"{refusal}\n", close=True))
            return self._go_on(connection)
        return selectors.EVENT_WRITE

    def _answer(self, request: Request, body: Any) -> bytes | list[bytes]:
        method, path = request.method, request.path
        if path == b"/invocations":
            return self._invoke(request, body) if method == b"POST" else page(405)
        if path == b"/ping":
            return plain(200, "", JSON) if method in (b"GET", b"HEAD") else page(405)
        parameters = self._handler.execution_parameters
        if path == b"/execution-parameters" and parameters is not None:
            return (
                self._call(request, lambda: _of_flask(parameters()))
                if method == b"GET"
                else page(405)
            )
        return page(404)

    def _invoke(self, request: Request, body: Any) -> bytes | list[bytes]:
        content_type = request.header(b"contenttype") or request.header(b"content-type") or JSON
        accept = request.header(b"accept")
        if not accept or accept == ANY:
            accept = self._accept
        content: Any = body if isinstance(body, bytes) else None
        if content_type in TEXT_TYPES:
            content = str(body, "utf-8", "replace")
        elif content is None:
            content = bytes(body)
        return self._call(request, lambda: self._handler.answer(content, content_type, accept))

    def _call(
        self, request: Request, function: Callable[[], bytes | list[bytes]]
    ) -> bytes | list[bytes]:
        pulse = self._pulse
        pulse[0] += 1
        try:
            return function()
        except Exception as exc:  # noqa: BLE001 - it is the user's
            frames = exc.__traceback__
            while frames and frames.tb_frame.f_code.co_filename == __file__:
                frames = frames.tb_next
            frames = frames or exc.__traceback__
            where = f"{request.path.decode('latin-1')} [{request.method.decode('latin-1')}]"
            text = "".join(traceback.format_exception(exc.with_traceback(frames)))
            print(f"Exception on {where}\n{text}", end="", file=sys.stderr, flush=True)
            return page(500)
        finally:
            pulse[0] += 1


def _of_flask(result: Any) -> bytes | list[bytes]:
    return _of_object(importlib.import_module("flask").Flask("localcloud").make_response(result))


def main() -> NoReturn:
    """Load the model, then serve."""
    framework, path, pulse = sys.argv[1:]
    del sys.argv[1:]
    here = Path(__file__).parent
    sys.path[:] = [folder for folder in sys.path if Path(folder) != here]
    sys.path.append(str(here / "toolkit"))
    logging.basicConfig(
        format="%(asctime)s %(levelname)s - %(name)s - %(message)s",
        level=int(os.environ["SAGEMAKER_CONTAINER_LOG_LEVEL"]),
    )
    logging.getLogger("botocore").setLevel(logging.WARNING)
    handler = load(framework)
    gc.collect()
    gc.freeze()
    Server(path, pulse, handler).serve()


if __name__ == "__main__":
    main()
