"""Images: from an ECR URI to an environment that is whole."""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path

import pytest

from localcloud.containers import environments
from localcloud.containers.environments import Images, build, find_python312
from localcloud.containers.errors import ImageBuildFailed, ImageNotSupported
from localcloud.containers.images import IMAGES, find_image

REGISTRY = "492215442770.dkr.ecr.eu-central-1.amazonaws.com"
CHINA = "450853457545.dkr.ecr.cn-north-1.amazonaws.com.cn"
SHIM = "#!/bin/sh\nexit 127\n"


@pytest.mark.parametrize("registry", [REGISTRY, CHINA])
@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("sagemaker-scikit-learn:1.9-0-cpu-py3", "sklearn-1.9-0"),
        ("sagemaker-scikit-learn:1.9-0", "sklearn-1.9-0"),
        ("sagemaker-xgboost:3.2-0", "xgboost-3.2-0"),
    ],
)
def test_an_image_is_found_in_every_registry(registry: str, name: str, found: str) -> None:
    assert find_image(f"{registry}/{name}").name == found


@pytest.mark.parametrize(
    "name",
    [
        "sagemaker-xgboost:1.7-1",
        "my/own:latest",
        "sagemaker-xgboost",
        "",
        "sagemaker-xgboost:3.2-0x",
    ],
)
def test_an_unknown_image_is_refused_by_name_with_what_there_is(name: str) -> None:
    with pytest.raises(ImageNotSupported, match=r"sagemaker-xgboost:3\.2-0") as caught:
        find_image(f"{REGISTRY}/{name}")
    assert repr(f"{REGISTRY}/{name}") in str(caught.value)


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_a_lock_file_pins_with_hashes_and_names_no_host(image: environments.Image) -> None:
    text = image.lock.read_text()
    packages = re.split(r"\n(?=\S)", text.strip())
    assert all(re.match(r"[\w.-]+==[\w.]+", package) for package in packages)
    assert all("--hash=sha256:" in package for package in packages)
    assert "://" not in text
    assert "--index" not in text


def test_a_python_that_does_not_run_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pyenv shim is an executable that answers 127."""
    shim = tmp_path / "python3.12"
    shim.write_text(SHIM)
    shim.chmod(0o755)
    monkeypatch.setattr(environments, "_candidates", lambda: iter([shim]))
    monkeypatch.delenv("LOCALCLOUD_PYTHON312", raising=False)
    assert find_python312() is None
    monkeypatch.setenv("LOCALCLOUD_PYTHON312", str(shim))
    with pytest.raises(ImageBuildFailed, match="LOCALCLOUD_PYTHON312"):
        find_python312()


def test_without_python312_the_own_environment_serves_and_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(environments, "find_python312", lambda: None)
    images = Images(tmp_path)
    with caplog.at_level(logging.WARNING):
        found = [images.environment(f"{REGISTRY}/sagemaker-xgboost:3.2-0") for _ in range(2)]
    assert {each.python for each in found} == {Path(sys.executable)}
    assert [record.getMessage() for record in caplog.records if "Python 3.12" in record.message]
    assert len(caplog.records) == 1


def test_a_build_that_was_killed_is_made_anew_and_a_whole_one_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last step of a build writes the marker, so a folder without one is not trusted."""
    calls: list[tuple[str, ...]] = []

    def uv(*arguments: str) -> str:
        calls.append(arguments)
        if arguments[0] == "venv":
            Path(arguments[-1], "bin").mkdir(parents=True)
        elif len(calls) == 2:
            raise KeyboardInterrupt
        return ""

    monkeypatch.setattr(environments, "_uv", uv)
    with pytest.raises(KeyboardInterrupt):
        build(IMAGES[0], Path(sys.executable), "3.12.1", tmp_path)
    folder = build(IMAGES[0], Path(sys.executable), "3.12.1", tmp_path)
    assert [call[0] for call in calls] == ["venv", "pip", "venv", "pip"]
    assert build(IMAGES[0], Path(sys.executable), "3.12.1", tmp_path) == folder
    assert len(calls) == 4
    other = build(IMAGES[0], Path(sys.executable), "3.12.2", tmp_path)
    assert other != folder
