"""What a handler may do in a task: the same as ever, but what it changes and says waits for the commit.

``ask`` and the model leave at once, since the handler waits for them; so another try of the task does them again,
unless they are in a step. All else counts once.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from callboard import names
from callboard.bus import Kind, check_size, encode, subjects
from callboard.ids import new_id
from callboard.store import Episode, MemoryLayer, Outgoing, Touched, checked_episode, id_of

from .context import Context, Services
from .hand import InHand
from .handlers import Handler
from .memory import Memory
from .message import Json, Message
from .speaking import ENQUEUE_WITHIN, TELL_WITHIN, Priority, course_of
from .terms import Call
from .unit import Unit, returned_by

if TYPE_CHECKING:
    from .actor import Actor


class TaskContext(Context):
    """The context of a task: what it changes and says counts when it is done, all at once, or not at all."""

    __slots__ = ("_unit",)

    def __init__(self, services: Services, hand: InHand, unit: Unit) -> None:
        super().__init__(services, hand)
        self._unit = unit

    @property
    def memory(self) -> Memory:
        """The actor's working memory as this task has left it; others see it when the task is done."""
        return Memory(self._layer)

    async def _layer(self) -> MemoryLayer:
        return self._unit.memory

    async def step(self, name: str, fn: Callable[..., Awaitable[Any]], *args: Any, returns: Any = None) -> Any:
        """Take a step."""
        kind = returned_by(fn) if returns is None else returns
        return await self._unit.step(name, fn, args, returns=kind, act=False)

    async def act(self, name: str, fn: Callable[..., Awaitable[Any]], *args: Any, returns: Any = None) -> Any:
        """Claim an act, do it, and settle it."""
        self._permit("act", names.checked(name, "actor"), Call(fn, args))
        kind = returned_by(fn) if returns is None else returns
        return await self._unit.step(name, fn, args, returns=kind, act=True)

    async def _act_for_model(self, name: str, fn: Callable[..., Awaitable[Any]], args: Sequence[Any]) -> Any:
        """The same as an act; one that a model asks for again in the same task is another act."""
        self._permit_act(name, fn, args)
        return await self._unit.step(self._unit.name_of_act(name), fn, args, returns=returned_by(fn), act=True)

    async def tell(
        self,
        target: "type[Actor] | Handler[Any, Any] | str",
        message: "Message | Json",
        *,
        timeout: float = TELL_WITHIN,  # noqa: ARG002 - it leaves later
    ) -> str:
        """Send `message` when this task is done."""
        course = course_of(target, message)
        self._permit("tell", course.name, message)
        head, body = self._prepare(int(Kind.TELL), course, message)
        made = new_id()
        data = encode(head.envelope(made, body))
        self._endpoint.check_size(data)
        self._unit.say(Outgoing("tell", course.name, made, data))
        return made

    async def enqueue(
        self, target: "type[Actor] | Handler[Any, Any] | str", message: "Message | Json", *, key: str = "",
        id: str = "", priority: Priority = "normal", delay: float = 0.0, deadline: float = 0.0,  # noqa: A002 - as in the base
        timeout: float = ENQUEUE_WITHIN,  # noqa: ARG002 - it leaves later, and until it has left
    ) -> str:  # fmt: skip
        """Store `message` as a task of `target` when this task is done."""
        task = id or self._unit.name_for_next(self._name)
        subject, envelope = self._task(target, message, key, task, priority, delay, deadline)
        self._unit.say(Outgoing("enqueue", subject, envelope.id, encode(envelope)))
        return envelope.id

    async def publish(self, topic: str, message: "Message | Json") -> None:
        """Publish an event when this task is done."""
        self._permit("publish", names.checked(topic, "topic"), message)
        body = message.text if isinstance(message, Json) else msgspec.json.encode(message)
        check_size(body, self._endpoint.bus.max_payload)
        subject = subjects.topic(self._endpoint.fleet, topic, sender=self._endpoint.cell)
        self._unit.say(Outgoing("publish", subject, new_id(), body))

    async def remember(self, episode: Episode) -> str:
        """Keep an episode when this task is done."""
        whole = checked_episode(self._own(episode))
        self._unit.say(Outgoing("remember", self._name, id_of(whole), encode(whole)))
        return id_of(whole)

    async def outcome(self, message_id: str, good: bool, why: str = "") -> Touched:
        """Say how a message turned out when this task is done; whom it concerns is not known before."""
        said = self._judgement(message_id, good=good, why=why)
        self._unit.say(Outgoing("outcome", self._name, new_id(), encode(said)))
        return Touched()
