"""Moments, for people."""

from datetime import UTC, datetime


def when(at: float) -> str:
    """Return Unix seconds as a date and a time of this machine."""
    try:
        return datetime.fromtimestamp(at, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return f"{at:g} s"  # no year that a calendar has
