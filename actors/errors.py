"""What can go wrong between an actor and its messages."""

from callboard.errors import CallerError, PeerError


class BadActor(CallerError):
    """An actor class cannot be used: a handler's signature, its name, or its options."""


class DoorCrowded(PeerError):
    """More came to a front door than may; ``wait`` says for how many seconds to rest."""

    @property
    def wait(self) -> float:
        """Seconds until there is room again, if nobody else comes."""
        return float(self.detail.get("wait") or 0.0)


class BadGrant(CallerError):
    """An entry of a grant that cannot be read."""


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


class DuplicateStep(CallerError):
    """A task names two of its steps the same: which result is whose could not be told."""


class StepsChanged(CallerError):
    """A task takes other steps than an earlier try of it took: its code has changed, or depends on chance."""


class ActUnsettled(PeerError):
    """An act was begun by an earlier try, and nobody knows whether it was done: a person must look."""


class NotDone(PeerError):
    """Raise it in an act that certainly did nothing: then it may be tried again."""


class TaskExpired(PeerError):
    """A task was not begun before its deadline."""


class OutcomeUnheard(PeerError):
    """A cell did not take in how a message turned out; the others did. Say it again: it counts once."""
