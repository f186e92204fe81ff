"""Who may say what of whom, in the fleet's own notices. Pure.

The server holds each cell to its own name as the last token of a subject, so what stands there is true. What it says
need not be.
"""

from collections.abc import Mapping
from typing import Final

from .envelope import NoticeBody

DAEMON_CELL: Final = "daemon"
"""As which cell the daemon speaks."""
_OF_DAEMON: Final = frozenset(("down", "fence"))
"""News that only the daemon has: a process does not live to tell of its end."""


def may_say(cell: str, notice: NoticeBody, *, homes: Mapping[str, str]) -> bool:
    """Return whether a cell can know this: the daemon all, a cell what is of the actors that live there.

    `homes` says where the fleet file's actors live. Who is not named in it was spawned, by whom is not known here.
    """
    if cell == DAEMON_CELL or notice.what in _OF_DAEMON:
        return cell == DAEMON_CELL
    return all(homes.get(actor, cell) == cell for actor in notice.actors)
