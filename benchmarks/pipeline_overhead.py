"""Measure what the pipeline costs beside a bare script, and beside the workshop's way.

On generated rows, five trees of depth eight with 256 bins on every side:

(a) one execution of the real pipeline, as compiled, on a warm localcloud of its own: from the
    StartPipelineExecution call to the end that the service recorded. The sources and the csv are
    uploaded before; nothing comes from the cache.
(b) a bare script that calls the jobs' own functions on local files, in one cold process
    (`support/bare.py`).
(c) the workshop's way, in one cold process (`support/workshop.py`).

The three take turns; medians count. Memory is the highest sum of the proportional set sizes of all
processes - for (a) gateway, fork servers and jobs - in runs of its own, for sampling takes time.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support import bare
from benchmarks.support.executions import Clients
from benchmarks.support.memory import sampled
from localcloud.addresses import SERVER_FILE
from localcloud.testing import TestCloud, localcloud
from pipelines import bundle
from pipelines.predictive_maintenance import data, generator
from pipelines.predictive_maintenance.pipeline import compile_definition
from pipelines.settings import Settings

_SUPPORT: Final = Path(__file__).resolve().parent / "support"
_WARM_UP_ROWS: Final = 3_000
_SEED: Final = 1


class RealPipeline:
    """The compiled pipeline on a localcloud; `run` gives it data that it has not seen."""

    def __init__(self, cloud: TestCloud) -> None:
        self._clients = Clients(cloud)
        self._settings = Settings.from_environment({"AWS_REGION": cloud.environment["AWS_REGION"]})
        self._runs = 0
        settings = self._settings
        self._clients.s3.create_bucket(Bucket=settings.bucket)
        bundles = bundle.collect().values()
        bundle.upload(self._clients.s3, bundles, settings.bucket, settings.prefix)
        self._clients.sagemaker.create_model_package_group(
            ModelPackageGroupName=settings.model_package_group_name
        )
        self._clients.sagemaker.create_pipeline(
            PipelineName=settings.pipeline_name,
            PipelineDefinition=compile_definition(settings),
            RoleArn=settings.role_arn,
            ClientRequestToken=f"pipeline-overhead-{settings.pipeline_name:0>32}",
        )

    def upload(self, path: Path) -> str:
        """Store the csv under a key that no execution has read, and return its URI."""
        self._runs += 1
        uri = self._settings.uri("data", str(self._runs), data.FILE_NAME)
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        self._clients.s3.upload_file(str(path), bucket, key)
        return uri

    def run(self, uri: str) -> float:
        """Run one execution on this csv; return its seconds."""
        chosen = {
            "InputDataUri": uri,
            "NumRound": bare.HYPERPARAMETERS["num_round"],
            "MaxDepth": bare.HYPERPARAMETERS["max_depth"],
            "MaxBin": bare.HYPERPARAMETERS["max_bin"],
            "EarlyStoppingRounds": bare.HYPERPARAMETERS["early_stopping_rounds"],
            "TestRatio": bare.TEST_RATIO,
            "ValidationRatio": bare.VALIDATION_RATIO,
            "Seed": bare.SEED,
            # Five trees are no model: let them through.
            **dict.fromkeys(("MinAveragePrecision", "MinRecall", "MinPrecision"), "0.0"),
        }
        return self._clients.execute(self._settings.pipeline_name, chosen).seconds


def main() -> int:
    """Print a table for a person and one JSON object, on the last line, for a program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--runs", type=int, help="default: 7, above 100,000 rows 3")
    options = parser.parse_args()
    runs = options.runs or (7 if options.rows <= 100_000 else 3)
    seconds: dict[str, list[float]] = {"pipeline": [], "script": [], "workshop": []}
    memory: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "data" / data.FILE_NAME
        path.parent.mkdir()
        generator.write_csv(path, options.rows, _SEED)
        with localcloud(folder / "state") as cloud:
            pipeline = RealPipeline(cloud)
            little = folder / "little.csv"
            generator.write_csv(little, _WARM_UP_ROWS, _SEED)
            pipeline.run(pipeline.upload(little))
            for number in range(runs):
                seconds["pipeline"].append(pipeline.run(pipeline.upload(path)))
                script = [_SUPPORT / "bare.py", path.parent, folder / f"work-{number}"]
                seconds["script"].append(_time(script))
                seconds["workshop"].append(_time([_SUPPORT / "workshop.py", path]))
            memory["pipeline"] = _measure_pipeline(cloud, pipeline, pipeline.upload(path))
        memory["script"] = _measure([_SUPPORT / "bare.py", path.parent, folder / "work-memory"])
        memory["workshop"] = _measure([_SUPPORT / "workshop.py", path])
    _report(options.rows, seconds, memory)
    return 0


def _report(rows: int, seconds: dict[str, list[float]], memory: dict[str, int]) -> None:
    print(f"{rows:,} rows, {len(seconds['pipeline'])} runs; seconds, median (range); peak memory\n")
    middle = {side: statistics.median(values) for side, values in seconds.items()}
    for side, values in seconds.items():
        span = f"({min(values):.2f}-{max(values):.2f})"
        print(f"{side:<10}{middle[side]:8.2f} {span:<15}{memory[side] / 1e6:8.0f} MB")
    summary = {
        "rows": rows,
        "ratio_wall": middle["pipeline"] / middle["script"],
        "ratio_memory": memory["pipeline"] / memory["script"],
        "ratio_workshop": middle["pipeline"] / middle["workshop"],
        **{f"{side}_seconds": value for side, value in middle.items()},
        **{f"{side}_bytes": size for side, size in memory.items()},
    }
    print(json.dumps({key: round(value, 4) for key, value in summary.items()}))


def _time(command: list[Path]) -> float:
    started = time.perf_counter()
    _finish(_start(command))
    return time.perf_counter() - started


def _measure(command: list[Path]) -> int:
    process = _start(command)
    with sampled(process.pid) as peak:
        _finish(process)
    return peak.size


def _measure_pipeline(cloud: TestCloud, pipeline: RealPipeline, uri: str) -> int:
    server: int = json.loads((cloud.address.state / SERVER_FILE).read_text())["pid"]
    with sampled(server) as peak:
        pipeline.run(uri)
    return peak.size


def _start(command: list[Path]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def _finish(process: subprocess.Popen[str]) -> None:
    said, _ = process.communicate()
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, process.args, said)


if __name__ == "__main__":
    sys.exit(main())
