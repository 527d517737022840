"""What a caller of the data plane gets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reply:
    """Status, headers with their names in small letters, and body."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
