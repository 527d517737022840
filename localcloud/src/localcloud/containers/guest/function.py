"""The server of a Lambda function: events from a Unix socket to processes that run its handler.

`function.py SETTINGS`: one file of the standard library only, run by the runtime's own Python,
because what it imports of localcloud would stand in the way of the function's own modules. It never
imports the function's code itself. For an event that no idle process can take it forks a new one,
up to a number; that one imports the handler and then answers one event after the other, as an
execution environment of Lambda does. Events that find no process wait in their order.

`POST /invoke` has the event as its body and `x-request-id`; the answer is the result, or with
`x-function-error` the error document. `GET /ping` answers 200. SIGTERM lets it finish what it has.

Each process has a log file of its own: what the handler prints, between the lines of Lambda's own.
A file of marks beside it tells when what was written: lines of a time in milliseconds and a length.
The words of errors and log lines are those of AWS's runtime (PyPI `awslambdaric`) and platform.
"""

from __future__ import annotations

import base64
import contextlib
import decimal
import gc
import importlib
import json
import logging
import os
import platform
import resource
import selectors
import signal
import socket
import struct
import sys
import time
import traceback
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

MOST_BYTES = 6 * 1024 * 1024
"""Of an event, and of a result."""
INIT_SECONDS = 10.0
"""After so long an initialisation is given up, and tried once more in the event's own time."""
TAIL_BYTES = 4096
_LOOK_SECONDS = 0.05
_READ = 256 * 1024
_LARGEST_HEAD = 64 * 1024
_TO_WORKER, _TO_SERVER = struct.Struct("!II"), struct.Struct("!cII")
_READY, _INIT_FAILED, _RESULT, _FAILED = b"I", b"X", b"R", b"E"
_UNHANDLED = "Unhandled"

Settings = dict[str, Any]


# --- in a process of the function: its code -----------------------------------------------------


class Fault(Exception):  # noqa: N818 - reads as the sentence it makes
    """The function's code cannot be had, by the runtime's own name for the reason."""

    def __init__(self, kind: str, message: str, trace: list[str] | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.trace = trace or []


def load(handler: str) -> Callable[[Any, Any], Any]:
    """Import `module.function`; raises Fault, and what the module itself raises."""
    try:
        name, function = handler.rsplit(".", 1)
    except ValueError as exc:
        raise Fault("Runtime.MalformedHandlerName", f"Bad handler '{handler}': {exc}") from exc
    try:
        module = importlib.import_module(name.replace("/", "."))
    except ImportError as exc:
        raise Fault(
            "Runtime.ImportModuleError", f"Unable to import module '{name}': {exc}"
        ) from exc
    except SyntaxError as exc:
        trace = [f'  File "{exc.filename}" Line {exc.lineno}\n    {(exc.text or "").strip()}\n']
        raise Fault(
            "Runtime.UserCodeSyntaxError", f"Syntax error in module '{name}': {exc}", trace
        ) from exc
    try:
        found: Callable[[Any, Any], Any] = getattr(module, function)
    except AttributeError as exc:
        raise Fault(
            "Runtime.HandlerNotFound", f"Handler '{function}' missing on module '{name}'"
        ) from exc
    return found


class Identity:
    """Who calls through Cognito: nobody here."""

    cognito_identity_id = None
    cognito_identity_pool_id = None


class ClientContext:
    """What the caller says about itself."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.custom = given.get("custom")
        self.env = given.get("env")
        self.client = type("Client", (), given["client"])() if given.get("client") else None


class Context:
    """The handler's second argument."""

    function_version = "$LATEST"
    identity = Identity()
    tenant_id = None

    def __init__(self, settings: Settings, stream: str, meta: Mapping[str, Any]) -> None:
        self.function_name: str = settings["name"]
        self.invoked_function_arn: str = settings["arn"]
        self.memory_limit_in_mb = str(settings["memory"])
        self.log_group_name: str = settings["log_group"]
        self.log_stream_name = stream
        self.aws_request_id: str = meta["id"]
        given = meta.get("context")
        self.client_context = ClientContext(json.loads(given)) if given else None
        self._deadline: float = meta["deadline"]

    def get_remaining_time_in_millis(self) -> int:
        """Until the function's time-out."""
        return max(0, int((self._deadline - time.time()) * 1000))

    def log(self, message: object) -> None:
        """Write a line into the log, as it is."""
        sys.stdout.write(str(message))


class Worker:
    """The function in a process of its own: takes events from a channel, one after the other."""

    def __init__(self, channel: socket.socket, settings: Settings, stream: str) -> None:
        self._channel = channel
        self._settings = settings
        self._stream = stream
        self._log = _Logging(settings)

    def run(self) -> NoReturn:
        """Import the handler, then answer until the channel ends."""
        sys.path.insert(0, self._settings["root"])
        try:
            handler = load(self._settings["handler"])
        except Exception as exc:  # noqa: BLE001 - it is the function's
            self._send(_INIT_FAILED, self._fault(exc, ""))
            self._end(1)
        self._send(_READY, b"")
        while True:
            head = self._receive(_TO_WORKER.size)
            sizes = _TO_WORKER.unpack(head)
            meta = json.loads(self._receive(sizes[0]))
            self._send(*self._answer(handler, meta, self._receive(sizes[1])))

    def _answer(
        self, handler: Callable[[Any, Any], Any], meta: Mapping[str, Any], payload: bytes
    ) -> tuple[bytes, bytes]:
        self._log.request_id = meta["id"]
        os.environ["_X_AMZN_TRACE_ID"] = meta["trace"]
        try:
            try:
                event = json.loads(payload or b"{}")
            except ValueError as exc:
                raise Fault("Runtime.UnmarshalError", f"Unable to unmarshal input: {exc}") from exc
            result = handler(event, Context(self._settings, self._stream, meta))
            try:
                text = json.dumps(result, ensure_ascii=False, default=_plain)
            except Exception as exc:
                raise Fault("Runtime.MarshalError", f"Unable to marshal response: {exc}") from exc
            return _RESULT, text.encode("utf-8", "surrogatepass")
        except Exception as exc:  # noqa: BLE001 - it is the function's
            return _FAILED, self._fault(exc, meta["id"])

    def _fault(self, error: Exception, request_id: str) -> bytes:
        """The error document; the log gets it too."""
        kind, trace = type(error).__name__, []
        if isinstance(error, Fault):
            kind, trace = error.kind, error.trace
        else:
            frames = traceback.extract_tb(error.__traceback__)
            trace = traceback.format_list([f for f in frames if not _is_ours(f.filename)])
        document = {
            "errorMessage": str(error),
            "errorType": kind,
            "requestId": request_id,
            "stackTrace": trace,
        }
        self._log.error(document)
        return json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")

    def _receive(self, size: int) -> bytes:
        received = bytearray()
        while len(received) < size:
            part = self._channel.recv(min(_READ, size - len(received)))
            if not part:
                self._end(0)
            received += part
        return bytes(received)

    def _send(self, kind: bytes, body: bytes) -> None:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(ValueError, OSError):
                stream.flush()
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        kilobytes = used // 1024 if sys.platform == "darwin" else used
        try:
            self._channel.sendall(_TO_SERVER.pack(kind, kilobytes, len(body)) + body)
        except OSError:  # the server has given it up
            self._end(0)

    def _end(self, code: int) -> NoReturn:
        _leave(code)


def _is_ours(filename: str) -> bool:
    """Whether a frame is this file's, or one of the import that it began."""
    own = (__file__, importlib.__file__)
    return filename in own or filename.startswith("<frozen importlib")


def _leave(code: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(ValueError, OSError):
            stream.flush()
    os._exit(code)


def _plain(value: object) -> float:
    if isinstance(value, decimal.Decimal):
        return float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def prefer_own_modules(root: Path) -> None:
    """Let a function bring its own version of a library that is imported already.

    If there is one that differs, all libraries are imported anew: they hang together.
    """
    libraries = {
        name: Path(module.__file__ or "")
        for name, module in sys.modules.items()
        if "site-packages" in (getattr(module, "__file__", None) or "")
    }
    for entry in root.iterdir():
        known = libraries.get(entry.name.removesuffix(".py"))
        if known is not None and not _is_same(entry, known):
            for name in libraries:
                del sys.modules[name]
            return


def _is_same(own: Path, known: Path) -> bool:
    """Whether a package or a module is, in its source, the one that is imported from a file."""
    if own.is_file():
        return own.read_bytes() == known.read_bytes()
    sources = list(own.rglob("*.py"))
    there = known.parent
    return len(sources) == sum(1 for _ in there.rglob("*.py")) and all(
        (there / source.relative_to(own)).is_file()
        and (there / source.relative_to(own)).read_bytes() == source.read_bytes()
        for source in sources
    )


class _Logging:
    """The root logger as the runtime sets it up, and the runtime's own lines."""

    _LEVELS: Mapping[str, int] = {
        "TRACE": logging.DEBUG, "DEBUG": logging.DEBUG, "INFO": logging.INFO,
        "WARN": logging.WARNING, "ERROR": logging.ERROR, "FATAL": logging.CRITICAL,
    }  # fmt: skip

    def __init__(self, settings: Settings) -> None:
        self.request_id = ""
        self._json = settings["log_format"] == "JSON"
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(_JsonLines(self) if self._json else _TextLines(self))
        root = logging.getLogger()
        root.handlers[:] = [handler]
        if self._json:
            root.setLevel(self._LEVELS[settings["log_level"]])

    def error(self, document: Mapping[str, Any]) -> None:
        """What the function raised: one event, its lines parted as the runtime parts them."""
        if self._json:
            told = {"timestamp": iso(time.time()), "log_level": "ERROR", **document}
            print(json.dumps(told, ensure_ascii=False), flush=True)
            return
        lines = [f"[ERROR] {document['errorType']}: {document['errorMessage']}"]
        lines.append("Traceback (most recent call last):")
        for entry in document["stackTrace"]:
            for line in entry.rstrip("\n").split("\n"):
                indent = len(line) - len(line.lstrip(" "))
                lines.append("\u00a0" * indent + line.lstrip(" "))
        text = "\r".join(line.replace("\n", "\r") for line in lines)
        sys.stdout.write(text.encode("utf-8", "replace").decode() + "\n")


class _TextLines(logging.Formatter):
    def __init__(self, owner: _Logging) -> None:
        super().__init__()
        self._owner = owner

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        return f"[{record.levelname}]\t{iso(record.created)}\t{self._owner.request_id}\t{text}"


class _JsonLines(logging.Formatter):
    _KNOWN = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

    def __init__(self, owner: _Logging) -> None:
        super().__init__()
        self._owner = owner

    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, Any] = {
            "timestamp": iso(record.created),
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
            "requestId": self._owner.request_id,
        }
        if record.exc_info and record.exc_info[0] is not None:
            told["errorType"] = record.exc_info[0].__name__
            told["errorMessage"] = str(record.exc_info[1])
            told["stackTrace"] = traceback.format_tb(record.exc_info[2])
        extra = {k: v for k, v in vars(record).items() if k not in self._KNOWN}
        return json.dumps(extra | told, ensure_ascii=False, default=str)


def iso(moment: float) -> str:
    """A time as the platform writes it, to the millisecond."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
    return f"{whole}.{int(moment * 1000) % 1000:03d}Z"


# --- requests -----------------------------------------------------------------------------------


class Event:
    """One event; its client may be gone by the time that it is answered."""

    __slots__ = ("client", "context", "id", "payload", "tail", "trace")

    def __init__(self, client: Client, headers: Mapping[bytes, bytes], payload: bytes) -> None:
        self.client = client
        self.payload = payload
        self.id = headers.get(b"x-request-id", b"").decode("latin-1") or str(uuid.uuid4())
        self.tail = headers.get(b"x-log-tail") == b"true"
        given = headers.get(b"x-client-context")
        self.context = base64.b64decode(given).decode() if given else None
        trace = headers.get(b"x-trace-id", b"").decode("latin-1")
        self.trace = trace or f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]};Sampled=0"


class Client:
    """A connection that asks; one request at a time."""

    __slots__ = ("_head", "_pending", "_unsent", "events", "socket", "waits")

    def __init__(self, client: socket.socket) -> None:
        client.setblocking(False)  # noqa: FBT003 - has no name
        self.socket = client
        self.events = selectors.EVENT_READ
        self.waits = False
        self._pending = bytearray()
        self._head: tuple[bytes, dict[bytes, bytes], int, int] | None = None
        self._unsent = b""

    def receive(self) -> bool:
        """Take what has come; whether the client is still there."""
        part = self.socket.recv(_READ)
        self._pending += part
        return bool(part)

    def next(self) -> tuple[bytes, dict[bytes, bytes], bytes] | None:
        """The request that has come whole: its first line, headers and body; or ValueError."""
        if self._head is None:
            end = self._pending.find(b"\r\n\r\n", 0, _LARGEST_HEAD)
            if end < 0:
                if len(self._pending) > _LARGEST_HEAD:
                    raise ValueError("the head is too long")
                return None
            first, *lines = bytes(self._pending[:end]).split(b"\r\n")
            pairs = (line.partition(b":") for line in lines)
            headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
            self._head = first, headers, end + 4, int(headers.get(b"content-length", b"0"))
        first, headers, start, size = self._head
        if len(self._pending) < start + size:
            return None
        body = bytes(self._pending[start : start + size])
        del self._pending[: start + size]
        self._head = None
        return first, headers, body

    def send(self, data: bytes) -> None:
        """Send what the client takes now; `flush` sends the rest. Raises OSError if it is gone."""
        sent = 0
        if not self._unsent:
            with contextlib.suppress(BlockingIOError):
                sent = self.socket.send(data)
        self._unsent += data[sent:]

    def flush(self) -> bool:
        """Send more of what has not left; whether all has."""
        if self._unsent:
            rest, self._unsent = self._unsent, b""
            self.send(rest)
        return not self._unsent


def response(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
    """An answer to a client."""
    lines = [f"HTTP/1.1 {status} Told", "content-type: application/json"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    lines.append(f"content-length: {len(body)}\r\n\r\n")
    return "\r\n".join(lines).encode() + body


# --- a process of the function, as the server sees it -------------------------------------------


class Log:
    """The log file of one process and its marks; a full disk loses lines, and nothing else."""

    def __init__(self, folder: str) -> None:
        day, self._number = time.gmtime(), uuid.uuid4().hex
        self.stream = f"{time.strftime('%Y/%m/%d', day)}/[$LATEST]{self._number}"
        path = Path(folder) / f"{time.strftime('%Y-%m-%d', day)}-{self._number}.log"
        flags = os.O_CREAT | os.O_APPEND
        self.descriptor = os.open(path, os.O_RDWR | flags, 0o644)
        self._marks = os.open(path.with_suffix(".marks"), os.O_WRONLY | flags, 0o644)
        self._marked = 0
        self._told = 0

    def write(self, *lines: str) -> None:
        """Write lines of the platform's own, and say that all came by now."""
        data = "".join(f"{line}\n" for line in lines).encode()
        with contextlib.suppress(OSError):
            size = os.fstat(self.descriptor).st_size
            if size and os.pread(self.descriptor, 1, size - 1) != b"\n":
                data = b"\n" + data
            os.write(self.descriptor, data)
        self.mark()

    def mark(self) -> None:
        """Say that what the file holds by now came before now."""
        with contextlib.suppress(OSError):
            size = os.fstat(self.descriptor).st_size
            if size != self._marked:
                os.write(self._marks, f"{int(time.time() * 1000)} {size}\n".encode())
                self._marked = size

    def tail(self) -> bytes:
        """The last bytes of what was written since the last call of `told`."""
        size = os.fstat(self.descriptor).st_size
        start = max(self._told, size - TAIL_BYTES)
        return os.pread(self.descriptor, size - start, start)

    def told(self) -> None:
        """Begin what `tail` gives."""
        with contextlib.suppress(OSError):
            self._told = os.fstat(self.descriptor).st_size

    def close(self) -> None:
        """Let go of the files."""
        self.mark()
        os.close(self.descriptor)
        os.close(self._marks)


class Process:
    """A forked process: being started, idle, or at an event."""

    def __init__(self, pid: int, channel: socket.socket, log: Log) -> None:
        self.pid = pid
        self.channel = channel
        self.log = log
        self.ready = False
        self.event: Event | None = None
        self.began = time.monotonic()
        self.deadline = self.began + INIT_SECONDS
        self.most = 0
        """Kilobytes of memory that it is known to have had."""
        self.init: float | None = None
        """Seconds of its initialisation, until they were told."""
        self._received = bytearray()
        self._code: int | None = None

    def receive(self) -> tuple[bytes, bytes] | None:
        """A whole message, if it is there; raises EOFError when the process is gone."""
        try:
            part = self.channel.recv(_READ)
        except BlockingIOError:
            return None
        except OSError as exc:
            raise EOFError from exc
        if not part:
            raise EOFError
        self._received += part
        if len(self._received) < _TO_SERVER.size:
            return None
        kind, used, size = _TO_SERVER.unpack_from(self._received)
        if len(self._received) < _TO_SERVER.size + size:
            return None
        self.most = max(self.most, used)
        body = bytes(self._received[_TO_SERVER.size :])
        self._received.clear()
        return kind, body

    def take(self, event: Event, seconds: float) -> None:
        """Have it answer an event within so many seconds; raises OSError if it is gone."""
        self.event, self.began = event, time.monotonic()
        self.deadline = self.began + seconds
        meta = json.dumps(
            {
                "id": event.id,
                "deadline": time.time() + seconds,
                "context": event.context,
                "trace": event.trace,
            }
        ).encode()
        self.channel.setblocking(True)  # noqa: FBT003 - has no name
        self.channel.sendall(_TO_WORKER.pack(len(meta), len(event.payload)) + meta + event.payload)
        self.channel.setblocking(False)  # noqa: FBT003 - has no name

    def used(self) -> int:
        """Kilobytes of memory that it has now; 0 where the system does not tell."""
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_bytes().split()[1])
        except (OSError, IndexError):
            return 0
        self.most = max(self.most, pages * _PAGE_KILOBYTES)
        return pages * _PAGE_KILOBYTES

    def end(self) -> int:
        """Kill it and what it has started; returns its exit code, negative for a signal."""
        if self._code is None:
            for kill in (os.killpg, os.kill):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    kill(self.pid, signal.SIGKILL)
            self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            self.channel.close()
        return self._code

    def has_ended(self) -> bool:
        """Whether it is gone; a process that it has started may hold its channel open."""
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.pid, flags) is not None


_PAGE_KILOBYTES = os.sysconf("SC_PAGE_SIZE") // 1024


# --- the server ---------------------------------------------------------------------------------


class Server:
    """Gives events to processes; never waits for one of them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._timeout = float(settings["timeout"])
        self._json = settings["log_format"] == "JSON"
        self._queue: deque[Event] = deque()
        self._processes: list[Process] = []
        self._idle: list[Process] = []
        self._ending = False
        self._selector = selectors.DefaultSelector()
        self._woken, self._wake = socket.socketpair()
        for each in (self._woken, self._wake):
            each.setblocking(False)  # noqa: FBT003 - has no name
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._end)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.setblocking(False)  # noqa: FBT003 - has no name
        # The name appears with a server behind it, and in place of the one of the process before.
        path, made = settings["socket"], f"{settings['socket']}~"
        Path(made).unlink(missing_ok=True)
        self._listener.bind(made)
        self._listener.listen(1024)
        Path(made).rename(path)
        for each in (self._listener, self._woken):
            self._selector.register(each, selectors.EVENT_READ)

    def serve(self) -> NoReturn:
        """Answer until SIGTERM, and then what has come by then."""
        while True:
            ready = self._selector.select(self._pause())
            for key, events in ready:
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj is self._woken:
                    with contextlib.suppress(BlockingIOError):
                        self._woken.recv(64)
                elif isinstance(key.data, Client):
                    self._attend(key.data, events)
                else:
                    self._hear(key.data)
            self._look()
            self._give()
            if self._ending and not ready and self._rests():
                self._finish()

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self._ending = True

    def _rests(self) -> bool:
        return not self._queue and len(self._idle) == len(self._processes)

    def _finish(self) -> NoReturn:
        for process in list(self._processes):
            self._dismiss(process)
        deadline = time.monotonic() + 1.0
        for client in self._clients():
            with contextlib.suppress(OSError):
                client.socket.settimeout(max(0.01, deadline - time.monotonic()))
                while not client.flush():
                    pass
        sys.exit(0)

    def _clients(self) -> Iterator[Client]:
        keys = list(self._selector.get_map().values())
        return (key.data for key in keys if isinstance(key.data, Client))

    # --- clients --------------------------------------------------------------------------------

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        self._selector.register(client, selectors.EVENT_READ, Client(client))

    def _attend(self, client: Client, events: int) -> None:
        """Do what can be done for a client without waiting for it."""
        try:
            here = not events & selectors.EVENT_READ or client.receive()
            while here and client.flush() and not client.waits and (request := client.next()):
                self._request(client, *request)
            wanted = selectors.EVENT_READ | (0 if client.flush() else selectors.EVENT_WRITE)
        except BlockingIOError:
            return
        except (OSError, ValueError):
            here = False
        if not here:
            self._drop(client)
        elif wanted != client.events:
            self._selector.modify(client.socket, wanted, client)
            client.events = wanted

    def _drop(self, client: Client) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(client.socket)
        client.socket.close()

    def _request(
        self, client: Client, first: bytes, headers: Mapping[bytes, bytes], body: bytes
    ) -> None:
        if first.startswith(b"POST /invoke "):
            client.waits = True
            self._queue.append(Event(client, headers, body))
        elif first.startswith(b"GET /ping "):
            client.send(response(200, b"{}"))
        else:
            client.send(response(404, b'{"message": "POST /invoke, GET /ping"}'))

    def _answer(self, event: Event, log: Log | None, body: bytes, error: str | None = None) -> None:
        headers = {"x-function-error": error} if error else {}
        if event.tail and log is not None:
            with contextlib.suppress(OSError):
                headers["x-log-result"] = base64.b64encode(log.tail()).decode()
        client = event.client
        client.waits = False
        if client.socket.fileno() < 0:
            return
        try:
            client.send(response(200, body, headers))
        except OSError:
            self._drop(client)
            return
        self._attend(client, selectors.EVENT_WRITE)

    # --- processes ------------------------------------------------------------------------------

    def _give(self) -> None:
        """Give waiting events to idle processes, and start processes for the others."""
        while self._queue and self._idle:
            process = self._idle.pop()
            event = self._queue.popleft()
            try:
                self._begin(process, event)
            except OSError:  # it ended while it was idle: its event is for the next one
                self._queue.appendleft(event)
                process.event = None
                self._dismiss(process)
        starting = sum(not process.ready for process in self._processes)
        room = self._settings["processes"] - len(self._processes)
        for _ in range(min(room, len(self._queue) - starting)):
            try:
                self._start()
            except OSError as exc:  # no room on the disk, or for a process
                sys.stderr.write(f"a process cannot be started: {exc}\n")
                if not self._processes:
                    document = {"errorType": "Sandbox.Failure", "errorMessage": str(exc)}
                    event = self._queue.popleft()
                    self._answer(event, None, json.dumps(document).encode(), _UNHANDLED)
                return

    def _start(self) -> None:
        log = Log(self._settings["logs"])
        line = f"INIT_START Runtime Version: python:{platform.python_version()}.localcloud"
        self._tell(log, "platform.initStart", {"phase": "init"}, [line])
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            ours.close()
            self._become(theirs, log)
        theirs.close()
        ours.setblocking(False)  # noqa: FBT003 - has no name
        process = Process(pid, ours, log)
        self._processes.append(process)
        self._selector.register(ours, selectors.EVENT_READ, process)

    def _become(self, channel: socket.socket, log: Log) -> NoReturn:
        """In the child: nothing of the server stays open, and nothing of it runs on."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.setpgid(0, 0)
            for key in list(self._selector.get_map().values()):
                os.close(key.fd)
            self._selector.close()
            for each in (1, 2):
                os.dup2(log.descriptor, each)
            os.environ["AWS_LAMBDA_LOG_STREAM_NAME"] = log.stream
            Worker(channel, self._settings, log.stream).run()
        except SystemExit as exc:
            if isinstance(exc.code, int | None):
                code = exc.code or 0
            else:
                print(exc.code, file=sys.stderr)
        except BaseException:  # noqa: BLE001 - as Python does at its outermost level
            traceback.print_exc()
        finally:
            _leave(code & 0xFF)

    def _begin(self, process: Process, event: Event) -> None:
        record = {"requestId": event.id, "version": "$LATEST"}
        self._tell(
            process.log, "platform.start", record,
            [f"START RequestId: {event.id} Version: $LATEST"],
        )  # fmt: skip
        process.take(event, self._timeout)

    def _hear(self, process: Process) -> None:
        try:
            message = process.receive()
        except EOFError:
            self._lost(process)
            return
        if message is None:
            return
        kind, body = message
        if kind == _READY:
            process.ready, process.init = True, time.monotonic() - process.began
            self._rest(process)
        elif kind == _INIT_FAILED:
            document = json.loads(body)
            self._init_failed(process, document)
        else:
            self._done(process, kind, body)

    def _rest(self, process: Process) -> None:
        process.event = None
        process.deadline = time.monotonic() + self._settings["idle_seconds"]
        self._idle.append(process)

    def _done(self, process: Process, kind: bytes, body: bytes) -> None:
        event, error = process.event, None
        if event is None:
            return
        if kind == _FAILED:
            error = _UNHANDLED
        elif len(body) > MOST_BYTES:
            error = _UNHANDLED
            body = _error(
                "Function.ResponseSizeTooLarge",
                "Response payload size exceeded maximum allowed payload size "
                f"({MOST_BYTES} bytes).",
            )
        self._report(process, event)
        self._answer(event, process.log, body, error)
        process.log.told()
        self._rest(process)

    def _init_failed(self, process: Process, document: Mapping[str, Any]) -> None:
        seconds = time.monotonic() - process.began
        why = f"Status: error\tError Type: {document['errorType']}"
        self._tell(process.log, "platform.initReport", {
            "status": "error", "errorType": document["errorType"], "phase": "init",
            "metrics": {"durationMs": round(seconds * 1000, 2)},
        }, [
            f"INIT_REPORT Init Duration: {seconds * 1000:.2f} ms\tPhase: init\t{why}"
        ])  # fmt: skip
        self._fail_next(process, json.dumps(document).encode(), document["errorType"])

    def _fail_next(self, process: Process, body: bytes, kind: str) -> None:
        """Answer the event for which a process was started that cannot answer any."""
        if self._queue:
            event = self._queue.popleft()
            record = {"requestId": event.id, "version": "$LATEST"}
            start = f"START RequestId: {event.id} Version: $LATEST"
            self._tell(process.log, "platform.start", record, [start])
            self._report(process, event, kind)
            self._answer(event, process.log, body, _UNHANDLED)
        self._dismiss(process)

    def _lost(self, process: Process, why: str | None = None) -> None:
        """A process has ended by itself, or by the limit of memory."""
        event = process.event
        if process in self._idle:
            self._dismiss(process)
            return
        code = self._kill(process)
        reason = why or _exit_reason(code)
        if event is None:
            event = self._queue[0] if self._queue else None
        request_id = event.id if event else ""
        body = _error("Runtime.ExitError", f"RequestId: {request_id} Error: {reason}")
        if not self._json:
            process.log.write(f"RequestId: {request_id} Error: {reason}\rRuntime.ExitError")
        if process.event is None:
            self._fail_next(process, body, "Runtime.ExitError")
            return
        assert event is not None  # noqa: S101 - the process had it
        self._report(process, event, "Runtime.ExitError")
        self._answer(event, process.log, body, _UNHANDLED)
        self._dismiss(process)

    def _expire(self, process: Process) -> None:
        """An event, or an initialisation, has taken too long."""
        event = process.event
        if event is None:
            if process.deadline - process.began < INIT_SECONDS + self._timeout - _LOOK_SECONDS:
                # As on AWS it gets the event's own time after that of the initialisation.
                process.deadline = process.began + INIT_SECONDS + self._timeout
                return
            event = self._queue.popleft() if self._queue else None
        if event is not None:
            text = f"Task timed out after {self._timeout:.2f} seconds"
            self._kill(process)
            if not self._json:
                process.log.write(f"{iso(time.time())} {event.id} {text}")
            self._report(process, event, "timeout")
            body = _error("Sandbox.Timedout", f"RequestId: {event.id} Error: {text}")
            self._answer(event, process.log, body, _UNHANDLED)
        self._dismiss(process)

    def _dismiss(self, process: Process) -> None:
        """End a process and forget it."""
        if process not in self._processes:
            return
        self._processes.remove(process)
        if process in self._idle:
            self._idle.remove(process)
        self._kill(process)
        process.log.close()

    def _kill(self, process: Process) -> int:
        with contextlib.suppress(KeyError, ValueError):  # it was killed before
            self._selector.unregister(process.channel)
        return process.end()

    def _pause(self) -> float | None:
        """Seconds until something has to be looked at."""
        if len(self._idle) < len(self._processes):
            return _LOOK_SECONDS
        if self._ending:
            return 0.0
        if not self._processes:
            return None
        return max(0.0, min(each.deadline for each in self._processes) - time.monotonic())

    def _look(self) -> None:
        """See to times and memory, of those that are at work."""
        now = time.monotonic()
        for process in list(self._processes):
            if process in self._idle:
                if now >= process.deadline:
                    self._dismiss(process)
                continue
            if now - process.began < _LOOK_SECONDS / 2:
                continue
            process.log.mark()
            if process.has_ended():
                self._lost(process)
            elif now >= process.deadline:
                self._expire(process)
            elif process.used() > self._settings["memory"] * 1024:
                self._lost(process, "Runtime exited with error: signal: killed")

    # --- the platform's lines ---------------------------------------------------------------------

    def _tell(self, log: Log, kind: str, record: Mapping[str, Any], lines: list[str]) -> None:
        if not self._json:
            log.write(*lines)
        elif self._settings["system_log_level"] != "WARN":
            told = {"time": iso(time.time()), "type": kind, "record": record}
            log.write(json.dumps(told, separators=(",", ":")))

    def _report(self, process: Process, event: Event, trouble: str | None = None) -> None:
        milliseconds = (time.monotonic() - process.began) * 1000
        if trouble == "timeout":
            milliseconds = self._timeout * 1000
        init, process.init = process.init, None
        billed = int(milliseconds + (init or 0.0) * 1000) + 1
        memory, most = self._settings["memory"], min(process.most // 1024, self._settings["memory"])
        metrics = {
            "durationMs": round(milliseconds, 3), "billedDurationMs": billed,
            "memorySizeMB": memory, "maxMemoryUsedMB": most,
        }  # fmt: skip
        line = (
            f"REPORT RequestId: {event.id}\tDuration: {milliseconds:.2f} ms\t"
            f"Billed Duration: {billed} ms\tMemory Size: {memory} MB\tMax Memory Used: {most} MB\t"
        )
        if init is not None:
            line += f"Init Duration: {init * 1000:.2f} ms\t"
            metrics["initDurationMs"] = round(init * 1000, 3)
        record: dict[str, Any] = {
            "requestId": event.id, "metrics": metrics, "status": "success",
        }  # fmt: skip
        if trouble is not None:
            timed_out = trouble == "timeout"
            line += "Status: timeout" if timed_out else f"Status: error\tError Type: {trouble}"
            record["status"] = "timeout" if timed_out else "error"
            if not timed_out:
                record["errorType"] = trouble
        self._tell(process.log, "platform.report", record, [f"END RequestId: {event.id}", line])


def _exit_reason(code: int) -> str:
    if code == 0:
        return "Runtime exited without providing a reason"
    if code > 0:
        return f"Runtime exited with error: exit status {code}"
    name = "killed" if code == -signal.SIGKILL else signal.strsignal(-code) or f"{-code}"
    return f"Runtime exited with error: signal: {name.lower()}"


def _error(kind: str, message: str) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()


def main() -> NoReturn:
    """Serve by the settings of a file."""
    here = Path(__file__).parent
    settings = json.loads(Path(sys.argv[1]).read_text())
    del sys.argv[1:]
    sys.path[:] = [folder for folder in sys.path if Path(folder) != here]
    prefer_own_modules(Path(settings["root"]))
    gc.collect()
    gc.freeze()
    Server(settings).serve()


if __name__ == "__main__":
    main()
