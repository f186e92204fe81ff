"""What can go wrong between here and there."""

from callboard.errors import CallerError, PeerError, WorldError


class InvalidSubject(CallerError):
    """A subject is not one of ours."""


class MessageTooLarge(CallerError):
    """An encoded message is larger than the server takes."""


class MessageRefused(CallerError):
    """Bytes or fields that the receiver does not accept; ``detail['path']`` says where."""


class NoSuchActor(CallerError):
    """Nobody in the fleet has this name."""


class MailboxFull(PeerError):
    """The actor has as much waiting as it may; ``depth`` says how much."""

    @property
    def depth(self) -> int:
        """How many messages wait."""
        return int(self.detail.get("depth") or 0)


class Held(PeerError):
    """The actor failed too often, or a person holds it; it takes no messages until it is revived."""


def held_error(actor: str, why: str = "") -> Held:
    """Return what is said to who speaks to an actor that is held."""
    reason = f": {why}" if why else ""
    return Held(f"{actor} is held{reason}; 'callboard revive {actor}' lets it go on", actor=actor)


class ActorDied(PeerError):
    """The actor ended while it held the message; the work may have been done in part."""


class DeadlineExceeded(PeerError):
    """No reply in time."""


class BusUnavailable(WorldError):
    """The server cannot be reached, or refuses the login."""


class BusClosed(WorldError):
    """This connection has ended and will not come back: open another, or let the supervisor restart the process."""


class LeaseHeld(PeerError):
    """Another holds the lease; ``detail`` has its host and process id."""


class NoLeases(WorldError):
    """This server keeps no leases for us."""


class ServerMissing(CallerError):
    """There is no nats-server to run."""


class PortTaken(WorldError):
    """A port of the server is in use by another process; ``detail['port']`` says which."""


class ServerFailed(WorldError):
    """The server did not start or did not stop; ``detail['log']`` has its last lines."""
