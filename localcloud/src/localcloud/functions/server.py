"""The server of one function as it is now: its code, its settings and the process behind a socket.

A changed function is another server with a socket of its own; the old one finishes what it has.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from localcloud.containers.errors import ContainerError
from localcloud.containers.images import LAMBDA
from localcloud.containers.model_layout import Place
from localcloud.containers.runtime import ContainerSpec, Runtime, stop_all
from localcloud.containers.served import Served
from localcloud.containers.sockets import make_sockets_folder, sockets_folder
from localcloud.functions.packages import Packages
from localcloud.functions.records import processes_of
from localcloud.protocol import Caller, Document
from localcloud.s3.errors import S3Error

PROGRAM = Path(__file__).parents[1] / "containers" / "guest" / "function.py"
IDLE_SECONDS = 300.0
"""A process without an event for so long is ended."""
_START_SECONDS = 120.0
_GRACE_SECONDS = 15.0


@dataclass(frozen=True)
class Ground:
    """What servers stand on. `folder` is theirs; `environment` leads to this cloud, by region."""

    runtime: Runtime
    packages: Packages
    folder: Path
    environment: Callable[[str], Mapping[str, str]]

    def place(self, caller: Caller, name: str) -> Path:
        """Where a function's files are."""
        return self.folder / "running" / caller.region / name

    def logs(self, caller: Caller, name: str) -> Path:
        """Where the logs of a function's processes are."""
        return self.folder / "logs" / caller.region / name


class FunctionServer:
    """Started once; what dies is started again behind the same socket."""

    def __init__(self, ground: Ground, caller: Caller, document: Document) -> None:
        self._ground = ground
        self._caller = caller
        self.document = document
        configuration = document["configuration"]
        self._name: str = configuration["FunctionName"]
        self.timeout = float(configuration["Timeout"])
        self.processes = processes_of(document)
        self._own = ground.place(caller, self._name) / secrets.token_hex(4)
        self._code = self._own / "code"
        self._place = Place(
            root=self._own / "opt",
            log=self._own / "server.log",
            socket=sockets_folder(self._own) / "f.sock",
            pulse=self._own / "pulse",
        )
        self._served: Served | None = None
        self._ending = threading.Event()

    @property
    def socket(self) -> Path:
        """Known before the start, the same after a restart."""
        return self._place.socket

    def start(self) -> None:
        """Unpack the code and start; returns when it takes events. Raises ContainerError."""
        configuration = self.document["configuration"]
        logs = self._ground.logs(self._caller, self._name)
        try:
            self._ground.packages.unpack(
                self._caller, self._name, self.document["package"], self._code
            )
            make_sockets_folder(self._own)
            self._place.root.mkdir(parents=True)
            logs.mkdir(parents=True, exist_ok=True)
            (self._own / "settings.json").write_text(json.dumps(self._settings(logs)))
        except (OSError, S3Error) as error:
            raise ContainerError(f"The function cannot be laid out: {error}") from error
        spec = ContainerSpec(
            name=f"function {self._name}",
            image=LAMBDA.uri,
            command=("python3", str(PROGRAM), str(self._own / "settings.json")),
            environment=self._environment(configuration),
            root=self._place.root,
            log=self._place.log,
            cpus=1,
            directory=str(self._code),
            read_only=(str(self._code),),
        )
        self._served = Served(self._ground.runtime, spec, self._place, f"function {self._name}")
        self._served.start(_START_SECONDS, self._ending)

    def stop(self, grace: float | None = None) -> None:
        """End it: what it has is finished, for the function's time-out at most. Its files go."""
        self._ending.set()
        if self._served is not None:
            process = self._served.end()
            if process is not None:
                stop_all([process], self.timeout + _GRACE_SECONDS if grace is None else grace)
            self._served.join()
        shutil.rmtree(self._own, ignore_errors=True)
        if self._place.socket.parent != self._own:
            shutil.rmtree(self._place.socket.parent, ignore_errors=True)
        with contextlib.suppress(OSError):
            self._own.parent.rmdir()

    def _settings(self, logs: Path) -> Document:
        configuration = self.document["configuration"]
        logging = configuration["LoggingConfig"]
        return {
            "name": self._name,
            "arn": configuration["FunctionArn"],
            "handler": configuration["Handler"],
            "timeout": configuration["Timeout"],
            "memory": configuration["MemorySize"],
            "processes": self.processes,
            "idle_seconds": IDLE_SECONDS,
            "root": str(self._code),
            "socket": str(self._place.socket),
            "logs": str(logs),
            "log_group": logging["LogGroup"],
            "log_format": logging["LogFormat"],
            "log_level": logging.get("ApplicationLogLevel", "INFO"),
            "system_log_level": logging.get("SystemLogLevel", "INFO"),
            "sampled": configuration["TracingConfig"]["Mode"] == "Active",
        }

    def _environment(self, configuration: Document) -> dict[str, str]:
        return {
            **self._ground.environment(self._caller.region),
            "AWS_SESSION_TOKEN": "localcloud",
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{configuration['Runtime']}",
            "AWS_LAMBDA_FUNCTION_NAME": self._name,
            "AWS_LAMBDA_FUNCTION_VERSION": configuration["Version"],
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(configuration["MemorySize"]),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": configuration["LoggingConfig"]["LogGroup"],
            "LAMBDA_TASK_ROOT": str(self._code),
            "_HANDLER": configuration["Handler"],
            "TZ": ":UTC",
            **configuration.get("Environment", {}).get("Variables", {}),
        }
