"""Which process a number means: a pid alone may be another's by now."""

from pathlib import Path


def began(pid: int) -> int | None:
    """Return when process `pid` began, in clock ticks since boot (field 22 of its stat); None if it is not seen."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])
