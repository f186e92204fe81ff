"""What can go wrong around a fleet."""

from callboard.errors import CallerError, PeerError, WorldError


class BadFleet(CallerError):
    """The fleet file cannot be used; the text names the line, the key and what is legal."""


class NoAuthor(CallerError):
    """An order that no person of the fleet has signed, or not now."""


class BadPersonKey(CallerError):
    """A person's key cannot be used, or made."""


class NoSuchDaemon(CallerError):
    """No daemon runs for this fleet here."""


class NotUp(PeerError):
    """The actor's cell is not up yet; try again when it is."""


class DaemonRuns(CallerError):
    """A daemon for this fleet runs already."""


class StateUnusable(WorldError):
    """The state directory cannot be made or used."""
