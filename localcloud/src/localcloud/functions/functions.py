"""Functions: made, changed, shown, listed, deleted."""

from __future__ import annotations

import base64
import binascii

from localcloud.functions.errors import (
    InvalidParameterValueException,
    ResourceConflictException,
)
from localcloud.functions.names import LATEST, function_arn, named, new_name
from localcloud.functions.packages import Package, Packages
from localcloud.functions.records import (
    KIND,
    Records,
    require_revision,
    require_settled,
    touch,
    without_states,
)
from localcloud.functions.servers import Servers
from localcloud.functions.settings import checked, new_settings
from localcloud.functions.tags import check_tags
from localcloud.protocol import Caller, Document, Operation

_A_PAGE = 50


class Functions:
    """The life of functions."""

    def __init__(self, records: Records, packages: Packages, servers: Servers) -> None:
        self._records = records
        self._packages = packages
        self._servers = servers

    def operations(self) -> dict[str, Operation]:
        """The calls by their AWS names."""
        return {
            "CreateFunction": self.create,
            "GetFunction": self.get,
            "GetFunctionConfiguration": self.get_configuration,
            "ListFunctions": self.list_functions,
            "UpdateFunctionCode": self.update_code,
            "UpdateFunctionConfiguration": self.update_configuration,
            "DeleteFunction": self.delete,
        }

    def create(self, caller: Caller, request: Document) -> Document:
        """CreateFunction: Pending until its server takes events."""
        name = new_name(caller, request["FunctionName"])
        tags = request.get("Tags", {})
        check_tags(tags)
        settings = new_settings(request | {"FunctionName": name})
        package = self._packages.fetch(request["Code"], "CreateFunction")
        configuration: Document = {
            "FunctionName": name,
            "FunctionArn": function_arn(caller, name),
            "Version": LATEST,
            **{member: value for member, value in settings.items() if value is not None},
            **_code_of(package),
            "RuntimeVersionConfig": {
                "RuntimeVersionArn": f"arn:aws:lambda:{caller.region}::runtime:{'0' * 64}"
            },
            "State": "Pending",
            "StateReason": "The function is being created.",
            "StateReasonCode": "Creating",
            "LastUpdateStatus": "Successful",
        }
        touch(configuration, self._records.store.clock.now())
        document = {
            "configuration": configuration,
            "package": package.name,
            "tags": tags,
            "policy": [],
            "reserved": None,
        }
        with self._records.store.transaction():
            if self._records.store.get(caller, KIND, name) is not None:
                raise ResourceConflictException(f"Function already exist: {name}")
            self._packages.keep(caller, name, package)
            self._records.put(caller, document)
        self._servers.deploy(caller, name)
        return configuration

    def get(self, caller: Caller, request: Document) -> Document:
        """GetFunction: with a link to its archive."""
        name = named(caller, request)
        document = self._records.find(caller, name)
        reserved = document.get("reserved")
        return {
            "Configuration": _shown(caller, request, document),
            "Code": {
                "RepositoryType": "S3",
                "Location": self._packages.link(caller, name, document["package"]),
            },
            "Tags": document["tags"] or None,
            "Concurrency": (
                None if reserved is None else {"ReservedConcurrentExecutions": reserved}
            ),
        }

    def get_configuration(self, caller: Caller, request: Document) -> Document:
        """GetFunctionConfiguration: the same without the link."""
        return _shown(caller, request, self._records.find(caller, named(caller, request)))

    def list_functions(self, caller: Caller, request: Document) -> Document:
        """ListFunctions: 50 a page at most."""
        found = self._records.store.documents(caller, KIND)
        shown = [without_states(each["configuration"]) for each in found]
        shown.sort(key=lambda each: str(each["FunctionName"]))
        start, size = _offset(request.get("Marker")), min(request.get("MaxItems", _A_PAGE), _A_PAGE)
        answer: Document = {"Functions": shown[start : start + size]}
        if start + size < len(shown):
            answer["NextMarker"] = base64.b64encode(str(start + size).encode()).decode()
        return answer

    def update_code(self, caller: Caller, request: Document) -> Document:
        """UpdateFunctionCode: events go to the new code when it is ready, none is lost."""
        name = named(caller, request)
        self._records.find(caller, name)
        checked(name, {key: request[key] for key in ("Publish", "PublishTo") if key in request})
        package = self._packages.fetch(request, "UpdateFunctionCode")
        with self._records.store.transaction():
            document = self._records.find(caller, name)
            configuration = document["configuration"]
            require_settled(configuration)
            require_revision(request, configuration["RevisionId"])
            configuration |= _code_of(package)
            if "Architectures" in request:
                configuration["Architectures"] = request["Architectures"]
            if request.get("DryRun"):
                return document["configuration"]  # type: ignore[no-any-return]
            self._packages.keep(caller, name, package)
            document["package"] = package.name
            return self._changed(caller, document)

    def update_configuration(self, caller: Caller, request: Document) -> Document:
        """UpdateFunctionConfiguration: what is not given stays."""
        name = named(caller, request)
        with self._records.store.transaction():
            document = self._records.find(caller, name)
            configuration = document["configuration"]
            require_settled(configuration)
            require_revision(request, configuration["RevisionId"])
            changed = configuration | checked(name, request, configuration)
            document["configuration"] = {k: v for k, v in changed.items() if v is not None}
            return self._changed(caller, document)

    def delete(self, caller: Caller, request: Document) -> Document:
        """DeleteFunction; its logs stay."""
        name = named(caller, request)
        if request.get("Qualifier"):
            raise InvalidParameterValueException(
                "$LATEST version cannot be deleted without deleting the function."
            )
        with self._records.store.transaction():
            self._records.find(caller, name)
            self._records.store.delete(caller, KIND, name)
        self._servers.remove(caller, name)
        self._packages.forget(caller, name)
        return {"StatusCode": 204}

    def _changed(self, caller: Caller, document: Document) -> Document:
        configuration: Document = document["configuration"]
        touch(configuration, self._records.store.clock.now())
        configuration |= {
            "LastUpdateStatus": "InProgress",
            "LastUpdateStatusReason": "The function is being updated.",
        }
        self._records.put(caller, document)
        self._servers.deploy(caller, configuration["FunctionName"])
        return configuration


def _code_of(package: Package) -> Document:
    return {"CodeSize": len(package.data), "CodeSha256": package.sha256}


def _shown(caller: Caller, request: Document, document: Document) -> Document:
    """A configuration; asked for by $LATEST its ARN says so."""
    configuration: Document = document["configuration"]
    if request.get("Qualifier") == LATEST:
        arn = f"{function_arn(caller, configuration['FunctionName'])}:{LATEST}"
        return configuration | {"FunctionArn": arn}
    return configuration


def _offset(marker: str | None) -> int:
    if marker is None:
        return 0
    try:
        return int(base64.b64decode(marker, validate=True).decode())
    except (binascii.Error, ValueError) as error:
        raise InvalidParameterValueException(f"Invalid Marker {marker[:40]!r}") from error
