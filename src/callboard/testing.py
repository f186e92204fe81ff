"""The test kit: actors under test without a server, a process or a wait.

The names below are loaded on first use, as those of :mod:`callboard` are. docs/testing.md shows how to use them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from callboard.actors.llm import ScriptedModel as ScriptedModel
    from callboard.actors.testing import ManualClock as ManualClock
    from callboard.actors.testing import Probe as Probe
    from callboard.actors.testing import Received as Received
    from callboard.bus import Faults as Faults
    from callboard.bus import MemoryBroker as MemoryBroker
    from callboard.supervisor.formation import CellTable as CellTable
    from callboard.supervisor.testing import Stage as Stage

_HOME = {
    "CellTable": "callboard.supervisor.formation",
    "Faults": "callboard.bus",
    "ManualClock": "callboard.actors.testing",
    "MemoryBroker": "callboard.bus",
    "Probe": "callboard.actors.testing",
    "Received": "callboard.actors.testing",
    "ScriptedModel": "callboard.actors.llm",
    "Stage": "callboard.supervisor.testing",
}
__all__ = ("CellTable", "Faults", "ManualClock", "MemoryBroker", "Probe", "Received", "ScriptedModel", "Stage")


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
