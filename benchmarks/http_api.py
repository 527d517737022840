"""Measure what a request to an HTTP API costs, and what Lambda itself takes.

One localcloud of its own, one function that gives the same back always. One process asks
(`support/load.py`), with every answer compared, by 1 and 4 clients:

- refused: a path without a route, so that only the data plane counts;
- function: the route of the function;
- guarded: the same behind an authorizer whose answer is kept.

Besides: a cold start, from a request to its answer when the function has no process; and Invoke
through the gateway, by boto3.
"""

import argparse
import base64
import io
import json
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import boto3

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support.load import Exchange, drive, percentile
from localcloud.addresses import HOST
from localcloud.testing import TestCloud, localcloud

_ROLE: Final = "arn:aws:iam::000000000000:role/functions"
_CLIENTS: Final = (1, 4)
_CODE: Final = """
def handler(event, context):
    return {"ok": True}

def guard(event, context):
    return {"isAuthorized": True}
"""
_ANSWER: Final = b'{"ok": true}'
_GATEWAY: Final = "apigateway.amazonaws.com"


def main() -> int:
    """Print a table for a person and one JSON object, on the last line, for a program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="of each figure")
    parser.add_argument("--starts", type=int, default=20, help="cold starts")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, localcloud(Path(name) / "state") as cloud:
        api = _make(cloud)
        figures = _requests(cloud, api, options.seconds)
        figures |= _cold_starts(cloud, options.starts) | _invokes(cloud, options.seconds)
    for key, value in figures.items():
        print(f"{key:<28} {value:10.3f}")
    print(json.dumps({key: round(value, 4) for key, value in figures.items()}))
    return 0


def _client(cloud: TestCloud, service: str) -> Any:
    return boto3.client(
        service, endpoint_url=cloud.address.url, region_name="us-east-1",
        aws_access_key_id="localcloud", aws_secret_access_key="localcloud",  # noqa: S106 - no secret
    )  # fmt: skip


def _make(cloud: TestCloud) -> str:
    """The API, its functions and its routes; returns its identifier."""
    functions, gateway = _client(cloud, "lambda"), _client(cloud, "apigatewayv2")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("app.py", _CODE)
    arns = {
        name: functions.create_function(
            FunctionName=name, Runtime="python3.12", Handler=f"app.{name}", Role=_ROLE,
            Code={"ZipFile": archive.getvalue()},
        )["FunctionArn"]
        for name in ("handler", "guard")
    }  # fmt: skip
    for name in arns:
        functions.get_waiter("function_active_v2").wait(FunctionName=name)
        functions.add_permission(
            FunctionName=name, StatementId="api", Action="lambda:InvokeFunction",
            Principal=_GATEWAY,
        )  # fmt: skip
    api = str(gateway.create_api(Name="measured", ProtocolType="HTTP")["ApiId"])
    target = gateway.create_integration(
        ApiId=api, IntegrationType="AWS_PROXY", IntegrationUri=arns["handler"],
        PayloadFormatVersion="2.0",
    )["IntegrationId"]  # fmt: skip
    authorizer = gateway.create_authorizer(
        ApiId=api, Name="guard", AuthorizerType="REQUEST", EnableSimpleResponses=True,
        AuthorizerPayloadFormatVersion="2.0", IdentitySource=["$request.header.authorization"],
        AuthorizerUri="arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/"
        f"{arns['guard']}/invocations",
    )["AuthorizerId"]  # fmt: skip
    custom = {"AuthorizationType": "CUSTOM", "AuthorizerId": authorizer}
    for path, more in (("function", {}), ("guarded", custom)):
        gateway.create_route(
            ApiId=api, RouteKey=f"POST /{path}", Target=f"integrations/{target}", **more
        )
    gateway.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)
    return api


def _requests(cloud: TestCloud, api: str, seconds: float) -> dict[str, float]:
    address = (HOST, cloud.address.data_port)
    figures = {}
    for path in ("refused", "function", "guarded"):
        request = (
            f"POST /http-apis/{api}/{path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: x\r\n"
            "Content-Type: application/json\r\nContent-Length: 7\r\n\r\n"
        ).encode() + b'{"x":1}'
        refused = path == "refused"
        answer = b'{"message":"Not Found"}' if refused else _ANSWER
        exchange = Exchange(request, 404 if refused else 200, answer)
        for clients in _CLIENTS:
            load = drive(address, [exchange], clients=clients, seconds=seconds, warm_up=0.5)
            name = f"{path}_{clients}"
            figures[f"{name}_p50_microseconds"] = percentile(load.latencies, 50) * 1e6
            figures[f"{name}_per_second"] = load.rate
    return figures


def _cold_starts(cloud: TestCloud, count: int) -> dict[str, float]:
    """An event that finds no process: after each change of the function there is none."""
    functions = _client(cloud, "lambda")
    init, whole = [], []
    for number in range(count):
        functions.update_function_configuration(FunctionName="handler", Description=f"{number}")
        functions.get_waiter("function_updated_v2").wait(
            FunctionName="handler", WaiterConfig={"Delay": 0.1}
        )
        began = time.perf_counter()
        answer = functions.invoke(FunctionName="handler", LogType="Tail")
        whole.append(time.perf_counter() - began)
        init.append(_init_milliseconds(answer))
    return {
        "cold_invoke_milliseconds": statistics.median(whole) * 1000,
        "init_milliseconds": statistics.median(init),
    }


def _init_milliseconds(answer: Mapping[str, Any]) -> float:
    log = base64.b64decode(answer["LogResult"]).decode()
    return float(log.partition("Init Duration: ")[2].partition(" ms")[0])


def _invokes(cloud: TestCloud, seconds: float) -> dict[str, float]:
    functions = _client(cloud, "lambda")
    taken = []
    ending = time.perf_counter() + seconds
    while (began := time.perf_counter()) < ending:
        functions.invoke(FunctionName="handler")["Payload"].read()
        taken.append(time.perf_counter() - began)
    return {"invoke_milliseconds": statistics.median(taken) * 1000}


if __name__ == "__main__":
    sys.exit(main())
