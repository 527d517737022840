"""Several hosts train one model by XGBoost's own collective: each brings a share of the rows."""

import json
import socket
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from xgboost import collective
from xgboost.tracker import RabitTracker

from pipelines.predictive_maintenance.train.model import Rows, TrainingError

# SageMaker gives each job hosts of its own; where jobs share a machine, their names part the ports.
_FIRST_PORT = 20000
_PORTS = 10000


@dataclass(frozen=True, slots=True)
class Cluster:
    """The hosts of this job, in one order on all of them; the first tracks and saves."""

    hosts: tuple[str, ...]
    current: str
    job: str
    patience: float = 300.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Cluster":
        """Read SM_HOSTS (a JSON list), SM_CURRENT_HOST and TRAINING_JOB_NAME; alone without them.

        Raises TrainingError when the current host is not among the hosts.
        """
        hosts = tuple(sorted(json.loads(environment.get("SM_HOSTS", '["localhost"]'))))
        current = environment.get("SM_CURRENT_HOST", hosts[0])
        if current not in hosts:
            raise TrainingError(
                f"SM_CURRENT_HOST must be one of {', '.join(hosts)}, not {current}."
            )
        return cls(hosts, current, environment.get("TRAINING_JOB_NAME", ""))

    @property
    def is_first(self) -> bool:
        """Whether this host tracks the others and saves the model."""
        return self.current == self.hosts[0]

    def share(self, rows: Rows) -> Rows:
        """Return this host's rows i::n; alone, the very rows.

        Raises TrainingError when a host would have none.
        """
        if len(self.hosts) == 1:
            return rows
        features, label = rows
        if label.size < len(self.hosts):
            raise TrainingError(
                f"{label.size} training rows cannot be shared by {len(self.hosts)} hosts."
            )
        mine = slice(self.hosts.index(self.current), None, len(self.hosts))
        return np.ascontiguousarray(features[mine]), label[mine]

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Stay in the collective of all hosts; alone, do nothing.

        Raises TrainingError when the hosts do not find each other within ``patience`` seconds.
        """
        if len(self.hosts) == 1:
            yield
            return
        address = self._address_of_first()
        port = _FIRST_PORT + zlib.crc32(self.job.encode()) % _PORTS
        tracker = None
        if self.is_first:
            tracker = RabitTracker(
                n_workers=len(self.hosts),
                host_ip=address,
                port=port,
                sortby="task",
                timeout=int(self.patience),
            )
            tracker.start()
        else:
            self._await_tracker(address, port)
        with collective.CommunicatorContext(
            dmlc_communicator="rabit",
            dmlc_tracker_uri=address,
            dmlc_tracker_port=port,
            dmlc_task_id=f"{self.hosts.index(self.current):05d}",
            dmlc_timeout=int(self.patience),
        ):
            yield
        if tracker is not None:
            tracker.wait_for(int(self.patience))

    def _address_of_first(self) -> str:
        deadline = time.monotonic() + self.patience
        while True:
            try:
                return socket.gethostbyname(self.hosts[0])
            except OSError as error:
                # A cluster's names resolve only when its last host has come up.
                if time.monotonic() > deadline:
                    raise TrainingError(
                        f"Host {self.hosts[0]} was not found in {self.patience:g} s."
                    ) from error
                time.sleep(1.0)

    def _await_tracker(self, address: str, port: int) -> None:
        deadline = time.monotonic() + self.patience
        while True:
            try:
                socket.create_connection((address, port), timeout=5.0).close()
            except OSError as error:
                if time.monotonic() > deadline:
                    raise TrainingError(
                        f"Host {self.hosts[0]}:{port} did not answer in {self.patience:g} s."
                    ) from error
                time.sleep(0.2)
            else:
                return
