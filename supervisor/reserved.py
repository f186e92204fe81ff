"""Names that the runtime keeps for itself: its own actors are spoken to at addresses like anybody's."""

from typing import Final

from callboard.bus import DAEMON_CELL
from callboard.names import LOCAL_MODEL, OFFICE

RESERVED: Final = frozenset({"supervisor", OFFICE, LOCAL_MODEL, DAEMON_CELL})
CLIENTS: Final = "client-"
"""How the cells are called as which programs of the owner speak."""
_KEEPER: Final = "cell-"
CELL_NAME_MOST: Final = 63 - len(_KEEPER)
"""Characters a cell's name may have, so that its keeper's is a name too."""


def keeper_of(cell: str) -> str:
    """Return the name of the actor that answers the daemon for `cell`."""
    return f"{_KEEPER}{cell}"


def is_reserved(name: str) -> bool:
    """Return whether no user's actor may be called `name`."""
    return name in RESERVED or name.startswith(_KEEPER)


def is_hidden(name: str) -> bool:
    """Return whether an actor is a part of the runtime that nobody needs to see; the office and a model are seen."""
    return is_reserved(name) and name not in (OFFICE, LOCAL_MODEL)
