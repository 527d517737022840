"""A container in one file: it echoes what comes, its name in front, unless asked for more.

`fake_container.py SOCKET NAME`. A body `status N TEXT` is answered by that status and text, `sleep
SECONDS` that much later, `die` by no answer at all; the name follows each. The answer's custom
attributes are those of the request.
"""

from __future__ import annotations

import os
import socket
import socketserver
import sys
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self) -> None:
        self.answer(200, b"", {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        text = body.decode("latin-1")
        status = 200
        if text.startswith("status "):
            _, number, text = text.split(" ", 2)
            status, body = int(number), text.encode()
        if text.startswith("sleep "):
            time.sleep(float(text.split()[1]))
        if text.startswith("die"):
            os._exit(1)
        accept = self.headers.get("Accept", "")
        told = {"Content-Type": self.headers.get("Content-Type", "none") + "; charset=utf-8"}
        if "X-Amzn-SageMaker-Custom-Attributes" in self.headers:
            attributes = self.headers["X-Amzn-SageMaker-Custom-Attributes"]
            told["X-Amzn-SageMaker-Custom-Attributes"] = f"{attributes} {accept}".strip()
        self.answer(status, sys.argv[2].encode() + body if status == 200 else body, told)

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass

    def address_string(self) -> str:
        return "gateway"


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, _ = super().get_request()
        return connection, ("gateway", 0)


if __name__ == "__main__":
    Path(sys.argv[1]).unlink(missing_ok=True)
    Server(sys.argv[1], Handler).serve_forever()
