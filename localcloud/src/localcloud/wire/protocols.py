"""The protocols by the names that botocore's models give them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from botocore.model import OperationModel, ServiceModel

from localcloud.errors import ServiceError
from localcloud.protocol import Document
from localcloud.wire import cbor, json_rpc, query, rest_json
from localcloud.wire.message import Reply, Request


@dataclass(frozen=True)
class Protocol:
    """How one protocol is spoken; one whose requests nobody here takes can only refuse."""

    refuse: Callable[[ServiceError, str, Request, str], Reply]
    read: Callable[[OperationModel, Request], Document] | None = None
    write: Callable[[OperationModel, Document, Request, str], Reply] | None = None


PROTOCOLS = {
    "json": Protocol(json_rpc.refuse, json_rpc.read, json_rpc.write),
    "smithy-rpc-v2-cbor": Protocol(cbor.refuse, cbor.read, cbor.write),
    "query": Protocol(query.refuse, query.read, query.write),
    "rest-json": Protocol(rest_json.refuse, rest_json.read, rest_json.write),
    "rest-xml": Protocol(query.refuse),
    "ec2": Protocol(query.refuse_ec2),
}


def refusal(
    error: ServiceError,
    protocol: str,
    request: Request,
    request_id: str,
    model: ServiceModel | None = None,
) -> Reply:
    """An error as a client of `protocol` can read it; `model` is the service's, where it is known.

    Services that once spoke the query protocol only have an error's old code beside the name of
    its shape; a client that knows the old codes asks for them by a header.
    """
    type_name = error.code if model is None else _shape_name(error, model)
    reply = PROTOCOLS[protocol].refuse(error, type_name, request, request_id)
    headers = dict(reply.headers) | {"x-amzn-ErrorType": type_name}
    if request.headers.get("x-amzn-query-mode") == "true":
        fault = "Sender" if error.status < 500 else "Receiver"
        headers["x-amzn-query-error"] = f"{error.code};{fault}"
    return Reply(reply.status, reply.content_type, reply.body, headers)


def _shape_name(error: ServiceError, model: ServiceModel) -> str:
    """The name of an error's shape, which has its code in its traits or is called like it."""
    names = [shape.name for shape in model.error_shapes]
    if error.code in names:
        return error.code
    coded = [
        s.name for s in model.error_shapes if s.metadata.get("error", {}).get("code") == error.code
    ]
    return str(coded[0]) if coded else error.code
