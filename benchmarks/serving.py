"""Measure what an endpoint's request costs: our containers, the workshop's, and what lies below.

One localcloud of its own serves, each on one instance, to the same rows of the test part:

- ours and workshop: featurizer and classifier as a two-container endpoint, and each alone;
- echo, echo twice: handlers that give back what came, so that only the machinery counts;
- refused: a request for an endpoint that is not there, so that only the data plane counts;
- api: ours as a stage that `python -m deploy_endpoint deploy` made, single rows as JSON through its
  HTTP API with the token, beside the stage's own endpoint asked directly: api-endpoint. The stage's
  throttling is lifted to the account's most.

The floor is both handlers of a side in one process without HTTP, in the environment of the XGBoost
image. One process asks (`support/load.py`), single rows and batches of 100, by 1, 8 and 32 clients;
every answer is compared with the right one. The sides take turns, in the other direction every
other round. Requests a second are the rounds' median, percentiles are of all rounds' requests.
"""

import argparse
import itertools
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support import models
from benchmarks.support.models import NAMES
from benchmarks.support.ways import SIZES, Floor, Way, floors, serve
from localcloud.addresses import HOST
from localcloud.testing import localcloud
from pipelines.predictive_maintenance import data, generator

_CLIENTS: Final = (1, 8, 32)
_MAIN: Final = 8
_QUICK: Final = ("--num_round", "25")
_GENERATED_ROWS: Final = 10_000
_SEED: Final = 1


def main() -> int:
    """Print tables for a person and one JSON object, on the last line, for a program."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=0.35, help="of a cell at 8 clients")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one short round, a small booster")
    options = parser.parse_args()
    seconds, rounds = (0.1, 1) if options.quick else (options.seconds, options.rounds)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = models.make(_find_data(folder), folder, _QUICK if options.quick else ())
        with localcloud(folder / "state") as cloud, floors(made, folder / "floor") as below:
            ways = serve(cloud, made, folder)
            address = (HOST, cloud.address.data_port)
            for number in range(rounds):
                turn = slice(None, None, -1 if number % 2 else 1)
                for size, clients in itertools.product(SIZES, _CLIENTS):
                    for way in _asked(ways, size)[turn]:
                        spent = seconds if clients == _MAIN else seconds / 2
                        way.measure(address, size, clients, spent)
                for size, each in itertools.product(SIZES, list(below.values())[turn]):
                    each.measure(size, seconds / 2)
    _print_ways(ways)
    _print_hops(ways, below)
    summary = _summary(ways, below)
    print(json.dumps({key: round(value, 4) for key, value in summary.items()}))
    return 0


def _find_data(folder: Path) -> Path:
    """The folder that AI4I_DATA names, or one with generated rows."""
    chosen = os.environ.get(data.FOLDER_VARIABLE)
    if chosen:
        return Path(chosen)
    made = folder / "data"
    made.mkdir()
    generator.write_csv(made / data.FILE_NAME, _GENERATED_ROWS, _SEED)
    return made


def _asked(ways: Mapping[str, Way], size: int) -> list[Way]:
    return [way for way in ways.values() if size in way.sizes]


def _print_ways(ways: Mapping[str, Way]) -> None:
    print("requests a second, p50 and p99 in milliseconds, at so many clients\n")
    print(f"{'rows':>4} {'endpoint':<20}" + "".join(f"{n:>14}{'':11}" for n in _CLIENTS))
    for size in SIZES:
        for way in _asked(ways, size):
            cells = (
                f"{way.rate(size, clients):9.0f}"
                f"{1e3 * way.percentile(50, size, clients):8.2f}"
                f"{1e3 * way.percentile(99, size, clients):8.2f}"
                for clients in _CLIENTS
            )
            print(f"{size:>4} {way.name:<20}" + "".join(cells))


def _print_hops(ways: Mapping[str, Way], below: Mapping[str, Floor]) -> None:
    """A hop's cost is what a request takes more than one that has all hops but this one."""
    hops: dict[str, tuple[str, str | None]] = {
        "data plane alone": ("refused", None),
        "+ a container": ("echo", "refused"),
        "+ a second container": ("echo-twice", "echo"),
    }
    for side in below:
        hops |= {f"+ {name}, {side}": (f"{side}-{name}", "echo") for name in NAMES}
    hops["+ HTTP API and its function"] = ("api", "api-endpoint")

    def median(way: Way, size: int) -> float:
        return way.percentile(50, size, 1)

    def share(way: Way, size: int) -> float:
        return 1 / way.rate(size, _MAIN)

    print("\nmicroseconds of a request, at so many clients: p50 of one, the others' share\n")
    print(f"{'':37}{1:>10}{_MAIN:>10}")
    takes: tuple[Callable[[Way, int], float], ...] = (median, share)
    for size in SIZES:
        for hop, (name, less) in hops.items():
            if size not in ways[name].sizes:
                continue
            cost = (take(ways[name], size) - (take(ways[less], size) if less else 0.0)
                    for take in takes)  # fmt: skip
            print(f"{size:>4} {hop:<32}" + "".join(f"{1e6 * each:10.0f}" for each in cost))
        for side, part in itertools.product(below, (*NAMES, "chain")):
            what = f"{part} without HTTP, {side}"
            print(f"{size:>4} {what:<32}{1e6 * below[side].time(part, size):10.0f}")
    print()


def _summary(ways: Mapping[str, Way], below: Mapping[str, Floor]) -> dict[str, float]:
    def rate(name: str, size: int = 1) -> float:
        return ways[name].rate(size, _MAIN)

    def slowest(name: str) -> float:
        return ways[name].percentile(99, 1, _MAIN)

    def middle(name: str) -> float:
        return ways[name].percentile(50, 1, _MAIN)

    summary = {
        "featurizer_vs_echo": rate("ours-featurizer") / rate("echo"),
        "featurizer_rps_ratio": rate("ours-featurizer") / rate("workshop-featurizer"),
        "featurizer_p99_ratio": slowest("ours-featurizer") / slowest("workshop-featurizer"),
        "chain_rps_ratio": rate("ours-chain") / rate("workshop-chain"),
        "batch100_over_floor": 1 / rate("ours-chain", 100) / below["ours"].time("chain", 100),
        "api_over_invoke_p50": middle("api") / middle("api-endpoint"),
        "api_p50_ms": 1e3 * middle("api"),
        "api_endpoint_p50_ms": 1e3 * middle("api-endpoint"),
    }
    for size, suffix in ((1, ""), (100, "_batch100")):
        for way in _asked(ways, size):
            name = way.name.replace("-", "_") + suffix
            summary[f"{name}_rps"] = rate(way.name, size)
            summary[f"{name}_p99_ms"] = 1e3 * way.percentile(99, size, _MAIN)
        for side, each in below.items():
            summary[f"{side}_floor{suffix}_us"] = 1e6 * each.time("chain", size)
    return summary


if __name__ == "__main__":
    sys.exit(main())
