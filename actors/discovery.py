"""What actors say of themselves to any NATS tool: the service protocol of NATS (ADR-32), one listener for each cell.

``$SRV.PING``, ``$SRV.INFO`` and ``$SRV.STATS``, each alone, with ``.<name>`` or with ``.<name>.<id>``, are answered
once for each actor that is asked for. An actor is a service with one endpoint, its mailbox: whatever reaches it, by
which subject ever, is counted there. A guest may ask all this, so it says nothing of what is inside messages.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib import metadata
from typing import Any, Final

import anyio
import msgspec

from callboard.bus import Endpoint, Subscription, is_outside, subjects

from .host import Host
from .turnstile import DoorLimits, Turnstile

_LEAVE_WITHIN: Final = 2.0
_GONE: Final = ("draining", "stopped")


class EndpointInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Where an actor is spoken to."""

    name: str
    subject: str
    """The front door of an open actor; of any other the mailbox, which only the fleet may speak to."""
    queue_group: str
    metadata: dict[str, str]


class ActorData(msgspec.Struct, frozen=True, kw_only=True):
    """What Callboard adds to the counts of the protocol."""

    depth: int
    in_hand: int
    refused: int
    state: str
    restarts: int


class EndpointStats(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the incarnation began; times in nanoseconds."""

    name: str
    subject: str
    queue_group: str
    num_requests: int
    """Messages that left a handler, well or not."""
    num_errors: int
    last_error: str
    """The class of the last exception. Its text, which may quote a message, is in ``callboard events``."""
    processing_time: int
    average_processing_time: int
    data: ActorData


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What each answer begins with."""

    name: str
    id: str
    """Another one for each incarnation."""
    version: str
    """Of Callboard: actors have none of their own."""
    metadata: dict[str, str]


class Pong(Identity, frozen=True, tag_field="type", tag="io.nats.micro.v1.ping_response"):
    """That an actor is there, and as whom."""


class Info(Identity, frozen=True, kw_only=True, tag_field="type", tag="io.nats.micro.v1.info_response"):
    """What an actor does, and where."""

    description: str
    endpoints: list[EndpointInfo]


class Stats(Identity, frozen=True, kw_only=True, tag_field="type", tag="io.nats.micro.v1.stats_response"):
    """How it goes."""

    started: datetime
    endpoints: list[EndpointStats]


def pong(host: Host) -> Pong:
    """Return the answer of `host` to PING."""
    return Pong(**_identity(host))


def info(host: Host) -> Info:
    """Return the answer of `host` to INFO; the description is the first line of its class's docstring."""
    text, table = (host.spec.actor.__doc__ or "").strip(), host.table
    takes = {"messages": ", ".join(sorted(table.direct)), "topics": ", ".join(sorted(table.topics))}
    endpoint = EndpointInfo(**_place(host), metadata=takes)
    return Info(**_identity(host), description=text.partition("\n")[0].rstrip(), endpoints=[endpoint])


def stats(host: Host) -> Stats:
    """Return the answer of `host` to STATS."""
    took = round(host.work.busy_for * 1e9)
    endpoint = EndpointStats(
        **_place(host),
        num_requests=host.work.served,
        num_errors=host.failed,
        last_error=host.last_error,
        processing_time=took,
        average_processing_time=took // max(host.work.served, 1),
        data=ActorData(
            depth=len(host.mailbox),
            in_hand=len(host.work.hands()),
            refused=host.refused,
            state=host.state,
            restarts=host.restarts,
        ),
    )
    return Stats(**_identity(host), started=datetime.fromtimestamp(host.began, tz=UTC), endpoints=[endpoint])


class Discovery:
    """Answers for all actors of a cell but the runtime's own. Use as an async context manager."""

    def __init__(self, endpoint: Endpoint, hosts: Mapping[str, Host]) -> None:
        self._endpoint, self._hosts = endpoint, hosts
        self._turnstile = Turnstile(DoorLimits())
        self._subscriptions: list[Subscription] = []

    async def __aenter__(self) -> "Discovery":
        for verb in _ANSWERS:
            for subject in (f"$SRV.{verb}", f"$SRV.{verb}.>"):
                self._subscriptions.append(await self._endpoint.bus.subscribe(subject, self._on_question))
        return self

    async def __aexit__(self, *exc: object) -> None:
        with anyio.move_on_after(_LEAVE_WITHIN, shield=True):
            while self._subscriptions:
                await self._subscriptions.pop().unsubscribe()

    def _on_question(self, subject: str, _data: bytes, reply: str) -> None:
        if not is_outside(reply) or self._turnstile.admit(self._endpoint.clock.monotonic()):
            return
        _, verb, *which = subject.split(".")
        for host in self._asked(which):
            self._endpoint.bus.publish(reply, msgspec.json.encode(_ANSWERS[verb](host)))

    def _asked(self, which: list[str]) -> list[Host]:
        """Return the actors that `which`, nothing or a name or a name and an id, means."""
        found = [host for host in self._hosts.values() if host.state not in _GONE and not _is_runtime(host.name)]
        return [host for host in found if which == [host.name, host.id][: len(which)]]


def _is_runtime(name: str) -> bool:
    return name == "supervisor" or name.startswith("cell-")


def _identity(host: Host) -> dict[str, Any]:
    facts = {
        "fleet": host.endpoint.fleet,
        "cell": host.endpoint.cell,
        "class": host.spec.actor.__qualname__,
        "open": "true" if host.spec.open else "false",
    }
    return {"name": host.name, "id": host.id, "version": _VERSION, "metadata": facts}


def _place(host: Host) -> dict[str, str]:
    return {"name": "mailbox", "subject": _subject(host), "queue_group": subjects.QUEUE}


def _subject(host: Host) -> str:
    fleet, cell = host.endpoint.fleet, host.endpoint.cell
    if host.spec.open:
        return subjects.front_door(fleet, host.name)
    return subjects.lodging(fleet, cell, actor=host.name) if host.parent else subjects.mailbox(fleet, host.name)


def _three_numbers(version: str) -> str:
    """Return a version as SemVer, which the protocol wants and Python's pre-releases are not."""
    found = re.match(r"\d+\.\d+\.\d+", version)
    return found[0] if found else "0.0.0"


_VERSION: Final = _three_numbers(metadata.version("callboard"))
_ANSWERS: Final[dict[str, Callable[[Host], msgspec.Struct]]] = {"PING": pong, "INFO": info, "STATS": stats}
