"""What a function is asked to be, held against Lambda's rules: runtime, sizes, environment.

Sources: the API reference of Lambda, and its page of quotas.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from localcloud.errors import NotEmulated, ValidationException
from localcloud.functions.errors import InvalidParameterValueException
from localcloud.protocol import Document

RUNTIMES = ("python3.12",)
_MOST = {"Timeout": 900, "MemorySize": 10_240}
_MOST_STORAGE = 10_240
_ENVIRONMENT_BYTES = 4096
RESERVED = frozenset(
    {
        "_HANDLER", "_X_AMZN_TRACE_ID", "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_LAMBDA_RUNTIME_API", "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT",
    }
)  # fmt: skip
"""Environment variables that a function cannot have set: Lambda sets them."""
_ONLY_HERE = {
    "Layers": "layers",
    "FileSystemConfigs": "file systems",
    "ImageConfig": "functions of container images",
    "CodeSigningConfigArn": "code signing",
    "KMSKeyArn": "keys for a function's environment",
    "TenancyConfig": "tenants",
    "CapacityProviderConfig": "capacity providers",
    "DurableConfig": "durable functions",
    "RuntimeConfig": "runtimes of one's own",
    "AcceleratorConfig": "accelerators",
    "Publish": "versions",
    "PublishTo": "versions",
}
"""Members that say nothing when they are empty, and what is refused otherwise."""


def new_settings(request: Document) -> Document:
    """A function's settings with AWS's defaults; raises what `checked` raises."""
    if request.get("PackageType", "Zip") != "Zip":
        raise NotEmulated("localcloud runs no functions of container images: PackageType Image")
    if not request.get("Runtime") or not request.get("Handler"):
        raise InvalidParameterValueException(
            "Runtime and Handler are mandatory parameters for functions created with deployment "
            "packages."
        )
    return {
        "Description": "",
        "Timeout": 3,
        "MemorySize": 128,
        "EphemeralStorage": {"Size": 512},
        "TracingConfig": {"Mode": "PassThrough"},
        "Architectures": ["x86_64"],
        "PackageType": "Zip",
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        **checked(request["FunctionName"], request),
        "LoggingConfig": logging_config(request["FunctionName"], request.get("LoggingConfig", {})),
    }


def checked(name: str, request: Document, before: Document | None = None) -> Document:
    """The settings that a request gives, those of them that a function has.

    `before` is what it has so far.

    Raises:
        NotEmulated: it asks for what localcloud does not have.
        InvalidParameterValueException, ValidationException: Lambda would refuse it.
    """
    _check_emulated(request)
    _check_runtime(request.get("Runtime"))
    for member, most in _MOST.items():
        _check_most(member, request.get(member), most)
    storage = request.get("EphemeralStorage", {}).get("Size")
    _check_most("EphemeralStorage.Size", storage, _MOST_STORAGE)
    found: Document = {
        member: request[member]
        for member in (
            "Runtime", "Role", "Handler", "Description", "Timeout", "MemorySize",
            "EphemeralStorage", "TracingConfig", "Architectures",
        )
        if member in request
    }  # fmt: skip
    if "Environment" in request:
        variables = request["Environment"].get("Variables", {})
        _check_variables(variables)
        found["Environment"] = {"Variables": variables} if variables else None
    if before is not None and "LoggingConfig" in request:
        given = {**before["LoggingConfig"], **request["LoggingConfig"]}
        if request["LoggingConfig"].get("LogFormat") == "Text":
            given = {k: v for k, v in given.items() if not k.endswith("LogLevel")}
            given |= request["LoggingConfig"]
        found["LoggingConfig"] = logging_config(name, given)
    return found


def logging_config(name: str, given: Mapping[str, Any]) -> Document:
    """A function's LoggingConfig, with what AWS adds."""
    found: Document = {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}", **given}
    levels = [member for member in ("ApplicationLogLevel", "SystemLogLevel") if member in given]
    if found["LogFormat"] == "JSON":
        return {"ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO", **found}
    if levels:
        raise InvalidParameterValueException(
            f"{' and '.join(levels)} cannot be set with the log format Text; set LogFormat to JSON."
        )
    return found


def _check_emulated(request: Document) -> None:
    for member, what in _ONLY_HERE.items():
        if request.get(member):
            raise NotEmulated(f"localcloud does not emulate {what} of Lambda: {member}")
    if any(request.get("VpcConfig", {}).get(part) for part in ("SubnetIds", "SecurityGroupIds")):
        raise NotEmulated("localcloud has no networks to put a function into: VpcConfig")
    if request.get("DeadLetterConfig", {}).get("TargetArn"):
        raise NotEmulated("localcloud delivers no event that failed: DeadLetterConfig")
    if request.get("SnapStart", {}).get("ApplyOn") == "PublishedVersions":
        raise NotEmulated("localcloud does not emulate versions of Lambda: SnapStart")


def _check_runtime(runtime: str | None) -> None:
    if runtime is None or runtime in RUNTIMES:
        return
    raise InvalidParameterValueException(
        f"localcloud runs functions of the runtime {', '.join(RUNTIMES)} only, not of {runtime}"
    )


def _check_most(member: str, value: int | None, most: int) -> None:
    if value is not None and value > most:
        path = ".".join(part[:1].lower() + part[1:] for part in member.split("."))
        raise ValidationException(
            f"1 validation error detected: Value '{value}' at '{path}' failed to satisfy "
            f"constraint: Member must have value less than or equal to {most}"
        )


def _check_variables(variables: Mapping[str, str]) -> None:
    reserved = sorted(RESERVED.intersection(variables))
    if reserved:
        raise InvalidParameterValueException(
            "Lambda was unable to configure your environment variables because the environment "
            "variables you have provided contains reserved keys that are currently not supported "
            f"for modification. Reserved keys used in this request: {', '.join(reserved)}"
        )
    measured = json.dumps(dict(variables), separators=(",", ":"), ensure_ascii=False)
    if len(measured.encode()) > _ENVIRONMENT_BYTES:
        raise InvalidParameterValueException(
            "Lambda was unable to configure your environment variables because the environment "
            "variables you have provided exceeded the 4KB limit. String measured: "
            f"{measured[:200]}..."
        )
