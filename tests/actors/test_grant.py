"""Grants: deny by default, and never more for a child than for its parent."""

import pytest

from callboard import Actor, Context, Grant, Message, PermissionDenied, receive
from callboard.actors import EVERYTHING, VERBS, ActorSpec
from callboard.actors.grant import Verb
from callboard.bus import NoSuchActor
from callboard.errors import InvalidName
from callboard.testing import Probe, Stage


class Note(Message):
    text: str = ""


class Do(Message):
    """What the clerk is to try."""

    verb: Verb
    name: str = ""


class Done(Message):
    text: str


class Leaf(Actor):
    @receive
    async def note(self, message: Note, ctx: Context) -> Done:
        return Done(text="leaf")


class Greedy(Leaf):
    """Wants more than most may give."""

    may = Grant(tell=("sink",))


class Clerk(Actor):
    answers_with = (PermissionDenied, InvalidName)

    @receive
    async def do(self, message: Do, ctx: Context) -> Done:
        if message.verb == "tell":
            await ctx.tell(message.name, Note())
        elif message.verb == "ask":
            await ctx.ask(message.name, Note())
        elif message.verb == "publish":
            await ctx.publish(message.name, Note())
        else:
            await ctx.spawn(Greedy if message.verb == "act" else Leaf, name=message.name or None)
        return Done(text="done")


def clerk(may: Grant) -> ActorSpec:
    return ActorSpec(actor=Clerk, name="clerk", cell="main", may=may)


@pytest.mark.parametrize("verb", VERBS)
def test_an_empty_grant_allows_nothing(verb: Verb) -> None:
    assert not Grant().allows(verb, "anything")


@pytest.mark.parametrize("verb", VERBS)
def test_a_grant_allows_what_it_names_for_that_verb_only(verb: Verb) -> None:
    grant = Grant(**{verb: ("this",)})
    assert grant.allows(verb, "this")
    assert not grant.allows(verb, "that")
    assert not any(grant.allows(other, "this") for other in VERBS if other != verb)
    assert EVERYTHING.allows(verb, "whatever")


@pytest.mark.parametrize("name", ["a.b", ">", "A", "", "a\n", "**"])
def test_a_grant_names_names_only(name: str) -> None:
    with pytest.raises(InvalidName):
        Grant(tell=(name,))


@pytest.mark.parametrize(
    ("verb", "name", "named"),
    [("tell", "sink", "sink"), ("ask", "sink", "sink"), ("publish", "news", "news"), ("spawn", "", "leaf")],
)
async def test_what_is_not_granted_is_refused_before_it_leaves(verb: Verb, name: str, named: str) -> None:
    sink = Probe("sink", Note, topics={"news": Note})
    async with Stage([clerk(Grant()), sink]) as stage:
        with pytest.raises(PermissionDenied, match=rf"clerk may not {verb} '{named}'.*add it to may\.{verb}"):
            await stage.ask(Clerk.do, Do(verb=verb, name=name))
        assert not sink.received
        assert len(stage.rows()) == 2


@pytest.mark.parametrize(("verb", "name", "named"), [("tell", "sink", "sink"), ("publish", "news", "news")])
async def test_what_is_granted_leaves(verb: Verb, name: str, named: str) -> None:
    sink = Probe("sink", Note, topics={"news": Note})
    async with Stage([clerk(Grant(**{verb: (named,)})), sink]) as stage:
        await stage.ask(Clerk.do, Do(verb=verb, name=name))
        await sink.expect(Note)


async def test_to_reply_is_always_allowed_and_the_owner_may_everything() -> None:
    async with Stage([clerk(Grant(spawn=("leaf",)))]) as stage:
        assert await stage.ask(Clerk.do, Do(verb="spawn")) == Done(text="done")
        assert await stage.ask(Leaf.note, Note()) == Done(text="leaf")


async def test_a_child_gets_no_more_than_its_parent_has() -> None:
    async with Stage([clerk(Grant(spawn=("greedy",), ask=("sink",)))]) as stage:
        with pytest.raises(PermissionDenied, match="clerk cannot let greedy tell 'sink': it may not do so itself"):
            await stage.ask(Clerk.do, Do(verb="act"))
        with pytest.raises(NoSuchActor):
            stage.row("greedy")


async def test_a_child_may_have_what_its_parent_has() -> None:
    async with Stage([clerk(Grant(spawn=("greedy",), tell=("*",)))]) as stage:
        await stage.ask(Clerk.do, Do(verb="act"))
        assert stage.host("greedy").grant == Grant(tell=("sink",))


async def test_everything_is_no_subset_of_a_list() -> None:
    class Tyrant(Actor):
        may = EVERYTHING

    class Maker(Actor):
        answers_with = (PermissionDenied,)

        @receive
        async def do(self, message: Do, ctx: Context) -> Done:
            return Done(text=await ctx.spawn(Tyrant))

    may = Grant(spawn=("*",), tell=("a",), ask=("a",), publish=("a",), act=("a",))
    async with Stage([ActorSpec(actor=Maker, name="maker", cell="main", may=may)]) as stage:
        with pytest.raises(PermissionDenied, match=r"cannot let tyrant tell '\*'"):
            await stage.ask(Maker.do, Do(verb="spawn"))


@pytest.mark.parametrize("name", ["*", ">", "a.b", "A"])
async def test_a_child_cannot_be_given_a_name_that_hears_the_mail_of_others(name: str) -> None:
    async with Stage([clerk(Grant(spawn=("leaf",)))]) as stage:
        with pytest.raises(InvalidName):
            await stage.ask(Clerk.do, Do(verb="spawn", name=name))
        assert [row.actor for row in stage.rows()] == ["clerk"]
