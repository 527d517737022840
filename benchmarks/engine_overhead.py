"""Measure what the engine adds to a step: executions of empty Processing steps.

One execution has its steps in a chain, the other has them side by side, on a warm localcloud of its
own. The overhead of an execution is its wall time less the critical path of its jobs' seconds:

- wall time is from the StartPipelineExecution call to the end that the service recorded;
- a job's seconds are ProcessingStartTime to ProcessingEndTime: from just before its process is
  forked to the moment in which its end is known, so laying out inputs, storing outputs and all
  records count as overhead;
- the critical path is the sum of the jobs' seconds in the chain, the longest job side by side.

Divided by the number of steps and by `python -c pass`, the least that any process costs here: the
same interpreter, run between the executions. `*_wall_ratio` takes nothing off.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support.executions import Clients, Execution, Job
from localcloud.testing import localcloud

_BUCKET: Final = "engine-overhead"
_ROLE: Final = "arn:aws:iam::000000000000:role/pipeline"
_IMAGE: Final = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.9-0-cpu-py3"
_CODE: Final = "/opt/ml/processing/input/code"
_PYTHON_RUNS: Final = 7


def main() -> int:
    """Print a table for a person and one JSON object, on the last line, for a program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20, help="of each execution")
    parser.add_argument("--runs", type=int, default=7, help="of each execution; the median counts")
    options = parser.parse_args()
    shapes: dict[str, tuple[bool, Callable[[Sequence[Job]], float]]] = {
        "chain": (True, lambda jobs: sum(job.seconds for job in jobs)),
        "parallel": (False, lambda jobs: max(job.seconds for job in jobs)),
    }
    python: list[float] = []
    overhead: dict[str, list[float]] = {name: [] for name in shapes}
    wall: dict[str, list[float]] = {name: [] for name in shapes}
    with tempfile.TemporaryDirectory() as folder, localcloud(Path(folder)) as cloud:
        clients = Clients(cloud)
        clients.s3.create_bucket(Bucket=_BUCKET)
        clients.s3.put_object(Bucket=_BUCKET, Key="code/empty.py", Body=b"")
        for name, (chained, _) in shapes.items():
            clients.sagemaker.create_pipeline(
                PipelineName=name,
                PipelineDefinition=_define(options.steps, chained=chained),
                RoleArn=_ROLE,
                ClientRequestToken=f"engine-overhead-{name:0>32}",
            )
            clients.execute(name)
        for _ in range(options.runs):
            for name, (_, critical_path) in shapes.items():
                python.append(_time_python())
                done: Execution = clients.execute(name)
                wall[name].append(done.seconds / options.steps)
                spent = done.seconds - critical_path(done.jobs)
                overhead[name].append(spent / options.steps)

    unit = statistics.median(python)
    summary: dict[str, float] = {}
    print(
        f"{options.steps} empty steps, {options.runs} runs; milliseconds a step, median (range)\n"
    )
    for name in shapes:
        for what, values in (("overhead", overhead[name]), ("wall", wall[name])):
            low, middle, high = (1e3 * f(values) for f in (min, statistics.median, max))
            ratio = middle / 1e3 / unit
            print(f"{name:<9} {what:<9}{middle:8.1f} ({low:.1f}-{high:.1f}) = {ratio:.2f} x python")
            summary[f"{name}_ratio" if what == "overhead" else f"{name}_wall_ratio"] = ratio
    print(f"python -c pass     {1e3 * unit:8.1f} ({1e3 * min(python):.1f}-{1e3 * max(python):.1f})")
    summary["per_step_ratio"] = max(summary["chain_ratio"], summary["parallel_ratio"])
    summary["python_seconds"] = unit
    print(json.dumps({key: round(value, 4) for key, value in summary.items()}))
    return 0


def _define(steps: int, *, chained: bool) -> str:
    names = [f"Step{number}" for number in range(steps)]
    return json.dumps(
        {
            "Version": "2020-12-01",
            "Parameters": [],
            "Steps": [
                _empty_step(name, names[index - 1 : index] if chained and index else [])
                for index, name in enumerate(names)
            ],
        }
    )


def _empty_step(name: str, after: list[str]) -> dict[str, Any]:
    """Define a step as a pipeline has them: its script is an input; it just does nothing."""
    return {
        "Name": name,
        "Type": "Processing",
        "DependsOn": after,
        "Arguments": {
            "ProcessingResources": {
                "ClusterConfig": {
                    "InstanceCount": 1,
                    "InstanceType": "ml.m5.large",
                    "VolumeSizeInGB": 30,
                }
            },
            "AppSpecification": {
                "ImageUri": _IMAGE,
                "ContainerEntrypoint": ["python3", f"{_CODE}/empty.py"],
            },
            "ProcessingInputs": [
                {
                    "InputName": "code",
                    "S3Input": {
                        "S3Uri": f"s3://{_BUCKET}/code",
                        "LocalPath": _CODE,
                        "S3DataType": "S3Prefix",
                        "S3InputMode": "File",
                    },
                }
            ],
        },
    }


def _time_python() -> float:
    """Return the median seconds of `python -c pass`."""
    times = []
    for _ in range(_PYTHON_RUNS):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


if __name__ == "__main__":
    sys.exit(main())
