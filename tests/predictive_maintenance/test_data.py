"""Where the csv comes from, and that the answer says so."""

import hashlib
import io
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipelines.predictive_maintenance import data, generator

CONTENT = b"UDI,Type\r\n1,L\r\n"


class Home:
    """A stand-in for the public home on the loopback address."""

    def __init__(self) -> None:
        self.body = b""
        self.delay = 0.0
        self.requests = 0
        home = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                home.requests += 1
                time.sleep(home.delay)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(home.body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/data.zip"

    def offer(self, content: bytes) -> None:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr(data.FILE_NAME, content)
        self.body = archive.getvalue()


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """The public home answers here, and the published file is the small CONTENT."""
    home = Home()
    thread = threading.Thread(target=home.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setattr(data, "ADDRESS", home.address)
    monkeypatch.setattr(data, "SHA256", hashlib.sha256(CONTENT).hexdigest())
    plain = CONTENT.replace(b"\r\n", b"\n")
    monkeypatch.setattr(data, "PLAIN_SHA256", hashlib.sha256(plain).hexdigest())
    yield home
    home.server.shutdown()
    home.server.server_close()
    thread.join()


def folder_of(tmp_path: Path, content: bytes) -> dict[str, str]:
    (tmp_path / data.FILE_NAME).write_bytes(content)
    return {data.FOLDER_VARIABLE: str(tmp_path)}


def test_the_named_folder_comes_first(tmp_path: Path, home: Home) -> None:
    """With AI4I_DATA set nothing is downloaded, copied or generated."""
    environment = folder_of(tmp_path, CONTENT)
    dataset = data.fetch(tmp_path / "cache", environment)
    assert dataset.path == tmp_path / data.FILE_NAME
    assert (dataset.source, dataset.sha256) == ("folder", data.SHA256)
    assert dataset.note.startswith("the published file")
    assert home.requests == 0
    assert not (tmp_path / "cache").exists()


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "content",
    [
        CONTENT.replace(b"\r\n", b"\n"),
        b"\xef\xbb\xbf" + CONTENT,
        CONTENT.replace(b"\r\n", b"\n").rstrip(),
    ],
)
def test_a_known_variant_is_recognised_by_its_values(tmp_path: Path, content: bytes) -> None:
    """Line ends and a byte-order mark change the hash, not the data."""
    dataset = data.fetch(tmp_path, folder_of(tmp_path, content))
    assert dataset.note.startswith("the published values")
    assert dataset.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.usefixtures("home")
def test_other_data_is_accepted_and_called_so(tmp_path: Path) -> None:
    """A user's own csv is used, and the note tells that it is not the published file."""
    dataset = data.fetch(tmp_path, folder_of(tmp_path, CONTENT + b"2,M\r\n"))
    assert dataset.source == "folder"
    assert "not the published file" in dataset.note


@pytest.mark.parametrize("exists", [True, False])
def test_a_folder_without_the_file_is_an_error(tmp_path: Path, exists: bool) -> None:
    """What the user names is never replaced silently by something else."""
    folder = tmp_path / "mine"
    if exists:
        folder.mkdir()
    with pytest.raises(data.DataUnavailableError, match=f"{folder} .*no f"):
        data.fetch(tmp_path, {data.FOLDER_VARIABLE: str(folder)})


def test_the_public_file_is_downloaded_once(tmp_path: Path, home: Home) -> None:
    """The verified download is kept and asked for only once."""
    home.offer(CONTENT)
    first = data.fetch(tmp_path / "cache", {})
    second = data.fetch(tmp_path / "cache", {})
    assert first.source == second.source == "download"
    assert first.path == second.path == tmp_path / "cache" / data.FILE_NAME
    assert first.path.read_bytes() == CONTENT
    assert home.requests == 1


def test_a_damaged_download_is_fetched_again(tmp_path: Path, home: Home) -> None:
    """A kept file is trusted only while its hash is right."""
    home.offer(CONTENT)
    path = data.fetch(tmp_path, {}).path
    path.write_bytes(CONTENT[:-3])
    assert data.fetch(tmp_path, {}).path.read_bytes() == CONTENT


def test_another_content_is_not_taken_for_the_published_file(tmp_path: Path, home: Home) -> None:
    """A changed file at the public home leads to the generator, and the note names both hashes."""
    home.offer(b"edited")
    dataset = data.fetch(tmp_path, {})
    assert dataset.source == "generator"
    assert hashlib.sha256(b"edited").hexdigest() in dataset.note
    assert not (tmp_path / data.FILE_NAME).exists()


def test_no_archive_leads_to_the_generator(tmp_path: Path, home: Home) -> None:
    """A login page instead of the archive is a failed download."""
    home.body = b"<html>please sign in</html>"
    assert data.fetch(tmp_path, {}).source == "generator"


def test_a_silent_home_is_not_waited_for(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait has an end, and the generated file is as large as the published one."""
    monkeypatch.setattr(data, "_PATIENCE_SECONDS", 0.05)
    home.delay = 0.3
    dataset = data.fetch(tmp_path, {})
    assert "did not answer within 0.05 s" in dataset.note
    assert dataset.sha256 == hashlib.sha256(dataset.path.read_bytes()).hexdigest()
    assert len(dataset.path.read_text().splitlines()) == 10_001


def test_a_generated_file_is_used_again(tmp_path: Path, home: Home) -> None:
    """Offline the data stays the same from run to run, without another wait."""
    first = data.fetch(tmp_path, {})
    second = data.fetch(tmp_path, {})
    assert first.sha256 == second.sha256
    assert "remove" in second.note
    assert home.requests == 1


def test_the_command_line_generates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``--rows --seed --output`` writes the generator's rows and prints the hash."""
    output, expected = tmp_path / "made.csv", tmp_path / "expected.csv"
    data.main(["--rows", "50", "--seed", "5", "--output", str(output)])
    generator.write_csv(expected, 50, 5)
    assert output.read_bytes() == expected.read_bytes()
    assert hashlib.sha256(output.read_bytes()).hexdigest() in capsys.readouterr().out
    with pytest.raises(SystemExit):
        data.main(["--rows", "0", "--output", str(output)])
