"""What is emulated, read from the very tables that answer the calls."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from botocore import xform_name

from localcloud.addresses import DEFAULT_PORT, Address
from localcloud.aws_records import SERVICES
from localcloud.cloud import Cloud
from localcloud.protocol import service_model
from localcloud.s3.app import operations as s3_operations

_BOTOCORE_NAMES = {"servicequotas": "service-quotas"}


def emulated() -> dict[str, list[str]]:
    """AWS's names of the operations that have an answer, by botocore's name of the service.

    Ours and S3's are those of the tables of a localcloud over an empty folder, moto's those that
    its own classes have a method for. Everything else answers 501.
    """
    with TemporaryDirectory() as folder:
        cloud = Cloud(Address(Path(folder) / "state", DEFAULT_PORT))
        try:
            ours = {
                name: sorted(service.operations)
                for name, service in cloud.gateway.json_services.items()
            }
        finally:
            cloud.close()
    moto = {_BOTOCORE_NAMES.get(name, name): _moto_operations(name) for name in SERVICES}
    return dict(sorted((ours | {"s3": s3_operations()} | moto).items()))


def _moto_operations(signing_name: str) -> list[str]:
    package = SERVICES[signing_name].replace("-", "")
    responses = import_module(f"moto.{package}.responses")
    methods = {
        name
        for response in vars(responses).values()
        if isinstance(response, type) and response.__module__ == responses.__name__
        for each in response.__mro__
        if each.__module__.startswith(f"moto.{package}.")
        for name in vars(each)
    }
    names = service_model(_BOTOCORE_NAMES.get(signing_name, signing_name)).operation_names
    return sorted(name for name in names if _method(name) in methods)


def _method(operation: str) -> str:
    """Moto's name of an operation's method: botocore's, but for words such as `OpenIDConnect`."""
    return re.sub("__+", "_", xform_name(operation))
