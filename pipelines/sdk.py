"""The SageMaker SDK, tamed: compiled with nothing of the user's and nothing of the network."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3

from pipelines.settings import Settings


@contextmanager
def sdk_environment(region: str) -> Iterator[None]:
    """Let the SDK be imported and compile with nothing of the user's and nothing of the network.

    The SDK makes AWS clients while it is imported, and those look for a region, a profile and
    credentials, on an instance even over the network; configuration files would add their values to
    the definition. So for the time being the process has the given region, credentials that open
    nothing and no configuration files. The SDK's logging set-up and its warnings about jobs that
    are not started end here too. Not for several threads: all of this is the process's.
    """
    variables = {
        "AWS_ACCESS_KEY_ID": "compiling",
        "AWS_SECRET_ACCESS_KEY": "compiling",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "SAGEMAKER_ADMIN_CONFIG_OVERRIDE": os.devnull,
        "SAGEMAKER_USER_CONFIG_OVERRIDE": os.devnull,
        "SAGEMAKER_VALIDATE_ROLE": "false",
    }
    before = dict(os.environ)
    root = logging.getLogger()
    handlers, level, disabled = root.handlers[:], root.level, root.manager.disable
    try:
        for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN"):
            os.environ.pop(name, None)
        os.environ.update(variables)
        logging.disable(logging.WARNING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.disable(disabled)


def compiling_session(settings: Settings) -> Any:
    """A PipelineSession of the SDK that calls nobody; to be used inside `sdk_environment`."""
    from sagemaker.core.workflow.pipeline_context import PipelineSession  # noqa: PLC0415

    class CompilingSession(PipelineSession):  # type: ignore[misc]  # the SDK is not typed
        """A session that completes the requests which the SDK's classes make."""

        def _intercept_create_request(
            self, request: Any, create: Any, func_name: Any = None
        ) -> Any:
            if func_name == "train":
                # Debugger is closed to new customers, and ModelTrainer cannot switch it off.
                request["ProfilerConfig"] = {"DisableProfiler": True}
            return super()._intercept_create_request(request, create, func_name)

    boto_session = boto3.Session(region_name=settings.region)
    return CompilingSession(boto_session=boto_session, default_bucket=settings.bucket)


@contextmanager
def no_telemetry(session: Any) -> Iterator[None]:
    """Opt out for the two calls that report themselves.

    Not for the whole build: the SDK checks a configuration against its schema at every look-up, and
    that would be most of the time it takes to compile.
    """
    session.sagemaker_config = {
        "SchemaVersion": "1.0",
        "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}},
    }
    yield
    session.sagemaker_config = {}
