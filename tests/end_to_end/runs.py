"""Whole runs of the pipeline, by its command line."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from command_line import FOREIGN, LENIENT, QUICK, ROOT, Account, Answer, CommandLine

from localcloud.testing import TestCloud
from pipelines.predictive_maintenance.data import FOLDER_VARIABLE


@dataclass(frozen=True)
class Finished:
    """A run with `--wait`: what was printed, and what `--output` wrote."""

    answer: Answer
    outcome: Mapping[str, Any]

    @property
    def cached(self) -> set[str]:
        """The names of the steps that were taken from the cache."""
        return {name for name, step in self.outcome["steps"].items() if step["cached"]}

    @property
    def version(self) -> int:
        """The number of the version that was registered."""
        return int(str(self.outcome["model_package_arn"]).rpartition("/")[2])


class Project:
    """The template, led to a cloud: its command line, its account, whole runs of its pipeline."""

    def __init__(self, cloud: TestCloud, folder: Path, work: Path) -> None:
        kept = {name: text for name, text in cloud.environment.items() if name not in FOREIGN}
        self.command = CommandLine(
            kept | {FOLDER_VARIABLE: str(folder), "NO_COLOR": "1", "AWS_PAGER": ""}
        )
        self.account = Account(cloud.address.url)
        self._work = work
        self._runs = 0

    def run(self, *words: str, folder: Path = ROOT) -> Finished:
        """Run the pipeline to its end, which must be a success."""
        self._runs += 1
        output = self._work / f"{self._runs}.json"
        answer = self.command.process(
            "run", "--wait", "--output", str(output), *QUICK, *LENIENT, *words, folder=folder
        )
        assert answer.code == 0, answer.text
        return Finished(answer, json.loads(output.read_text()))
