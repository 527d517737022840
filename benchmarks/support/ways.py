"""The ways in which rows can be asked for their score, and what was measured of each."""

import contextlib
import json
import os
import statistics
import subprocess
import tarfile
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.support import floor, load, models, staging
from benchmarks.support.executions import BenchmarkError, Clients
from benchmarks.support.hosting import deploy, request
from benchmarks.support.models import CSV, NAMES, Models, Side
from localcloud.addresses import HOST
from localcloud.containers.environments import Images
from localcloud.containers.model_layout import PROGRAM
from localcloud.testing import TestCloud

SIZES: Final = {1: 200, 100: 10}
"""Rows of a request, and how many different requests of that size."""
_REGISTRY: Final = "683313688378.dkr.ecr.us-east-1.amazonaws.com"
_IMAGES: Final = {
    "featurizer": f"{_REGISTRY}/sagemaker-scikit-learn:1.9-0-cpu-py3",
    "classifier": f"{_REGISTRY}/sagemaker-xgboost:3.2-0",
}
_WARM_UP_SECONDS: Final = 0.05
# A function starts processes while events wait, which takes seconds that are not to be measured.
_STARTING: Final = 32
_START_SECONDS: Final = 5.0


class Way:
    """One endpoint, or the API before it, and what it is sent, by the number of rows."""

    def __init__(self, name: str, exchanges: Mapping[int, Sequence[load.Exchange]]) -> None:
        self.name = name
        self._exchanges = exchanges
        self._rates: dict[tuple[int, int], list[float]] = defaultdict(list)
        self._latencies: dict[tuple[int, int], list[float]] = defaultdict(list)

    @property
    def sizes(self) -> Collection[int]:
        """The numbers of rows that it is asked for."""
        return self._exchanges.keys()

    def measure(self, address: tuple[str, int], size: int, clients: int, seconds: float) -> None:
        """Add one cell of a round. Raises BenchmarkError for a wrong answer."""
        measured = load.drive(
            address, self._exchanges[size], clients=clients, seconds=seconds,
            warm_up=_WARM_UP_SECONDS,
        )  # fmt: skip
        self._rates[size, clients].append(measured.rate)
        self._latencies[size, clients] += measured.latencies

    def rate(self, size: int, clients: int) -> float:
        """Requests a second: the rounds' median."""
        return statistics.median(self._rates[size, clients])

    def percentile(self, percent: int, size: int, clients: int) -> float:
        """The seconds that so many percent of all rounds' requests did not exceed."""
        return load.percentile(self._latencies[size, clients], percent)


class Floor:
    """A side's handlers in one process, without HTTP."""

    def __init__(self, side: Side, process: subprocess.Popen[str]) -> None:
        self._side = side
        self._process = process
        self._seconds: dict[tuple[str, int], list[float]] = defaultdict(list)

    def measure(self, size: int, seconds: float) -> None:
        """Add one cell of a round. Raises BenchmarkError for a wrong answer."""
        orders, replies = self._process.stdin, self._process.stdout
        assert orders is not None  # noqa: S101 - it was started with both
        assert replies is not None  # noqa: S101
        order = {"side": self._side.name, "rows": size, "seconds": seconds}
        orders.write(json.dumps(order) + "\n")
        orders.flush()
        line = replies.readline()
        if not line:
            raise BenchmarkError(f"the process with the handlers of {self._side.name} ended")
        found = json.loads(line)
        for part, answer in zip(_parts(size), found["answers"], strict=True):
            if not self._side.is_labels(answer.encode(), part):
                raise BenchmarkError(f"{self._side.name} must not answer {part} with {answer!r}")
        for name in NAMES:
            self._seconds[name, size].append(found[name])
        self._seconds["chain", size].append(sum(found[name] for name in NAMES))

    def time(self, name: str, size: int) -> float:
        """Seconds of a request in one handler, or in both: "chain"; the rounds' median."""
        return statistics.median(self._seconds[name, size])


def serve(cloud: TestCloud, made: Models, folder: Path) -> dict[str, Way]:
    """Deploy every way, ask for each request's answer once and see that it is right.

    Raises:
        BenchmarkError: an endpoint is not in service in time, or an answer is wrong.
    """
    echo = (_IMAGES["featurizer"], models.handler_archive("echo", folder / "echo.tar.gz"))
    endpoints = {"echo": [echo], "echo-twice": [echo, echo]}
    for side in made.sides:
        chain = [(_IMAGES[name], side.archives[name]) for name in NAMES]
        endpoints |= {f"{side.name}-{name}": [chain[n]] for n, name in enumerate(NAMES)}
        endpoints[f"{side.name}-chain"] = chain
    deploy(Clients(cloud), endpoints)
    ways = [_prepare(cloud, made, name) for name in ("refused", "echo", "echo-twice")]
    for side in made.sides:
        parts = (*NAMES, "chain")
        ways += [_prepare(cloud, made, f"{side.name}-{part}", side, part) for part in parts]
    ways += _prepare_stage(cloud, made, folder)
    return {way.name: way for way in ways}


def _prepare_stage(cloud: TestCloud, made: Models, folder: Path) -> list[Way]:
    """A stage's endpoint and its API, asked for the same single rows."""
    stage = staging.stage(cloud, made, _IMAGES, folder)
    region, address = cloud.environment["AWS_REGION"], (HOST, cloud.address.data_port)
    status, _ = load.ask(address, stage.request(made.rows[0], token="wrong"))  # noqa: S106
    if status != 403:
        raise BenchmarkError(f"the API must refuse a wrong token with 403, not {status}")
    direct, through = [], []
    for part in _parts(1):
        sent = request(stage.endpoint, region, CSV, _csv(made, part))
        status, answer = load.ask(address, sent)
        if status != 200 or not made.ours.is_labels(answer, part):
            raise BenchmarkError(f"the stage must not answer {part} with {status} {answer[:400]!r}")
        direct.append(load.Exchange(sent, status, answer))
        scores = staging.read_scores(answer)
        sent = stage.request(made.rows[part.start])
        status, answer = load.ask(address, sent)
        if status != 200 or staging.read_predictions(answer) != scores:
            raise BenchmarkError(f"the API must not answer {part} with {status} {answer[:400]!r}")
        through.append(load.Exchange(sent, status, answer, staging.find_request_id(answer)))
    load.drive(address, through, clients=_STARTING, seconds=_START_SECONDS, warm_up=0)
    return [Way("api-endpoint", {1: direct}), Way("api", {1: through})]


def _prepare(
    cloud: TestCloud, made: Models, name: str, side: Side | None = None, part: str = ""
) -> Way:
    region, address = cloud.environment["AWS_REGION"], (HOST, cloud.address.data_port)
    exchanges: dict[int, list[load.Exchange]] = {size: [] for size in SIZES}
    for size, found in exchanges.items():
        for rows in _parts(size):
            body, content_type = _csv(made, rows), CSV
            if side is not None and part == "classifier":
                body, content_type = side.features(rows), side.content_type
            sent = request(name, region, content_type, body)
            status, answer = load.ask(address, sent)
            if side is None:
                right = status == 400 if name == "refused" else answer == body
            else:
                check = side.is_features if part == "featurizer" else side.is_labels
                right = status == 200 and check(answer, rows)
            if not right:
                raise BenchmarkError(
                    f"{name} must not answer {rows} with {status} {answer[:400]!r}"
                )
            found.append(load.Exchange(sent, status, answer))
    return Way(name, exchanges)


@contextlib.contextmanager
def floors(made: Models, folder: Path) -> Iterator[dict[str, Floor]]:
    """A process of the XGBoost image, which carries scikit-learn too, with all handlers."""
    for side in made.sides:
        for name in NAMES:
            with tarfile.open(side.archives[name]) as archive:
                archive.extractall(folder / side.name / name, filter="data")
    payloads = {size: [_csv(made, rows).decode() for rows in _parts(size)] for size in SIZES}
    (folder / "payloads.json").write_text(json.dumps(payloads))
    environment = {
        "OMP_NUM_THREADS": "1",  # as the image sets it
        "PYTHONPATH": str(PROGRAM.parent / "toolkit"),
        "PYTHONWARNINGS": "ignore",  # our featurizer was pickled by another scikit-learn
    }
    with subprocess.Popen(
        [Images().environment(_IMAGES["classifier"]).python, floor.__file__, str(folder)],
        env=os.environ | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield {side.name: Floor(side, process) for side in made.sides}
        finally:
            process.kill()


def _parts(size: int) -> list[slice]:
    """The rows of each request of a size."""
    return [slice(number * size, (number + 1) * size) for number in range(SIZES[size])]


def _csv(made: Models, rows: slice) -> bytes:
    return "".join(f"{row}\n" for row in made.rows[rows]).encode()
