"""What can go wrong between an actor and its messages."""

from callboard.errors import CallerError, PeerError


class BadActor(CallerError):
    """An actor class cannot be used: a handler's signature, its name, or its options."""


class PermissionDenied(CallerError):
    """The actor's grant does not name what it tried."""


class HandlerFailed(PeerError):
    """The handler raised; ``detail`` has the exception's type and text."""


class Stalled(PeerError):
    """The handler came no further, declared no wait, and was stopped."""


class ActorStopped(PeerError):
    """The actor ended before it came to this message."""


class WrongReply(PeerError):
    """A handler returned something other than its annotation says."""
