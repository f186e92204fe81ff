"""The verbs: tell, ask, publish. One implementation for actors, clients and fleets.

Who speaks differs only in two ways, which subclasses fill in: what they may (:meth:`Speaker._permit`) and which message
they follow from (:meth:`Speaker._cause`).
"""

from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

import msgspec

from callboard import names
from callboard.bus import (
    EMPTY,
    VERSION,
    DeadlineExceeded,
    Endpoint,
    Envelope,
    Format,
    Kind,
    MessageRefused,
    Trust,
    check_size,
    encode,
    subjects,
)
from callboard.ids import new_id

from .errors import BadActor
from .grant import Verb
from .handlers import Handler
from .message import Message, fingerprint, tag_of
from .reader import reader_of

if TYPE_CHECKING:
    from .actor import Actor

M = TypeVar("M", bound=Message)
R = TypeVar("R", bound="Message | None")
T = TypeVar("T", bound=Message)

ASK_WITHIN: Final = 30.0
TELL_WITHIN: Final = 5.0
HOPS_MOST: Final = 64
"""Messages in one chain: agents that only answer each other end here."""
Target = "type[Actor] | Handler[Any, Any] | str"


class Json(msgspec.Struct, frozen=True):
    """A message as JSON text, as people and other languages write it; its type is checked by who receives it."""

    text: bytes
    type: str


class Cause(msgspec.Struct, frozen=True):
    """What a new message follows from."""

    id: str = ""
    correlation: str = ""
    hops: int = 0
    deadline: float = 0.0
    trust: int = Trust.OWNER
    trace: str = ""


NO_CAUSE: Final = Cause()


def target_name(target: "type[Actor] | Handler[Any, Any] | str") -> str:
    """Return the name a target stands for: its own if it is text, else its actor class's."""
    if isinstance(target, str):
        return names.checked(target, "actor")
    owner = target.owner if isinstance(target, Handler) else target
    name = getattr(owner, "name", None)
    if not isinstance(name, str):
        raise BadActor(f"{target!r} is no target: use an Actor class, one of its handlers, or a name")
    return name


def _reply_annotation(target: "type[Actor] | Handler[Any, Any] | str", message: "Message | Json") -> Any:
    """Return what the target's handler says it replies, or None if this side cannot know."""
    owner = target.owner if isinstance(target, Handler) else target
    table = getattr(owner, "table", None)
    if owner is None or isinstance(owner, str) or table is None:
        return None
    tag = message.type if isinstance(message, Json) else tag_of(type(message))
    route = table.direct.get(tag)
    if route is None:
        legal = ", ".join(sorted(table.direct)) or "no messages at all"
        raise MessageRefused(f"{owner.__name__} takes {legal}, not {tag}", path="$.type")
    return route.reply


class Speaker:
    """Base of what can speak over an endpoint."""

    _endpoint: Endpoint
    _name: str

    def _permit(self, verb: Verb, name: str) -> None:
        """Raise PermissionDenied if this speaker may not."""

    def _cause(self) -> Cause:
        return NO_CAUSE

    def _envelope(self, kind: Kind, message: "Message | Json", *, deadline: float = 0.0) -> Envelope:
        cause = self._cause()
        if cause.hops >= HOPS_MOST:
            raise MessageRefused(f"the chain {cause.correlation} is {cause.hops} messages long: the limit", path="$[8]")
        if isinstance(message, Json):
            tag, schema, body, form = message.type, 0, encode(message.text.decode()), Format.JSON
        else:
            tag, schema = tag_of(type(message)), fingerprint(type(message))
            body, form = encode(message), Format.MSGPACK
        made = new_id()
        return Envelope(
            VERSION,
            kind,
            tag,
            schema,
            made,
            self._name,
            cause.id,
            cause.correlation or made,
            cause.hops + 1,
            deadline,
            cause.trace,
            cause.trust,
            self._endpoint.inbox,
            form,
            msgspec.Raw(body) if body else EMPTY,
        )

    async def tell(
        self,
        target: "type[Actor] | Handler[Any, Any] | str",
        message: "Message | Json",
        *,
        timeout: float = TELL_WITHIN,
    ) -> None:
        """Send `message` and do not wait for it to be handled: at most once.

        Waits up to `timeout` seconds while 1,024 messages or 4 MiB of this cell already wait there.

        Raises:
            MailboxFull: no room within `timeout`; ``depth`` says how many wait.
            NoSuchActor, Held: as known when the actor is first spoken to.
            PermissionDenied: the grant does not name the target.
            MessageTooLarge: more than the server takes.

        """
        name = target_name(target)
        self._permit("tell", name)
        if not isinstance(target, str):
            _reply_annotation(target, message)
        await self._endpoint.tell(name, self._envelope(Kind.TELL, message), timeout=timeout)

    @overload
    async def ask(self, target: Handler[M, R], message: M, *, timeout: float = ...) -> R: ...
    @overload
    async def ask(
        self, target: "type[Actor] | str", message: "Message | Json", *, timeout: float = ..., reply: type[T]
    ) -> T: ...
    @overload
    async def ask(self, target: "type[Actor] | str", message: "Message | Json", *, timeout: float = ...) -> Any: ...
    async def ask(
        self,
        target: "type[Actor] | Handler[Any, Any] | str",
        message: "Message | Json",
        *,
        timeout: float = ASK_WITHIN,
        reply: "type[Message] | None" = None,
    ) -> Any:
        """Send `message` and return its reply, within `timeout` seconds.

        Inside a handler the time left of the message in hand is the upper bound. When the time is up or this call is
        cancelled, the handler is cancelled too. A target known only by name gives plain data unless `reply` names
        the type.

        Raises:
            DeadlineExceeded: no reply in time.
            HandlerFailed: the handler raised; the text says what.
            MessageRefused, PermissionDenied, NoSuchActor, Held, MailboxFull, ActorDied, ActorStopped: as named.

        """
        name = target_name(target)
        self._permit("ask", name)
        annotation = reply or (None if isinstance(target, str) else _reply_annotation(target, message))
        within = self._time_left(timeout)
        deadline = self._endpoint.clock.now() + within
        answer = await self._endpoint.ask(name, self._envelope(Kind.ASK, message, deadline=deadline), timeout=within)
        return None if not answer.type else reader_of(annotation or Any).read(answer)

    def _time_left(self, timeout: float) -> float:
        cause = self._cause()
        if not cause.deadline:
            return timeout
        left = min(timeout, cause.deadline - self._endpoint.clock.now())
        if left <= 0:
            raise DeadlineExceeded("the message in hand has no time left", deadline=cause.deadline)
        return left

    async def publish(self, topic: str, message: "Message | Json") -> None:
        """Publish an event: at most once to each actor that receives `topic`.

        Raises InvalidName, PermissionDenied, MessageTooLarge.
        """
        self._permit("publish", names.checked(topic, "topic"))
        bus = self._endpoint.bus
        body = message.text if isinstance(message, Json) else msgspec.json.encode(message)
        check_size(body, bus.max_payload)
        bus.publish(subjects.topic(self._endpoint.fleet, topic, sender=self._endpoint.cell), body)
        if bus.congested:
            await bus.settle()
