"""The store itself: links, crashes, orphans, processes, memory."""
# ruff: noqa: S324  (MD5 is what an ETag is)

import hashlib
import http.client
import io
import shutil
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError
from s3_server import ACCOUNT, make_client, serving_process

from localcloud.s3 import ObjectStore
from localcloud.s3.errors import NoSuchBucket, NoSuchKey

MEGABYTE = 1 << 20
SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request"}


@pytest.fixture
def store(tmp_path):
    store = ObjectStore(tmp_path / "s3")
    store.create_bucket(ACCOUNT, "us-east-1", "bucket")
    return store


def files(root):
    return {path for path in root.rglob("*/*") if path.is_file()}


def test_a_file_becomes_an_object_by_hard_link_and_read_only(store, tmp_path):
    source = tmp_path / "model.tar.gz"
    source.write_bytes(b"model")
    stored = store.put_file("bucket", "m/model.tar.gz", source, content_type="application/gzip")
    assert stored.path.samefile(source)
    assert stored.path.stat().st_mode & 0o777 == 0o444
    assert stored.etag == hashlib.md5(b"model").hexdigest()
    assert store.get("bucket", "m/model.tar.gz") == stored
    assert (stored.size, stored.content_type, stored.version_id) == (5, "application/gzip", None)


def test_a_file_that_cannot_be_linked_is_copied(store, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    source = tmp_path / "a"
    source.write_bytes(b"1" * 3_000_000)
    stored = store.put_file("bucket", "a", source)
    assert not stored.path.samefile(source)
    assert stored.path.read_bytes() == source.read_bytes()
    assert stored.path.stat().st_mode & 0o777 == 0o444


def test_who_linked_an_object_keeps_it_when_it_is_replaced(store, tmp_path):
    store.put_stream("bucket", "k", io.BytesIO(b"old"))
    stored, file = store.open("bucket", "k")
    link = tmp_path / "input"
    link.hardlink_to(stored.path)
    store.put_stream("bucket", "k", io.BytesIO(b"new"))
    assert not stored.path.exists()
    with file:
        assert (link.read_bytes(), file.read()) == (b"old", b"old")


def test_objects_are_listed_in_order_across_pages_while_they_are_deleted(store):
    keys = [f"p/{number:04d}" for number in range(1005)]
    for key in [*keys, "q", "o"]:
        store.put_stream("bucket", key, io.BytesIO())
    listed = []
    for stored in store.list("bucket", "p/"):
        listed.append(stored.key)
        store.delete("bucket", stored.key)
    assert listed == keys
    assert [stored.key for stored in store.list("bucket")] == ["o", "q"]


def test_a_stream_that_raises_leaves_the_old_object_and_no_file(store, tmp_path):
    store.put_stream("bucket", "k", io.BytesIO(b"old"))
    before = files(tmp_path / "s3" / "objects")

    class Broken(io.RawIOBase):
        blocks = iter([b"x" * MEGABYTE])

        def read(self, size=-1):
            return next(self.blocks)

    with pytest.raises(StopIteration):
        store.put_stream("bucket", "k", Broken())
    assert files(tmp_path / "s3" / "objects") == before
    assert files(tmp_path / "s3" / "incoming") == set()
    assert store.get("bucket", "k").path.read_bytes() == b"old"


def test_what_is_not_there_is_named(store):
    with pytest.raises(NoSuchBucket):
        store.get("other-bucket", "k")
    with pytest.raises(NoSuchBucket):
        list(store.list("other-bucket"))
    with pytest.raises(NoSuchKey):
        store.get("bucket", "k")
    assert store.delete("bucket", "k") is None


def test_a_store_opened_again_has_everything_but_orphans(store, tmp_path):
    root = tmp_path / "s3"
    kept = store.put_stream("bucket", "k", io.BytesIO(b"kept"))
    orphan = root / "objects" / "ab" / ("ab" + "0" * 30)
    unfinished = root / "incoming" / ("0" * 32)
    for path in (orphan, unfinished):
        path.write_bytes(b"x")
    second = ObjectStore(root)  # the first is still open, and could be writing
    assert orphan.exists()
    for opened in (store, second):
        opened.close()
    assert ObjectStore(root).get("bucket", "k") == kept
    assert not orphan.exists()
    assert not unfinished.exists()
    assert kept.path.read_bytes() == b"kept"


def test_a_kill_in_the_middle_of_a_put_leaves_the_old_object_whole(store, tmp_path):
    root = tmp_path / "s3"
    store.put_stream("bucket", "k", io.BytesIO(b"old"))
    store.close()
    with serving_process(root) as (process, endpoint):
        connection = http.client.HTTPConnection(urlsplit(endpoint).netloc)
        connection.putrequest("PUT", "/bucket/k")
        for name, value in {**SIGNED, "Content-Length": str(100 * MEGABYTE)}.items():
            connection.putheader(name, value)
        connection.endheaders()
        connection.send(b"n" * 20 * MEGABYTE)
        deadline = time.monotonic() + 10
        while not any(path.stat().st_size for path in (root / "incoming").iterdir()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.kill()
        process.wait()
        connection.close()
    reopened = ObjectStore(root)
    assert reopened.get("bucket", "k").path.read_bytes() == b"old"
    assert files(root / "incoming") == set()
    assert len(files(root / "objects")) == 1


def test_kills_at_any_moment_leave_only_whole_objects(store, tmp_path):
    root = tmp_path / "s3"
    store.close()
    for moment in (0.05, 0.15):
        with serving_process(root) as (process, endpoint):
            client = make_client(endpoint)
            client.list_buckets()
            threading.Timer(moment, process.kill).start()
            with suppress(BotoCoreError):  # whatever a dead server gives
                for number in range(100_000):
                    body = b"%d" % number * 50_000
                    client.put_object(Bucket="bucket", Key=f"k{number % 3}", Body=body)
            assert process.wait() == -signal.SIGKILL
    reopened = ObjectStore(root)
    stored = list(reopened.list("bucket"))
    assert stored
    for entry in stored:
        content = entry.path.read_bytes()
        assert (len(content), hashlib.md5(content).hexdigest()) == (entry.size, entry.etag)
    assert len(files(root / "objects")) == len(stored)
    reopened.close()


def test_two_processes_share_a_store(store, tmp_path):
    with serving_process(tmp_path / "s3") as (_, endpoint):
        client = make_client(endpoint)
        client.put_object(Bucket="bucket", Key="theirs", Body=b"1")
        store.put_stream("bucket", "ours", io.BytesIO(b"2"))
        assert store.get("bucket", "theirs").path.read_bytes() == b"1"
        assert client.get_object(Bucket="bucket", Key="ours")["Body"].read() == b"2"


class Peak:
    """The most resident memory that a process has while this runs, in bytes above the start."""

    def __init__(self, process):
        self.process = psutil.Process(process.pid)
        self.start = self.most = self.process.memory_info().rss
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.done.wait(0.02):
            self.most = max(self.most, self.process.memory_info().rss)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()

    @property
    def growth(self):
        return self.most - self.start


def transfer(store, tmp_path, size, config):
    """Upload and download a sparse file of this size; the server's growth in memory."""
    source, target = tmp_path / "source", tmp_path / "target"
    with source.open("wb") as file:
        file.write(b"first")
        file.truncate(size)
        file.seek(size - 4)
        file.write(b"last")
    store.close()
    with serving_process(tmp_path / "s3") as (process, endpoint):
        client = make_client(endpoint, read_timeout=300)
        client.list_buckets()
        with Peak(process) as peak:
            client.upload_file(str(source), "bucket", "big", Config=config)
            assert client.head_object(Bucket="bucket", Key="big")["ContentLength"] == size
            client.download_file("bucket", "big", str(target), Config=config)
    subprocess.run(["cmp", source, target], check=True)
    for path in [source, target, *files(tmp_path / "s3" / "objects")]:
        path.unlink()
    return peak.growth


@pytest.mark.slow
def test_300_megabytes_pass_in_one_piece_in_little_memory(store, tmp_path):
    config = TransferConfig(multipart_threshold=1 << 40, use_threads=False)
    assert transfer(store, tmp_path, 300 * MEGABYTE, config) < 100 * MEGABYTE


@pytest.mark.slow
def test_five_gigabytes_pass_in_parts_in_little_memory(store, tmp_path):
    # The source is sparse, but its parts, the object and the download are not.
    if shutil.disk_usage(tmp_path).free < 25 * 1024 * MEGABYTE:
        pytest.skip("this needs 25 GB of free disk")
    config = TransferConfig(multipart_chunksize=64 * MEGABYTE, max_concurrency=4)
    assert transfer(store, tmp_path, 5 * 1024 * MEGABYTE + 5, config) < 100 * MEGABYTE
