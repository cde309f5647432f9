"""How values are written in the answers of the API."""

from __future__ import annotations

from datetime import datetime
from typing import Any


def wire_time(at: datetime | None) -> str | None:
    """Write a UTC time as MetaStudio does: RFC 3339, 20 characters."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}" if at else None


def present(fields: dict[str, Any]) -> dict[str, Any]:
    """Leave out the fields without a value: MetaStudio's schema knows no null."""
    return {name: value for name, value in fields.items() if value is not None}
