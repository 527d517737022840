"""Unix sockets of serving containers: names that are short enough, and whether one answers."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
import stat
import tempfile
from pathlib import Path

LONGEST = 100
"""A Unix socket's path has at most 107 bytes (103 on macOS); the server adds one for a moment."""
_OF = "of"


def sockets_folder(folder: Path) -> Path:
    """Where the sockets of a folder are: in it, or under a short name if its own is too long.

    The short name is the same for the same folder, whichever process asks.
    """
    folder = folder.absolute()
    if len(os.fsencode(folder / "00.sock")) <= LONGEST:
        return folder
    return _short_names() / hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]


def make_sockets_folder(folder: Path) -> None:
    """Make the folder where the sockets of `folder` are, for this user only.

    Short names of folders that are no more, as a killed process leaves them, are swept.

    Raises:
        OSError: it cannot be made, or another user has made the folder of all short names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    short = sockets_folder(folder)
    if short == folder.absolute():
        return
    base = _short_names()
    base.mkdir(mode=0o700, exist_ok=True)
    if base.lstat().st_uid != os.getuid() or not stat.S_ISDIR(base.lstat().st_mode):
        raise PermissionError(f"{base} is not this user's own folder")
    for other in base.iterdir():
        with contextlib.suppress(OSError):
            if not Path((other / _OF).read_text()).exists():
                shutil.rmtree(other)
    short.mkdir(mode=0o700, exist_ok=True)
    (short / _OF).write_text(str(folder.absolute()))


def _short_names() -> Path:
    return Path(tempfile.gettempdir()) / f"localcloud-{os.getuid()}"


def answers_ping(path: Path, timeout: float) -> bool:
    """Whether a server behind the socket answers GET /ping with 200 within `timeout` seconds."""
    request = b"GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(timeout)
            client.connect(str(path))
            client.sendall(request)
            return client.recv(256).startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False
