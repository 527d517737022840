"""The functions' code as one zip: it is whole, and the same files make the same bytes."""

import ast
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from gateway_events import CONTEXT, event

from deploy_endpoint import function_zip

# Lambda's Python 3.12 brings boto3 and what boto3 needs; botocore takes certifi where it is.
OF_LAMBDA = {"boto3", "botocore", "certifi", "dateutil", "jmespath", "s3transfer", "six", "urllib3"}
RUN = """
import importlib, json, sys
from types import SimpleNamespace
folder, made, context, allowed = json.loads(sys.stdin.read())
sys.path.insert(0, folder)
found = [importlib.import_module(name) for name in ("api.app", "api.authorizer")]
context = SimpleNamespace(**context, get_remaining_time_in_millis=lambda: 28_000)
answer = found[0].handler(made, context)
outside = {
    name.partition(".")[0] for name, module in sys.modules.items()
    if "site-packages" in (getattr(module, "__file__", None) or "")
}
print(json.dumps([answer["statusCode"], answer["body"][:15], sorted(outside - set(allowed))]))
"""


@pytest.fixture(scope="module")
def content() -> bytes:
    return function_zip.build()


def test_the_same_files_make_the_same_bytes_and_name(content: bytes) -> None:
    again = function_zip.build()
    assert again == content
    assert function_zip.name(again) == function_zip.name(content)
    assert len(content) < 3_000_000


def test_the_functions_run_from_the_zip_with_nothing_but_lambdas_own(
    content: bytes, tmp_path: Path
) -> None:
    zipfile.ZipFile(io.BytesIO(content)).extractall(tmp_path)
    given = [str(tmp_path), event("GET", "/"), vars(CONTEXT), sorted(OF_LAMBDA)]
    done = subprocess.run(
        [sys.executable, "-I", "-c", RUN],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=True,
    )
    status, body, outside = json.loads(done.stdout.splitlines()[-1])
    assert (status, body) == (200, "<!doctype html>")
    # What this interpreter loads by itself for editable installs is not the functions'.
    assert [name for name in outside if not name.startswith("_")] == []


def test_the_name_does_not_depend_on_who_installed_what_is_packed(
    monkeypatch, tmp_path: Path
) -> None:
    lock, made = tmp_path / "lambda.txt", []
    lock.write_text("packed==1 \\\n")
    monkeypatch.setattr(function_zip, "LOCK", lock)
    for installer in ("pip", "uv"):
        notes = tmp_path / installer / "packed-1.dist-info"
        notes.mkdir(parents=True)
        (notes / "METADATA").write_text("Metadata-Version: 2.1\nName: packed\nVersion: 1\n")
        (notes / "WHEEL").write_text("Tag: py3-none-any\n")
        (notes / "INSTALLER").write_text(installer)
        if installer == "uv":
            (notes / "REQUESTED").write_text("")
        listed = sorted(f"packed-1.dist-info/{each.name},," for each in notes.iterdir())
        (notes / "RECORD").write_text("\n".join([*listed, "packed-1.dist-info/RECORD,,\n"]))
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(tmp_path / installer))
            made.append(function_zip.build())
    assert made[0] == made[1]
    names = zipfile.ZipFile(io.BytesIO(made[0])).namelist()
    assert "packed-1.dist-info/METADATA" in names


def test_the_sources_are_python_3_12(content: bytes) -> None:
    archive = zipfile.ZipFile(io.BytesIO(content))
    sources = [name for name in archive.namelist() if name.startswith("api/")]
    assert "api/authorizer.py" in sources
    for name in sources:
        if name.endswith(".py"):
            ast.parse(archive.read(name), feature_version=(3, 12))


def test_a_dependency_of_another_version_is_refused(monkeypatch, tmp_path: Path) -> None:
    lock = tmp_path / "lambda.txt"
    monkeypatch.setattr(function_zip, "LOCK", lock)
    for text in ("jmespath==0.0.1 \\\n", "no-such-package==1 \\\n", "xgboost-cpu==3.2.0 \\\n"):
        lock.write_text(text)
        with pytest.raises(function_zip.MissingDependencyError, match=text.partition("=")[0]):
            function_zip.build()
