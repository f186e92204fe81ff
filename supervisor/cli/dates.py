"""Moments, for people."""

from datetime import UTC, datetime


def when(at: float) -> str:
    """Return Unix seconds as a date and a time of this machine."""
    return datetime.fromtimestamp(at, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
