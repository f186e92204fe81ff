"""``@receive`` and the table from message type to handler, built when the class is made.

A handler is ``async def name(self, message: SomeMessage, ctx: Context) -> SomeReply``. Its first annotation says which
messages it takes (a union is allowed), its return type is the reply. What is wrong with a signature is said at import
time, naming class, method and what is legal.
"""

import inspect
import sys
import types
from collections.abc import Awaitable, Callable
from typing import (
    Any,
    Final,
    Generic,
    NamedTuple,
    Never,
    Self,
    TypeVar,
    Union,
    get_args,
    get_origin,
    overload,
)

import msgspec

from callboard.names import checked

from .errors import BadActor
from .message import Message, tag_of
from .reader import Reader, reader_of

M = TypeVar("M", bound=Message)
R = TypeVar("R", bound="Message | None")
A = TypeVar("A")

LEGAL: Final = "async def handler(self, message: SomeMessage, ctx: Context) -> SomeMessage | None"


class Handler(Generic[M, R]):
    """A method marked with :func:`receive`. On the class it is a typed target for ``ask``; on an object, the method."""

    def __init__(
        self, method: Callable[[Any, M, Any], Awaitable[R]], topic: str | None, *, durable: bool = False
    ) -> None:
        self.method = method
        self.topic, self.durable = topic, durable
        self.owner: type[Any] | None = None
        self.name = getattr(method, "__name__", "handler")
        self._copies: dict[type[Any], Self] = {}
        self.__doc__ = method.__doc__

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self.owner, self.name = owner, name

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type[Any]) -> Callable[[M, Any], Awaitable[R]]: ...
    def __get__(self, instance: object | None, owner: type[Any]) -> Self | Callable[[M, Any], Awaitable[R]]:
        if instance is not None:
            return types.MethodType(self.method, instance)
        return self if owner is self.owner else self._inherited_by(owner)

    def _inherited_by(self, owner: type[Any]) -> Self:
        """Return this handler as a target of the subclass `owner`, which has a name of its own."""
        copy = self._copies.get(owner)
        if copy is None:  # one for each subclass: what is known of a target is kept by its identity
            copy = self._copies[owner] = type(self)(self.method, self.topic, durable=self.durable)
            copy.owner, copy.name = owner, self.name
        return copy


@overload
def receive(method: Callable[[A, M, Any], Awaitable[R]], /) -> Handler[M, R]: ...
@overload
def receive(*, topic: str, durable: bool = ...) -> Callable[[Callable[[A, M, Any], Awaitable[R]]], Handler[M, R]]: ...
def receive(
    method: Callable[[A, M, Any], Awaitable[R]] | None = None, /, *, topic: str | None = None, durable: bool = False
) -> Handler[M, R] | Callable[[Callable[[A, M, Any], Awaitable[R]]], Handler[M, R]]:
    """Mark a method as the handler of a message type; with `topic`, of the events of that topic.

    An event of a `durable` topic is kept until this actor has handled it, as a task: its effects happen once, and it is
    there after any death. All handlers of one topic in an actor are durable, or none.

    Raises:
        InvalidName: `topic` does not pass the name gate.
        BadActor: when the class is made, if the signature is not legal or two handlers take the same message.

    """
    if method is not None:
        return Handler(method, None)
    name = None if topic is None else checked(topic, "topic")
    return lambda later: Handler(later, name, durable=durable)


class Route(NamedTuple):
    """How one message type reaches its handler."""

    message: type[Message]
    name: str
    """Of the method."""
    call: Callable[[Any, Any, Any], Awaitable[Any]]
    reply: Any
    """The reply's annotation: a Message, a union of such, or None."""
    replies: tuple[type[Any], ...]
    """The same as classes, to check a result against."""
    reader: Reader


class Table(msgspec.Struct, frozen=True):
    """All routes of an actor class: by message tag, and by topic and tag."""

    direct: dict[str, Route]
    topics: dict[str, dict[str, Route]]
    durable: dict[str, bool] = {}
    """For each topic whether its events are kept until they are handled."""

    @property
    def kept(self) -> tuple[str, ...]:
        """The durable topics."""
        return tuple(topic for topic, durable in self.durable.items() if durable)


def build_table(actor: type[Any]) -> Table:
    """Return the table of `actor`; raise :class:`BadActor` for the first thing that is wrong."""
    table = Table({}, {}, {})
    for handler in _handlers(actor):
        messages, reply = _signature(actor, handler)
        routes = table.direct if handler.topic is None else table.topics.setdefault(handler.topic, {})
        if handler.topic is not None and table.durable.setdefault(handler.topic, handler.durable) != handler.durable:
            _wrong(actor, handler, f"another handler of topic {handler.topic!r} says otherwise whether it is durable")
        for message in messages:
            tag = tag_of(message)
            if tag in routes:
                _wrong(actor, handler, f"{routes[tag].name!r} already takes {tag}; merge the two")
            replies = tuple(types.NoneType if member is None else member for member in _members(reply))
            routes[tag] = Route(message, handler.name, handler.method, reply, replies, reader_of(message))
    return table


def _handlers(actor: type[Any]) -> list[Handler[Any, Any]]:
    found: dict[str, Handler[Any, Any]] = {}
    for base in reversed(actor.__mro__):
        for name, value in vars(base).items():
            if isinstance(value, Handler):
                found[name] = value
            else:
                found.pop(name, None)
    return list(found.values())


def _signature(actor: type[Any], handler: Handler[Any, Any]) -> tuple[list[type[Message]], Any]:
    method = handler.method
    if inspect.isasyncgenfunction(method):
        _wrong(actor, handler, "it is a generator; return one reply")
    if not inspect.iscoroutinefunction(method):
        _wrong(actor, handler, "it is not an 'async def'")
    parameters = list(inspect.signature(method).parameters.values())
    if len(parameters) != 3 or any(p.kind not in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters):
        _wrong(actor, handler, f"it takes ({', '.join(p.name for p in parameters)})")
    annotations = inspect.get_annotations(method)
    messages = _members(_evaluate(actor, handler, annotations.get(parameters[1].name)))
    if not messages or not all(_is_message(member) for member in messages):
        _wrong(
            actor,
            handler,
            f"{parameters[1].name!r} is annotated with no Message: {annotations.get(parameters[1].name)!r}",
        )
    if "return" not in annotations:
        _wrong(actor, handler, "it has no return annotation: a Message, or None")
    reply = _evaluate(actor, handler, annotations["return"])
    if not all(member in (None, types.NoneType) or _is_message(member) for member in _members(reply)):
        _wrong(actor, handler, f"its return annotation is {annotations.get('return')!r}: a Message, or None")
    if handler.topic is not None and reply is not None:
        _wrong(actor, handler, "it takes events, to which nobody waits for a reply: return None")
    return messages, reply


def _evaluate(actor: type[Any], handler: Handler[Any, Any], annotation: Any) -> Any:
    if not isinstance(annotation, str):
        return annotation
    scope = vars(sys.modules[handler.method.__module__]) if handler.method.__module__ in sys.modules else {}
    try:
        return eval(annotation, dict(scope), dict(vars(actor)))  # noqa: S307 - the program's own source, as typing does
    except Exception as error:  # noqa: BLE001 - whatever a wrong annotation raises, the class and method are named
        _wrong(
            actor,
            handler,
            f"the annotation {annotation!r} cannot be resolved here ({error}); import what it names at run time",
        )


def _members(annotation: Any) -> list[Any]:
    return list(get_args(annotation)) if get_origin(annotation) in (Union, types.UnionType) else [annotation]


def _is_message(candidate: Any) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, Message) and candidate is not Message


def _wrong(actor: type[Any], handler: Handler[Any, Any], what: str) -> Never:
    raise BadActor(
        f"{actor.__qualname__}.{handler.name}: {what}. A handler is: {LEGAL}",
        actor=actor.__qualname__,
        method=handler.name,
    )
