"""What type checkers must know of the public names. Never run: mypy and basedpyright judge it.

A line with ``type: ignore`` is one that must be an error: an unused ignore fails too.
"""

from typing import Any, assert_type

from callboard import Actor, Client, Context, Fleet, Grant, Message, Untrusted, receive
from callboard.actors import Handler
from callboard.testing import Probe, Stage


class Question(Message):
    customer: str
    text: Untrusted[str]
    tags: Untrusted[list[str]] = []  # noqa: RUF012 - a field: msgspec copies it


class Answer(Message):
    text: str
    confidence: float = 1.0


class Nothing(Message):
    pass


class Support(Actor):
    may = Grant(ask=("support",))

    @receive
    async def question(self, message: Question, ctx: Context) -> Answer:
        assert_type(message.text, str)
        assert_type(message.tags, list[str])
        assert_type(await ctx.memory.get("key", int, default=None), int | None)
        assert_type(await ctx.memory.get("key", str, default=""), str)
        assert_type(await ctx.memory.incr("count"), int)
        assert_type(await ctx.memory.of(ctx.key).get("key", int, default=None), int | None)
        assert_type(await ctx.memory.update("key", str.upper, kind=str, default=""), str)
        assert_type(await ctx.memory.items(kind=int), list[tuple[str, int]])
        assert_type(ctx.deadline, float | None)
        assert_type(ctx.sender, str)
        answer = await ctx.ask(Support.question, message)
        assert_type(answer, Answer)
        assert_type(await self.question(message, ctx), Answer)
        assert_type(await ctx.spawn(Support, name="other"), str)
        return answer

    @receive
    async def maybe(self, message: Nothing, ctx: Context) -> Answer | None:
        return None

    @receive(topic="news")
    async def news(self, message: Answer, ctx: Context) -> None: ...


def messages() -> None:
    question = Question(customer="c-17", text="Where is my card?")
    assert_type(question.text, str)
    Question("c-17", "text")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # keyword-only
    Question(customer="c-17")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]  # a field is missing
    Question(customer="c-17", text=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # not text
    question.text = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]  # frozen


def handlers() -> None:
    assert_type(Support.question, Handler[Question, Answer])
    assert_type(Support.maybe, Handler[Nothing, Answer | None])
    assert_type(Support.news, Handler[Answer, None])


async def verbs(speaker: Context | Client | Fleet | Stage) -> None:
    question = Question(customer="c-17", text="?")
    assert_type(await speaker.ask(Support.question, question), Answer)
    assert_type(await speaker.ask(Support.question, question, timeout=10.0), Answer)
    assert_type(await speaker.ask(Support.maybe, Nothing()), Answer | None)
    assert_type(await speaker.ask("support", question, reply=Answer), Answer)
    assert_type(await speaker.ask(Support, question, reply=Answer), Answer)
    assert_type(await speaker.ask("support", question), Any)
    await speaker.tell(Support.question, question)
    await speaker.tell(Support, question, timeout=1.0)
    await speaker.publish("news", Answer(text="a"))
    await speaker.ask(Support.question, Nothing())  # type: ignore[misc]  # pyright: ignore[reportCallIssue, reportArgumentType]  # not what it takes
    await speaker.tell("support", {"type": "Question"})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # no message


async def kit() -> None:
    probe = Probe("archive", Question, answers={Question: Answer(text="42")}, topics={"news": Answer})
    async with Stage([Support, probe, probe.spec]) as stage:
        assert_type(stage, Stage)
        assert_type(await probe.expect(Question), Question)
        assert_type(await stage.ask(Support.question, Question(customer="", text="")), Answer)
        assert_type(probe.messages, list[Message])
