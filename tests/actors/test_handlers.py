"""``@receive``: what a class may look like, and what it is told where it may not."""

import types
from collections.abc import AsyncIterator
from typing import Any

import pytest

from callboard import Actor, BadActor, Context, Message, receive
from callboard.actors import tag_of
from callboard.errors import InvalidName
from callboard.testing import Stage

LEGAL = "async def handler(self, message: SomeMessage, ctx: Context) -> SomeMessage | None"


class Ping(Message):
    text: str = ""


class Pong(Message):
    text: str = ""


class Other(Message):
    pass


def desk(method: Any, *, topic: str | None = None, **annotations: Any) -> type[Actor]:
    """Return an actor class ``Desk`` whose only handler is `method`."""
    if annotations:
        method.__annotations__ = annotations
    handler = receive(method) if topic is None else receive(topic=topic)(method)
    return types.new_class("Desk", (Actor,), {}, lambda body: body.update(question=handler))


def plain(self: Any, message: Ping, ctx: Context) -> None: ...
async def stream(self: Any, message: Ping, ctx: Context) -> AsyncIterator[Pong]:
    yield Pong()


async def short(self: Any, message: Ping) -> None: ...
async def long(self: Any, message: Ping, ctx: Context, more: int) -> None: ...
async def starred(self: Any, message: Ping, *ctx: Context) -> None: ...
async def named(self: Any, message: Ping, *, ctx: Context) -> None: ...
async def number(self: Any, message: int, ctx: Context) -> None: ...
async def base(self: Any, message: Message, ctx: Context) -> None: ...
async def mixed(self: Any, message: Ping | int, ctx: Context) -> None: ...
async def text(self: Any, message: Ping, ctx: Context) -> str:
    return ""


async def some_text(self: Any, message: Ping, ctx: Context) -> Pong | str:
    return ""


async def bare(self: Any, message, ctx) -> None: ...  # type: ignore[no-untyped-def] # pyright: ignore  # the fault
async def open_end(self: Any, message: Ping, ctx: Context): ...  # type: ignore[no-untyped-def] # the fault


@pytest.mark.parametrize(
    ("method", "said"),
    [
        (plain, "not an 'async def'"),
        (stream, "generator"),
        (short, "(self, message)"),
        (long, "(self, message, ctx, more)"),
        (starred, "(self, message, ctx)"),
        (named, "(self, message, ctx)"),
        (number, "int"),
        (base, "Message"),
        (mixed, "int"),
        (text, "str"),
        (some_text, "str"),
        (bare, "'message' is annotated with no Message"),
        (open_end, "no return annotation"),
    ],
)
def test_a_bad_signature_is_refused_naming_class_method_and_what_is_legal(method: Any, said: str) -> None:
    with pytest.raises(BadActor) as caught:
        desk(method)
    assert caught.value.text.startswith("Desk.question: ")
    assert said in caught.value.text
    assert LEGAL in caught.value.text
    assert caught.value.detail == {"actor": "Desk", "method": "question"}


@pytest.mark.parametrize("annotation", ["Missing", "types.Missing", "Ping[", "Ping[int]"])
def test_an_annotation_that_cannot_be_resolved_is_refused_by_name(annotation: str) -> None:
    async def handler(self: Any, message: Any, ctx: Any) -> None: ...

    with pytest.raises(BadActor, match=r"Desk\.question: the annotation .* cannot be resolved") as caught:
        desk(handler, message=annotation, ctx="Context", **{"return": None})
    assert annotation in caught.value.text


def test_annotations_may_be_text() -> None:
    async def handler(self: Any, message: Any, ctx: Any) -> Any: ...

    table = desk(handler, message="Ping | Other", ctx="Context", **{"return": "Pong | None"}).table
    assert sorted(table.direct) == ["Other", "Ping"]
    assert table.direct["Ping"].replies == (Pong, type(None))


def test_a_union_is_one_handler_for_each_of_its_messages() -> None:
    async def handler(self: Any, message: Ping | Other, ctx: Context) -> None: ...

    table = desk(handler).table
    assert {tag: route.name for tag, route in table.direct.items()} == {"Ping": "question", "Other": "question"}


def test_two_handlers_for_one_message_are_refused_naming_both() -> None:
    with pytest.raises(BadActor, match=r"Twice\.second: 'first' already takes Ping"):

        class Twice(Actor):  # pyright: ignore[reportUnusedClass]
            @receive
            async def first(self, message: Ping, ctx: Context) -> None: ...

            @receive
            async def second(self, message: Other | Ping, ctx: Context) -> None: ...


def test_one_message_may_come_directly_and_by_topics() -> None:
    class Both(Actor):
        @receive
        async def direct(self, message: Ping, ctx: Context) -> Pong:
            return Pong()

        @receive(topic="news")
        async def news(self, message: Ping, ctx: Context) -> None: ...

        @receive(topic="old-news")
        async def old_news(self, message: Ping, ctx: Context) -> None: ...

    assert list(Both.table.direct) == ["Ping"]
    assert list(Both.table.topics) == ["news", "old-news"]


def test_a_handler_of_events_may_not_reply() -> None:
    async def handler(self: Any, message: Ping, ctx: Context) -> Pong:
        return Pong()

    with pytest.raises(BadActor, match="nobody waits for a reply: return None"):
        desk(handler, topic="news")


def test_a_topic_passes_the_name_gate() -> None:
    with pytest.raises(InvalidName, match="topic name"):
        receive(topic="news.*")


class Parent(Actor):
    @receive
    async def ping(self, message: Ping, ctx: Context) -> Pong:
        return Pong(text=f"parent {message.text}")

    @receive
    async def other(self, message: Other, ctx: Context) -> Pong:
        return Pong(text="other")


class Child(Parent):
    @receive
    async def ping(self, message: Ping, ctx: Context) -> Pong:
        above = await super().ping(message, ctx)
        return Pong(text=f"child of {above.text}")


async def test_a_subclass_has_the_handlers_of_its_base_and_may_replace_them() -> None:
    async with Stage([Parent, Child]) as stage:
        assert await stage.ask(Child.ping, Ping(text="x")) == Pong(text="child of parent x")
        assert await stage.ask(Child.other, Other()) == Pong(text="other")
        assert await stage.ask(Parent.ping, Ping(text="x")) == Pong(text="parent x")


def test_an_inherited_handler_is_a_target_of_the_subclass() -> None:
    assert Child.other.owner is Child
    assert Parent.other.owner is Parent


def test_a_handler_replaced_by_a_plain_method_is_no_handler_any_more() -> None:
    class Quiet(Parent):
        ping = None  # type: ignore[assignment] # pyright: ignore[reportAssignmentType]  # what is tested

    assert list(Quiet.table.direct) == ["Other"]


def test_an_actor_is_named_after_its_class_unless_it_says_so() -> None:
    class CardDesk(Actor): ...

    class Special(CardDesk):
        name = "front-desk"

    class Below(Special): ...

    assert (CardDesk.name, Special.name, Below.name) == ("card-desk", "front-desk", "below")


def test_a_bad_name_is_refused_when_the_class_is_made() -> None:
    with pytest.raises(InvalidName, match="'Front Desk' is not a"):

        class Wrong(Actor):  # pyright: ignore[reportUnusedClass]
            name = "Front Desk"


@pytest.mark.parametrize("many", [0, -1, 1025, "4", None])
def test_concurrency_is_a_number_from_1_to_1024(many: Any) -> None:
    with pytest.raises(BadActor, match=r"Desk\.concurrency is .*: 1 to 1024"):
        types.new_class("Desk", (Actor,), {}, lambda body: body.update(concurrency=many))


def test_a_message_travels_under_the_name_of_its_class() -> None:
    assert tag_of(Ping) == "Ping"
