import ast
import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import compiled
import moto
import pytest

from pipelines import bundle

MODEL = "pipelines/predictive_maintenance"


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    return compiled.copy_sources(tmp_path)


@pytest.fixture
def s3() -> Iterator[Any]:
    with moto.mock_aws():
        client = boto3.client(
            "s3", "us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
        )
        client.create_bucket(Bucket="bucket")
        yield client


def digests(root: Path) -> dict[str, str]:
    return {job: each.digest for job, each in bundle.collect(root).items()}


def append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def test_the_same_sources_have_the_same_digests_and_bytes_wherever_they_lie(sources: Path) -> None:
    for path in sources.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    here, there = bundle.collect(), bundle.collect(sources)
    assert {job: each.objects() for job, each in here.items()} == {
        job: each.objects() for job, each in there.items()
    }


def test_a_change_of_one_job_changes_that_jobs_digest_only(sources: Path) -> None:
    before = digests(sources)
    append(sources / MODEL / "evaluate" / "evaluate.py", "# changed\n")
    after = digests(sources)
    assert {job for job in before if before[job] != after[job]} == {"evaluate"}


def test_a_change_of_the_data_contract_changes_every_digest(sources: Path) -> None:
    before = digests(sources)
    append(sources / MODEL / "schema.py", "# changed\n")
    after = digests(sources)
    assert all(before[job] != after[job] for job in before)


def test_the_digest_depends_on_a_files_name_and_on_where_it_ends() -> None:
    def digest(**contents: bytes) -> str:
        return bundle.Bundle("job", contents, archive=False).digest

    assert len({digest(a=b"xy"), digest(b=b"xy"), digest(a=b"x", y=b""), digest(ax=b"y")}) == 4


def test_stray_files_stay_out(sources: Path) -> None:
    before = digests(sources)
    for name in (
        "__pycache__/train.cpython-311.pyc",
        "notes.txt",
        ".train.py.swp",
        "test/test_x.py",
    ):
        path = sources / MODEL / "train" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("stray", encoding="utf-8")
    assert digests(sources) == before


@pytest.mark.parametrize("job", bundle.JOBS)
def test_a_bundle_brings_its_script_at_the_root_and_all_that_its_modules_import(job: str) -> None:
    contents = bundle.collect()[job].contents
    assert f"{job}.py" in contents
    assert f"{MODEL}/{job}/{job}.py" not in contents
    for name, content in contents.items():
        if name.endswith(".py"):
            for needed in _imported(ast.parse(content)):
                path = needed.replace(".", "/")
                assert {f"{path}.py", f"{path}/__init__.py"} & contents.keys(), f"{name}: {needed}"


def _imported(tree: ast.Module) -> Iterator[str]:
    """Yield the modules of this repository that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name.startswith("pipelines"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pipelines"):
            yield str(node.module)
            for each in node.names:
                path = f"{node.module}.{each.name}".replace(".", "/")
                if (bundle.ROOT / f"{path}.py").exists() or (bundle.ROOT / path).is_dir():
                    yield path.replace("/", ".")


def test_the_archive_is_sorted_and_knows_no_time_and_no_user() -> None:
    train = bundle.collect()["train"]
    ((key, packed),) = train.objects().items()
    assert key == f"code/train/{train.digest}/sourcedir.tar.gz"
    assert packed[4:8] == b"\0\0\0\0"  # gzip's time stamp
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        entries = archive.getmembers()
        names = [entry.name for entry in entries]
        read = {name: archive.extractfile(name).read() for name in names}  # type: ignore[union-attr]
    assert names == sorted(names)
    assert {(each.mtime, each.uid, each.gid, each.uname, each.mode) for each in entries} == {
        (0, 0, 0, "", 0o644)
    }
    assert read == train.contents


def test_an_upload_stores_what_is_missing_and_completes_one_cut_short(s3: Any) -> None:
    bundles = bundle.collect().values()
    stored = bundle.upload(s3, bundles, "bucket", "prefix")
    assert bundle.upload(s3, bundles, "bucket", "prefix") == []

    evaluate = bundle.collect()["evaluate"]
    uri = f"s3://bucket/prefix/{evaluate.key}/evaluate.py"
    assert uri in stored
    s3.delete_object(Bucket="bucket", Key=f"prefix/{evaluate.key}/evaluate.py")
    assert bundle.upload(s3, bundles, "bucket", "prefix") == [uri]

    body = s3.get_object(Bucket="bucket", Key=f"prefix/{evaluate.key}/evaluate.py")["Body"].read()
    assert body == evaluate.contents["evaluate.py"]


def test_an_upload_into_a_bucket_that_refuses_is_an_error(s3: Any) -> None:
    with pytest.raises(s3.exceptions.ClientError, match=r"NoSuchBucket|404"):
        bundle.upload(s3, bundle.collect().values(), "missing-bucket", "prefix")


def test_a_missing_source_is_named(sources: Path) -> None:
    (sources / MODEL / "table.py").unlink()
    with pytest.raises(bundle.BundleError, match=r"job preprocess: .*table\.py"):
        bundle.collect(sources)
    (sources / MODEL / "table.py").touch()
    (sources / MODEL / "train" / "train.py").unlink()
    with pytest.raises(bundle.BundleError, match=r"job train: .*train\.py cannot be read"):
        bundle.collect(sources)
