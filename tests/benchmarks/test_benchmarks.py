"""The benchmarks run and end with their figures; how high those are depends on the machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
pytestmark = pytest.mark.integration


def run(name, *words):
    """Run a benchmark as `make bench` does and return the object on its last line."""
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / name), *words],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.alone
def test_engine_overhead_ends_with_its_ratios():
    """The worse of the two shapes is the ratio that counts, and an overhead is part of a wall."""
    figures = run("engine_overhead.py", "--steps", "2", "--runs", "1")
    assert figures["python_seconds"] > 0
    assert figures["per_step_ratio"] == max(figures["chain_ratio"], figures["parallel_ratio"])
    assert 0 < figures["chain_ratio"] < figures["chain_wall_ratio"]
    assert 0 < figures["parallel_ratio"] < figures["parallel_wall_ratio"]


@pytest.mark.alone
def test_serving_containers_ends_with_its_figures():
    """Nothing is free: a start, a restart and a request all take some time."""
    figures = run("serving_containers.py", "--seconds", "0.5", "--runs", "1")
    assert figures["requests_per_second"] > 1000
    assert 0 < figures["p50_microseconds"] <= figures["p99_microseconds"]
    assert 0 < figures["restart_seconds"] < 5
    assert 0 < figures["start_seconds"] < 30


@pytest.mark.alone
def test_http_api_ends_with_its_figures():
    """A function costs more than a refusal, a cold start more than its initialisation."""
    figures = run("http_api.py", "--seconds", "0.3", "--starts", "2")
    refused, function = (figures[f"{way}_1_p50_microseconds"] for way in ("refused", "function"))
    assert 0 < refused < function
    assert 0 < figures["init_milliseconds"] < figures["cold_invoke_milliseconds"]
    assert figures["guarded_4_per_second"] > 0


@pytest.mark.alone
def test_pipeline_overhead_ends_with_its_ratios():
    """Each ratio is what its two figures say."""
    figures = run("pipeline_overhead.py", "--rows", "2000", "--runs", "1")
    assert figures["rows"] == 2000
    seconds = {side: figures[f"{side}_seconds"] for side in ("pipeline", "script", "workshop")}
    memory = {side: figures[f"{side}_bytes"] for side in seconds}
    assert min(*seconds.values(), *memory.values()) > 0
    for ratio, expected in (
        ("ratio_wall", seconds["pipeline"] / seconds["script"]),
        ("ratio_workshop", seconds["pipeline"] / seconds["workshop"]),
        ("ratio_memory", memory["pipeline"] / memory["script"]),
    ):
        assert figures[ratio] == pytest.approx(expected, rel=0.01)


@pytest.mark.alone
def test_serving_ends_with_its_ratios():
    """Each ratio is what its figures say; every answer was right, or it would not end.

    Those that compare two sides of one run are on the right side, far from what is aimed at.
    """
    figures = run("serving.py", "--quick")
    assert figures["featurizer_vs_echo"] > 0.2
    assert figures["featurizer_rps_ratio"] > 3
    assert figures["featurizer_p99_ratio"] < 1
    assert figures["chain_rps_ratio"] > 2
    for ratio, one, other in (
        ("featurizer_vs_echo", "ours_featurizer_rps", "echo_rps"),
        ("featurizer_rps_ratio", "ours_featurizer_rps", "workshop_featurizer_rps"),
        ("featurizer_p99_ratio", "ours_featurizer_p99_ms", "workshop_featurizer_p99_ms"),
        ("chain_rps_ratio", "ours_chain_rps", "workshop_chain_rps"),
        ("api_over_invoke_p50", "api_p50_ms", "api_endpoint_p50_ms"),
    ):
        assert figures[ratio] == pytest.approx(figures[one] / figures[other], rel=0.01)
    seconds = 1 / figures["ours_chain_batch100_rps"]
    floor = figures["ours_floor_batch100_us"] / 1e6
    assert figures["batch100_over_floor"] == pytest.approx(seconds / floor, rel=0.01)
    assert figures["batch100_over_floor"] > 0.5
    assert figures["api_over_invoke_p50"] > 1, "an API before the endpoint is never free"
    assert figures["api_rps"] < figures["api_endpoint_rps"]
    assert 0 < figures["ours_floor_us"] < figures["workshop_floor_us"]
