"""What a stage costs a month, by a small table of list prices: a rough idea, not a bill."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from deploy_endpoint.stage import Stage

_TABLE: Final = Path(__file__).parent / "prices.json"
HOURS: Final = 730
# The stage's five, and two that autoscaling makes for its policy.
_ALARMS: Final = 7


def lines(stage: Stage, region: str) -> Iterator[str]:
    """Yield the estimate line by line: what costs by the hour first, then what costs by use."""
    prices: dict[str, Any] = json.loads(_TABLE.read_text(encoding="utf-8"))
    kind = stage.instances.type
    hour = prices["instance_hour"].get(kind)
    low, high = stage.instances.minimum, stage.instances.maximum
    if hour is None:
        yield f"Cost       {low} to {high} x {kind}: the table has no price of it"
    else:
        monthly = [count * hour * HOURS for count in (low, high)]
        yield (
            f"Cost       {low} to {high} x {kind} x {HOURS} h x ${hour} = "
            f"${monthly[0]:,.0f} to ${monthly[1]:,.0f} a month"
        )
        yield "           twice the instances during a roll-out: the new fleet beside the old one"
    fixed = prices["month"]
    secret = fixed["secret"] if stage.api.authentication == "token" else 0
    yield (
        f"           alarms, dashboard, secret: "
        f"${_ALARMS * fixed['alarm'] + fixed['dashboard'] + secret:.2f} a month"
    )
    use, stored = prices["million_requests"], prices["gigabyte"]
    yield (
        f"           by use: API ${use['http_api']:.2f} and functions some ${use['functions']:.2f} "
        f"a million requests; logs ${stored['logs']:.2f} a GB; captured data "
        f"${stored['captured']} a GB and month"
    )
    elsewhere = "" if region == prices["region"] else f"; {region} has prices of its own"
    yield f"           list prices of {prices['region']}, noted {prices['noted']}{elsewhere}"
