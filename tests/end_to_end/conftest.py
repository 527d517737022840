"""One localcloud with the pipeline's bucket, role and group for all end-to-end tests."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Account, CommandLine
from runs import Finished, Project

from localcloud.testing import TestCloud, localcloud
from pipelines.predictive_maintenance import data, generator


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that AI4I_DATA names, else one with generated rows."""
    named = os.environ.get(data.FOLDER_VARIABLE)
    if named:
        return Path(named)
    folder = tmp_path_factory.mktemp("data")
    generator.write_csv(folder / data.FILE_NAME, rows=3000, seed=2020)
    return folder


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestCloud]:
    """A localcloud of these tests' own; the images' environments are the user's."""
    with localcloud(tmp_path_factory.mktemp("cloud") / "state") as running:
        yield running


@pytest.fixture(scope="session")
def project(
    cloud: TestCloud, data_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    """The project after `bootstrap`."""
    made = Project(cloud, data_folder, tmp_path_factory.mktemp("outcomes"))
    answer = made.command("bootstrap")
    assert answer.code == 0, answer.text
    return made


@pytest.fixture(scope="session")
def first(project: Project) -> Finished:
    """The first run: nothing of it can come from a cache."""
    return project.run()


@pytest.fixture(scope="session")
def account(project: Project) -> Account:
    return project.account


@pytest.fixture(scope="session")
def command(project: Project) -> CommandLine:
    return project.command
