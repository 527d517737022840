"""What moto does well, wrapped and never patched: STS, IAM, KMS, SSM, Secrets Manager, SNS, SQS.

moto keeps everything in memory. Before a call that changes something is answered, the backend that
it changed is written to disk, so that a killed process forgets nothing it has confirmed.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import threading
from collections import defaultdict
from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from localcloud.errors import NotEmulated, OtherMoto, ServiceError, Unreadable
from localcloud.wsgi import Application, Environ, StartResponse

# The signing name of a request, and moto's own name of the service.
SERVICES = {
    "sts": "sts",
    "iam": "iam",
    "kms": "kms",
    "ssm": "ssm",
    "secretsmanager": "secretsmanager",
    "sns": "sns",
    "sqs": "sqs",
    "servicequotas": "service-quotas",
}
_READS = ("Get", "List", "Describe", "Head", "Simulate", "BatchGet", "AssumeRole")


class AwsRecords:
    """moto's services, with a snapshot of each under `folder`. Loads moto at the first call."""

    def __init__(self, folder: Path, account: str) -> None:
        self._folder = folder
        self._account = account
        self._lock = threading.Lock()
        self._application: Application | None = None
        self._unreadable: dict[str, str] = {}
        self._refuse_other_version()

    def applications(self) -> dict[str, Application]:
        """One WSGI application per signing name."""
        return {name: self._bound(service) for name, service in SERVICES.items()}

    def publish(self, region: str, topic: str, subject: str, message: str) -> str:
        """Publish to a topic of SNS; gives why it failed, or nothing."""
        form = {"Action": "Publish", "Version": "2010-03-31", "TopicArn": topic,
                "Subject": subject, "Message": message}  # fmt: skip
        body = urlencode(form).encode()
        scope = f"localcloud/20260101/{region}/sns/aws4_request"
        environ: Environ = import_module("werkzeug.test").create_environ(
            method="POST",
            data=body,
            content_type="application/x-www-form-urlencoded",
            headers={"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}"},
        )
        told: list[str] = []
        try:
            answer = self._answer("sns", environ, lambda status, *_: told.append(status))
        except ServiceError as error:
            return error.message
        return "" if told[0].startswith("200") else b"".join(answer).decode("utf-8", "replace")

    def _bound(self, service: str) -> Application:
        def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            return self._answer(service, environ, start_response)

        return application

    def _answer(
        self, service: str, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        # moto's backends are no servers of their own: one call at a time keeps them whole.
        with self._lock:
            if self._application is None:
                self._application = self._load()
            if service in self._unreadable:
                raise ServiceError(self._unreadable[service])
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = io.BytesIO(body)
            started: list[Any] = []

            def keep(status: str, headers: Any, _exc_info: Any = None) -> None:
                started[:] = [status, headers]

            operation = _operation(environ, body)
            try:
                chunks = b"".join(self._application(environ, keep))
            except NotImplementedError as error:
                raise NotEmulated(f"localcloud does not emulate {service}:{operation}") from error
            if started[0].startswith("500"):
                raise NotEmulated(
                    f"localcloud does not emulate {service}:{operation} in this form "
                    f"({chunks[:200].decode('utf-8', 'replace')})"
                )
            if not operation.startswith(_READS):
                self._write(service)
        start_response(*started)
        return [chunks]

    def _load(self) -> Application:
        # Read by moto when it is imported.
        os.environ["MOTO_ACCOUNT_ID"] = self._account
        server = import_module("moto.server")
        application: Application = server.DomainDispatcherApplication(
            import_module("moto.moto_server.werkzeug_app").create_backend_app
        )
        for service in SERVICES.values():
            try:
                self._read(service)
            except Exception as error:  # noqa: BLE001 - a broken pickle may raise anything
                # Its calls are refused, so that nothing is written over what may still be mended.
                self._unreadable[service] = (
                    f"{self._snapshot(service)} cannot be read ({type(error).__name__}: {error}). "
                    "Nothing was deleted. Put a copy of it back, or move it away to start afresh, "
                    "and restart localcloud."
                )
        return application

    def _backends(self, service: str) -> Any:
        return import_module("moto.backends").get_backend(service)

    def _write(self, service: str) -> None:
        state = [
            (account, region, backend)
            for account, region, backend in self._backends(service).iter_backends()
        ]
        buffer = io.BytesIO()
        _pickler(buffer).dump(state)
        self._folder.mkdir(parents=True, exist_ok=True)
        _replace(self._version_file, json.dumps({"moto": version("moto")}).encode())
        _replace(self._snapshot(service), buffer.getvalue())

    def _read(self, service: str) -> None:
        path = self._snapshot(service)
        if not path.exists():
            return
        backends = self._backends(service)
        # The folder is the user's own, written by the process before this one.
        for account, region, backend in pickle.loads(path.read_bytes()):  # noqa: S301
            dict.__setitem__(backends[account], region, backend)

    def _snapshot(self, service: str) -> Path:
        return self._folder / f"{service}.pickle"

    @property
    def _version_file(self) -> Path:
        return self._folder / "version.json"

    def _refuse_other_version(self) -> None:
        if not self._version_file.exists():
            return
        try:
            found = json.loads(self._version_file.read_text())["moto"]
        except (ValueError, LookupError, TypeError) as error:
            raise Unreadable(
                f"{self._version_file} cannot be read ({error}). Nothing was deleted. If moto "
                f'{version("moto")} wrote the snapshots beside it, write {{"moto": '
                f'"{version("moto")}"}} into it; else start afresh with `localcloud reset`.'
            ) from error
        if found != version("moto"):
            raise OtherMoto(
                f"{self._folder} was written with moto {found}; this is moto {version('moto')}. "
                "Install that version, or start afresh with `localcloud reset`."
            )


def _replace(path: Path, content: bytes) -> None:
    """Write a file that is whole or the one before, whatever happens."""
    temporary = path.with_suffix(".new")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _pickler(buffer: io.BytesIO) -> Any:
    """A cloudpickle that also takes locks (new ones stand in), odd dictionaries and keys."""
    cloudpickle = import_module("cloudpickle")

    class Pickler(cloudpickle.CloudPickler):  # type: ignore[misc, name-defined]
        def reducer_override(self, value: Any) -> Any:
            if isinstance(value, _LOCK):
                return threading.Lock, ()
            if isinstance(value, _RLOCK):
                return threading.RLock, ()
            if isinstance(value, defaultdict) and type(value) is not defaultdict:
                items = iter(list(value.items()))
                return (
                    _new_dictionary,
                    (type(value), value.default_factory),
                    vars(value),
                    None,
                    items,
                )
            if hasattr(value, "private_bytes") and hasattr(value, "public_key"):
                return _load_key, (_key_bytes(value),)
            return super().reducer_override(value)

    return Pickler(buffer)


_LOCK, _RLOCK = type(threading.Lock()), type(threading.RLock())


def _new_dictionary(kind: type[defaultdict[Any, Any]], factory: Any) -> defaultdict[Any, Any]:
    """Moto's own kinds of defaultdict take other arguments than pickle gives them."""
    dictionary = kind.__new__(kind)
    defaultdict.__init__(dictionary, factory)
    return dictionary


def _key_bytes(key: Any) -> bytes:
    serialization = import_module("cryptography.hazmat.primitives.serialization")
    data: bytes = key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return data


def _load_key(data: bytes) -> Any:
    serialization = import_module("cryptography.hazmat.primitives.serialization")
    return serialization.load_der_private_key(data, password=None)


def _operation(environ: Environ, body: bytes) -> str:
    target: str = environ.get("HTTP_X_AMZ_TARGET", "")
    if target:
        return target.rpartition(".")[2]
    for part in body.split(b"&"):
        name, _, value = part.partition(b"=")
        if name == b"Action":
            return value.decode("ascii", "replace")
    return f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
