"""The office of a fleet: budgets, rates, answers and the ledger of all that models did. One actor, one file.

Only its own cell imports the actor and its file; the daemon needs the messages alone.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .office import Office
    from .state import OfficeState

_HOME = {"Office": "office", "OfficeState": "state"}
__all__ = ["Office", "OfficeState"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
