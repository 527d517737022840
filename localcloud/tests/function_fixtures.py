"""Functions for tests: their archives, and what makes and invokes them."""

from __future__ import annotations

import base64
import io
import json
import textwrap
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ROLE = "arn:aws:iam::000000000000:role/functions"
ECHO = """
def handler(event, context):
    return event
"""


def zipped(files: Mapping[str, str]) -> bytes:
    """A zip archive of these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, textwrap.dedent(text))
    return buffer.getvalue()


@dataclass(frozen=True)
class Answer:
    """What Invoke gave."""

    result: Any
    error: str | None
    log: str
    status: int


@dataclass(frozen=True)
class Maker:
    """Makes functions with a plain client of Lambda, and waits until they are active."""

    client: Any

    def make(self, name: str, code: str | Mapping[str, str], **more: Any) -> dict[str, Any]:
        """A function whose module `app` is this, or that has these files."""
        files = {"app.py": code} if isinstance(code, str) else code
        request = {
            "FunctionName": name,
            "Runtime": "python3.12",
            "Handler": "app.handler",
            "Role": ROLE,
            "Code": {"ZipFile": zipped(files)},
            **more,
        }
        made: dict[str, Any] = self.client.create_function(**request)
        self.wait(name)
        return made

    def wait(self, name: str) -> None:
        """Return when the function is active, or its update done."""
        for waiter in ("function_active_v2", "function_updated_v2"):
            self.client.get_waiter(waiter).wait(
                FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 2000}
            )

    def invoke(self, name: str, event: Any = None, **more: Any) -> Answer:
        """Invoke it and read everything."""
        if event is not None:
            more["Payload"] = json.dumps(event)
        answer = self.client.invoke(FunctionName=name, LogType="Tail", **more)
        body = answer["Payload"].read()
        return Answer(
            result=json.loads(body) if body else None,
            error=answer.get("FunctionError"),
            log=base64.b64decode(answer.get("LogResult", "")).decode(),
            status=answer["StatusCode"],
        )
