"""The verbs: tell, ask, publish. One implementation for actors, clients and fleets.

Who speaks differs only in two ways, which subclasses fill in: what they may (:meth:`Speaker._permit`) and which message
they follow from (:meth:`Speaker._cause`).
"""

import re
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, overload

import msgspec

from callboard import names
from callboard.bus import (
    PRIORITIES,
    DeadlineExceeded,
    Endpoint,
    Envelope,
    Format,
    Head,
    Kind,
    MessageRefused,
    Trust,
    check_size,
    encode,
    feed_for,
    subjects,
)
from callboard.ids import new_id

from .grant import Verb
from .hand import Wait
from .handlers import Handler
from .message import Json, Message
from .reader import reader_of
from .target import Course, course_to, reply_of, target_name

if TYPE_CHECKING:
    from .actor import Actor

Priority = Literal["high", "normal", "low"]
_TASK_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
KEY_MOST: Final = 128
TASK_ROOM: Final = 8 * 1024
"""Bytes by which a task must stay below the server's limit, so that it can go to the quarantine with its reasons."""
DELAY_MOST: Final = 366 * 86400.0
"""Seconds that a task may wait for its time."""

M = TypeVar("M", bound=Message)
R = TypeVar("R", bound="Message | None")
T = TypeVar("T", bound=Message)

ASK_WITHIN: Final = 30.0
TELL_WITHIN: Final = 5.0
ENQUEUE_WITHIN: Final = 10.0
HOPS_MOST: Final = 64
"""Messages in one chain: agents that only answer each other end here."""


class Cause(msgspec.Struct, frozen=True):
    """What a new message follows from."""

    id: str = ""
    correlation: str = ""
    hops: int = 0
    until: float = 0.0
    """When nobody waits for it any more (monotonic seconds); 0.0: nobody said."""
    trust: int = Trust.OWNER
    trace: str = ""


NO_CAUSE: Final = Cause()
# Plain numbers: to look up the member of an enumeration costs as much as to encode a small message.
_TELL: Final = int(Kind.TELL)
_ASK: Final = int(Kind.ASK)
_TASK: Final = int(Kind.TASK)
_MSGPACK: Final = int(Format.MSGPACK)
_JSON: Final = int(Format.JSON)
_NOTHING: Final = encode(None)
HEADS_MOST: Final = 1024
"""Courses of which a speaker keeps the head; one who speaks to more begins anew."""


def course_of(target: "type[Actor] | Handler[Any, Any] | str", message: "Message | Json") -> Course:
    """Return the course of one message to `target`."""
    if type(message) is not Json:
        return course_to(target, type(message))  # type: ignore[arg-type]  # mypy holds classes for unhashable
    return Course(target_name(target), message.type, 0, reader_of(reply_of(target, message.type)))


def _check_task(key: str, task: str, priority: str, delay: float, deadline: float) -> None:
    """Raise MessageRefused for what cannot be kept in a queue, naming the legal values."""
    wrong = ""
    if task and _TASK_ID.fullmatch(task) is None:
        wrong = f"id {task[:130]!r}: 1 to 128 of A-Z a-z 0-9 . _ : -"
    elif len(key.encode(errors="replace")) > KEY_MOST:
        wrong = f"key {key[:40]!r}…: at most {KEY_MOST} bytes"
    elif priority not in PRIORITIES:
        wrong = f"priority {priority!r}: one of {', '.join(PRIORITIES)}"
    elif not (0.0 <= delay <= DELAY_MOST and 0.0 <= deadline <= DELAY_MOST):
        wrong = f"delay {delay!r} and deadline {deadline!r}: seconds from 0 to {DELAY_MOST:.0f}"
    elif key and (delay or priority != "normal"):
        wrong = "key together with delay or priority: a conversation has one order, that of its storing"
    if wrong:
        raise MessageRefused(f"a task cannot be stored with {wrong}", path="$")


class Heads:
    """What one speaker says of one cause: a head for each course. So what is said in one turn travels together."""

    __slots__ = ("asks", "tasks", "tells")

    def __init__(self) -> None:
        self.tells: dict[Course, Head] = {}
        self.asks: dict[Course, Head] = {}
        self.tasks: dict[Course, Head] = {}

    def of(self, kind: int) -> dict[Course, Head]:
        """Return the heads of one kind of message."""
        return self.asks if kind == _ASK else self.tells if kind == _TELL else self.tasks


class Speaker:
    """Base of what can speak over an endpoint."""

    __slots__ = ("_endpoint", "_heads", "_name")

    def __init__(self, endpoint: Endpoint, name: str = "") -> None:
        self._name = name
        self._speak_over(endpoint)

    def _speak_over(self, endpoint: Endpoint) -> None:
        self._endpoint, self._heads = endpoint, Heads()

    def _permit(self, verb: Verb, name: str, given: object = None) -> None:
        """Raise PermissionDenied if this speaker may not, with this message."""

    def _cause(self) -> Cause:
        return NO_CAUSE

    def _begin_wait(self, on: str, up_to: float) -> Wait | None:  # noqa: ARG002 - nobody supervises this speaker
        """Tell who supervises this speaker that it waits."""
        return None

    def _end_wait(self, wait: Wait | None) -> None:
        """Tell that the wait is over."""

    def _doubt(self) -> None:
        """Take note that an answer rests on what came from outside."""

    def _prepare(self, kind: int, course: Course, message: "Message | Json", within: float = 0.0) -> tuple[Head, bytes]:
        """Return the head of a message and its body."""
        if isinstance(message, Json):
            return self._head(kind, course, within, _JSON), encode(message.text.decode())
        heads = self._heads.of(kind)
        head = heads.get(course)
        if head is None or head.within != within:
            if len(heads) >= HEADS_MOST:
                heads.clear()
            head = heads[course] = self._head(kind, course, within, _MSGPACK)
        return head, encode(message)

    def _head(self, kind: int, course: Course, within: float, form: int) -> Head:
        cause = self._cause()
        if cause.hops >= HOPS_MOST:
            raise MessageRefused(f"the chain {cause.correlation} is {cause.hops} messages long: the limit", path="$[8]")
        head = Head(
            self._endpoint.address(course.name), course.name, kind, course.tag, course.schema, self._name, cause.id,
            cause.correlation, cause.hops + 1, float(within), cause.trace, cause.trust, self._endpoint.inbox, form,
            self._endpoint.epoch,
        )  # fmt: skip
        encode(head.envelope("", _NOTHING))  # what cannot be written fails here, not at the end of the turn with others
        return head

    async def tell(
        self,
        target: "type[Actor] | Handler[Any, Any] | str",
        message: "Message | Json",
        *,
        timeout: float = TELL_WITHIN,
    ) -> str:
        """Send `message`, do not wait for it to be handled, and return its id: at most once.

        Waits up to `timeout` seconds while 1,024 messages or 4 MiB of this cell already wait there.

        Raises:
            MailboxFull: no room within `timeout`; ``depth`` says how many wait.
            NoSuchActor, Held: as known when the actor is first spoken to.
            PermissionDenied: the grant does not name the target.
            MessageTooLarge: more than the server takes.

        """
        course = course_of(target, message) if type(message) is Json else course_to(target, type(message))  # type: ignore[arg-type]  # see there
        self._permit("tell", course.name, message)
        head = self._heads.tells.get(course)  # the usual way is short: a call less is a twentieth of a tell
        if head is None:
            head, body = self._prepare(_TELL, course, message)
        else:
            body = encode(message)
        sent = self._endpoint.tell_nowait(head, body)
        if not sent:
            sent = new_id()
            await self._endpoint.tell(course.name, head.envelope(sent, body), timeout=timeout)
        return sent

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
        course, head, body = self._question(target, message, timeout)
        wait = self._begin_wait(course.name, head.within)
        try:
            answer = await self._endpoint.ask_in_company(head, body, timeout=head.within)
        finally:
            self._end_wait(wait)
        if answer.doubted:
            self._doubt()
        if not answer.type:
            return None
        return (course.reader if reply is None else reader_of(reply)).read(answer)

    def _question(
        self, target: "type[Actor] | Handler[Any, Any] | str", message: "Message | Json", timeout: float
    ) -> tuple[Course, Head, bytes]:
        """Return where a question goes, its head, which says how long it may take, and its body."""
        course = course_of(target, message)
        self._permit("ask", course.name, message)
        within = self._time_left(timeout)
        head = self._heads.asks.get(course)
        if head is not None and head.within == within:
            return course, head, encode(message)
        head, body = self._prepare(_ASK, course, message, within)
        return course, head, body

    def _time_left(self, timeout: float) -> float:
        cause = self._cause()
        if not cause.until:
            return timeout
        left = min(timeout, cause.until - self._endpoint.clock.monotonic())
        if left <= 0:
            raise DeadlineExceeded("the message in hand has no time left")
        return left

    async def enqueue(
        self,
        target: "type[Actor] | Handler[Any, Any] | str",
        message: "Message | Json",
        *,
        key: str = "",
        id: str = "",  # noqa: A002 - its name everywhere
        priority: Priority = "normal",
        delay: float = 0.0,
        deadline: float = 0.0,
        timeout: float = ENQUEUE_WITHIN,
    ) -> str:
        """Store `message` as a task of `target` and return its id, once it is on disk; its effects happen once.

        Args:
            target: who does it.
            message: what is to be done.
            key: tasks of one key are done one after the other, in the order in which they were stored.
            id: of your own making, at most 128 of ``A-Z a-z 0-9 . _ : -``; the same again, within 30 days, is no
                second task. So a call of which nothing was heard can be repeated.
            priority: ``high``, ``normal`` or ``low``; not together with `key`.
            delay: seconds before which it is not begun; not together with `key`.
            deadline: seconds after which it is not begun any more, and stopped; 0: it waits for ever.
            timeout: seconds in which it must be stored.

        Raises:
            QueueFull: as much waits for the actor as may; ``depth`` says how much.
            NotStored: nobody said in time that it is stored; repeat the call with the same `id`.
            NoSuchActor: no actor of this name takes tasks.
            PermissionDenied: the grant does not name the target.
            MessageRefused, MessageTooLarge: the arguments, or the message.

        """
        subject, envelope = self._task(target, message, key, id, priority, delay, deadline)
        wait = self._begin_wait(f"the queue of {target_name(target)}", timeout)
        try:
            await self._endpoint.bus.queue.store(subject, encode(envelope), id=envelope.id, timeout=timeout)
        finally:
            self._end_wait(wait)
        return envelope.id

    async def queued(self, target: "type[Actor] | Handler[Any, Any] | str") -> int:
        """Return how many tasks are stored for `target` and not done; raises NoSuchActor."""
        return (await self._endpoint.bus.queue.state(self._endpoint.fleet, target_name(target))).waiting

    def _task(
        self, target: "type[Actor] | Handler[Any, Any] | str", message: "Message | Json", key: str, task: str,
        priority: Priority, delay: float, deadline: float,
    ) -> tuple[str, Envelope]:  # fmt: skip
        """Return where a task is stored, and the task."""
        course = course_of(target, message)
        self._permit("enqueue", course.name, message)
        _check_task(key, task, priority, delay, deadline)
        head, body = self._prepare(_TASK, course, message, deadline)
        feed = feed_for(key=key, priority=priority, delay=delay)
        subject = subjects.work(
            self._endpoint.fleet, course.name, lane=feed.lane, partition=feed.partition, sender=self._endpoint.cell
        )
        envelope = msgspec.structs.replace(head.envelope(task or new_id(), body), key=key, delay=float(delay), reply="")
        self._endpoint.check_size(encode(envelope), room=TASK_ROOM)
        return subject, envelope

    async def publish(self, topic: str, message: "Message | Json") -> None:
        """Publish an event: at most once to each actor that receives `topic`.

        Raises InvalidName, PermissionDenied, MessageTooLarge.
        """
        self._permit("publish", names.checked(topic, "topic"), message)
        bus = self._endpoint.bus
        body = message.text if isinstance(message, Json) else msgspec.json.encode(message)
        check_size(body, bus.max_payload)
        bus.publish(subjects.topic(self._endpoint.fleet, topic, sender=self._endpoint.cell), body)
        if bus.congested:
            await bus.settle()
