"""The supervisor room: keep alive, say what happened, know when to stop.

May import every room below. Loaded lazily, so that a command that only prints help does not pay for the runtime.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import Client as Client
    from .config import load_fleet as load_fleet
    from .daemon import run_daemon as run_daemon
    from .errors import BadFleet as BadFleet
    from .errors import DaemonRuns as DaemonRuns
    from .errors import NoSuchDaemon as NoSuchDaemon
    from .fleet import Fleet as Fleet
    from .restart import decide_restart as decide_restart

_HOME = {
    "BadFleet": "errors",
    "Client": "client",
    "DaemonRuns": "errors",
    "Fleet": "fleet",
    "NoSuchDaemon": "errors",
    "decide_restart": "restart",
    "load_fleet": "config",
    "run_daemon": "daemon",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
