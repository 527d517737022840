"""Small models and their endpoints, made and watched as a user would do it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from clients import client_of
from definitions import IMAGE, ROLE
from serving_fixtures import archive

from localcloud.testing import TestCloud

BUCKET = "hosting"
VARIANT = "AllTraffic"
SETTLED = ("InService", "Failed", "OutOfService")


def says(text: str) -> str:
    """A handler that answers this text."""
    return f"""
def model_fn(model_dir):
    return None

def transform_fn(model, body, content_type, accept):
    return {text!r}, content_type
"""


SLOW = says("slow").replace("return 'slow'", "import time; time.sleep(0.1); return 'slow'")
CRASHES = 'raise ValueError("no such file: weights.bin")'
NOT_READY = "def model_fn(model_dir):\n    raise KeyError('a model that cannot be loaded')\n"
HANGS = "import time\ntime.sleep(3600)\n"
ERRORS = says("").replace("return ''", "raise RuntimeError('bad model'); return ''")
DIES = "import os, threading\nthreading.Timer(0.2, os._exit, [3]).start()\n" + says("for a moment")
LATE = "import time\ntime.sleep(1.5)\n" + says("late")


@dataclass
class House:
    """Makes models, configurations and endpoints on a localcloud."""

    cloud: TestCloud
    seen: list[dict[str, Any]] = field(default_factory=list)

    @cached_property
    def sagemaker(self) -> Any:
        return client_of(self.cloud, "sagemaker")

    @cached_property
    def runtime(self) -> Any:
        return self._runtime(self.cloud.address.data_url, max_pool_connections=20)

    @cached_property
    def patient(self) -> Any:
        """A client that waits longer than the platform does, at the gateway's address."""
        return self._runtime(self.cloud.address.url, max_pool_connections=40, read_timeout=80)

    def _runtime(self, url: str, **config: Any) -> Any:
        return boto3.client(
            "sagemaker-runtime",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="localcloud",
            aws_secret_access_key="localcloud",
            config=Config(retries={"max_attempts": 1, "mode": "standard"}, **config),
        )

    def model(self, name: str, *handlers: str, **environment: str) -> str:
        """A model with a container for each handler."""
        s3 = client_of(self.cloud, "s3")
        s3.create_bucket(Bucket=BUCKET)
        containers = []
        for number, handler in enumerate(handlers):
            key = f"{name}/{number}/model.tar.gz"
            s3.put_object(Bucket=BUCKET, Key=key, Body=archive({"code/inference.py": handler}))
            containers.append(
                {
                    "Image": IMAGE,
                    "ModelDataUrl": f"s3://{BUCKET}/{key}",
                    "Environment": {"SAGEMAKER_PROGRAM": "inference.py", **environment},
                }
            )
        kind = {"PrimaryContainer": containers[0]}
        if len(containers) > 1:
            kind = {"Containers": containers}
        self.sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, **kind)
        return name

    def config(self, name: str, handler: str | None = None, count: int = 1, **more: Any) -> str:
        """A configuration of one variant, with a model of the same name if there is a handler."""
        if handler is not None:
            self.model(name, handler)
        variant = {
            "VariantName": VARIANT,
            "ModelName": name,
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": count,
            **more.pop("variant", {}),
        }
        self.sagemaker.create_endpoint_config(
            EndpointConfigName=name, **{"ProductionVariants": [variant], **more}
        )
        return name

    def endpoint(self, name: str, config: str, **more: Any) -> dict[str, Any]:
        """An endpoint; returns its description when it is no more Creating."""
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config, **more)
        return self.settled(name)

    def update(self, name: str, config: str, **more: Any) -> dict[str, Any]:
        """UpdateEndpoint; returns the endpoint's description when it is through."""
        self.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config, **more)
        return self.settled(name)

    def settled(self, name: str, seconds: float = 60.0) -> dict[str, Any]:
        """Wait until an endpoint is not in progress; `seen` has all that it was meanwhile."""
        self.seen.clear()
        deadline = time.monotonic() + seconds
        while (now := self.describe(name))["EndpointStatus"] not in SETTLED:
            self.seen.append(now)
            assert time.monotonic() < deadline, now
            time.sleep(0.02)
        return now

    def describe(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.sagemaker.describe_endpoint(EndpointName=name)
        return found

    def stages(self) -> list[str]:
        """The statuses of the fleet to come that were seen, each once, in their order."""
        found = [
            variant["VariantStatus"][0]["Status"]
            for each in self.seen
            for variant in each.get("PendingDeploymentSummary", {}).get("ProductionVariants", [])
        ]
        return list(dict.fromkeys(found))

    def ask(self, name: str, **more: Any) -> str:
        """InvokeEndpoint; returns the answer's body."""
        answer = self.runtime.invoke_endpoint(
            EndpointName=name, ContentType="text/csv", Body=b"1", **more
        )
        return str(answer["Body"].read().decode())

    def wait(self, holds: Callable[[], Any], seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def drop(self, name: str) -> None:
        """Delete an endpoint and wait until it is gone."""
        self.sagemaker.delete_endpoint(EndpointName=name)
        self.wait(lambda: not self.exists(name))

    def exists(self, name: str) -> bool:
        listed = self.sagemaker.list_endpoints(NameContains=name)["Endpoints"]
        return name in [each["EndpointName"] for each in listed]

    @contextmanager
    def load(self, name: str, clients: int = 3) -> Iterator[list[str]]:
        """Requests without a pause inside the block; gives the answers and errors so far."""
        answers: list[str] = []
        ending = threading.Event()

        def go() -> None:
            while not ending.is_set():
                try:
                    answers.append(self.ask(name))
                except ClientError as error:
                    answers.append(str(error))

        threads = [threading.Thread(target=go) for _ in range(clients)]
        for thread in threads:
            thread.start()
        try:
            yield answers
        finally:
            ending.set()
            for thread in threads:
                thread.join()


def canary(
    size: Mapping[str, Any] | None = None, wait: int = 1, end: int = 0, **more: Any
) -> dict[str, Any]:
    """A DeploymentConfig that begins with a part of the traffic."""
    return shifting(
        "CANARY", wait, end, CanarySize=size or {"Type": "CAPACITY_PERCENT", "Value": 50}, **more
    )


def shifting(kind: str, wait: int, end: int, *, alarms: Any = (), **sizes: Any) -> dict[str, Any]:
    """A DeploymentConfig."""
    config: dict[str, Any] = {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {
                "Type": kind,
                "WaitIntervalInSeconds": wait,
                **sizes,
            },
            "TerminationWaitInSeconds": end,
        }
    }
    if alarms:
        config["AutoRollbackConfiguration"] = {"Alarms": [{"AlarmName": name} for name in alarms]}
    return config
