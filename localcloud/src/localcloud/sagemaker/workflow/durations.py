"""ISO 8601 durations, as step caching uses them."""

from __future__ import annotations

import re

from localcloud.errors import ValidationException

_DURATION = re.compile(
    r"P(?:(?P<years>\d+)Y)?(?:(?P<months>\d+)M)?(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?",
    re.IGNORECASE,
)
_DAY = 86_400
_SECONDS = {
    "years": 365 * _DAY,
    "months": 30 * _DAY,
    "weeks": 7 * _DAY,
    "days": _DAY,
    "hours": 3_600,
    "minutes": 60,
    "seconds": 1,
}


def seconds(duration: str) -> float:
    """The seconds of a duration such as `P30D` or `PT12H`; a year has 365 days, a month 30."""
    # The SDK's documentation also shows the short form "30d".
    text = duration if duration[:1].upper() == "P" else f"P{duration}"
    found = _DURATION.fullmatch(text)
    if found is None or not any(found.groupdict().values()):
        raise ValidationException(f"{duration!r} is not an ISO 8601 duration such as P30D or PT12H")
    return float(sum(_SECONDS[unit] * int(n) for unit, n in found.groupdict().items() if n))
