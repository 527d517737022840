"""HTTP APIs: made with boto3, asked by HTTP, answered by functions as API Gateway has them do."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from clients import client_of
from function_fixtures import ECHO, Maker, zipped
from http_api_fixtures import ACCOUNT, Answer, Api, ask, new_api, uri_of

from localcloud.addresses import HOST
from localcloud.testing import TestCloud, localcloud

pytestmark = pytest.mark.integration
Client = Callable[[str], Any]
GROUP = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:"
PROGRAMMED = """
    import json, sys, time
    def handler(event, context):
        wanted = json.loads(event["body"])
        if wanted == "raise":
            raise ValueError("secret")
        if wanted == "exit":
            sys.exit(1)
        if isinstance(wanted, dict) and "sleep" in wanted:
            time.sleep(wanted["sleep"])
        return wanted
"""
GUARD = """
    import json
    asked = 0
    def handler(event, context):
        global asked
        asked += 1
        token = event["identitySource"][0]
        if token == "raise":
            raise ValueError
        if token == "odd":
            return {"principalId": "me"}
        context = {"asked": asked, "event": json.dumps(event), "flag": True}
        return {"isAuthorized": token.startswith("good"), "context": context}
"""


@pytest.fixture(scope="module")
def maker(client: Client) -> Maker:
    return Maker(client("lambda"))


@pytest.fixture(scope="module")
def gateway(client: Client) -> Any:
    return client("apigatewayv2")


@pytest.fixture(scope="module")
def functions(maker: Maker) -> dict[str, str]:
    """ARNs of functions, by what they do."""
    codes = {"echo": ECHO, "programmed": PROGRAMMED, "guard": GUARD}
    return {
        name: str(maker.make(f"api-{name}", code, Timeout=10)["FunctionArn"])
        for name, code in codes.items()
    }


@pytest.fixture
def api(maker: Maker, gateway: Any, cloud: TestCloud) -> Api:
    return new_api(maker, gateway, cloud.address)


@pytest.fixture
def echo(api: Api, functions: dict[str, str]) -> Api:
    """An API whose $default route answers with its event."""
    api.route("$default", functions["echo"])
    api.stage()
    api.permit(functions["echo"])
    return api


@pytest.fixture
def programmed(api: Api, functions: dict[str, str]) -> Callable[[Any], Answer]:
    """What API Gateway makes of a result."""
    api.route("POST /", functions["programmed"])
    api.stage()
    api.permit(functions["programmed"])
    return lambda result: api.ask("POST", "/", json.dumps(result), content_type="text/plain")


def wait_until(holds: Callable[[], Any], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# --- events ------------------------------------------------------------------------------------


def test_a_request_becomes_an_event_of_payload_2(echo: Api) -> None:
    answer = echo.ask(
        "POST", "/a/b%20c?x=1&y=&x=2&z=%C3%A4", '{"k": "ä"}'.encode(),
        content_type="application/json; charset=utf-8", cookie="one=1; two=2",
        user_agent="tester", x_custom="value",
    )  # fmt: skip
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["apigw-requestid"]
    event = answer.json
    context = event.pop("requestContext")
    headers = event.pop("headers")
    assert event == {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/a/b%20c",
        "rawQueryString": "x=1&y=&x=2&z=%C3%A4",
        "queryStringParameters": {"x": "1,2", "y": "", "z": "ä"},
        "cookies": ["one=1", "two=2"],
        "body": '{"k": "ä"}',
        "isBase64Encoded": False,
    }
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert (headers["x-custom"], headers["x-forwarded-for"]) == ("value", "127.0.0.1")
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", headers["x-amzn-trace-id"])
    assert headers["x-forwarded-proto"] == "http"
    assert "cookie" not in headers
    assert not [name for name in headers if name != name.lower()]
    assert context.pop("http") == {
        "method": "POST", "path": "/a/b%20c", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1",
        "userAgent": "tester",
    }  # fmt: skip
    assert abs(context.pop("timeEpoch") / 1000 - time.time()) < 60
    assert re.fullmatch(r"\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000", context.pop("time"))
    assert context == {
        "accountId": ACCOUNT, "apiId": echo.id, "domainName": HOST, "domainPrefix": echo.id,
        "requestId": answer.headers["apigw-requestid"], "routeKey": "$default",
        "stage": "$default",
    }  # fmt: skip


def test_headers_that_come_twice_are_joined_by_commas(echo: Api) -> None:
    with socket.create_connection((HOST, echo.address.data_port)) as connection:
        connection.sendall(
            f"GET /http-apis/{echo.id}/ HTTP/1.1\r\nHost: localhost\r\nX-A: 1\r\nx-a: 2\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert json.loads(received.partition(b"\r\n\r\n")[2])["headers"]["x-a"] == "1,2"


@pytest.mark.parametrize(
    ("content_type", "encoded"),
    [
        ("text/csv", False), ("application/json", False), ("application/xml", False),
        ("application/problem+json", False), ("application/octet-stream", True),
        ("application/x-www-form-urlencoded", True), ("image/png", True),
    ],
)  # fmt: skip
def test_a_body_that_is_no_text_comes_in_base64(
    echo: Api, content_type: str, encoded: bool
) -> None:
    event = echo.ask("POST", "/", b"a=b", content_type=content_type).json
    assert event["isBase64Encoded"] is encoded
    assert event["body"] == (base64.b64encode(b"a=b").decode() if encoded else "a=b")


def test_bytes_that_are_no_utf_8_come_in_base64_whatever_their_type(echo: Api) -> None:
    event = echo.ask("POST", "/", b"\xff\xfe", content_type="text/plain").json
    assert event["isBase64Encoded"] is True
    assert base64.b64decode(event["body"]) == b"\xff\xfe"


def test_without_a_body_the_event_has_none(echo: Api) -> None:
    event = echo.ask("GET", "/").json
    assert "body" not in event
    assert event["isBase64Encoded"] is False
    assert "queryStringParameters" not in event
    assert "pathParameters" not in event


def test_stage_variables_are_in_the_event(api: Api, functions: dict[str, str]) -> None:
    api.route("$default", functions["echo"])
    api.stage(StageVariables={"colour": "red"})
    api.permit(functions["echo"])
    assert api.ask("GET", "/").json["stageVariables"] == {"colour": "red"}


# --- results -----------------------------------------------------------------------------------

Programmed = Callable[[Any], Answer]


@pytest.mark.parametrize(
    ("result", "status", "body", "content_type"),
    [
        ({"a": 1}, 200, '{"a": 1}', "application/json"),
        ([1, 2], 200, "[1, 2]", "application/json"),
        ("just text", 200, "just text", "application/json"),
        (7, 200, "7", "application/json"),
        ({"statusCode": 201, "body": "made"}, 201, "made", "text/plain; charset=utf-8"),
        ({"statusCode": "202", "body": None}, 202, "", "text/plain; charset=utf-8"),
        ({"statusCode": 200, "headers": {"Content-Type": "text/html"}, "body": "<p>ä"}, 200,
         "<p>ä", "text/html"),
        ({"statusCode": 200, "isBase64Encoded": True, "body": "aGVsbG8="}, 200, "hello",
         "text/plain; charset=utf-8"),
    ],
)  # fmt: skip
def test_a_result_becomes_an_answer(
    programmed: Programmed, result: Any, status: int, body: str, content_type: str
) -> None:
    answer = programmed(result)
    assert (answer.status, answer.body) == (status, body)
    assert answer.headers["content-type"] == content_type


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_has_no_body_by_its_status_has_none(
    programmed: Programmed, status: int
) -> None:
    answer = programmed({"statusCode": status, "body": "not to be seen"})
    assert (answer.status, answer.body) == (status, "")
    assert "content-length" not in answer.headers


def test_headers_and_cookies_of_a_result_are_the_answers(programmed: Programmed) -> None:
    answer = programmed(
        {
            "statusCode": 200,
            "headers": {"X-Number": 5, "X-Truth": True, "Content-Length": "999", "X-Text": "a"},
            "cookies": ["a=1; Path=/", "b=2"],
            "body": "ok",
        }
    )
    assert (answer.headers["x-number"], answer.headers["x-truth"]) == ("5", "true")
    assert answer.headers["content-length"] == "2"
    assert answer.cookies == ("a=1; Path=/", "b=2")


@pytest.mark.parametrize(
    "result",
    [
        {"statusCode": "many"}, {"statusCode": 99}, {"statusCode": 200.5},
        {"statusCode": 200, "body": {"not": "text"}}, {"statusCode": 200, "headers": []},
        {"statusCode": 200, "headers": {"a": ["b"]}}, {"statusCode": 200, "cookies": "a=b"},
        {"statusCode": 200, "headers": {"a": "b\r\nc: d"}},
        {"statusCode": 200, "isBase64Encoded": True, "body": "!"},
        "raise", "exit",
    ],
)  # fmt: skip
def test_a_failing_function_is_an_internal_error_without_its_words(
    programmed: Programmed, result: Any
) -> None:
    answer = programmed(result)
    assert (answer.status, answer.body) == (500, '{"message":"Internal Server Error"}')


# --- routes ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def routed(maker: Maker, gateway: Any, cloud: TestCloud, functions: dict[str, str]) -> Api:
    api = new_api(maker, gateway, cloud.address)
    for key in (
        "GET /pets", "GET /pets/{id}", "GET /pets/best", "ANY /pets/{id}", "GET /pets/{proxy+}",
        "ANY /{proxy+}", "POST /pets", "GET /a/{b}/c", "GET /",
    ):  # fmt: skip
        api.route(key, functions["echo"])
    api.stage()
    api.permit(functions["echo"])
    return api


@pytest.mark.parametrize(
    ("method", "path", "key", "parameters"),
    [
        ("GET", "/", "GET /", None),
        ("GET", "", "GET /", None),
        ("GET", "/pets", "GET /pets", None),
        ("POST", "/pets", "POST /pets", None),
        ("PUT", "/pets", "ANY /{proxy+}", {"proxy": "pets"}),
        ("GET", "/pets/best", "GET /pets/best", None),
        ("GET", "/pets/7", "GET /pets/{id}", {"id": "7"}),
        ("PUT", "/pets/7", "ANY /pets/{id}", {"id": "7"}),
        ("GET", "/pets/a%2Fb", "GET /pets/{id}", {"id": "a/b"}),
        ("GET", "/pets/7/legs", "GET /pets/{proxy+}", {"proxy": "7/legs"}),
        ("GET", "/a/x%20y/c", "GET /a/{b}/c", {"b": "x y"}),
        ("GET", "/a/x/d", "ANY /{proxy+}", {"proxy": "a/x/d"}),
        ("DELETE", "/else/where", "ANY /{proxy+}", {"proxy": "else/where"}),
    ],
)
def test_the_fullest_match_is_taken(
    routed: Api, method: str, path: str, key: str, parameters: dict[str, str] | None
) -> None:
    event = routed.ask(method, path).json
    assert (event["routeKey"], event.get("pathParameters")) == (key, parameters)


def test_what_has_no_route_is_not_found(api: Api, functions: dict[str, str]) -> None:
    api.route("GET /only", functions["echo"])
    api.permit(functions["echo"])
    assert api.ask("GET", "/only").status == 404, "there is no stage"
    api.stage()
    assert api.ask("GET", "/only").status == 200
    for method, path in (("POST", "/only"), ("GET", "/other"), ("GET", "/only/")):
        answer = api.ask(method, path)
        assert (answer.status, answer.body) == (404, '{"message":"Not Found"}')
    assert ask(api.address, "GET", "/http-apis/nowhere/only").status == 404


def test_a_named_stage_is_under_its_name(api: Api, functions: dict[str, str]) -> None:
    api.route("GET /x", functions["echo"])
    api.stage("dev")
    api.permit(functions["echo"])
    assert api.ask("GET", "/x").status == 404
    event = api.ask("GET", "/dev/x").json
    assert (event["rawPath"], event["requestContext"]["stage"]) == ("/dev/x", "dev")


def test_changes_are_served_at_once_with_auto_deploy_and_by_deployments_without(
    api: Api, gateway: Any, functions: dict[str, str]
) -> None:
    api.permit(functions["echo"])
    api.stage()
    gateway.create_stage(ApiId=api.id, StageName="slow")
    first = api.route("GET /one", functions["echo"])
    assert api.ask("GET", "/one").status == 200
    assert api.ask("GET", "/slow/one").status == 404
    deployment = gateway.create_deployment(ApiId=api.id, StageName="slow")["DeploymentId"]
    api.route("GET /two", functions["echo"])
    gateway.delete_route(ApiId=api.id, RouteId=first)
    assert [api.ask("GET", path).status for path in ("/one", "/two")] == [404, 200]
    assert [api.ask("GET", path).status for path in ("/slow/one", "/slow/two")] == [200, 404]
    assert gateway.get_stage(ApiId=api.id, StageName="slow")["DeploymentId"] == deployment
    with pytest.raises(gateway.exceptions.BadRequestException, match="Active stages"):
        gateway.delete_deployment(ApiId=api.id, DeploymentId=deployment)
    gateway.create_deployment(ApiId=api.id, StageName="slow")
    assert [api.ask("GET", path).status for path in ("/slow/one", "/slow/two")] == [404, 200]
    gateway.delete_deployment(ApiId=api.id, DeploymentId=deployment)


def test_a_deleted_or_disabled_api_is_not_found(echo: Api, gateway: Any) -> None:
    gateway.update_api(ApiId=echo.id, DisableExecuteApiEndpoint=True)
    assert echo.ask("GET", "/").status == 404
    gateway.update_api(ApiId=echo.id, DisableExecuteApiEndpoint=False)
    assert echo.ask("GET", "/").status == 200
    gateway.delete_api(ApiId=echo.id)
    assert echo.ask("GET", "/").status == 404
    with pytest.raises(gateway.exceptions.NotFoundException):
        gateway.get_api(ApiId=echo.id)


# --- permissions -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "status"),
    [
        ("*", 200), ("*/*", 200), ("*/*/pets/*", 200), ("$default/GET/pets/{id}", 200),
        ("*/GET/pets/{id}", 200), ("*/POST/pets/*", 500), ("dev/*", 500), ("*/*/dogs", 500),
    ],
)  # fmt: skip
def test_a_function_answers_only_what_its_policy_allows(
    api: Api, functions: dict[str, str], maker: Maker, source: str, status: int
) -> None:
    arn = maker.make(f"policy-{abs(hash(source)) % 10**6}", ECHO)["FunctionArn"]
    api.route("GET /pets/{id}", arn)
    api.stage()
    assert api.ask("GET", "/pets/1").status == 500
    api.permit(arn, source)
    answer = api.ask("GET", "/pets/1")
    assert answer.status == status
    if status == 500:
        assert answer.body == '{"message":"Internal Server Error"}'


def test_a_permission_that_is_taken_away_holds_at_once(
    echo: Api, functions: dict[str, str], maker: Maker
) -> None:
    assert echo.ask("GET", "/").status == 200
    policy = json.loads(maker.client.get_policy(FunctionName=functions["echo"])["Policy"])
    (sid,) = [
        each["Sid"] for each in policy["Statement"]
        if echo.id in each["Condition"]["ArnLike"]["AWS:SourceArn"]
    ]  # fmt: skip
    maker.client.remove_permission(FunctionName=functions["echo"], StatementId=sid)
    assert echo.ask("GET", "/").status == 500


# --- authorizers -------------------------------------------------------------------------------


def guarded(api: Api, functions: dict[str, str], seconds: int, *sources: str) -> Api:
    sources = sources or ("$request.header.X-Token",)
    authorizer = api.authorizer(functions["guard"], sources, seconds)
    api.route("GET /safe/{id}", functions["echo"], AuthorizationType="CUSTOM",
              AuthorizerId=authorizer)  # fmt: skip
    api.stage()
    api.permit(functions["echo"])
    api.permit(functions["guard"], f"authorizers/{authorizer}")
    return api


def test_an_authorizer_lets_in_whom_its_function_lets_in(
    api: Api, functions: dict[str, str]
) -> None:
    guarded(api, functions, 0)
    answer = api.ask("GET", "/safe/1")
    assert (answer.status, answer.body) == (401, '{"message":"Unauthorized"}')
    answer = api.ask("GET", "/safe/1", x_token="bad")
    assert (answer.status, answer.body) == (403, '{"message":"Forbidden"}')
    for token in ("raise", "odd"):
        answer = api.ask("GET", "/safe/1", x_token=token)
        assert (answer.status, answer.body) == (500, '{"message":"Internal Server Error"}')
    event = api.ask("GET", "/safe/1?q=2", x_token="good").json
    given = event["requestContext"]["authorizer"]["lambda"]
    assert given["flag"] is True
    asked = json.loads(given["event"])
    assert (asked["version"], asked["type"]) == ("2.0", "REQUEST")
    assert asked["routeArn"] == (
        f"arn:aws:execute-api:us-east-1:{ACCOUNT}:{api.id}/$default/GET/safe/1"
    )
    assert asked["identitySource"] == ["good"]
    assert asked["routeKey"] == "GET /safe/{id}"
    assert asked["pathParameters"] == {"id": "1"}
    assert asked["queryStringParameters"] == {"q": "2"}
    assert asked["headers"]["x-token"] == "good"


def test_answers_of_an_authorizer_are_kept_by_identity(api: Api, functions: dict[str, str]) -> None:
    guarded(api, functions, 1, "$request.header.X-Token", "$request.querystring.who")

    def asked(who: str) -> int:
        event = api.ask("GET", f"/safe/1?who={who}", x_token="good").json
        return int(event["requestContext"]["authorizer"]["lambda"]["asked"])

    assert api.ask("GET", "/safe/1", x_token="good").status == 401
    first = asked("me")
    assert asked("me") == first
    assert asked("you") == first + 1
    assert asked("me") == first
    time.sleep(1.1)
    assert asked("me") == first + 2


def test_without_a_time_to_live_every_request_is_asked_for(
    api: Api, functions: dict[str, str]
) -> None:
    guarded(api, functions, 0)
    seen = {
        api.ask("GET", "/safe/1", x_token="good").json["requestContext"]["authorizer"]["lambda"][
            "asked"
        ]
        for _ in range(3)
    }
    assert len(seen) == 3


def test_an_authorizer_whose_function_may_not_be_invoked_is_an_internal_error(
    api: Api, functions: dict[str, str]
) -> None:
    authorizer = api.authorizer(functions["guard"], ["$request.header.X-Token"], 0)
    api.route("GET /safe", functions["echo"], AuthorizationType="CUSTOM", AuthorizerId=authorizer)
    api.stage()
    api.permit(functions["echo"])
    assert api.ask("GET", "/safe", x_token="good").status == 500


# --- limits ------------------------------------------------------------------------------------


def test_a_stage_throttles_and_a_route_by_its_own_settings(
    api: Api, gateway: Any, functions: dict[str, str]
) -> None:
    for key in ("GET /slow", "GET /quick"):
        api.route(key, functions["echo"])
    api.permit(functions["echo"])
    api.stage(
        DefaultRouteSettings={"ThrottlingRateLimit": 1.0, "ThrottlingBurstLimit": 3},
        RouteSettings={"GET /quick": {"ThrottlingRateLimit": 1000.0, "ThrottlingBurstLimit": 100}},
    )
    statuses = [api.ask("GET", "/slow").status for _ in range(6)]
    assert statuses[:3] == [200, 200, 200]
    assert statuses.count(429) >= 2
    assert api.ask("GET", "/slow").body == '{"message":"Too Many Requests"}'
    assert {api.ask("GET", "/quick").status for _ in range(20)} == {200}
    time.sleep(1.1)
    assert api.ask("GET", "/slow").status == 200
    gateway.update_stage(
        ApiId=api.id, StageName="$default", DefaultRouteSettings={"ThrottlingRateLimit": 100.0}
    )
    assert {api.ask("GET", "/slow").status for _ in range(10)} == {200}


def test_a_function_that_is_slower_than_the_integration_is_not_available(
    api: Api, functions: dict[str, str]
) -> None:
    api.route("POST /", functions["programmed"], TimeoutInMillis=300)
    api.stage()
    api.permit(functions["programmed"])
    began = time.monotonic()
    answer = api.ask("POST", "/", '{"sleep": 2}', content_type="text/plain")
    assert (answer.status, answer.body) == (503, '{"message":"Service Unavailable"}')
    assert 0.3 <= time.monotonic() - began < 1.5
    assert api.ask("POST", "/", "{}", content_type="text/plain").status == 200


def test_ten_megabytes_are_taken_and_no_larger_body(echo: Api) -> None:
    answer = echo.ask("POST", "/", b"x" * (10 * 1024 * 1024 + 1), content_type="text/plain")
    assert (answer.status, answer.body) == (413, '{"message":"Request Entity Too Large"}')
    event = echo.ask("POST", "/", b"x" * (2 * 1024 * 1024), content_type="text/plain").json
    assert len(event["body"]) == 2 * 1024 * 1024


def test_headers_longer_than_ten_kilobytes_are_refused(echo: Api) -> None:
    answer = echo.ask("GET", "/", x_long="x" * 10_240)
    assert answer.status == 431
    assert echo.ask("GET", "/", x_long="x" * 9000).status == 200


def test_a_throttled_function_is_not_available(
    api: Api, maker: Maker, functions: dict[str, str]
) -> None:
    arn = maker.make("no-events", ECHO)["FunctionArn"]
    api.route("$default", arn)
    api.stage()
    api.permit(arn)
    maker.client.put_function_concurrency(FunctionName=arn, ReservedConcurrentExecutions=0)
    assert api.ask("GET", "/").status == 503
    maker.client.delete_function_concurrency(FunctionName=arn)
    wait_until(lambda: api.ask("GET", "/").status == 200)


# --- pages of other origins --------------------------------------------------------------------


def test_pages_of_allowed_origins_may_ask(
    api: Api, gateway: Any, functions: dict[str, str]
) -> None:
    api.route("GET /", functions["echo"])
    api.stage()
    api.permit(functions["echo"])
    page = "http://localhost:3000"
    before = {"origin": page, "access_control_request_method": "GET"}
    assert api.ask("OPTIONS", "/", **before).status == 404
    gateway.update_api(
        ApiId=api.id,
        CorsConfiguration={
            "AllowOrigins": [page], "AllowMethods": ["GET", "POST"], "AllowHeaders": ["x-a"],
            "MaxAge": 60, "AllowCredentials": True, "ExposeHeaders": ["x-b"],
        },
    )  # fmt: skip
    answer = api.ask("OPTIONS", "/", **before)
    assert answer.status == 204
    told = {name: value for name, value in answer.headers.items() if name.startswith("access-")}
    assert told == {
        "access-control-allow-origin": page, "access-control-allow-methods": "GET,POST",
        "access-control-allow-headers": "x-a", "access-control-max-age": "60",
        "access-control-allow-credentials": "true", "access-control-expose-headers": "x-b",
    }  # fmt: skip
    assert api.ask("GET", "/", origin=page).headers["access-control-allow-origin"] == page
    other = api.ask("GET", "/", origin="http://localhost:4000")
    assert (other.status, "access-control-allow-origin" in other.headers) == (200, False)
    gateway.delete_cors_configuration(ApiId=api.id)
    assert api.ask("OPTIONS", "/", **before).status == 404


def test_a_page_from_elsewhere_is_refused_whatever_the_api_allows(
    maker: Maker, gateway: Any, cloud: TestCloud, functions: dict[str, str]
) -> None:
    api = new_api(maker, gateway, cloud.address, CorsConfiguration={"AllowOrigins": ["*"]})
    api.route("$default", functions["echo"])
    api.stage()
    api.permit(functions["echo"])
    assert api.ask("GET", "/", origin="https://example.com").status == 403
    assert api.ask("GET", "/", host="example.com").status == 403
    answer = api.ask("GET", "/", origin=f"http://127.0.0.1:{cloud.address.data_port}")
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, "*")


# --- access logs -------------------------------------------------------------------------------


def test_each_request_is_written_down_in_the_stages_format(
    api: Api, functions: dict[str, str], client: Client
) -> None:
    guarded_format = (
        '{"id":"$context.requestId","status":"$context.status","route":"$context.routeKey",'
        '"error":"$context.integration.error","who":"$context.authorizer.flag",'
        '"length":$context.responseLength,"latency":$context.responseLatency,'
        '"none":"$context.nothing.like","method":"$context.httpMethod"}'
    )
    authorizer = api.authorizer(functions["guard"], ["$request.header.X-Token"], 0)
    api.route("GET /safe", functions["echo"], AuthorizationType="CUSTOM", AuthorizerId=authorizer)
    api.route("POST /", functions["programmed"])
    group = f"/api/{api.id}"
    api.stage(AccessLogSettings={"DestinationArn": f"{GROUP}{group}:*", "Format": guarded_format})
    api.permit(functions["guard"])
    api.permit(functions["echo"])
    api.permit(functions["programmed"])
    answers = [
        api.ask("GET", "/safe"),
        api.ask("GET", "/safe", x_token="good"),
        api.ask("GET", "/nowhere"),
        api.ask("POST", "/", '"raise"', content_type="text/plain"),
    ]
    logs = client("logs")

    def lines() -> list[dict[str, Any]]:
        found = logs.filter_log_events(logGroupName=group)["events"]
        return [json.loads(event["message"]) for event in found]

    wait_until(lambda: len(lines()) == 4)
    told = lines()
    assert [each["id"] for each in told] == [each.headers["apigw-requestid"] for each in answers]
    assert [each["status"] for each in told] == ["401", "200", "404", "500"]
    assert [each["route"] for each in told] == ["GET /safe", "GET /safe", "-", "POST /"]
    assert [each["who"] for each in told] == ["-", "true", "-", "-"]
    assert [each["length"] for each in told] == [len(each.body.encode()) for each in answers]
    assert "secret" in told[3]["error"]
    assert {each["none"] for each in told} == {"-"}
    (stream,) = logs.describe_log_streams(logGroupName=group)["logStreams"]
    assert stream["logStreamName"] == f"{api.id}/$default"


# --- records -----------------------------------------------------------------------------------


def test_all_parts_are_listed_shown_changed_and_deleted(
    api: Api, gateway: Any, functions: dict[str, str]
) -> None:
    integration = gateway.create_integration(
        ApiId=api.id, IntegrationType="AWS_PROXY", IntegrationUri=uri_of(functions["echo"]),
        PayloadFormatVersion="2.0", Description="first",
    )  # fmt: skip
    assert integration["TimeoutInMillis"] == 30_000
    assert (integration["ConnectionType"], integration["IntegrationMethod"]) == ("INTERNET", "POST")
    identifier = integration["IntegrationId"]
    changed = gateway.update_integration(
        ApiId=api.id, IntegrationId=identifier, TimeoutInMillis=5000
    )
    assert (changed["TimeoutInMillis"], changed["Description"]) == (5000, "first")
    route = gateway.create_route(
        ApiId=api.id, RouteKey="GET /x", Target=f"integrations/{identifier}"
    )
    assert (route["AuthorizationType"], route["ApiKeyRequired"]) == ("NONE", False)
    with pytest.raises(gateway.exceptions.ConflictException):
        gateway.delete_integration(ApiId=api.id, IntegrationId=identifier)
    authorizer = api.authorizer(functions["guard"], ["$request.header.A"], 5)
    changed = gateway.update_route(
        ApiId=api.id, RouteId=route["RouteId"], AuthorizationType="CUSTOM",
        AuthorizerId=authorizer,
    )  # fmt: skip
    assert (changed["AuthorizerId"], changed["RouteKey"]) == (authorizer, "GET /x")
    with pytest.raises(gateway.exceptions.ConflictException):
        gateway.delete_authorizer(ApiId=api.id, AuthorizerId=authorizer)
    found = gateway.get_authorizer(ApiId=api.id, AuthorizerId=authorizer)
    assert (found["AuthorizerResultTtlInSeconds"], found["EnableSimpleResponses"]) == (5, True)
    assert len(gateway.get_routes(ApiId=api.id)["Items"]) == 1
    assert len(gateway.get_integrations(ApiId=api.id)["Items"]) == 1
    assert len(gateway.get_authorizers(ApiId=api.id)["Items"]) == 1
    gateway.delete_route(ApiId=api.id, RouteId=route["RouteId"])
    gateway.delete_authorizer(ApiId=api.id, AuthorizerId=authorizer)
    gateway.delete_integration(ApiId=api.id, IntegrationId=identifier)
    assert gateway.get_routes(ApiId=api.id)["Items"] == []


def test_apis_and_stages_have_tags_and_a_description(api: Api, gateway: Any) -> None:
    arn = f"arn:aws:apigateway:us-east-1::/apis/{api.id}"
    gateway.tag_resource(ResourceArn=arn, Tags={"a": "1", "b": "2"})
    gateway.untag_resource(ResourceArn=arn, TagKeys=["b"])
    assert gateway.get_tags(ResourceArn=arn)["Tags"] == {"a": "1"}
    changed = gateway.update_api(ApiId=api.id, Description="says things", Name="other")
    assert (changed["Description"], changed["Tags"]) == ("says things", {"a": "1"})
    gateway.create_stage(ApiId=api.id, StageName="dev", Tags={"c": "3"})
    assert gateway.get_tags(ResourceArn=f"{arn}/stages/dev")["Tags"] == {"c": "3"}
    assert api.id in [each["ApiId"] for each in gateway.get_apis()["Items"]]


def test_the_aws_cli_makes_and_lists_apis(api: Api, cloud: TestCloud) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("aws"), "apigatewayv2", "get-api", "--api-id", api.id],
        env=cloud.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["ApiEndpoint"] == f"{cloud.address.data_url}/http-apis/{api.id}"


def test_rest_apis_are_not_emulated(client: Client) -> None:
    with pytest.raises(ClientError) as caught:
        client("apigateway").get_rest_apis()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


# --- changes, kills and restarts ---------------------------------------------------------------


def test_no_request_is_lost_when_the_function_changes(api: Api, maker: Maker, gateway: Any) -> None:
    arn = maker.make("api-swapped", "def handler(e, c): return 'old'")["FunctionArn"]
    api.route("$default", arn)
    api.stage()
    api.permit(arn)
    answers: list[Answer] = []
    stop = threading.Event()

    def keep_asking() -> None:
        while not stop.is_set():
            answers.append(api.ask("GET", "/"))

    with ThreadPoolExecutor(6) as pool:
        asking = [pool.submit(keep_asking) for _ in range(6)]
        for number in range(3):
            code = zipped({"app.py": f"def handler(e, c): return 'new {number}'"})
            maker.client.update_function_code(FunctionName=arn, ZipFile=code)
            maker.wait("api-swapped")
            wait_until(lambda number=number: answers[-1].body == f"new {number}")
        stop.set()
        for each in asking:
            each.result()
    assert {answer.status for answer in answers} == {200}
    assert {answer.body for answer in answers} >= {"new 0", "new 1", "new 2"}


# --- metrics ------------------------------------------------------------------------------------


def test_requests_are_counted_by_api_and_stage_and_set_alarms_off(
    programmed: Callable[[Any], Answer], api: Api, client: Client
) -> None:
    cloudwatch = client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName=f"errors-{api.id}", Namespace="AWS/ApiGateway", MetricName="5xx",
        Dimensions=[{"Name": "ApiId", "Value": api.id}], Statistic="Sum", Period=10,
        EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="notBreaching",
    )  # fmt: skip
    began = int(time.time()) - 60
    statuses = [programmed(result).status for result in ("well", "raise", {"statusCode": 418})]
    statuses += [programmed("raise").status, api.ask("GET", "/nowhere").status]
    assert statuses == [200, 500, 418, 500, 404]

    units = dict.fromkeys(("Count", "4xx", "5xx"), "Count") | {"DataProcessed": "Bytes"}

    def read(name: str, statistic: str, **dimensions: str) -> float:
        found = cloudwatch.get_metric_statistics(
            Namespace="AWS/ApiGateway", MetricName=name, StartTime=began,
            EndTime=time.time() + 60, Period=3600, Statistics=[statistic],
            Unit=units.get(name, "Milliseconds"),
            Dimensions=[
                {"Name": key, "Value": value}
                for key, value in {"ApiId": api.id, **dimensions}.items()
            ],
        )["Datapoints"]  # fmt: skip
        return float(sum(point[statistic] for point in found))

    wait_until(lambda: read("Count", "Sum") == 5)
    assert (read("4xx", "Sum"), read("5xx", "Sum", Stage="$default")) == (2, 2)
    assert read("5xx", "SampleCount") == 5
    # What has no route has no integration.
    assert read("IntegrationLatency", "SampleCount") == 4
    assert 0 < read("IntegrationLatency", "Maximum") <= read("Latency", "Maximum") < 60_000
    assert read("DataProcessed", "SampleCount") == 5

    def state() -> str:
        (alarm,) = cloudwatch.describe_alarms(AlarmNames=[f"errors-{api.id}"])["MetricAlarms"]
        return str(alarm["StateValue"])

    wait_until(lambda: state() == "ALARM", seconds=30)
    cloudwatch.delete_alarms(AlarmNames=[f"errors-{api.id}"])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the data plane is found in /proc")
@pytest.mark.parametrize("how", ["data plane", "gateway", "down"])
def test_apis_answer_again_after_a_kill_or_a_restart(tmp_path: Path, how: str) -> None:
    state = tmp_path / "state"
    with localcloud(state) as cloud:
        maker = Maker(client_of(cloud, "lambda"))
        api = new_api(maker, client_of(cloud, "apigatewayv2"), cloud.address)
        echo = maker.make("echo", ECHO)["FunctionArn"]
        guard = maker.make("guard", GUARD)["FunctionArn"]
        guarded(api, {"echo": echo, "guard": guard}, 10)
        assert api.ask("GET", "/safe/1", x_token="good").status == 200
        if how == "data plane":
            os.kill(_data_plane(cloud), signal.SIGKILL)
        elif how == "gateway":
            os.kill(json.loads((state / "server.json").read_text())["pid"], signal.SIGKILL)
        else:
            cloud.command("down")
        if how != "data plane":
            assert cloud.command("up").returncode == 0
        answer = api.ask("GET", "/safe/1", x_token="good")
        assert answer.status == 200, answer
        assert answer.json["requestContext"]["authorizer"]["lambda"]["flag"] is True
        assert api.ask("GET", "/safe/1").status == 401


def _data_plane(cloud: TestCloud) -> int:
    """The process of a cloud's data plane."""
    for path in (cloud.address.state / "processes").glob("*.json"):
        record = json.loads(path.read_text())
        if record["name"] == "the data plane":
            return int(record["pid"])
    raise AssertionError
