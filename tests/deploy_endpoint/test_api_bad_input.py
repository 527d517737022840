"""Nothing that a caller sends gets a 5xx, a stack trace, or a score that it must not get."""

import json
import time
from collections.abc import Iterator

import bad_payloads
import pytest
import requests
from bad_payloads import BAD, GOOD, ROW, BadPayload
from conftest import TOKEN
from gateway_events import CONTEXT, Answered, application, call, event, predict
from served_model import listening

from deploy_endpoint.api import app, reading

SECONDS = 10
# What the API puts in other words than the handlers behind it: it takes headers in any order, JSON
# as objects alone, and one way to spell them.
OTHER_WORDS = {
    "csv: a header in another order",
    "csv: a header of the whole data set",
    "csv: five values",
    "csv: line ends of old Macs",
    "json: a list with a boolean",
    "json: a list with a list",
    "json: a list with a string",
    "json: a column twice",
    "json: an unknown key twice among many",
    "json: a row is null",
    "json: a row is a number",
    "json: a row is a string",
    "json: a row is true",
}


def check(answered: Answered, status: int) -> str:
    """Check the form that every refusal has; give its message."""
    assert answered.status == status, answered.text[:500]
    assert answered.headers["content-type"] == "application/json"
    assert answered.json.keys() == {"error", "request_id"}
    assert answered.error.keys() == {"message", "findings"}
    assert len(answered.error["findings"]) <= 5
    for finding in answered.error["findings"]:
        assert len(finding["value"] or "") <= 43
    assert "score" not in answered.json
    message: str = answered.error["message"]
    assert 0 < len(message) < 2000
    assert "Traceback" not in message
    return message


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name[:60])
def test_what_the_handlers_refuse_the_api_refuses_before_it_asks_them(
    stage, bad: BadPayload
) -> None:
    lists = bad.content_type == "application/json" and not bad.body.lstrip().startswith(b"{")
    began = time.monotonic()
    answered = predict(bad.body, bad.content_type, accept=bad.accept)
    assert time.monotonic() - began < SECONDS
    large = len(bad.body) > reading.MAX_BYTES
    message = check(answered, 413 if large else bad.status)
    if not large and not lists and bad.name not in OTHER_WORDS:
        assert bad.words in message
    assert stage.runtime.seen == []


GOOD_TEXT = json.dumps(GOOD)


def bombs() -> Iterator[tuple[str, str, str]]:
    """Name, body, words of the message."""
    deep = 40_000
    yield "lists 40000 deep in a value", f'{{"instances": [{"[" * deep}{"]" * deep}]}}', "JSON"
    yield "objects 40000 deep", '{"a":' * deep + "1" + "}" * deep, "must be JSON"
    yield "a number of 900 kB", f'{{"instances": [{"9" * 900_000}]}}', "must be an object"
    yield "an exponent without end", f'{{"instances": [1e{"9" * 9000}]}}', "must be an object"
    keys = ", ".join(f'"{number}": 0' for number in range(60_000))
    yield "an object of 60000 keys", f'{{"instances": [{{{keys}}}]}}', "Type is missing"
    yield "10000 empty objects", f'{{"instances": [{"{}," * 9_999}{{}}]}}', "And more."
    yield "10001 rows", f'{{"instances": [{"{}," * 10_000}{{}}]}}', "at most 10,000 rows"
    yield "rows as lists", f'{{"instances": [{json.dumps(list(GOOD.values()))}]}}', "be an object"
    yield "rows alone", f"[{GOOD_TEXT}]", "must be {"
    yield "another key beside", f'{{"instances": [{GOOD_TEXT}], "x": 1}}', "must be {"
    yield "a prototype", '{"__proto__": {"instances": []}}', "must be {"
    yield "a constructor", f'{{"instances": [{{"constructor": {GOOD_TEXT}}}]}}', "is missing"
    yield "markup for a type", _with("Type", "<img src=x onerror=alert(1)>"), "not '<img src=x"
    yield "a line break in a type", _with("Type", "L\r\nSet-Cookie: a=b"), "not 'L\\r\\nSet-"
    yield "a surrogate", '{"instances": [{"Type": "\\ud800"}]}', "is missing"
    yield "a surrogate for a type", _with("Type", "\ud800"), "must be one of"
    yield "a long word for a type", _with("Type", "x" * 900_000), "xxx...'"


def _with(name: str, value: object) -> str:
    return json.dumps({"instances": [GOOD | {name: value}]})


BOMBS = tuple(bombs())


@pytest.mark.parametrize(("_", "body", "words"), BOMBS, ids=[name for name, *_ in BOMBS])
def test_json_that_means_harm_is_refused_in_words(stage, _: str, body: str, words: str) -> None:
    began = time.monotonic()
    answered = predict(body)
    assert time.monotonic() - began < SECONDS
    assert words in check(answered, 413 if words == "at most 10,000 rows" else 400)
    assert stage.runtime.seen == []


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("Type,Type," + ROW, "once; Type is there 2 times"),
        ("Type", "Air temperature [K] is there 0 times"),
        (",".join(bad_payloads.NAMES[1:]), "Type is there 0 times"),
        ('"Type",' * 400, "Type is there 400 times"),
    ],
)
def test_a_csv_header_that_does_not_name_the_columns_is_refused(stage, header, words) -> None:
    assert words in check(predict(f"{header}\n{ROW}", "text/csv"), 400)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE"])
def test_another_method_is_a_405_that_names_the_right_one(stage, method: str) -> None:
    answered = call(method, "/predict", json.dumps({"instances": [GOOD]}))
    assert "must be POST" in check(answered, 405)
    assert answered.headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/", "/health", "/schema", "/assets/app.js"])
def test_what_is_read_cannot_be_posted_to(stage, path: str) -> None:
    assert "must be GET" in check(call("POST", path, "{}"), 405)


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../api/app.py",
        "/assets/..%2fapi%2fapp.py",
        "/assets//etc/passwd",
        "/assets/",
        "/assets/.",
        "/assets/app.js/",
        "/assets/APP.JS",
        "/assets/app.js\x00.html",
        "//",
        "/predict/",
        "/predict/../schema",
        "/PREDICT",
        "/schema;x=1",
        "/.env",
        "/api/app.py",
        "/index.html",
        "/\r\nSet-Cookie: a=b",
        "/" + "a" * 8000,
        "*",
        "",
    ],
)
def test_a_path_that_is_none_is_a_404_and_leads_to_no_file(stage, path: str) -> None:
    if path == "":
        assert call("GET", path).status == 200, "an empty path is the page's"
        return
    answered = call("GET", path)
    check(answered, 404)
    assert all("\n" not in value for value in answered.headers.values())


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "gzip, identity", "\x00"])
def test_an_encoded_body_is_refused(stage, coding: str) -> None:
    answered = predict(_with("Type", "L"), content_encoding=coding)
    assert "must not be encoded" in check(answered, 415)


@pytest.mark.parametrize("accept", ["*/*", "application/*", "text/html, */*;q=0.1", "", "a/b,*/*"])
def test_a_caller_that_takes_json_gets_it(stage, accept: str) -> None:
    assert predict(stage.payload, accept=accept).status == 200


def test_a_body_that_is_no_base64_though_it_says_so_is_refused(stage) -> None:
    made = event("POST", "/predict", "!!!", content_type="text/csv") | {"isBase64Encoded": True}
    assert app.handler(made, CONTEXT)["statusCode"] == 400


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with listening(application) as url:
        yield url


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 401),
        ("", 403),
        ("Bearer", 403),
        ("Bearer ", 403),
        (TOKEN, 403),
        (f"Basic {TOKEN}", 403),
        (f"Bearer {TOKEN[:-1]}", 403),
        (f"Bearer {TOKEN}x", 403),
        (f"Bearer {TOKEN.upper()}", 403),
        (f"Bearer  {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
        (f"Bearer {TOKEN}, Bearer {TOKEN}", 403),
        (f"Bearer\t{TOKEN}", 403),
        (f"Bearer {TOKEN}\u00e9", 403),
        ("Bearer " + "a" * 5000, 403),
        ("Bearer " + "=" * 64, 403),
        ("Bearer null", 403),
        ('Bearer "*"', 403),
    ],
)
def test_only_the_token_opens_the_api(stage, url: str, header: str | None, status: int) -> None:
    headers = {"content-type": "application/json"}
    if header is not None:
        headers["authorization"] = header.encode("latin-1")
    answered = requests.post(f"{url}/predict", stage.payload, headers=headers, timeout=30)
    assert answered.status_code == status
    assert ("predictions" in answered.text) == (status == 200)
