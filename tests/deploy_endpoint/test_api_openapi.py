"""openapi.yaml is true: what it allows is answered, what it forbids is refused, all as it says.

With STAGE_URL and STAGE_TOKEN the stage that runs there is asked, else the functions behind a
server of the tests' own.
"""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import TOKEN
from gateway_events import application
from served_model import listening

from deploy_endpoint.api import app, reading, rows

FILE = Path(app.__file__).with_name("openapi.yaml")
EXAMPLES = "40"
access = os.environ.get("STAGE_TOKEN", TOKEN)


def specification() -> Any:
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


def completed(columns: list[dict[str, Any]]) -> Any:
    """The specification with the columns that it leaves to GET /schema."""
    found = specification()
    types = {"number": "number", "integer": "integer"}
    properties = {
        each["name"]: {"enum": each["categories"]}
        if each["kind"] == "category"
        else {
            "type": types[each["kind"]],
            "minimum": each["minimum"],
            "maximum": each["maximum"],
        }
        for each in columns
    }
    schemas = found["components"]["schemas"]
    schemas["Instance"] |= {"properties": properties, "required": list(properties)}
    del schemas["Instances"]["properties"]["instances"]["maxItems"]
    # Any text is a string; which text is csv of these columns a JSON schema cannot say.
    del found["paths"]["/predict"]["post"]["requestBody"]["content"]["text/csv"]
    return found


@pytest.fixture
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    if "STAGE_URL" in os.environ:
        yield os.environ["STAGE_URL"].rstrip("/")
        return
    request.getfixturevalue("stage")
    with listening(application) as url:
        yield url


def columns_of(url: str) -> list[dict[str, Any]]:
    request = urllib.request.Request(f"{url}/schema", headers={"Authorization": f"Bearer {access}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: list[dict[str, Any]] = json.load(answer)["columns"]
    return found


def test_the_specification_has_every_route_and_limit_of_the_function() -> None:
    found = specification()
    told = {(path, method.upper()) for path, item in found["paths"].items() for method in item}
    routes = {(path, route.method) for path, route in app.ROUTES.items()}
    assert told == routes | {("/assets/{name}", "GET")}
    schemas = found["components"]["schemas"]
    assert schemas["Instances"]["properties"]["instances"]["maxItems"] == reading.MAX_ROWS
    assert f"{reading.MAX_BYTES:,} bytes" in str(found["paths"]["/predict"])
    warnings = schemas["Predictions"]["properties"]["warnings"]
    assert warnings["maxItems"] == rows.SHOWN_WARNINGS + 1
    findings = schemas["Error"]["properties"]["error"]["properties"]["findings"]
    assert findings["maxItems"] == reading.SHOWN_FINDINGS


@pytest.mark.slow
def test_schemathesis_finds_nothing_untrue(url: str, tmp_path: Path) -> None:
    """Good and bad requests, made from the specification, against the function behind HTTP."""
    path = tmp_path / "openapi.yaml"
    path.write_text(yaml.safe_dump(completed(columns_of(url))))
    words = [
        *("run", str(path), "--url", url, "--header", f"Authorization: Bearer {access}"),
        *("--max-examples", EXAMPLES, "--seed", "1", "--checks", "all", "--mode", "all"),
        *("--phases", "examples,coverage,fuzzing", "--no-color"),
    ]
    done = subprocess.run(
        [str(Path(sys.executable).with_name("schemathesis")), *words],
        cwd=tmp_path,
        env=os.environ | {"NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
